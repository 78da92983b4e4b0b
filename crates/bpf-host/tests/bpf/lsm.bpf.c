/* Forbids to open one file. A kind that not every kernel takes. */
#include "agreed.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define EPERM 1

struct inode {
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct file {
	struct inode *f_inode;
} __attribute__((preserve_access_index));

const volatile __u64 forbidden_inode = 0;

SEC("lsm/file_open")
int BPF_PROG(hook, struct file *file)
{
	if (forbidden_inode && file->f_inode->i_ino == forbidden_inode) {
		count(1);
		return -EPERM;
	}
	count(0);
	return 0;
}
