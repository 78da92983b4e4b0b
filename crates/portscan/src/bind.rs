//! The two binds of this crate: a probe that disturbs nobody and a guard that keeps everybody else out.
//!
//! Neither ever listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr, socket_cookie};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::Error;

/// What the kernel says to a bind.
#[derive(Debug)]
pub(crate) enum Bind<T> {
    Done(T),
    InUse,
    Forbidden,
}

/// A socket that keeps a port: servers that set `SO_REUSEADDR` can bind over it, nobody else can.
#[derive(Debug)]
pub(crate) struct GuardSocket {
    fd: OwnedFd,
}

impl GuardSocket {
    /// The kernel's name for the socket, to know it again in a dump.
    pub(crate) fn cookie(&self) -> Option<u64> {
        socket_cookie(&self.fd).ok()
    }
}

/// Whether a server that sets `SO_REUSEADDR` could bind `port` on every address; nothing stays bound.
pub(crate) fn probe(port: u16) -> Result<Bind<()>, Error> {
    let bound = bind_wildcard(port, true).map_err(|source| Error::Test { port, source })?;
    Ok(match bound {
        Bind::Done(_) => Bind::Done(()),
        Bind::InUse => Bind::InUse,
        Bind::Forbidden => Bind::Forbidden,
    })
}

/// Takes `port` where no other TCP socket has it, in one step, and opens it to `SO_REUSEADDR` servers.
pub(crate) fn guard(port: u16) -> Result<Bind<GuardSocket>, Error> {
    let failed = |source| Error::Test { port, source };
    Ok(match bind_wildcard(port, false).map_err(failed)? {
        Bind::Done(fd) => {
            set_socket_reuseaddr(&fd, true).map_err(|error| failed(error.into()))?;
            Bind::Done(GuardSocket { fd })
        }
        Bind::InUse => Bind::InUse,
        Bind::Forbidden => Bind::Forbidden,
    })
}

fn bind_wildcard(port: u16, reuse: bool) -> io::Result<Bind<OwnedFd>> {
    let (fd, address) = wildcard_socket(port)?;
    if reuse {
        set_socket_reuseaddr(&fd, true)?;
    }
    match rustix::net::bind(&fd, &address) {
        Ok(()) => Ok(Bind::Done(fd)),
        Err(Errno::ADDRINUSE) => Ok(Bind::InUse),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Bind::Forbidden),
        Err(error) => Err(error.into()),
    }
}

/// A dual-stack socket; an IPv4 one where the kernel knows no IPv6.
fn wildcard_socket(port: u16) -> io::Result<(OwnedFd, SocketAddr)> {
    let socket =
        |family| rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    match socket(AddressFamily::INET6) {
        Ok(fd) => {
            // The default comes from a sysctl; without this, IPv4 listeners would be missed.
            set_ipv6_v6only(&fd, false)?;
            Ok((fd, (Ipv6Addr::UNSPECIFIED, port).into()))
        }
        Err(Errno::AFNOSUPPORT) => Ok((
            socket(AddressFamily::INET)?,
            (Ipv4Addr::UNSPECIFIED, port).into(),
        )),
        Err(error) => Err(error.into()),
    }
}
