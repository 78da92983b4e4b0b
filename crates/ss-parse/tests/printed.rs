//! Made-up sockets, printed as each release prints them and read back.
//!
//! The printer follows the source of ss, not the parser: which release writes what stands in
//! `Release`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is meant to stop"
)]

use ss_parse::{Address, Port, parse};

/// xorshift64: the same sockets on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()].clone()
    }

    /// Up to 15 bytes of what would confuse a reader most, without the `)` that ss cuts at.
    fn name(&mut self) -> Vec<u8> {
        const PIECES: [&[u8]; 14] = [
            b"\"",
            b",",
            b"(",
            b"\n",
            b" ",
            b"pid=1",
            b",fd=3",
            b",1,3",
            b"users:((",
            b"*:1 *:*",
            b"\t",
            b"\xff",
            b"a",
            b"tcp",
        ];
        let mut name = Vec::new();
        for _ in 0..self.roll(6) {
            name.extend_from_slice(self.pick(&PIECES));
        }
        name.truncate(15);
        name
    }
}

struct Made {
    is_udp: bool,
    address: &'static str,
    interface: Option<&'static str>,
    port: u16,
    owners: Vec<(Vec<u8>, u32, u32)>,
    inode: u64,
    uid: u32,
}

fn make(dice: &mut Dice) -> Made {
    let owners = 0..dice.pick(&[0, 1, 1, 1, 2, 5]);
    let number = |dice: &mut Dice| u32::try_from(2 + dice.roll(4_000_000)).unwrap();
    Made {
        is_udp: dice.roll(3) == 0,
        address: dice.pick(&[
            "0.0.0.0",
            "127.0.0.1",
            "10.255.0.9",
            "::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "2001:db8::1:2",
        ]),
        interface: dice.pick(&[None, None, Some("lo"), Some("eth0.100@x"), Some("br-1f0c")]),
        port: u16::try_from(1 + dice.roll(65_535)).unwrap(),
        owners: owners
            .map(|_| (dice.name(), number(dice), number(dice) % 1024))
            .collect(),
        inode: 1 + dice.roll(u64::from(u32::MAX)),
        uid: dice.pick(&[0, 0, 65_534, u32::MAX]),
    }
}

#[derive(Clone, Copy)]
struct Release {
    /// Before 3.14.
    bare_owners: bool,
    /// Since 4.13.
    brackets: bool,
    interfaces: bool,
    header: &'static str,
    queues: bool,
    extended: bool,
    threads: bool,
    contexts: bool,
    /// What stands between columns, and at the end of a row.
    gap: &'static str,
    padding: &'static str,
    line_end: &'static str,
}

const CURRENT: Release = Release {
    bare_owners: false,
    brackets: true,
    interfaces: true,
    header: "",
    queues: true,
    extended: false,
    threads: false,
    contexts: false,
    gap: "  ",
    padding: "",
    line_end: "\n",
};

const RELEASES: [Release; 6] = [
    Release {
        bare_owners: true,
        brackets: false,
        interfaces: false,
        extended: true,
        ..CURRENT
    },
    Release {
        brackets: false,
        gap: "            ",
        padding: " ",
        ..CURRENT
    },
    Release {
        header: "NetidState Recv-Q Send-Q Local Address:Port Peer Address:Port",
        padding: "       ",
        ..CURRENT
    },
    Release {
        extended: true,
        threads: true,
        line_end: "\r\n",
        padding: "   ",
        ..CURRENT
    },
    Release {
        queues: false,
        contexts: true,
        header: "Netid State Local Address:Port Peer Address:PortProcess",
        ..CURRENT
    },
    CURRENT,
];

fn print_owner((name, pid, fd): &(Vec<u8>, u32, u32), release: Release) -> Vec<u8> {
    let lines: Vec<&[u8]> = name.split(|byte| *byte == b'\n').collect();
    let name = lines.join(release.line_end.as_bytes());
    let numbers = if release.bare_owners {
        format!("\",{pid},{fd})")
    } else {
        let tid = if release.threads {
            format!("tid={pid},")
        } else {
            String::new()
        };
        let context = "u:r:c:s0:c1,c2";
        match release.contexts {
            true => format!("\",pid={pid},{tid}proc_ctx={context},fd={fd},sock_ctx={context})"),
            false => format!("\",pid={pid},{tid}fd={fd})"),
        }
    };
    [b"(\"", &name[..], numbers.as_bytes()].concat()
}

fn print_host(made: &Made, release: Release) -> String {
    let interface = made
        .interface
        .filter(|_| release.interfaces)
        .map(|name| format!("%{name}"))
        .unwrap_or_default();
    match made.address {
        "0.0.0.0" if !release.brackets => format!("*{interface}"),
        address if address.contains(':') && release.brackets => format!("[{address}]{interface}"),
        address => format!("{address}{interface}"),
    }
}

fn print(made: &Made, release: Release) -> Vec<u8> {
    let state = if made.is_udp { "UNCONN" } else { "LISTEN" };
    // The bug of the oldest releases.
    let netid = if made.is_udp && !release.bare_owners {
        "udp"
    } else {
        "tcp"
    };
    let peer = match (release.brackets, made.address.contains(':')) {
        (true, true) => "[::]:*",
        (true, false) => "0.0.0.0:*",
        (false, true) => ":::*",
        (false, false) => "*:*",
    };
    let mut columns = vec![netid.to_owned(), state.to_owned()];
    if release.queues {
        columns.extend(["0".to_owned(), "4096".to_owned()]);
    }
    columns.extend([
        format!("{}:{}", print_host(made, release), made.port),
        peer.to_owned(),
    ]);
    let mut row = columns.join(release.gap).into_bytes();
    if !made.owners.is_empty() {
        let owners: Vec<Vec<u8>> = made
            .owners
            .iter()
            .map(|owner| print_owner(owner, release))
            .collect();
        row.extend([&b" users:("[..], &owners.join(&b","[..]), b")"].concat());
    }
    if release.extended {
        let uid = if made.uid == 0 {
            String::new()
        } else {
            format!(" uid:{}", made.uid)
        };
        row.extend(format!("{uid} ino:{} sk:1f <->", made.inode).into_bytes());
    }
    row.extend([release.padding, release.line_end].concat().into_bytes());
    row
}

fn print_all(made: &[Made], release: Release) -> Vec<u8> {
    // ss prints UDP first.
    let ordered = made
        .iter()
        .filter(|made| made.is_udp)
        .chain(made.iter().filter(|made| !made.is_udp));
    let header = if release.header.is_empty() {
        String::new()
    } else {
        format!("{}{}", release.header, release.line_end)
    };
    let rows = ordered.flat_map(|made| print(made, release));
    header.into_bytes().into_iter().chain(rows).collect()
}

fn assert_read_back(made: &[Made], release: Release, text: &[u8]) {
    let parsed = parse(text);
    assert_eq!(parsed.errors, [], "{}", text.escape_ascii());
    let ordered = made
        .iter()
        .filter(|made| made.is_udp)
        .chain(made.iter().filter(|made| !made.is_udp));
    assert_eq!(parsed.sockets.len(), made.len(), "{}", text.escape_ascii());
    // A text of nothing but `*:80 *:*` does not show its age.
    let shows_age = release.brackets || made.iter().any(|made| made.address != "0.0.0.0");
    for (socket, made) in parsed.sockets.iter().zip(ordered) {
        let what = text.escape_ascii();
        let owners: Vec<_> = socket
            .processes
            .iter()
            .map(|p| (p.name.clone(), p.pid, p.fd))
            .collect();
        assert_eq!(owners, made.owners, "{what}");
        assert!(!socket.ambiguous, "{what}");
        assert_eq!(socket.local.port, Port::Number(made.port), "{what}");
        assert_eq!(socket.send_q, release.queues.then_some(4096), "{what}");
        if shows_age {
            assert_eq!(
                socket.local.address,
                Address::Ip(made.address.parse().unwrap()),
                "{what}"
            );
            assert_eq!(
                socket.protocol.map(ss_parse::Protocol::as_str),
                Some(if made.is_udp { "udp" } else { "tcp" }),
                "{what}"
            );
        }
        let interface = made.interface.filter(|_| release.interfaces);
        assert_eq!(
            socket.local.interface.as_deref(),
            interface.map(str::as_bytes),
            "{what}"
        );
        assert_eq!(
            socket.inode,
            release.extended.then_some(made.inode),
            "{what}"
        );
        assert_eq!(socket.uid, release.extended.then_some(made.uid), "{what}");
    }
}

#[test]
fn what_any_release_prints_is_read_back() {
    let mut dice = Dice(0x5eed_0f55);
    for round in 0..600 {
        let made: Vec<Made> = (0..=dice.roll(6)).map(|_| make(&mut dice)).collect();
        let release = RELEASES[round % RELEASES.len()];
        assert_read_back(&made, release, &print_all(&made, release));
    }
}
