//! What the running kernel takes, found out by trying.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use crate::places::Places;
use crate::syscall;
use crate::{Host, ProgramKind};

/// What the kernel says about one kind of programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Support {
    /// The kind.
    pub kind: ProgramKind,
    /// The verdict.
    pub verdict: Verdict,
}

/// Whether programs of a kind can be loaded and attached here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// A trial went through.
    Works,
    /// This kernel does not take the kind, whoever asks; with the reason.
    Refused(String),
    /// This process may not do it; with what is missing.
    NeedsCapability(String),
    /// Something that can be mounted or set up is missing; with what.
    NeedsSetup(String),
}

impl Verdict {
    /// Whether a trial went through.
    #[must_use]
    pub fn works(&self) -> bool {
        *self == Self::Works
    }

    /// `works`, `refused`, `needs_capability` or `needs_setup`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Refused(_) => "refused",
            Self::NeedsCapability(_) => "needs_capability",
            Self::NeedsSetup(_) => "needs_setup",
        }
    }

    /// The reason, if it does not work.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Works => None,
            Self::Refused(reason) | Self::NeedsCapability(reason) | Self::NeedsSetup(reason) => {
                Some(reason)
            }
        }
    }
}

impl Host {
    /// Tries every kind: loads a program of two instructions, and looks at what attaching needs.
    /// Nothing is attached, nothing remains.
    #[must_use]
    pub fn probe(&self) -> Vec<Support> {
        let places = self.places();
        let control = Trial::of(ProgramKind::Xdp);
        let may_load = control == Trial::Taken;
        let verdict = |kind| match Trial::of(kind) {
            Trial::Taken => to_attach(kind, places),
            Trial::Forbidden if may_load => Verdict::Refused(
                "the kernel refuses to load this kind, before its verifier looks at it".to_owned(),
            ),
            Trial::Forbidden => Verdict::NeedsCapability(needed(kind).to_owned()),
            Trial::Unknown(why) => Verdict::Refused(why),
        };
        ProgramKind::ALL
            .into_iter()
            .map(|kind| Support {
                kind,
                verdict: verdict(kind),
            })
            .collect()
    }
}

/// What became of a trial load.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trial {
    Taken,
    Forbidden,
    Unknown(String),
}

impl Trial {
    fn of(kind: ProgramKind) -> Self {
        let attach_type = match kind {
            ProgramKind::Xdp => 37,
            ProgramKind::CgroupSockAddr => 10,
            ProgramKind::BtfTracepoint => 23,
            ProgramKind::Fentry => 24,
            ProgramKind::Fexit => 25,
            ProgramKind::Lsm => 27,
            _ => 0,
        };
        match syscall::load_trial(kind.program_type(), attach_type) {
            (Ok(_), _) => Self::Taken,
            // Without a function to bind to, this is as far as a trial gets.
            (Err(_), log) if log.contains("must provide btf_id") => Self::Taken,
            (Err(error), _) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => {
                Self::Forbidden
            }
            (Err(error), log) if log.is_empty() => {
                Self::Unknown(format!("the kernel does not know this kind ({error})"))
            }
            (Err(error), log) => Self::Unknown(format!(
                "{error}: {}",
                log.lines().next_back().unwrap_or_default()
            )),
        }
    }
}

fn needed(kind: ProgramKind) -> &'static str {
    match kind {
        ProgramKind::Xdp
        | ProgramKind::Tc
        | ProgramKind::CgroupSkb
        | ProgramKind::CgroupSockAddr => "CAP_BPF and CAP_NET_ADMIN",
        _ => "CAP_BPF and CAP_PERFMON",
    }
}

/// What attaching needs beyond loading.
fn to_attach(kind: ProgramKind, places: &Places) -> Verdict {
    match kind {
        ProgramKind::Lsm => lsm(places),
        ProgramKind::Kprobe | ProgramKind::Kretprobe => probe_source(places, "kprobe"),
        ProgramKind::Uprobe | ProgramKind::Uretprobe => probe_source(places, "uprobe"),
        ProgramKind::Tc => tcx(),
        ProgramKind::Tracepoint => tracefs(places),
        ProgramKind::CgroupSkb | ProgramKind::CgroupSockAddr => {
            match crate::cgroup::open(&places.cgroup_root, std::path::Path::new("/")) {
                Ok(_) => Verdict::Works,
                Err(error) => Verdict::NeedsSetup(format!(
                    "no cgroup2 at {}: {error}",
                    places.cgroup_root.display()
                )),
            }
        }
        _ => Verdict::Works,
    }
}

/// An LSM program can be loaded and attached where it never runs: only the list of active modules tells.
pub(crate) fn lsm(places: &Places) -> Verdict {
    let path = places.sys_root.join("kernel/security/lsm");
    match fs::read_to_string(&path) {
        Ok(list) if list.trim().split(',').any(|name| name == "bpf") => Verdict::Works,
        Ok(list) => Verdict::Refused(format!(
            "`bpf` is not among the active security modules ({}); programs would never run (boot with lsm=..,bpf)",
            list.trim()
        )),
        Err(error) => Verdict::NeedsSetup(format!(
            "{}: {error}; without it nobody knows whether programs would run",
            path.display()
        )),
    }
}

fn probe_source(places: &Places, name: &str) -> Verdict {
    let path = places
        .sys_root
        .join("bus/event_source/devices")
        .join(name)
        .join("type");
    match fs::metadata(&path) {
        Ok(_) => Verdict::Works,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Verdict::Refused(format!(
            "this kernel has no {name} events ({} is missing)",
            path.display()
        )),
        Err(error) => Verdict::NeedsSetup(format!("{}: {error}", path.display())),
    }
}

fn tracefs(places: &Places) -> Verdict {
    let events = places.tracefs().join("events");
    match fs::read_dir(&events) {
        Ok(_) => Verdict::Works,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Verdict::NeedsCapability(format!("CAP_DAC_READ_SEARCH, to read {}", events.display()))
        }
        Err(error) => Verdict::NeedsSetup(format!(
            "no tracefs at {}: {error}",
            places.tracefs().display()
        )),
    }
}

/// Tries to attach to an interface that cannot be: a kernel with TCX looks for it, another does not know the call.
fn tcx() -> Verdict {
    const NO_INTERFACE: u32 = 0x7fff_fff0;
    let (Ok(program), _) = syscall::load_trial(ProgramKind::Tc.program_type(), 0) else {
        return Verdict::Works;
    };
    match syscall::create_link(
        program.as_fd(),
        NO_INTERFACE,
        crate::section_meaning::TCX_INGRESS,
        0,
    ) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            Verdict::Refused("this kernel has no TCX (needs 6.6)".to_owned())
        }
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            Verdict::NeedsCapability("CAP_NET_ADMIN".to_owned())
        }
        _ => Verdict::Works,
    }
}
