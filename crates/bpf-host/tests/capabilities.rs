//! Without root: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are enough, and what needs more says so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use bpf_host::{Artifact, Host, LocalPolicy, OnExit, ProgramKind, Support, Verdict};
use serde_json::json;

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, at_here, object, places};

const ROLE: &str = "BPF_HOST_TEST_ROLE";
const FOLDER: &str = "BPF_HOST_TEST_FOLDER";
const NOBODY: u32 = 65_534;

fn verdict(support: &[Support], kind: ProgramKind) -> Verdict {
    support
        .iter()
        .find(|one| one.kind == kind)
        .unwrap()
        .verdict
        .clone()
}

/// Not a test: what runs as nobody.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let folder = std::env::var(FOLDER).unwrap();
    assert!(!ground::is_root());
    let mut host = Host::open(places(Path::new(&folder)), LocalPolicy::default()).unwrap();
    let object = object("guard");
    let guard = Artifact {
        parameters: json!({"drop_port": 4242}),
        on_exit: OnExit::Persist,
        ..at_here("guard", "v1", &object)
    };
    if role == "nothing" {
        let Verdict::NeedsCapability(what) = verdict(&host.probe(), ProgramKind::Xdp) else {
            panic!("{:?}", host.probe())
        };
        assert_eq!(what, "CAP_BPF and CAP_NET_ADMIN");
        let error = host.load(&guard).unwrap_err().to_string();
        assert!(error.contains("not permitted"), "{error}");
        return;
    }
    host.load(&guard).unwrap();
    host.load(&Artifact {
        on_exit: OnExit::Detach,
        ..guard.clone()
    })
    .unwrap();
    host.load(&guard).unwrap();
    assert!(host.measure("guard").unwrap().memory_bytes.is_some());
    host.set_parameters("guard", &json!({"ports": {"1": 1}}))
        .unwrap();
    assert_eq!(verdict(&host.probe(), ProgramKind::Xdp), Verdict::Works);
    let Verdict::NeedsCapability(what) = verdict(&host.probe(), ProgramKind::Tracepoint) else {
        panic!("{:?}", host.probe())
    };
    assert!(what.starts_with("CAP_DAC_READ_SEARCH, to read "), "{what}");
    let error = host.enable_statistics().unwrap_err().to_string();
    assert!(error.contains("needs CAP_SYS_ADMIN"), "{error}");
    // Who holds an interface has a name only for those who may look.
    let burn = self::object("burn");
    let second = at_here("burn", "v1", &burn);
    let error = host.load(&second).unwrap_err().to_string();
    assert!(
        error.starts_with("refused: interface here already has XDP program id "),
        "{error}"
    );
    host.unload("guard").unwrap();
}

fn as_nobody(ground: &Ground, role: &str, capabilities: &str) {
    let binary = ground.folder.join("tests");
    // By another process: a file that this one, or a process that it starts right now, has open for writing cannot be started.
    let copy = Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(&binary)
        .status();
    assert!(copy.unwrap().success());
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set",
        ])
        .args([
            format!("-all,{capabilities}"),
            "--inh-caps".to_owned(),
            format!("-all,{capabilities}"),
            "--ambient-caps".to_owned(),
            format!("-all,{capabilities}"),
        ])
        .arg(binary)
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, &ground.folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

#[test]
fn three_capabilities_are_enough() {
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: needs the command setpriv (Debian: util-linux)");
        return;
    }
    let Some(ground) = Ground::new() else { return };
    let pins = ground.folder.join("bpf/pins");
    std::fs::create_dir(&pins).unwrap();
    // The way to the folder is open, the folder is nobody's.
    use_permissions(&ground.folder.join("bpf"), 0o755);
    chown(&pins, Some(NOBODY), Some(NOBODY)).unwrap();
    as_nobody(&ground, "three", "+bpf,+net_admin,+perfmon");
    assert!(ground.pins().is_empty());
    as_nobody(&ground, "nothing", "-kill");
}

fn use_permissions(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
