//! Bytes on disk that are not what they were: each prefix and each changed byte of each file.

use std::collections::BTreeMap;
use std::path::Path;

use spool::disk::Folder;
use spool::{Coding, Options, Record, Spool, Sync};

use crate::simulated::Disk;
use crate::story::options;

fn try_open(disk: &Disk, coding: Coding) -> Result<Spool, spool::Error> {
    Spool::open_on(
        disk.folder(),
        Path::new("spool"),
        options(coding, Sync::Always),
    )
}

/// Some records in two segments, one of them acknowledged.
fn written(coding: Coding) -> (Disk, BTreeMap<u64, Record>) {
    let disk = Disk::new(3);
    let mut spool = try_open(&disk, coding).unwrap();
    let mut number = 0_u64;
    while disk.names().len() < 3 || number.is_multiple_of(7) {
        number += 1;
        let wild = |seed: u64| (number * seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = [
            number,
            1 << (number % 60),
            wild(3),
            wild(5),
            wild(7),
            0,
            1,
            2,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        spool.append(1_800_000_000 + number * 60, &bytes).unwrap();
        if number == 2 {
            spool.acknowledge(1).unwrap();
        }
    }
    let records = spool.iter().unwrap().map(Result::unwrap);
    let records = records.map(|record| (record.sequence, record)).collect();
    (disk, records)
}

/// Opens what is there, reads it, and uses it. Returns how many of the records are left.
fn use_it(disk: &Disk, coding: Coding, written: &BTreeMap<u64, Record>, what: &str) -> usize {
    let mut spool = try_open(disk, coding).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found: Vec<Record> = spool.iter().unwrap().map(Result::unwrap).collect();
    for record in found.iter().filter(|record| record.sequence != 1) {
        assert_eq!(Some(record), written.get(&record.sequence), "{what}");
    }
    let rising = found
        .windows(2)
        .all(|pair| pair[0].sequence < pair[1].sequence);
    assert!(rising, "{what}");
    let newest = spool.newest(3).unwrap();
    assert!(
        found.ends_with(&newest.into_iter().rev().collect::<Vec<_>>()),
        "{what}"
    );
    let sequence = spool.append(0, &[9; 8]).unwrap();
    assert!(
        sequence > *written.last_key_value().unwrap().0,
        "{what}: {sequence}"
    );
    spool.acknowledge(sequence - 1).unwrap();
    assert_eq!(spool.len(), 1, "{what}");
    assert_eq!(spool.peek(9).unwrap()[0].bytes, [9; 8], "{what}");
    found.len()
}

#[test]
fn every_prefix_and_every_changed_byte_of_every_file() {
    for coding in [Coding::Bytes, Coding::Words] {
        let (disk, records) = written(coding);
        let mut mutations = 0;
        for name in disk.names() {
            let content = disk.read(&name);
            for place in 0..content.len() {
                // Between the slots of the position, there is nothing.
                if name == "position" && place % 4096 > 64 {
                    continue;
                }
                let changed = disk.copy();
                changed.put(&name, &content[..place]);
                use_it(
                    &changed.copy(),
                    coding,
                    &records,
                    &format!("{place} bytes of {name}"),
                );
                let mut bytes = content.clone();
                let bits = [0x01, 0x80, 0xff][place % 3];
                bytes[place] ^= bits;
                changed.put(&name, &bytes);
                let what = format!("byte {place} of {name} ^ {bits}");
                let lost = records
                    .len()
                    .saturating_sub(use_it(&changed, coding, &records, &what));
                let most = if coding == Coding::Words { 64 } else { 1 };
                assert!(lost <= most, "{what}: {lost} lost");
                mutations += 1;
            }
        }
        println!(
            "{coding:?}: {mutations} changed bytes, {} records",
            records.len()
        );
    }
}

#[test]
fn one_damaged_record_is_counted_once_and_for_ever() {
    let (disk, records) = written(Coding::Bytes);
    let name = disk.names()[0].clone();
    let mut bytes = disk.read(&name);
    bytes[500] ^= 1;
    disk.put(&name, &bytes);
    for round in 0..3 {
        let mut spool = try_open(&disk, Coding::Bytes).unwrap();
        let expected = [0, 1, 1][round];
        assert_eq!(spool.dropped().by_damage, expected, "round {round}");
        let five = spool.peek(5).unwrap();
        assert_eq!(five.len(), 5);
        spool.acknowledge(five[4].sequence).unwrap();
        assert_eq!(spool.dropped().by_damage, 1);
        assert_eq!(
            spool.len(),
            records.len() as u64 - 1 - 5 * (round as u64 + 1)
        );
    }
}

#[test]
fn damaged_records_alone_do_not_stop_the_queue() {
    let disk = Disk::new(3);
    let mut spool = try_open(&disk, Coding::Bytes).unwrap();
    for _ in 0..3 {
        spool.append(0, b"gone").unwrap();
    }
    let name = disk.names()[0].clone();
    let mut bytes = disk.read(&name);
    for byte in &mut bytes[44..] {
        *byte ^= 0x55;
    }
    let mut file = disk.clone().open(&name).unwrap();
    file.write_at(&bytes, 0).unwrap();
    while spool.dropped().by_damage < 3 {
        assert!(spool.peek(1).unwrap().is_empty());
    }
    assert!(spool.is_empty());
    spool.append(0, b"good").unwrap();
    assert_eq!(spool.peek(9).unwrap()[0].bytes, b"good");
}

#[test]
fn a_torn_end_is_cut_off() {
    let (disk, records) = written(Coding::Words);
    let name = disk.names()[1].clone();
    let mut bytes = disk.read(&name);
    let whole = bytes.len();
    bytes.extend([0; 700]);
    disk.put(&name, &bytes);
    let spool = try_open(&disk, Coding::Words).unwrap();
    assert_eq!(spool.recovered().cut_bytes, 700);
    assert_eq!(spool.len(), records.len() as u64);
    assert_eq!(disk.read(&name).len(), whole);
    assert_eq!(spool.dropped().by_damage, 0);
}

#[test]
fn a_position_that_cannot_be_read_means_from_the_start() {
    let (disk, records) = written(Coding::Bytes);
    disk.put("position", &[0; 9000]);
    let mut spool = try_open(&disk, Coding::Bytes).unwrap();
    assert!(spool.recovered().position_lost);
    assert_eq!(spool.len(), records.len() as u64 + 1);
    spool.acknowledge(1).unwrap();
    drop(spool);
    let spool = try_open(&disk, Coding::Bytes).unwrap();
    assert!(!spool.recovered().position_lost);
    assert_eq!(spool.len(), records.len() as u64);
}

/// The checksum of the first sixteen bytes with version 2 in them, computed with another program.
const LATER: [(&str, [u8; 8], [u8; 4]); 2] = [
    ("0000000000000001-00000000.bytes", *b"spoolseg", SEGMENT_2),
    ("position", *b"spoolpos", POSITION_2),
];
const SEGMENT_2: [u8; 4] = 0x0296_6cf9_u32.to_le_bytes();
const POSITION_2: [u8; 4] = 0x6e7e_7e1e_u32.to_le_bytes();

#[test]
fn another_version_is_refused_and_left_alone() {
    for (name, magic, checksum) in LATER {
        let disk = Disk::new(3);
        let content = [&magic[..], &2_u32.to_le_bytes(), &checksum, &[0x77; 100]].concat();
        disk.put(name, &content);
        let error = try_open(&disk, Coding::Bytes).unwrap_err();
        assert!(
            error.is_other_version() && !error.is_transient(),
            "{error:?}"
        );
        assert!(error.to_string().contains("format 2"), "{error}");
        assert_eq!(disk.read(name), content);
    }
}

#[test]
fn segments_that_somebody_removed_are_counted() {
    let (disk, records) = written(Coding::Bytes);
    let mut spool = try_open(&disk, Coding::Bytes).unwrap();
    let first = disk.names()[0].clone();
    disk.take_away(&first);
    let left = spool.peek(1000).unwrap().len() as u64;
    assert!(left > 0 && left < records.len() as u64);
    assert_eq!(spool.dropped().by_damage, records.len() as u64 - left);
    drop(spool);
    let spool = try_open(&disk, Coding::Bytes).unwrap();
    assert_eq!(spool.len(), left);
}

/// What looks like a record inside of a record is none, even behind damage.
#[test]
fn a_record_that_contains_a_segment_is_just_bytes() {
    let (other, _) = written(Coding::Bytes);
    let inner = other.read(&other.names()[0]);
    let disk = Disk::new(4);
    let roomy = Options {
        max_bytes: 1024 * 1024,
        ..options(Coding::Bytes, Sync::Always)
    };
    let open = || Spool::open_on(disk.folder(), Path::new("spool"), roomy.clone()).unwrap();
    let mut spool = open();
    for record in [&b"before"[..], &inner, b"after"] {
        spool.append(0, record).unwrap();
    }
    drop(spool);
    let name = disk.names()[0].clone();
    let mut bytes = disk.read(&name);
    // In the length of the second record, so that nothing tells where it ends.
    bytes[44 + 16 + 5 + 6] ^= 0x7f;
    disk.put(&name, &bytes);
    let found: Vec<Vec<u8>> = open()
        .iter()
        .unwrap()
        .map(|record| record.unwrap().bytes)
        .collect();
    assert_eq!(found.last().unwrap(), b"after");
    assert!(found.len() >= 2 && found[0] == b"before");
    assert!(found.iter().all(|record| record.len() < 7), "{found:?}");
}
