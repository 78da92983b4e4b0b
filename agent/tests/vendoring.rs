//! Every library folder builds and passes its tests when it is copied out alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing test is meant to stop"
)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

#[test]
fn every_library_passes_its_tests_from_a_copy_of_its_folder() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What the copies have in common with the workspace was built there already.
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    // Always the same place for the same target: cargo takes what it built there last time for built here, wherever here is.
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    let place = std::env::temp_dir().join(format!("sigma-agent-vendoring-{:x}", hasher.finish()));
    if place.exists() {
        std::fs::remove_dir_all(&place).unwrap();
    }
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(top.join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let copy = place.join(&name);
        std::fs::create_dir_all(&copy).unwrap();
        let source = top.join("crates").join(&name).join(".");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(source)
            .arg(&copy)
            .status()
            .unwrap();
        assert!(copied.success());
        // The versions that the workspace is tested with; cargo drops those that the crate does not use.
        std::fs::copy(top.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
        let output = Command::new(&cargo)
            .args(["test", "--offline", "--quiet", "--all-features"])
            .env("CARGO_TARGET_DIR", target)
            .current_dir(&copy)
            .output()
            .unwrap();
        println!("{name}: {}", output.status);
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            failed.push(format!("{name}:\n{}", String::from_utf8_lossy(&said)));
        }
    }
    std::fs::remove_dir_all(&place).unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
