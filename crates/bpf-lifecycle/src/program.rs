//! What is remembered of one artifact.

use std::collections::VecDeque;

use crate::retry::Retry;
use crate::{Assigned, Deadline, Digest, Figures, Hold, Now, Reason, Threshold, Why};

/// What is remembered of one artifact: as long as it is listed or runs.
///
/// All moments are seconds of the boot clock, of the boot in which [`Memory`](crate::Memory) was
/// last used; they may lie before that boot.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub(crate) struct Program {
    /// When this issue came: in a contest of equals, whoever was loaded before that makes room.
    pub(crate) arrived: i64,
    /// The digest and serial it was listed with last.
    pub(crate) listed: Option<(Digest, Option<u64>)>,
    /// The issue that runs, or ran last, and the end of its time.
    pub(crate) current: Option<Version>,
    /// The good version before it.
    pub(crate) previous: Option<Version>,
    /// Issues that do not come back, newest last.
    pub(crate) ended: VecDeque<Ended>,
    /// How many fresh listings in a row lacked it.
    pub(crate) absent: u32,
    /// It was not assigned any more, without doubt, and may still run.
    pub(crate) unassigned: bool,
    /// Changes of the running program that failed, and which entry they were for.
    pub(crate) amending: Option<(Digest, Option<u64>, Retry)>,
    /// Where the current window of counting began.
    pub(crate) window: Option<Window>,
    /// What is wrong with it.
    pub(crate) breach: Option<Breach>,
}

/// An entry and the end of its time by the boot clock.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Version {
    pub(crate) loaded: Assigned,
    pub(crate) due: i64,
}

impl Version {
    pub(crate) fn deadline(&self, now: &Now) -> Deadline {
        Deadline {
            boot: now.boot,
            boottime_seconds: self.due,
            not_after: self.loaded.not_after,
        }
    }
}

/// The deadline of an entry whose time begins now.
pub(crate) fn granted(entry: &Assigned, now: &Now) -> Deadline {
    let ttl = now.after(entry.ttl_seconds);
    Deadline {
        boot: now.boot,
        boottime_seconds: capped(ttl, entry, now),
        not_after: entry.not_after,
    }
}

/// The deadline of an entry whose time began with `version`: another TTL counts from the same
/// beginning, a higher serial begins anew.
pub(crate) fn continued(version: &Version, entry: &Assigned, now: &Now) -> Deadline {
    if entry.serial > version.loaded.serial {
        return granted(entry, now);
    }
    let as_before = entry.ttl_seconds == version.loaded.ttl_seconds
        && entry.not_after == version.loaded.not_after;
    if as_before {
        return version.deadline(now);
    }
    Deadline {
        boot: now.boot,
        boottime_seconds: capped(reckoned_anew(version, entry), entry, now),
        not_after: entry.not_after,
    }
}

/// Whether the time of an entry that ran is up by the boot clock alone. What the wall clock says
/// ends a run too, but not for good: it may be wrong.
pub(crate) fn is_up(version: &Version, entry: &Assigned, now: &Now) -> bool {
    entry.serial <= version.loaded.serial && reckoned_anew(version, entry) <= now.boottime_seconds
}

/// The end of a run whose entry may have another TTL now.
fn reckoned_anew(version: &Version, entry: &Assigned) -> i64 {
    version
        .due
        .saturating_sub_unsigned(version.loaded.ttl_seconds)
        .saturating_add_unsigned(entry.ttl_seconds)
}

/// The signed end, as the wall clock shows it now, binds the boot clock too: setting the wall
/// clock back later gains nothing.
fn capped(due: i64, entry: &Assigned, now: &Now) -> i64 {
    entry
        .not_after
        .map_or(due, |end| due.min(now.when_wall_reads(end)))
}

/// An issue that does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Ended {
    pub(crate) digest: Digest,
    pub(crate) serial: Option<u64>,
    pub(crate) by: End,
}

/// What ended an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub(crate) enum End {
    Expired,
    RolledBack,
}

impl End {
    /// Why it is not started.
    pub(crate) fn hold(self) -> Hold {
        match self {
            Self::Expired => Hold::Expired,
            Self::RolledBack => Hold::RolledBack,
        }
    }

    /// Why it is stopped if it runs all the same.
    pub(crate) fn why(self) -> Why {
        match self {
            Self::Expired => Why::Expired,
            Self::RolledBack => Why::RolledBack,
        }
    }
}

/// The counters at the beginning of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Window {
    pub(crate) began: i64,
    pub(crate) errors: Option<u64>,
    pub(crate) violations: Option<u64>,
}

/// What is wrong with a running program, or who wants it gone.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Breach {
    /// What ran when it began; if something else runs now, it has ended.
    pub(crate) digest: Digest,
    pub(crate) serial: Option<u64>,
    pub(crate) reason: Reason,
    pub(crate) threshold: Option<Threshold>,
    pub(crate) value: Option<String>,
    pub(crate) figures: Option<Figures>,
    pub(crate) request_id: Option<String>,
    pub(crate) remark: Option<String>,
    pub(crate) stage: Stage,
}

/// How far a rollback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub(crate) enum Stage {
    /// It is measured again then.
    Waiting { until: i64 },
    /// It is decided: undone until that has worked.
    Acting(Retry),
}

/// How many ended issues are remembered of one artifact.
const MOST_ENDED: usize = 16;

impl Program {
    /// What ended this issue, or a later one of the same digest.
    pub(crate) fn end_of(&self, entry: &Assigned) -> Option<End> {
        self.ended
            .iter()
            .rev()
            .find(|ended| entry.is_issue_of(ended.digest, ended.serial))
            .map(|ended| ended.by)
    }

    pub(crate) fn end(&mut self, digest: Digest, serial: Option<u64>, by: End) {
        let known = |ended: &Ended| ended.digest == digest && ended.serial == serial;
        if self.ended.iter().any(known) {
            return;
        }
        self.ended.push_back(Ended { digest, serial, by });
        if self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
    }

    /// The run this entry goes on with, if it has run.
    pub(crate) fn run_of(&self, entry: &Assigned) -> Option<&Version> {
        [&self.current, &self.previous]
            .into_iter()
            .flatten()
            .find(|version| version.loaded.digest == entry.digest && version.loaded.id == entry.id)
    }

    /// Something else runs now. The newest of what ran before that neither ended nor did harm is
    /// good to return to.
    pub(crate) fn runs(&mut self, version: Version, before: Option<Version>) {
        let breached = self.breach.as_ref().map(|breach| breach.digest);
        let mut candidates = [before, self.previous.take()].into_iter().flatten();
        self.previous = candidates.find(|before| {
            before.loaded.digest != version.loaded.digest
                && breached != Some(before.loaded.digest)
                && self.end_of(&before.loaded).is_none()
        });
        self.current = Some(version);
        self.window = None;
        self.amending = None;
    }

    /// Moves all moments to another boot.
    pub(crate) fn shift(&mut self, by: i64) {
        let moved = |moment: &mut i64| *moment = moment.saturating_add(by);
        moved(&mut self.arrived);
        for version in [&mut self.current, &mut self.previous]
            .into_iter()
            .flatten()
        {
            moved(&mut version.due);
        }
        if let Some((_, _, retry)) = &mut self.amending {
            moved(&mut retry.at);
        }
        if let Some(window) = &mut self.window {
            moved(&mut window.began);
        }
        match self.breach.as_mut().map(|breach| &mut breach.stage) {
            Some(Stage::Waiting { until }) => moved(until),
            Some(Stage::Acting(retry)) => moved(&mut retry.at),
            None => {}
        }
    }
}
