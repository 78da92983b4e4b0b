/* Tracing kinds, with a field read by CO-RE. */
#include "agreed.h"
#include <linux/ptrace.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

const volatile int watched_process = 0;

static __always_inline void hit(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&hits, &which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int by_tracepoint(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == watched_process)
		hit(0);
	return 0;
}

SEC("raw_tp/sys_enter")
int by_raw_tracepoint(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == watched_process)
		hit(1);
	return 0;
}

SEC("tp_btf/sched_switch")
int by_typed_tracepoint(__u64 *ctx)
{
	struct task_struct *next = (void *)ctx[2];

	if (BPF_CORE_READ(next, tgid) == watched_process)
		hit(2);
	return 0;
}

SEC("perf_event")
int by_clock(void *ctx)
{
	hit(3);
	return 0;
}
