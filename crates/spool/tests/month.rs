//! Thirty days of samples, one a minute, in a mebibyte.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, and the figures are worth seeing"
)]

use spool::{Coding, Options, Spool, Sync};

#[path = "month/samples.rs"]
mod samples;

const MEBIBYTE: u64 = 1024 * 1024;

#[test]
fn thirty_days_of_minutes_fit_into_a_mebibyte() {
    let folder = std::env::temp_dir().join(format!("spool-month-{}", std::process::id()));
    let options = Options {
        coding: Coding::Words,
        sync: Sync::OnSegment,
        max_bytes: MEBIBYTE,
        ..Options::default()
    };
    let mut spool = Spool::open(&folder, options.clone()).unwrap();
    let month: Vec<(u64, Vec<u8>)> = samples::month(7).collect();
    assert_eq!(month.len(), 43_200);
    for (at, record) in &month {
        spool.append(*at, record).unwrap();
    }
    spool.acknowledge(0).unwrap();
    spool.sync().unwrap();
    drop(spool);

    let files = std::fs::read_dir(&folder).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    let mut spool = Spool::open(&folder, options).unwrap();
    assert_eq!(spool.dropped(), spool::Dropped::default());
    assert_eq!(spool.bytes(), bytes);
    for (record, (at, expected)) in spool.iter().unwrap().zip(&month) {
        let record = record.unwrap();
        assert_eq!((record.at_seconds, &record.bytes), (*at, expected));
    }
    assert_eq!(spool.len(), 43_200);
    println!("{bytes} bytes, {:.2} a record", bytes as f64 / 43_200.0);
    assert!(bytes <= 960_000, "{bytes}");
    std::fs::remove_dir_all(&folder).unwrap();
}
