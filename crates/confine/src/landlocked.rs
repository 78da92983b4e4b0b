//! A profile's rules about files, ports and neighbours, given to the kernel's Landlock.

use std::fs;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    NetPort, PathBeneath, PathFd, PathFdError, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use crate::{Access, Error, FileRule, Landlocked, Profile};

/// The newest version that this was written for and tested with.
const NEWEST: ABI = ABI::V6;

/// What came with which version, in the words of [`Report::shortcomings`](crate::Report::shortcomings).
const FILES_ACROSS: (ABI, &str) = (ABI::V2, "let files be moved between folders (Linux 5.19)");
const TRUNCATING: (ABI, &str) = (ABI::V3, "refuse to truncate files (Linux 6.2)");
const PORTS: (ABI, &str) = (ABI::V4, "restrict TCP ports (Linux 6.7)");
const DEVICES: (ABI, &str) = (ABI::V5, "refuse commands to devices (Linux 6.10)");
const NEIGHBOURS: (ABI, &str) = (
    ABI::V6,
    "restrict abstract sockets and signals (Linux 6.12)",
);

pub(crate) fn restrict(profile: &Profile) -> Result<Landlocked, Error> {
    let mut told = Landlocked::default();
    let status = rules(profile, &mut told)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| refused(&error))?;
    let abi = in_force(&status)?;
    told.abi = abi as u32;
    told.lacking = wanted(profile)
        .filter(|(since, _)| abi < *since)
        .map(|(_, what)| what)
        .collect();
    Ok(told)
}

fn rules(profile: &Profile, told: &mut Landlocked) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    if profile.files.is_some() {
        ruleset = ruleset.handle_access(AccessFs::from_all(NEWEST))?;
    }
    if profile.tcp_bind.is_some() {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    if profile.tcp_connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    if profile.no_abstract_sockets {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    if profile.no_signals {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    let mut ruleset = ruleset.create()?;
    for rule in profile.files.iter().flatten() {
        ruleset = with_file(ruleset, rule, told)?;
    }
    for port in profile.tcp_bind.iter().flatten() {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in profile.tcp_connect.iter().flatten() {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(ruleset)
}

fn with_file(
    ruleset: RulesetCreated,
    rule: &FileRule,
    told: &mut Landlocked,
) -> Result<RulesetCreated, RulesetError> {
    let opened = fs::metadata(&rule.path).and_then(|meta| Ok((meta.is_dir(), open(&rule.path)?)));
    let Ok((folder, file)) = opened else {
        // What is not there, or out of this process's reach, cannot be allowed.
        told.absent.push(rule.path.clone());
        return Ok(ruleset);
    };
    let mut access = allowed(rule.access);
    if !folder {
        // The others are about what is in a folder, and an error for a file.
        access &= AccessFs::from_file(NEWEST);
    }
    told.rules += 1;
    ruleset.add_rule(PathBeneath::new(file, access))
}

fn open(path: &PathBuf) -> io::Result<PathFd> {
    PathFd::new(path).map_err(|error| match error {
        PathFdError::OpenCall { source, .. } => source,
        other => io::Error::other(other),
    })
}

fn allowed(access: Access) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile});
    match access {
        Access::Read => read,
        Access::Write => read | write | make_bitflags!(AccessFs::{MakeDir | RemoveDir | Refer}),
        Access::WriteOnly => write,
    }
}

/// The versions that the parts of the profile need.
fn wanted(profile: &Profile) -> impl Iterator<Item = (ABI, &'static str)> {
    let files = profile.files.is_some();
    let writes = |rule: &FileRule| rule.access == Access::Write;
    let moves = profile.files.iter().flatten().any(writes);
    let ports = profile.tcp_bind.is_some() || profile.tcp_connect.is_some();
    let neighbours = profile.no_abstract_sockets || profile.no_signals;
    let all = [
        (files && moves, FILES_ACROSS),
        (files, TRUNCATING),
        (ports, PORTS),
        (files, DEVICES),
        (neighbours, NEIGHBOURS),
    ];
    all.into_iter()
        .filter(|(asked, _)| *asked)
        .map(|(_, what)| what)
}

/// The version that counts, if the kernel enforces anything at all.
fn in_force(status: &RestrictionStatus) -> Result<ABI, Error> {
    let why = match (&status.landlock, &status.ruleset) {
        (LandlockStatus::NotImplemented, _) => {
            "this kernel is older than 5.13, or was built without it"
        }
        (LandlockStatus::NotEnabled, _) => {
            "it is switched off in this kernel: add `landlock` to its parameter lsm="
        }
        (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
            "this kernel's version has none of what is asked for"
        }
        (LandlockStatus::Available { effective_abi, .. }, _) => return Ok(*effective_abi),
    };
    Err(Error::Unsupported {
        what: "Landlock",
        why: why.to_owned(),
    })
}

fn refused(error: &RulesetError) -> Error {
    Error::Refused {
        doing: "put Landlock in force",
        source: io::Error::other(error.to_string()),
    }
}
