//! The kept objects are those of the sources beside them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::path::Path;
use std::process::Command;

use bpf_host::ScannedObject;

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, at_here, object};

/// The newest compiler that Debian's packages would have installed, with its strip.
fn compiler() -> Option<String> {
    let versions = (14..30).rev().map(|version| format!("clang-{version}"));
    let works = |name: &String| {
        [name.clone(), name.replace("clang", "llvm-strip")]
            .iter()
            .all(|tool| Command::new(tool).arg("--version").output().is_ok())
    };
    versions.chain(["clang".to_owned()]).find(works)
}

#[test]
fn sources_compile_to_what_is_kept() {
    let (Some(compiler), true) = (
        compiler(),
        Path::new("/usr/include/bpf/bpf_helpers.h").exists(),
    ) else {
        eprintln!(
            "skipped: needs clang, llvm-strip and bpf/bpf_helpers.h (Debian: clang, llvm, libbpf-dev)"
        );
        return;
    };
    let folder = std::env::temp_dir().join(format!("bpf-host-sources-{}", std::process::id()));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bpf");
    let output = Command::new("sh")
        .arg(sources.join("build.sh"))
        .arg(&compiler)
        .arg(&folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let outcome = |bytes: &[u8]| {
            ScannedObject::read(bytes)
                .map(|object| (object.programs().to_vec(), object.functions().clone()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            outcome(&std::fs::read(&path).unwrap()),
            outcome(&object(name)),
            "{name}"
        );
        compared += 1;
    }
    let guard = std::fs::read(folder.join("guard.o")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    eprintln!("{compared} objects compared, by {compiler}");
    let Some(ground) = Ground::new() else { return };
    ground.host().load(&at_here("guard", "v1", &guard)).unwrap();
}
