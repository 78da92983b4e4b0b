//! One of the rights into which Linux divides what root may do.

use std::fmt;

/// A capability, by its number in the kernel: `CAP_SYS_PTRACE` is [`Capability::SYS_PTRACE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

/// In the kernel's order.
const NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

macro_rules! capabilities {
    ($($name:ident = $number:literal, $about:literal;)*) => {
        impl Capability {
            $(#[doc = $about] pub const $name: Self = Self($number);)*
        }
    };
}

capabilities! {
    CHOWN = 0, "Give files to other users.";
    DAC_OVERRIDE = 1, "Read, write and enter whatever a file's mode says.";
    DAC_READ_SEARCH = 2, "Read and enter whatever a file's mode says.";
    FOWNER = 3, "Do what only a file's owner may.";
    KILL = 5, "Send signals to processes of other users.";
    SETGID = 6, "Change groups.";
    SETUID = 7, "Change users.";
    SETPCAP = 8, "Lower the bounding set.";
    NET_BIND_SERVICE = 10, "Open ports below 1024.";
    NET_ADMIN = 12, "Configure the network.";
    NET_RAW = 13, "Raw and packet sockets.";
    IPC_LOCK = 14, "Lock memory.";
    SYS_PTRACE = 19, "Look into processes of other users.";
    SYS_ADMIN = 21, "Mount, and much else.";
    SYS_NICE = 23, "Raise priorities.";
    SYS_RESOURCE = 24, "Override limits.";
    SYS_TIME = 25, "Set the clock.";
    SYSLOG = 34, "Read the kernel's log.";
    PERFMON = 38, "Observe performance: perf events, tracing programs.";
    BPF = 39, "Load eBPF programs.";
}

impl Capability {
    /// The capability with this number, whatever its name. Numbers above 63 are none.
    pub fn new(number: u8) -> Option<Self> {
        (number < 64).then_some(Self(number))
    }

    /// Its number in the kernel.
    pub fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn bit(self) -> u64 {
        1 << self.0
    }
}

/// Those in a set, in the kernel's order.
pub(crate) fn in_set(bits: u64) -> impl Iterator<Item = Capability> {
    (0..64)
        .map(Capability)
        .filter(move |one| bits & one.bit() != 0)
}

/// `CAP_SYS_PTRACE`; the number where this crate does not know the name.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => write!(f, "CAP_{name}"),
            None => write!(f, "CAP_{}", self.0),
        }
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_the_kernel() {
        // linux/capability.h
        assert_eq!(
            Capability::NET_BIND_SERVICE.to_string(),
            "CAP_NET_BIND_SERVICE"
        );
        assert_eq!(Capability::SYS_PTRACE.to_string(), "CAP_SYS_PTRACE");
        assert_eq!(Capability::BPF.to_string(), "CAP_BPF");
        assert_eq!(
            Capability::new(40).unwrap().to_string(),
            "CAP_CHECKPOINT_RESTORE"
        );
        assert_eq!(Capability::new(63).unwrap().to_string(), "CAP_63");
        assert_eq!(Capability::new(64), None);
        let rustix = rustix::thread::CapabilitySet::SYS_PTRACE | rustix::thread::CapabilitySet::BPF;
        let ours: Vec<Capability> = in_set(rustix.bits()).collect();
        assert_eq!(ours, [Capability::SYS_PTRACE, Capability::BPF]);
    }
}
