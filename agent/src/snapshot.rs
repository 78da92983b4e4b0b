//! The facts about this host that the API hears, read at one moment.

use std::time::Duration;

use crate::place::Place;

/// The facts that the API hears; what could not be read is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Reads the host; `None` if it does not answer in time.
    pub(crate) async fn take(place: &Place) -> Option<Self> {
        place.beside(Self::read).await
    }

    /// What is still true of a host that did not answer this time.
    pub(crate) fn without_what_changes(self) -> Self {
        Self {
            disk_used_bytes: None,
            uptime: None,
            load: None,
            ..self
        }
    }

    fn read(place: &Place) -> Self {
        let mut host = place.host();
        let kind = place.kind(&host);
        let disk = host.root_disk().ok();
        Self {
            hostname: host.hostname().ok().map(|hostname| hostname.name),
            os: kind.os.clone(),
            kernel: kind.kernel.clone(),
            architecture: kind.architecture.clone(),
            virtualization: kind.virtualization.map(str::to_owned),
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
