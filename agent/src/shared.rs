//! What the loops learn and the HTTP routes show.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use promexport::Buckets;
use sigma_client::VpsStatus;

/// One per process; every part is written by one loop and read by many.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) started: Instant,
    /// The same moment on the wall clock.
    pub(crate) began: SystemTime,
    meters: [Meter; 2],
    listening: Mutex<Option<Listening>>,
    record: Mutex<Option<Record>>,
    reported: Mutex<Option<Reported>>,
}

/// Where the HTTP server really listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    pub(crate) port: u16,
    /// Whether it can be reached over IPv6 from outside.
    pub(crate) ipv6: bool,
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

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            began: SystemTime::now(),
            meters: Default::default(),
            listening: Mutex::default(),
            record: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// What was counted of one kind of call.
    pub(crate) fn meter(&self, call: Call) -> &Meter {
        let [register, heartbeat] = &self.meters;
        match call {
            Call::Register => register,
            Call::Heartbeat => heartbeat,
        }
    }

    pub(crate) fn listening(&self) -> Option<Listening> {
        *lock(&self.listening)
    }

    pub(crate) fn set_listening(&self, listening: Listening) {
        *lock(&self.listening) = Some(listening);
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

/// A poisoned lock holds a whole value all the same: nothing here is changed in steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
