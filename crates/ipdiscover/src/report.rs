//! Which addresses are worth telling others, and in which order.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::{Address, Family, Scope};

/// The addresses worth telling somebody outside this host, best first, each once.
///
/// In this order: public IPv4, public IPv6, private (RFC 1918), shared (CGNAT),
/// unique local. All other scopes are left out, and so are the addresses of
/// container bridges, those that another host of the link has too
/// ([`duplicate`](Address::duplicate)), and temporary ones: they change every day,
/// and where one is, the kernel keeps a lasting one of the same prefix beside it.
///
/// Tentative ones stay: detection runs again for a second after each loss of the link,
/// and an address that comes and goes costs more than one told a second early.
///
/// Among equals, deprecated addresses come last (operators serve from such
/// addresses, so they do not vanish), those on the interface of the default route
/// come first, then the smaller address. The order depends on nothing but the
/// addresses themselves, so two calls over the same addresses agree, whatever order
/// they came in.
///
/// ```
/// use ipdiscover::{Address, Origin, reportable};
///
/// let tell = |ip: &str| Address::new(ip.parse().unwrap(), Origin::Local);
/// let all = [tell("127.0.0.1"), tell("10.0.0.5"), tell("2a00:1450::5"), tell("9.9.9.9")];
/// let ips: Vec<_> = reportable(&all).into_iter().map(|a| a.ip.to_string()).collect();
/// assert_eq!(ips, ["9.9.9.9", "2a00:1450::5", "10.0.0.5"]);
/// ```
pub fn reportable<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> Vec<Address> {
    let mut ranked: Vec<(Rank, &Address)> = addresses
        .into_iter()
        .filter_map(|address| Some((rank(address)?, address)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut seen = HashSet::new();
    ranked
        .into_iter()
        .filter(|(_, address)| seen.insert(address.ip))
        .map(|(_, address)| address.clone())
        .collect()
}

/// Smaller is better: class, deprecated, away from the default route, address.
type Rank = (u8, bool, bool, IpAddr);

fn rank(address: &Address) -> Option<Rank> {
    if address.container_bridge || address.duplicate || address.temporary {
        return None;
    }
    let class = match (address.scope, address.family()) {
        (Scope::Public, Family::V4) => 0,
        (Scope::Public, Family::V6) => 1,
        (Scope::Private, _) => 2,
        (Scope::SharedCgnat, _) => 3,
        (Scope::UniqueLocal, _) => 4,
        _ => return None,
    };
    let away = address.default_route != Some(true);
    Some((class, address.deprecated, away, address.ip))
}
