/* Burns time, as much as asked for, for each packet. */
#include "agreed.h"

volatile __u32 rounds = 1000;
volatile __u64 sum = 0;

static long turn(__u32 index, void *ctx)
{
	sum += index;
	return 0;
}

SEC("xdp")
int burn(struct xdp_md *ctx)
{
	bpf_loop(rounds, turn, 0, 0);
	count(0);
	return XDP_PASS;
}
