//! The system calls that a process at work has no use for, and an intruder has.
//!
//! A list of what is refused, not of what is allowed: a libc of next year may use a call that nobody has heard of yet, and a process that dies
//! of it at night is worse than one that can do a little more. The list is closed all the same, by the number of the newest call it knows.

use libc::{
    SYS_acct, SYS_add_key, SYS_chroot, SYS_clock_settime, SYS_delete_module, SYS_finit_module,
    SYS_init_module, SYS_kexec_file_load, SYS_keyctl, SYS_mount, SYS_personality, SYS_pivot_root,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace, SYS_quotactl, SYS_reboot,
    SYS_request_key, SYS_setdomainname, SYS_sethostname, SYS_setns, SYS_settimeofday, SYS_swapoff,
    SYS_swapon, SYS_syslog, SYS_umount2, SYS_unshare, SYS_userfaultfd, SYS_vhangup, c_long,
};

use crate::Calls;

/// The newest system call that this list was made with: `file_setattr` of Linux 6.17. Later ones, and those of x32, are unknown.
pub(crate) const NEWEST: u32 = 469;

/// Numbers that libc has not got for every C library; they are the same on all architectures of today.
const OPEN_TREE: c_long = 428;
const MOVE_MOUNT: c_long = 429;
const FSOPEN: c_long = 430;
const FSCONFIG: c_long = 431;
const FSMOUNT: c_long = 432;
const FSPICK: c_long = 433;
const PIDFD_GETFD: c_long = 438;
const PROCESS_MADVISE: c_long = 440;
const MOUNT_SETATTR: c_long = 442;
const QUOTACTL_FD: c_long = 443;
const OPEN_TREE_ATTR: c_long = 467;

const ALWAYS: &[c_long] = &[
    // Other processes.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    libc::SYS_kcmp,
    PIDFD_GETFD,
    PROCESS_MADVISE,
    // Other views of the file system.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    OPEN_TREE,
    OPEN_TREE_ATTR,
    MOVE_MOUNT,
    FSOPEN,
    FSCONFIG,
    FSMOUNT,
    FSPICK,
    MOUNT_SETATTR,
    SYS_setns,
    SYS_unshare,
    // Files by number, around the folders above them.
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_fanotify_init,
    // The kernel and the machine.
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    libc::SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    QUOTACTL_FD,
    SYS_syslog,
    SYS_vhangup,
    SYS_sethostname,
    SYS_setdomainname,
    // To set the clock. adjtimex also reads it; to set it by that takes a capability.
    SYS_settimeofday,
    SYS_clock_settime,
    // Keys of the kernel.
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    // What most ways into the kernel of the last years began with.
    SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    SYS_personality,
    libc::SYS_remap_file_pages,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // Other users and other rights.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
];

/// What only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    libc::SYS_sysfs,
    libc::SYS_ustat,
    libc::SYS_mknod,
];
#[cfg(target_arch = "aarch64")]
const OLD: &[c_long] = &[];

/// To start programs; `clone` depends on its arguments.
#[cfg(target_arch = "x86_64")]
const PROGRAMS: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_fork,
    libc::SYS_vfork,
];
#[cfg(target_arch = "aarch64")]
const PROGRAMS: &[c_long] = &[libc::SYS_execve, libc::SYS_execveat];

const BPF: &[c_long] = &[libc::SYS_bpf, libc::SYS_perf_event_open];

/// The calls that are refused whatever their arguments.
pub(crate) fn refused(calls: &Calls) -> impl Iterator<Item = c_long> {
    let programs = if calls.programs { &[][..] } else { PROGRAMS };
    let bpf = if calls.bpf { &[][..] } else { BPF };
    [ALWAYS, OLD, programs, bpf].into_iter().flatten().copied()
}
