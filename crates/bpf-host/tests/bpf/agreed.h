/* The maps of agreed names, and small things that all test programs need. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct aegis_stats {
	__u64 packets_processed;
	__u64 violations;
	__u64 errors;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct aegis_stats);
} aegis_stats SEC(".maps");

static __always_inline void count(int violation)
{
	__u32 first = 0;
	struct aegis_stats *stats = bpf_map_lookup_elem(&aegis_stats, &first);

	if (!stats)
		return;
	stats->packets_processed += 1;
	if (violation)
		stats->violations += 1;
}
