//! Opens the listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, listen as start,
    socket_with, sockopt,
};
use tokio::net::TcpListener;

use crate::shared::Listening;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Listens where the configuration says; `::` means both families, whatever the host's default for it is, and IPv4 alone where the
/// kernel has no IPv6.
pub(crate) fn listen(address: IpAddr, port: u16) -> io::Result<(TcpListener, Listening)> {
    match open(address, port) {
        Err(error) if address.is_unspecified() && address.is_ipv6() && no_ipv6(&error) => {
            open(Ipv4Addr::UNSPECIFIED.into(), port)
        }
        other => other,
    }
}

/// Whether the agent could listen there now; nothing stays open.
pub(crate) fn try_port(address: IpAddr, port: u16) -> io::Result<()> {
    match bound(address, port) {
        Err(error) if address.is_unspecified() && address.is_ipv6() && no_ipv6(&error) => {
            bound(Ipv4Addr::UNSPECIFIED.into(), port).map(drop)
        }
        other => other.map(drop),
    }
}

/// What to do where that fails.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 take root or CAP_NET_BIND_SERVICE; or set --metrics-port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address: set --metrics-address to one that it has, or to ::"
        }
        _ => "free the port, or set --metrics-port",
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}

fn open(address: IpAddr, port: u16) -> io::Result<(TcpListener, Listening)> {
    let socket = bound(address, port)?;
    start(&socket, BACKLOG)?;
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    let listener = TcpListener::from_std(std::net::TcpListener::from(socket))?;
    Ok((
        listener,
        Listening {
            port: bound.port(),
            #[cfg(feature = "aegis")]
            address: bound.ip(),
            ipv6: address.is_ipv6() && !address.is_loopback(),
        },
    ))
}

fn bound(address: IpAddr, port: u16) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let socket = socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(ipproto::TCP),
    )?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.is_unspecified())?;
    }
    // A restart must not wait for the connections of the last run to fade.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::new(address, port))?;
    Ok(socket)
}
