//! Which addresses are reported, and in which order.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use ipdiscover::{Address, Origin, reportable};

fn address(ip: &str) -> Address {
    Address::new(ip.parse().unwrap(), Origin::Local)
}

fn on(ip: &str, interface: &str, default_route: bool) -> Address {
    let mut address = address(ip);
    address.interface = Some(interface.to_owned());
    address.default_route = Some(default_route);
    address
}

#[track_caller]
fn check(addresses: &[Address], expected: &[&str]) {
    let ips = |addresses: &[Address]| -> Vec<String> {
        reportable(addresses)
            .iter()
            .map(|address| address.ip.to_string())
            .collect()
    };
    assert_eq!(ips(addresses), expected);
    let mut backwards = addresses.to_vec();
    backwards.reverse();
    assert_eq!(ips(&backwards), expected, "in another order");
}

#[test]
fn classes_follow_the_contract() {
    let all = [
        "fd00::1",
        "100.64.3.2",
        "10.0.0.5",
        "192.168.1.2",
        "2a00:1450::5",
        "9.9.9.9",
    ];
    check(
        &all.map(address),
        &[
            "9.9.9.9",
            "2a00:1450::5",
            "10.0.0.5",
            "192.168.1.2",
            "100.64.3.2",
            "fd00::1",
        ],
    );
}

#[test]
fn the_order_is_not_that_of_texts() {
    check(
        &["10.0.0.5", "9.9.9.9", "100.1.1.1"].map(address),
        &["9.9.9.9", "100.1.1.1", "10.0.0.5"],
    );
}

#[test]
fn what_reaches_nobody_outside_is_left_out() {
    let left_out = [
        "127.0.0.1",
        "::1",
        "169.254.20.10",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "192.0.2.1",
        "2001:db8::1",
        "198.18.0.1",
        "240.0.0.1",
        "2002:c000:201::1",
        "fec0::1",
    ];
    check(&left_out.map(address), &[]);
}

#[test]
fn container_bridges_temporary_and_duplicate_addresses_are_left_out() {
    let mut bridge = on("172.17.0.1", "docker0", false);
    bridge.container_bridge = true;
    let mut temporary = address("2a00:1450::7");
    temporary.temporary = true;
    let mut duplicate = address("2a00:1450::8");
    duplicate.duplicate = true;
    let real = on("172.20.1.9", "ens6", false);
    check(&[bridge, temporary, duplicate, real], &["172.20.1.9"]);
}

#[test]
fn deprecated_addresses_come_after_the_others_of_their_class() {
    let mut deprecated = on("2a00:1450::1", "eth0", true);
    deprecated.deprecated = true;
    check(
        &[deprecated, address("2a00:1450::2"), address("fd00::1")],
        &["2a00:1450::2", "2a00:1450::1", "fd00::1"],
    );
}

#[test]
fn a_tentative_address_stays_so_that_a_link_flap_does_not_lose_it() {
    let mut tentative = address("2a00:1450::1");
    tentative.tentative = true;
    check(&[tentative], &["2a00:1450::1"]);
}

#[test]
fn the_interface_of_the_default_route_comes_first_in_its_class() {
    check(
        &[
            on("8.8.4.4", "eth0", false),
            on("9.9.9.9", "eth1", true),
            address("1.1.1.1"),
        ],
        &["9.9.9.9", "1.1.1.1", "8.8.4.4"],
    );
}

#[test]
fn an_address_on_two_interfaces_is_reported_once_from_its_best() {
    let both = [on("9.9.9.9", "eth0", false), on("9.9.9.9", "eth1", true)];
    let reported = reportable(&both);
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].interface.as_deref(), Some("eth1"));
}

#[test]
fn an_address_that_a_service_told_takes_its_place() {
    let told = Address::new(
        "9.9.9.9".parse().unwrap(),
        Origin::Service("https://x".to_owned()),
    );
    let local = [address("10.0.0.5"), address("2a00:1450::5")];
    let reported = reportable(local.iter().chain([&told]));
    assert_eq!(reported[0], told);
    assert_eq!(reported.len(), 3);
}
