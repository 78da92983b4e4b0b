//! What only the text as a whole tells: its age, and which columns it has.

use std::net::{IpAddr, Ipv4Addr};

use crate::endpoint::Era;
use crate::{Address, Parsed, Protocol, Socket, State};

/// Corrects what the rows alone did not show.
pub(crate) fn settle(parsed: &mut Parsed, era: Option<Era>) {
    if era == Some(Era::Before413) {
        rename_udp(&mut parsed.sockets);
        parsed.sockets.iter_mut().for_each(resolve_wildcards);
    }
    mark_rows_without_columns(parsed);
}

/// Releases before 3.14 call UDP `tcp`. They print it before TCP, and know no TCP socket that is
/// UNCONN.
fn rename_udp(sockets: &mut [Socket]) {
    let is_tcp = |socket: &Socket| socket.protocol == Some(Protocol::Tcp);
    let last = sockets
        .iter()
        .rposition(|socket| is_tcp(socket) && socket.state == Some(State::Unconnected));
    let udp = last
        .and_then(|last| sockets.get_mut(..=last))
        .unwrap_or_default();
    for socket in udp.iter_mut().filter(|socket| is_tcp(socket)) {
        socket.protocol = Some(Protocol::Udp);
    }
}

/// Before 4.13 `*` was the wildcard of IPv4 alone.
fn resolve_wildcards(socket: &mut Socket) {
    for end in [&mut socket.local, &mut socket.peer] {
        if end.address == Address::Any {
            end.address = Address::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
    }
}

/// A column is there in all rows or in none. A row with fewer may be a name that imitates one.
fn mark_rows_without_columns(parsed: &mut Parsed) {
    let sockets = &mut parsed.sockets;
    let has_netid = parsed.skipped > 0 || sockets.iter().any(|socket| socket.protocol.is_some());
    let has_state = sockets.iter().any(|socket| socket.state.is_some());
    let has_queues = sockets.iter().any(|socket| socket.recv_q.is_some());
    for socket in sockets {
        socket.ambiguous |= (has_netid && socket.protocol.is_none())
            || (has_state && socket.state.is_none())
            || (has_queues && socket.recv_q.is_none());
    }
}
