//! What the loops learn and the HTTP routes show.

#[cfg(feature = "sigma")]
mod sigma;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

#[cfg(feature = "sigma")]
pub(crate) use sigma::{Call, Record, Reported, Sigma};

/// One per process; every part is written by one loop and read by many.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) started: Instant,
    /// The same moment on the wall clock.
    pub(crate) began: SystemTime,
    listening: Mutex<Option<Listening>>,
    #[cfg(feature = "sigma")]
    pub(crate) sigma: Sigma,
}

/// Where the HTTP server really listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    pub(crate) port: u16,
    /// Whether it can be reached over IPv6 from outside.
    pub(crate) ipv6: bool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            began: SystemTime::now(),
            listening: Mutex::default(),
            #[cfg(feature = "sigma")]
            sigma: Sigma::default(),
        }
    }

    /// Whether an API has heard of this host already.
    pub(crate) fn has_reported(&self) -> bool {
        #[cfg(feature = "sigma")]
        return self.sigma.reported().is_some();
        #[cfg(not(feature = "sigma"))]
        false
    }

    #[cfg(feature = "sigma")]
    pub(crate) fn listening(&self) -> Option<Listening> {
        *lock(&self.listening)
    }

    /// The port that is listened on, once it is.
    #[cfg(feature = "aegis")]
    pub(crate) fn http_port(&self) -> Option<u16> {
        lock(&self.listening).map(|listening| listening.port)
    }

    pub(crate) fn set_listening(&self, listening: Listening) {
        *lock(&self.listening) = Some(listening);
    }
}

/// A poisoned lock holds a whole value all the same: nothing here is changed in steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
