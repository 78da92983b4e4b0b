//! Where a program is attached: given by the caller, or read from the section name.

use std::fmt;
use std::path::PathBuf;

use crate::ProgramKind;
use crate::section_meaning::{TCX_EGRESS, TCX_INGRESS};

/// Where one program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Packets that arrive on an interface. One program per interface.
    Xdp {
        /// Name of the interface.
        interface: String,
        /// Where on the way the program runs.
        mode: XdpMode,
    },
    /// Packets of an interface (TCX, kernel 6.6). Many programs per interface, this one last.
    Tc {
        /// Name of the interface.
        interface: String,
        /// Which way the packets go.
        direction: Direction,
    },
    /// The sockets of a cgroup and of those below it.
    Cgroup {
        /// Path below the cgroup2 root, as in `/proc/self/cgroup`: `/system.slice/nginx.service`.
        path: PathBuf,
    },
    /// A tracepoint.
    Tracepoint {
        /// Such as `sched`.
        category: String,
        /// Such as `sched_process_exec`.
        name: String,
    },
    /// A tracepoint without its argument conversion; for `raw_tp` and `tp_btf`.
    RawTracepoint {
        /// Such as `sched_process_exec`.
        name: String,
    },
    /// A kernel function, by kprobe.
    Kprobe {
        /// Name of the function.
        symbol: String,
        /// Bytes into it.
        offset: u64,
    },
    /// A function of a program or library in a file.
    Uprobe {
        /// The file.
        binary: PathBuf,
        /// Name of the function; `None` means that `offset` counts from the start of the file.
        symbol: Option<String>,
        /// Bytes into it.
        offset: u64,
    },
    /// A kernel function, by fentry or fexit.
    Function {
        /// Name of the function.
        name: String,
    },
    /// A security decision.
    Lsm {
        /// Such as `file_open`.
        hook: String,
    },
    /// A clock's tick on each processor.
    CpuClock {
        /// Ticks per second.
        hertz: u64,
    },
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver if it can, else generic.
    #[default]
    Any,
    /// In the driver, or not at all.
    Driver,
    /// In the network stack: slower, on every interface.
    Generic,
}

/// Which way packets go, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In.
    Ingress,
    /// Out.
    Egress,
}

impl Target {
    /// Whether a program of that kind can be attached here.
    #[must_use]
    pub fn fits(&self, kind: ProgramKind) -> bool {
        match self {
            Self::Xdp { .. } => kind == ProgramKind::Xdp,
            Self::Tc { .. } => kind == ProgramKind::Tc,
            Self::Cgroup { .. } => {
                matches!(kind, ProgramKind::CgroupSkb | ProgramKind::CgroupSockAddr)
            }
            Self::Tracepoint { .. } => kind == ProgramKind::Tracepoint,
            Self::RawTracepoint { .. } => matches!(
                kind,
                ProgramKind::RawTracepoint | ProgramKind::BtfTracepoint
            ),
            Self::Kprobe { .. } => matches!(kind, ProgramKind::Kprobe | ProgramKind::Kretprobe),
            Self::Uprobe { .. } => matches!(kind, ProgramKind::Uprobe | ProgramKind::Uretprobe),
            Self::Function { .. } => matches!(kind, ProgramKind::Fentry | ProgramKind::Fexit),
            Self::Lsm { .. } => kind == ProgramKind::Lsm,
            Self::CpuClock { .. } => kind == ProgramKind::PerfEvent,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xdp { interface, mode } => write!(f, "interface {interface} ({})", mode.name()),
            Self::Tc {
                interface,
                direction,
            } => write!(f, "interface {interface} ({})", direction.name()),
            Self::Cgroup { path } => write!(f, "cgroup {}", path.display()),
            Self::Tracepoint { category, name } => write!(f, "tracepoint {category}/{name}"),
            Self::RawTracepoint { name } => write!(f, "tracepoint {name}"),
            Self::Kprobe { symbol, offset: 0 } => write!(f, "kernel function {symbol}"),
            Self::Kprobe { symbol, offset } => write!(f, "kernel function {symbol}+{offset:#x}"),
            Self::Uprobe {
                binary,
                symbol,
                offset,
            } => {
                write!(
                    f,
                    "{}:{}+{offset:#x}",
                    binary.display(),
                    symbol.as_deref().unwrap_or("")
                )
            }
            Self::Function { name } => write!(f, "kernel function {name}"),
            Self::Lsm { hook } => write!(f, "security hook {hook}"),
            Self::CpuClock { hertz } => write!(f, "clock at {hertz} Hz"),
        }
    }
}

impl XdpMode {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "any mode",
            Self::Driver => "driver mode",
            Self::Generic => "generic mode",
        }
    }

    /// `XDP_FLAGS_*_MODE`.
    pub(crate) fn flags(self) -> u32 {
        match self {
            Self::Any => 0,
            Self::Generic => 1 << 1,
            Self::Driver => 1 << 2,
        }
    }
}

impl Direction {
    /// The TCX attach type.
    pub(crate) fn attach_type(self) -> u32 {
        match self {
            Self::Ingress => TCX_INGRESS,
            Self::Egress => TCX_EGRESS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}
