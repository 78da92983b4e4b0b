//! What a row of `ss` says, as values.

use std::fmt;
use std::net::IpAddr;

use crate::LineError;

/// Everything that was found in the text, in the order of its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parsed {
    /// The rows that are sockets of the IP family.
    pub sockets: Vec<Socket>,
    /// The lines that could not be read, or not in full. A socket whose owners could not be read
    /// stands in both lists.
    pub errors: Vec<LineError>,
    /// Rows left out on purpose: unix, netlink, packet, vsock, TIPC and XDP sockets, which hold no
    /// IP port.
    pub skipped: usize,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// `None` if `ss` left the column out because one protocol was asked for (`-t`, `-u`).
    pub protocol: Option<Protocol>,
    /// `None` if `ss` left the column out because one state was asked for (`-B`).
    pub state: Option<State>,
    /// Bytes waiting for the process; of a listener, connections waiting to be accepted. `None`
    /// with `-Q`.
    pub recv_q: Option<u32>,
    /// Bytes not yet acknowledged; of a listener, the backlog. `None` with `-Q`.
    pub send_q: Option<u32>,
    /// The socket's own end.
    pub local: Endpoint,
    /// The other end.
    pub peer: Endpoint,
    /// The owners in the order of `ss`. Empty if the row names none: `ss` ran without `-p`, had no
    /// right to look, or nobody owns the socket.
    pub processes: Vec<Process>,
    /// Whether the text leaves open who owns the socket, or whether it exists at all. Take
    /// `processes` as a hint then.
    ///
    /// Set if the owners could not be read, if they can be read in two ways, if the row lacks
    /// columns that other rows have, or if it follows a unix socket: its name may hold line ends,
    /// and so entire rows made up by any user.
    pub ambiguous: bool,
    /// The owner's user, with `-e`. `ss` leaves root out, so a row with an inode and no user is of
    /// user 0.
    pub uid: Option<u32>,
    /// With `-e`. `None` also for inode 0, which `ss` prints for a socket without a file.
    pub inode: Option<u64>,
    /// The kernel's name for the socket (`sk:`), with `-e`.
    pub cookie: Option<u64>,
    /// The path of the control group, with `-e` or `--cgroup` from 5.8 on. A path with a blank ends
    /// there.
    pub cgroup: Option<Vec<u8>>,
}

/// One end of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address without interface and port.
    pub address: Address,
    /// The interface the socket is bound to (`lo` in `127.0.0.53%lo:53`), as bytes: Linux promises
    /// no encoding.
    pub interface: Option<Vec<u8>>,
    /// The port.
    pub port: Port,
}

/// An address as `ss` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// A numeric address. `::` takes IPv6 only from 4.13 on; before, it may be either that or
    /// dual-stack.
    Ip(IpAddr),
    /// `*`: every address of both families. Before 4.13 `ss` wrote `0.0.0.0` like this as well;
    /// where the text shows its age, the address is `0.0.0.0` here.
    Any,
}

/// A port as `ss` writes it; of a raw socket, the IP protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    /// A number, never 0.
    Number(u16),
    /// The name of a service, which `ss` prints without `-n`.
    Name(String),
    /// `*`: no port.
    Any,
}

/// A process that holds a socket open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    /// The name as `ss` prints it: chosen by the process, any bytes, cut before the first `)`.
    pub name: Vec<u8>,
    /// The process.
    pub pid: u32,
    /// The thread, with `-T`.
    pub tid: Option<u32>,
    /// The descriptor in that process.
    pub fd: u32,
}

/// The protocols of the IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP. The rows of `Mptcp` sockets appear here as well.
    Tcp,
    /// UDP, also where `ss` before 3.14 calls it `tcp`.
    Udp,
    /// Raw IP.
    Raw,
    /// Ping sockets of IPv6.
    Icmp6,
    /// Multipath TCP.
    Mptcp,
    /// SCTP, endpoints and associations.
    Sctp,
    /// DCCP.
    Dccp,
}

/// What a socket is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// `ESTAB`.
    Established,
    /// `SYN-SENT`.
    SynSent,
    /// `SYN-RECV`.
    SynReceived,
    /// `FIN-WAIT-1`.
    FinWait1,
    /// `FIN-WAIT-2`.
    FinWait2,
    /// `TIME-WAIT`.
    TimeWait,
    /// `UNCONN`: every UDP socket that is bound and not connected, and TCP sockets bound and not
    /// listening.
    Unconnected,
    /// `CLOSE-WAIT`.
    CloseWait,
    /// `LAST-ACK`.
    LastAck,
    /// `LISTEN`.
    Listen,
    /// `CLOSING`.
    Closing,
    /// A word that only SCTP uses, or `UNKNOWN` and `UNDEF`.
    Other(&'static str),
}

const PROTOCOLS: [(Protocol, &str); 7] = [
    (Protocol::Tcp, "tcp"),
    (Protocol::Udp, "udp"),
    (Protocol::Raw, "raw"),
    (Protocol::Icmp6, "icmp6"),
    (Protocol::Mptcp, "mptcp"),
    (Protocol::Sctp, "sctp"),
    (Protocol::Dccp, "dccp"),
];

impl Protocol {
    /// The word that `ss` uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        PROTOCOLS
            .iter()
            .find(|(protocol, _)| *protocol == self)
            .map_or("", |(_, word)| word)
    }

    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        PROTOCOLS
            .iter()
            .find(|(_, known)| known.as_bytes() == word)
            .map(|(protocol, _)| *protocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl State {
    /// The word that `ss` uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Established => "ESTAB",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECV",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "TIME-WAIT",
            Self::Unconnected => "UNCONN",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::Other(word) => word,
        }
    }

    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"ESTAB" => Self::Established,
            b"SYN-SENT" => Self::SynSent,
            b"SYN-RECV" => Self::SynReceived,
            b"FIN-WAIT-1" => Self::FinWait1,
            b"FIN-WAIT-2" => Self::FinWait2,
            b"TIME-WAIT" => Self::TimeWait,
            b"UNCONN" => Self::Unconnected,
            b"CLOSE-WAIT" => Self::CloseWait,
            b"LAST-ACK" => Self::LastAck,
            b"LISTEN" => Self::Listen,
            b"CLOSING" => Self::Closing,
            b"UNKNOWN" => Self::Other("UNKNOWN"),
            b"UNDEF" => Self::Other("UNDEF"),
            b"CLOSED" => Self::Other("CLOSED"),
            b"COOKIE_WAIT" => Self::Other("COOKIE_WAIT"),
            b"COOKIE_ECHOED" => Self::Other("COOKIE_ECHOED"),
            b"SHUTDOWN_PENDING" => Self::Other("SHUTDOWN_PENDING"),
            b"SHUTDOWN_SENT" => Self::Other("SHUTDOWN_SENT"),
            b"SHUTDOWN_RECEIVED" => Self::Other("SHUTDOWN_RECEIVED"),
            b"ACK_SENT" => Self::Other("ACK_SENT"),
            _ => return None,
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Endpoint {
    /// The port's number, if it was printed as one.
    #[must_use]
    pub fn port_number(&self) -> Option<u16> {
        match self.port {
            Port::Number(number) => Some(number),
            Port::Name(_) | Port::Any => None,
        }
    }
}

/// Writes the end as current releases of `ss` do.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Address::Ip(IpAddr::V4(address)) => write!(f, "{address}")?,
            Address::Ip(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Address::Any => f.write_str("*")?,
        }
        if let Some(interface) = &self.interface {
            write!(f, "%{}", String::from_utf8_lossy(interface))?;
        }
        match &self.port {
            Port::Number(number) => write!(f, ":{number}"),
            Port::Name(name) => write!(f, ":{name}"),
            Port::Any => f.write_str(":*"),
        }
    }
}
