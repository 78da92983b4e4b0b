//! Kinds that not every kernel takes. `tests/guest/run.sh` runs this on Debian's kernels in a virtual machine.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use bpf_host::{Artifact, OnExit, ProgramKind};
use serde_json::json;

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, artifact, object, takes, wait_for};

/// In the virtual machine every kind must be there.
fn must_work() -> bool {
    std::env::var("BPF_HOST_TEST_WILLING").is_ok()
}

#[test]
fn functions_are_probed_or_refused_as_foretold() {
    let Some(ground) = Ground::without_network() else {
        return;
    };
    let mut host = ground.host();
    for (name, kind) in [
        ("fentry", ProgramKind::Fentry),
        ("fexit", ProgramKind::Fexit),
        ("kprobe", ProgramKind::Kprobe),
        ("kretprobe", ProgramKind::Kretprobe),
    ] {
        let object = object(name);
        let foretold = takes(&host, kind);
        let done = host.load(&artifact(name, "v1", &object));
        assert_eq!(done.is_ok(), foretold, "{name}: {done:?}");
        assert!(foretold || !must_work());
        if !foretold {
            continue;
        }
        wait_for("a run", || {
            // It sleeps in the kernel, which is what the programs wait for.
            std::thread::sleep(Duration::from_millis(1));
            host.measure(name).unwrap().counters.packets > Some(0)
        });
        // The next version is there before this one goes.
        host.load(&Artifact {
            on_exit: OnExit::Persist,
            ..artifact(name, "v2", &object)
        })
        .unwrap();
        assert_eq!(ground.pins(), [format!("live_1_{name}")]);
        host.unload(name).unwrap();
        assert!(ground.pins().is_empty());
        eprintln!("{name}: attached, ran, replaced, detached");
    }
}

#[test]
fn a_security_program_denies_even_when_nobody_is_there() {
    let Some(ground) = Ground::without_network() else {
        return;
    };
    let mut host = ground.host();
    let object = object("lsm");
    let secret = ground.folder.join("secret");
    fs::write(&secret, "secret").unwrap();
    let parameters = json!({"forbidden_inode": fs::metadata(&secret).unwrap().ino()});
    let artifact = Artifact {
        parameters,
        on_exit: OnExit::Persist,
        ..artifact("lsm", "v1", &object)
    };
    let foretold = takes(&host, ProgramKind::Lsm);
    assert!(foretold || !must_work());
    // Where `bpf` is not in the list of security modules, the kernel would attach it and never run it.
    let done = host.load(&artifact);
    assert_eq!(done.is_ok(), foretold, "{done:?}");
    if !foretold {
        return;
    }
    let is_denied = || File::open(&secret).is_err_and(|error| error.raw_os_error() == Some(1));
    assert!(is_denied());
    assert_eq!(host.measure("lsm").unwrap().counters.violations, Some(1));
    drop(host);
    assert!(is_denied());
    let mut host = ground.host();
    host.load(&artifact).unwrap();
    assert!(is_denied());
    host.unload("lsm").unwrap();
    wait_for("the file to be open to all again", || {
        File::open(&secret).is_ok()
    });
    eprintln!("lsm: denied, persisted, replaced, detached");
}
