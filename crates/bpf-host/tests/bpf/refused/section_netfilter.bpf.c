/* A section name that this crate does not load. */
#include "../agreed.h"

SEC("netfilter")
int hook(void *ctx)
{
	return 0;
}
