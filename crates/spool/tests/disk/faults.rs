//! The disk fills up or fails, once, for a while, or for ever in one place.

use std::path::Path;

use spool::{Coding, Error, Options, Spool, Sync};

use crate::simulated::{Disk, EIO, ENOSPC, EROFS, Fault};
use crate::story::{End, Story, options};

const STEPS: u64 = 60;

/// A life with a fault, then a healthy disk, then a restart. Opening may fail, but only while the disk does.
fn survive(seed: u64, coding: Coding, sync: Sync, fault: Fault) {
    let mut story = Story::new(seed, coding, sync);
    story.disk.fail(Some(fault));
    if story.open().is_err() {
        story.disk.fail(None);
        story.open().unwrap();
    }
    story.live(STEPS);
    story.heal();
    story.go_down(End::Kill);
    story.live(5);
    story.heal();
}

#[test]
fn one_failed_operation_fails_one_call_and_nothing_else() {
    let mut faults = 0;
    for (seed, coding, sync) in [
        (1, Coding::Bytes, Sync::Always),
        (2, Coding::Words, Sync::OnSegment),
    ] {
        let mut healthy = Story::new(seed, coding, sync);
        healthy.open().unwrap();
        healthy.live(STEPS);
        for at in 0..healthy.disk.operations() {
            let errno = [ENOSPC, EIO, EROFS][usize::try_from(at % 3).unwrap()];
            let count = 1;
            survive(seed, coding, sync, Fault::Fail { at, count, errno });
            faults += 1;
        }
    }
    println!("{faults} single faults");
}

#[test]
fn a_disk_that_takes_nothing_for_a_while() {
    let mut faults = 0;
    for at in (0..200).step_by(9) {
        for errno in [ENOSPC, EIO, EROFS] {
            let count = 1 + at % 40;
            let fault = Fault::FailWrites { at, count, errno };
            survive(at, Coding::Words, Sync::Always, fault);
            survive(at, Coding::Bytes, Sync::OnSegment, fault);
            faults += 2;
        }
    }
    println!("{faults} times of failing writes");
}

#[test]
fn a_disk_that_fails_now_and_then() {
    for seed in 0..20 {
        for errno in [ENOSPC, EIO] {
            let one_in = 2 + seed % 20;
            let fault = Fault::SometimesWrites { one_in, errno };
            survive(seed, Coding::Words, Sync::Always, fault);
            survive(seed, Coding::Bytes, Sync::OnSegment, fault);
        }
    }
}

fn open(disk: &Disk, coding: Coding) -> Result<Spool, Error> {
    let options = options(coding, Sync::Always);
    Spool::open_on(disk.folder(), Path::new("spool"), options)
}

#[test]
fn a_full_disk_is_told_and_what_is_acknowledged_makes_room() {
    let disk = Disk::new(5);
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    spool.append(0, b"first").unwrap();
    spool.acknowledge(1).unwrap();
    disk.limit(Some(16 * 1024));
    let mut appended = 0;
    let error = loop {
        match spool.append(0, &[7; 300]) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_full() && error.is_transient(), "{error:?}");
    assert!(appended > 15, "{appended}");
    assert_eq!(spool.len(), appended);

    // A restart on the full disk finds everything, and acknowledging works without any room.
    drop(spool);
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    assert_eq!(spool.len(), appended);
    assert!(spool.append(0, &[7; 300]).unwrap_err().is_full());
    let half = spool.peek(15).unwrap().pop().unwrap();
    spool.acknowledge(half.sequence).unwrap();
    assert_eq!(spool.len(), appended - 15);
    spool.append(0, &[7; 300]).unwrap();
}

#[test]
fn a_disk_that_is_full_from_the_start() {
    let disk = Disk::new(5);
    disk.limit(Some(0));
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    assert!(spool.append(0, b"a").unwrap_err().is_full());
    assert!(spool.is_empty() && spool.peek(1).unwrap().is_empty());
    disk.limit(None);
    assert_eq!(spool.append(0, b"a").unwrap(), 1);
    assert_eq!(spool.peek(9).unwrap().len(), 1);
}

#[test]
fn a_read_only_disk_can_be_read() {
    let disk = Disk::new(5);
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    for _ in 0..3 {
        spool.append(0, b"a").unwrap();
    }
    disk.fail(Some(Fault::FailWrites {
        at: 0,
        count: u64::MAX,
        errno: EROFS,
    }));
    assert!(spool.append(0, b"b").unwrap_err().is_read_only());
    // The caller sends on, and is not given the same records for ever.
    assert!(spool.acknowledge(1).unwrap_err().is_read_only());
    assert_eq!(spool.peek(9).unwrap()[0].sequence, 2);
    drop(spool);
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    assert_eq!(spool.peek(9).unwrap()[0].sequence, 1);
}

#[test]
fn what_can_never_be_read_again_is_passed_over_at_the_second_try() {
    let disk = Disk::new(5);
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    for number in 0..100_u8 {
        spool.append(0, &[number; 100]).unwrap();
    }
    let oldest = disk.names()[0].clone();
    disk.scratch(&oldest, 0, 1000);
    let error = spool.peek(5).unwrap_err();
    assert!(error.to_string().contains(&oldest), "{error}");
    let records = spool.peek(100).unwrap();
    // The unreadable piece of 4096 bytes is the whole segment.
    let segments = 100 - records.len();
    assert!((10..20).contains(&segments), "{segments} lost");
    assert_eq!(spool.dropped().by_damage, segments as u64);
    assert_eq!(spool.len(), records.len() as u64);
    spool.acknowledge(records[3].sequence).unwrap();
    assert_eq!(spool.len(), records.len() as u64 - 4);
    spool.append(0, b"on").unwrap();
}

#[test]
fn a_newest_segment_that_cannot_be_read_is_left_as_it_is() {
    let disk = Disk::new(5);
    let roomy = Options {
        max_bytes: 1024 * 1024,
        ..options(Coding::Bytes, Sync::Always)
    };
    let open = || Spool::open_on(disk.folder(), Path::new("spool"), roomy.clone()).unwrap();
    let mut spool = open();
    for _ in 0..100 {
        spool.append(0, &[7; 100]).unwrap();
    }
    drop(spool);
    let name = disk.names()[0].clone();
    let before = disk.read(&name);
    disk.scratch(&name, 5000, 5001);
    let mut spool = open();
    spool.append(0, b"on").unwrap();
    assert_eq!(disk.read(&name), before);
    let found = spool.peek(100).unwrap();
    // About 35 are in the piece of 4096 bytes that is lost.
    assert!((60..70).contains(&found.len()), "{}", found.len());
    assert_eq!(found.last().unwrap().bytes, b"on");
    spool.acknowledge(u64::MAX).unwrap();
    assert_eq!(spool.dropped().by_damage, 101 - found.len() as u64);
}

#[test]
fn a_failing_disk_does_not_fill_up_with_files() {
    let disk = Disk::new(5);
    let mut spool = open(&disk, Coding::Bytes).unwrap();
    spool.append(0, b"a").unwrap();
    disk.fail(Some(Fault::SometimesWrites {
        one_in: 2,
        errno: EIO,
    }));
    for _ in 0..500 {
        let _ = spool.append(0, b"b");
        let _ = spool.sync();
        let _ = spool.acknowledge(u64::MAX);
    }
    disk.fail(None);
    spool.append(0, b"c").unwrap();
    spool.acknowledge(u64::MAX).unwrap();
    assert!(disk.names().len() <= 4, "{:?}", disk.names());
    assert!(spool.is_empty());
}
