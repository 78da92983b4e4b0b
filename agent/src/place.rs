//! Where the host is, and the one reader of it that all who show it share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

#[cfg(any(feature = "guest", feature = "sigma"))]
use ipdiscover::Address;
use ipdiscover::{Limits, Patterns};
use sysinfo_linux::{Host, Processes, Root, Virtualization};
use tokio::sync::Semaphore;

use crate::cli::HostPlace;

/// Where the host is, and the reader of it.
#[derive(Clone)]
pub(crate) struct Place {
    host: Arc<Mutex<Host>>,
    /// The `net` folder of a process in the host's network namespace.
    net: PathBuf,
    #[cfg(feature = "terminal")]
    root: Root,
    /// One reading at a time.
    turn: Arc<Semaphore>,
    kind: Arc<OnceLock<Kind>>,
    processes: Arc<Mutex<Option<(Instant, Processes)>>>,
}

/// What a host is, which does not change while the agent runs.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) os: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) virtualization: Option<&'static str>,
}

/// Counting processes costs a system call or three for each of them: one count serves all who ask within this time.
const COUNT_AGE: Duration = Duration::from_secs(1);

impl Place {
    pub(crate) fn new(place: &HostPlace) -> Self {
        let mut root = Root::below(&place.root);
        if let Some(proc) = &place.proc {
            root = root.with_proc(proc);
        }
        let net = net_folder(
            root.proc(),
            place.root == Path::new("/") && place.proc.is_none(),
        );
        Self {
            host: Arc::new(Mutex::new(Host::new(root.clone()))),
            net,
            #[cfg(feature = "terminal")]
            root,
            turn: Arc::new(Semaphore::new(1)),
            kind: Arc::default(),
            processes: Arc::default(),
        }
    }

    /// What kind of host this is; read once.
    pub(crate) fn kind(&self, host: &Host) -> &Kind {
        self.kind.get_or_init(|| Kind {
            os: host.os().ok().and_then(|os| os.pretty_name.or(os.name)),
            kernel: host.kernel().ok(),
            architecture: host.architecture().ok(),
            virtualization: virtualization(host),
        })
    }

    /// Processes by state, at most a second old.
    pub(crate) fn processes(&self, host: &Host) -> sysinfo_linux::Result<Processes> {
        let mut last = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, processes)) = last.filter(|(at, _)| at.elapsed() < COUNT_AGE) {
            return Ok(processes);
        }
        let processes = host.processes()?;
        *last = Some((Instant::now(), processes));
        Ok(processes)
    }

    /// The `net` folder of a process in the host's network namespace.
    #[cfg(feature = "sigma")]
    pub(crate) fn net(&self) -> &Path {
        &self.net
    }

    #[cfg(feature = "terminal")]
    pub(crate) fn proc(&self) -> &Path {
        self.root.proc()
    }

    #[cfg(feature = "aegis")]
    pub(crate) fn sys(&self) -> &Path {
        self.root.sys()
    }

    /// Where control groups are mounted.
    #[cfg(feature = "sigma")]
    pub(crate) fn cgroup(&self) -> PathBuf {
        self.root.sys().join("fs/cgroup")
    }

    /// The reader of the host. Reading may block: use it on a thread that may.
    pub(crate) fn host(&self) -> MutexGuard<'_, Host> {
        // A reader that panicked half-way has no state that could be wrong: it reads anew.
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All local addresses; blocks.
    pub(crate) fn local_addresses(&self, ignored: &[String]) -> ipdiscover::Local {
        ipdiscover::local(
            &self.net,
            &Patterns::new(ignored.iter().cloned()),
            Limits::default(),
        )
    }

    pub(crate) fn machine_id(&self) -> Option<String> {
        self.host().machine_id().ok().flatten()
    }

    pub(crate) fn hostname(&self) -> Option<String> {
        self.host().hostname().ok().map(|hostname| hostname.name)
    }
}

/// What this host runs on; `None` where nothing that can be read tells.
pub(crate) fn virtualization(host: &Host) -> Option<&'static str> {
    let found = host.virtualization();
    (found != Virtualization::Unknown).then(|| found.as_str())
}

/// `net` of a mounted foreign procfs is the reader's own namespace; that of its process 1 is the host's.
fn net_folder(proc: &Path, own: bool) -> PathBuf {
    let of_init = proc.join("1/net");
    if !own && of_init.is_dir() {
        of_init
    } else {
        proc.join("net")
    }
}

/// How long the main thread waits for the host's files: they are answered in microseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

impl Place {
    /// Does work on the host's files beside the main thread; `None` if that takes too long.
    pub(crate) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> T + Send + 'static,
    ) -> Option<T> {
        let place = self.clone();
        in_time(&self.turn, move || work(&place)).await
    }
}

/// Does work that may block on another thread; `None` if that takes too long. Only one at a time has the turn: what hangs holds one
/// thread, not one for each try.
pub(crate) async fn in_time<T: Send + 'static>(
    turn: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let turn = Arc::clone(turn);
    let done = async {
        let turn = turn.acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.ok()
    };
    tokio::time::timeout(PATIENCE, done).await.ok().flatten()
}

/// The addresses worth reporting, and whether the tables could be read to their end.
#[cfg(any(feature = "guest", feature = "sigma"))]
pub(crate) async fn reportable_addresses(
    place: &Place,
    ignored: &[String],
) -> (Vec<Address>, bool) {
    let ignored = ignored.to_vec();
    let reading = place.beside(move |place| place.local_addresses(&ignored));
    let Some(local) = reading.await else {
        return (Vec::new(), false);
    };
    for problem in &local.problems {
        tracing::debug!(%problem, "the list of addresses may be incomplete");
    }
    (
        ipdiscover::reportable(&local.addresses),
        local.is_complete(),
    )
}
