//! Interfaces: their numbers, and which XDP program is on one.

use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, socket_with,
};

use crate::bytes::{slice_at, u16_at, u32_at};

const GET_LINK: u16 = 18;
const NEW_LINK: u16 = 16;
const XDP: u16 = 43;
const XDP_PROGRAM: u16 = 4;
/// Bytes of a message's header, and of an interface's.
const HEADER: usize = 16;
/// Attributes of one interface; real ones have about 60.
const MAX_ATTRIBUTES: usize = 1_000;

/// The index of an interface of this network namespace.
pub(crate) fn index(name: &str) -> io::Result<u32> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

/// The id of the XDP program on an interface, whoever attached it and however.
pub(crate) fn xdp_program(index: u32) -> io::Result<Option<u32>> {
    // Without a protocol it is NETLINK_ROUTE.
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let patience = Some(std::time::Duration::from_secs(2));
    rustix::net::sockopt::set_socket_timeout(
        &socket,
        rustix::net::sockopt::Timeout::Recv,
        patience,
    )?;
    let mut request = Vec::with_capacity(2 * HEADER);
    request.extend_from_slice(&32_u32.to_ne_bytes());
    request.extend_from_slice(&GET_LINK.to_ne_bytes());
    request.extend_from_slice(&1_u16.to_ne_bytes());
    request.resize(HEADER + 4, 0);
    request.extend_from_slice(&index.to_ne_bytes());
    request.resize(2 * HEADER, 0);
    rustix::net::sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &netlink::SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = vec![0; 64 << 10];
    let (_, received) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    Ok(program_in(answer.get(..received).unwrap_or_default()))
}

/// Finds the program's id in a message about an interface.
fn program_in(message: &[u8]) -> Option<u32> {
    if u16_at(message, 4)? != NEW_LINK {
        return None;
    }
    let xdp = attribute(message.get(2 * HEADER..)?, XDP)?;
    u32_at(attribute(xdp, XDP_PROGRAM)?, 0).filter(|id| *id != 0)
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    const NESTED: u16 = 0x8000;
    for _ in 0..MAX_ATTRIBUTES {
        let (bytes, kind) = (usize::from(u16_at(attributes, 0)?), u16_at(attributes, 2)?);
        if kind & !NESTED == wanted {
            return slice_at(attributes, 4, bytes.checked_sub(4)?);
        }
        attributes = attributes.get(bytes.max(4).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(value.len() + 4)
            .unwrap_or(0)
            .to_ne_bytes()
            .to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message() -> Vec<u8> {
        let mut bytes = vec![0; 2 * HEADER];
        bytes.splice(4..6, NEW_LINK.to_ne_bytes());
        bytes.extend(one(3, b"eth0\0"));
        let inner = [one(2, &[1]), one(XDP_PROGRAM, &77_u32.to_ne_bytes())].concat();
        bytes.extend(one(XDP | 0x8000, &inner));
        bytes
    }

    #[test]
    fn the_program_is_found_behind_other_attributes() {
        assert_eq!(program_in(&message()), Some(77));
    }

    #[test]
    fn cut_and_changed_messages_end_quietly() {
        let whole = message();
        for cut in 0..whole.len() {
            assert_eq!(program_in(whole.get(..cut).unwrap_or_default()), None);
        }
        for at in 0..whole.len() {
            for flip in [1_u8, 0x80, 0xff] {
                let mut changed = whole.clone();
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= flip;
                }
                let _ = program_in(&changed);
            }
        }
    }
}
