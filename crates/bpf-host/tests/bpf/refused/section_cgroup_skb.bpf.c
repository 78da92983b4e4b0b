/* A section name that this crate does not load. */
#include "../agreed.h"

SEC("cgroup/skb")
int hook(void *ctx)
{
	return 0;
}
