//! What is remembered from plan to plan, and over restarts of the agent and of the host.

use std::collections::{BTreeMap, VecDeque};

use crate::program::{Breach, End, Program, Version};
use crate::retry::Retry;
use crate::signal::Signal;
use crate::{
    ArtifactId, Assigned, Barred, Digest, Event, History, Hold, Now, Quarantine, ReturnTo,
    Settings, Status,
};

/// What is remembered from plan to plan, and over restarts of the agent and of the host.
///
/// A new one (`Memory::default()`) knows nothing: the next plan takes over what runs. With the
/// feature `serde` it can be written down; it should be, on a disk that outlives a reboot, after
/// each plan and after each [`note`](Self::note).
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub struct Memory {
    /// When it was last used. All moments in it belong to that boot.
    pub(crate) seen: Option<Now>,
    pub(crate) programs: BTreeMap<ArtifactId, Program>,
    pub(crate) failures: BTreeMap<Digest, Retry>,
    pub(crate) quarantine: BTreeMap<Digest, Quarantine>,
    /// Rollbacks that were asked for and not planned yet.
    pub(crate) signals: Vec<Signal>,
    /// The newest request ids.
    pub(crate) requests: VecDeque<String>,
    /// A listing that shrank too much is not believed yet.
    pub(crate) braking: bool,
    pub(crate) shrink_confirmed: bool,
    pub(crate) history: History,
}

/// How many digests are remembered as failing, and as barred.
const MOST_DIGESTS: usize = 1_024;

impl Memory {
    /// The rollback events, oldest first.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The rollback events, to [`merge`](History::merge) others into them.
    pub fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }

    /// The digests that are barred now.
    pub fn quarantined(&self, now: &Now) -> impl Iterator<Item = (&Digest, &Quarantine)> {
        let moment = self.in_this_memory(now);
        self.quarantine
            .iter()
            .filter(move |(_, quarantine)| quarantine.until > moment)
    }

    /// What may have to be loaded again: of each artifact what runs or ran last, and where that is
    /// wanted the version to return to. The caller keeps the bytes of these.
    pub fn versions(&self, return_to: ReturnTo) -> impl Iterator<Item = &Assigned> {
        let returns = return_to == ReturnTo::Previous;
        self.programs.values().flat_map(move |program| {
            let previous = program.previous.as_ref().filter(|_| returns);
            let versions = program.current.iter().chain(previous);
            versions.map(|version| &version.loaded)
        })
    }

    /// The issues that were rolled back and do not come back by themselves.
    pub fn rolled_back_issues(&self) -> impl Iterator<Item = (&ArtifactId, &Digest)> {
        self.programs.iter().flat_map(|(id, program)| {
            let ended = program.ended.iter();
            let rolled_back = ended.filter(|ended| ended.by == End::RolledBack);
            rolled_back.map(move |ended| (id, &ended.digest))
        })
    }

    /// Lets a digest run again that was rolled back, barred or failing: for the operator.
    pub fn clear(&mut self, digest: &Digest) {
        self.quarantine.remove(digest);
        self.failures.remove(digest);
        for program in self.programs.values_mut() {
            program
                .ended
                .retain(|ended| ended.digest != *digest || ended.by != End::RolledBack);
        }
    }

    /// Believes the listing that shrank: for the operator. Counts for the next plan only.
    pub fn confirm_shrink(&mut self) {
        self.shrink_confirmed = true;
    }

    /// Brings all moments into the present boot.
    pub(crate) fn move_to(&mut self, now: &Now) {
        let shift = self.seen.map_or(0, |seen| now.shift_from(&seen));
        self.seen = Some(*now);
        if shift == 0 {
            return;
        }
        for program in self.programs.values_mut() {
            program.shift(shift);
        }
        for retry in self.failures.values_mut() {
            retry.at = retry.at.saturating_add(shift);
        }
        for quarantine in self.quarantine.values_mut() {
            quarantine.until = quarantine.until.saturating_add(shift);
        }
    }

    /// The present by the boot clock the moments in here belong to.
    fn in_this_memory(&self, now: &Now) -> i64 {
        let shift = self.seen.map_or(0, |seen| now.shift_from(&seen));
        now.boottime_seconds.saturating_sub(shift)
    }

    /// Why this digest is not loaded now, if it is not.
    pub(crate) fn bar_on(&self, digest: &Digest, now: &Now) -> Option<Hold> {
        let later = |moment: i64| moment > now.boottime_seconds;
        let quarantine = self.quarantine.get(digest);
        let failure = self.failures.get(digest);
        quarantine
            .filter(|quarantine| later(quarantine.until))
            .map(|quarantine| Hold::Quarantined {
                until: quarantine.until,
            })
            .or_else(|| {
                failure
                    .filter(|retry| later(retry.at))
                    .map(|retry| Hold::BackingOff { until: retry.at })
            })
    }

    pub(crate) fn bar(&mut self, digest: Digest, reason: Barred, settings: &Settings, now: &Now) {
        let before = self
            .quarantine
            .get(&digest)
            .map_or(0, |quarantine| quarantine.count);
        let count = before.saturating_add(1);
        let until = now.after(settings.quarantine.delay(count));
        let quarantine = Quarantine {
            reason,
            until,
            count,
        };
        self.quarantine.insert(digest, quarantine);
        self.failures.remove(&digest);
    }

    /// What runs under this artifact or ran last, if it is good to return to.
    pub(crate) fn good_version(&self, id: &ArtifactId) -> Option<&Version> {
        let program = self.programs.get(id)?;
        let breached = program.breach.as_ref().map(|breach| breach.digest);
        program.current.as_ref().filter(|version| {
            breached != Some(version.loaded.digest) && program.end_of(&version.loaded).is_none()
        })
    }

    /// A rollback has worked: the issue does not come back, and its digest is barred.
    pub(crate) fn rolled_back(
        &mut self,
        id: &ArtifactId,
        breach: &Breach,
        settings: &Settings,
        now: &Now,
    ) -> Event {
        let program = self.programs.entry(id.clone()).or_default();
        program.end(breach.digest, breach.serial, End::RolledBack);
        program.breach = None;
        let reason = Barred::RolledBack(breach.reason);
        self.bar(breach.digest, reason, settings, now);
        self.record(breach.event(id, Status::Completed, now))
    }

    pub(crate) fn record(&mut self, event: Event) -> Event {
        self.history.push(event.clone());
        event
    }

    /// Forgets what is of no more use, and keeps everything within its bounds.
    pub(crate) fn tidy(&mut self) {
        self.history.trim();
        drop_soonest(&mut self.failures, |retry| retry.at);
        drop_soonest(&mut self.quarantine, |quarantine| quarantine.until);
    }
}

/// Of too many, the one that ends first is the least loss.
fn drop_soonest<T>(map: &mut BTreeMap<Digest, T>, end: impl Fn(&T) -> i64) {
    while map.len() > MOST_DIGESTS {
        let soonest = map.iter().min_by_key(|(_, value)| end(value));
        let Some(digest) = soonest.map(|(digest, _)| *digest) else {
            return;
        };
        map.remove(&digest);
    }
}

impl Breach {
    pub(crate) fn event(&self, id: &ArtifactId, status: Status, now: &Now) -> Event {
        Event {
            artifact_id: id.clone(),
            digest: Some(self.digest),
            reason: self.reason,
            threshold: self.threshold,
            value: self.value.clone(),
            figures: self.figures.clone(),
            timestamp: now.wall_seconds,
            status,
            error: None,
            request_id: self.request_id.clone(),
            remark: self.remark.clone(),
        }
    }
}
