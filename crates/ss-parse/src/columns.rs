//! The columns of a row up to the peer, told apart by what they hold and not by where they stand.

use std::net::IpAddr;

use crate::endpoint::{self, Era};
use crate::scan::{self, next_word};
use crate::{Address, Protocol, Socket, State};

/// What a line is, judged by its columns.
#[allow(
    clippy::large_enum_variant,
    reason = "most lines are sockets, and one line is held at a time"
)]
pub(crate) enum Line<'a> {
    Socket(Columns<'a>),
    /// A row of a family without IP ports.
    OtherFamily {
        is_unix: bool,
    },
    Header,
    /// More about the row above, as `-i` and `-m` print it.
    Detail,
    Blank,
    /// The first line of the help text.
    Usage,
    Unreadable,
}

/// The columns of a socket, and the text of the line behind them.
pub(crate) struct Columns<'a> {
    pub(crate) socket: Socket,
    pub(crate) era: Option<Era>,
    pub(crate) rest: &'a [u8],
}

const OTHER_FAMILIES: [&[u8]; 14] = [
    b"u_str", b"u_seq", b"u_dgr", b"nl", b"p_raw", b"p_dgr", b"v_str", b"v_dgr", b"ti_st",
    b"ti_dg", b"ti_rd", b"ti_sq", b"xdp", b"unknown",
];

const HEADER_WORDS: [&[u8]; 8] = [
    b"Netid",
    b"State",
    b"Recv-Q",
    b"Send-Q",
    b"Local",
    b"Peer",
    b"Address:Port",
    b"Process",
];

/// Tells what `line` is.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let mut rest = line;
    let Some(first) = next_word(&mut rest) else {
        return Line::Blank;
    };
    if line.starts_with(b"\t") {
        let is_damaged_row = scan::words(line).any(|word| endpoint::read(word).is_some());
        return if is_damaged_row {
            Line::Unreadable
        } else {
            Line::Detail
        };
    }
    if is_header(line) {
        return Line::Header;
    }
    if line.starts_with(b"Usage: ss ") {
        return Line::Usage;
    }
    let (protocol, state) = match read_netid(first) {
        Netid::OtherFamily { is_unix } => return Line::OtherFamily { is_unix },
        Netid::Inet(protocol, Some(state)) => (Some(protocol), Some(state)),
        Netid::Inet(protocol, None) => (Some(protocol), take_state(&mut rest)),
        Netid::Absent => {
            rest = line;
            (None, take_state(&mut rest))
        }
    };
    read_columns(protocol, state, rest).map_or(Line::Unreadable, Line::Socket)
}

fn read_columns(
    protocol: Option<Protocol>,
    state: Option<State>,
    mut rest: &[u8],
) -> Option<Columns<'_>> {
    let (recv_q, send_q) = take_queues(&mut rest).unzip();
    let (local, local_era) = endpoint::read(next_word(&mut rest)?)?;
    let (peer, peer_era) = endpoint::read(next_word(&mut rest)?)?;
    let is_ipv4 = matches!(local.address, Address::Ip(IpAddr::V4(_)));
    let wildcard_era = (is_ipv4 && peer.address == Address::Any).then_some(Era::Before413);
    let era = local_era.or(peer_era).or(wildcard_era);
    let socket = Socket {
        protocol,
        state,
        recv_q,
        send_q,
        local,
        peer,
        processes: Vec::new(),
        ambiguous: false,
        uid: None,
        inode: None,
        cookie: None,
        cgroup: None,
    };
    Some(Columns { socket, era, rest })
}

enum Netid {
    /// 4.15 to 5.x print no blank behind a long netid, which brings the state along: `icmp6UNCONN`.
    Inet(Protocol, Option<State>),
    OtherFamily {
        is_unix: bool,
    },
    Absent,
}

fn read_netid(word: &[u8]) -> Netid {
    if word == b"`-" {
        return Netid::Inet(Protocol::Sctp, None);
    }
    if let Some(protocol) = Protocol::from_word(word) {
        return Netid::Inet(protocol, None);
    }
    let glued = word
        .split_at_checked(5)
        .and_then(|(netid, state)| Some((netid, State::from_word(state)?)));
    if let Some((netid, state)) = glued
        && let Some(protocol) = Protocol::from_word(netid)
    {
        return Netid::Inet(protocol, Some(state));
    }
    let netid = glued.map_or(word, |(netid, _)| netid);
    if OTHER_FAMILIES.contains(&netid) {
        return Netid::OtherFamily {
            is_unix: netid.starts_with(b"u_"),
        };
    }
    Netid::Absent
}

fn take_state(rest: &mut &[u8]) -> Option<State> {
    let mut behind = *rest;
    let state = State::from_word(next_word(&mut behind)?)?;
    *rest = behind;
    Some(state)
}

fn take_queues(rest: &mut &[u8]) -> Option<(u32, u32)> {
    let mut behind = *rest;
    let recv_q = read_queue(next_word(&mut behind)?)?;
    let send_q = read_queue(next_word(&mut behind)?)?;
    *rest = behind;
    Some((recv_q, send_q))
}

/// `ss` prints these unsigned numbers as signed ones.
fn read_queue(word: &[u8]) -> Option<u32> {
    match word.strip_prefix(b"-") {
        Some(digits) => scan::number::<i32>(digits).map(|size| size.wrapping_neg().cast_unsigned()),
        None => scan::number::<u32>(word),
    }
}

/// The words of a header may lack the blanks between them, and the columns depend on release and
/// options.
fn is_header(line: &[u8]) -> bool {
    let mut has_addresses = false;
    for mut word in scan::words(line) {
        while !word.is_empty() {
            let Some((known, rest)) = HEADER_WORDS
                .iter()
                .find_map(|known| Some((*known, word.strip_prefix(*known)?)))
            else {
                return false;
            };
            has_addresses |= known == b"Address:Port";
            word = rest;
        }
    }
    has_addresses
}
