//! The real kernel: attaching, enforcing, changing, replacing and unloading, between two network namespaces.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bpf_host::{
    Artifact, Direction, Error, EventKind, LocalPolicy, OnExit, ProgramKind, Refusal, Target,
    Verdict, XdpMode,
};
use serde_json::{Value, json};

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, HERE, Mailbox, THERE, artifact, at_here, here, ip, object, takes, wait_for};

fn guard<'a>(object: &'a [u8], parameters: Value) -> Artifact<'a> {
    Artifact {
        parameters,
        ..at_here("guard", "v1", object)
    }
}

#[test]
fn a_guard_drops_and_counts_what_its_parameters_say() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let (good, bad, worse) = (Mailbox::new(), Mailbox::new(), Mailbox::new());
    let object = object("guard");
    let parameters = json!({"drop_port": bad.port(), "ports": [{"key": worse.port(), "value": 1}]});
    host.load(&guard(&object, parameters)).unwrap();
    for mailbox in [&good, &bad, &worse] {
        ground.peer().send(mailbox.port(), 10);
    }
    assert_eq!((good.count(), bad.count(), worse.count()), (10, 0, 0));

    let reading = host.measure("guard").unwrap();
    assert_eq!(reading.counters.source.as_deref(), Some("aegis_stats"));
    assert_eq!(
        (
            reading.counters.packets,
            reading.counters.violations,
            reading.counters.errors
        ),
        (Some(30), Some(20), Some(0))
    );

    host.unload("guard").unwrap();
    ground.peer().send(bad.port(), 10);
    assert_eq!(bad.count(), 10);
    assert!(host.status().is_empty());
}

#[test]
fn parameters_change_while_the_program_runs() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let mailbox = Mailbox::new();
    let object = object("guard");
    let port = mailbox.port();
    host.load(&guard(&object, json!({"drop_port": 1, "ports": []})))
        .unwrap();
    let passed = |ground: &Ground| {
        ground.peer().send(port, 5);
        mailbox.count()
    };
    assert_eq!(passed(&ground), 5);
    host.set_parameters("guard", &json!({"ports": [{"key": port, "value": 1}]}))
        .unwrap();
    assert_eq!(passed(&ground), 0);
    host.set_parameters("guard", &json!({"enforce": 0}))
        .unwrap();
    assert_eq!(passed(&ground), 5);
    // A map holds exactly what was said last; what was not mentioned stays.
    host.set_parameters(
        "guard",
        &json!({"ports": [], "enforce": 1, "networks": {"10.77.0.0/24": 1}}),
    )
    .unwrap();
    assert_eq!(passed(&ground), 0);
    host.set_parameters("guard", &json!({"networks": {"10.78.0.0/24": 1}}))
        .unwrap();
    assert_eq!(passed(&ground), 5);
    // The same constant is no change; another is one, and then nothing changes at all.
    host.set_parameters("guard", &json!({"drop_port": 1}))
        .unwrap();
    match host.set_parameters(
        "guard",
        &json!({"drop_port": port, "networks": {"10.77.0.0/24": 1}}),
    ) {
        Err(Error::Parameter(error)) => {
            assert!(error.needs_reload && error.at == "drop_port", "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(passed(&ground), 5);
}

#[test]
fn a_full_map_takes_a_whole_new_content() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    let ports = |from: u16| json!({"ports": (from..from + 4).map(|port| json!({"key": port, "value": 1})).collect::<Vec<_>>()});
    host.load(&guard(&object, ports(1000))).unwrap();
    host.set_parameters("guard", &ports(2000)).unwrap();
    host.set_parameters("guard", &ports(2002)).unwrap();
    let five = json!({"ports": {"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}});
    let error = host.set_parameters("guard", &five).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter ports: 5 entries do not fit into 4"
    );
}

#[test]
fn wrong_parameters_are_errors_before_anything_is_attached() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    for (parameters, words) in [
        (
            json!({"drop_prot": 1}),
            "parameter drop_prot: the program has no such parameter; it has drop_port, enforce",
        ),
        (
            json!({"drop_port": 65536}),
            "parameter drop_port: 65536 is outside of 0 to 65535",
        ),
        (
            json!({"networks": {"10.0.0.1/8": 1}}),
            "has bits set behind its prefix",
        ),
        (
            json!({"aegis_events": []}),
            "maps of this type take no parameters",
        ),
    ] {
        let error = host.load(&guard(&object, parameters)).unwrap_err();
        assert!(
            matches!(error, Error::Parameter(_)) && error.to_string().contains(words),
            "{error}"
        );
        assert!(host.status().is_empty());
    }
}

#[test]
fn events_arrive_through_a_descriptor_that_can_be_polled() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    host.load(&guard(&object, json!({"drop_port": 4242})))
        .unwrap();
    let mut events = host.events("guard").unwrap().unwrap();
    assert_eq!(events.next_event(), None);
    ground.peer().send(4242, 3);
    let mut poll = [rustix::event::PollFd::new(
        &events,
        rustix::event::PollFlags::IN,
    )];
    let patience = rustix::event::Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(rustix::event::poll(&mut poll, Some(&patience)).unwrap(), 1);
    let received: Vec<_> = std::iter::from_fn(|| events.next_event()).collect();
    assert_eq!(received.len(), 3);
    assert_eq!(
        (
            received[0].kind,
            received[0].code,
            received[0].payload.as_slice()
        ),
        (EventKind::Violation, 4242, &[10, 77, 0, 2][..])
    );
    assert_eq!(events.malformed(), 0);
    assert!(events.as_raw_fd() > 2);
}

#[test]
fn a_second_xdp_program_is_refused_with_the_name_of_the_first() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    host.load(&guard(&object, Value::Null)).unwrap();
    let burn = self::object("burn");
    let second = at_here("burn", "v1", &burn);
    let error = host.load(&second).unwrap_err();
    assert!(error.is_transient());
    let Error::Refused(Refusal::Occupied { interface, holder }) = &error else {
        panic!("{error}")
    };
    assert!(
        interface == "here" && holder.starts_with("XDP program `guard` (id "),
        "{holder}"
    );
}

fn family(
    cgroup: &str,
    object: &'static str,
) -> (Vec<u8>, std::collections::BTreeMap<String, Vec<Target>>) {
    let cgroup = || {
        vec![Target::Cgroup {
            path: PathBuf::from(cgroup),
        }]
    };
    let tc = |direction| {
        vec![Target::Tc {
            interface: "here".to_owned(),
            direction,
        }]
    };
    let targets = [
        ("at_arrival", here()),
        ("coming", tc(Direction::Ingress)),
        ("going", tc(Direction::Egress)),
        ("either", tc(Direction::Egress)),
        ("leaving", cgroup()),
        ("connecting", cgroup()),
        ("sending", cgroup()),
    ];
    (
        self::object(object),
        targets
            .map(|(name, targets)| (name.to_owned(), targets))
            .into(),
    )
}

#[test]
fn a_family_of_programs_attaches_whole() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    if !takes(&host, ProgramKind::Tc) {
        return;
    }
    let (_, cgroup) = ground.cgroup();
    let (object, targets) = family(&cgroup, "family");
    host.load(&Artifact {
        targets,
        ..artifact("family", "v1", &object)
    })
    .unwrap();
    let links = host.status()[0].links.clone();
    assert_eq!(links.len(), 7);
    assert!(
        links.iter().all(|link| link.attached == Some(true)),
        "{links:?}"
    );
    ground.peer().send(4242, 10);
    let packets = host.measure("family").unwrap().counters.packets;
    assert!(packets >= Some(20), "{packets:?}");
}

#[test]
fn one_program_that_cannot_be_attached_undoes_all() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    if !takes(&host, ProgramKind::Tc) {
        return;
    }
    let (_, cgroup) = ground.cgroup();
    let (object, mut targets) = family(&cgroup, "family");
    // In the order of names `sending` is the last; its cgroup holds an exclusive program of somebody else.
    let burn = self::object("burn");
    let other = at_here("burn", "v1", &burn);
    host.load(&other).unwrap();
    targets.remove("at_arrival");
    let occupied = vec![
        Target::Xdp {
            interface: "lo".to_owned(),
            mode: XdpMode::Any,
        },
        here().remove(0),
    ];
    targets.insert("at_arrival".to_owned(), occupied);
    let error = host
        .load(&Artifact {
            targets: targets.clone(),
            ..artifact("family", "v1", &object)
        })
        .unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refusal::Occupied { .. })),
        "{error}"
    );
    assert_eq!(host.status().len(), 1);
    // What had been attached before the failure is free again: lo takes another program.
    let lo = vec![Target::Xdp {
        interface: "lo".to_owned(),
        mode: XdpMode::Any,
    }];
    host.load(&Artifact {
        targets: [("burn".to_owned(), lo)].into(),
        ..artifact("on-lo", "v1", &burn)
    })
    .unwrap();
    host.unload("on-lo").unwrap();
    host.unload("burn").unwrap();
    host.load(&Artifact {
        targets,
        ..artifact("family", "v1", &object)
    })
    .unwrap();
}

#[test]
fn an_address_is_out_of_reach_for_one_cgroup_only() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    if !takes(&host, ProgramKind::Tc) {
        return;
    }
    let (folder, cgroup) = ground.cgroup();
    let (object, targets) = family(&cgroup, "family");
    let parameters = json!({"forbidden_address": THERE, "watched_cgroup": cgroup});
    host.load(&Artifact {
        targets,
        parameters,
        ..artifact("family", "v1", &object)
    })
    .unwrap();

    let port = ground.peer().run(|| {
        let listener = TcpListener::bind((THERE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || listener.incoming().take(2).for_each(drop));
        port
    });
    TcpStream::connect((THERE, port)).unwrap();
    // A process of its own inside of the cgroup tries the same.
    let inside = |script: &str| {
        let script = format!("echo $$ > {}/cgroup.procs && {script}", folder.display());
        std::process::Command::new("bash")
            .args(["-c", &script])
            .output()
            .unwrap()
    };
    let tcp = inside(&format!("exec 3<>/dev/tcp/{THERE}/{port}"));
    assert!(
        String::from_utf8_lossy(&tcp.stderr).contains("not permitted"),
        "{tcp:?}"
    );
    let udp = inside(&format!("echo hello > /dev/udp/{THERE}/{port}"));
    assert!(
        String::from_utf8_lossy(&udp.stderr).contains("not permitted"),
        "{udp:?}"
    );
    assert!(host.measure("family").unwrap().counters.violations >= Some(2));

    host.unload("family").unwrap();
    let tcp = inside(&format!("exec 3<>/dev/tcp/{THERE}/{port}"));
    assert!(tcp.status.success(), "{tcp:?}");
}

#[test]
fn tracing_programs_see_this_process() {
    let Some(ground) = Ground::new() else { return };
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
    let object = object("traces");
    let parameters = json!({"watched_process": std::process::id(), "hits": [0, 0, 0, 0]});
    let clock = ("by_clock".to_owned(), vec![Target::CpuClock { hertz: 500 }]);
    host.load(&Artifact {
        targets: [clock].into(),
        parameters,
        ..artifact("traces", "v1", &object)
    })
    .unwrap();
    host.enable_statistics().unwrap();
    wait_for("all programs to run", || {
        let _ = rustix::process::getpid();
        host.measure("traces")
            .unwrap()
            .programs
            .iter()
            .all(|program| program.run_count > Some(0))
    });
}

#[test]
fn uprobes_hit_functions_of_a_library() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    if !takes(&host, ProgramKind::Uprobe) {
        return;
    }
    let object = object("uprobes");
    let library = [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/aarch64-linux-gnu/libc.so.6",
    ]
    .into_iter()
    .find(|path| PathBuf::from(path).exists());
    let Some(library) = library else {
        eprintln!("skipped: no libc.so.6 at Debian's place");
        return;
    };
    let target = |symbol: &str| {
        vec![Target::Uprobe {
            binary: library.into(),
            symbol: Some(symbol.to_owned()),
            offset: 0,
        }]
    };
    let targets = |symbol: &str| {
        [
            ("entered".to_owned(), target(symbol)),
            ("returned".to_owned(), target(symbol)),
        ]
        .into()
    };
    let error = host
        .load(&Artifact {
            targets: targets("no_such_function"),
            ..artifact("uprobes", "v1", &object)
        })
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has no symbol `no_such_function`"),
        "{error}"
    );
    host.load(&Artifact {
        targets: targets("getpid"),
        ..artifact("uprobes", "v1", &object)
    })
    .unwrap();
    let output = std::process::Command::new("bash")
        .args(["-c", "exec true"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let counters = host.measure("uprobes").unwrap().counters;
    assert!(
        counters.packets >= Some(2) && counters.violations >= Some(1),
        "{counters:?}"
    );
}

#[test]
fn the_verifier_says_why() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("verifier");
    let wrong = Artifact {
        targets: [("unchecked".to_owned(), here())].into(),
        ..artifact("wrong", "v1", &object)
    };
    for error in [
        host.load(&wrong).unwrap_err(),
        host.rehearse(&wrong).unwrap_err(),
    ] {
        let Error::Kernel(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.source.raw_os_error(), Some(13));
        let log = error.verifier.as_ref().unwrap();
        assert!(
            log.reason().contains("map_value_or_null") && log.text().contains("0: "),
            "{log}"
        );
        assert!(
            error
                .to_string()
                .starts_with("failed to load program `unchecked`: Permission denied"),
            "{error}"
        );
    }
}

#[test]
fn requests_that_cannot_be_meant_are_refused() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    let to = |name: &str, target: Target| [(name.to_owned(), vec![target])].into();
    let cgroup = Target::Cgroup { path: "/".into() };
    for (wrong, words) in [
        (
            artifact("guard", "v1", &object),
            "program `guard` (xdp) needs a target",
        ),
        (
            Artifact {
                targets: to("gaurd", cgroup.clone()),
                ..artifact("guard", "v1", &object)
            },
            "there is no program `gaurd`; there are guard",
        ),
        (
            Artifact {
                targets: to("guard", cgroup),
                ..artifact("guard", "v1", &object)
            },
            "is of the kind xdp, and cannot go to cgroup /",
        ),
        (
            Artifact {
                slot: "a/b",
                ..guard(&object, Value::Null)
            },
            "a slot is up to 64 letters",
        ),
        (
            Artifact {
                digest: "",
                ..guard(&object, Value::Null)
            },
            "a digest is up to 128 letters",
        ),
    ] {
        let error = host.load(&wrong).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let unknown = Artifact {
        targets: to(
            "guard",
            Target::Xdp {
                interface: "nowhere".to_owned(),
                mode: XdpMode::Any,
            },
        ),
        ..artifact("guard", "v1", &object)
    };
    let error = host.load(&unknown).unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("find interface nowhere"),
        "{error}"
    );
    assert!(host.unload("guard").is_err());
    assert!(host.status().is_empty());
}

#[test]
fn protected_places_stay_free() {
    let Some(ground) = Ground::new() else { return };
    let policy = LocalPolicy {
        protected_interfaces: ["here".to_owned()].into(),
        ..LocalPolicy::default()
    };
    let mut host = bpf_host::Host::open(ground.places(), policy).unwrap();
    let object = object("guard");
    let error = host
        .load(&guard(&object, Value::Null))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "refused by the rules of this host: interface here is protected"
    );

    let (_, cgroup) = ground.cgroup();
    for path in [
        "/".to_owned(),
        "/.".to_owned(),
        format!("{}", ground.folder.join("cgroup").display()),
    ] {
        let (object, mut targets) = family(&cgroup, "family");
        targets.retain(|name, _| name == "sending");
        let root = vec![Target::Cgroup { path: path.into() }];
        targets = ["at_arrival", "coming", "going", "either"]
            .map(|name| (name.to_owned(), lo(name)))
            .into_iter()
            .chain(
                [("connecting", "a"), ("leaving", "b"), ("sending", "c")]
                    .map(|(name, _)| (name.to_owned(), root.clone())),
            )
            .collect();
        let error = host
            .load(&Artifact {
                targets,
                ..artifact("family", "v1", &object)
            })
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "refused by the rules of this host: the root cgroup holds every process of this host"
        );
    }
}

fn lo(name: &str) -> Vec<Target> {
    let interface = "lo".to_owned();
    match name {
        "at_arrival" => vec![Target::Xdp {
            interface,
            mode: XdpMode::Any,
        }],
        "coming" => vec![Target::Tc {
            interface,
            direction: Direction::Ingress,
        }],
        _ => vec![Target::Tc {
            interface,
            direction: Direction::Egress,
        }],
    }
}

#[test]
fn a_new_version_takes_over_under_traffic_without_a_gap() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let mailbox = Mailbox::new();
    let port = mailbox.port();
    let object = object("guard");
    let version = |on_exit| Artifact {
        on_exit,
        ..guard(&object, json!({"drop_port": port}))
    };
    host.load(&version(OnExit::Detach)).unwrap();
    let link = host.status()[0].links[0].id;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let sent = ground.peer().start(move || {
        let socket = UdpSocket::bind((THERE, 0)).unwrap();
        let mut sent = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            sent += u64::from(socket.send_to(b"leak", (HERE, port)).is_ok());
        }
        sent
    });
    let replacements = 10;
    for number in 0..replacements {
        // Kept and not kept take turns, and are one to the traffic.
        host.load(&version(if number % 2 == 0 {
            OnExit::Persist
        } else {
            OnExit::Detach
        }))
        .unwrap();
        wait_for("traffic through this version", || {
            host.measure("guard").unwrap().counters.violations > Some(1_000)
        });
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sent.recv().unwrap();
    assert_eq!(mailbox.count(), 0, "leaked of {sent}");
    assert_eq!(host.status()[0].links[0].id, link);
    eprintln!("{replacements} replacements, {sent} packets sent, 0 leaked");
    assert!(sent > 10_000);
}

#[test]
fn a_version_that_fails_leaves_the_old_one_at_work() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let mailbox = Mailbox::new();
    let object = object("guard");
    let parameters = json!({"drop_port": mailbox.port()});
    host.load(&guard(&object, parameters.clone())).unwrap();
    // The second target is taken by a program that is not ours to replace.
    let burn = self::object("burn");
    let lo = vec![Target::Xdp {
        interface: "lo".to_owned(),
        mode: XdpMode::Any,
    }];
    host.load(&Artifact {
        targets: [("burn".to_owned(), lo.clone())].into(),
        ..artifact("burn", "v1", &burn)
    })
    .unwrap();
    let both = [here(), lo].concat();
    let next = Artifact {
        digest: "v2",
        targets: [("guard".to_owned(), both)].into(),
        parameters: json!({"drop_port": 1}),
        ..artifact("guard", "v2", &object)
    };
    let error = host.load(&next).unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refusal::Occupied { .. })),
        "{error}"
    );
    ground.peer().send(mailbox.port(), 10);
    assert_eq!(mailbox.count(), 0, "the old version was not put back");
    assert_eq!(host.status()[1].digest, "v1");
    assert_eq!(host.measure("guard").unwrap().counters.violations, Some(10));
}

#[test]
fn an_interface_that_goes_and_comes_back_is_noticed() {
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    let generic = vec![Target::Xdp {
        interface: "passing".to_owned(),
        mode: XdpMode::Generic,
    }];
    let guard = Artifact {
        targets: [("guard".to_owned(), generic)].into(),
        ..artifact("guard", "v1", &object)
    };
    ip("link add passing type veth peer name other");
    host.load(&guard).unwrap();
    assert_eq!(host.status()[0].links[0].attached, Some(true));
    assert_eq!(
        host.status()[0].links[0].target,
        "interface passing (generic mode)"
    );
    ip("link del passing");
    wait_for("the link to be cut", || {
        host.status()[0].links[0].attached == Some(false)
    });
    assert!(host.load(&guard).unwrap_err().is_transient());
    ip("link add passing type veth peer name other");
    host.load(&guard).unwrap();
    assert_eq!(host.status()[0].links[0].attached, Some(true));
}

#[test]
fn the_kernel_is_probed_with_reasons() {
    let Some(ground) = Ground::new() else { return };
    let host = ground.host();
    let support = host.probe();
    assert_eq!(support.len(), ProgramKind::ALL.len());
    for one in &support {
        eprintln!(
            "{}: {} {}",
            one.kind,
            one.verdict.name(),
            one.verdict.reason().unwrap_or_default()
        );
        assert_eq!(one.verdict.works(), one.verdict.reason().is_none());
    }
    let xdp = support
        .iter()
        .find(|one| one.kind == ProgramKind::Xdp)
        .unwrap();
    assert_eq!(xdp.verdict, Verdict::Works);
    let nowhere = bpf_host::Places {
        tracefs: Some("/nowhere".into()),
        cgroup_root: "/nowhere".into(),
        ..ground.places()
    };
    drop(host);
    let host = bpf_host::Host::open(nowhere, LocalPolicy::default()).unwrap();
    for kind in [ProgramKind::Tracepoint, ProgramKind::CgroupSkb] {
        let verdict = host
            .probe()
            .into_iter()
            .find(|one| one.kind == kind)
            .unwrap()
            .verdict;
        assert!(matches!(verdict, Verdict::NeedsSetup(_)), "{verdict:?}");
    }
}
