//! What is asked of a [`Host`](crate::Host), and what it answers.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::Value;

use crate::running::Running;
use crate::{ProgramKind, Target, kernel_info};

/// A verified object and what is to be done with it. Who fills this in has verified the object,
/// the targets and the parameters.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    /// The name under which its versions replace each other: letters, digits, `_`, `-`.
    pub slot: &'a str,
    /// What tells this version from others, such as a hash in hex; kept beside the pins.
    pub digest: &'a str,
    /// The ELF object.
    pub object: &'a [u8],
    /// Where each program goes, by its name. A program that is left out goes where its section name says.
    pub targets: BTreeMap<String, Vec<Target>>,
    /// Global variables and maps, by name; `Value::Null` for none.
    pub parameters: Value,
    /// What happens to it when this process ends.
    pub on_exit: OnExit,
    /// When it is to be unloaded, in time since the host was started; kept for [`Host::reap`](crate::Host::reap).
    pub deadline: Option<Duration>,
}

/// What happens to a program when this process ends, in whatever way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// The kernel detaches it at once.
    Detach,
    /// It goes on, held by pins, until somebody unloads it or the host is restarted.
    Persist,
}

/// What a start found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Folders of versions that were unfinished, old, or not understood, and are gone now.
    pub removed: Vec<String>,
    /// Slots whose links had the programs of an unfinished version, and have their own again.
    pub repaired: Vec<String>,
}

/// One attached artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its slot.
    pub slot: String,
    /// The digest it was loaded with.
    pub digest: String,
    /// When it is to be unloaded, in time since the host was started.
    pub deadline: Option<Duration>,
    /// What happens to it when this process ends.
    pub on_exit: OnExit,
    /// Whether its object is known: loaded by this process, or adopted.
    pub adopted: bool,
    /// Where its programs are attached.
    pub links: Vec<LinkStatus>,
}

/// One attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The program.
    pub program: String,
    /// Its kind.
    pub kind: ProgramKind,
    /// Where it is attached.
    pub target: String,
    /// The kernel's number for the link.
    pub id: Option<u32>,
    /// Whether what it was attached to is still there; `None` where the kernel does not say.
    pub attached: Option<bool>,
}

impl Status {
    pub(crate) fn of(slot: &str, running: &Running) -> Self {
        let links = running.links.iter().map(|link| {
            let info = kernel_info::link(link.fd.as_fd()).ok();
            LinkStatus {
                program: link.program.clone(),
                kind: link.place.kind,
                target: link.place.target.clone(),
                id: info.map(|info| info.id),
                attached: info.and_then(|info| info.is_attached()),
            }
        });
        Self {
            slot: slot.to_owned(),
            digest: running.digest.clone(),
            deadline: running.deadline,
            on_exit: if running.pinned.is_some() {
                OnExit::Persist
            } else {
                OnExit::Detach
            },
            adopted: running.object.is_some(),
            links: links.collect(),
        }
    }
}
