//! The kernel's answers: netlink messages in a buffer → sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use crate::{Protocol, Socket, State};

const HEADER_BYTES: usize = 16;
const ROW_BYTES: usize = 72;
/// `NLM_F_DUMP_INTR`.
const INTERRUPTED: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Attributes: `INET_DIAG_SKV6ONLY`, `INET_DIAG_CGROUP_ID`.
const V6ONLY: u16 = 11;
const CGROUP_ID: u16 = 21;

/// The messages in what one `recv` returned.
///
/// ```
/// use portscan::Protocol;
/// use portscan::sock_diag::{Message, Messages};
///
/// // The end of an answer to request number 1: length, type 3, flags, number, sender, status.
/// let done = [20, 3, 1, 0, 0u32].map(u32::to_ne_bytes).concat();
/// let messages: Vec<_> = Messages::new(&done, Protocol::Tcp).collect();
/// # #[cfg(target_endian = "little")]
/// assert!(matches!(messages[..], [Ok((1, false, Message::Done(0)))]));
/// ```
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    protocol: Protocol,
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A socket.
    Row(Box<Socket>),
    /// The end of a dump: 0, or a negative error number (`-ENOENT`: the kernel lacks the protocol).
    Done(i32),
    /// The request failed with this (negative) error number.
    Error(i32),
    /// Anything else.
    Other,
}

/// A message whose lengths contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed netlink message")]
pub struct Malformed;

impl<'a> Messages<'a> {
    /// Reads `bytes` as the answer to a dump of `protocol`.
    #[must_use]
    pub const fn new(bytes: &'a [u8], protocol: Protocol) -> Self {
        Self {
            rest: bytes,
            protocol,
        }
    }

    fn read(&mut self) -> Option<(u32, bool, Message)> {
        let length = usize::try_from(u32_at(self.rest, 0)?).ok()?;
        let message = self.rest.get(..length)?;
        let (kind, flags) = (u16_at(message, 4)?, u16_at(message, 6)?);
        let sequence = u32_at(message, 8)?;
        let body = message.get(HEADER_BYTES..)?;
        let parsed = match kind {
            NLMSG_DONE => Message::Done(u32_at(body, 0).map_or(0, u32::cast_signed)),
            NLMSG_ERROR => Message::Error(u32_at(body, 0)?.cast_signed()),
            18 | 20 => Message::Row(Box::new(row(body, self.protocol)?)),
            _ => Message::Other,
        };
        self.rest = self.rest.get(padded(length)..).unwrap_or_default();
        Some((sequence, flags & INTERRUPTED != 0, parsed))
    }
}

impl Iterator for Messages<'_> {
    /// Sequence number of the request, whether the dump was interrupted, and the message.
    type Item = Result<(u32, bool, Message), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.read();
        if message.is_none() {
            self.rest = &[];
        }
        Some(message.ok_or(Malformed))
    }
}

fn row(body: &[u8], protocol: Protocol) -> Option<Socket> {
    let head = body.get(..ROW_BYTES)?;
    let v6 = match i32::from(*head.first()?) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let local = SocketAddr::new(address(head, 8, v6)?, port_at(head, 4)?);
    let peer = SocketAddr::new(address(head, 24, v6)?, port_at(head, 6)?);
    let cookie = u64::from(u32_at(head, 48)?) << 32 | u64::from(u32_at(head, 44)?);
    let inode = NonZeroU32::new(u32_at(head, 68)?);
    let mut socket = Socket {
        protocol,
        state: State::from_kernel(*head.get(1)?),
        local,
        peer: (peer.port() != 0).then_some(peer),
        interface: NonZeroU32::new(u32_at(head, 40)?),
        v6only: None,
        uid: inode.and(u32_at(head, 64)),
        inode,
        cookie: Some(cookie),
        cgroup_id: None,
        owners: Vec::new(),
    };
    read_attributes(body.get(ROW_BYTES..)?, &mut socket)?;
    Some(socket)
}

/// Attributes come unasked and differ between kernels: read by type, never by position.
fn read_attributes(mut rest: &[u8], socket: &mut Socket) -> Option<()> {
    while !rest.is_empty() {
        let length = usize::from(u16_at(rest, 0)?);
        let value = rest.get(4..length)?;
        match u16_at(rest, 2)? & 0x3fff {
            V6ONLY => socket.v6only = value.first().map(|flag| *flag != 0),
            CGROUP_ID => socket.cgroup_id = u64_at(value, 0),
            _ => {}
        }
        rest = rest.get(padded(length)..).unwrap_or_default();
    }
    Some(())
}

fn address(head: &[u8], at: usize, v6: bool) -> Option<IpAddr> {
    let bytes = head.get(at..)?;
    if v6 {
        bytes
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).into())
    } else {
        bytes
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).into())
    }
}

const fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn port_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
