//! What the loops learn and the HTTP routes show.

#[cfg(feature = "sigma")]
mod sigma;

#[cfg(feature = "aegis")]
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(feature = "sandbox")]
use std::sync::OnceLock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

#[cfg(feature = "sigma")]
pub(crate) use sigma::{Call, Record, Reported, Sigma};

#[cfg(feature = "sandbox")]
use crate::sandbox::Sandbox;

/// One per process; every part is written by one loop and read by many.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) started: Instant,
    /// The same moment on the wall clock.
    pub(crate) began: SystemTime,
    listening: Mutex<Option<Listening>>,
    #[cfg(feature = "sandbox")]
    sandbox: OnceLock<Sandbox>,
    #[cfg(feature = "sigma")]
    pub(crate) sigma: Sigma,
}

/// Where the HTTP server really listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    pub(crate) port: u16,
    #[cfg(feature = "aegis")]
    pub(crate) address: IpAddr,
    /// Whether it can be reached over IPv6 from outside.
    pub(crate) ipv6: bool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            began: SystemTime::now(),
            listening: Mutex::default(),
            #[cfg(feature = "sandbox")]
            sandbox: OnceLock::new(),
            #[cfg(feature = "sigma")]
            sigma: Sigma::default(),
        }
    }

    /// What this process took from itself; `None` where it never comes to that.
    #[cfg(feature = "sandbox")]
    pub(crate) fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.get()
    }

    /// Once, at the start.
    #[cfg(feature = "sandbox")]
    pub(crate) fn set_sandbox(&self, sandbox: Sandbox) {
        let _ = self.sandbox.set(sandbox);
    }

    /// Whether files are out of reach that the file modes would allow.
    pub(crate) fn hides_files(&self) -> bool {
        #[cfg(feature = "sandbox")]
        return self.sandbox().is_some_and(Sandbox::hides_files);
        #[cfg(not(feature = "sandbox"))]
        false
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

    /// Where the agent's own pages are, once they are: an address that stands for all is reached over the loopback.
    #[cfg(feature = "aegis")]
    pub(crate) fn own_address(&self) -> Option<SocketAddr> {
        let listening = (*lock(&self.listening))?;
        let address = match listening.address {
            address if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            address => address,
        };
        Some(SocketAddr::new(address, listening.port))
    }

    pub(crate) fn set_listening(&self, listening: Listening) {
        *lock(&self.listening) = Some(listening);
    }
}

/// A poisoned lock holds a whole value all the same: nothing here is changed in steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
