//! Captured answers of a kernel, whole, cut off and damaged.
//!
//! `data/diag-*.bin` are what `recv` returned on Linux 6.18 (x86-64) in a namespace with TCP listeners on
//! `127.0.0.1:20001` and, IPv6 only, `[::]:20002`; `0.0.0.0:20003` bound; UDP on `0.0.0.0:20004` and
//! `[::1]:20005`; a connection from 20006 to 20001, and a closed one from 20007. `data/proc-net-*.txt` are the files
//! of another namespace, which also had `ss` run in it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test is meant to stop, and to say why"
)]
#![cfg(target_endian = "little")]

use std::collections::BTreeSet;

use portscan::Protocol::{Tcp, Udp};
use portscan::sock_diag::{Malformed, Message, Messages};
use portscan::{Protocol, Socket, State, proc_net};

const LISTENERS_V4: &[u8] = include_bytes!("data/diag-listeners-v4.bin");
const LISTENERS_V6: &[u8] = include_bytes!("data/diag-listeners-v6.bin");
const OTHERS: &[u8] = include_bytes!("data/diag-others.bin");
const UDP_V4: &[u8] = include_bytes!("data/diag-udp-v4.bin");
const UDP_V6: &[u8] = include_bytes!("data/diag-udp-v6.bin");
const NO_PROTOCOL: &[u8] = include_bytes!("data/diag-no-protocol.bin");
const BAD_FAMILY: &[u8] = include_bytes!("data/diag-bad-family.bin");

/// The sockets of an answer that must end well.
fn sockets(answer: &[u8], protocol: Protocol) -> Vec<Socket> {
    let mut messages: Vec<Message> = Messages::new(answer, protocol)
        .map(|message| message.unwrap().2)
        .collect();
    assert_eq!(messages.pop(), Some(Message::Done(0)));
    let rows = messages.into_iter().map(|message| match message {
        Message::Row(socket) => *socket,
        other => panic!("{other:?}"),
    });
    rows.collect()
}

/// Address, state, inode, cookie: as `getsockname`, `ss`, `fstat` and `SO_COOKIE` told at the same moment.
fn check(answer: &[u8], protocol: Protocol, expected: &[(&str, State, u32, u64)]) {
    let mut found: Vec<_> = sockets(answer, protocol)
        .iter()
        .map(|socket| {
            (
                socket.local.to_string(),
                socket.state,
                socket.inode.map_or(0, u32::from),
                socket.cookie.unwrap(),
            )
        })
        .collect();
    found.sort_by_key(|row| row.3);
    let expected: Vec<_> = expected
        .iter()
        .map(|row| (row.0.to_owned(), row.1, row.2, row.3))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn rows_are_read_as_the_kernel_meant_them() {
    check(
        LISTENERS_V4,
        Tcp,
        &[("127.0.0.1:20001", State::Listen, 3_169_376, 17_401)],
    );
    check(
        LISTENERS_V6,
        Tcp,
        &[("[::]:20002", State::Listen, 3_169_377, 17_402)],
    );
    check(
        UDP_V4,
        Udp,
        &[("0.0.0.0:20004", State::Close, 3_169_379, 17_407)],
    );
    check(
        UDP_V6,
        Udp,
        &[("[::1]:20005", State::Close, 3_169_380, 17_408)],
    );
    let others = [
        ("0.0.0.0:20003", State::Close, 3_169_378, 17_403),
        ("127.0.0.1:20006", State::Established, 3_169_381, 17_404),
        ("127.0.0.1:20007", State::TimeWait, 0, 17_405),
        ("127.0.0.1:20001", State::Established, 3_169_382, 17_406),
    ];
    check(OTHERS, Tcp, &others);
}

#[test]
fn attributes_are_read_by_type() {
    let v6 = &sockets(LISTENERS_V6, Tcp)[0];
    assert_eq!((v6.v6only, v6.uid, v6.peer), (Some(true), Some(0), None));
    assert_eq!(
        v6.cgroup_id,
        Some(1),
        "the root group of this file system is directory 1"
    );
    let left = sockets(OTHERS, Tcp)
        .into_iter()
        .find(|socket| socket.state == State::TimeWait)
        .unwrap();
    assert_eq!((left.uid, left.inode, left.cgroup_id), (None, None, None));
    assert_eq!(left.peer.unwrap().to_string(), "127.0.0.1:20001");
}

#[test]
fn a_missing_protocol_and_a_bad_request_are_no_empty_lists() {
    let only = |answer| {
        Messages::new(answer, Udp)
            .map(|message| message.unwrap().2)
            .collect::<Vec<_>>()
    };
    assert_eq!(only(NO_PROTOCOL), [Message::Done(-libc::ENOENT)]);
    assert_eq!(only(BAD_FAMILY), [Message::Error(-libc::EINVAL)]);
}

#[test]
fn an_interrupted_dump_says_so() {
    let mut answer = LISTENERS_V4.to_vec();
    answer[6] |= 0x10;
    let flags: Vec<bool> = Messages::new(&answer, Tcp)
        .map(|message| message.unwrap().1)
        .collect();
    assert_eq!(flags, [true, false]);
}

#[test]
fn damaged_answers_end_and_never_panic() {
    for (answer, protocol) in [
        (LISTENERS_V4, Tcp),
        (LISTENERS_V6, Tcp),
        (OTHERS, Tcp),
        (UDP_V4, Udp),
        (UDP_V6, Udp),
        (NO_PROTOCOL, Udp),
        (BAD_FAMILY, Udp),
    ] {
        let whole = Messages::new(answer, protocol).count();
        for end in 0..answer.len() {
            let mut messages = Messages::new(&answer[..end], protocol);
            let read = messages.by_ref().take_while(Result::is_ok).count();
            assert!(read <= whole);
            assert_eq!(messages.next(), None, "after an error there is nothing");
        }
        for at in 0..answer.len() {
            for byte in 0..=u8::MAX {
                let mut damaged = answer.to_vec();
                damaged[at] = byte;
                assert!(Messages::new(&damaged, protocol).count() <= damaged.len() / 16 + 1);
            }
        }
    }
}

#[test]
fn a_length_shorter_than_its_own_header_is_malformed() {
    for length in [0u32, 1, 15] {
        let mut answer = OTHERS.to_vec();
        answer[..4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(
            Messages::new(&answer, Tcp).collect::<Vec<_>>(),
            [Err(Malformed)]
        );
    }
}

const FILES: [(&str, Protocol); 4] = [
    (include_str!("data/proc-net-tcp.txt"), Tcp),
    (include_str!("data/proc-net-tcp6.txt"), Tcp),
    (include_str!("data/proc-net-udp.txt"), Udp),
    (include_str!("data/proc-net-udp6.txt"), Udp),
];

fn in_file(index: usize) -> Vec<Socket> {
    let (text, protocol) = FILES[index];
    text.lines()
        .filter_map(|line| proc_net::parse_line(line.as_bytes(), protocol))
        .collect()
}

fn locals(index: usize, of: impl Fn(&Socket) -> bool) -> BTreeSet<String> {
    in_file(index)
        .into_iter()
        .filter(|socket| of(socket))
        .map(|socket| socket.local.to_string())
        .collect()
}

#[test]
fn captured_files_show_the_sockets_that_were_made() {
    for (index, (text, _)) in FILES.iter().enumerate() {
        assert_eq!(
            in_file(index).len(),
            text.lines().count() - 1,
            "every line but the heading"
        );
    }
    let tcp = locals(0, Socket::is_listening);
    for port in 20_000..=20_024 {
        assert!(tcp.contains(&format!("0.0.0.0:{port}")));
    }
    for address in [
        "0.0.0.0:15001",
        "0.0.0.0:15006",
        "127.0.0.1:15000",
        "127.0.0.53:53",
        "0.0.0.0:22",
        "127.0.0.1:7000",
    ] {
        assert!(tcp.contains(address), "{address}");
    }
    assert!(
        !tcp.contains("0.0.0.0:8092"),
        "what is bound without listening is in no file"
    );
    let tcp6 = locals(1, Socket::is_listening);
    for address in [
        "[::]:22",
        "[::]:8443",
        "[::1]:6379",
        "[2001:db8::1:2]:8444",
        "[fe80::1]:8080",
        "[::ffff:127.0.0.1]:8084",
    ] {
        assert!(tcp6.contains(address), "{address}");
    }
    let udp = locals(2, |_| true);
    assert!(
        udp.contains("0.0.0.0:15443")
            && udp.contains("127.0.0.1:5000")
            && udp.contains("0.0.0.0:5355")
    );
    assert!(locals(3, |_| true).contains("[fe80::1]:546"));
    let row = in_file(0)
        .into_iter()
        .find(|socket| socket.port() == 7002)
        .unwrap();
    assert_eq!(
        row.inode.map(u32::from),
        Some(76_360_886),
        "what ss printed as ino: at the same moment"
    );
}

#[test]
fn damaged_lines_are_sockets_or_nothing() {
    for (text, protocol) in FILES {
        for line in text.lines().map(str::as_bytes) {
            let useful = &line[..line.len().min(150)];
            for end in 0..useful.len() {
                let _ = proc_net::parse_line(&useful[..end], protocol);
                for byte in 0..=u8::MAX {
                    let mut damaged = useful.to_vec();
                    damaged[end] = byte;
                    let _ = proc_net::parse_line(&damaged, protocol);
                }
            }
        }
    }
}
