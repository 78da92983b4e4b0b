//! The kernel that runs the tests, asked by this crate and by other means.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use sysinfo_linux::{DiskKind, Host, Root, Scope};

fn host() -> Host {
    Host::new(Root::below("/"))
}

/// What a program prints; `None`, loudly, where it is not installed.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .output();
    match output {
        Ok(output) if output.status.success() => Some(String::from_utf8(output.stdout).unwrap()),
        _ => {
            println!("skipped: no {program} here");
            None
        }
    }
}

fn is_near(ours: u64, theirs: u64, within: f64) -> bool {
    ours.abs_diff(theirs) as f64 <= within * theirs as f64
}

#[test]
fn names_agree_with_uname() {
    let host = host();
    if let Some(uname) = printed("uname", &["-nrm"]) {
        let words: Vec<_> = uname.split_whitespace().collect();
        assert_eq!(host.kernel().unwrap(), words[1]);
        assert_eq!(host.architecture().unwrap(), words[2]);
        if !Path::new("/etc/host_hostname").exists() {
            assert_eq!(host.hostname().unwrap().name, words[0]);
        }
    }
}

#[test]
fn processors_agree_with_nproc() {
    let mut host = host();
    if let Some(nproc) = printed("nproc", &[]) {
        let allowed: usize = nproc.trim().parse().unwrap();
        assert!(host.cpu_count().unwrap() >= allowed);
    }
    if let Some(conf) = printed("getconf", &["_NPROCESSORS_ONLN"]) {
        assert_eq!(
            host.cpu_count().unwrap(),
            conf.trim().parse::<usize>().unwrap()
        );
    }
}

#[test]
fn memory_agrees_with_free() {
    let meminfo = host().meminfo().unwrap();
    let Some(free) = printed("free", &["-b"]) else {
        return;
    };
    let line = free.lines().find(|line| line.starts_with("Mem:")).unwrap();
    let words: Vec<u64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(meminfo.total_bytes, words[0]);
    assert!(is_near(meminfo.available_bytes.unwrap(), words[5], 0.1));
}

#[test]
fn the_root_disk_agrees_with_df() {
    let disk = host().root_disk().unwrap();
    let Some(df) = printed("df", &["-k", "--output=size,used,avail,itotal", "/"]) else {
        return;
    };
    let figures: Vec<u64> = df
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .map(|word| word.parse().unwrap_or(0))
        .collect();
    assert_eq!(disk.total_bytes / 1024, figures[0]);
    assert!(is_near(disk.used_bytes() / 1024, figures[1], 0.05));
    assert!(is_near(disk.available_bytes / 1024, figures[2], 0.05));
    assert_eq!(disk.inodes.unwrap_or(0), figures[3]);
}

#[test]
fn the_disks_are_those_that_df_shows_with_a_device() {
    let disks = host().disks().unwrap();
    let Some(df) = printed("df", &["-k", "-T"]) else {
        return;
    };
    for line in df.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [source, fs_type, .., place] = words[..] else {
            continue;
        };
        let is_disk = source.starts_with("/dev/") && !["squashfs", "erofs"].contains(&fs_type);
        let listed = disks
            .iter()
            .any(|disk| disk.mount_point == Path::new(place));
        assert!(listed || !is_disk, "{line}");
    }
    let mut devices: Vec<_> = disks.iter().map(|disk| disk.device).collect();
    devices.sort_unstable();
    devices.dedup();
    assert_eq!(devices.len(), disks.len(), "each device once");
}

#[test]
fn uptime_and_boot_time_agree_with_the_clock() {
    let mut host = host();
    let uptime = host.uptime().unwrap();
    let told = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = told.split_whitespace().next().unwrap().parse().unwrap();
    assert!((seconds - uptime.since_boot.as_secs_f64()).abs() < 60.0);
    let start = SystemTime::now().checked_sub(uptime.since_boot).unwrap();
    let boot = host.boot_time().unwrap();
    let apart = start
        .duration_since(boot)
        .unwrap_or_else(|error| error.duration());
    // A clock that was set since the start moves the one, not the other.
    assert!(apart < Duration::from_secs(3600), "{apart:?}");
    match host.init_age() {
        Ok(age) => assert!(age <= host.uptime().unwrap().since_boot),
        Err(error) => println!("skipped: {error}"),
    }
}

#[test]
fn counters_only_rise_and_files_stay_open() {
    let mut host = host();
    let first = host.cpu().unwrap();
    let open_before = fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..1000 {
        let basics = host.basics();
        let cpu = basics.cpu.unwrap();
        assert!(cpu.total.user >= first.total.user);
        assert!(cpu.context_switches >= first.context_switches);
        basics.memory.unwrap();
        basics.load.unwrap();
        basics.uptime.unwrap();
        basics.root_disk.unwrap();
        assert!(basics.interfaces.unwrap().iter().any(|it| it.name == "lo"));
    }
    let open_after = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(
        open_after <= open_before + 16,
        "{open_before} then {open_after}"
    );
}

#[test]
fn every_interface_of_the_kernel_is_listed() {
    let networks = host().networks().unwrap();
    for entry in fs::read_dir("/sys/class/net").unwrap().flatten() {
        let is_interface = entry.path().join("ifindex").exists();
        let listed = networks.iter().any(|it| it.name == entry.file_name());
        assert!(listed || !is_interface, "{:?}", entry.file_name());
    }
    assert!(networks.iter().all(|it| it.name != "lo" || !it.physical));
}

#[test]
fn processes_agree_with_the_names_in_proc() {
    let host = host();
    let names = fs::read_dir("/proc").unwrap().flatten();
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let ids = names.filter(|it| it.file_name().to_str().is_some_and(is_number));
    let counted = u64::try_from(ids.count()).unwrap();
    // Others come and go meanwhile.
    assert!(is_near(host.process_count().unwrap(), counted, 0.3));
    let processes = host.processes().unwrap();
    assert!(is_near(processes.total, counted, 0.3));
    assert!(processes.sleeping + processes.idle + processes.running > 0);
    assert!(host.open_files().unwrap().open > 0);
}

#[test]
fn what_this_kernel_measures_is_read() {
    let mut host = host();
    match host.pressure() {
        Ok(pressure) => assert!(pressure.memory.unwrap().some.is_some()),
        Err(error) => println!("skipped: {error}"),
    }
    assert!(host.vmstat().unwrap().faults.is_some());
    assert!(!host.disk_io().unwrap().is_empty() || host.virtualization().is_container());
    assert!(host.limits(Scope::Process).is_ok());
    assert!(host.memory().unwrap().used_ratio().unwrap() < 1.0);
}

/// As a container sees the host whose root is mounted in it.
#[test]
fn a_root_that_is_reached_by_another_path_is_the_same_host() {
    let mut other = Host::new(Root::below("/proc/self/root"));
    let mut own = host();
    assert_eq!(other.kernel().unwrap(), own.kernel().unwrap());
    assert_eq!(other.machine_id().unwrap(), own.machine_id().unwrap());
    assert_eq!(other.cpu_count().unwrap(), own.cpu_count().unwrap());
    let root = |host: &Host| {
        let disks = host.disks().unwrap();
        let root = disks
            .into_iter()
            .find(|it| it.mount_point == Path::new("/"));
        root.map(|it| (it.kind, it.known_usage().map(|usage| usage.total_bytes)))
    };
    assert_eq!(root(&other), root(&own));
    assert!(root(&own).is_some_and(|(kind, _)| kind != DiskKind::Automount));
    assert!(other.interfaces().is_ok());
}
