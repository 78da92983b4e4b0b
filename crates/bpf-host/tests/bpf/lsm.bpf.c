/* A kind that not every kernel takes. */
#include "agreed.h"

SEC("lsm/file_open")
int hook(void *ctx)
{
	count(0);
	return 0;
}
