//! What kind of host this is, its file systems and its addresses: what hardly changes.

use serde_json::{Value, json};
use sysinfo_linux::{Disk, Host, Usage};

use crate::http::Routes;
use crate::place::Place;

/// File systems and addresses that are shown at most: a host of containers has thousands.
const MOST: usize = 200;

/// The facts; empty if the host's files do not answer in time.
pub(super) async fn facts(routes: &Routes) -> Value {
    let settings = routes.settings.borrow().clone();
    let facts = routes.place.beside(move |place| {
        let addresses = addresses(place, &settings.ignore_interfaces);
        let mut facts = read(place, &mut place.host());
        if let Some(facts) = facts.as_object_mut() {
            facts.insert("addresses".to_owned(), addresses);
        }
        facts
    });
    facts.await.unwrap_or_else(|| json!({}))
}

fn read(place: &Place, host: &mut Host) -> Value {
    let kind = place.kind(host);
    let memory = host.memory().ok();
    let uptime = host.uptime().ok();
    json!({
        "hostname": host.hostname().ok().map(|hostname| hostname.name),
        "os": kind.os,
        "kernel": kind.kernel,
        "architecture": kind.architecture,
        "virtualization": kind.virtualization,
        "cores": host.cpu_count().ok(),
        "memory_total_bytes": memory.map(|memory| memory.effective_total_bytes()),
        "swap_total_bytes": memory.and_then(|memory| memory.meminfo.swap_total_bytes),
        "uptime_seconds": uptime.map(|uptime| uptime.since_boot.as_secs()),
        "processes": place.processes(host).ok().map(|processes| processes.total),
        "file_systems": file_systems(host),
    })
}

fn file_systems(host: &Host) -> Value {
    let Ok(disks) = host.disks() else {
        return Value::Null;
    };
    disks.iter().take(MOST).map(file_system).collect()
}

fn file_system(disk: &Disk) -> Value {
    let usage = disk.known_usage();
    json!({
        "mount": disk.mount_point.to_string_lossy(),
        "source": disk.source.to_string_lossy(),
        "type": disk.fs_type.to_string_lossy(),
        "read_only": disk.is_read_only,
        "total_bytes": usage.map(|usage| usage.total_bytes),
        "available_bytes": usage.map(|usage| usage.available_bytes),
        "used_ratio": usage.and_then(|usage| usage.used_ratio()),
        "inodes_used_ratio": usage.and_then(|usage| ratio(usage.inodes?, usage.free_inodes?)),
        "note": note(&disk.usage),
    })
}

/// Why it is not known how full a file system is.
fn note(usage: &Usage) -> Option<String> {
    match usage {
        Usage::Stuck => Some("does not answer".to_owned()),
        Usage::Failed(error) => Some(error.to_string()),
        Usage::Hidden => Some("hidden by another one".to_owned()),
        Usage::NotAsked => Some("not asked".to_owned()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
fn ratio(all: u64, free: u64) -> Option<f64> {
    (all > 0).then(|| all.saturating_sub(free) as f64 / all as f64)
}

fn addresses(place: &Place, ignored: &[String]) -> Value {
    let local = place.local_addresses(ignored);
    let worth_telling = ipdiscover::reportable(&local.addresses);
    let addresses = worth_telling.iter().take(MOST).map(|address| {
        json!({
            "address": address.ip,
            "interface": address.interface,
            "scope": address.scope.to_string(),
            "default_route": address.default_route,
        })
    });
    addresses.collect()
}
