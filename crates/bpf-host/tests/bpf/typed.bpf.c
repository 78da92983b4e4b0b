/* Every type that a parameter can have. */
#include <stdbool.h>
#include "agreed.h"
#include <linux/in6.h>

enum mode { MONITOR, ENFORCE };

struct rule {
	struct in_addr address;
	__be16 port;
	__u16 host_port;
	__u8 mac[6];
	bool on;
	__s8 level;
	__u64 cgroup;
	__u32 wait_ms;
	enum mode mode;
	char name[8];
	struct in6_addr address6;
	union {
		__u32 number;
		__u8 bytes[4];
	} either;
	__u16 list[3];
	__u32 low : 4;
};

const volatile __u8 small = 7;
const volatile __s64 wide = -1;
const volatile bool flag = false;
const volatile struct rule first = { .host_port = 9 };
volatile enum mode mode = MONITOR;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u16);
} row SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3);
	__uint(key_size, 4);
	__uint(value_size, 8);
} bare SEC(".maps");

struct network6 {
	__u32 prefix_length;
	struct in6_addr address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, struct network6);
	__type(value, __u8);
} networks6 SEC(".maps");

SEC("xdp")
int typed(struct xdp_md *ctx)
{
	__u32 key = small;
	struct rule *rule = bpf_map_lookup_elem(&rules, &key);
	__u16 *cell = bpf_map_lookup_elem(&row, &key);
	struct network6 network = { .prefix_length = 128 };

	if (bpf_map_lookup_elem(&bare, &key))
		count(0);
	if (bpf_map_lookup_elem(&networks6, &network))
		count(0);
	if (rule && rule->on && cell)
		count(flag + wide + first.host_port + mode);
	return XDP_PASS;
}
