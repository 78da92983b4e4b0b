/* Calls what this host forbids. */
#include "../agreed.h"

SEC("tracepoint/sched/sched_process_exec")
int kill(void *ctx)
{
	bpf_send_signal(9);
	return 0;
}
