/* Calls a kernel function by its type. */
#include "../agreed.h"

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash, int *type) __ksym;

SEC("xdp")
int hash(struct xdp_md *ctx)
{
	__u32 hash = 0;
	int type = 0;

	bpf_xdp_metadata_rx_hash(ctx, &hash, &type);
	return hash ? XDP_DROP : XDP_PASS;
}
