/* Reads through a pointer that it did not check. */
#include "../agreed.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} values SEC(".maps");

SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	__u32 first = 0;
	__u32 *value = bpf_map_lookup_elem(&values, &first);

	return *value ? XDP_DROP : XDP_PASS;
}
