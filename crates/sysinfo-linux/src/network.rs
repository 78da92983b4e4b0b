//! Networks: what each interface carried, and which of them count so that each byte counts once.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::error::Result;
use crate::file::{read_first_line, read_whole};
use crate::host::Host;
use crate::parse::{Interface, Received, Sent};

/// An interface, what it carried, and whether that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name; any bytes but `/` and white space.
    pub name: OsString,
    /// What came in.
    pub received: Received,
    /// What went out.
    pub sent: Sent,
    /// Whether it is the host's own connection to the outside. Sums over these count each byte
    /// once.
    pub physical: bool,
    /// Why it is, or is not.
    pub kind: NetworkKind,
}

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkKind {
    /// Has a device behind it: a card, virtio, an elastic adapter. Counts, in a bond or bridge too.
    Hardware,
    /// Has a device behind it, but its traffic is counted by another one: the fast path of a cloud
    /// adapter, a port of a switch chip, a CAN bus.
    Subordinate,
    /// The inner end of a container's connection. Counts where there is no hardware.
    Uplink,
    /// Nothing else is known of it, but its name is one of a connection: `eth0`, `venet0`. Counts.
    Named,
    /// The only one besides the loopback. Counts.
    Only,
    /// The loopback.
    Loopback,
    /// Joins hardware to one: its members count.
    Bond,
    /// A switch: its members count.
    Bridge,
    /// A part of another interface.
    Vlan,
    /// Wraps traffic that another interface carries: tun, tap, WireGuard, ppp.
    Tunnel,
    /// Any other invention of the kernel: veth, dummy, macvlan.
    Virtual,
}

impl NetworkKind {
    /// A short name, for labels and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Subordinate => "subordinate",
            Self::Uplink => "uplink",
            Self::Named => "named",
            Self::Only => "only",
            Self::Loopback => "loopback",
            Self::Bond => "bond",
            Self::Bridge => "bridge",
            Self::Vlan => "vlan",
            Self::Tunnel => "tunnel",
            Self::Virtual => "virtual",
        }
    }

    fn counts(self) -> bool {
        matches!(
            self,
            Self::Hardware | Self::Uplink | Self::Named | Self::Only
        )
    }
}

impl Host {
    /// Every interface, what it carried, and whether it is the host's own connection.
    ///
    /// What has a device behind it counts; bonds, bridges, VLANs and tunnels over it do not. Where
    /// nothing has a device (a container, OpenVZ), the inner end of a veth or macvlan counts, else
    /// what is named like a connection, else the only interface there is.
    ///
    /// # Errors
    ///
    /// When `net/dev` cannot be read, or none of its lines be understood.
    pub fn networks(&mut self) -> Result<Vec<Network>> {
        let interfaces = self.interfaces()?;
        let class = self.root().sys().join("class/net");
        let mut networks: Vec<Network> = interfaces
            .into_iter()
            .map(|interface| Network::new(interface, &class))
            .collect();
        if !networks.iter().any(|it| it.kind.counts()) {
            promote_uplinks(&mut networks, &class);
        }
        for network in &mut networks {
            network.physical = network.kind.counts();
        }
        Ok(networks)
    }
}

impl Network {
    fn new(interface: Interface, class: &Path) -> Self {
        let kind = kind_of(&interface.name, class);
        Self {
            name: interface.name,
            received: interface.received,
            sent: interface.sent,
            physical: false,
            kind,
        }
    }
}

/// Types of interfaces, from the kernel's `if_arp.h`.
const LOOPBACK: u64 = 772;
const CAN: u64 = 280;
const PPP: u64 = 512;

fn kind_of(name: &OsStr, class: &Path) -> NetworkKind {
    let link = class.join(name);
    let has = |what: &str| link.join(what).exists();
    let link_type = number_in(&link.join("type"));
    let Some(link_type) = link_type else {
        return kind_by_name(name.as_bytes());
    };
    if link_type == LOOPBACK {
        return NetworkKind::Loopback;
    }
    let uevent = read_whole(&link.join("uevent")).unwrap_or_default();
    let device_type = device_type(&uevent);
    if has("device") {
        // The master of a cloud adapter's fast path is hardware too, and counts for both.
        let is_part = link_type == CAN || device_type == b"dsa" || has("master/device");
        return if is_part {
            NetworkKind::Subordinate
        } else {
            NetworkKind::Hardware
        };
    }
    match device_type {
        b"bond" | b"team" => NetworkKind::Bond,
        b"bridge" => NetworkKind::Bridge,
        b"vlan" => NetworkKind::Vlan,
        b"wireguard" | b"ppp" | b"vxlan" | b"geneve" | b"gre" | b"gretap" | b"ip6gre" => {
            NetworkKind::Tunnel
        }
        _ if has("bonding") => NetworkKind::Bond,
        _ if has("bridge") => NetworkKind::Bridge,
        _ if has("tun_flags") || link_type == PPP => NetworkKind::Tunnel,
        _ => NetworkKind::Virtual,
    }
}

/// In a container nothing has a device: what leads out of it counts.
fn promote_uplinks(networks: &mut [Network], class: &Path) {
    let links: Vec<Option<(u64, u64)>> = networks
        .iter()
        .map(|network| {
            let link = class.join(&network.name);
            Some((
                number_in(&link.join("ifindex"))?,
                number_in(&link.join("iflink"))?,
            ))
        })
        .collect();
    let pairs: HashSet<(u64, u64)> = links.iter().flatten().copied().collect();
    let mut any = false;
    for (network, link) in networks.iter_mut().zip(&links) {
        let leads_out = link.is_some_and(|(own, other)| {
            own != other && !pairs.contains(&(other, own)) && !is_on_top(&class.join(&network.name))
        });
        if network.kind == NetworkKind::Virtual && leads_out {
            network.kind = NetworkKind::Uplink;
            any = true;
        }
    }
    if !any {
        promote_venet_or_the_only_one(networks);
    }
}

/// `venet0` is all that an OpenVZ container has; its host has one too, beside the hardware.
fn promote_venet_or_the_only_one(networks: &mut [Network]) {
    let mut is_venet = |network: &&mut Network| network.name.as_bytes().starts_with(b"venet");
    if let Some(venet) = networks.iter_mut().find(&mut is_venet) {
        venet.kind = NetworkKind::Named;
        return;
    }
    let mut others: Vec<&mut Network> = networks
        .iter_mut()
        .filter(|network| network.kind != NetworkKind::Loopback)
        .collect();
    if let [only] = others.as_mut_slice() {
        only.kind = NetworkKind::Only;
    }
}

/// Whether an interface stands on another one that can be seen here.
fn is_on_top(link: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(link) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().as_bytes().starts_with(b"lower_"))
}

/// What the kernel calls the type of device: `vlan` in `DEVTYPE=vlan`.
fn device_type(uevent: &[u8]) -> &[u8] {
    uevent
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"DEVTYPE="))
        .unwrap_or_default()
}

fn number_in(path: &Path) -> Option<u64> {
    read_first_line(path).ok()??.parse().ok()
}

/// Without sys, names must do: only those that the kernel or udev gives to connections count.
fn kind_by_name(name: &[u8]) -> NetworkKind {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|it| name.starts_with(it.as_bytes()));
    if name == b"lo" {
        NetworkKind::Loopback
    } else if name.contains(&b'.') {
        NetworkKind::Vlan
    } else if starts(&["bond", "team"]) {
        NetworkKind::Bond
    } else if starts(&[
        "br", "docker", "virbr", "vmbr", "cni", "lxcbr", "lxdbr", "incusbr",
    ]) {
        NetworkKind::Bridge
    } else if starts(&[
        "tun",
        "tap",
        "wg",
        "ppp",
        "sit",
        "gre",
        "ip6tnl",
        "tailscale",
    ]) {
        NetworkKind::Tunnel
    } else if starts(&["eth", "en", "em", "wl", "ww", "ib", "seth"]) || is_slot(name) {
        NetworkKind::Named
    } else {
        NetworkKind::Virtual
    }
}

/// `p3p1`: port 1 of the card in slot 3.
fn is_slot(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| *byte == b'p');
    parts.next() == Some(b"")
        && parts.clone().count() == 2
        && parts.all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
}
