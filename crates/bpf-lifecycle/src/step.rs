//! What a plan says: steps to take, and what it leaves alone on purpose.

use crate::event::words;
use crate::{ArtifactId, Assigned, Deadline, Digest};

/// One thing to do to one artifact. A plan has at most one for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which artifact: the one to start, or the running one to change or stop.
    pub id: ArtifactId,
    /// Which bytes of it: what is started, or what runs.
    pub digest: Digest,
    /// What to do.
    pub action: Action,
    /// Why.
    pub why: Why,
}

impl Step {
    /// All artifacts it touches.
    pub fn touches(&self) -> impl Iterator<Item = &ArtifactId> {
        let other = match &self.action {
            Action::Start { evicts, .. } => evicts.as_ref(),
            Action::Replace { old, .. } => Some(old),
            Action::RollBack {
                undo: Undo::Return { to, .. },
            } => Some(&to.id),
            _ => None,
        };
        [Some(&self.id), other.filter(|other| **other != self.id)]
            .into_iter()
            .flatten()
    }
}

/// What to do. Whatever carries an [`Assigned`] and a [`Deadline`] has them written into the
/// caller's books with it, all or nothing: the next plan compares.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Load and attach it.
    Start {
        /// What.
        new: Assigned,
        /// Until when.
        deadline: Deadline,
        /// Who has to make room: load the new one, unload this one, attach the new one. If this
        /// one does not go, the start has failed.
        evicts: Option<ArtifactId>,
    },
    /// Put it in the place of a running one without a gap: by a link update, or the new one
    /// attached before the old one is detached. If the new one fails, the old one stays.
    Replace {
        /// Which one.
        old: ArtifactId,
        /// By what.
        new: Assigned,
        /// Until when.
        deadline: Deadline,
    },
    /// Write its new parameters into its maps, and its new terms into the books.
    UpdateParameters {
        /// The entry it runs under from now on.
        to: Assigned,
        /// Until when.
        deadline: Deadline,
    },
    /// Write its new deadline and terms into the books (and into the program, if that checks its
    /// own end). Nothing is loaded.
    Amend {
        /// The entry it runs under from now on.
        to: Assigned,
        /// Until when.
        deadline: Deadline,
    },
    /// Detach and unload it.
    Stop,
    /// Undo it.
    RollBack {
        /// How.
        undo: Undo,
    },
}

/// How a program is undone.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// It is unloaded.
    Unload,
    /// The version before it takes its place, without a gap.
    Return {
        /// Which one.
        to: Box<Assigned>,
        /// Until when: what was left of its own time.
        deadline: Deadline,
    },
}

words! {
    /// Why a step is taken.
    Why {
        /// It is assigned and does not run.
        Assigned = "assigned",
        /// The same artifact or name has another digest now.
        NewVersion = "new_version",
        /// Its parameters have changed.
        ParametersChanged = "parameters_changed",
        /// Its TTL, its serial or another term has changed.
        TermsChanged = "terms_changed",
        /// Its time is over.
        Expired = "expired",
        /// The listing has it no more.
        Unassigned = "unassigned",
        /// There are too many, and it comes last.
        Evicted = "evicted",
        /// Another version of it runs beside it.
        Superseded = "superseded",
        /// It is not whole.
        Damaged = "damaged",
        /// It did harm, or somebody asked for it; the events say more.
        RolledBack = "rolled_back",
        /// The agent ends.
        Shutdown = "shutdown",
    }
}

/// An artifact that is left as it is although something could be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which artifact.
    pub id: ArtifactId,
    /// Why.
    pub why: Hold,
}

/// Why an artifact is left as it is. Moments are seconds of the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hold {
    /// Its time is over; only a new issue or a new assignment brings it back.
    Expired,
    /// It was rolled back; only a new issue or a new assignment brings it back.
    RolledBack,
    /// Its digest is barred.
    Quarantined {
        /// Until when.
        until: i64,
    },
    /// It failed and is tried again later.
    BackingOff {
        /// When.
        until: i64,
    },
    /// All places are taken, and nobody has to make room for it.
    Full,
    /// All places are taken by protected ones.
    AllProtected,
    /// Another entry of the same name with a higher serial, or else a greater id, counts.
    Superseded,
    /// The entry has a lower serial than what runs: a replay, which changes nothing.
    OlderSerial,
    /// It is missing from a listing that shrank too much at once, and runs on.
    ListingShrunk {
        /// How many are missing.
        missing: usize,
        /// Of how many.
        of: usize,
        /// How many answers in a row lacked it.
        answers: u32,
        /// How many have to.
        needed: u32,
    },
}
