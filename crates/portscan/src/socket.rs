//! One socket of the host and the processes that hold it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Cgroup;

/// A TCP or UDP socket that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// TCP (MPTCP counts as TCP) or UDP.
    pub protocol: Protocol,
    /// State as the kernel names it.
    pub state: State,
    /// Own address and port.
    pub local: SocketAddr,
    /// The other end, where there is one.
    pub peer: Option<SocketAddr>,
    /// Interface the socket is bound to (`SO_BINDTODEVICE`).
    pub interface: Option<NonZeroU32>,
    /// Whether an IPv6 socket refuses IPv4, where the kernel says so.
    pub v6only: Option<bool>,
    /// User of the socket; unknown for sockets that nobody holds any more.
    pub uid: Option<u32>,
    /// Inode number, as in `socket:[123]`; `None` where no process can hold it.
    pub inode: Option<NonZeroU32>,
    /// The kernel's name for this socket, never used twice; `/proc/net` does not tell it.
    pub cookie: Option<u64>,
    /// Control group in which the socket was made: a hint, since processes move.
    pub cgroup_id: Option<u64>,
    /// Processes that hold it, in rising order of pids where all were asked for.
    pub owners: Vec<Arc<Process>>,
}

impl Socket {
    /// The port it holds.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.local.port()
    }

    /// Whether it waits for TCP connections.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.protocol == Protocol::Tcp && self.state == State::Listen
    }

    /// Whether it is a TCP socket with a port that neither listens nor connects.
    #[must_use]
    pub fn is_bound_only(&self) -> bool {
        self.protocol == Protocol::Tcp && self.state == State::Close
    }
}

/// Transport protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, and MPTCP with it.
    Tcp,
    /// UDP; UDP-Lite has ports of its own and is not looked at.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// State of a socket, in the kernel's words.
///
/// `Close` is a TCP socket with a port that does not listen, or an unconnected UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the TCP standard")]
#[non_exhaustive]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A state newer than this crate.
    Other(u8),
}

impl State {
    pub(crate) const fn from_kernel(state: u8) -> Self {
        match state {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Other(other),
        }
    }
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id, as the given `proc` directory numbers it.
    pub pid: u32,
    /// The kernel's name of it: up to 15 bytes of any kind, chosen by the process itself.
    pub comm: OsString,
    /// Its program, where it may be read.
    pub exe: Option<PathBuf>,
    /// Its systemd unit and container, where its control group tells them.
    pub cgroup: Cgroup,
}

impl Process {
    /// A process of which no more than its id and name are known.
    #[must_use]
    pub fn named(pid: u32, comm: impl Into<OsString>) -> Self {
        Self {
            pid,
            comm: comm.into(),
            exe: None,
            cgroup: Cgroup::default(),
        }
    }

    /// Name of its program without the folder.
    #[must_use]
    pub fn exe_name(&self) -> Option<&OsStr> {
        self.exe.as_deref().and_then(Path::file_name)
    }
}
