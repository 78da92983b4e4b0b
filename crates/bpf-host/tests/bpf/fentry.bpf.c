/* A kind that not every kernel takes. */
#include "agreed.h"

SEC("fentry/do_nanosleep")
int hook(void *ctx)
{
	count(0);
	return 0;
}
