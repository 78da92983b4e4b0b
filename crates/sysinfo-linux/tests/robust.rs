//! Every parser meets every prefix and every one-byte mutation of the fixtures: no panic, and
//! figures that stay sane.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

use std::path::{Path, PathBuf};

use sysinfo_linux::parse;

/// Parses `bytes` with the parser of a file; false if there is none for it.
fn parse_as(name: &str, bytes: &[u8]) -> bool {
    match name {
        "proc/stat" => {
            if let Ok(cpu) = parse::stat(bytes) {
                let usage = cpu.total.usage_since(&Default::default());
                assert!(usage.is_none_or(|it| (0.0..=1.0).contains(&it.busy)));
            }
        }
        "proc/meminfo" => drop(parse::meminfo(bytes)),
        "proc/loadavg" => drop(parse::loadavg(bytes)),
        "proc/uptime" => drop(parse::uptime(bytes)),
        "proc/net/dev" => drop(parse::net_dev(bytes)),
        "proc/self/mountinfo" => drop(parse::mountinfo(bytes)),
        "proc/diskstats" => drop(parse::diskstats(bytes)),
        "proc/vmstat" => drop(parse::vmstat(bytes)),
        "proc/self/cgroup" | "proc/1/cgroup" => drop(parse::cgroup(bytes)),
        "proc/1/stat" => {
            let _ = (parse::process_state(bytes), parse::process_start(bytes));
        }
        "proc/user_beancounters" => drop(parse::user_beancounters(bytes)),
        "proc/spl/kstat/zfs/arcstats" => drop(parse::arcstats(bytes)),
        "proc/sys/fs/file-nr" => drop(parse::file_nr(bytes)),
        "etc/os-release" => drop(parse::os_release(bytes)),
        _ if name.starts_with("proc/pressure/") => drop(parse::pressure(bytes)),
        _ => return false,
    }
    true
}

/// A longer file is tried by its head and tail, so that the whole test takes seconds.
const LONGEST: usize = 1000;

#[test]
fn no_prefix_and_no_mutation_of_a_fixture_makes_a_parser_panic() {
    let mut tried = 0;
    for (name, bytes) in fixtures() {
        if !parse_as(&name, &bytes) {
            continue;
        }
        tried += 1;
        let mut bytes = shortened(bytes);
        for position in 0..bytes.len() {
            parse_as(&name, &bytes[..position]);
            let good = bytes[position];
            for byte in [0xff, b' ', b'\n', b'9', good ^ 1] {
                bytes[position] = byte;
                parse_as(&name, &bytes);
            }
            bytes[position] = good;
        }
    }
    assert!(tried > 60, "only {tried} files of the fixtures were tried");
}

fn shortened(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > LONGEST {
        bytes.drain(LONGEST * 3 / 4..bytes.len() - LONGEST / 4);
    }
    bytes
}

/// Each file of the fixtures with its path inside its host.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                let inside: PathBuf = entry.path().strip_prefix(&root).unwrap().into();
                let in_host = inside.iter().skip(1).collect::<PathBuf>();
                let name = in_host.to_str().unwrap().to_owned();
                found.push((name, std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}
