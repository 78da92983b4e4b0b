/* Asks for the kernel's configuration. */
#include "../agreed.h"

extern int LINUX_KERNEL_VERSION __kconfig;

SEC("xdp")
int version(struct xdp_md *ctx)
{
	return LINUX_KERNEL_VERSION > 5 ? XDP_DROP : XDP_PASS;
}
