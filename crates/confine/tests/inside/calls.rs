//! The filter of system calls.

use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc::channel;

use confine::{Calls, Profile};

use crate::child::{alone, call, errno, is_inside, run};

fn filtered(calls: Calls) {
    let report = Profile {
        calls: Some(calls),
        ..Profile::default()
    }
    .apply();
    assert!(report.is_complete(), "{:?}", report.shortcomings());
    let refused = report.calls.in_force().unwrap().refused;
    assert!(refused > 60, "{refused}");
}

#[test]
fn what_an_intruder_does_first_is_refused() {
    alone("calls::what_an_intruder_does_first_is_refused", || {
        filtered(Calls::default());
        let own = libc::c_long::from(rustix::process::getuid().as_raw());
        for (name, number, arguments) in [
            ("execveat", libc::SYS_execveat, [0; 5]),
            (
                "fork by clone",
                libc::SYS_clone,
                [libc::c_long::from(libc::SIGCHLD), 0, 0, 0, 0],
            ),
            (
                "thread in another network",
                libc::SYS_clone,
                [
                    libc::c_long::from(libc::CLONE_THREAD | libc::CLONE_NEWNET),
                    0,
                    0,
                    0,
                    0,
                ],
            ),
            (
                "ptrace",
                libc::SYS_ptrace,
                [libc::c_long::from(libc::PTRACE_TRACEME), 0, 0, 0, 0],
            ),
            (
                "process_vm_readv",
                libc::SYS_process_vm_readv,
                [1, 0, 0, 0, 0],
            ),
            ("mount", libc::SYS_mount, [0; 5]),
            ("umount", libc::SYS_umount2, [0; 5]),
            ("move_mount", 429, [0; 5]),
            ("open_tree_attr", 467, [0; 5]),
            ("setns", libc::SYS_setns, [0; 5]),
            ("unshare nothing", libc::SYS_unshare, [0; 5]),
            ("bpf", libc::SYS_bpf, [0; 5]),
            ("perf_event_open", libc::SYS_perf_event_open, [0; 5]),
            ("keyctl", libc::SYS_keyctl, [0; 5]),
            ("userfaultfd", libc::SYS_userfaultfd, [0; 5]),
            ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, [0; 5]),
            ("init_module", libc::SYS_init_module, [0; 5]),
            ("kexec_load", libc::SYS_kexec_load, [0; 5]),
            ("reboot", libc::SYS_reboot, [0; 5]),
            ("swapoff", libc::SYS_swapoff, [0; 5]),
            ("clock_settime", libc::SYS_clock_settime, [0; 5]),
            ("setuid to itself", libc::SYS_setuid, [own, 0, 0, 0, 0]),
            ("chroot", libc::SYS_chroot, [0; 5]),
            (
                "the personality",
                libc::SYS_personality,
                [0xffff_ffff, 0, 0, 0, 0],
            ),
            ("typing", libc::SYS_ioctl, [0, 0x5412, 0, 0, 0]),
        ] {
            assert_eq!(call(number, arguments), Err(libc::EPERM), "{name}");
        }
        assert_eq!(errno(Command::new("/bin/true").status()), Some(libc::EPERM));
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_old_ways_to_start_a_process_are_refused_too() {
    alone(
        "calls::the_old_ways_to_start_a_process_are_refused_too",
        || {
            filtered(Calls::default());
            assert_eq!(call(libc::SYS_fork, [0; 5]), Err(libc::EPERM));
            assert_eq!(call(libc::SYS_execve, [0; 5]), Err(libc::EPERM));
            assert_eq!(call(libc::SYS_iopl, [0; 5]), Err(libc::EPERM));
        },
    );
}

#[test]
fn what_cannot_be_judged_does_not_exist() {
    alone("calls::what_cannot_be_judged_does_not_exist", || {
        filtered(Calls::default());
        assert_eq!(call(libc::SYS_clone3, [0; 5]), Err(libc::ENOSYS));
        // Of next year, and of x32.
        assert_eq!(call(470, [0; 5]), Err(libc::ENOSYS));
        assert_eq!(call(0x4000_0000, [0; 5]), Err(libc::ENOSYS));
    });
}

#[test]
fn threads_start_as_before_and_those_from_before_are_held_too() {
    alone(
        "calls::threads_start_as_before_and_those_from_before_are_held_too",
        || {
            let (go, told) = channel::<()>();
            let before = std::thread::spawn(move || {
                told.recv().unwrap();
                call(libc::SYS_unshare, [0; 5])
            });
            filtered(Calls::default());
            go.send(()).unwrap();
            assert_eq!(before.join().unwrap(), Err(libc::EPERM));
            let after = std::thread::spawn(|| call(libc::SYS_unshare, [0; 5]));
            assert_eq!(after.join().unwrap(), Err(libc::EPERM));
        },
    );
}

#[test]
fn no_memory_becomes_code() {
    alone("calls::no_memory_becomes_code", || {
        filtered(Calls::default());
        let map = |protection| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let arguments = [
                0,
                4096,
                libc::c_long::from(protection),
                libc::c_long::from(flags),
                -1,
            ];
            call(libc::SYS_mmap, arguments)
        };
        assert_eq!(map(libc::PROT_READ | libc::PROT_EXEC), Err(libc::EPERM));
        let page = map(libc::PROT_READ | libc::PROT_WRITE).unwrap();
        let change = |protection| {
            call(
                libc::SYS_mprotect,
                [page, 4096, libc::c_long::from(protection), 0, 0],
            )
        };
        assert_eq!(change(libc::PROT_EXEC), Err(libc::EPERM));
        assert_eq!(change(libc::PROT_READ), Ok(0));
    });
}

#[test]
fn who_may_start_programs_may_not_leave_its_namespaces() {
    alone(
        "calls::who_may_start_programs_may_not_leave_its_namespaces",
        || {
            filtered(Calls {
                programs: true,
                ..Calls::default()
            });
            assert!(Command::new("/bin/true").status().unwrap().success());
            let flags = libc::c_long::from(libc::SIGCHLD | libc::CLONE_NEWUSER);
            assert_eq!(call(libc::SYS_clone, [flags, 0, 0, 0, 0]), Err(libc::EPERM));
            assert_eq!(call(libc::SYS_ptrace, [0; 5]), Err(libc::EPERM));
        },
    );
}

#[test]
fn who_may_load_programs_into_the_kernel_meets_the_kernel_itself() {
    alone(
        "calls::who_may_load_programs_into_the_kernel_meets_the_kernel_itself",
        || {
            let before = call(libc::SYS_bpf, [-1, 0, 0, 0, 0]);
            filtered(Calls {
                bpf: true,
                ..Calls::default()
            });
            // No such command: the kernel's word, or that of whoever confined us before.
            assert_eq!(call(libc::SYS_bpf, [-1, 0, 0, 0, 0]), before);
        },
    );
}

#[test]
fn other_families_of_sockets_are_not_there() {
    alone("calls::other_families_of_sockets_are_not_there", || {
        filtered(Calls {
            families: Some(vec![libc::AF_UNIX, libc::AF_INET]),
            ..Calls::default()
        });
        UdpSocket::bind("127.0.0.1:0").unwrap();
        std::os::unix::net::UnixDatagram::unbound().unwrap();
        for family in [
            libc::AF_INET6,
            libc::AF_PACKET,
            libc::AF_NETLINK,
            libc::AF_ALG,
            libc::AF_VSOCK,
        ] {
            let arguments = [
                libc::c_long::from(family),
                libc::c_long::from(libc::SOCK_RAW),
                0,
                0,
                0,
            ];
            assert_eq!(
                call(libc::SYS_socket, arguments),
                Err(libc::EAFNOSUPPORT),
                "{family}"
            );
        }
    });
}

#[test]
fn more_families_than_there_are_is_a_mistake_and_nothing_is_in_force() {
    alone(
        "calls::more_families_than_there_are_is_a_mistake_and_nothing_is_in_force",
        || {
            let report = Profile {
                calls: Some(Calls {
                    families: Some(vec![libc::AF_INET; 101]),
                    ..Calls::default()
                }),
                ..Profile::default()
            }
            .apply();
            assert!(report.calls.refusal().unwrap().is_unsupported());
            assert_eq!(call(libc::SYS_unshare, [0; 5]), Ok(0));
        },
    );
}

/// The door to 32 bits, where every number means another call.
#[cfg(target_arch = "x86_64")]
#[test]
fn another_architectures_calls_are_the_end() {
    const TEST: &str = "calls::another_architectures_calls_are_the_end";
    if is_inside(TEST) {
        filtered(Calls::default());
        old_call();
        return;
    }
    let signal = run(TEST, None).status.signal();
    if signal == Some(libc::SIGSEGV) {
        println!("skipped: this kernel has no calls of 32 bits");
        return;
    }
    assert_eq!(signal, Some(libc::SIGSYS));
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "no C library makes such calls")]
fn old_call() {
    // SAFETY: getpid of 32 bits touches no memory; the registers it changes are named.
    unsafe {
        std::arch::asm!("int 0x80", inout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
}
