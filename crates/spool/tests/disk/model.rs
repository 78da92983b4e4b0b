//! Random calls against the plainest queue there is, and the limits.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use spool::{Coding, Options, Record, Spool, Sync};

use crate::random::Random;
use crate::simulated::Disk;
use crate::story::options;

fn open(disk: &Disk, options: &Options) -> Spool {
    Spool::open_on(disk.folder(), Path::new("spool"), options.clone()).unwrap()
}

fn check(spool: &mut Spool, oracle: &VecDeque<Record>) {
    assert_eq!(spool.len(), oracle.len() as u64);
    assert_eq!(spool.is_empty(), oracle.is_empty());
    let all: Vec<Record> = spool.iter().unwrap().map(Result::unwrap).collect();
    assert_eq!(*oracle, all);
    let first = oracle.front().map(|record| record.at_seconds);
    assert_eq!(spool.oldest_at_seconds().unwrap(), first);
}

#[test]
fn any_calls_do_what_they_do_to_a_plain_queue() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let coding = [Coding::Bytes, Coding::Words][usize::try_from(seed % 2).unwrap()];
        let disk = Disk::new(seed);
        let options = Options {
            max_age: Some(Duration::from_secs(3000)),
            ..options(coding, Sync::OnSegment)
        };
        let mut spool = open(&disk, &options);
        let mut oracle: VecDeque<Record> = VecDeque::new();
        let (mut clock, mut by_size, mut by_age, mut last) = (10_000, 0, 0, 0);
        for _ in 0..400 {
            match random.below(12) {
                0..=7 => {
                    clock += random.below(60);
                    let length = 8 * random.below(40);
                    let bytes: Vec<u8> = (0..length)
                        .map(|_| random.next().to_le_bytes()[0])
                        .collect();
                    let sequence = spool.append(clock, &bytes).unwrap();
                    assert!(sequence > last);
                    last = sequence;
                    oracle.push_back(Record {
                        sequence,
                        at_seconds: clock,
                        bytes,
                    });
                    // What was dropped to make room went from the front.
                    let dropped = spool.dropped().by_size;
                    oracle.drain(..usize::try_from(dropped - by_size).unwrap());
                    by_size = dropped;
                }
                8 => {
                    let place = usize::try_from(random.below(20)).unwrap();
                    if let Some(sequence) = oracle.get(place).map(|record| record.sequence) {
                        spool.acknowledge(sequence).unwrap();
                        oracle.drain(..=place);
                    }
                }
                9 => {
                    let old = oracle
                        .iter()
                        .take_while(|record| record.at_seconds + 3000 < clock);
                    let old = old.count();
                    assert_eq!(spool.expire(clock).unwrap(), old as u64);
                    oracle.drain(..old);
                    by_age += old as u64;
                }
                10 => {
                    drop(spool);
                    spool = open(&disk, &options);
                }
                _ => {
                    let n = usize::try_from(random.below(50)).unwrap();
                    let newest: Vec<Record> = oracle.iter().rev().take(n).cloned().collect();
                    assert_eq!(spool.newest(n).unwrap(), newest);
                }
            }
            check(&mut spool, &oracle);
            assert_eq!(spool.dropped().by_age, by_age);
            assert_eq!(spool.bytes(), disk.bytes());
            assert!(disk.bytes() <= options.max_bytes, "{}", disk.bytes());
        }
        assert_eq!(spool.dropped().by_damage, 0);
    }
}

#[test]
fn beyond_the_size_the_oldest_records_go_and_are_counted() {
    let disk = Disk::new(1);
    let options = options(Coding::Bytes, Sync::Always);
    let mut spool = open(&disk, &options);
    for number in 0..1000_u64 {
        spool.append(number, &[1; 100]).unwrap();
        assert!(disk.bytes() <= options.max_bytes);
    }
    let (left, dropped) = (spool.len(), spool.dropped().by_size);
    assert_eq!(left + dropped, 1000);
    assert!(left > 150, "{left} of about 180 that fit");
    assert_eq!(spool.peek(1).unwrap()[0].at_seconds, dropped);
    drop(spool);
    assert_eq!(open(&disk, &options).dropped().by_size, dropped);
}

#[test]
fn a_limit_that_was_lowered_holds_from_the_next_append_on() {
    let disk = Disk::new(1);
    let small = options(Coding::Bytes, Sync::Always);
    let large = Options {
        max_bytes: 16 * 1024 * 1024,
        ..small.clone()
    };
    let mut spool = open(&disk, &large);
    for _ in 0..1000 {
        spool.append(0, &[1; 100]).unwrap();
    }
    drop(spool);
    let mut spool = open(&disk, &small);
    assert_eq!(spool.len(), 1000);
    spool.append(0, &[1; 100]).unwrap();
    assert!(disk.bytes() <= small.max_bytes, "{}", disk.bytes());
    assert_eq!(spool.len() + spool.dropped().by_size, 1001);
}

#[test]
fn a_record_that_is_not_allowed_changes_nothing() {
    let disk = Disk::new(1);
    let mut spool = open(&disk, &options(Coding::Words, Sync::Always));
    spool.append(0, &[0; 4096]).unwrap();
    assert!(spool.append(0, &[0; 4104]).unwrap_err().is_too_large());
    let odd = spool.append(0, &[0; 7]).unwrap_err();
    assert!(
        !odd.is_transient() && odd.to_string().contains("64-bit words"),
        "{odd}"
    );
    assert_eq!(spool.len(), 1);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let disk = Disk::new(1);
    let good = options(Coding::Bytes, Sync::Always);
    for bad in [
        Options {
            max_bytes: 32 * 1024 - 1,
            ..good.clone()
        },
        Options {
            max_record_bytes: 8 * 1024 + 1,
            ..good.clone()
        },
    ] {
        let opened = Spool::open_on(disk.folder(), Path::new("spool"), bad);
        assert!(matches!(opened, Err(spool::Error::Refused(_))));
    }
}

#[test]
fn the_coding_may_change_between_two_runs() {
    let disk = Disk::new(1);
    let rounds = [Coding::Bytes, Coding::Words, Coding::Words, Coding::Bytes];
    for (number, coding) in (0_u8..).zip(rounds) {
        let mut spool = open(&disk, &options(coding, Sync::Always));
        spool.append(0, &[number; 16]).unwrap();
    }
    let mut spool = open(&disk, &options(Coding::Bytes, Sync::Always));
    let found: Vec<Vec<u8>> = spool
        .iter()
        .unwrap()
        .map(|record| record.unwrap().bytes)
        .collect();
    assert_eq!(found, [[0; 16], [1; 16], [2; 16], [3; 16]]);
}

#[test]
fn acknowledging_what_was_not_given_yet_empties_the_queue_and_no_more() {
    let disk = Disk::new(1);
    let mut spool = open(&disk, &options(Coding::Bytes, Sync::Always));
    spool.append(0, b"a").unwrap();
    spool.acknowledge(u64::MAX).unwrap();
    assert!(spool.is_empty());
    spool.append(0, b"b").unwrap();
    assert_eq!(spool.peek(9).unwrap()[0].bytes, b"b");
}
