//! The kinds of programs this crate attaches.

use std::fmt;

/// A kind of program, by the way it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProgramKind {
    /// `xdp`, `xdp.frags`: packets as they arrive on an interface.
    Xdp,
    /// `classifier`, `tc`, `tcx/ingress`, `tcx/egress`: packets of an interface, both ways.
    Tc,
    /// `cgroup_skb/ingress`, `cgroup_skb/egress`: packets of a cgroup's sockets.
    CgroupSkb,
    /// `cgroup/connect4` and its relatives: addresses that a cgroup's sockets use.
    CgroupSockAddr,
    /// `tracepoint/CATEGORY/NAME`.
    Tracepoint,
    /// `raw_tp/NAME`.
    RawTracepoint,
    /// `tp_btf/NAME`.
    BtfTracepoint,
    /// `kprobe/SYMBOL`.
    Kprobe,
    /// `kretprobe/SYMBOL`.
    Kretprobe,
    /// `uprobe/PATH:SYMBOL`.
    Uprobe,
    /// `uretprobe/PATH:SYMBOL`.
    Uretprobe,
    /// `fentry/FUNCTION`.
    Fentry,
    /// `fexit/FUNCTION`.
    Fexit,
    /// `lsm/HOOK`.
    Lsm,
    /// `perf_event`: a sample of a clock.
    PerfEvent,
}

impl ProgramKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Xdp,
        Self::Tc,
        Self::CgroupSkb,
        Self::CgroupSockAddr,
        Self::Tracepoint,
        Self::RawTracepoint,
        Self::BtfTracepoint,
        Self::Kprobe,
        Self::Kretprobe,
        Self::Uprobe,
        Self::Uretprobe,
        Self::Fentry,
        Self::Fexit,
        Self::Lsm,
        Self::PerfEvent,
    ];

    /// The name used in settings and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::CgroupSkb => "cgroup_skb",
            Self::CgroupSockAddr => "cgroup_sock_addr",
            Self::Tracepoint => "tracepoint",
            Self::RawTracepoint => "raw_tp",
            Self::BtfTracepoint => "tp_btf",
            Self::Kprobe => "kprobe",
            Self::Kretprobe => "kretprobe",
            Self::Uprobe => "uprobe",
            Self::Uretprobe => "uretprobe",
            Self::Fentry => "fentry",
            Self::Fexit => "fexit",
            Self::Lsm => "lsm",
            Self::PerfEvent => "perf_event",
        }
    }

    /// The kind of that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether each run of it handles one packet.
    #[must_use]
    pub fn is_per_packet(self) -> bool {
        matches!(self, Self::Xdp | Self::Tc | Self::CgroupSkb)
    }

    /// Kinds whose function is found by its BTF id, when they are loaded.
    pub(crate) fn is_bound_at_load(self) -> bool {
        matches!(
            self,
            Self::BtfTracepoint | Self::Fentry | Self::Fexit | Self::Lsm
        )
    }

    /// Kinds whose links take another program in place.
    pub(crate) fn link_is_updatable(self) -> bool {
        matches!(
            self,
            Self::Xdp | Self::Tc | Self::CgroupSkb | Self::CgroupSockAddr
        )
    }

    /// `BPF_PROG_TYPE_*`.
    pub(crate) fn program_type(self) -> u32 {
        match self {
            Self::Kprobe | Self::Kretprobe | Self::Uprobe | Self::Uretprobe => 2,
            Self::Tc => 3,
            Self::Tracepoint => 5,
            Self::Xdp => 6,
            Self::PerfEvent => 7,
            Self::CgroupSkb => 8,
            Self::RawTracepoint => 17,
            Self::CgroupSockAddr => 18,
            Self::BtfTracepoint | Self::Fentry | Self::Fexit => 26,
            Self::Lsm => 29,
        }
    }
}

impl fmt::Display for ProgramKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
