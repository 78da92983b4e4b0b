//! The names of interfaces that only containers and virtual machines use.

/// Names of interfaces whose addresses are of no use outside this host: the
/// bridges and tunnels of containers and virtual machines.
///
/// A pattern is a name in which `*` stands for any number of characters (also
/// none) and `?` for exactly one; everything else stands for itself.
///
/// ```
/// use ipdiscover::Patterns;
///
/// let patterns = Patterns::default();
/// assert!(patterns.matches("docker0"));
/// assert!(patterns.matches("br-1a2b3c4d5e6f")); // a network of Docker
/// assert!(!patterns.matches("vmbr0")); // the host's own bridge
/// assert!(!patterns.matches("br-lan")); // the same, on OpenWrt
///
/// let mine = Patterns::new(["docker*", "lab-?"]);
/// assert!(mine.matches("lab-7") && !mine.matches("virbr0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns {
    patterns: Vec<String>,
}

impl Patterns {
    /// The patterns of [`Patterns::default`].
    ///
    /// Docker names the bridge of a network `br-` and twelve digits, which fills the
    /// fifteen characters a name may have. `br-*` would be too wide: hosts have their
    /// own `br-lan` (OpenWrt), `br-ex` and `br-mgmt` (OpenStack), and losing the
    /// address of one of those is worse than listing one bridge too many.
    pub const DEFAULT: &[&str] = &[
        "docker*",         // docker0, docker_gwbridge
        "br-????????????", // networks of Docker
        "veth*",           // host's end of a container's cable
        "cni*",            // Kubernetes, CRI-O
        "podman*",
        "nerdctl*",
        "virbr*", // libvirt
        "vnet*",
        "lxcbr*",
        "lxdbr*",
        "incusbr*",
        "ve-*", // systemd-nspawn
        "vb-*",
        "vz-*",
        "flannel*",
        "cali*", // Calico
        "vxlan.calico",
        "cilium_*",
        "weave*",
        "kube-*", // kube-ipvs0, kube-bridge
    ];

    /// These patterns and no others. An empty list recognises nothing.
    pub fn new<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self {
            patterns: patterns.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether one of the patterns stands for this whole name.
    #[must_use]
    pub fn matches(&self, interface: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| glob(pattern.as_bytes(), interface.as_bytes()))
    }
}

impl Default for Patterns {
    fn default() -> Self {
        Self::new(Self::DEFAULT.iter().copied())
    }
}

/// The usual greedy match that goes back to the last `*` only, so that its time is
/// bounded by the product of both lengths.
fn glob(mut pattern: &[u8], mut name: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((b'*', after)), _) => {
                retry = Some((after, name));
                pattern = after;
            }
            (Some((p, after)), Some((n, rest))) if *p == b'?' || p == n => {
                pattern = after;
                name = rest;
            }
            _ => {
                let Some((after, [_, rest @ ..])) = retry else {
                    return false;
                };
                retry = Some((after, rest));
                pattern = after;
                name = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(
            Patterns::new([pattern]).matches(name),
            expected,
            "{pattern} on {name}"
        );
    }

    #[test]
    fn a_pattern_stands_for_the_whole_name() {
        check("eth0", "eth0", true);
        check("eth0", "eth01", false);
        check("eth0", "eth", false);
        check("", "", true);
        check("", "x", false);
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        check("*", "", true);
        check("*", "anything", true);
        check("br-*", "br-", true);
        check("br-*", "br0", false);
        check("*0", "docker0", true);
        check("*0", "docker01", false);
        check("a*b*c", "aXbYbZc", true);
        check("a*b*c", "aXbYbZ", false);
        check("**x**", "x", true);
        check("*aab", "aaaaaaaaab", true);
    }

    #[test]
    fn a_question_mark_stands_for_one_character() {
        check("eth?", "eth0", true);
        check("eth?", "eth", false);
        check("eth?", "eth10", false);
        check("?*", "", false);
    }

    #[test]
    fn other_signs_have_no_meaning() {
        check("[a-z]", "a", false);
        check("[a-z]", "[a-z]", true);
        check("eth.5", "ethx5", false);
    }

    #[test]
    fn the_defaults_know_container_interfaces() {
        let defaults = Patterns::default();
        for name in [
            "docker0",
            "docker_gwbridge",
            "br-1234567890ab",
            "veth1a2b3c4",
            "cni0",
            "cni-podman0",
            "podman0",
            "podman1",
            "virbr0",
            "virbr0-nic",
            "lxcbr0",
            "lxdbr0",
            "incusbr0",
            "flannel.1",
            "cali0123456789a",
            "vxlan.calico",
            "cilium_host",
            "kube-ipvs0",
            "weave",
        ] {
            assert!(defaults.matches(name), "{name}");
        }
    }

    #[test]
    fn the_defaults_leave_the_hosts_own_interfaces_alone() {
        let defaults = Patterns::default();
        for name in [
            "eth0",
            "ens3",
            "enp1s0",
            "eno1",
            "wlan0",
            "bond0",
            "team0",
            "br0",
            "br1",
            "vmbr0",
            "vmbr1",
            "xenbr0",
            "br-lan",
            "br-wan",
            "br-ex",
            "br-mgmt",
            "bridge0",
            "venet0",
            "wg0",
            "tun0",
            "tap0",
            "ppp0",
            "tailscale0",
            "lo",
            "vlan100",
            "eth0.100",
        ] {
            assert!(!defaults.matches(name), "{name}");
        }
    }
}
