//! `sigma-agent info`, on this host and on another one's files.

use crate::parts::{binary, folder};

fn info(args: &[&str]) -> serde_json::Value {
    let output = binary(&[&["info", "--json", "--config", "/dev/null"], args].concat())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn info_agrees_with_the_kernel() {
    let info = info(&[]);
    let first_line = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        info["host"]["kernel"],
        first_line("/proc/sys/kernel/osrelease")
    );
    let total: u64 = first_line("/proc/meminfo")
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(info["memory"]["total_bytes"], total * 1024);
    let busy = info["cpu"]["busy_ratio"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&busy));
    assert!(
        info["addresses"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["address"] == "127.0.0.1" && one["reported"] == false)
    );
}

#[test]
fn info_for_people_is_aligned_text() {
    let output = binary(&["info", "--config", "/dev/null"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("host\n  hostname "), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn another_hosts_files_are_another_host() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/sysinfo-linux/tests/fixtures/"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
    {
        let info = info(&["--host-root", entry.path().to_str().unwrap()]);
        assert!(
            info["host"].is_object() && info["problems"].is_array(),
            "{}: {info}",
            entry.path().display()
        );
        seen += 1;
    }
    assert!(seen > 5, "the fixture hosts were not found");
}

#[test]
fn a_place_without_a_host_says_so() {
    let empty = folder("empty");
    let info = info(&["--host-root", empty.to_str().unwrap()]);
    assert!(info["memory"].as_object().unwrap().is_empty(), "{info}");
    assert!(!info["problems"].as_array().unwrap().is_empty(), "{info}");
}
