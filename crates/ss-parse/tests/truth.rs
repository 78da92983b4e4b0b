//! Every captured file against what was running when it was captured.
//!
//! The table is written from the description of that machine, not from any output: one set of
//! processes and sockets, seen by many releases of ss under many options.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is meant to stop"
)]

use std::collections::BTreeSet;
use std::net::IpAddr;

use ss_parse::{Address, ErrorKind, Parsed, Port, Process, Protocol, Socket, State, parse};

#[derive(Clone, Copy, PartialEq)]
enum Where {
    /// 0.0.0.0
    V4,
    /// `[::]` for IPv6 alone
    V6,
    /// `[::]` for both families
    Dual,
    At(&'static str),
}
use Where::{At, Dual, V4, V6};

struct Truth {
    protocol: Protocol,
    address: Where,
    interface: Option<&'static str>,
    port: u16,
    service: Option<&'static str>,
    /// Name, pid, descriptor; highest pid first, as ss lists them.
    owners: Vec<(Vec<u8>, u32, u32)>,
    recv_q: u32,
    send_q: u32,
}

const ODD_NAMES: [&[u8]; 25] = [
    b"my server",
    b"a\"b",
    b"a(b)c",
    b")x",
    b"(sd-pam)",
    b"o'brien",
    b"a,b=c",
    b"\xff\xfe\x80nm",
    "сервер".as_bytes(),
    b"two\nlines",
    b"tab\there",
    b"\x1b[31mred",
    b"back\\slash",
    b"",
    b"a\",pid=1,fd=3",
    b"abcdefghijklmno",
    b"LISTEN",
    b"0.0.0.0:22",
    b"%s%n",
    b" lead",
    b"trail ",
    b"users:((",
    b"\"),(\"x\"",
    b"nginx: master",
    b"xxxxxxxxxxxxxxx",
];

fn one(name: &str, pid: u32, fd: u32) -> Vec<(Vec<u8>, u32, u32)> {
    vec![(name.as_bytes().to_vec(), pid, fd)]
}

fn many(name: &str, pids: std::ops::RangeInclusive<u32>, fd: u32) -> Vec<(Vec<u8>, u32, u32)> {
    pids.rev()
        .map(|pid| (name.as_bytes().to_vec(), pid, fd))
        .collect()
}

/// What `-tulnp` shows: listening TCP and unconnected UDP.
fn table() -> Vec<Truth> {
    let tcp = |address, port, owners| Truth {
        protocol: Protocol::Tcp,
        address,
        interface: None,
        port,
        service: None,
        owners,
        recv_q: 0,
        send_q: 128,
    };
    let udp = |address, port, owners| Truth {
        protocol: Protocol::Udp,
        send_q: 0,
        ..tcp(address, port, owners)
    };
    let on = |interface, truth| Truth {
        interface: Some(interface),
        ..truth
    };
    let named = |service, truth| Truth {
        service: Some(service),
        ..truth
    };

    let mut table: Vec<Truth> = (0..25)
        .zip(ODD_NAMES)
        .map(|(i, name)| {
            // ss reads a name up to its first `)`.
            let shown = name.split(|byte| *byte == b')').next().unwrap().to_vec();
            tcp(V4, 20000 + i, vec![(shown, 19958 + u32::from(i), 3)])
        })
        .collect();
    table.extend([
        tcp(V4, 15001, one("envoy", 19983, 3)),
        tcp(V4, 15006, one("envoy", 19983, 5)),
        tcp(At("127.0.0.1"), 15000, one("envoy", 19983, 6)),
        udp(V4, 15443, one("envoy", 19983, 7)),
        named("ssh", tcp(V4, 22, one("sshd", 19984, 3))),
        named("ssh", tcp(V6, 22, one("sshd", 19984, 5))),
        named("http", tcp(V4, 80, many("nginx", 19985..=19988, 3))),
        named("http", tcp(V6, 80, many("nginx", 19985..=19988, 5))),
        tcp(Dual, 8443, many("nginx", 19989..=20029, 3)),
        tcp(Dual, 9100, one("node_exporter", 20030, 3)),
        on(
            "lo",
            named(
                "domain",
                tcp(At("127.0.0.53"), 53, one("systemd-resolve", 20031, 3)),
            ),
        ),
        on(
            "lo",
            named(
                "domain",
                udp(At("127.0.0.53"), 53, one("systemd-resolve", 20031, 5)),
            ),
        ),
        udp(V4, 5355, one("systemd-resolve", 20031, 6)),
        udp(V6, 5355, one("systemd-resolve", 20031, 7)),
        on(
            "eth0",
            named(
                "dhcpv6-client",
                udp(At("fe80::1"), 546, one("systemd-network", 20032, 3)),
            ),
        ),
        on(
            "eth0",
            named("bootpc", udp(V4, 68, one("systemd-network", 20032, 5))),
        ),
        on(
            "eth0",
            named(
                "http-alt",
                tcp(At("fe80::1"), 8080, one("linklocal", 20033, 3)),
            ),
        ),
        on(
            "eth0",
            named("tproxy", tcp(V4, 8081, one("dev-any", 20034, 3))),
        ),
        on("eth0", tcp(Dual, 8082, one("dev-any", 20034, 5))),
        on("eth0", tcp(V6, 8083, one("dev-any", 20034, 6))),
        tcp(At("::ffff:127.0.0.1"), 8084, one("v4mapped", 20035, 3)),
        named("redis", tcp(At("::1"), 6379, one("lo6", 20036, 3))),
        tcp(At("2001:db8::1:2"), 8444, one("global6", 20037, 3)),
        named("webmin", tcp(V4, 10000, one("reuseport", 20038, 3))),
        named("webmin", tcp(V4, 10000, one("reuseport", 20038, 5))),
        named("webmin", tcp(V4, 10000, one("reuseport", 20038, 6))),
        tcp(V4, 8090, one("mptcpd", 20039, 3)),
        tcp(Dual, 8091, one("gosrv", 20040, 3)),
        Truth {
            recv_q: 3,
            ..named("bbs", tcp(At("127.0.0.1"), 7000, one("conns", 20043, 3)))
        },
        Truth {
            send_q: 4096,
            ..tcp(V4, 7001, one("bigbacklog", 20044, 3))
        },
        tcp(V4, 7002, one("uid12345", 20045, 3)),
        udp(V4, 14789, vec![]),
    ]);
    table
}

/// Which part of the table a capture shows, and how its release and options write it.
#[derive(Clone, Copy)]
struct Shows {
    tcp: bool,
    udp: bool,
    only_v6: bool,
    owners: bool,
    queues: bool,
    netid: bool,
    services: bool,
    /// 3.12 prints no interfaces.
    interfaces: bool,
    /// Whether IPv6 wildcards of one and of both families look alike.
    before_413: bool,
}

const ALL: Shows = Shows {
    tcp: true,
    udp: true,
    only_v6: false,
    owners: true,
    queues: true,
    netid: true,
    services: false,
    interfaces: true,
    before_413: false,
};
const TCP: Shows = Shows {
    udp: false,
    netid: false,
    ..ALL
};
const OLD: Shows = Shows {
    before_413: true,
    ..ALL
};
const OLDEST: Shows = Shows {
    interfaces: false,
    ..OLD
};

macro_rules! captures {
    ($($file:literal: $shows:expr;)*) => {
        /// The captures that show the listening sockets and no others.
        const LISTENING: &[(&str, &[u8], Shows)] =
            &[$(($file, include_bytes!(concat!("captures/ss-", $file, ".txt")), $shows)),*];
    };
}

captures! {
    "3.12.0-tulnp": OLDEST;
    "3.12.0-tulnpe": OLDEST;
    "3.12.0-tlnp": Shows { interfaces: false, before_413: true, ..TCP };
    "4.9.0-tulnp": OLD;
    "4.9.0-tulnpH": OLD;
    "4.18.0-tulnp": ALL;
    "4.18.0-tulnpH": ALL;
    "4.18.0-tulnpe": ALL;
    "4.18.0-tlnp": TCP;
    "5.4.0-tulnp": ALL;
    "5.4.0-tulnpe": ALL;
    "5.4.0-tlnp": TCP;
    "5.10.0-tulnp": ALL;
    "6.1.0-tulnp": ALL;
    "6.1.0-tulnp.tty200": ALL;
    "6.1.0-tulnp.nonroot": Shows { owners: false, ..ALL };
    "6.1.0-tulnp--cgroup": ALL;
    "6.1.0-tulnpT": ALL;
    "6.1.0-tulnpeH": ALL;
    "6.1.0-tulnpi": ALL;
    "6.1.0-tulnpiemo": ALL;
    "6.1.0-tulp": Shows { services: true, ..ALL };
    "6.1.0-tlnpH": TCP;
    "6.1.0-tln": Shows { owners: false, ..TCP };
    "6.1.0-t6lnp": Shows { only_v6: true, ..TCP };
    "6.1.0-ulnp": Shows { tcp: false, netid: false, ..ALL };
    "6.9.0-tulnp": ALL;
    "6.9.0-tulnpQ": Shows { queues: false, ..ALL };
    "6.9.0-tlnp": TCP;
}

/// A row in comparable form: protocol, state, address, interface, port, owners, queues.
type Row = (
    String,
    String,
    String,
    Option<String>,
    String,
    Vec<(Vec<u8>, u32, u32)>,
    Option<(u32, u32)>,
);

fn expected(truth: &Truth, shows: Shows) -> Row {
    let state = if truth.protocol == Protocol::Tcp {
        "LISTEN"
    } else {
        "UNCONN"
    };
    let address = match truth.address {
        V4 => "0.0.0.0",
        V6 => "::",
        Dual => {
            if shows.before_413 {
                "::"
            } else {
                "*"
            }
        }
        At(address) => address,
    };
    let service = truth.service.filter(|_| shows.services);
    (
        if shows.netid {
            truth.protocol.to_string()
        } else {
            String::new()
        },
        state.to_owned(),
        address.to_owned(),
        truth
            .interface
            .filter(|_| shows.interfaces)
            .map(str::to_owned),
        service.map_or(truth.port.to_string(), str::to_owned),
        if shows.owners {
            truth.owners.clone()
        } else {
            vec![]
        },
        shows.queues.then_some((truth.recv_q, truth.send_q)),
    )
}

fn found(socket: &Socket) -> Row {
    (
        socket
            .protocol
            .map(|protocol| protocol.to_string())
            .unwrap_or_default(),
        socket
            .state
            .map(|state| state.to_string())
            .unwrap_or_default(),
        match socket.local.address {
            Address::Any => "*".to_owned(),
            Address::Ip(address) => address.to_string(),
        },
        socket
            .local
            .interface
            .clone()
            .map(|name| String::from_utf8(name).unwrap()),
        match &socket.local.port {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => name.clone(),
            Port::Any => "*".to_owned(),
        },
        socket
            .processes
            .iter()
            .map(|process| (process.name.clone(), process.pid, process.fd))
            .collect(),
        socket.recv_q.zip(socket.send_q),
    )
}

fn is_shown(truth: &Truth, shows: Shows) -> bool {
    let is_v6 = match truth.address {
        V4 => false,
        V6 | Dual => true,
        At(address) => address.contains(':'),
    };
    let of_protocol = if truth.protocol == Protocol::Tcp {
        shows.tcp
    } else {
        shows.udp
    };
    of_protocol && (is_v6 || !shows.only_v6)
}

fn assert_shows(file: &str, parsed: &Parsed, shows: Shows) {
    let mut expected: Vec<Row> = table()
        .iter()
        .filter(|truth| is_shown(truth, shows))
        .map(|truth| expected(truth, shows))
        .collect();
    let mut found: Vec<Row> = parsed.sockets.iter().map(found).collect();
    expected.sort();
    found.sort();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{file}");
    }
    assert_eq!(found.len(), expected.len(), "{file}");
}

#[test]
fn every_listening_capture_shows_what_was_there() {
    for (file, bytes, shows) in LISTENING {
        let parsed = parse(bytes);
        assert_eq!(parsed.errors, [], "{file}");
        assert_eq!(parsed.skipped, 0, "{file}");
        assert!(
            parsed.sockets.iter().all(|socket| !socket.ambiguous),
            "{file}"
        );
        assert_shows(file, &parsed, *shows);
    }
}

#[test]
fn every_capture_of_ss_is_read_by_some_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files
        .filter_map(|name| Some(name.strip_prefix("ss-")?.strip_suffix(".txt")?.to_owned()))
        .collect();
    let others = [
        "3.12.0-tulnpH",
        "3.12.0-tuanp",
        "4.18.0-tuanp",
        "6.1.0-lnp",
        "6.1.0-Mlnp",
        "6.1.0-tanp",
        "6.1.0-tnp",
        "6.1.0-tulnp.filter",
        "6.9.0-tanpB",
        "6.9.0-tuanp",
    ];
    let tested: BTreeSet<String> = LISTENING
        .iter()
        .map(|(file, ..)| *file)
        .chain(others)
        .map(str::to_owned)
        .collect();
    assert_eq!(files, tested);
}

#[test]
fn one_row_names_all_41_owners() {
    for (file, bytes, _) in LISTENING
        .iter()
        .filter(|(.., shows)| shows.tcp && shows.owners)
    {
        let sockets = parse(bytes).sockets;
        let owners = sockets
            .iter()
            .find(|socket| socket.local.port_number() == Some(8443))
            .map(|s| &s.processes);
        let pids: Vec<u32> = owners.unwrap().iter().map(|process| process.pid).collect();
        assert_eq!(pids, (19989..=20029).rev().collect::<Vec<_>>(), "{file}");
    }
}

#[test]
fn nobody_passes_for_pid_1() {
    for (file, bytes, _) in LISTENING {
        let sockets = parse(bytes).sockets;
        let mut processes = sockets.iter().flat_map(|socket| &socket.processes);
        assert!(
            processes.all(|process| (19958..=20045).contains(&process.pid)),
            "{file}"
        );
    }
}

#[test]
fn threads_are_told_with_their_processes() {
    let parsed = parse(include_bytes!("captures/ss-6.1.0-tulnpT.txt"));
    let processes: Vec<&Process> = parsed
        .sockets
        .iter()
        .flat_map(|socket| &socket.processes)
        .collect();
    assert!(
        processes
            .iter()
            .all(|process| process.tid == Some(process.pid))
    );
    assert!(!processes.is_empty());
}

/// Port and inode of each socket in a table of the kernel whose state is `state`.
fn kernel_inodes(table: &str, state: &str) -> BTreeSet<(u16, u64, u32)> {
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|fields| fields[3] == state);
    rows.map(|fields| {
        let port = u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap();
        (port, fields[9].parse().unwrap(), fields[7].parse().unwrap())
    })
    .collect()
}

#[test]
fn inodes_and_users_are_those_of_the_kernel() {
    let tcp = kernel_inodes(include_str!("captures/proc-net-tcp.txt"), "0A");
    let tcp6 = kernel_inodes(include_str!("captures/proc-net-tcp6.txt"), "0A");
    let udp = kernel_inodes(include_str!("captures/proc-net-udp.txt"), "07");
    let udp6 = kernel_inodes(include_str!("captures/proc-net-udp6.txt"), "07");
    let kernel: BTreeSet<_> = [tcp, tcp6, udp, udp6].into_iter().flatten().collect();
    let extended = [
        "3.12.0-tulnpe",
        "4.18.0-tulnpe",
        "5.4.0-tulnpe",
        "6.1.0-tulnpeH",
        "6.1.0-tulnpiemo",
    ];
    for (file, bytes, shows) in LISTENING
        .iter()
        .filter(|(file, ..)| extended.contains(file))
    {
        let sockets = parse(bytes).sockets;
        let found = |s: &Socket| {
            (
                s.local.port_number().unwrap(),
                s.inode.unwrap(),
                s.uid.unwrap(),
            )
        };
        assert_eq!(
            sockets.iter().map(found).collect::<BTreeSet<_>>(),
            kernel,
            "{file}"
        );
        assert_eq!(
            sockets
                .iter()
                .filter_map(|s| s.cookie)
                .collect::<BTreeSet<_>>()
                .len(),
            57,
            "{file}"
        );
        let cgroup = file.starts_with('6').then(|| b"/".to_vec());
        assert!(
            sockets.iter().all(|socket| socket.cgroup == cgroup),
            "{file}"
        );
        assert!(shows.owners);
    }
}

#[test]
fn a_cookie_is_the_same_in_every_release() {
    for file in [
        "3.12.0-tulnpe",
        "4.18.0-tulnpe",
        "5.4.0-tulnpe",
        "6.1.0-tulnpeH",
        "6.1.0-tulnpiemo",
    ] {
        let bytes = LISTENING.iter().find(|(name, ..)| *name == file).unwrap().1;
        let sockets = parse(bytes).sockets;
        let cookie = sockets
            .iter()
            .find(|socket| socket.local.port_number() == Some(7001))
            .unwrap()
            .cookie;
        assert_eq!(cookie, Some(0x34525), "{file}");
    }
}

#[test]
fn without_e_there_is_neither_inode_nor_user() {
    for socket in parse(include_bytes!("captures/ss-6.1.0-tulnp.txt")).sockets {
        assert_eq!(
            (socket.inode, socket.uid, socket.cookie, socket.cgroup),
            (None, None, None, None)
        );
    }
}

fn count(parsed: &Parsed, is_wanted: impl Fn(&Socket) -> bool) -> usize {
    parsed
        .sockets
        .iter()
        .filter(|socket| is_wanted(socket))
        .count()
}

fn pids_at(parsed: &Parsed, port: u16, state: State) -> Vec<u32> {
    let sockets = parsed
        .sockets
        .iter()
        .filter(|s| s.local.port_number() == Some(port) && s.state == Some(state));
    sockets
        .flat_map(|socket| socket.processes.iter().map(|process| process.pid))
        .collect()
}

#[test]
fn connections_stand_beside_the_listeners() {
    let captures: [(&str, &[u8], usize); 4] = [
        (
            "3.12.0-tuanp",
            include_bytes!("captures/ss-3.12.0-tuanp.txt"),
            71,
        ),
        (
            "4.18.0-tuanp",
            include_bytes!("captures/ss-4.18.0-tuanp.txt"),
            71,
        ),
        (
            "6.9.0-tuanp",
            include_bytes!("captures/ss-6.9.0-tuanp.txt"),
            72,
        ),
        (
            "6.1.0-tanp",
            include_bytes!("captures/ss-6.1.0-tanp.txt"),
            63,
        ),
    ];
    for (file, bytes, rows) in captures {
        let parsed = parse(bytes);
        assert_eq!(
            (parsed.errors.len(), parsed.sockets.len()),
            (0, rows),
            "{file}"
        );
        assert_eq!(
            count(&parsed, |s| s.state == Some(State::Listen)),
            50,
            "{file}"
        );
        assert_eq!(
            count(&parsed, |s| s.state == Some(State::CloseWait)),
            1,
            "{file}"
        );
        assert_eq!(
            count(&parsed, |s| s.state == Some(State::FinWait2)),
            1,
            "{file}"
        );
        assert_eq!(
            count(&parsed, |s| s.state == Some(State::TimeWait)),
            1,
            "{file}"
        );
        assert_eq!(
            pids_at(&parsed, 7000, State::Established),
            [20043, 20043],
            "{file}"
        );
        assert!(parsed.sockets.iter().all(|s| !s.ambiguous), "{file}");
    }
}

#[test]
fn connections_alone_have_numbered_peers() {
    let parsed = parse(include_bytes!("captures/ss-6.1.0-tnp.txt"));
    assert_eq!((parsed.errors.len(), parsed.sockets.len()), (0, 12));
    assert!(
        parsed
            .sockets
            .iter()
            .all(|s| s.peer.port_number().is_some())
    );
    assert!(
        parsed
            .sockets
            .iter()
            .all(|s| s.local.port_number() == Some(7000) || s.peer.port_number() == Some(7000))
    );
}

#[test]
fn a_connected_udp_socket_is_udp_in_every_release() {
    let captures: [&[u8]; 3] = [
        include_bytes!("captures/ss-3.12.0-tuanp.txt"),
        include_bytes!("captures/ss-4.18.0-tuanp.txt"),
        include_bytes!("captures/ss-6.9.0-tuanp.txt"),
    ];
    for bytes in captures {
        let parsed = parse(bytes);
        let socket = parsed
            .sockets
            .iter()
            .find(|s| s.local.port_number() == Some(5000))
            .unwrap();
        assert_eq!(
            (socket.protocol, socket.state),
            (Some(Protocol::Udp), Some(State::Established))
        );
        assert_eq!(socket.peer.port_number(), Some(5001));
        assert_eq!(socket.processes[0].pid, 20042);
        assert_eq!(count(&parsed, |s| s.protocol == Some(Protocol::Udp)), 8);
    }
}

#[test]
fn a_bound_tcp_socket_that_does_not_listen_stays_tcp() {
    let parsed = parse(include_bytes!("captures/ss-6.9.0-tuanp.txt"));
    let socket = parsed
        .sockets
        .iter()
        .find(|s| s.local.port_number() == Some(8092))
        .unwrap();
    assert_eq!(
        (socket.protocol, socket.state),
        (Some(Protocol::Tcp), Some(State::Unconnected))
    );
    assert_eq!(socket.processes[0].name, b"bound-only");

    let parsed = parse(include_bytes!("captures/ss-6.9.0-tanpB.txt"));
    let [socket] = &parsed.sockets[..] else {
        panic!("{parsed:?}")
    };
    assert_eq!(
        (socket.protocol, socket.state, socket.processes[0].pid),
        (None, None, 20041)
    );
    assert_eq!((socket.ambiguous, socket.recv_q), (false, Some(0)));
}

#[test]
fn netlink_is_skipped_and_mptcp_repeats_tcp() {
    let parsed = parse(include_bytes!("captures/ss-6.1.0-lnp.txt"));
    assert_eq!(
        (parsed.errors.len(), parsed.skipped, parsed.sockets.len()),
        (0, 9, 59)
    );
    let mptcp = parsed
        .sockets
        .iter()
        .filter(|s| s.protocol == Some(Protocol::Mptcp));
    assert_eq!(
        mptcp
            .map(|s| s.local.port_number().unwrap())
            .collect::<Vec<_>>(),
        [8090, 8091]
    );
    let parsed = parse(include_bytes!("captures/ss-6.1.0-Mlnp.txt"));
    assert_eq!(pids_at(&parsed, 8091, State::Listen), [20040]);
    assert_eq!((parsed.errors.len(), parsed.sockets.len()), (0, 2));
}

#[test]
fn a_filter_leaves_the_rest_as_it_is() {
    let parsed = parse(include_bytes!("captures/ss-6.1.0-tulnp.filter.txt"));
    let whole = parse(include_bytes!("captures/ss-6.1.0-tulnp.txt"));
    let is_wanted = |socket: &&Socket| socket.local.port_number().is_some_and(|port| port >= 10000);
    let wanted: Vec<Socket> = whole.sockets.iter().filter(is_wanted).cloned().collect();
    assert_eq!((parsed.errors.len(), parsed.sockets), (0, wanted));
}

#[test]
fn a_release_that_lacks_an_option_says_so() {
    let parsed = parse(include_bytes!("captures/ss-3.12.0-tulnpH.txt"));
    assert_eq!(parsed.sockets, []);
    let errors: Vec<_> = parsed
        .errors
        .iter()
        .map(|error| (error.line, error.kind))
        .collect();
    assert_eq!(errors, [(1, ErrorKind::Usage)]);
}

#[test]
fn the_same_sockets_in_two_releases_are_the_same_values() {
    let addresses = |bytes: &[u8]| -> Vec<Option<IpAddr>> {
        let sockets = parse(bytes).sockets;
        sockets
            .iter()
            .map(|s| {
                if let Address::Ip(ip) = s.local.address {
                    Some(ip)
                } else {
                    None
                }
            })
            .collect()
    };
    let new = addresses(include_bytes!("captures/ss-6.1.0-tulnp.txt"));
    assert_eq!(
        new,
        addresses(include_bytes!("captures/ss-4.18.0-tulnp.txt"))
    );
    assert_eq!(new.iter().filter(|address| address.is_none()).count(), 4);
}
