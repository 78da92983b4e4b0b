//! The sockets of this host: from netlink, else from the files of `proc`.

use std::io;
use std::path::Path;

use crate::picture::Warning;
use crate::sock_diag::{Dumper, Query, Tables};
use crate::{Error, PortRanges, Protocol, Socket, proc_net};

/// Where the list of sockets comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Netlink, and the files of `proc` for what netlink refuses.
    #[default]
    Auto,
    /// Netlink only.
    Netlink,
    /// The files of `proc` only.
    ProcNet,
}

/// Lists sockets for one scan or one allocation.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    proc: &'a Path,
    backend: Backend,
    dumper: io::Result<Dumper>,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(proc: &'a Path, backend: Backend) -> Self {
        let dumper = match backend {
            Backend::ProcNet => Err(io::ErrorKind::Unsupported.into()),
            Backend::Auto | Backend::Netlink => Dumper::open(),
        };
        Self {
            proc,
            backend,
            dumper,
            warnings: Vec::new(),
        }
    }

    /// TCP listeners of the whole host, and every other TCP socket with a port in `connections`.
    pub(crate) fn tcp(&mut self, connections: Option<&PortRanges>) -> Result<Vec<Socket>, Error> {
        let wanted = |socket: &Socket| {
            socket.is_listening()
                || connections.is_some_and(|ranges| ranges.contains(socket.port()))
        };
        let sockets = self.list(Protocol::Tcp, wanted, |dumper, each| {
            dump_tcp(dumper, connections, each)
        })?;
        if connections.is_some() && !self.lists_bound(&sockets) {
            self.warnings.push(Warning::BoundNotListed);
        }
        Ok(sockets)
    }

    /// UDP sockets with a port in `ranges`.
    pub(crate) fn udp(&mut self, ranges: &PortRanges) -> Result<Vec<Socket>, Error> {
        self.list(
            Protocol::Udp,
            |socket| ranges.contains(socket.port()),
            dump_udp,
        )
    }

    fn list(
        &mut self,
        protocol: Protocol,
        wanted: impl Fn(&Socket) -> bool,
        dump: impl FnOnce(&mut Dumper, &mut dyn FnMut(Socket)) -> io::Result<()>,
    ) -> Result<Vec<Socket>, Error> {
        let mut sockets = Vec::new();
        let mut keep =
            |socket: Socket| sockets.extend(Some(socket).filter(|socket| wanted(socket)));
        let refused = match &mut self.dumper {
            Ok(dumper) => dump(dumper, &mut keep).err(),
            Err(error) => Some(again(error)),
        };
        let Some(refused) = refused else {
            return Ok(sockets);
        };
        if self.backend == Backend::Netlink {
            return Err(Error::Netlink(refused));
        }
        sockets.clear();
        let mut keep =
            |socket: Socket| sockets.extend(Some(socket).filter(|socket| wanted(socket)));
        proc_net::read(self.proc, protocol, &mut keep).map_err(|source| Error::Files {
            path: self.proc.join("thread-self/net"),
            netlink: refused.to_string(),
            source,
        })?;
        if self.backend == Backend::Auto {
            self.warnings.push(Warning::NetlinkRefused {
                protocol,
                reason: refused.to_string(),
            });
        }
        Ok(sockets)
    }

    /// Whether sockets that are bound without listening would have been listed.
    fn lists_bound(&self, sockets: &[Socket]) -> bool {
        let netlink = self.dumper.is_ok() && sockets.iter().all(|socket| socket.cookie.is_some());
        netlink && (sockets.iter().any(Socket::is_bound_only) || kernel_lists_bound())
    }
}

/// Linux 6.8 and later list them.
fn kernel_lists_bound() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 8),
        _ => false,
    }
}

/// The other sockets first: one that starts to listen in between is then seen at least once.
fn dump_tcp(
    dumper: &mut Dumper,
    connections: Option<&PortRanges>,
    each: &mut dyn FnMut(Socket),
) -> io::Result<()> {
    if let Some((first, last)) = connections.and_then(|ranges| ranges.first().zip(ranges.last()))
        && dumper
            .dump(&Query::others(Tables::Both, first..=last), each)
            .is_err()
    {
        dumper.dump(&Query::others(Tables::V4, first..=last), each)?;
        dumper.dump(&Query::others(Tables::V6, first..=last), each)?;
    }
    dumper.dump(&Query::listeners(Tables::V4), each)?;
    dumper.dump(&Query::listeners(Tables::V6), each)
}

fn dump_udp(dumper: &mut Dumper, each: &mut dyn FnMut(Socket)) -> io::Result<()> {
    dumper.dump(&Query::udp(Tables::V4), each)?;
    dumper.dump(&Query::udp(Tables::V6), each)
}

/// Sorts by port; of a socket that was listed twice the later state stays.
pub(crate) fn tidy(sockets: &mut Vec<Socket>) {
    sockets.sort_by_key(|socket| (socket.port(), socket.protocol, socket.cookie, socket.inode));
    sockets.dedup_by(|later, earlier| {
        let same = match (later.cookie, earlier.cookie) {
            (Some(later), Some(earlier)) => later == earlier,
            _ => later == earlier,
        };
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
}

/// The same error once more, for each use of a socket that could not be opened.
fn again(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn of_a_socket_listed_twice_the_later_state_stays() {
        let line = b"0: 0100007F:1F90 00000000:0000 07 0:0 0:0 0 0 0 4711 1";
        let bound = Socket {
            cookie: Some(9),
            ..proc_net::parse_line(line, Protocol::Tcp).unwrap()
        };
        let listening = Socket {
            state: State::Listen,
            ..bound.clone()
        };
        let other = Socket {
            cookie: Some(8),
            ..bound.clone()
        };
        let mut sockets = vec![bound, other.clone(), listening.clone()];
        tidy(&mut sockets);
        assert_eq!(sockets, [other, listening]);
    }
}
