//! How far an address reaches, by the special-purpose registries of IANA.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
///
/// By the IANA special-purpose address registries for IPv4 and IPv6 (of
/// October 2025). An IPv4-mapped IPv6 address has the scope of its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Reachable from the whole Internet, as far as the address goes.
    Public,
    /// Private IPv4 networks (RFC 1918).
    Private,
    /// Shared by a provider's customers behind its NAT: 100.64.0.0/10 (RFC 6598).
    /// Overlay networks use it too.
    SharedCgnat,
    /// Private IPv6 networks: fc00::/7 (RFC 4193).
    UniqueLocal,
    /// The older private IPv6 networks: fec0::/10, given up by RFC 3879.
    SiteLocal,
    /// Good on one link only: 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Good inside the host only.
    Loopback,
    /// For examples in texts (RFC 5737, 3849, 9637).
    Documentation,
    /// For measurements in laboratories (RFC 2544, 5180).
    Benchmark,
    /// Addresses of groups.
    Multicast,
    /// Bridges between the families: 6to4 and its relay, Teredo, NAT64.
    Transition,
    /// No address at all: 0.0.0.0, `::`.
    Unspecified,
    /// Kept by IANA for protocols or for the future; no host is reached by it.
    Reserved,
}

impl Scope {
    /// The scope of an address.
    ///
    /// ```
    /// use ipdiscover::Scope;
    ///
    /// assert_eq!(Scope::of("172.31.5.4".parse()?), Scope::Private);
    /// assert_eq!(Scope::of("172.32.5.4".parse()?), Scope::Public);
    /// assert_eq!(Scope::of("100.64.3.2".parse()?), Scope::SharedCgnat);
    /// assert_eq!(Scope::of("fd12::1".parse()?), Scope::UniqueLocal);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => of_v6(ip),
        }
    }

    /// Whether an address of this scope can be reached from the whole Internet.
    #[must_use]
    pub fn is_public(self) -> bool {
        self == Self::Public
    }

    /// A short lowercase name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::SharedCgnat => "cgnat",
            Self::UniqueLocal => "unique-local",
            Self::SiteLocal => "site-local",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Documentation => "documentation",
            Self::Benchmark => "benchmark",
            Self::Multicast => "multicast",
            Self::Transition => "transition",
            Self::Unspecified => "unspecified",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Networks and their scope. The first that contains the address counts, so
/// exceptions stand before the block they are taken from.
const V4: &[([u8; 4], u32, Scope)] = &[
    ([0, 0, 0, 0], 32, Scope::Unspecified),
    ([0, 0, 0, 0], 8, Scope::Reserved), // "this network"
    ([10, 0, 0, 0], 8, Scope::Private),
    ([100, 64, 0, 0], 10, Scope::SharedCgnat),
    ([127, 0, 0, 0], 8, Scope::Loopback),
    ([169, 254, 0, 0], 16, Scope::LinkLocal),
    ([172, 16, 0, 0], 12, Scope::Private),
    ([192, 0, 0, 9], 32, Scope::Public),  // PCP anycast, RFC 7723
    ([192, 0, 0, 10], 32, Scope::Public), // TURN anycast, RFC 8155
    ([192, 0, 0, 0], 24, Scope::Reserved), // protocol assignments, RFC 6890
    ([192, 0, 2, 0], 24, Scope::Documentation),
    ([192, 88, 99, 0], 24, Scope::Transition), // 6to4 relays, given up by RFC 7526
    ([192, 168, 0, 0], 16, Scope::Private),
    ([198, 18, 0, 0], 15, Scope::Benchmark),
    ([198, 51, 100, 0], 24, Scope::Documentation),
    ([203, 0, 113, 0], 24, Scope::Documentation),
    ([224, 0, 0, 0], 4, Scope::Multicast),
    ([240, 0, 0, 0], 4, Scope::Reserved), // and limited broadcast
];

/// Likewise for IPv6. What no line names is public inside 2000::/3, the only block
/// that IANA hands out for use on the Internet, and reserved outside.
const V6: &[([u16; 8], u32, Scope)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Scope::Unspecified),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Scope::Loopback),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Scope::Transition), // NAT64, RFC 6052
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Scope::Transition), // NAT64, RFC 8215
    ([0x2001, 1, 0, 0, 0, 0, 0, 1], 128, Scope::Public),       // PCP anycast, RFC 7723
    ([0x2001, 1, 0, 0, 0, 0, 0, 2], 128, Scope::Public),       // TURN anycast, RFC 8155
    ([0x2001, 1, 0, 0, 0, 0, 0, 3], 128, Scope::Public),       // DNS-SD anycast, RFC 9665
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Scope::Transition),    // Teredo
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Scope::Benchmark),
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32, Scope::Public), // AMT, RFC 7450
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, Scope::Public), // AS112, RFC 7535
    ([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, Scope::Public), // ORCHIDv2, RFC 7343
    ([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, Scope::Public), // drone identity, RFC 9374
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Scope::Reserved), // protocol assignments
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Scope::Documentation),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Scope::Transition), // 6to4
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Scope::Documentation),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Scope::Public),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Scope::UniqueLocal),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Scope::LinkLocal),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Scope::SiteLocal),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Scope::Multicast),
];

fn of_v4(ip: Ipv4Addr) -> Scope {
    let found = V4.iter().find(|(network, length, _)| {
        let differing = ip.to_bits() ^ Ipv4Addr::from(*network).to_bits();
        differing.leading_zeros() >= *length
    });
    found.map_or(Scope::Public, |(_, _, scope)| *scope)
}

fn of_v6(ip: Ipv6Addr) -> Scope {
    let found = V6.iter().find(|(network, length, _)| {
        let differing = ip.to_bits() ^ Ipv6Addr::from(*network).to_bits();
        differing.leading_zeros() >= *length
    });
    found.map_or(Scope::Reserved, |(_, _, scope)| *scope)
}
