//! One reading of the host, shared by everyone who shows it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipdiscover::{Address, Limits, Patterns};
use sysinfo_linux::{Host, Root};

use crate::cli::HostPlace;

/// Where the host is, and the reader of it.
#[derive(Clone)]
pub(crate) struct Place {
    host: Arc<Mutex<Host>>,
    /// The `net` folder of a process in the host's network namespace.
    net: PathBuf,
    proc: PathBuf,
    cgroup: PathBuf,
}

impl Place {
    pub(crate) fn new(place: &HostPlace) -> Self {
        let mut root = Root::below(&place.root);
        if let Some(proc) = &place.proc {
            root = root.with_proc(proc);
        }
        let (proc, cgroup) = (root.proc().to_owned(), root.sys().join("fs/cgroup"));
        let net = net_folder(
            root.proc(),
            place.root == Path::new("/") && place.proc.is_none(),
        );
        Self {
            host: Arc::new(Mutex::new(Host::new(root))),
            net,
            proc,
            cgroup,
        }
    }

    pub(crate) fn proc(&self) -> &Path {
        &self.proc
    }

    /// Where control groups are mounted.
    pub(crate) fn cgroup(&self) -> &Path {
        &self.cgroup
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

/// `net` of a mounted foreign procfs is the reader's own namespace; that of its process 1 is the host's.
fn net_folder(proc: &Path, own: bool) -> PathBuf {
    let of_init = proc.join("1/net");
    if !own && of_init.is_dir() {
        of_init
    } else {
        proc.join("net")
    }
}

/// The addresses worth reporting, and whether the tables could be read to their end.
pub(crate) async fn reportable_addresses(
    place: &Place,
    ignored: &[String],
) -> (Vec<Address>, bool) {
    let (place, ignored) = (place.clone(), ignored.to_vec());
    let reading = tokio::task::spawn_blocking(move || place.local_addresses(&ignored));
    match reading.await {
        Ok(local) => {
            for problem in &local.problems {
                tracing::debug!(%problem, "the list of addresses may be incomplete");
            }
            (
                ipdiscover::reportable(&local.addresses),
                local.is_complete(),
            )
        }
        Err(_) => (Vec::new(), false),
    }
}

/// The facts that the API hears; what could not be read is `None`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) hostname: Option<String>,
    pub(crate) os: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) virtualization: Option<String>,
    pub(crate) cpu_cores: Option<u64>,
    pub(crate) memory_total_bytes: Option<u64>,
    pub(crate) disk_total_bytes: Option<u64>,
    pub(crate) disk_used_bytes: Option<u64>,
    pub(crate) uptime: Option<Duration>,
    pub(crate) load: Option<[f64; 3]>,
}

impl Snapshot {
    /// Reads the host beside the main thread.
    pub(crate) async fn take(place: &Place) -> Self {
        let place = place.clone();
        tokio::task::spawn_blocking(move || Self::read(&mut place.host()))
            .await
            .unwrap_or_default()
    }

    fn read(host: &mut Host) -> Self {
        let disk = host.root_disk().ok();
        Self {
            hostname: host.hostname().ok().map(|hostname| hostname.name),
            os: host.os().ok().and_then(|os| os.pretty_name.or(os.name)),
            kernel: host.kernel().ok(),
            architecture: host.architecture().ok(),
            virtualization: Some(host.virtualization().as_str().to_owned()),
            cpu_cores: host
                .cpu_count()
                .ok()
                .and_then(|count| u64::try_from(count).ok()),
            memory_total_bytes: host.meminfo().ok().map(|memory| memory.total_bytes),
            disk_total_bytes: disk.map(|disk| disk.total_bytes),
            disk_used_bytes: disk.map(|disk| disk.used_bytes()),
            uptime: host.uptime().ok().map(|uptime| uptime.since_boot),
            load: host
                .load()
                .ok()
                .map(|load| [load.one, load.five, load.fifteen]),
        }
    }
}
