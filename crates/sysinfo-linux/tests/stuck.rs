//! File systems that never answer: FUSE mounts whose program does not read.
//!
//! They are mounted in a mount namespace of their own, so that nobody else runs into them.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sysinfo_linux::{Disk, Host, Root, Usage};

#[test]
fn dead_mounts_in_a_namespace_of_their_own() {
    let this_test = std::env::current_exe().unwrap();
    let inner = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(this_test)
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .output();
    let Ok(output) = inner else {
        println!("skipped: no unshare here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}{}", String::from_utf8_lossy(&output.stderr));
    if !told.contains("running 2 tests") {
        println!("skipped: may not make a mount namespace");
        return;
    }
    assert!(output.status.success());
}

#[test]
#[ignore = "runs in a mount namespace of its own"]
fn a_dead_mount_is_stuck_until_its_call_comes_back_and_nothing_waits_for_it() {
    let Some(mut dead) = DeadMount::new("stuck") else {
        println!("skipped: may not mount FUSE");
        return;
    };
    let mut host = Host::new(Root::below("/"));
    let patience = Duration::from_millis(200);

    let listed = host.disks().unwrap();
    assert!(matches!(usage(&listed, &dead.place), Usage::NotAsked));
    assert!(matches!(usage(&listed, Path::new("/")), Usage::Known(_)));

    let first = host.disks_within(patience).unwrap();
    assert!(matches!(usage(&first, &dead.place), Usage::Stuck));
    let threads = threads();
    for _ in 0..50 {
        let again = host.disks_within(Duration::from_secs(600)).unwrap();
        assert!(matches!(usage(&again, &dead.place), Usage::Stuck));
        assert!(matches!(usage(&again, Path::new("/")), Usage::Known(_)));
    }
    assert_eq!(self::threads(), threads, "no thread for each call");

    dead.answer_with_errors();
    let deadline = Instant::now() + Duration::from_secs(20);
    while matches!(
        usage(&host.disks_within(patience).unwrap(), &dead.place),
        Usage::Stuck
    ) {
        assert!(Instant::now() < deadline, "the call has not come back");
        std::thread::yield_now();
    }
    let last = host.disks_within(Duration::from_secs(20)).unwrap();
    assert!(matches!(usage(&last, &dead.place), Usage::Failed(_)));
}

#[test]
#[ignore = "runs in a mount namespace of its own"]
fn a_dead_mount_holds_up_the_others_only_once() {
    let (Some(mut dead), Some(mut failing)) = (DeadMount::new("a"), DeadMount::new("b")) else {
        println!("skipped: may not mount FUSE");
        return;
    };
    failing.answer_with_errors();
    let mut host = Host::new(Root::below("/"));
    let patience = Duration::from_millis(200);
    let first = host.disks_within(patience).unwrap();
    assert!(matches!(usage(&first, &dead.place), Usage::Stuck));
    assert!(matches!(usage(&first, &failing.place), Usage::NotAsked));

    // The call comes back, and the mount is dead again: now it is asked last.
    dead.mount_again();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let disks = host.disks_within(patience).unwrap();
        if matches!(usage(&disks, &failing.place), Usage::Failed(_)) {
            assert!(matches!(usage(&disks, &dead.place), Usage::Stuck));
            break;
        }
        assert!(Instant::now() < deadline, "the other one was never asked");
    }
    // Dropping a host with a call that is stuck does not wait for it.
    drop(host);
}

fn usage<'a>(disks: &'a [Disk], place: &Path) -> &'a Usage {
    &disks
        .iter()
        .find(|it| it.mount_point == place)
        .unwrap()
        .usage
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// A FUSE mount that nobody serves.
struct DeadMount {
    place: PathBuf,
    program: Option<File>,
}

impl DeadMount {
    fn new(name: &str) -> Option<Self> {
        let place = std::env::temp_dir().join(format!("sysinfo-{name}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let place = place.canonicalize().unwrap();
        let program = mounted(&place)?;
        Some(Self {
            place,
            program: Some(program),
        })
    }

    fn mount_again(&mut self) {
        self.answer_with_errors();
        rustix::mount::unmount(&self.place, rustix::mount::UnmountFlags::DETACH).unwrap();
        self.program = Some(mounted(&self.place).unwrap());
    }

    /// The program ends: every call on the mount fails from now on.
    fn answer_with_errors(&mut self) {
        self.program = None;
    }
}

impl Drop for DeadMount {
    fn drop(&mut self) {
        self.answer_with_errors();
        let _ = rustix::mount::unmount(&self.place, rustix::mount::UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.place);
    }
}

fn mounted(place: &Path) -> Option<File> {
    use rustix::mount::{MountFlags, mount};
    let program = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .ok()?;
    let fd = program.as_raw_fd();
    let options = format!("fd={fd},rootmode=40000,user_id=0,group_id=0");
    let options = CString::new(options).unwrap();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("dead", place, "fuse", flags, Some(options.as_c_str())).ok()?;
    Some(program)
}
