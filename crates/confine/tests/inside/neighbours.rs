//! Ports, and the processes next door.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use confine::{FileRule, Profile};

use crate::child::{alone, call, errno, has_landlock};

#[test]
fn ports_are_those_that_were_named() {
    alone("neighbours::ports_are_those_that_were_named", || {
        if !has_landlock(4) {
            return;
        }
        let there = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        // A port is free again as soon as its listener is gone.
        let mine = port(&TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let report = Profile {
            tcp_bind: Some(vec![mine]),
            tcp_connect: Some(vec![port(&there)]),
            ..Profile::default()
        }
        .apply();
        assert!(report.is_complete(), "{:?}", report.shortcomings());
        let connect = |port: u16| TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        connect(port(&there)).unwrap();
        assert_eq!(errno(connect(port(&other))), Some(libc::EACCES));
        assert_eq!(
            errno(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))),
            Some(libc::EACCES)
        );
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, mine));
        assert!(bound.is_ok() || errno(bound) == Some(libc::EADDRINUSE));
    });
}

#[test]
fn neither_signals_nor_abstract_sockets_reach_out() {
    alone(
        "neighbours::neither_signals_nor_abstract_sockets_reach_out",
        || {
            if !has_landlock(6) {
                return;
            }
            let name = format!("confine-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            let _outside = UnixDatagram::bind_addr(&address).unwrap();
            let parent = libc::c_long::from(std::os::unix::process::parent_id());
            assert_eq!(call(libc::SYS_kill, [parent, 0, 0, 0, 0]), Ok(0));
            let report = Profile {
                no_abstract_sockets: true,
                no_signals: true,
                ..Profile::default()
            }
            .apply();
            assert!(report.is_complete(), "{:?}", report.shortcomings());
            let own = libc::c_long::from(std::process::id());
            assert_eq!(call(libc::SYS_kill, [parent, 0, 0, 0, 0]), Err(libc::EPERM));
            assert_eq!(call(libc::SYS_kill, [own, 0, 0, 0, 0]), Ok(0));
            // Its maker stands outside: it was bound before.
            let asked = UnixDatagram::unbound().unwrap().connect_addr(&address);
            assert_eq!(errno(asked), Some(libc::EPERM));
        },
    );
}

/// Why who looks into other processes must do without Landlock: it ends that, whatever the capabilities, and leaves what all may read.
#[test]
fn landlock_ends_all_looking_into_other_processes() {
    alone(
        "neighbours::landlock_ends_all_looking_into_other_processes",
        || {
            if !has_landlock(1) {
                return;
            }
            let of_parent =
                |name: &str| format!("/proc/{}/{name}", std::os::unix::process::parent_id());
            std::fs::read_dir(of_parent("fd")).unwrap();
            let report = Profile {
                files: Some(vec![FileRule::read("/")]),
                ..Profile::default()
            }
            .apply();
            assert!(report.landlock.in_force().is_some());
            assert_eq!(
                errno(std::fs::read_link(of_parent("exe"))),
                Some(libc::EACCES)
            );
            assert!(std::fs::read_link(of_parent("fd/0")).is_err());
            std::fs::read_to_string(of_parent("stat")).unwrap();
            std::fs::read_dir("/proc/self/fd").unwrap();
        },
    );
}
