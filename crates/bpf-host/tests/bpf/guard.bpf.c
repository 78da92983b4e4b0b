/* Drops UDP packets: by port (constant, variable, map) and by network. */
#include "agreed.h"

const volatile __u16 drop_port = 0;
volatile __u32 enforce = 1;
volatile __u64 seen = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __be16);
	__type(value, __u8);
} ports SEC(".maps");

struct network {
	__u32 prefix_length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, struct network);
	__type(value, __u8);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} aegis_events SEC(".maps");

struct event {
	__u16 version;
	__u16 kind;
	__u32 length;
	__u64 time;
	__u64 cgroup_id;
	__u32 pid;
	__u32 code;
	__u8 payload[4];
};

static __always_inline void tell(__be32 source, __u16 port)
{
	struct event *event = bpf_ringbuf_reserve(&aegis_events, sizeof(*event), 0);

	if (!event)
		return;
	event->version = 1;
	event->kind = 1;
	event->length = 4;
	event->time = bpf_ktime_get_ns();
	event->cgroup_id = 0;
	event->pid = 0;
	event->code = port;
	__builtin_memcpy(event->payload, &source, 4);
	bpf_ringbuf_submit(event, 0);
}

/* Functions of their own: compilers turn `a || lookup()` into an OR of pointers, which the verifier refuses. */
static __noinline int is_listed_port(__be16 port)
{
	return bpf_map_lookup_elem(&ports, &port) != 0;
}

static __noinline int is_listed_network(__be32 address)
{
	struct network network = { .prefix_length = 32, .address = address };

	return bpf_map_lookup_elem(&networks, &network) != 0;
}

SEC("xdp")
int guard(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ether = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(ether + 1);
	struct udphdr *udp = (void *)(ip + 1);
	int forbidden = 0;

	if ((void *)(udp + 1) > end || ether->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	seen += 1;
	if (udp->dest == bpf_htons(drop_port))
		forbidden = 1;
	if (is_listed_port(udp->dest))
		forbidden = 1;
	if (is_listed_network(ip->saddr))
		forbidden = 1;
	count(forbidden);
	if (!forbidden)
		return XDP_PASS;
	tell(ip->saddr, bpf_ntohs(udp->dest));
	return enforce ? XDP_DROP : XDP_PASS;
}
