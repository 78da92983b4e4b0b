//! The way into the kernel: only what was verified and unpacked gets through here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bpf_artifact::{Attach, Direction, OnAgentExit, Package, Target, XdpMode};
use bpf_host::{Artifact, Error, Host, LocalPolicy, OnExit, Places, ProgramKind, ScannedObject};
use bpf_lifecycle::{Deadline, Failure};
use serde_json::Value;

use crate::cli::Programs;

/// Opens the kernel's side; what an earlier process left attached is found.
pub(super) fn open(programs: &Programs, proc: &Path, sys: &Path) -> Result<Host, String> {
    let policy = LocalPolicy {
        protected_interfaces: programs.protected_interfaces.iter().cloned().collect(),
        ..LocalPolicy::default()
    };
    let places = places(proc, sys, programs.pins.clone());
    let why = match Host::open(places.clone(), policy.clone()) {
        Ok(host) => return Ok(host),
        // Another agent at work must not be run over.
        Err(error @ Error::Refused(bpf_host::Refusal::Busy(_))) => return Err(error.to_string()),
        Err(error) => error,
    };
    tracing::warn!(error = %why, "no program can outlive the agent");
    let places = Places {
        pins: None,
        ..places
    };
    Host::open(places, policy).map_err(|error| error.to_string())
}

/// A kind of programs, the verdict on it, and the reason where it does not work.
pub(crate) type Kind = (&'static str, &'static str, Option<String>);

/// What the running kernel takes, found out by trying.
pub(super) fn kinds(host: &Host) -> Vec<Kind> {
    let of = |support: bpf_host::Support| {
        let reason = support.verdict.reason().map(ToOwned::to_owned);
        (support.kind.name(), support.verdict.name(), reason)
    };
    host.probe().into_iter().map(of).collect()
}

/// The same without anything that runs: pins are not looked at.
pub(crate) fn kinds_here(proc: &Path, sys: &Path) -> Result<Vec<Kind>, String> {
    let places = places(proc, sys, None);
    let host = Host::open(places, LocalPolicy::default()).map_err(|error| error.to_string())?;
    Ok(kinds(&host))
}

fn places(proc: &Path, sys: &Path, pins: Option<PathBuf>) -> Places {
    Places {
        proc_root: proc.to_owned(),
        sys_root: sys.to_owned(),
        tracefs: None,
        cgroup_root: cgroup_root(sys),
        pins,
    }
}

/// Where cgroup2 is: on hosts with both versions, beside the older one.
fn cgroup_root(sys: &Path) -> PathBuf {
    let usual = sys.join("fs/cgroup");
    let hybrid = usual.join("unified");
    if !usual.join("cgroup.controllers").exists() && hybrid.join("cgroup.controllers").exists() {
        hybrid
    } else {
        usual
    }
}

/// What a load is told besides the package.
pub(super) struct Terms<'a> {
    pub(super) slot: &'a str,
    pub(super) deadline: Deadline,
}

/// Loads a package and attaches it, in place of what is in its slot. Nothing else in the agent hands bytes to the kernel.
pub(super) fn load(host: &mut Host, package: &Package, terms: &Terms<'_>) -> Result<(), NotLoaded> {
    with_artifact(package, terms, |artifact| host.load(artifact))
}

/// Does all of that but attaching; nothing remains in the kernel.
pub(super) fn rehearse(host: &Host, package: &Package, terms: &Terms<'_>) -> Result<(), NotLoaded> {
    with_artifact(package, terms, |artifact| host.rehearse(artifact))
}

fn with_artifact(
    package: &Package,
    terms: &Terms<'_>,
    work: impl FnOnce(&Artifact<'_>) -> Result<(), Error>,
) -> Result<(), NotLoaded> {
    let targets = targets(package)?;
    let digest = package.archive_digest().to_string();
    let artifact = Artifact {
        slot: terms.slot,
        digest: &digest,
        object: package.object(),
        targets,
        parameters: parameters(package),
        on_exit: on_exit(package),
        deadline: moment(terms.deadline),
    };
    Ok(work(&artifact)?)
}

/// Why a load came to nothing, and what the verifier wrote if it was asked.
#[derive(Debug)]
pub(super) struct NotLoaded {
    pub(super) failure: Failure,
    pub(super) verifier: Option<String>,
}

impl From<Error> for NotLoaded {
    fn from(error: Error) -> Self {
        let verifier = match &error {
            Error::Kernel(kernel) => kernel.verifier.as_ref().map(|log| log.text().to_owned()),
            _ => None,
        };
        Self {
            failure: Failure {
                by_verifier: verifier.is_some(),
                message: error.to_string(),
            },
            verifier,
        }
    }
}

impl From<String> for NotLoaded {
    fn from(message: String) -> Self {
        Self {
            failure: Failure {
                by_verifier: false,
                message,
            },
            verifier: None,
        }
    }
}

/// The moment of the boot clock that is kept beside the pins.
pub(super) fn moment(deadline: Deadline) -> Option<Duration> {
    let seconds = u64::try_from(deadline.boottime_seconds).ok()?;
    Some(Duration::from_secs(seconds))
}

pub(super) fn parameters(package: &Package) -> Value {
    package
        .parameters()
        .map_or(Value::Null, |parameters| Value::Object(parameters.clone()))
}

pub(super) fn on_exit(package: &Package) -> OnExit {
    match package.manifest().map(|manifest| manifest.on_agent_exit) {
        Some(OnAgentExit::Persist) => OnExit::Persist,
        _ => OnExit::Detach,
    }
}

/// Whether the kind stands in the way of packets or of the agent's own calls.
pub(super) fn can_cut_off(kind: ProgramKind) -> bool {
    matches!(
        kind,
        ProgramKind::Xdp
            | ProgramKind::Tc
            | ProgramKind::CgroupSkb
            | ProgramKind::CgroupSockAddr
            | ProgramKind::Lsm
    )
}

/// Where the signer wants each program.
fn targets(package: &Package) -> Result<BTreeMap<String, Vec<bpf_host::Target>>, String> {
    let Some(manifest) = package.manifest() else {
        return Ok(BTreeMap::new());
    };
    let object = ScannedObject::read(package.object()).map_err(|error| error.to_string())?;
    let mut targets: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for attach in &manifest.attach {
        let kind = object
            .programs()
            .iter()
            .find(|program| program.name == attach.program)
            .map(|program| program.kind)
            .ok_or_else(|| {
                format!(
                    "the manifest attaches `{}`, which the object does not have",
                    attach.program
                )
            })?;
        let target = target(attach, kind)?;
        targets
            .entry(attach.program.clone())
            .or_default()
            .push(target);
    }
    Ok(targets)
}

fn target(attach: &Attach, kind: ProgramKind) -> Result<bpf_host::Target, String> {
    use bpf_host::Target as Place;
    let unfit = |what: &str| {
        Err(format!(
            "`{}` is of the kind {kind} and cannot be attached to {what}",
            attach.program
        ))
    };
    match (&attach.to, kind) {
        (Target::Interface { name, mode, .. }, ProgramKind::Xdp) => Ok(Place::Xdp {
            interface: name.clone(),
            mode: match mode {
                None => bpf_host::XdpMode::Any,
                Some(XdpMode::Skb) => bpf_host::XdpMode::Generic,
                Some(XdpMode::Driver) => bpf_host::XdpMode::Driver,
            },
        }),
        (
            Target::Interface {
                name, direction, ..
            },
            ProgramKind::Tc,
        ) => Ok(Place::Tc {
            interface: name.clone(),
            direction: match direction {
                Some(Direction::Egress) => bpf_host::Direction::Egress,
                Some(Direction::Ingress) => bpf_host::Direction::Ingress,
                None => return unfit("an interface without a direction"),
            },
        }),
        (Target::Interface { .. }, _) => unfit("an interface"),
        (Target::Cgroup { path }, ProgramKind::CgroupSkb | ProgramKind::CgroupSockAddr) => {
            Ok(Place::Cgroup { path: path.into() })
        }
        (Target::Cgroup { .. }, _) => unfit("a cgroup"),
        (Target::Hook { name }, kind) => hook(name, kind).map_or_else(|| unfit("a hook"), Ok),
        (Target::UserFunction { pid: Some(_), .. }, _) => unfit("a single process"),
        (
            Target::UserFunction {
                path,
                symbol,
                offset,
                ..
            },
            ProgramKind::Uprobe | ProgramKind::Uretprobe,
        ) => Ok(Place::Uprobe {
            binary: path.into(),
            symbol: Some(symbol.clone()),
            offset: *offset,
        }),
        (Target::UserFunction { .. }, _) => unfit("a function of a program"),
        (Target::Clock { frequency_hz }, ProgramKind::PerfEvent) => Ok(Place::CpuClock {
            hertz: *frequency_hz,
        }),
        (Target::Clock { .. }, _) => unfit("a clock"),
        _ => unfit("that"),
    }
}

fn hook(name: &str, kind: ProgramKind) -> Option<bpf_host::Target> {
    use bpf_host::Target as Place;
    let name = name.to_owned();
    match kind {
        ProgramKind::Tracepoint => {
            let (category, name) = name.split_once('/')?;
            Some(Place::Tracepoint {
                category: category.to_owned(),
                name: name.to_owned(),
            })
        }
        ProgramKind::RawTracepoint | ProgramKind::BtfTracepoint => {
            Some(Place::RawTracepoint { name })
        }
        ProgramKind::Kprobe | ProgramKind::Kretprobe => Some(Place::Kprobe {
            symbol: name,
            offset: 0,
        }),
        ProgramKind::Fentry | ProgramKind::Fexit => Some(Place::Function { name }),
        ProgramKind::Lsm => Some(Place::Lsm { hook: name }),
        _ => None,
    }
}
