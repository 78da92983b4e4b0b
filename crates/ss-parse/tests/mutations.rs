//! Damage to the captured rows: no panic, no pid that was not there, no other row lost.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is meant to stop"
)]

use std::collections::BTreeSet;
use std::fs;

use ss_parse::{Parsed, Socket, parse};

fn captures() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect()
}

/// What must survive damage elsewhere. Protocol and wildcard depend on the whole text.
fn essence(socket: &Socket) -> (Option<u16>, Vec<u32>) {
    (socket.local.port_number(), pids(socket))
}

fn pids(socket: &Socket) -> Vec<u32> {
    socket.processes.iter().map(|process| process.pid).collect()
}

/// Fails if a socket has owners that no single row of the original has. `changed` are the pids
/// whose digits were damaged.
fn assert_no_new_owner(
    original: &Parsed,
    damaged: &Parsed,
    changed: &[u32],
    what: &dyn Fn() -> String,
) {
    for socket in &damaged.sockets {
        let new = pids(socket);
        assert!(!new.contains(&1), "{}", what());
        let is_known = original.sockets.iter().any(|row| {
            let known = pids(row);
            let unknown = new.iter().filter(|pid| !known.contains(pid)).count();
            unknown == 0 || (unknown == 1 && known.iter().any(|pid| changed.contains(pid)))
        });
        assert!(is_known, "{}: {new:?}", what());
    }
}

/// The number whose digits stand at or next to `at`.
fn number_at(text: &[u8], at: usize) -> Vec<u32> {
    let is_digit = |i: usize| text.get(i).is_some_and(u8::is_ascii_digit);
    let mut numbers = Vec::new();
    for seed in [at.saturating_sub(1), at, at + 1] {
        if is_digit(seed) {
            let start = (0..=seed)
                .rev()
                .take_while(|i| is_digit(*i))
                .last()
                .unwrap();
            let end = (seed..).take_while(|i| is_digit(*i)).last().unwrap();
            numbers.extend(
                std::str::from_utf8(&text[start..=end])
                    .unwrap()
                    .parse::<u32>(),
            );
        }
    }
    numbers
}

/// Every row of every capture once, as the lines it was printed on, with one blank in place of the
/// padding.
fn rows() -> BTreeSet<Vec<u8>> {
    let mut rows = BTreeSet::new();
    for (_, text) in captures() {
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        for (i, line) in lines.iter().enumerate() {
            let mut row = line.trim_ascii_end().to_vec();
            if row.ends_with(b"users:((\"two") {
                let next = lines.get(i + 1).unwrap().trim_ascii_end();
                row = [&line[..], b"\n", next].concat();
            }
            // One row with many owners says as much as forty.
            row.dedup_by(|a, b| *a == b' ' && *b == b' ');
            // One row with many owners says as much as forty.
            if row.len() < 400 && !parse(&row).sockets.is_empty() {
                rows.insert(row);
            }
        }
    }
    rows
}

const BEFORE: &[u8] =
    b"tcp LISTEN 0 128 127.0.0.1:1111 0.0.0.0:* users:((\"before\",pid=7001,fd=3))\n";
const AFTER: &[u8] =
    b"\ntcp LISTEN 0 128 127.0.0.1:2222 0.0.0.0:* users:((\"after\",pid=7002,fd=3))\n";

fn between(row: &[u8]) -> Vec<u8> {
    [BEFORE, row, AFTER].concat()
}

fn assert_harmless(row: &[u8], original: &Parsed, damaged_row: &[u8], at: usize) {
    let damaged = parse(&between(damaged_row));
    let what = || format!("{} at {at}", damaged_row.escape_ascii());
    assert_no_new_owner(original, &damaged, &number_at(row, at), &what);
    let first = damaged.sockets.first().map(essence);
    let last = damaged.sockets.last().map(essence);
    assert_eq!(
        (first, last),
        (
            Some((Some(1111), vec![7001])),
            Some((Some(2222), vec![7002]))
        ),
        "{}",
        what()
    );
    let told = damaged.sockets.len() + damaged.errors.len() + damaged.skipped;
    let is_blanked = damaged_row.trim_ascii().is_empty();
    assert!(
        told >= 3 || is_blanked,
        "the row is gone without a word: {}",
        what()
    );
}

/// Puts `per_byte` of the replacements at each place, others at the next, and leaves each byte out
/// once.
fn damage_every_byte(replacements: &[u8], per_byte: usize) {
    let rows = rows();
    assert!(rows.len() > 500, "only {} rows in the captures", rows.len());
    let mut replacements = replacements.iter().cycle();
    for row in &rows {
        let original = parse(&between(row));
        let mut damaged = row.clone();
        for at in 0..row.len() {
            for byte in replacements.by_ref().take(per_byte) {
                damaged[at] = *byte;
                assert_harmless(row, &original, &damaged, at);
            }
            damaged[at] = row[at];
            let without = [&row[..at], &row[at + 1..]].concat();
            assert_harmless(row, &original, &without, at);
        }
    }
}

#[test]
fn one_changed_or_missing_byte_invents_no_owner_and_hides_no_other_row() {
    damage_every_byte(b"\n \t\"(),:1\xff", 2);
}

#[test]
#[ignore = "takes minutes without optimisation; run with --release -- --ignored"]
fn any_changed_byte_invents_no_owner_and_hides_no_other_row() {
    damage_every_byte(&(0..=u8::MAX).collect::<Vec<_>>(), 256);
}

#[test]
fn a_row_cut_off_anywhere_invents_no_owner() {
    for row in rows() {
        let original = parse(&between(&row));
        for end in 0..row.len() {
            let text = [BEFORE, &row[..end]].concat();
            let damaged = parse(&text);
            let what = || text.escape_ascii().to_string();
            assert_no_new_owner(&original, &damaged, &[], &what);
            assert_eq!(
                damaged.sockets.first().map(essence),
                Some((Some(1111), vec![7001])),
                "{}",
                what()
            );
        }
    }
}

#[test]
fn every_prefix_of_a_small_capture_is_read() {
    for (file, text) in captures().iter().filter(|(_, text)| text.len() < 4000) {
        let original = parse(text);
        for end in 0..text.len() {
            assert_no_new_owner(&original, &parse(&text[..end]), &[], &|| {
                format!("{file} up to {end}")
            });
        }
    }
}

#[test]
fn a_damaged_byte_anywhere_in_a_whole_capture_costs_at_most_its_neighbours() {
    for (file, mut text) in captures()
        .into_iter()
        .filter(|(_, text)| text.len() < 20_000)
    {
        let original = parse(&text);
        for at in (0..text.len()).step_by(331) {
            let byte = text[at];
            let changed = number_at(&text, at);
            for replacement in [b'\n', b'"', b')', 0xff] {
                text[at] = replacement;
                let damaged = parse(&text);
                assert_no_new_owner(&original, &damaged, &changed, &|| format!("{file} at {at}"));
                assert!(
                    damaged.sockets.len() + 2 >= original.sockets.len(),
                    "{file} at {at}"
                );
            }
            text[at] = byte;
        }
    }
}

#[test]
fn text_of_other_tools_is_refused_without_harm() {
    for bytes in [
        &include_bytes!("captures/proc-net-tcp.txt")[..],
        include_bytes!("captures/proc-net-udp6.txt"),
    ] {
        let parsed = parse(bytes);
        assert_eq!(parsed.sockets, []);
        assert_eq!(
            parsed.errors.len(),
            bytes.split(|byte| *byte == b'\n').count() - 1
        );
    }
}
