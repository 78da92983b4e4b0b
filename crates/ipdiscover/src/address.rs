//! One address of the host and what is known about it.

use std::fmt;
use std::net::IpAddr;

use crate::Scope;

/// One address of the host and what is known about it.
///
/// Made by [`local`](crate::local) or from the answer of a
/// [look-up](crate::public::lookup); [`Address::new`] makes one by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// The length of the network prefix it stands in, where the tables tell it.
    pub prefix_len: Option<u8>,
    /// The interface that holds it. Always known for IPv6. The kernel's IPv4
    /// tables do not name it, so it is found by the routes: `None` where they
    /// leave a choice.
    pub interface: Option<String>,
    /// How far the address reaches.
    pub scope: Scope,
    /// Who said that the host has this address.
    pub origin: Origin,
    /// Whether the address belongs to a bridge (or a similar device) that only
    /// containers and virtual machines of this host use, by the name of its
    /// interface.
    pub container_bridge: bool,
    /// Whether its interface carries the default route of its family (the one of
    /// the lowest metric); `None` where the interface or the route is not known.
    pub default_route: Option<bool>,
    /// IPv6: a temporary (privacy) address, replaced within days (RFC 8981).
    pub temporary: bool,
    /// IPv6: still answers, but is not to be used for new connections. Either its
    /// prefix is being withdrawn, or the operator wants it for incoming traffic only.
    pub deprecated: bool,
    /// IPv6: not in use yet, duplicate address detection is still running.
    pub tentative: bool,
    /// IPv6: another host of the link has the same address, so the kernel does not
    /// use it (`dadfailed`).
    pub duplicate: bool,
}

impl Address {
    /// An address of which nothing is known but itself and who told it.
    ///
    /// ```
    /// use ipdiscover::{Address, Origin, Scope};
    ///
    /// let told = Address::new("9.9.9.9".parse()?, Origin::Service("https://icanhazip.com".into()));
    /// assert_eq!(told.scope, Scope::Public);
    /// assert_eq!(told.interface, None);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn new(ip: IpAddr, origin: Origin) -> Self {
        Self {
            ip,
            prefix_len: None,
            interface: None,
            scope: Scope::of(ip),
            origin,
            container_bridge: false,
            default_route: None,
            temporary: false,
            deprecated: false,
            tentative: false,
            duplicate: false,
        }
    }

    /// The family of the address.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.ip)
    }
}

/// Who said that the host has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The host's own tables.
    Local,
    /// A service outside that saw the host come from this address: its URL.
    Service(String),
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}
