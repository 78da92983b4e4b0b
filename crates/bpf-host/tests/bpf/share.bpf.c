/* Counts under no agreed name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int share(struct xdp_md *ctx)
{
	return XDP_PASS;
}
