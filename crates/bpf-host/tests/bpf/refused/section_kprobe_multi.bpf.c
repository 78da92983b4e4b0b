/* A section name that this crate does not load. */
#include "../agreed.h"

SEC("kprobe.multi/do_*")
int hook(void *ctx)
{
	return 0;
}
