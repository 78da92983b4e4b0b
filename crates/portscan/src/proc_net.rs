//! `/proc/net/{tcp,tcp6,udp,udp6}` → sockets: the fallback where netlink is refused.
//!
//! These files lack sockets that are bound without listening, and cookies.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;

use crate::{Protocol, Socket, State};

/// About a million sockets.
const MAX_FILE_BYTES: u64 = 160 * 1024 * 1024;
const MAX_LINE_BYTES: u64 = 4096;

/// Reads one line; `None` for the heading and for what is no socket.
///
/// ```
/// use portscan::{Protocol, State, proc_net};
///
/// let line = b"  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 4711 1";
/// let socket = proc_net::parse_line(line, Protocol::Tcp).unwrap();
/// assert_eq!(socket.state, State::Listen);
/// # #[cfg(target_endian = "little")]
/// assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
/// ```
#[must_use]
pub fn parse_line(line: &[u8], protocol: Protocol) -> Option<Socket> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = endpoint(fields.next()?)?;
    let peer = endpoint(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = NonZeroU32::new(fields.nth(1)?.parse().ok()?);
    Some(Socket {
        protocol,
        state: State::from_kernel(state),
        local,
        peer: (peer.port() != 0).then_some(peer),
        interface: None,
        v6only: None,
        uid: inode.map(|_| uid),
        inode,
        cookie: None,
        cgroup_id: None,
        owners: Vec::new(),
    })
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's own order, then the port.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at..at.checked_add(8)?)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let octets = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Ipv6Addr::from(*octets.first_chunk::<16>()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Hands each socket of `protocol`, of both families, to `each`.
///
/// A host without IPv6 has no `tcp6`; a missing `tcp` or `udp` is an error.
pub(crate) fn read(
    proc: &Path,
    protocol: Protocol,
    each: &mut dyn FnMut(Socket),
) -> io::Result<()> {
    let (v4, v6) = match protocol {
        Protocol::Tcp => ("thread-self/net/tcp", "thread-self/net/tcp6"),
        Protocol::Udp => ("thread-self/net/udp", "thread-self/net/udp6"),
    };
    read_file(&proc.join(v4), protocol, each)?;
    match read_file(&proc.join(v6), protocol, each) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read_file(path: &Path, protocol: Protocol, each: &mut dyn FnMut(Socket)) -> io::Result<()> {
    let file = File::open(path)?.take(MAX_FILE_BYTES);
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)?
            == 0
        {
            break;
        }
        if let Some(socket) = parse_line(&line, protocol) {
            each(socket);
        }
    }
    if reader.get_ref().limit() == 0 {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more sockets than are read",
        ));
    }
    Ok(())
}
