//! What the heartbeats learn from the Sigma API, and how its calls did.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use promexport::Buckets;
use sigma_client::VpsStatus;

use super::lock;

/// What is known on this side of the API.
#[derive(Debug, Default)]
pub(crate) struct Sigma {
    meters: [Meter; 2],
    record: Mutex<Option<Record>>,
    reported: Mutex<Option<Reported>>,
}

/// What the API says about this host.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) status: VpsStatus,
}

/// What this host last said about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reported {
    pub(crate) hostname: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) public_ip: Option<IpAddr>,
}

impl Sigma {
    /// What was counted of one kind of call.
    pub(crate) fn meter(&self, call: Call) -> &Meter {
        let [register, heartbeat] = &self.meters;
        match call {
            Call::Register => register,
            Call::Heartbeat => heartbeat,
        }
    }

    pub(crate) fn record(&self) -> Option<Record> {
        lock(&self.record).clone()
    }

    /// Stores what the API says now, and returns what it said before.
    pub(crate) fn replace_record(&self, record: Option<Record>) -> Option<Record> {
        std::mem::replace(&mut *lock(&self.record), record)
    }

    pub(crate) fn reported(&self) -> Option<Reported> {
        lock(&self.reported).clone()
    }

    pub(crate) fn set_reported(&self, reported: Reported) {
        *lock(&self.reported) = Some(reported);
    }
}

/// A kind of call of the Sigma API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    Register,
    Heartbeat,
}

impl Call {
    pub(crate) const ALL: [Self; 2] = [Self::Register, Self::Heartbeat];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Counts and times one kind of call.
#[derive(Debug)]
pub(crate) struct Meter {
    succeeded: AtomicU64,
    failed: AtomicU64,
    pub(crate) seconds: Buckets<9>,
}

impl Meter {
    /// Counts a call that began at `start` and has ended now.
    pub(crate) fn ended<T, E>(&self, start: Instant, outcome: &Result<T, E>) {
        let counter = if outcome.is_ok() {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.seconds.observe(start.elapsed().as_secs_f64());
    }

    pub(crate) fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            seconds: Buckets::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]),
        }
    }
}
