/* Asks for a pin of its own. */
#include "../agreed.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shared SEC(".maps");

SEC("xdp")
int share(struct xdp_md *ctx)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&shared, &first) ? XDP_DROP : XDP_PASS;
}
