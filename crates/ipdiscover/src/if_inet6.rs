//! `if_inet6`: the IPv6 addresses of the host, with interface and flags.

use std::net::{IpAddr, Ipv6Addr};

use crate::lines::{ENTRIES_MAX, Line};
use crate::{Address, Origin};

// The flags of `linux/if_addr.h` that matter here.
const TEMPORARY: u32 = 0x01;
const DADFAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;

/// Collects the addresses from the lines of the file.
#[derive(Debug, Default)]
pub(crate) struct IfInet6 {
    pub(crate) addresses: Vec<Address>,
}

impl IfInet6 {
    pub(crate) fn line(&mut self, line: &[u8]) -> Line {
        let Some(address) = parse(line) else {
            return Line::Bad;
        };
        if self.addresses.len() >= ENTRIES_MAX {
            return Line::TooMany;
        }
        self.addresses.push(address);
        Line::Understood
    }
}

/// Address, index of the interface, prefix length, scope, flags (all hexadecimal), name:
/// `20010db8000000000000000000000007 02 40 00 80     eth0`.
fn parse(line: &[u8]) -> Option<Address> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let ip = hex128(words.next()?)?;
    let prefix_len = u8::from_str_radix(words.nth(1)?, 16)
        .ok()
        .filter(|len| *len <= 128)?;
    let flags = u32::from_str_radix(words.nth(1)?, 16).ok()?;
    let interface = words.next()?.to_owned();
    if words.next().is_some() {
        return None;
    }
    Some(Address {
        prefix_len: Some(prefix_len),
        interface: Some(interface),
        temporary: flags & TEMPORARY != 0,
        deprecated: flags & DEPRECATED != 0,
        tentative: flags & TENTATIVE != 0,
        duplicate: flags & DADFAILED != 0,
        ..Address::new(IpAddr::V6(ip), Origin::Local)
    })
}

fn hex128(word: &str) -> Option<Ipv6Addr> {
    let digits = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bits = u128::from_str_radix(word, 16).ok().filter(|_| digits)?;
    Some(Ipv6Addr::from_bits(bits))
}
