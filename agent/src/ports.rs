//! The ports of this host: the last picture of them, and the one allocator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use portscan::{
    AllocateError, Allocation, Allocator, LeaseId, Limits, Owners, Picture, Request, Scanner,
    Summary, Warning,
};

use crate::cli::{Attribution, Scan};
use crate::ss_owners;

/// How many names behind `other` are told.
const OTHER_NAMES: usize = 20;

/// What one scan found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) picture: Picture,
    pub(crate) summary: Summary,
    pub(crate) at: SystemTime,
}

/// How many holders of a socket are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holders {
    /// The first that is found: cheap enough for every minute.
    One,
    All,
}

/// What a caller wants of the allocator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wish {
    pub(crate) count: usize,
    pub(crate) udp: bool,
    /// Also ports that the kernel may pick for a connection at any moment.
    pub(crate) ephemeral: bool,
    pub(crate) hold: Option<Duration>,
}

/// Scans and allocates; everything here may block for milliseconds.
#[derive(Debug)]
pub(crate) struct Ports {
    scan: Scan,
    scanner: Mutex<Scanner>,
    allocator: Mutex<Allocator>,
    latest: Mutex<Option<Arc<Scanned>>>,
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Ports {
    /// `holders` says whether all holders of a socket are wanted, or the first that is found.
    pub(crate) fn new(scan: &Scan, proc: PathBuf, cgroup: PathBuf, holders: Holders) -> Self {
        let config = portscan::Config {
            cgroup: Some(cgroup),
            method: scan.method,
            owners: match scan.attribution {
                Attribution::Proc if holders == Holders::All => Owners::All,
                Attribution::Proc => Owners::First,
                Attribution::Ss | Attribution::Off => Owners::Skip,
            },
            exclude: scan.exclude.clone(),
            ..portscan::Config::new(&proc)
        };
        Self {
            scan: scan.clone(),
            scanner: Mutex::new(Scanner::new(config)),
            allocator: Mutex::new(Allocator::new(proc, Limits::default())),
            latest: Mutex::default(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Looks at all ports once; blocks.
    pub(crate) fn look(&self) -> Result<Arc<Scanned>, portscan::Error> {
        let guards = lock(&self.allocator).guards();
        let picture = lock(&self.scanner).scan(&self.scan.ranges, &guards, Instant::now());
        let mut picture = picture.inspect_err(|_| {
            self.failed.fetch_add(1, Ordering::Relaxed);
        })?;
        if self.scan.attribution == Attribution::Ss
            && let Err(why) = ss_owners::attribute(&mut picture)
        {
            picture.warnings.push(Warning::Unattributed(why));
        }
        let took = u64::try_from(picture.timing.total.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        let summary = picture.summary(&self.scan.sources, OTHER_NAMES);
        let scanned = Arc::new(Scanned {
            picture,
            summary,
            at: SystemTime::now(),
        });
        *lock(&self.latest) = Some(Arc::clone(&scanned));
        Ok(scanned)
    }

    pub(crate) fn latest(&self) -> Option<Arc<Scanned>> {
        lock(&self.latest).clone()
    }

    /// Time spent in successful scans.
    pub(crate) fn time_spent(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// Hands out free ports; blocks. The last picture is only a hint: each port is proved by itself.
    pub(crate) fn allocate(&self, wish: Wish) -> Result<Allocation, AllocateError> {
        let taken = self.latest().map(|scanned| scanned.picture.taken());
        let request = Request {
            exclude: Some(&self.scan.exclude).filter(|exclude| !exclude.is_empty()),
            taken: taken.as_ref(),
            udp: wish.udp,
            ephemeral: wish.ephemeral,
            hold: wish.hold,
            ..Request::new(wish.count, &self.scan.ranges)
        };
        lock(&self.allocator).allocate(&request, Instant::now())
    }

    /// Gives a lease back; says whether there was one.
    pub(crate) fn release(&self, lease: LeaseId) -> bool {
        lock(&self.allocator).release(lease)
    }

    /// Ends leases whose time is over or whose server has come; says how many are left.
    pub(crate) fn refresh_leases(&self) -> usize {
        let mut allocator = lock(&self.allocator);
        if let Err(error) = allocator.refresh(Instant::now()) {
            tracing::debug!(%error, "cannot see whether leases are still needed");
        }
        allocator.leases().count()
    }
}

/// `address:port` of a socket, the address left out where it is every one.
pub(crate) fn place(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("*:{}", address.port())
    } else {
        address.to_string()
    }
}

/// A lock that was poisoned holds nothing half-done: scanner and allocator read the kernel anew each time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
