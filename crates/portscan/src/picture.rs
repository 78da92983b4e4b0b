//! What one scan saw: a verdict for each port and the sockets behind it.

use std::sync::Arc;
use std::time::Duration;

use crate::{Attribution, Method, PortRanges, PortSet, Process, Protocol, Socket, Verdict};

/// The ports of a host at one moment; plain data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Picture {
    /// The ports that were looked at.
    pub ranges: PortRanges,
    /// How they were looked at.
    pub method: Method,
    /// Verdicts in the order of the ports.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) accepted: PortSet,
    pub(crate) refused: PortSet,
    /// Rising by port: TCP listeners of the whole host, every other socket with a port in the ranges.
    pub(crate) sockets: Vec<Socket>,
    /// How the search for owners went; `None` where it was switched off.
    pub attribution: Option<Attribution>,
    /// Ports that were test-bound.
    pub probes: usize,
    /// Where the time went.
    pub timing: Timing,
    /// What the picture lacks, for the operator.
    pub warnings: Vec<Warning>,
}

/// Where the time of a scan went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Listing sockets.
    pub list: Duration,
    /// Test-binding ports.
    pub probe: Duration,
    /// Finding owners.
    pub attribution: Duration,
    /// Everything.
    pub total: Duration,
}

/// Something a picture lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The sockets come from the files of `proc`, which lack bound sockets.
    #[error("netlink does not list {protocol} sockets ({reason}); read the files of proc instead")]
    NetlinkRefused {
        /// Which sockets.
        protocol: Protocol,
        /// What the kernel said.
        reason: String,
    },
    /// Sockets that are bound without listening are missing.
    #[error("sockets bound without listening are not listed (needs netlink and Linux 6.8)")]
    BoundNotListed,
    /// There were more ports to test than the limit allows.
    #[error("{0} ports with lingering sockets were not tested")]
    NotProbed(usize),
    /// Some sockets have no known owner.
    #[error("{0}")]
    Unattributed(String),
}

impl Picture {
    /// The verdict for `port`; `None` outside the ranges.
    #[must_use]
    pub fn verdict(&self, port: u16) -> Option<Verdict> {
        self.verdicts.get(self.ranges.position(port)?).copied()
    }

    /// Whether a server that sets `SO_REUSEADDR` could bind `port` on all addresses; `None` where that was not found out.
    ///
    /// It tells two kinds of `bound` apart, and is no promise: two such servers can share a port, and only one gets the
    /// connections.
    #[must_use]
    pub fn bindable(&self, port: u16) -> Option<bool> {
        let verdict = self.verdict(port)?;
        if self.refused.contains(port) || verdict == Verdict::Listening {
            return Some(false);
        }
        let without_tcp = matches!(
            verdict,
            Verdict::Free | Verdict::Udp | Verdict::Leased | Verdict::Excluded
        );
        let known = self.accepted.contains(port) || (self.method == Method::Exact && without_tcp);
        known.then_some(true)
    }

    /// Each port with its verdict, rising.
    pub fn ports(&self) -> impl Iterator<Item = (u16, Verdict)> + '_ {
        self.ranges.iter().zip(self.verdicts.iter().copied())
    }

    /// Number of ports with this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u32 {
        self.verdicts
            .iter()
            .map(|each| u32::from(*each == verdict))
            .sum()
    }

    /// The ports that are anything but free: a hint for [`Request::taken`](crate::Request::taken).
    #[must_use]
    pub fn taken(&self) -> PortSet {
        self.ports()
            .filter(|(_, verdict)| *verdict != Verdict::Free)
            .map(|(port, _)| port)
            .collect()
    }

    /// Rising by port: TCP listeners of the whole host, and every other socket with a port in the ranges.
    #[must_use]
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// The sockets that hold `port`.
    #[must_use]
    pub fn sockets_of(&self, port: u16) -> &[Socket] {
        let start = self.sockets.partition_point(|socket| socket.port() < port);
        let end = self.sockets.partition_point(|socket| socket.port() <= port);
        self.sockets.get(start..end).unwrap_or_default()
    }

    /// Takes owners from elsewhere: `find` is asked for each socket, and what it returns replaces the owners
    /// unless it is empty.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use portscan::{Picture, Process};
    /// # fn example(picture: &mut Picture, ss: &std::collections::HashMap<u16, Arc<Process>>) {
    /// picture.set_owners(|socket| ss.get(&socket.port()).cloned().into_iter().collect());
    /// # }
    /// ```
    pub fn set_owners(&mut self, mut find: impl FnMut(&Socket) -> Vec<Arc<Process>>) {
        for socket in &mut self.sockets {
            let owners = find(socket);
            if !owners.is_empty() {
                socket.owners = owners;
            }
        }
    }

    /// Who stands for a port: the first owner that is known of the sockets that gave it its verdict.
    #[must_use]
    pub fn holder(&self, port: u16) -> Option<&Arc<Process>> {
        let verdict = self.verdict(port).unwrap_or(Verdict::Listening);
        let counts = |socket: &&Socket| match verdict {
            Verdict::Listening => socket.is_listening(),
            Verdict::Bound => socket.is_bound_only(),
            _ => true,
        };
        self.sockets_of(port)
            .iter()
            .filter(counts)
            .find_map(|socket| socket.owners.first())
    }
}
