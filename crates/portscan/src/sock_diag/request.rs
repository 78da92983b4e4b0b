//! The bytes that ask the kernel for sockets.

use std::ops::RangeInclusive;

use crate::Protocol;

/// `SOCK_DIAG_BY_FAMILY`: one family of one protocol.
const BY_FAMILY: u16 = 20;
/// `TCPDIAG_GETSOCK`: both families of TCP in one walk; an old form that the kernel keeps.
const TCP_BOTH: u16 = 18;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
const HEADER_BYTES: usize = 16;
const ATTRIBUTES_AT: usize = 72;
const TCP_BOTH_ATTRIBUTES_AT: usize = 76;
/// `INET_DIAG_REQ_BYTECODE`.
const BYTECODE: u16 = 1;

/// Only listeners. This very mask spares the kernel the walk over all connections of the host.
const LISTENING: u32 = 1 << 10;
/// Every TCP state but listening, and sockets bound to a port without any state (Linux 6.8).
const NOT_LISTENING: u32 = 0x2ffe & !LISTENING;
/// Every state of a UDP socket.
const UDP: u32 = 0xffe;

/// Which sockets one dump asks for.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) protocol: Protocol,
    pub(crate) tables: Tables,
    states: u32,
    ports: Option<RangeInclusive<u16>>,
}

/// Which address families one dump walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    V4,
    V6,
    Both,
}

impl Query {
    /// TCP listeners of the whole host.
    pub(crate) const fn listeners(tables: Tables) -> Self {
        Self {
            protocol: Protocol::Tcp,
            tables,
            states: LISTENING,
            ports: None,
        }
    }

    /// TCP sockets with a port in `ports` that do not listen.
    pub(crate) const fn others(tables: Tables, ports: RangeInclusive<u16>) -> Self {
        Self {
            protocol: Protocol::Tcp,
            tables,
            states: NOT_LISTENING,
            ports: Some(ports),
        }
    }

    /// UDP sockets.
    pub(crate) const fn udp(tables: Tables) -> Self {
        Self {
            protocol: Protocol::Udp,
            tables,
            states: UDP,
            ports: None,
        }
    }

    /// The request as the kernel reads it.
    pub(crate) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = match self.tables {
            Tables::V4 => self.by_family(libc::AF_INET),
            Tables::V6 => self.by_family(libc::AF_INET6),
            Tables::Both => self.tcp_both(),
        };
        if let Some(ports) = &self.ports {
            bytes.extend(port_filter(*ports.start(), *ports.end()));
        }
        let kind = if self.tables == Tables::Both {
            TCP_BOTH
        } else {
            BY_FAMILY
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let header = [
            &length.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &REQUEST_DUMP.to_ne_bytes(),
            &sequence.to_ne_bytes(),
        ]
        .concat();
        for (to, from) in bytes.iter_mut().zip(header) {
            *to = from;
        }
        bytes
    }

    fn by_family(&self, family: i32) -> Vec<u8> {
        let protocol = match self.protocol {
            Protocol::Tcp => libc::IPPROTO_TCP,
            Protocol::Udp => libc::IPPROTO_UDP,
        };
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend([family, protocol].map(|number| u8::try_from(number).unwrap_or_default()));
        bytes.extend([0, 0]);
        bytes.extend(self.states.to_ne_bytes());
        bytes.resize(ATTRIBUTES_AT, 0);
        bytes
    }

    fn tcp_both(&self) -> Vec<u8> {
        let mut bytes = vec![0; 68];
        bytes.extend(self.states.to_ne_bytes());
        bytes.resize(TCP_BOTH_ATTRIBUTES_AT, 0);
        bytes
    }
}

/// A filter program for the kernel: source port at least `low` and at most `high`.
fn port_filter(low: u16, high: u16) -> Vec<u8> {
    const AT_LEAST: u8 = 2;
    const AT_MOST: u8 = 3;
    let operation = |code: u8, otherwise: u16, port: u16| {
        [
            &[code, 8][..],
            &otherwise.to_ne_bytes(),
            &[0, 0],
            &port.to_ne_bytes(),
        ]
        .concat()
    };
    [
        20u16.to_ne_bytes().to_vec(),
        BYTECODE.to_ne_bytes().to_vec(),
        operation(AT_LEAST, 20, low),
        operation(AT_MOST, 12, high),
    ]
    .concat()
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn one_family_is_asked_for_in_72_bytes() {
        let bytes = Query::listeners(Tables::V6).bytes(7);
        assert_eq!(bytes.len(), 72);
        assert_eq!(
            bytes[..16],
            [72, 0, 0, 0, 20, 0, 1, 3, 7, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bytes[16..24], [10, 6, 0, 0, 0, 4, 0, 0]);
        assert!(bytes[24..].iter().all(|byte| *byte == 0));
        assert_eq!(
            Query::udp(Tables::V4).bytes(1)[16..24],
            [2, 17, 0, 0, 0xfe, 0xf, 0, 0]
        );
    }

    #[test]
    fn both_families_are_asked_for_with_a_port_filter() {
        let bytes = Query::others(Tables::Both, 10000..=30000).bytes(1);
        assert_eq!(bytes.len(), 96);
        assert_eq!(bytes[..8], [96, 0, 0, 0, 18, 0, 1, 3]);
        assert_eq!(bytes[68..76], [0xfe, 0x2b, 0, 0, 0, 0, 0, 0]);
        let filter = [
            20, 0, 1, 0, 2, 8, 20, 0, 0, 0, 0x10, 0x27, 3, 8, 12, 0, 0, 0, 0x30, 0x75,
        ];
        assert_eq!(bytes[76..], filter);
    }
}
