//! The newest sample, which is sent first, and the backlog behind it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use metricpush::Sample;
use tokio::sync::Notify;

use super::backlog::{Backlog, Figures};
use crate::cli;

/// What waits to be sent. One loop fills it, others empty it.
pub(crate) struct Outbox {
    newest: Mutex<Newest>,
    /// Told when the first sample is there.
    first: Notify,
    pub(crate) backlog: Backlog,
    counters: Counters,
}

#[derive(Default)]
struct Newest {
    fresh: Option<Fresh>,
    /// Whether there ever was a sample.
    begun: bool,
    /// What this host called itself in the last one.
    hostname: Option<String>,
    /// Whether a new sample may be sent at once; not while the server is given time.
    open: bool,
}

/// A sample that was never accepted, and how often it was refused.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Fresh {
    pub(crate) sample: Sample,
    pub(crate) failures: u32,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    backfilled: AtomicU64,
    refused: AtomicU64,
}

/// What became of samples since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    /// Accepted while they were the newest.
    pub(crate) sent: u64,
    /// Accepted after an outage.
    pub(crate) backfilled: u64,
    /// Refused for good, and given up.
    pub(crate) refused: u64,
    pub(crate) backlog: Figures,
}

impl Outbox {
    pub(crate) fn new(config: &cli::Backlog) -> Self {
        Self {
            newest: Mutex::new(Newest {
                open: true,
                ..Newest::default()
            }),
            first: Notify::new(),
            backlog: Backlog::new(config),
            counters: Counters::default(),
        }
    }

    /// Takes a sample in; the one it displaces was not sent in its time and goes to the backlog. Says whether it may be sent at once.
    pub(crate) async fn offer(&self, sample: Sample) -> bool {
        let (displaced, open) = {
            let mut newest = self.lock();
            newest.begun = true;
            newest.hostname.clone_from(&sample.hostname);
            let fresh = Fresh {
                sample,
                failures: 0,
            };
            (newest.fresh.replace(fresh), newest.open)
        };
        self.first.notify_one();
        if let Some(displaced) = displaced {
            self.backlog.keep(&displaced.sample).await;
        }
        open
    }

    /// The sample to send; waits for the first of all.
    pub(crate) async fn fresh(&self) -> Option<Fresh> {
        let begun = self.lock().begun;
        if !begun {
            self.first.notified().await;
        }
        self.lock().fresh.clone()
    }

    /// What this host calls itself.
    pub(crate) fn hostname(&self) -> Option<String> {
        self.lock().hostname.clone()
    }

    pub(crate) fn has_fresh(&self) -> bool {
        self.lock().fresh.is_some()
    }

    /// The sample was accepted, or given up for good.
    pub(crate) fn settled(&self, fresh: &Fresh, accepted: bool) {
        let counter = if accepted {
            &self.counters.sent
        } else {
            &self.counters.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.remove(fresh);
        self.lock().open = true;
    }

    /// The sample failed once more and stays the next to send; new ones wait with it.
    pub(crate) fn failed(&self, fresh: &Fresh) {
        let mut newest = self.lock();
        newest.open = false;
        if let Some(own) = newest
            .fresh
            .as_mut()
            .filter(|own| own.sample == fresh.sample)
        {
            own.failures = fresh.failures.saturating_add(1);
        }
    }

    /// The sample waits in the backlog from now on; `open` says whether the next one may be sent at once.
    pub(crate) async fn set_aside(&self, fresh: &Fresh, open: bool) {
        self.lock().open = open;
        if self.remove(fresh) {
            self.backlog.keep(&fresh.sample).await;
        }
    }

    /// A sample of the backlog was accepted, or refused for good.
    pub(crate) fn backfilled(&self, accepted: bool) {
        let counter = if accepted {
            &self.counters.backfilled
        } else {
            &self.counters.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What was not sent waits for the next start.
    pub(crate) async fn save(&self) {
        let fresh = self.lock().fresh.take();
        if let Some(fresh) = fresh {
            self.backlog.keep(&fresh.sample).await;
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            sent: read(&self.counters.sent),
            backfilled: read(&self.counters.backfilled),
            refused: read(&self.counters.refused),
            backlog: self.backlog.figures(),
        }
    }

    /// Takes a sample out, unless a newer one has taken its place and sent it to the backlog.
    fn remove(&self, fresh: &Fresh) -> bool {
        let mut newest = self.lock();
        let same = newest
            .fresh
            .as_ref()
            .is_some_and(|own| own.sample == fresh.sample);
        if same {
            newest.fresh = None;
        }
        same
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
