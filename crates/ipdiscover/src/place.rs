//! On which interface an IPv4 address is, as far as the routes tell.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::Patterns;
use crate::route::Route;

/// What the routes tell about one address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub(crate) interface: Option<String>,
    pub(crate) prefix_len: Option<u8>,
    pub(crate) container_bridge: bool,
}

/// The places of all addresses, in their order.
pub(crate) fn places(addresses: &[Ipv4Addr], routes: &Route, patterns: &Patterns) -> Vec<Place> {
    let mut places: Vec<Option<Place>> = addresses
        .iter()
        .map(|ip| on_link(*ip, routes, patterns))
        .collect();
    let bare = bare_interface(&places, routes, patterns);
    for place in &mut places {
        if place.is_none() {
            place.clone_from(&bare);
        }
    }
    places.into_iter().map(Option::unwrap_or_default).collect()
}

/// By the narrowest network on a link that contains the address: the kernel makes such
/// a route together with the address.
fn on_link(ip: Ipv4Addr, routes: &Route, patterns: &Patterns) -> Option<Place> {
    if ip == Ipv4Addr::LOCALHOST {
        // Its route is in no table that we read, but the kernel itself puts it there.
        return Some(Place {
            interface: Some("lo".to_owned()),
            prefix_len: Some(8),
            container_bridge: false,
        });
    }
    if ip.is_loopback() {
        return Some(Place::default());
    }
    let networks = || routes.on_link.iter().filter(|route| route.contains(ip));
    let prefix_len = networks()
        .map(|route| route.prefix_len)
        .max()
        .filter(|len| *len > 0)?;
    let candidates: BTreeSet<&str> = networks()
        .filter(|route| route.prefix_len == prefix_len)
        .map(|route| route.interface.as_str())
        .collect();
    // Two interfaces in one network: either may have it.
    let only = (candidates.len() == 1)
        .then(|| candidates.first())
        .flatten();
    Some(Place {
        interface: only.map(|name| (*name).to_owned()),
        prefix_len: Some(prefix_len),
        container_bridge: candidates.iter().all(|name| patterns.matches(name)),
    })
}

/// The place of the addresses that stand in no network on a link: a /32 at a hosting
/// provider, the end of a tunnel. It can be told if one interface alone has routes but
/// no address yet, and there is only one such address, or that interface takes
/// everything without a gateway (OpenVZ's venet0, which has all addresses as /32).
///
/// Interfaces of containers do not count: many have a route and never an address.
fn bare_interface(places: &[Option<Place>], routes: &Route, patterns: &Patterns) -> Option<Place> {
    let taken: BTreeSet<&str> = places
        .iter()
        .flatten()
        .filter_map(|place| place.interface.as_deref())
        .collect();
    let mut bare = routes
        .interfaces
        .iter()
        .filter(|name| !taken.contains(name.as_str()) && !patterns.matches(name));
    let (Some(only), None) = (bare.next(), bare.next()) else {
        return None;
    };
    let homeless = places.iter().filter(|place| place.is_none()).count();
    let takes_everything = routes
        .on_link
        .iter()
        .any(|route| route.prefix_len == 0 && route.interface == *only);
    (homeless == 1 || takes_everything).then(|| Place {
        interface: Some(only.clone()),
        ..Place::default()
    })
}
