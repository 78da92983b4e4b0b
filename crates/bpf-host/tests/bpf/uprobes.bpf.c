/* Functions of user space. */
#include "agreed.h"

SEC("uprobe")
int entered(void *ctx)
{
	count(0);
	return 0;
}

SEC("uretprobe")
int returned(void *ctx)
{
	count(1);
	return 0;
}
