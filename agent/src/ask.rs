//! One question to the HTTP server of an agent on this host.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// No page that is asked for here is longer.
const MAX_BYTES: usize = 64 * 1024;

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// The addresses under which a server that listens on `address` is reached from this host, the likelier first.
pub(crate) fn ways_to(address: IpAddr) -> Vec<IpAddr> {
    let four = Ipv4Addr::LOCALHOST.into();
    match address {
        IpAddr::V4(address) if address.is_unspecified() => vec![four],
        // Every address of both families; a host without IPv6 has one alone.
        IpAddr::V6(address) if address.is_unspecified() => vec![Ipv6Addr::LOCALHOST.into(), four],
        other => vec![other],
    }
}

/// `GET path`, all of it before `deadline`.
pub(crate) fn get(place: SocketAddr, path: &str, deadline: Instant) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&place, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while answer.len() < MAX_BYTES {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let count = match stream.read(&mut part) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        };
        let Some(read) = part.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        answer.extend_from_slice(read);
    }
    parse(&answer).ok_or_else(|| Error::other("what answers there does not speak HTTP"))
}

/// Why there is no answer, without the kernel's number for it.
pub(crate) fn reason(error: &Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::ConnectionRefused, _) => "nothing listens there".to_owned(),
        (kind, Some(_)) => kind.to_string(),
        (_, None) => error.to_string(),
    }
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(late())
    } else {
        Ok(left)
    }
}

fn late() -> Error {
    Error::new(ErrorKind::TimedOut, "no answer in time")
}

fn parse(answer: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some(Reply {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_is_an_answer() {
        let reply = parse(b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{}\n").unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (503, "{}\n"));
        for other in [
            "",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
        ] {
            assert!(parse(other.as_bytes()).is_none(), "{other:?}");
        }
    }
}
