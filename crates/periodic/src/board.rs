//! The health of every task, for status pages, metrics and logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, Stamp};
use crate::supervisor::Slot;
use crate::{Failure, Outcome};

/// Shows how all tasks of a [`Supervisor`](crate::Supervisor) are. Cheap to clone, usable from
/// every thread, and still readable after the supervisor has ended.
#[derive(Clone)]
pub struct Board {
    pub(crate) clock: Clock,
    pub(crate) slots: Arc<Mutex<Vec<Arc<Slot>>>>,
}

/// How one task is at the moment of the snapshot. What has not happened yet is `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The name given to [`Supervisor::spawn`](crate::Supervisor::spawn).
    pub name: Arc<str>,
    /// The state the last run left behind.
    pub state: State,
    /// Whether a run is under way.
    pub running: bool,
    /// When the last run began.
    pub last_start: Option<Moment>,
    /// When the last successful run ended.
    pub last_success: Option<Moment>,
    /// The last failure, kept after recovery.
    pub last_error: Option<LastError>,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Runs that have ended, well or not.
    pub runs: u64,
    /// Runs that failed, time-outs included.
    pub failures: u64,
    /// Runs that were dropped at their time limit.
    pub timeouts: u64,
    /// How long the last ended run took.
    pub last_duration: Option<Duration>,
    /// Time until the next run; zero if it is late, `None` while a run is under way and after the
    /// end.
    pub next_due_in: Option<Duration>,
}

/// What a task's last run says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No run has ended yet.
    Waiting,
    /// The last run succeeded.
    Ok,
    /// The last run failed.
    Failing {
        /// When the first failure after the last success ended.
        since: Moment,
    },
    /// The task has ended: stopped, cut off, or lost to a panic.
    Stopped,
}

/// A moment in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What the wall clock said then.
    pub wall: SystemTime,
    /// How long ago it is by the monotonic clock: right even if the wall clock has jumped, but
    /// without the time for which the host was suspended.
    pub age: Duration,
}

/// A failure and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastError {
    /// [`Failure::message`].
    pub message: String,
    /// When the failed run ended.
    pub when: Moment,
}

/// A change worth one line in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first run of all that ended succeeded.
    FirstSuccess,
    /// A task that was well, or had not run yet, failed.
    Failing {
        /// What happened.
        failure: Failure,
        /// Time until the next try.
        next_in: Duration,
    },
    /// A failing task failed in a way that does not [resemble](Failure::resembles) the last one.
    FailingDifferently {
        /// What happened now.
        failure: Failure,
        /// Time until the next try.
        next_in: Duration,
    },
    /// A failing task succeeded.
    Recovered {
        /// Time since the first failure.
        failed_for: Duration,
        /// Failed runs since the last success.
        failures: u64,
    },
}

impl Board {
    /// The health of every task, in the order in which they were spawned.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Health> {
        let now = self.clock.now();
        lock(&self.slots)
            .iter()
            .map(|slot| slot.health(now))
            .collect()
    }

    /// The health of the first task of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Health> {
        let now = self.clock.now();
        let slots = lock(&self.slots);
        let slot = slots.iter().find(|slot| &*slot.name == name)?;
        Some(slot.health(now))
    }
}

/// What is kept of a task between snapshots.
#[derive(Debug, Default)]
pub(crate) struct Record {
    failing_since: Option<Stamp>,
    running: bool,
    stopped: bool,
    last_start: Option<Stamp>,
    last_success: Option<Stamp>,
    last_error: Option<(Failure, Stamp)>,
    consecutive_failures: u64,
    runs: u64,
    failures: u64,
    timeouts: u64,
    last_duration: Option<Duration>,
    due: Duration,
}

impl Record {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn sleeps_until(&mut self, due: Duration) {
        self.due = due;
    }

    pub(crate) fn started(&mut self, start: Stamp) {
        self.running = true;
        self.last_start = Some(start);
    }

    pub(crate) fn stopped(&mut self) {
        self.running = false;
        self.stopped = true;
    }

    pub(crate) fn timed_out(&mut self) {
        self.timeouts += 1;
    }

    /// Notes the end of a run and says what it changed.
    pub(crate) fn ended(&mut self, end: Stamp, outcome: &Outcome, due: Duration) -> Option<Change> {
        self.running = false;
        self.runs += 1;
        self.due = due;
        self.last_duration = self.last_start.map(|start| end.at.saturating_sub(start.at));
        match outcome {
            Ok(()) => self.succeeded(end),
            Err(failure) => self.failed(end, failure, due),
        }
    }

    fn succeeded(&mut self, end: Stamp) -> Option<Change> {
        let first = self.last_success.replace(end).is_none();
        let failures = std::mem::take(&mut self.consecutive_failures);
        if let Some(since) = self.failing_since.take() {
            let failed_for = end.at.saturating_sub(since.at);
            return Some(Change::Recovered {
                failed_for,
                failures,
            });
        }
        first.then_some(Change::FirstSuccess)
    }

    fn failed(&mut self, end: Stamp, failure: &Failure, due: Duration) -> Option<Change> {
        self.failures += 1;
        self.consecutive_failures += 1;
        let before = self.last_error.replace((failure.clone(), end));
        let next_in = due.saturating_sub(end.at);
        let failure = failure.clone();
        if self.failing_since.is_none() {
            self.failing_since = Some(end);
            return Some(Change::Failing { failure, next_in });
        }
        let same = before.is_some_and(|(before, _)| before.resembles(&failure));
        (!same).then_some(Change::FailingDifferently { failure, next_in })
    }

    pub(crate) fn health(&self, name: Arc<str>, now: Duration) -> Health {
        let moment = |stamp: Stamp| Moment {
            wall: stamp.wall,
            age: now.saturating_sub(stamp.at),
        };
        let asleep = !self.running && !self.stopped;
        Health {
            name,
            state: self.state(moment),
            running: self.running,
            last_start: self.last_start.map(moment),
            last_success: self.last_success.map(moment),
            last_error: self.last_error.as_ref().map(|(failure, stamp)| LastError {
                message: failure.message.clone(),
                when: moment(*stamp),
            }),
            consecutive_failures: self.consecutive_failures,
            runs: self.runs,
            failures: self.failures,
            timeouts: self.timeouts,
            last_duration: self.last_duration,
            next_due_in: asleep.then(|| self.due.saturating_sub(now)),
        }
    }

    fn state(&self, moment: impl Fn(Stamp) -> Moment) -> State {
        match self.failing_since {
            _ if self.stopped => State::Stopped,
            Some(since) => State::Failing {
                since: moment(since),
            },
            None if self.runs == 0 => State::Waiting,
            None => State::Ok,
        }
    }
}

/// A panic elsewhere leaves whole values behind these locks, so its mark is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
