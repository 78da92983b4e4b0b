//! `route`: the IPv4 routes of the main table, as far as they tell about interfaces.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::lines::{ENTRIES_MAX, Line};

/// The one flag of `linux/route.h` that matters here.
const GATEWAY: u32 = 0x0002;

/// A network whose hosts are on the link of an interface.
#[derive(Debug)]
pub(crate) struct OnLink {
    pub(crate) interface: String,
    pub(crate) prefix_len: u8,
    network: u32,
    mask: u32,
}

impl OnLink {
    pub(crate) fn contains(&self, ip: Ipv4Addr) -> bool {
        ip.to_bits() & self.mask == self.network
    }
}

/// Collects what matters from the lines of the file.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) on_link: Vec<OnLink>,
    pub(crate) default: DefaultRoute,
    /// Every interface that any route uses.
    pub(crate) interfaces: BTreeSet<String>,
}

impl Route {
    pub(crate) fn line(&mut self, line: &[u8]) -> Line {
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, to, _, flags, _, _, metric, mask, ..] = words.as_slice() else {
            return Line::Bad;
        };
        if *to == "Destination" {
            return Line::Understood; // the heading
        }
        let Some(entry) = parse([to, flags, metric, mask]) else {
            return Line::Bad;
        };
        self.add(interface, &entry)
    }

    fn add(&mut self, interface: &str, entry: &Entry) -> Line {
        // Routes that lead nowhere: unreachable, prohibit, blackhole.
        if interface == "*" {
            return Line::Understood;
        }
        if self.on_link.len() >= ENTRIES_MAX || self.interfaces.len() >= ENTRIES_MAX {
            return Line::TooMany;
        }
        if !self.interfaces.contains(interface) {
            self.interfaces.insert(interface.to_owned());
        }
        if entry.prefix_len == 0 {
            self.default.add(entry.metric, interface);
        }
        if entry.flags & GATEWAY == 0 {
            self.on_link.push(OnLink {
                interface: interface.to_owned(),
                prefix_len: entry.prefix_len,
                network: entry.network,
                mask: entry.mask,
            });
        }
        Line::Understood
    }
}

struct Entry {
    network: u32,
    mask: u32,
    prefix_len: u8,
    flags: u32,
    metric: u32,
}

fn parse([to, flags, metric, mask]: [&str; 4]) -> Option<Entry> {
    let (network, mask) = (hex_ipv4(to)?, hex_ipv4(mask)?);
    let contiguous = mask.leading_ones() == mask.count_ones();
    // The kernel prints the metric with a sign.
    let signed = || metric.parse().map(i32::cast_unsigned);
    (contiguous && network & !mask == 0).then_some(Entry {
        network,
        mask,
        prefix_len: u8::try_from(mask.leading_ones()).ok()?,
        flags: u32::from_str_radix(flags, 16).ok()?,
        metric: metric.parse().or_else(|_| signed()).ok()?,
    })
}

/// Addresses are the bytes of memory printed as one number: 192.0.2.0 is `000200C0`.
fn hex_ipv4(word: &str) -> Option<u32> {
    let digits = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let memory = u32::from_str_radix(word, 16).ok().filter(|_| digits)?;
    Some(Ipv4Addr::from(memory.to_le_bytes()).to_bits())
}

/// The interfaces of the default routes of the lowest metric.
#[derive(Debug, Default)]
pub(crate) struct DefaultRoute {
    metric: Option<u32>,
    interfaces: BTreeSet<String>,
}

impl DefaultRoute {
    pub(crate) fn add(&mut self, metric: u32, interface: &str) {
        if self.metric.is_some_and(|best| best < metric) {
            return;
        }
        if self.metric != Some(metric) {
            self.metric = Some(metric);
            self.interfaces.clear();
        }
        self.interfaces.insert(interface.to_owned());
    }

    pub(crate) fn uses(&self, interface: &str) -> bool {
        self.interfaces.contains(interface)
    }
}
