//! The 46 measured states of a port, made for real in a private network namespace.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test is meant to stop, and to say why"
)]

mod sandbox;

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Instant;

use portscan::Verdict::{Blocked, Bound, Forbidden, Free, Listening, Reusable, Udp};
use portscan::{Backend, Method, Owners, Picture, Verdict};
use sandbox::Kind::{Mptcp, Tcp, UdpLite};
use sandbox::With::{BindAddressNoPort, Device, Dual, ReuseAddr, ReusePort, V6Only};
use sandbox::*;

/// A port in a certain state: its name, its number, the verdict, and whether the probe is refused.
struct State {
    id: &'static str,
    port: u16,
    verdict: Verdict,
    refused: bool,
}

/// Makes states on rising ports and keeps their sockets open.
struct Maker {
    next: u16,
    states: Vec<State>,
    kept: Vec<OwnedFd>,
    hub: OwnedFd,
}

const HUB: u16 = 29_999;

impl Maker {
    fn new() -> Self {
        let hub = listening(Tcp, "::", HUB, &[Dual, ReuseAddr]);
        Self {
            next: 20_000,
            states: Vec::new(),
            kept: Vec::new(),
            hub,
        }
    }

    fn port(&mut self) -> u16 {
        self.next += 1;
        self.next
    }

    fn note(&mut self, id: &'static str, port: u16, verdict: Verdict, refused: bool) {
        self.states.push(State {
            id,
            port,
            verdict,
            refused,
        });
    }

    fn keep(
        &mut self,
        id: &'static str,
        verdict: Verdict,
        refused: bool,
        make: impl FnOnce(u16) -> OwnedFd,
    ) {
        let port = self.port();
        let fd = make(port);
        self.kept.push(fd);
        self.note(id, port, verdict, refused);
    }

    fn listener(&mut self, id: &'static str, kind: Kind, ip: &str, with: &[With]) {
        self.keep(id, Listening, true, |port| listening(kind, ip, port, with));
    }

    /// Both ends of a connection to a server on a port of its own; the listener is gone.
    fn accepted(&mut self, ip: &str, with: &[With]) -> (u16, OwnedFd, OwnedFd) {
        let port = self.port();
        let server = listening(Tcp, ip, port, with);
        let client = socket(Tcp, false, &[]);
        connect(&client, "127.0.0.1", port);
        (port, accept(&server), client)
    }

    /// The server's end hangs up first.
    fn server_time_wait(
        &mut self,
        id: &'static str,
        ip: &str,
        with: &[With],
        verdict: Verdict,
        refused: bool,
    ) {
        let (port, server, client) = self.accepted(ip, with);
        drop(server);
        wait_for_end(&client);
        drop(client);
        self.note(id, port, verdict, refused);
    }

    /// Both ends of a connection from a port to the hub.
    fn outbound(&mut self, client: OwnedFd) -> (u16, OwnedFd, OwnedFd) {
        connect(&client, "127.0.0.1", HUB);
        let server = accept(&self.hub);
        (port_of(&client), client, server)
    }

    fn established(&mut self, id: &'static str, client: OwnedFd, verdict: Verdict, refused: bool) {
        let (port, client, server) = self.outbound(client);
        self.kept.extend([client, server]);
        self.note(id, port, verdict, refused);
    }

    fn client_time_wait(
        &mut self,
        id: &'static str,
        client: OwnedFd,
        verdict: Verdict,
        refused: bool,
    ) {
        let (port, client, server) = self.outbound(client);
        drop(client);
        wait_for_end(&server);
        drop(server);
        self.note(id, port, verdict, refused);
    }
}

fn make_listeners(maker: &mut Maker) {
    let free = maker.port();
    maker.note("0", free, Free, false);
    maker.listener("a1", Tcp, "0.0.0.0", &[ReuseAddr]);
    maker.listener("a2", Tcp, "0.0.0.0", &[]);
    maker.listener("b1", Tcp, "127.0.0.1", &[ReuseAddr]);
    maker.listener("b2", Tcp, "127.0.0.53", &[ReuseAddr]);
    maker.listener("b3", Tcp, "::1", &[ReuseAddr]);
    maker.listener("c", Tcp, "::", &[Dual, ReuseAddr]);
    maker.listener("d", Tcp, "::", &[V6Only, ReuseAddr]);
    maker.keep("e1", Bound, true, |port| bound(Tcp, "0.0.0.0", port, &[]));
    maker.keep("e2", Bound, false, |port| {
        bound(Tcp, "0.0.0.0", port, &[ReuseAddr])
    });
    maker.keep("e3", Bound, false, |port| {
        bound(Tcp, "::", port, &[Dual, ReuseAddr])
    });
    maker.listener("l1", Tcp, "0.0.0.0", &[ReusePort]);
    maker.listener("l2", Tcp, "0.0.0.0", &[ReuseAddr, ReusePort]);
    maker.keep("l3", Listening, true, |port| {
        as_user(12_345, move || {
            listening(Tcp, "0.0.0.0", port, &[ReuseAddr, ReusePort])
        })
    });
    maker.listener("l4", Tcp, "::", &[Dual, ReuseAddr, ReusePort]);
    maker.listener("l5", Tcp, "0.0.0.0", &[ReuseAddr, Device("lo")]);
}

fn make_leftovers(maker: &mut Maker) {
    maker.server_time_wait("f1", "0.0.0.0", &[ReuseAddr], Reusable, false);
    maker.server_time_wait("f2", "0.0.0.0", &[], Blocked, true);
    maker.server_time_wait("f3", "::", &[Dual, ReuseAddr], Reusable, false);
    maker.client_time_wait("f4", socket(Tcp, false, &[]), Blocked, true);
    let port = maker.port();
    maker.client_time_wait("f5", bound(Tcp, "0.0.0.0", port, &[]), Blocked, true);
    let port = maker.port();
    maker.client_time_wait(
        "f6",
        bound(Tcp, "0.0.0.0", port, &[ReuseAddr]),
        Reusable,
        false,
    );
}

fn make_connections(maker: &mut Maker) {
    maker.established("g1", socket(Tcp, false, &[]), Blocked, true);
    maker.established("g1R", socket(Tcp, false, &[ReuseAddr]), Reusable, false);
    let port = maker.port();
    maker.established("g2", bound(Tcp, "0.0.0.0", port, &[]), Blocked, true);
    let port = maker.port();
    maker.established("g2b", bound(Tcp, "127.0.0.1", port, &[]), Blocked, true);
    let port = maker.port();
    maker.established(
        "g3",
        bound(Tcp, "0.0.0.0", port, &[ReuseAddr]),
        Reusable,
        false,
    );
    maker.established(
        "g4",
        bound(Tcp, "127.0.0.1", 0, &[BindAddressNoPort]),
        Blocked,
        true,
    );
    maker.established(
        "g4R",
        bound(Tcp, "127.0.0.1", 0, &[BindAddressNoPort, ReuseAddr]),
        Reusable,
        false,
    );
    maker.established("g5", bound(Tcp, "0.0.0.0", 0, &[]), Blocked, true);
    for (id, with, verdict) in [("g6", &[ReuseAddr][..], Reusable), ("g7", &[], Blocked)] {
        let (port, server, client) = maker.accepted("0.0.0.0", with);
        maker.kept.extend([server, client]);
        maker.note(id, port, verdict, verdict == Blocked);
    }
    let (port, server, client) = maker.accepted("0.0.0.0", &[ReuseAddr]);
    drop(client);
    wait_for_end(&server);
    maker.kept.push(server);
    maker.note("i1", port, Reusable, false);
    for (id, with, verdict) in [("i2", &[ReuseAddr][..], Reusable), ("i3", &[], Blocked)] {
        let (port, server, client) = maker.accepted("0.0.0.0", with);
        drop(server);
        wait_for_end(&client);
        maker.kept.push(client);
        maker.note(id, port, verdict, verdict == Blocked);
    }
    maker.keep("i4", Bound, false, |port| {
        let fd = bound(Tcp, "0.0.0.0", port, &[ReuseAddr]);
        let nowhere = std::net::SocketAddr::from(([10, 255, 255, 1], 9));
        assert_eq!(
            rustix::net::connect(&fd, &nowhere),
            Err(rustix::io::Errno::NETUNREACH)
        );
        fd
    });
    let port = maker.port();
    let server = listening(Tcp, "0.0.0.0", port, &[ReuseAddr]);
    let client = socket(Tcp, false, &[]);
    connect(&client, "127.0.0.1", port);
    maker.kept.extend([server, client]);
    maker.note("i5", port, Listening, true);
}

fn make_others(maker: &mut Maker) {
    maker.keep("h1", Udp, false, |port| {
        bound(Kind::Udp, "0.0.0.0", port, &[])
    });
    maker.keep("h2", Udp, false, |port| {
        bound(Kind::Udp, "::", port, &[Dual])
    });
    maker.keep("h3", Udp, false, |port| {
        bound(Kind::Udp, "0.0.0.0", port, &[ReuseAddr, ReusePort])
    });
    let port = maker.port();
    let elsewhere = std::thread::spawn(move || {
        enter_namespace().unwrap();
        listening(Tcp, "0.0.0.0", port, &[ReuseAddr])
    });
    let elsewhere = elsewhere.join().unwrap();
    maker.kept.push(elsewhere);
    maker.note("m", port, Free, false);
    if try_socket(Mptcp, false, &[]).is_ok() {
        maker.listener("o1", Mptcp, "0.0.0.0", &[ReuseAddr]);
        maker.keep("o2", Bound, false, |port| {
            bound(Mptcp, "0.0.0.0", port, &[ReuseAddr])
        });
        maker.listener("o3", Mptcp, "::", &[Dual, ReuseAddr]);
    } else {
        println!("skipped: o1, o2, o3: the kernel has no MPTCP");
    }
    if try_socket(UdpLite, false, &[]).is_ok() {
        maker.keep("q1", Free, false, |port| {
            bound(UdpLite, "0.0.0.0", port, &[])
        });
    } else {
        println!("skipped: q1: the kernel has no UDP-Lite");
    }
    let port = maker.port();
    set_sysctl("ipv4/ip_local_reserved_ports", &port.to_string());
    maker.note("j", port, Free, false);
}

fn all_states() -> Maker {
    let mut maker = Maker::new();
    make_listeners(&mut maker);
    make_leftovers(&mut maker);
    make_connections(&mut maker);
    make_others(&mut maker);
    // The other end acknowledges a hang-up with some delay.
    wait_for("the last acknowledgement", || {
        let picture = scan(Method::Exact, Backend::Auto, "1024-65535");
        !picture
            .sockets()
            .iter()
            .any(|socket| socket.state == portscan::State::FinWait1)
    });
    maker
}

fn scan(method: Method, backend: Backend, ports: &str) -> Picture {
    let mut scanner = scanner(|config| {
        config.method = method;
        config.backend = backend;
        config.owners = Owners::Skip;
    });
    scanner.scan(&ranges(ports), &[], Instant::now()).unwrap()
}

fn assert_verdicts(maker: &Maker, picture: &Picture, expected: impl Fn(&State) -> Verdict) {
    let wrong: Vec<String> = maker
        .states
        .iter()
        .filter(|state| picture.verdict(state.port) != Some(expected(state)))
        .map(|state| {
            format!(
                "{}: {:?}, not {:?}",
                state.id,
                picture.verdict(state.port),
                expected(state)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_state_gets_its_verdict() {
    in_namespace(|| {
        let maker = all_states();
        println!("{} states made", maker.states.len());

        let exact = scan(Method::Exact, Backend::Auto, "1024-65535");
        assert_eq!(exact.warnings, []);
        assert_verdicts(&maker, &exact, |state| state.verdict);
        for state in &maker.states {
            assert_eq!(
                exact.bindable(state.port),
                Some(!state.refused),
                "{}",
                state.id
            );
        }

        let listen = scan(Method::Listen, Backend::Auto, "1024-65535");
        assert_eq!(listen.probes, 0);
        assert_verdicts(&maker, &listen, |state| match state.verdict {
            known @ (Listening | Udp) => known,
            _ => Free,
        });

        let bind = scan(Method::Bind, Backend::Auto, "1024-65535");
        assert_eq!(bind.probes, 64_512);
        assert_verdicts(&maker, &bind, |state| match state.verdict {
            Listening => Listening,
            _ if state.refused => Blocked,
            _ => Free,
        });
    });
}

#[test]
fn the_exact_scan_agrees_with_the_standard_bind_on_every_port() {
    for bindv6only in ["0", "1"] {
        in_namespace(move || {
            let maker = all_states();
            set_sysctl("ipv6/bindv6only", bindv6only);
            let exact = scan(Method::Exact, Backend::Auto, "1024-65535");
            set_sysctl("ipv6/bindv6only", "0");
            let refused: HashMap<u16, bool> = maker
                .states
                .iter()
                .map(|state| (state.port, state.refused))
                .collect();
            for (port, verdict) in exact.ports() {
                let taken = TcpListener::bind(("::", port)).is_err();
                let expected = match verdict {
                    Listening | Blocked => true,
                    Bound => refused[&port],
                    _ => false,
                };
                assert_eq!(taken, expected, "port {port}: {verdict}");
            }
        });
    }
}

#[test]
fn a_host_without_ipv6_addresses_is_scanned_the_same_way() {
    in_namespace(|| {
        set_sysctl("ipv6/conf/all/disable_ipv6", "1");
        let _listener = listening(Tcp, "0.0.0.0", 20_001, &[]);
        let _outbound = bound(Tcp, "0.0.0.0", 20_002, &[ReuseAddr]);
        let exact = scan(Method::Exact, Backend::Auto, "20000-20010");
        assert_eq!(exact.verdict(20_001), Some(Listening));
        assert_eq!(exact.verdict(20_002), Some(Bound));
        assert_eq!(exact.count(Free), 9);
    });
}

#[test]
fn the_files_of_proc_agree_with_netlink() {
    in_namespace(|| {
        let maker = all_states();
        let netlink = scan(Method::Exact, Backend::Netlink, "1024-65535");
        let files = scan(Method::Exact, Backend::ProcNet, "1024-65535");
        // What is bound without listening is in no file; what a bind tells of it is.
        for state in maker.states.iter().filter(|state| state.verdict != Bound) {
            assert_eq!(
                files.verdict(state.port),
                Some(state.verdict),
                "{}",
                state.id
            );
        }
        let rows = |picture: &Picture| {
            let sockets = picture
                .sockets()
                .iter()
                .filter(|socket| !socket.is_bound_only());
            let mut rows: Vec<_> = sockets
                .map(|socket| {
                    (
                        socket.local,
                        socket.peer,
                        socket.protocol,
                        format!("{:?}", socket.state),
                        socket.inode,
                        socket.uid,
                    )
                })
                .collect();
            rows.sort();
            rows
        };
        assert_eq!(rows(&netlink), rows(&files));
        assert!(rows(&files).len() > 40);
        assert_eq!(files.warnings, [portscan::Warning::BoundNotListed]);
    });
}

#[test]
fn where_netlink_is_refused_the_files_are_read_and_the_picture_says_so() {
    in_namespace(|| {
        let _server = listening(Tcp, "::1", 20_001, &[ReuseAddr]);
        let _datagrams = bound(Kind::Udp, "0.0.0.0", 20_002, &[]);
        let picture = std::thread::spawn(|| {
            if let Err(error) = refuse_netlink() {
                println!("skipped: no system call filters: {error}");
                return None;
            }
            Some(scan(Method::Exact, Backend::Auto, "20000-20009"))
        });
        let Some(picture) = picture.join().unwrap() else {
            return;
        };
        assert_eq!(picture.verdict(20_001), Some(Listening));
        assert_eq!(picture.verdict(20_002), Some(Udp));
        let warnings: Vec<String> = picture.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].starts_with("netlink does not list TCP sockets (Permission denied"));
    });
}

/// From now on `socket(AF_NETLINK, ...)` fails in this thread, as a sandbox makes it fail.
#[allow(unsafe_code, reason = "installs a system call filter for one thread")]
fn refuse_netlink() -> std::io::Result<()> {
    let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let number = u32::try_from(libc::SYS_socket).unwrap();
    let family = u32::try_from(libc::AF_NETLINK).unwrap();
    let refusal = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EACCES).unwrap();
    let mut filter = [
        statement(load, 0, 0, 0),
        statement(equal, number, 0, 3),
        statement(load, 16, 0, 0),
        statement(equal, family, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, refusal, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: 6,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its six statements live through the calls, and the kernel copies them.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

#[test]
fn a_port_that_may_not_be_bound_is_forbidden_and_not_used() {
    in_namespace(|| {
        let _server = listening(Tcp, "0.0.0.0", 600, &[ReuseAddr]);
        let picture = as_user(65_534, || scan(Method::Exact, Backend::Auto, "1-1030"));
        assert_eq!(picture.count(Forbidden), 1023);
        assert_eq!(picture.verdict(1024), Some(Free));
        assert_eq!(picture.probes, 1);
        let summary = picture.summary(&portscan::Sources::default(), 5);
        assert_eq!(
            summary.available, 1029,
            "the listener is shown by its socket, whatever the bind says"
        );
        let bind = as_user(65_534, || scan(Method::Bind, Backend::Auto, "1-1030"));
        assert_eq!((bind.count(Forbidden), bind.count(Free)), (1023, 7));
    });
}
