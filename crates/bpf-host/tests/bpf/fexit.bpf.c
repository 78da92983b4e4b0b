/* A kind that not every kernel takes. */
#include "agreed.h"

SEC("fexit/do_nanosleep")
int hook(void *ctx)
{
	count(0);
	return 0;
}
