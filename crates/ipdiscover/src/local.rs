//! Reads the tables of a network namespace and puts the addresses together.

use std::fs::File;
use std::io::{self, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fib_trie::FibTrie;
use crate::if_inet6::IfInet6;
use crate::ipv6_route::Ipv6Route;
use crate::lines::{Bounds, Line, each_line};
use crate::place::places;
use crate::route::{DefaultRoute, Route};
use crate::{Address, Error, Origin, Patterns};

const IF_INET6: &str = "if_inet6";
const ROUTE: &str = "route";
const FIB_TRIE: &str = "fib_trie";
const IPV6_ROUTE: &str = "ipv6_route";

/// The addresses of a network namespace, and what could not be read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Local {
    /// IPv4 from the smallest to the largest, then IPv6 likewise; each address once
    /// for each interface that has it.
    pub addresses: Vec<Address>,
    /// What went wrong, table by table.
    pub problems: Vec<Error>,
}

impl Local {
    /// Whether no address is missing and the interfaces are known as well as they can
    /// be. If not, do not let this list replace a complete one: it may lack addresses,
    /// or take a container bridge for the host's own.
    ///
    /// A sick `ipv6_route` does not count; without it only
    /// [`default_route`](Address::default_route) is `None` for IPv6.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.path().ends_with(IPV6_ROUTE))
    }
}

/// Where reading stops at the latest.
///
/// On usual hosts the tables are a few kilobytes, read in well under a millisecond. On
/// routers they can be very large, and the kernel's time for `fib_trie` grows with the
/// square of its length: 200,000 routes are 24 MB and 22 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of each table: 64 MiB.
    pub bytes_per_table: u64,
    /// Time for all tables together: 5 s. A single read that the kernel does not answer
    /// is not cut short.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_per_table: 64 << 20,
            time: Duration::from_secs(5),
        }
    }
}

/// The addresses by the tables in `net_dir`, the directory `net` of a procfs.
///
/// Which namespace a directory shows depends on the process it belongs to:
/// `/proc/net` is that of the caller; `/host/proc/1/net` is that of the host, if its
/// procfs is mounted at `/host/proc`; **`/host/proc/net` is again that of the caller**,
/// because `net` there is a link to the reader's own.
///
/// Reads files and may block for up to [`Limits::time`]. What cannot be read is in
/// [`Local::problems`] and does not hide the rest. A missing `if_inet6` or `ipv6_route`
/// means that the host has no IPv6 and is no problem.
#[must_use]
pub fn local(net_dir: &Path, patterns: &Patterns, limits: Limits) -> Local {
    let bounds = Bounds {
        bytes: limits.bytes_per_table,
        deadline: Instant::now().checked_add(limits.time),
    };
    gather(patterns, |name, line| {
        let path = net_dir.join(name);
        let optional = name == IF_INET6 || name == IPV6_ROUTE;
        match File::open(&path) {
            Ok(file) => each_line(&path, BufReader::new(file), bounds, line),
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => vec![Error::Read { path, source }],
        }
    })
}

/// The texts of the four tables, for [`parse`]. Without IPv6 the last two are empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tables<'a> {
    /// `net/fib_trie`
    pub fib_trie: &'a [u8],
    /// `net/route`
    pub route: &'a [u8],
    /// `net/if_inet6`
    pub if_inet6: &'a [u8],
    /// `net/ipv6_route`
    pub ipv6_route: &'a [u8],
}

/// The addresses by tables that somebody else has read; the same as [`local`] without I/O.
#[must_use]
pub fn parse(tables: Tables<'_>, patterns: &Patterns) -> Local {
    let bounds = Bounds {
        bytes: u64::MAX,
        deadline: None,
    };
    gather(patterns, |name, line| {
        let text = match name {
            IF_INET6 => tables.if_inet6,
            ROUTE => tables.route,
            FIB_TRIE => tables.fib_trie,
            _ => tables.ipv6_route,
        };
        each_line(Path::new(name), text, bounds, line)
    })
}

/// `read` hands the lines of a table, by its name, to a parser and returns what was wrong.
fn gather(
    patterns: &Patterns,
    mut read: impl FnMut(&str, &mut dyn FnMut(&[u8]) -> Line) -> Vec<Error>,
) -> Local {
    let mut if_inet6 = IfInet6::default();
    let mut route = Route::default();
    let mut fib_trie = FibTrie::default();
    let mut ipv6_route = Ipv6Route::default();
    // Those that can take all the time come last, the one that matters less at the end.
    let mut problems = read(IF_INET6, &mut |line| if_inet6.line(line));
    problems.extend(read(ROUTE, &mut |line| route.line(line)));
    problems.extend(read(FIB_TRIE, &mut |line| fib_trie.line(line)));
    let ipv6_problems = read(IPV6_ROUTE, &mut |line| ipv6_route.line(line));
    let ipv6_default = ipv6_problems.is_empty().then_some(&ipv6_route.default);
    problems.extend(ipv6_problems);

    let mut addresses = ipv4(fib_trie, &route, patterns);
    addresses.extend(ipv6(if_inet6, ipv6_default, patterns));
    Local {
        addresses,
        problems,
    }
}

fn ipv4(fib_trie: FibTrie, route: &Route, patterns: &Patterns) -> Vec<Address> {
    let ips: Vec<_> = fib_trie.addresses().collect();
    let places = places(&ips, route, patterns);
    let at = |(ip, place): (_, crate::place::Place)| Address {
        default_route: place
            .interface
            .as_deref()
            .map(|name| route.default.uses(name)),
        prefix_len: place.prefix_len,
        interface: place.interface,
        container_bridge: place.container_bridge,
        ..Address::new(IpAddr::V4(ip), Origin::Local)
    };
    ips.into_iter().zip(places).map(at).collect()
}

fn ipv6(table: IfInet6, default: Option<&DefaultRoute>, patterns: &Patterns) -> Vec<Address> {
    let mut addresses = table.addresses;
    for address in &mut addresses {
        let name = address.interface.as_deref();
        address.container_bridge = name.is_some_and(|name| patterns.matches(name));
        address.default_route = name.zip(default).map(|(name, default)| default.uses(name));
    }
    addresses.sort_by(|a, b| (a.ip, &a.interface).cmp(&(b.ip, &b.interface)));
    addresses
}
