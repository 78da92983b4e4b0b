//! The crate procfs-core reads the same files, where it can: the figures agree.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

use std::path::Path;

use procfs_core::{FromBufRead as _, FromBufReadSI as _, FromRead as _};
use sysinfo_linux::parse;

fn fixture(host: &str, name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(fixtures.join(host).join(name)).unwrap()
}

struct Hundred;

impl procfs_core::SystemInfoInterface for Hundred {
    fn boot_time_secs(&self) -> procfs_core::ProcResult<u64> {
        Ok(0)
    }
    fn ticks_per_second(&self) -> u64 {
        100
    }
    fn page_size(&self) -> u64 {
        4096
    }
    fn is_little_endian(&self) -> bool {
        true
    }
}

const HOSTS: [&str; 4] = ["debian", "firecracker", "arm64", "docker-v1"];

#[test]
fn stat_agrees() {
    for host in [&HOSTS[..], &["kernel-3.10", "cores-256"]].concat() {
        let bytes = fixture(host, "proc/stat");
        let ours = parse::stat(&bytes).unwrap();
        let theirs = procfs_core::KernelStats::from_buf_read(&bytes[..], &Hundred).unwrap();
        assert_eq!(ours.total.user, theirs.total.user);
        assert_eq!(ours.total.idle, theirs.total.idle);
        assert_eq!(Some(ours.total.iowait), theirs.total.iowait);
        assert_eq!(ours.total.steal, theirs.total.steal);
        assert_eq!(ours.total.guest_nice, theirs.total.guest_nice);
        assert_eq!(ours.cores.len(), theirs.cpu_time.len());
        assert_eq!(ours.context_switches, Some(theirs.ctxt));
        assert_eq!(ours.forks, Some(theirs.processes));
        assert_eq!(ours.running, theirs.procs_running.map(u64::from));
    }
}

#[test]
fn meminfo_agrees() {
    for host in HOSTS.into_iter().chain(["kernel-3.10"]) {
        let bytes = fixture(host, "proc/meminfo");
        let ours = parse::meminfo(&bytes).unwrap();
        let theirs = procfs_core::Meminfo::from_buf_read(&bytes[..]).unwrap();
        assert_eq!(ours.total_bytes, theirs.mem_total);
        assert_eq!(ours.free_bytes, Some(theirs.mem_free));
        assert_eq!(ours.available_bytes, theirs.mem_available);
        assert_eq!(ours.buffers_bytes, Some(theirs.buffers));
        assert_eq!(ours.cached_bytes, Some(theirs.cached));
        assert_eq!(ours.shmem_bytes, theirs.shmem);
        assert_eq!(ours.slab_reclaimable_bytes, theirs.s_reclaimable);
        assert_eq!(ours.swap_total_bytes, Some(theirs.swap_total));
        assert_eq!(ours.swap_free_bytes, Some(theirs.swap_free));
        assert_eq!(ours.committed_bytes, Some(theirs.committed_as));
    }
}

#[test]
fn load_and_uptime_agree() {
    for host in HOSTS {
        let bytes = fixture(host, "proc/loadavg");
        let ours = parse::loadavg(&bytes).unwrap();
        let theirs = procfs_core::LoadAverage::from_read(&bytes[..]).unwrap();
        assert_eq!(ours.one as f32, theirs.one);
        assert_eq!(ours.fifteen as f32, theirs.fifteen);
        assert_eq!(ours.tasks, Some(u64::from(theirs.max)));
        let bytes = fixture(host, "proc/uptime");
        let theirs = procfs_core::Uptime::from_read(&bytes[..]).unwrap();
        assert_eq!(parse::uptime(&bytes).unwrap(), theirs.uptime_duration());
    }
}

#[test]
fn disks_and_interfaces_agree() {
    for host in HOSTS {
        let bytes = fixture(host, "proc/net/dev");
        let theirs = procfs_core::net::InterfaceDeviceStatus::from_buf_read(&bytes[..]).unwrap();
        for ours in parse::net_dev(&bytes).unwrap() {
            let theirs = &theirs.0[ours.name.to_str().unwrap()];
            assert_eq!(ours.received.bytes, theirs.recv_bytes);
            assert_eq!(ours.received.multicast, theirs.recv_multicast);
            assert_eq!(ours.sent.bytes, theirs.sent_bytes);
            assert_eq!(ours.sent.compressed, theirs.sent_compressed);
        }
        let bytes = fixture(host, "proc/diskstats");
        let theirs = procfs_core::DiskStats::from_buf_read(&bytes[..]).unwrap();
        let ours = parse::diskstats(&bytes).unwrap();
        assert_eq!(ours.len(), theirs.0.len());
        for (ours, theirs) in ours.iter().zip(&theirs.0) {
            assert_eq!(ours.name.to_str(), Some(theirs.name.as_str()));
            assert_eq!(ours.written_bytes, theirs.sectors_written * 512);
            assert_eq!(ours.flushes, theirs.flushes);
            assert_eq!(ours.in_flight, Some(theirs.in_progress));
        }
    }
}

#[test]
fn mounts_agree() {
    for host in HOSTS {
        let bytes = fixture(host, "proc/self/mountinfo");
        let theirs = procfs_core::process::MountInfos::from_buf_read(&bytes[..]).unwrap();
        let ours = parse::mountinfo(&bytes).unwrap();
        assert_eq!(ours.len(), theirs.0.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(
                format!("{}:{}", ours.device.0, ours.device.1),
                theirs.majmin
            );
            assert_eq!(ours.fs_type.to_str(), Some(theirs.fs_type.as_str()));
            // Theirs keeps the kernel's escapes.
            let place = theirs.mount_point.to_str().unwrap().replace("\\040", " ");
            assert_eq!(ours.mount_point.to_str(), Some(place.as_str()));
        }
    }
}
