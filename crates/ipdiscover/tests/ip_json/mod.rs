//! The other opinion: `ip -j addr`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipdiscover::Address;
use serde_json::Value;

struct Shown {
    ip: IpAddr,
    interface: String,
    /// Of the peer instead of the address itself, where there is one.
    prefix_len: Option<u8>,
    flags: [bool; 4],
}

/// Everything that the crate says of these addresses is what `ip` says, and neither
/// knows an address that the other does not.
pub(crate) fn check_against_ip(host: &str, addresses: &[Address], json: &[u8]) {
    let shown = shown(json);
    let ips = |ips: &mut dyn Iterator<Item = IpAddr>| ips.collect::<BTreeSet<_>>();
    assert_eq!(
        ips(&mut addresses.iter().map(|address| address.ip)),
        ips(&mut shown.iter().map(|shown| shown.ip)),
        "{host}"
    );
    for address in addresses {
        assert!(
            shown.iter().any(|shown| agrees(address, shown)),
            "{host}: ip shows something else than {address:?}"
        );
    }
    let ipv6 = addresses
        .iter()
        .filter(|address| address.ip.is_ipv6())
        .count();
    assert_eq!(
        ipv6,
        shown.iter().filter(|shown| shown.ip.is_ipv6()).count(),
        "{host}"
    );
}

fn agrees(address: &Address, shown: &Shown) -> bool {
    let Address {
        temporary,
        deprecated,
        tentative,
        duplicate,
        ..
    } = *address;
    address.ip == shown.ip
        && address
            .interface
            .as_ref()
            .is_none_or(|name| *name == shown.interface)
        && address
            .prefix_len
            .is_none_or(|len| Some(len) == shown.prefix_len)
        && [temporary, deprecated, tentative, duplicate] == shown.flags
}

fn shown(json: &[u8]) -> Vec<Shown> {
    let links: Value = serde_json::from_slice(json).unwrap();
    let mut all = Vec::new();
    for link in links.as_array().unwrap() {
        for info in link["addr_info"].as_array().unwrap() {
            // `ip` prints empty objects for what it filters out.
            let Some(ip) = info["local"].as_str() else {
                continue;
            };
            let flag = |name: &str| info[name].as_bool().unwrap_or(false);
            let prefix_len = info["prefixlen"]
                .as_u64()
                .and_then(|len| len.try_into().ok());
            all.push(Shown {
                ip: ip.parse().unwrap(),
                interface: link["ifname"].as_str().unwrap().to_owned(),
                prefix_len: prefix_len.filter(|_| info["address"].is_null()),
                flags: ["temporary", "deprecated", "tentative", "dadfailed"].map(flag),
            });
        }
    }
    all
}
