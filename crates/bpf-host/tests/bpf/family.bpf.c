/* Several programs of different kinds in one object. */
#include "agreed.h"

const volatile __u64 watched_cgroup = 0;
const volatile __be32 forbidden_address = 0;

SEC("xdp")
int at_arrival(struct xdp_md *ctx)
{
	count(0);
	return XDP_PASS;
}

SEC("tcx/ingress")
int coming(struct __sk_buff *skb)
{
	count(0);
	return -1;
}

SEC("tcx/egress")
int going(struct __sk_buff *skb)
{
	count(0);
	return -1;
}

SEC("tc")
int either(struct __sk_buff *skb)
{
	count(0);
	return -1;
}

SEC("cgroup_skb/egress")
int leaving(struct __sk_buff *skb)
{
	count(0);
	return 1;
}

SEC("cgroup/connect4")
int connecting(struct bpf_sock_addr *ctx)
{
	int forbidden = forbidden_address && ctx->user_ip4 == forbidden_address;

	count(forbidden);
	return !forbidden;
}

SEC("cgroup/sendmsg4")
int sending(struct bpf_sock_addr *ctx)
{
	int forbidden = forbidden_address && ctx->user_ip4 == forbidden_address;

	count(forbidden);
	return !forbidden;
}
