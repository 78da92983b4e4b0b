//! Disks: how full each mounted file system is, and what each block device has done.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use promexport::{Gauge, Info, Page};
use sysinfo_linux::parse::{Mount, mountinfo};
use sysinfo_linux::{Disk, DiskKind, DiskUsage, Usage};

use super::tree::Tree;
use super::{Family, Outcome};

const LABELS: [&str; 4] = ["device", "mountpoint", "fstype", "device_error"];

static SIZE: Gauge<4> = Gauge::new(
    "node_filesystem_size_bytes",
    "Size of a file system.",
    LABELS,
);
static FREE: Gauge<4> = Gauge::new(
    "node_filesystem_free_bytes",
    "Free space, that kept for root included.",
    LABELS,
);
static AVAILABLE: Gauge<4> = Gauge::new(
    "node_filesystem_avail_bytes",
    "Space that ordinary users can still fill.",
    LABELS,
);
static FILES: Gauge<4> = Gauge::new("node_filesystem_files", "Inodes of a file system.", LABELS);
static FILES_FREE: Gauge<4> = Gauge::new(
    "node_filesystem_files_free",
    "Inodes that are free.",
    LABELS,
);
static READ_ONLY: Gauge<4> = Gauge::new(
    "node_filesystem_readonly",
    "Whether nothing can be written here.",
    LABELS,
);
static DEVICE_ERROR: Gauge<4> = Gauge::new(
    "node_filesystem_device_error",
    "Whether the file system did not tell how full it is.",
    LABELS,
);
static MOUNT: Info<4> = Info::new(
    "node_filesystem_mount_info",
    "The device numbers of a mount.",
    ["device", "major", "minor", "mountpoint"],
);

/// How long a scrape waits for file systems that can hang; a dead one is not asked again until it answers.
const PATIENCE: Duration = Duration::from_millis(250);

/// Types that hold no data, or not this host's.
const HIDDEN_TYPES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Nothing at or below these is shown.
const HIDDEN_PLACES: &[&str] = &["/dev", "/proc", "/sys"];

/// Nothing below these is shown.
const HIDDEN_BELOW: &[&str] = &[
    "/run/credentials",
    "/var/lib/docker",
    "/var/lib/containers/storage",
];

/// Types that are no disks but take space, and always answer.
const IN_MEMORY: &[&str] = &["tmpfs", "ramfs"];

pub(super) fn filesystem(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    let table = tree
        .proc_bytes("1/mountinfo")
        .or_else(|_| tree.proc_bytes("self/mountinfo"))?;
    let disks = tree.place.host().disks_within(PATIENCE)?;
    let known: HashMap<(u32, u32), &Disk> = disks.iter().map(|disk| (disk.device, disk)).collect();
    for mount in mountinfo(&table)? {
        let place = place_of(&mount, tree.rootfs());
        if is_hidden(&mount, &place) {
            continue;
        }
        if let Some(disk) = known.get(&mount.device) {
            if let Some(told) = told(&disk.usage) {
                write(page, &mount, &place, &told);
            }
        } else if IN_MEMORY.iter().any(|name| mount.fs_type == *name) && !can_hang(&place, &disks) {
            write(page, &mount, &place, &ask(tree.rootfs(), &place));
        }
    }
    Ok(())
}

/// Where a file system is mounted, as the host itself calls it.
fn place_of<'a>(mount: &'a Mount, rootfs: &Path) -> Cow<'a, Path> {
    match mount.mount_point.strip_prefix(rootfs) {
        Ok(below) if rootfs != Path::new("/") => Cow::Owned(Path::new("/").join(below)),
        _ => Cow::Borrowed(&mount.mount_point),
    }
}

fn is_hidden(mount: &Mount, place: &Path) -> bool {
    HIDDEN_TYPES.iter().any(|name| mount.fs_type == *name)
        || HIDDEN_PLACES.iter().any(|hidden| place.starts_with(hidden))
        || HIDDEN_BELOW
            .iter()
            .any(|hidden| place.starts_with(hidden) && place != Path::new(hidden))
}

/// Whether the way to a place leads through a file system that may never answer.
fn can_hang(place: &Path, disks: &[Disk]) -> bool {
    disks
        .iter()
        .filter(|disk| !matches!(disk.kind, DiskKind::Local | DiskKind::Overlay))
        .any(|disk| place.starts_with(&disk.mount_point))
}

/// How full a file system in memory is; an empty one may have no limits.
fn ask(rootfs: &Path, place: &Path) -> Result<DiskUsage, String> {
    let path = rootfs.join(place.strip_prefix("/").unwrap_or(place));
    let told = rustix::fs::statvfs(&path)
        .map_err(|error| said(&std::io::Error::from(error).to_string()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Ok(DiskUsage {
        total_bytes: bytes(told.f_blocks),
        free_bytes: bytes(told.f_bfree),
        available_bytes: bytes(told.f_bavail),
        inodes: Some(told.f_files),
        free_inodes: Some(told.f_ffree),
    })
}

/// What a disk told, or why it did not; `None` where it was not asked.
fn told(usage: &Usage) -> Option<Result<DiskUsage, String>> {
    match usage {
        Usage::Known(usage) => Some(Ok(*usage)),
        Usage::Stuck => Some(Err("mountpoint timeout".to_owned())),
        Usage::Failed(error) => Some(Err(error
            .source()
            .map_or_else(|| error.to_string(), |cause| said(&cause.to_string())))),
        _ => None,
    }
}

/// An error of the kernel in the words that other tools use: without its number, in small letters.
fn said(error: &str) -> String {
    let words = error.split(" (os error").next().unwrap_or(error);
    words.to_ascii_lowercase()
}

fn write(page: &mut Page, mount: &Mount, place: &Path, told: &Result<DiskUsage, String>) {
    let (device, place) = (mount.source.as_bytes(), place.as_os_str().as_bytes());
    let error = told.as_ref().err().map_or("", String::as_str);
    let labels = [device, place, mount.fs_type.as_bytes(), error.as_bytes()];
    let read_only = mount
        .options
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|option| option == b"ro");
    page.gauge(&DEVICE_ERROR, labels, told.is_err());
    page.gauge(&READ_ONLY, labels, read_only);
    let Ok(usage) = told else {
        return;
    };
    page.gauge(&SIZE, labels, usage.total_bytes);
    page.gauge(&FREE, labels, usage.free_bytes);
    page.gauge(&AVAILABLE, labels, usage.available_bytes);
    if let (Some(files), Some(free)) = (usage.inodes, usage.free_inodes) {
        page.gauge(&FILES, labels, files);
        page.gauge(&FILES_FREE, labels, free);
    }
    let (major, minor) = (mount.device.0.to_string(), mount.device.1.to_string());
    page.info(&MOUNT, [device, major.as_bytes(), minor.as_bytes(), place]);
}

/// The columns of `diskstats` behind the name of the device, and what makes them base units. Older kernels print fewer.
static COLUMNS: [(Family<1>, f64); 17] = [
    total("node_disk_reads_completed_total", "Reads that ended."),
    total("node_disk_reads_merged_total", "Reads that were merged."),
    scaled("node_disk_read_bytes_total", "Bytes read.", SECTOR),
    scaled(
        "node_disk_read_time_seconds_total",
        "Time spent by reads.",
        MILLISECOND,
    ),
    total("node_disk_writes_completed_total", "Writes that ended."),
    total("node_disk_writes_merged_total", "Writes that were merged."),
    scaled("node_disk_written_bytes_total", "Bytes written.", SECTOR),
    scaled(
        "node_disk_write_time_seconds_total",
        "Time spent by writes.",
        MILLISECOND,
    ),
    (
        Family::gauge("node_disk_io_now", "Requests under way.", ["device"]),
        1.0,
    ),
    scaled(
        "node_disk_io_time_seconds_total",
        "Time in which requests were under way.",
        MILLISECOND,
    ),
    scaled(
        "node_disk_io_time_weighted_seconds_total",
        "The same, times the number of requests.",
        MILLISECOND,
    ),
    total("node_disk_discards_completed_total", "Discards that ended."),
    total(
        "node_disk_discards_merged_total",
        "Discards that were merged.",
    ),
    total("node_disk_discarded_sectors_total", "Sectors discarded."),
    scaled(
        "node_disk_discard_time_seconds_total",
        "Time spent by discards.",
        MILLISECOND,
    ),
    total("node_disk_flush_requests_total", "Flushes that ended."),
    scaled(
        "node_disk_flush_requests_time_seconds_total",
        "Time spent by flushes.",
        MILLISECOND,
    ),
];

/// The unit of `diskstats`, whatever the device's own sectors are.
const SECTOR: f64 = 512.0;
const MILLISECOND: f64 = 0.001;

const fn total(name: &'static str, help: &'static str) -> (Family<1>, f64) {
    scaled(name, help, 1.0)
}

const fn scaled(name: &'static str, help: &'static str, unit: f64) -> (Family<1>, f64) {
    (Family::counter(name, help, ["device"]), unit)
}

pub(super) fn diskstats(page: &mut Page, tree: &mut Tree<'_>) -> Outcome {
    for line in tree.proc("diskstats")?.lines() {
        let mut words = line.split_ascii_whitespace().skip(2);
        let Some(device) = words.next().filter(|name| !is_part(name)) else {
            continue;
        };
        for ((family, unit), word) in COLUMNS.iter().zip(words) {
            if let Ok(value) = word.parse::<f64>() {
                family.write(page, [device], value * unit);
            }
        }
    }
    Ok(())
}

/// Whether a device is a partition, a loop, a floppy disk or a disk in memory.
fn is_part(device: &str) -> bool {
    let stem = device.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let is_lettered_disk = ["hd", "sd", "vd", "xvd"].iter().any(|kind| {
        stem.strip_prefix(kind)
            .is_some_and(|letter| matches!(letter.as_bytes(), [b'a'..=b'z']))
    });
    is_lettered_disk
        || matches!(stem, "ram" | "zram" | "loop" | "fd")
        || is_nvme_disk(stem.strip_suffix('p').unwrap_or_default())
}

/// Whether this is `nvme`, a number, `n` and a number.
fn is_nvme_disk(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(controller, space)| is_number(controller) && is_number(space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_disks_in_memory_are_not_shown() {
        for part in [
            "sda1",
            "vda10",
            "xvdf2",
            "nvme0n1p1",
            "nvme10n2p3",
            "loop0",
            "ram7",
            "zram0",
            "fd0",
        ] {
            assert!(is_part(part), "{part}");
        }
        for disk in [
            "sda",
            "vdb",
            "nvme0n1",
            "dm-0",
            "md127",
            "sdaa1",
            "mmcblk0",
            "mmcblk0p1",
            "sr0",
            "",
            "7",
        ] {
            assert!(!is_part(disk), "{disk}");
        }
    }
}
