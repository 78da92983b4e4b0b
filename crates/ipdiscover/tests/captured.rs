//! Captured hosts: what the crate makes of the tables against what `ip -j addr` said.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipdiscover::{Address, Limits, Local, Patterns, Tables, local, parse, reportable};

mod ip_json;
use ip_json::check_against_ip;

fn fixture(host: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(host)
}

fn read(host: &str) -> Local {
    let local = local(&fixture(host), &Patterns::default(), Limits::default());
    assert!(local.problems.is_empty(), "{host}: {:?}", local.problems);
    local
}

fn texts<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> Vec<String> {
    addresses
        .into_iter()
        .map(|address| address.ip.to_string())
        .collect()
}

/// The addresses that matter for reports, with their interface: `10.0.0.5 eth0`.
fn places(host: &str) -> Vec<String> {
    let local = read(host);
    let of_interest = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let line = |address: &Address| {
        let place = address.interface.as_deref().unwrap_or("?");
        let bridge = if address.container_bridge {
            " (container)"
        } else {
            ""
        };
        format!("{} {place}{bridge}", address.ip)
    };
    local
        .addresses
        .iter()
        .filter(|address| of_interest(&address.ip))
        .map(line)
        .collect()
}

fn hosts() -> Vec<String> {
    let entries = std::fs::read_dir(fixture("")).unwrap();
    let mut hosts: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    hosts.sort();
    assert!(hosts.len() > 10);
    hosts
}

#[test]
fn every_host_has_the_addresses_interfaces_prefixes_and_flags_that_ip_shows() {
    for host in hosts() {
        let json = std::fs::read(fixture(&host).join("addr.json")).unwrap();
        check_against_ip(&host, &read(&host).addresses, &json);
    }
}

#[test]
fn texts_give_the_same_as_files() {
    for host in hosts() {
        let text = |name: &str| std::fs::read(fixture(&host).join(name)).unwrap_or_default();
        let (fib_trie, route) = (text("fib_trie"), text("route"));
        let (if_inet6, ipv6_route) = (text("if_inet6"), text("ipv6_route"));
        let tables = Tables {
            fib_trie: &fib_trie,
            route: &route,
            if_inet6: &if_inet6,
            ipv6_route: &ipv6_route,
        };
        let parsed = parse(tables, &Patterns::default());
        assert!(parsed.problems.is_empty());
        assert_eq!(parsed.addresses, read(&host).addresses, "{host}");
    }
}

#[test]
fn container_bridges_are_known_by_their_interface() {
    assert_eq!(
        places("vps-docker"),
        [
            "172.17.0.1 docker0 (container)",
            "172.18.0.1 br-1234567890ab (container)",
            "192.168.0.1 docker_gwbridge (container)",
            "203.0.113.7 eth0",
            "2001:db8:1::7 eth0",
            "fd12:3456::1 br-1234567890ab (container)",
        ]
    );
}

#[test]
fn real_networks_inside_172_16_are_kept() {
    let kept = reportable(&read("private-172").addresses);
    // ens5 has the default route of the lower metric.
    assert_eq!(texts(&kept), ["172.31.5.4", "172.20.1.9"]);
}

#[test]
fn the_hosts_own_bridges_are_kept() {
    assert_eq!(
        places("own-bridges"),
        [
            "10.55.0.1 lxdbr0 (container)",
            "192.168.1.1 br-lan",
            "203.0.113.30 vmbr0",
            "2001:db8:3::30 vmbr0",
            "fd42:55::1 lxdbr0 (container)",
        ]
    );
}

#[test]
fn the_interface_of_a_lone_slash_32_is_the_one_left_over() {
    assert_eq!(
        places("hetzner"),
        [
            "172.17.0.1 docker0 (container)",
            "203.0.113.10 eth0",
            "2001:db8:2::1 eth0"
        ]
    );
    assert_eq!(places("gcp-calico"), ["10.128.0.2 ens4"]);
    assert_eq!(
        places("openvz"),
        ["203.0.113.20 venet0", "203.0.113.21 venet0"]
    );
    assert_eq!(
        places("tunnels"),
        ["10.8.0.6 tun0", "10.9.0.1 wg0", "100.72.3.2 eth0"]
    );
}

#[test]
fn an_interface_that_cannot_be_told_is_left_open() {
    assert_eq!(
        places("failover"),
        ["198.51.100.7 ?", "198.51.100.8 ?", "203.0.113.7 eth0"]
    );
    assert_eq!(places("twins"), ["10.0.0.5 ?", "10.0.0.6 ?"]);
    assert_eq!(places("policy"), ["10.66.0.2 ?", "203.0.113.40 eth0"]);
    // Routes do not name an interface that is down.
    assert_eq!(
        places("link-down"),
        [
            "10.0.0.5 eth0",
            "172.17.0.1 ?",
            "fd00:17::1 docker0 (container)"
        ]
    );
}

#[test]
fn a_container_network_inside_the_hosts_is_told_apart_and_an_equal_one_is_not() {
    assert_eq!(
        places("overlap"),
        [
            "10.0.0.5 eth0",
            "10.200.0.1 docker0 (container)",
            "172.17.0.1 ?",
            "172.17.5.4 ?"
        ]
    );
}

#[test]
fn routes_that_lead_nowhere_are_no_default_route() {
    for host in hosts() {
        for address in read(&host).addresses {
            assert!(
                !address.ip.is_loopback() || address.default_route != Some(true),
                "{host}"
            );
        }
    }
    let eth0 = &read("overlap").addresses[0];
    assert_eq!(
        (eth0.interface.as_deref(), eth0.default_route),
        (Some("eth0"), Some(true))
    );
}

#[test]
fn the_default_route_is_known_for_each_family_by_the_lowest_metric() {
    let local = read("multihomed");
    let on_default: Vec<_> = local
        .addresses
        .iter()
        .filter(|address| address.default_route == Some(true))
        .collect();
    assert_eq!(
        texts(on_default),
        ["203.0.113.5", "2001:db8:4::5", "fe80::ff:fe00:10"]
    );
}

#[test]
fn temporary_deprecated_and_duplicate_ipv6_addresses_are_marked() {
    let local = read("v6only");
    let marked =
        |mark: fn(&Address) -> bool| texts(local.addresses.iter().filter(|address| mark(address)));
    let temporary = marked(|address| address.temporary);
    assert_eq!(temporary.len(), 1, "{temporary:?}");
    assert!(temporary[0].starts_with("2001:db8:6:1:"));
    assert_eq!(marked(|address| address.deprecated), ["2001:db8:6::8"]);
    assert_eq!(marked(|address| address.duplicate), ["2001:db8:6::bad"]);
    let tentative = read("tentative");
    let tentative = tentative
        .addresses
        .iter()
        .filter(|address| address.tentative);
    assert_eq!(texts(tentative), ["fd00:17::1"]);
}

#[test]
fn hosts_without_ipv6_or_without_any_network_are_no_problem() {
    assert_eq!(places("v4only"), ["10.0.0.5 eth0"]);
    assert_eq!(places("bare"), [""; 0]);
}

#[test]
fn no_address_appears_twice_although_the_tables_repeat_them() {
    for host in hosts() {
        let addresses = read(&host).addresses;
        let distinct: BTreeSet<_> = addresses
            .iter()
            .map(|address| (address.ip, &address.interface))
            .collect();
        assert_eq!(distinct.len(), addresses.len(), "{host}");
    }
    assert_eq!(read("many").addresses.len(), 60 + 59 + 3);
}
