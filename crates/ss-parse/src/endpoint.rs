//! `127.0.0.53%lo:53`, `[fe80::1]%eth0:546`, `*:80`, and how it was written before 4.13.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::scan;
use crate::{Address, Endpoint, Port};

/// Whether text was written before or since 4.13, which put brackets around IPv6 and stopped
/// writing `0.0.0.0` as `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Before413,
    Since413,
}

/// Reads one word, and tells its age where it shows.
pub(crate) fn read(word: &[u8]) -> Option<(Endpoint, Option<Era>)> {
    let (host, port) = scan::split_last(word, b":")?;
    let port = read_port(port)?;
    let (address, scope, era) = match host.strip_prefix(b"[") {
        Some(host) => read_bracketed(host)?,
        None => read_bare(host)?,
    };
    let interface = match scope.split_first() {
        None => None,
        Some((b'%', name)) if !name.is_empty() => Some(name.to_vec()),
        Some(_) => return None,
    };
    Some((
        Endpoint {
            address,
            interface,
            port,
        },
        era,
    ))
}

type Host<'a> = (Address, &'a [u8], Option<Era>);

fn read_bracketed(host: &[u8]) -> Option<Host<'_>> {
    let (digits, rest) = scan::split_at_first(host, |byte| byte == b']');
    let address: Ipv6Addr = text(digits)?.parse().ok()?;
    Some((
        Address::Ip(IpAddr::V6(address)),
        rest.strip_prefix(b"]")?,
        Some(Era::Since413),
    ))
}

fn read_bare(host: &[u8]) -> Option<Host<'_>> {
    let (digits, scope) = scan::split_at_first(host, |byte| byte == b'%');
    if digits == b"*" {
        return Some((Address::Any, scope, None));
    }
    let address: IpAddr = text(digits)?.parse().ok()?;
    let era = match address {
        IpAddr::V6(_) => Some(Era::Before413),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Some(Era::Since413),
        IpAddr::V4(_) => None,
    };
    Some((Address::Ip(address), scope, era))
}

fn read_port(word: &[u8]) -> Option<Port> {
    if word == b"*" {
        return Some(Port::Any);
    }
    let number = scan::number(word)
        .filter(|number| *number != 0)
        .map(Port::Number);
    number.or_else(|| read_service(word))
}

/// A name from the list of services: it holds a letter, so a broken number is no name.
fn read_service(word: &[u8]) -> Option<Port> {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+/".contains(byte);
    let is_name = word.iter().any(u8::is_ascii_alphabetic) && word.iter().all(known);
    if is_name {
        text(word).map(|name| Port::Name(name.to_owned()))
    } else {
        None
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
