//! A process that uses a spool on a real disk is killed, again and again.
//!
//! The test runs itself as the process to be killed. It tells on its output what it is about to do and what it has done.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, and the figures are worth seeing"
)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use spool::{Coding, Options, Record, Spool, Sync};

const FOLDER: &str = "SPOOL_TEST_FOLDER";

fn options() -> Options {
    Options {
        coding: Coding::Words,
        sync: Sync::OnSegment,
        max_bytes: 64 * 1024,
        max_record_bytes: 1024,
        max_age: None,
    }
}

/// A record that can be told from all others.
fn record(number: u64) -> Vec<u8> {
    let words = [number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15), 7];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn say(line: &str) {
    // In one write, past the buffer that a killed process would take along.
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Not a test of its own: the process that is killed.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut spool = Spool::open(Path::new(&folder), options()).unwrap();
    let newest = spool.newest(1).unwrap().pop();
    let mut number = newest.map_or(0, |newest| newest.at_seconds);
    loop {
        number += 1;
        say(&format!("\nappend {number}\n"));
        let sequence = spool.append(number, &record(number)).unwrap();
        say(&format!("appended {sequence}\n"));
        if number.is_multiple_of(5) {
            let old = spool.peek(4).unwrap().pop().unwrap().sequence;
            say(&format!("acknowledge {old}\n"));
            spool.acknowledge(old).unwrap();
            say(&format!("acknowledged {old}\n"));
        }
    }
}

#[derive(Default)]
struct Told {
    /// Appended and not acknowledged: the sequence and the number.
    kept: VecDeque<(u64, u64)>,
    appending: Option<u64>,
    acknowledging: u64,
    acknowledged: u64,
    largest: u64,
    records: u64,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let Some((what, number)) = line.split_once(' ') else {
            return;
        };
        // The last line may be cut.
        let Ok(number) = number.parse::<u64>() else {
            return;
        };
        match what {
            "append" => self.appending = Some(number),
            "appended" => {
                assert!(number > self.largest, "{number} was given again");
                self.largest = number;
                self.records += 1;
                self.kept
                    .push_back((number, self.appending.take().unwrap()));
            }
            "acknowledge" => self.acknowledging = number,
            "acknowledged" => self.acknowledged = number,
            _ => {}
        }
    }

    fn compare(&mut self, found: &[Record]) {
        let mut found = found.iter().peekable();
        while let Some((sequence, number)) = self.kept.front().copied() {
            self.kept.pop_front();
            if found
                .peek()
                .is_none_or(|record| record.sequence != sequence)
            {
                assert!(sequence <= self.acknowledging, "{sequence} is lost");
                continue;
            }
            let gone = self.acknowledged;
            assert!(
                sequence > gone,
                "{sequence} is back, though {gone} was acknowledged"
            );
            assert_eq!(found.next().unwrap().bytes, record(number));
        }
        // One more may be there: the process was killed before it could tell.
        if let Some(more) = found.next() {
            let number = self.appending.expect("nothing was being appended");
            assert_eq!(more.bytes, record(number));
            assert!(more.sequence > self.largest);
            self.largest = more.sequence;
        }
        assert!(found.next().is_none());
        self.appending = None;
    }
}

/// Starts the child, listens for so many lines, kills it, and listens to the rest.
fn run_and_kill(folder: &Path, lines: usize, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in output.by_ref().take(lines) {
        told.hear(&line.unwrap());
    }
    child.kill().unwrap();
    for line in output {
        told.hear(&line.unwrap());
    }
    child.wait().unwrap();
}

#[test]
fn a_killed_process_loses_nothing_and_repeats_nothing() {
    let kills = std::env::var("SPOOL_CRASHES").map_or(60, |text| text.parse().unwrap());
    let folder = std::env::temp_dir().join(format!("spool-kill-{}", std::process::id()));
    let mut told = Told::default();
    for kill in 0..kills {
        run_and_kill(&folder, 8 + kill * 37 % 400, &mut told);
        let mut spool = Spool::open(&folder, options()).unwrap();
        let found: Vec<Record> = spool.iter().unwrap().map(Result::unwrap).collect();
        told.compare(&found);
        assert_eq!(spool.dropped(), spool::Dropped::default());
        told.kept = found
            .iter()
            .map(|record| (record.sequence, record.at_seconds))
            .collect();
        // Keeps the queue short of its limit.
        if let Some(last) = found.get(found.len() / 2) {
            spool.acknowledge(last.sequence).unwrap();
            told.kept.retain(|(sequence, _)| *sequence > last.sequence);
            told.acknowledged = last.sequence;
            told.acknowledging = last.sequence;
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{kills} kills, {} records", told.records);
}
