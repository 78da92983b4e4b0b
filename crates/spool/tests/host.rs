//! The spool in a real folder: rights, links, strangers, and one owner at a time.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spool::{Options, Spool};

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("spool-{name}-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        Self(place)
    }

    fn spool(&self) -> PathBuf {
        self.0.join("state").join("spool")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that another test starts has this one's files open until it has begun, and so the lock of a spool that is closed already.
fn open(path: &Path) -> Spool {
    let start = Instant::now();
    loop {
        match Spool::open(path, Options::default()) {
            Err(error) if error.is_locked() && start.elapsed() < Duration::from_secs(20) => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn records_are_there_for_the_next_owner() {
    let place = Place::new("next");
    let mut spool = open(&place.spool());
    let numbers: Vec<u64> = (0..3)
        .map(|at| spool.append(at, b"record").unwrap())
        .collect();
    spool.acknowledge(numbers[0]).unwrap();
    spool.sync().unwrap();
    drop(spool);
    let found = open(&place.spool()).peek(9).unwrap();
    assert_eq!(
        found
            .iter()
            .map(|record| record.sequence)
            .collect::<Vec<_>>(),
        numbers[1..]
    );
}

#[test]
fn the_folder_and_its_files_are_for_the_owner_alone() {
    let place = Place::new("modes");
    let mut spool = open(&place.spool());
    spool.append(0, b"secret").unwrap();
    spool.acknowledge(1).unwrap();
    assert_eq!(mode(&place.spool()), 0o700);
    assert_eq!(mode(place.spool().parent().unwrap()), 0o700);
    let files = files(&place.spool());
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_owner_is_refused_until_the_first_is_gone() {
    let place = Place::new("lock");
    let first = open(&place.spool());
    let error = Spool::open(&place.spool(), Options::default()).unwrap_err();
    assert!(error.is_locked() && error.is_transient(), "{error:?}");
    assert!(
        error
            .to_string()
            .ends_with("lock: another process uses this spool"),
        "{error}"
    );
    drop(first);
    open(&place.spool());
}

#[test]
fn strangers_in_the_folder_are_left_alone() {
    let place = Place::new("strangers");
    std::fs::create_dir_all(place.spool()).unwrap();
    let plain = place.spool().join("notes.txt");
    std::fs::write(&plain, b"mine").unwrap();
    let folder = place.spool().join("0000000000000001-00000000.bytes");
    std::fs::create_dir(&folder).unwrap();
    let socket = place.spool().join("0000000000000002-00000000.bytes");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut spool = open(&place.spool());
    spool.append(0, b"a").unwrap();
    spool.acknowledge(u64::MAX).unwrap();
    drop(spool);
    let mut spool = open(&place.spool());
    spool.append(0, b"b").unwrap();
    assert_eq!(spool.peek(9).unwrap().len(), 1);
    assert_eq!(std::fs::read(&plain).unwrap(), b"mine");
    assert!(folder.is_dir() && socket.exists());
}

#[test]
fn no_link_in_the_folder_is_followed() {
    let place = Place::new("links");
    let target = place.0.join("target");
    std::fs::write(&target, b"do not touch").unwrap();
    std::fs::create_dir_all(place.spool()).unwrap();
    for name in [
        "segment.new",
        "position.new",
        "position",
        "0000000000000001-00000000.bytes",
    ] {
        symlink(&target, place.spool().join(name)).unwrap();
    }
    let mut spool = open(&place.spool());
    spool.append(0, b"a").unwrap();
    spool.append(0, b"b").unwrap();
    spool.acknowledge(1).unwrap();
    assert_eq!(spool.peek(9).unwrap().len(), 1);
    assert_eq!(std::fs::read(&target).unwrap(), b"do not touch");

    drop(spool);
    let lock = place.spool().join("lock");
    std::fs::remove_file(&lock).unwrap();
    symlink(&target, &lock).unwrap();
    let error = Spool::open(&place.spool(), Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("open "), "{error}");
}

#[test]
fn a_path_that_is_a_file_is_an_error_with_its_name() {
    let place = Place::new("file");
    let path = place.0.join("file");
    std::fs::write(&path, b"").unwrap();
    let error = Spool::open(&path, Options::default()).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

/// The kernel's own answer of a full disk.
#[test]
fn a_really_full_disk_is_told() {
    let place = Place::new("full");
    let mounted = place.0.join("state");
    std::fs::create_dir(&mounted).unwrap();
    let small = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&mounted)
        .stderr(std::process::Stdio::null())
        .status();
    if !small.is_ok_and(|status| status.success()) {
        println!("skipped: a small disk cannot be mounted here");
        return;
    }
    let mut spool = open(&place.spool());
    let mut appended = 0;
    let error = loop {
        match spool.append(0, &[7; 1000]) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error:?}");
    assert_eq!(spool.len(), appended);
    spool.sync().unwrap();
    drop(spool);
    let mut spool = open(&place.spool());
    assert_eq!(spool.peek(1000).unwrap().len() as u64, appended);
    drop(spool);
    let gone = std::process::Command::new("umount").arg(&mounted).status();
    assert!(gone.unwrap().success());
}

#[test]
fn a_spool_can_be_given_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Spool>();
}

#[test]
fn a_copy_shows_the_queue_of_a_running_owner_and_changes_nothing() {
    let place = Place::new("copy");
    let mut owner = open(&place.spool());
    let first = owner.append(1, b"acknowledged").unwrap();
    owner.append(2, b"waits").unwrap();
    owner.acknowledge(first).unwrap();
    let content = || -> Vec<(PathBuf, Vec<u8>)> {
        let files = files(&place.spool()).into_iter();
        files
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect()
    };
    let before = content();
    let mut copy = Spool::open_copy(&place.spool(), Options::default()).unwrap();
    let shown: Vec<Vec<u8>> = copy
        .iter()
        .unwrap()
        .map(|record| record.unwrap().bytes)
        .collect();
    assert_eq!(shown, [b"waits".to_vec()]);
    // Whatever is done to the copy stays in it.
    copy.append(3, b"only in the copy").unwrap();
    copy.acknowledge(u64::MAX).unwrap();
    copy.sync().unwrap();
    assert_eq!(content(), before);
    assert_eq!(owner.len(), 1);
}

#[test]
fn a_copy_of_what_is_not_there_or_too_large_is_refused() {
    let place = Place::new("no-copy");
    let nowhere = Spool::open_copy(&place.spool(), Options::default()).unwrap_err();
    assert!(nowhere.to_string().starts_with("read "), "{nowhere}");
    assert!(!place.spool().exists(), "looking creates nothing");
    drop(open(&place.spool()));
    let large =
        std::fs::File::create(place.spool().join("0000000000000009-00000001.bytes")).unwrap();
    large.set_len(1 << 30).unwrap();
    let refused = Spool::open_copy(&place.spool(), Options::default()).unwrap_err();
    assert!(refused.to_string().contains("larger"), "{refused}");
}
