//! What should run and what does.

use crate::{ArtifactId, Deadline, Digest, LimitOverrides};

/// One verified entry of the listing: an artifact this host shall run, and on which terms.
///
/// Verification lies before this crate: what the manifest says stands here, not what a registry
/// added to it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Assigned {
    /// The registry's id. Registries give each upload a new one.
    pub id: ArtifactId,
    /// The name, which stays over versions: an artifact replaces the running one of its name.
    /// Without a name, the id serves.
    pub name: String,
    /// The version, for people.
    pub version: String,
    /// The signed serial; a higher one makes the same digest a new issue.
    pub serial: Option<u64>,
    /// What is loaded.
    pub digest: Digest,
    /// For how long, from the first load of this issue. 0 runs not at all.
    pub ttl_seconds: u64,
    /// The signed end, in seconds since 1970.
    pub not_after: Option<i64>,
    /// What its maps are filled with.
    pub parameters_digest: Digest,
    /// Who goes when there are too many: the lowest.
    pub priority: i32,
    /// Never evicted.
    pub protected: bool,
    /// Its own limits, in place of those of the settings.
    pub limits: LimitOverrides,
    /// What becomes of it when the agent ends.
    pub on_exit: OnExit,
}

impl Assigned {
    /// What only one program can have at a time: the name, or the id of one without.
    pub(crate) fn slot(&self) -> &str {
        if self.name.is_empty() {
            self.id.as_str()
        } else {
            &self.name
        }
    }

    /// Whether both stand for one promise of time: a new serial or another digest is a new one.
    pub(crate) fn is_issue_of(&self, digest: Digest, serial: Option<u64>) -> bool {
        self.digest == digest && self.serial <= serial
    }

    /// Whether this is a replay of something older than `other`. Of one digest, an entry without
    /// a serial is older than any with one: it lost its manifest.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        if self.digest == other.digest && self.id == other.id {
            return self.serial < other.serial;
        }
        matches!((self.serial, other.serial), (Some(own), Some(other)) if own < other)
    }
}

/// What becomes of a program when the agent ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum OnExit {
    /// It is unloaded.
    #[default]
    Detach,
    /// It stays, until its deadline.
    Persist,
}

/// What the registry said is assigned to this host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Listing<'a> {
    /// It has just answered. An empty list is an answer: nothing is assigned.
    Fresh(&'a [Assigned]),
    /// Its last answer once more, because no new one was due or the request failed. Starts what is
    /// in it, stops nothing that is not.
    Kept(&'a [Assigned]),
    /// No answer was ever had. Starts nothing, stops nothing.
    Absent,
}

impl<'a> Listing<'a> {
    pub(crate) fn assigned(&self) -> &'a [Assigned] {
        match self {
            Self::Fresh(assigned) | Self::Kept(assigned) => assigned,
            Self::Absent => &[],
        }
    }
}

/// A program that is in the kernel, from the caller's own books about it.
///
/// The running set is the truth: where it and [`Memory`](crate::Memory) differ, it wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The entry it was loaded from, with the changes applied since: what the last step about it
    /// carried.
    pub loaded: Assigned,
    /// When it was loaded, by `CLOCK_BOOTTIME`.
    pub loaded_at: i64,
    /// When it has to be gone: what the last step about it carried.
    pub deadline: Deadline,
    /// How it is.
    pub state: State,
}

/// How a program in the kernel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Loaded and attached, whole.
    Running,
    /// Being loaded, changed or unloaded right now: it gets no step and keeps its place. What is
    /// being started stands among the running too, as what it will be, or it is started twice.
    Busy,
    /// A part of it is missing, such as a link somebody detached. It is stopped and started anew.
    Damaged,
}
