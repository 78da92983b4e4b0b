//! What the loops learn and the HTTP routes show.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sigma_client::VpsStatus;

/// One per process; every part is written by one loop and read by many.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) started: Instant,
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
            listening: Mutex::default(),
            record: Mutex::default(),
            reported: Mutex::default(),
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

/// A poisoned lock holds a whole value all the same: nothing here is changed in steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
