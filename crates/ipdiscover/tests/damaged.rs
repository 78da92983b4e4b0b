//! Tables that are missing, cut, changed or endless.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipdiscover::{Error, Limits, Local, Patterns, Tables, local, parse};

const TABLES: [&str; 4] = ["fib_trie", "route", "if_inet6", "ipv6_route"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn text(host: &str, table: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(host).join(table)).unwrap()
}

/// A copy of a captured host that may be damaged; gone with the value.
struct Copy(PathBuf);

impl Copy {
    fn of(host: &str, name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ipdiscover-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for table in TABLES {
            std::fs::write(dir.join(table), text(host, table)).unwrap();
        }
        Self(dir)
    }

    fn local(&self) -> Local {
        self.local_within(Limits::default())
    }

    fn local_within(&self, limits: Limits) -> Local {
        local(&self.0, &Patterns::default(), limits)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ips(local: &Local) -> BTreeSet<IpAddr> {
    local.addresses.iter().map(|address| address.ip).collect()
}

fn only_problem(local: &Local) -> &Error {
    assert_eq!(local.problems.len(), 1, "{:?}", local.problems);
    &local.problems[0]
}

#[test]
fn a_missing_fib_trie_is_a_problem_and_does_not_hide_ipv6() {
    let copy = Copy::of("vps-docker", "no-fib-trie");
    std::fs::remove_file(copy.0.join("fib_trie")).unwrap();
    let local = copy.local();
    let problem = only_problem(&local).to_string();
    assert!(
        problem.starts_with("read /") && problem.contains("fib_trie: No such file"),
        "{problem}"
    );
    assert!(local.addresses.iter().all(|address| address.ip.is_ipv6()));
    assert!(ips(&local).contains(&"2001:db8:1::7".parse().unwrap()));
}

#[test]
fn a_missing_route_table_is_a_problem_because_bridges_are_not_known() {
    let copy = Copy::of("vps-docker", "no-route");
    std::fs::remove_file(copy.0.join("route")).unwrap();
    let local = copy.local();
    assert!(matches!(only_problem(&local), Error::Read { path, .. } if path.ends_with("route")));
    let docker0 = local
        .addresses
        .iter()
        .find(|address| address.ip.to_string() == "172.17.0.1");
    assert_eq!(docker0.unwrap().interface, None);
}

#[test]
fn a_missing_directory_is_a_problem_of_the_ipv4_tables() {
    let local = local(
        Path::new("/nonexistent/net"),
        &Patterns::default(),
        Limits::default(),
    );
    assert!(local.addresses.is_empty());
    assert_eq!(local.problems.len(), 2);
}

#[test]
fn a_table_that_cannot_be_read_is_a_problem() {
    let copy = Copy::of("v6only", "directory");
    std::fs::remove_file(copy.0.join("if_inet6")).unwrap();
    std::fs::create_dir(copy.0.join("if_inet6")).unwrap();
    let local = copy.local();
    assert!(matches!(only_problem(&local), Error::Read { path, .. } if path.ends_with("if_inet6")));
    assert_eq!(ips(&local), BTreeSet::from(["127.0.0.1".parse().unwrap()]));
}

#[test]
fn a_sick_ipv6_route_table_costs_the_default_route_only() {
    let copy = Copy::of("v6only", "ipv6-route");
    assert!(
        copy.local()
            .addresses
            .iter()
            .any(|address| address.default_route == Some(true))
    );
    std::fs::write(copy.0.join("ipv6_route"), "garbage\n").unwrap();
    let local = copy.local();
    assert!(matches!(
        only_problem(&local),
        Error::Lines { lines: 1, .. }
    ));
    assert!(local.is_complete());
    let mut ipv6 = local
        .addresses
        .iter()
        .filter(|address| address.ip.is_ipv6());
    assert!(ipv6.all(|address| address.interface.is_some() && address.default_route.is_none()));
}

#[test]
fn a_bad_line_is_shown_and_hides_no_other() {
    let copy = Copy::of("v6only", "bad-lines");
    let mut table = b"garbage \xff\n".to_vec();
    table.extend(text("v6only", "if_inet6"));
    table.extend(b"20010db800060000000000000000000g 02 40 00 80 eth0\n");
    std::fs::write(copy.0.join("if_inet6"), table).unwrap();
    let local = copy.local();
    let problem = only_problem(&local).to_string();
    assert!(
        problem.starts_with("understand 2 line(s) of /"),
        "{problem}"
    );
    assert!(
        problem.ends_with("if_inet6, the first is line 1: \"garbage \u{fffd}\""),
        "{problem}"
    );
    assert!(ips(&local).contains(&"2001:db8:6::7".parse().unwrap()));
}

#[test]
fn a_line_without_end_is_not_kept_in_memory() {
    let endless = vec![b'a'; 1 << 20];
    let local = parse(
        Tables {
            if_inet6: &endless,
            ..Tables::default()
        },
        &Patterns::default(),
    );
    let shown = only_problem(&local).to_string();
    assert!(shown.len() < 200, "{shown}");
}

#[test]
fn lines_that_no_kernel_prints_are_refused() {
    let good = "fd000000000000000000000000000001 02 40 00 80 eth0";
    let refused = |line: &str| parse_one("if_inet6", line.as_bytes()).addresses.is_empty();
    assert!(!refused(good));
    for line in [
        good.replace(" 40 ", " 81 "), // a prefix of 129 bits
        good.replace("fd00", "+d00"),
        good.replace("fd00", "fd0"),
        format!("{good} more"),
        format!("{good}{}", " ".repeat(600)),
    ] {
        assert!(refused(&line), "{line}");
    }
}

#[test]
fn the_limit_of_bytes_stops_one_table_and_is_told() {
    let copy = Copy::of("many", "bytes");
    let small = u64::try_from(text("many", "if_inet6").len()).unwrap();
    let local = copy.local_within(Limits {
        bytes_per_table: small,
        ..Limits::default()
    });
    let told: Vec<_> = local.problems.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .all(|told| told.ends_with(&format!("the limit of {small} bytes reached")))
    );
    assert!(
        told.iter().any(|told| told.contains("fib_trie")),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|told| told.contains("if_inet6")),
        "{told:?}"
    );
}

#[test]
fn the_limit_of_time_stops_reading_and_is_told() {
    let copy = Copy::of("many", "time");
    let local = copy.local_within(Limits {
        time: Duration::ZERO,
        ..Limits::default()
    });
    assert!(!local.is_complete());
    assert_eq!(local.problems.len(), 4);
    assert!(
        local.problems[0]
            .to_string()
            .ends_with("to its end: the limit of time reached")
    );
}

#[test]
fn the_number_of_addresses_and_routes_is_limited_and_that_is_told() {
    let numbers = 0..40_000_u32;
    let fib_trie: String = numbers
        .clone()
        .map(|n| {
            format!(
                "|-- {}\n/32 host LOCAL\n",
                std::net::Ipv4Addr::from_bits(n + (10 << 24))
            )
        })
        .collect();
    let if_inet6: String = numbers
        .clone()
        .map(|n| format!("fd00000000000000{n:016x} 02 40 00 80 eth0\n"))
        .collect();
    let route: String = numbers
        .map(|n| format!("ppp{n} {n:04X}000A 00000000 0005 0 0 0 FFFFFFFF 0 0 0\n"))
        .collect();
    for (table, text) in [
        ("fib_trie", fib_trie),
        ("if_inet6", if_inet6),
        ("route", route),
    ] {
        let local = parse_one(table, text.as_bytes());
        let told = only_problem(&local).to_string();
        assert_eq!(
            told,
            format!("read {table} to its end: the limit of 32768 entries reached")
        );
        assert!(table == "route" || local.addresses.len() == 32_768);
    }
}

#[test]
fn the_kernels_signed_metrics_are_understood() {
    let route = "eth0 00000000 0100000A 0003 0 0 -1 00000000 0 0 0\n\
                 eth1 00000000 0100000A 0003 0 0 4294967294 00000000 0 0 0\n\
                 eth1 0000000A 00000000 0001 0 0 0 000000FF 0 0 0\n";
    let fib_trie = b"|-- 10.0.0.5\n/32 host LOCAL\n";
    let tables = Tables {
        fib_trie,
        route: route.as_bytes(),
        ..Tables::default()
    };
    let local = parse(tables, &Patterns::default());
    assert!(local.is_complete(), "{:?}", local.problems);
    assert_eq!(local.addresses[0].default_route, Some(true));
}

/// One table alone, the others empty.
fn parse_one(table: &str, text: &[u8]) -> Local {
    let mut tables = Tables::default();
    match table {
        "fib_trie" => tables.fib_trie = text,
        "route" => tables.route = text,
        "if_inet6" => tables.if_inet6 = text,
        _ => tables.ipv6_route = text,
    }
    parse(tables, &Patterns::default())
}

#[test]
fn every_prefix_of_every_table_is_read_without_panic() {
    for host in ["vps-docker", "openvz", "v6only", "policy", "gcp-calico"] {
        for table in TABLES {
            let text = text(host, table);
            let whole = parse_one(table, &text).addresses.len();
            for end in 0..text.len() {
                assert!(parse_one(table, &text[..end]).addresses.len() <= whole + 1);
            }
        }
    }
}

/// Puts every one of the values at every place of the table.
fn change_every_byte(host: &str, table: &str, values: &[u8]) {
    let mut text = text(host, table);
    let whole = ips(&parse_one(table, &text));
    for at in 0..text.len() {
        let original = text[at];
        for value in values {
            text[at] = *value;
            let lost = whole.difference(&ips(&parse_one(table, &text))).count();
            let touched = if original == b'\n' { 2 } else { 1 };
            assert!(
                lost <= touched,
                "{host}/{table}: {value} at {at} loses {lost}"
            );
        }
        text[at] = original;
    }
}

#[test]
fn every_change_of_one_byte_is_read_without_panic_and_loses_no_other_line() {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    change_every_byte("bare", "fib_trie", &all);
    change_every_byte("openvz", "route", &all);
    change_every_byte("tentative", "if_inet6", &all);
    change_every_byte("bare", "ipv6_route", &all);
    for table in TABLES {
        change_every_byte("policy", table, b"\0\n /|+0:*\xff");
    }
}

#[test]
fn all_tables_together_stand_every_change_of_one_byte_in_the_routes() {
    let tables = TABLES.map(|table| text("hetzner", table));
    let mut route = tables[1].clone();
    for at in 0..route.len() {
        let original = route[at];
        for value in [0, b'\t', b'\n', b' ', b'*', b'0', b'1', b'F', b'f', 0xff] {
            route[at] = value;
            let tables = Tables {
                fib_trie: &tables[0],
                route: &route,
                if_inet6: &tables[2],
                ipv6_route: &tables[3],
            };
            assert_eq!(parse(tables, &Patterns::default()).addresses.len(), 8);
        }
        route[at] = original;
    }
}
