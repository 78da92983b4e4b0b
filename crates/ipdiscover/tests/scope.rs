//! The scope of an address at both ends of every special block.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use ipdiscover::Scope;

/// Written down from the IANA IPv4 and IPv6 special-purpose address registries (October
/// 2025), RFC 3879 and RFC 4291: the scope just before the block, its first and last
/// address, its scope, the scope just after it. A dash: there is nothing before or after.
const BLOCKS: &str = "
-             0.0.0.0        0.0.0.0                                 unspecified   reserved
unspecified   0.0.0.1        0.255.255.255                           reserved      public
public        10.0.0.0       10.255.255.255                          private       public
public        100.64.0.0     100.127.255.255                         cgnat         public
public        127.0.0.0      127.255.255.255                         loopback      public
public        169.254.0.0    169.254.255.255                         link-local    public
public        172.16.0.0     172.31.255.255                          private       public
public        192.0.0.0      192.0.0.8                               reserved      public
reserved      192.0.0.9      192.0.0.10                              public        reserved
public        192.0.0.11     192.0.0.255                             reserved      public
public        192.0.2.0      192.0.2.255                             documentation public
public        192.88.99.0    192.88.99.255                           transition    public
public        192.168.0.0    192.168.255.255                         private       public
public        198.18.0.0     198.19.255.255                          benchmark     public
public        198.51.100.0   198.51.100.255                          documentation public
public        203.0.113.0    203.0.113.255                           documentation public
public        224.0.0.0      239.255.255.255                         multicast     reserved
multicast     240.0.0.0      255.255.255.255                         reserved      -
public        192.31.196.0   192.31.196.255                          public        public
public        192.52.193.0   192.52.193.255                          public        public
public        192.175.48.0   192.175.48.255                          public        public
-             ::             ::                                      unspecified   loopback
unspecified   ::1            ::1                                     loopback      reserved
reserved      64:ff9b::      64:ff9b::ffff:ffff                      transition    reserved
reserved      64:ff9b:1::    64:ff9b:1:ffff:ffff:ffff:ffff:ffff      transition    reserved
reserved      100::          100::ffff:ffff:ffff:ffff                reserved      reserved
reserved      100:0:0:1::    100:0:0:1:ffff:ffff:ffff:ffff           reserved      reserved
reserved      2000::         2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff public        transition
public        2001::         2001:0:ffff:ffff:ffff:ffff:ffff:ffff    transition    reserved
transition    2001:1::       2001:1::                                reserved      public
reserved      2001:1::1      2001:1::3                               public        reserved
reserved      2001:2::       2001:2:0:ffff:ffff:ffff:ffff:ffff       benchmark     reserved
reserved      2001:3::       2001:3:ffff:ffff:ffff:ffff:ffff:ffff    public        reserved
reserved      2001:4:112::   2001:4:112:ffff:ffff:ffff:ffff:ffff     public        reserved
reserved      2001:10::      2001:1f:ffff:ffff:ffff:ffff:ffff:ffff   reserved      public
reserved      2001:20::      2001:2f:ffff:ffff:ffff:ffff:ffff:ffff   public        public
public        2001:30::      2001:3f:ffff:ffff:ffff:ffff:ffff:ffff   public        reserved
public        2001:40::      2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff  reserved      public
public        2001:db8::     2001:db8:ffff:ffff:ffff:ffff:ffff:ffff  documentation public
public        2002::         2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff transition    public
public        2620:4f:8000:: 2620:4f:8000:ffff:ffff:ffff:ffff:ffff   public        public
public        3fff::         3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff  documentation public
documentation 3fff:1000::    3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff public        reserved
reserved      5f00::         5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff reserved      reserved
reserved      fc00::         fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff unique-local  reserved
unique-local  fe00::         fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff reserved      link-local
reserved      fe80::         febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff link-local    site-local
link-local    fec0::         feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff site-local    multicast
site-local    ff00::         ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff multicast     -
";

fn blocks() -> impl Iterator<Item = [&'static str; 5]> {
    let words = |line: &'static str| line.split_ascii_whitespace().collect::<Vec<_>>();
    BLOCKS
        .trim()
        .lines()
        .map(move |line| words(line).try_into().unwrap())
}

fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(Ipv4Addr::from_bits(ip.to_bits().checked_add(1)?).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits().checked_add(1)?).into()),
    }
}

fn previous(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(Ipv4Addr::from_bits(ip.to_bits().checked_sub(1)?).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits().checked_sub(1)?).into()),
    }
}

fn scope(ip: Option<IpAddr>) -> &'static str {
    ip.map_or("-", |ip| Scope::of(ip).as_str())
}

#[test]
fn every_block_begins_and_ends_where_iana_says() {
    for [before, first, last, inside, after] in blocks() {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        let found = [previous(first), Some(first), Some(last), next(last)].map(scope);
        assert_eq!(found, [before, inside, inside, after], "{first} to {last}");
    }
}

#[test]
fn addresses_of_everyday_hosts_have_the_scope_one_expects() {
    for (ip, expected) in [
        ("1.1.1.1", "public"),
        ("9.9.9.9", "public"),
        ("172.15.0.1", "public"),
        ("172.17.0.1", "private"),
        ("100.100.100.100", "cgnat"),
        ("255.255.255.255", "reserved"),
        ("2a01:4f8:c17::1", "public"),
        ("2606:4700:4700::1111", "public"),
        ("fd7a:115c:a1e0::1", "unique-local"),
        ("::192.0.2.1", "reserved"),
    ] {
        assert_eq!(scope(ip.parse().ok()), expected, "{ip}");
    }
}

#[test]
fn a_mapped_address_has_the_scope_of_its_ipv4_address() {
    for ip in [
        "127.0.0.1",
        "10.0.0.1",
        "9.9.9.9",
        "0.0.0.0",
        "255.255.255.255",
    ] {
        let v4: Ipv4Addr = ip.parse().unwrap();
        assert_eq!(
            Scope::of(v4.to_ipv6_mapped().into()),
            Scope::of(v4.into()),
            "{ip}"
        );
    }
}

#[test]
fn only_public_is_public() {
    for [_, first, _, inside, _] in blocks() {
        let scope = Scope::of(first.parse().unwrap());
        assert_eq!(scope.is_public(), inside == "public");
        assert_eq!(scope.to_string(), inside);
    }
}

/// Prints for each address of the input what Python's `ipaddress` thinks of it.
const PYTHON: &str = "
import sys, ipaddress
for text in sys.stdin:
    ip = ipaddress.ip_address(text.strip())
    ip = getattr(ip, 'ipv4_mapped', None) or ip
    if ip.is_unspecified: print('unspecified')
    elif ip.is_loopback: print('loopback')
    elif ip.is_multicast: print('multicast')
    elif ip.is_link_local: print('link-local')
    elif getattr(ip, 'is_site_local', False): print('site-local')
    elif ip.is_reserved: print('-')
    elif ip.is_global: print('public')
    else: print('-')
";

/// Where Python is allowed to think otherwise, and why.
const PYTHON_DIFFERS: &[(&str, &str, &str)] = &[
    (
        "192.88.99.0",
        "192.88.99.255",
        "Python takes the 6to4 relays for public",
    ),
    (
        "192.0.0.0",
        "192.0.0.255",
        "before 3.12.4: only 192.0.0.0/29 and 192.0.0.170/31 special",
    ),
    (
        "2001::",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        "before 3.12.4: no exceptions; 2001:1::3 missing",
    ),
    (
        "2002::",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "before 3.12.4: public",
    ),
    (
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        "before 3.14: public",
    ),
];

fn may_differ(ip: IpAddr) -> bool {
    PYTHON_DIFFERS.iter().any(|(first, last, _)| {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        first.is_ipv4() == ip.is_ipv4() && (first..=last).contains(&ip)
    })
}

/// Both ends of every block with their neighbours, and addresses from all over.
fn samples() -> Vec<IpAddr> {
    let ends = blocks().flat_map(|[_, first, last, _, _]| {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        [
            previous(first),
            Some(first),
            next(first),
            previous(last),
            Some(last),
            next(last),
        ]
    });
    let mut all: Vec<IpAddr> = ends.flatten().collect();
    // Knuth's MMIX generator: the same addresses in every run.
    let mut state: u64 = 1;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 32).unwrap()
    };
    for _ in 0..10_000 {
        all.push(Ipv4Addr::from_bits(random()).into());
        let bits = (0..4).fold(0, |bits: u128, _| bits << 32 | u128::from(random()));
        all.push(Ipv6Addr::from_bits(bits).into());
        // Half of the special blocks are inside 2001::/16.
        let in_2001 = bits >> 16 | 0x2001 << 112;
        all.push(Ipv6Addr::from_bits(in_2001 & !(0xfc00 << 96)).into());
    }
    all
}

#[test]
fn pythons_ipaddress_agrees() {
    let python = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        eprintln!("skipped: python3 cannot be started");
        return;
    };
    let samples = samples();
    let input: String = samples.iter().map(|ip| format!("{ip}\n")).collect();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), samples.len());
    for (ip, python) in samples.into_iter().zip(answers.lines()) {
        let ours = match Scope::of(ip).as_str() {
            told @ ("public" | "loopback" | "multicast" | "link-local" | "site-local"
            | "unspecified") => told,
            _ => "-",
        };
        assert!(
            ours == python || may_differ(ip),
            "{ip}: {ours}, Python says {python}"
        );
    }
}
