//! What outlives a process: pins, adoption, the reaper, and processes that are killed at any instant.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bpf_host::{
    Artifact, Error, Host, LocalPolicy, OnExit, ProgramKind, Recovery, Refusal, Target,
};
use serde_json::json;

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, Mailbox, artifact, at_here, object, places, takes, wait_for};

fn guard<'a>(object: &'a [u8], digest: &'a str, port: u16) -> Artifact<'a> {
    let deadline = Some(Duration::from_secs(1_000));
    Artifact {
        parameters: json!({"drop_port": port}),
        on_exit: OnExit::Persist,
        deadline,
        ..at_here("guard", digest, object)
    }
}

#[test]
fn a_persistent_program_goes_on_and_is_adopted() {
    let Some(ground) = Ground::new() else { return };
    let mailbox = Mailbox::new();
    let object = object("guard");
    let mut host = ground.host();
    host.load(&guard(&object, "v1", mailbox.port())).unwrap();
    let before = host.status();
    assert_eq!(ground.pins(), ["live_1_guard"]);
    drop(host);

    ground.peer().send(mailbox.port(), 10);
    assert_eq!(mailbox.count(), 0, "nobody enforced while nobody was there");

    let mut host = ground.host();
    assert_eq!(host.recovery(), &Recovery::default());
    let mut found = before[0].clone();
    found.adopted = false;
    assert_eq!(host.status(), [found]);
    // The kernel's figures need no object; the program's own counters do, and so do its parameters.
    assert_eq!(host.measure("guard").unwrap().programs.len(), 1);
    assert_eq!(host.measure("guard").unwrap().counters.violations, None);
    assert!(
        host.set_parameters("guard", &json!({}))
            .unwrap_err()
            .to_string()
            .contains("not adopted")
    );

    let error = host.adopt("guard", "v2", &object).unwrap_err().to_string();
    assert_eq!(error, "refused: slot guard holds version v1, not v2");
    assert!(host.adopt("guard", "v1", &self::object("burn")).is_err());
    host.adopt("guard", "v1", &object).unwrap();
    assert_eq!(host.status(), before);
    assert_eq!(host.measure("guard").unwrap().counters.violations, Some(10));
    host.set_parameters("guard", &json!({"enforce": 0}))
        .unwrap();
    ground.peer().send(mailbox.port(), 10);
    assert_eq!(mailbox.count(), 10);

    host.unload("guard").unwrap();
    assert!(ground.pins().is_empty());
}

#[test]
fn what_was_not_adopted_is_replaced_on_the_same_link() {
    let Some(ground) = Ground::new() else { return };
    let object = object("guard");
    let mut host = ground.host();
    host.load(&guard(&object, "v1", 1)).unwrap();
    let link = host.status()[0].links[0].id;
    drop(host);
    let mut host = ground.host();
    host.load(&guard(&object, "v2", 1)).unwrap();
    assert_eq!(host.status()[0].links[0].id, link);
    assert_eq!(host.status()[0].digest, "v2");
    assert_eq!(ground.pins(), ["live_2_guard"]);
}

#[test]
fn tracing_programs_persist_too() {
    let Some(ground) = Ground::new() else { return };
    let object = object("traces");
    let mut host = ground.host();
    let kinds = [
        ProgramKind::Tracepoint,
        ProgramKind::RawTracepoint,
        ProgramKind::BtfTracepoint,
        ProgramKind::PerfEvent,
    ];
    if !kinds.into_iter().all(|kind| takes(&host, kind)) {
        return;
    }
    let clock = vec![Target::CpuClock { hertz: 100 }];
    let traces = Artifact {
        targets: [("by_clock".to_owned(), clock)].into(),
        on_exit: OnExit::Persist,
        ..artifact("traces", "v1", &object)
    };
    host.load(&traces).unwrap();
    let before = host.status();
    drop(host);
    let mut host = ground.host();
    host.adopt("traces", "v1", &object).unwrap();
    assert_eq!(host.status(), before);
    // There is no update of these links: the new version is there before the old one goes.
    host.load(&Artifact {
        digest: "v2",
        ..traces
    })
    .unwrap();
    let after = host.status();
    assert!(
        after[0]
            .links
            .iter()
            .all(|link| before[0].links.iter().all(|old| old.id != link.id))
    );
    assert_eq!(after[0].links.len(), before[0].links.len());
    host.unload("traces").unwrap();
    assert!(ground.pins().is_empty());
}

#[test]
fn the_reaper_unloads_what_has_expired_and_nothing_else() {
    let Some(ground) = Ground::new() else { return };
    let object = object("guard");
    let lo = vec![Target::Xdp {
        interface: "lo".to_owned(),
        mode: bpf_host::XdpMode::Any,
    }];
    let mut host = ground.host();
    host.load(&guard(&object, "v1", 1)).unwrap();
    host.load(&Artifact {
        slot: "other",
        targets: [("guard".to_owned(), lo)].into(),
        ..guard(&object, "v1", 1)
    })
    .unwrap();
    host.set_deadline("guard", Some(Duration::from_secs(10)))
        .unwrap();
    drop(host);
    let mut host = ground.host();
    let now = Duration::from_secs(11);
    let reaped = host
        .reap(|status| status.deadline.is_some_and(|deadline| deadline <= now))
        .unwrap();
    assert_eq!(reaped, ["guard"]);
    assert_eq!(ground.pins(), ["live_1_other"]);
    host.set_deadline("other", None).unwrap();
    drop(host);
    assert_eq!(ground.host().status()[0].deadline, None);
}

#[test]
fn leftovers_of_crashes_are_removed_and_what_is_not_understood_too() {
    let Some(ground) = Ground::new() else { return };
    let object = object("guard");
    let mut host = ground.host();
    host.load(&guard(&object, "v1", 1)).unwrap();
    drop(host);
    let pins = ground.folder.join("bpf/pins");
    for folder in [
        "tmp_2_guard/links",
        "dead_7_x/maps",
        "live_1_broken/progs",
        "not-ours",
    ] {
        std::fs::create_dir_all(pins.join(folder)).unwrap();
    }
    // An older version that was not yet removed when its successor was whole.
    std::fs::rename(pins.join("live_1_guard"), pins.join("live_2_guard")).unwrap();
    std::fs::create_dir(pins.join("live_1_guard")).unwrap();
    let host = ground.host();
    let removed = &host.recovery().removed;
    assert_eq!(removed[..3], ["dead_7_x", "tmp_2_guard", "live_1_guard"]);
    assert!(removed[3].starts_with("broken: "), "{removed:?}");
    let left: BTreeSet<String> = ground.pins().into_iter().collect();
    assert_eq!(left, ["live_2_guard", "not-ours"].map(str::to_owned).into());
    assert_eq!(host.status().len(), 1);
}

#[test]
fn the_folder_of_pins_has_one_user_and_is_in_a_bpffs() {
    let Some(ground) = Ground::new() else { return };
    let host = ground.host();
    let second = Host::open(ground.places(), LocalPolicy::default()).unwrap_err();
    assert!(
        second.is_transient() && matches!(second, Error::Refused(Refusal::Busy(_))),
        "{second}"
    );
    drop(host);
    ground.host();
    let elsewhere = bpf_host::Places {
        pins: Some(ground.folder.join("plain")),
        ..ground.places()
    };
    let error = Host::open(elsewhere, LocalPolicy::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not in a bpffs; mount one"), "{error}");

    let nowhere = bpf_host::Places {
        pins: None,
        ..ground.places()
    };
    let mut host = Host::open(nowhere, LocalPolicy::default()).unwrap();
    let error = host
        .load(&guard(&object("guard"), "v1", 1))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "refused: nothing can persist without a folder for pins"
    );
}

/// The ids of all programs, maps and links of this kernel that have our names, by bpftool.
fn in_kernel() -> Option<Vec<String>> {
    let list = |what: &str| {
        Command::new("bpftool")
            .args([what, "show"])
            .output()
            .ok()
            .filter(|output| output.status.success())
    };
    let (programs, maps, links) = (list("prog")?, list("map")?, list("link")?);
    let text = [programs.stdout, maps.stdout, links.stdout].concat();
    Some(
        String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| line.contains(": "))
            .map(str::to_owned)
            .collect(),
    )
}

/// Lines of bpftool about programs and maps with one of these names.
fn with_names(lines: &[String], names: &[&str]) -> Vec<String> {
    let ours = |line: &&String| {
        names
            .iter()
            .any(|name| line.contains(&format!("name {name}")))
    };
    lines.iter().filter(ours).cloned().collect()
}

const ROLE: &str = "BPF_HOST_TEST_ROLE";
const FOLDER: &str = "BPF_HOST_TEST_FOLDER";

/// Not a test: what the killed process does, again and again.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    assert_eq!(role, "load, replace, unload");
    let folder = std::env::var(FOLDER).unwrap();
    let object = object("guard");
    let mut host = Host::open(places(Path::new(&folder)), LocalPolicy::default()).unwrap();
    eprintln!("ready");
    let lo = || {
        [(
            "guard".to_owned(),
            vec![Target::Xdp {
                interface: "lo".to_owned(),
                mode: bpf_host::XdpMode::Any,
            }],
        )]
        .into()
    };
    for round in 0_u64.. {
        let digest = format!("v{round}");
        // Always there: the enforced drop. Coming and going: another one, kept or not.
        host.load(&guard(&object, &digest, 4242)).unwrap();
        let on_exit = if round % 2 == 0 {
            OnExit::Persist
        } else {
            OnExit::Detach
        };
        host.load(&Artifact {
            slot: "guest",
            targets: lo(),
            on_exit,
            ..guard(&object, &digest, 1)
        })
        .unwrap();
        host.unload("guest").unwrap();
    }
}

fn start_child(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, "load, replace, unload")
        .env(FOLDER, folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .for_each(|line| eprintln!("child: {line}"));
    });
    child
}

/// Kills a process that loads, replaces and unloads, at random instants. After each kill the
/// drop must be enforced without anybody there, and the next start must find it whole.
#[test]
fn no_kill_leaves_a_gap_or_a_leak() {
    let Some(ground) = Ground::new() else { return };
    let kills = std::env::var("BPF_HOST_TEST_KILLS").map_or(30, |count| count.parse().unwrap());
    let object = object("guard");
    let mailbox = std::net::UdpSocket::bind((ground::HERE, 4242)).unwrap();
    mailbox.set_nonblocking(true).unwrap();
    let mut host = ground.host();
    host.load(&guard(&object, "first", 4242)).unwrap();
    drop(host);
    let (mut removed, mut repaired) = (0, 0);
    for number in 0..kills {
        let mut child = start_child(&ground.folder);
        let instant = Instant::now() + Duration::from_micros(u64::from(rand(number)) % 150_000);
        wait_for("the instant", || Instant::now() >= instant);
        // Every other time in the middle of a change.
        let changing = || ground.pins().iter().any(|name| !name.starts_with("live"));
        wait_for("a change", || number % 2 == 0 || changing());
        child.kill().unwrap();
        child.wait().unwrap();
        ground.peer().send(4242, 20);
        assert!(
            mailbox.recv_from(&mut [0; 8]).is_err(),
            "a gap after kill {number}"
        );
        let host = ground.host();
        removed += host.recovery().removed.len();
        repaired += host.recovery().repaired.len();
        let status = host.status();
        assert!(
            status
                .iter()
                .any(|one| one.slot == "guard" && one.links[0].attached == Some(true)),
            "{status:?}"
        );
    }
    let mut host = ground.host();
    for status in host.status() {
        host.unload(&status.slot).unwrap();
    }
    drop(host);
    eprintln!("{kills} kills: no gap; {removed} leftovers removed, {repaired} slots repaired");
    assert!(ground.pins().is_empty(), "{:?}", ground.pins());
    ground.peer().send(4242, 5);
    assert!(mailbox.recv_from(&mut [0; 8]).is_ok(), "still enforced");
    if in_kernel().is_none() {
        eprintln!("skipped: the count of leaked objects needs bpftool");
        return;
    }
    leaves_nothing_in_the_kernel(&ground);
}

/// Other tests run beside this one with their own guards: only what remains counts.
fn leaves_nothing_in_the_kernel(ground: &Ground) {
    let _ = ground;
    let names = ["guard", "networks", "ports", "bpf_host_meta"];
    wait_for("nothing of ours to be in the kernel", || {
        with_names(&in_kernel().unwrap_or_default(), &names).is_empty()
    });
}

/// Some number, another one each time.
fn rand(seed: u32) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    u32::try_from(RandomState::new().hash_one(seed) >> 33).unwrap()
}
