//! From the registry to the kernel, changed while it runs, and gone when its time is over.

use crate::ground::{Ground, Mailbox};
use crate::parts::wait_for;
use crate::stand_ins::{
    Registry, Signer, TEN_FIELDS, agent, archive, becomes, drops, goes, page, program,
};

#[test]
fn a_signed_program_drops_packets_changes_live_and_does_not_come_back_when_its_time_is_over() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer) = (Registry::start(), Signer::new());
    let (one, other) = (Mailbox::new(), Mailbox::new());
    let archive = archive("guard");
    registry.put(
        "a7",
        &archive,
        Some(&signer.sign(&drops(&archive, 1, &[one.port()]))),
    );
    let agent = agent(
        &ground,
        &registry.url(),
        &["--public-key", &signer.public()],
    );

    let loaded = becomes(&agent, "a7", "running");
    assert_eq!(
        (&loaded["name"], &loaded["trust"]),
        (&"guard".into(), &"manifest".into())
    );
    ground.send(one.port(), 10);
    ground.send(other.port(), 10);
    assert_eq!((one.count(), other.count()), (0, 10));
    let counted = wait_for("the drops to be counted", || {
        let page = page(&agent, "/telemetry");
        Some(page["telemetry"]["a7"].clone()).filter(|told| told["violations"] == 10)
    });
    assert_eq!(counted["source"], "aegis_stats");
    assert_eq!(counted["packets_processed"], 20);

    // Other parameters: the same program goes on.
    let kernel_id = |program: &serde_json::Value| program["links"][0]["id"].clone();
    let mut next = drops(&archive, 2, &[other.port()]);
    next.ttl_sec = Some(6);
    registry.put("a7", &archive, Some(&signer.sign(&next)));
    let changed = wait_for("the change", || {
        program(&agent, "a7").filter(|one| one["serial"] == 2)
    });
    let left = changed["ttl_seconds"].as_u64().unwrap();
    assert!((1..=6).contains(&left), "{changed}");
    assert_eq!(kernel_id(&changed), kernel_id(&loaded));
    ground.send(one.port(), 10);
    ground.send(other.port(), 10);
    assert_eq!((one.count(), other.count()), (10, 0));
    assert_eq!(
        registry.downloads(),
        1,
        "the same archive is not fetched twice"
    );

    goes(&agent, "a7");
    assert!(!ground.has_xdp());
    ground.send(other.port(), 10);
    assert_eq!(other.count(), 10);
    registry.polled(3);
    assert_eq!(program(&agent, "a7"), None);
    let held = page(&agent, "/status")["held"].clone();
    assert_eq!(held[0]["why"], "expired", "{held}");

    // A new issue is a new promise.
    registry.put(
        "a7",
        &archive,
        Some(&signer.sign(&drops(&archive, 3, &[one.port()]))),
    );
    becomes(&agent, "a7", "running");
    registry.remove("a7");
    goes(&agent, "a7");
    agent.logged("unassigned");
}

#[test]
fn pages_have_the_bodies_of_the_contract() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer) = (Registry::start(), Signer::new());
    let archive = archive("guard");
    registry.put(
        "a7",
        &archive,
        Some(&signer.sign(&drops(&archive, 1, &[9]))),
    );
    let agent = agent(
        &ground,
        &registry.url(),
        &["--public-key", &signer.public()],
    );
    becomes(&agent, "a7", "running");
    for (path, fields) in [
        (
            "/healthz",
            &[
                "status",
                "host_id",
                "timestamp",
                "uptime",
                "version",
                "loaded_programs",
            ][..],
        ),
        ("/readyz", &["status"]),
        (
            "/status",
            &[
                "host_id",
                "timestamp",
                "uptime",
                "version",
                "applied_artifacts",
                "total_programs",
                "kinds",
                "loops",
            ],
        ),
        ("/metrics", &["host_id", "timestamp", "counters", "gauges"]),
        ("/programs", &["host_id", "timestamp", "programs", "total"]),
        (
            "/rollbacks",
            &["host_id", "timestamp", "rollbacks", "total"],
        ),
        (
            "/telemetry",
            &["host_id", "timestamp", "telemetry", "total"],
        ),
        ("/version", &["version", "host_id", "timestamp", "uptime"]),
    ] {
        let page = page(&agent, path);
        for field in fields {
            assert!(page.get(field).is_some(), "{path} lacks {field}: {page}");
        }
    }
    assert_eq!(page(&agent, "/healthz")["status"], "running");
    assert_eq!(page(&agent, "/metrics")["counters"]["running_programs"], 1);
    let one = program(&agent, "a7").unwrap();
    for field in [
        "artifact_id",
        "name",
        "version",
        "status",
        "loaded_at",
        "ttl",
        "ttl_remaining",
        "ttl_seconds",
        "parameters",
    ] {
        assert!(!one[field].is_null(), "{field} is missing: {one}");
    }
    for field in TEN_FIELDS {
        assert!(
            one["telemetry"].get(field).is_some(),
            "{field} is missing: {one}"
        );
    }
    assert_eq!(one["ttl"], "1h0m0s");
    let prometheus = agent.get("/metrics?format=prometheus").body;
    for part in [
        "sigma_programs_running{hostname=",
        "sigma_program_ttl_seconds{hostname=",
        "policy=\"strict\"} 1",
    ] {
        assert!(
            prometheus.contains(part),
            "{part:?} is missing in:\n{prometheus}"
        );
    }
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    let document = std::fs::read_to_string(document).unwrap();
    let told: Vec<(&str, &str)> = prometheus
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .filter(|(name, _)| name.starts_with("sigma_program"))
        .collect();
    assert!(told.len() > 15, "{told:?}");
    for (name, help) in told {
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("docs/METRICS.md lacks {name}"));
        assert!(row.contains(help), "{name}: {help}");
    }
    assert_eq!(
        crate::parts::ask(
            agent.port,
            "POST /programs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .status,
        405
    );
}

#[test]
fn check_tells_what_works_and_what_does_not() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer) = (Registry::start(), Signer::new());
    let archive = archive("guard");
    registry.put(
        "a7",
        &archive,
        Some(&signer.sign(&drops(&archive, 1, &[9]))),
    );
    let config = ground.folder.join("agent.yaml");
    std::fs::write(&config, "").unwrap();
    let place = |name: &str| ground.folder.join(name).to_str().unwrap().to_owned();
    let run = |url: &str, more: &[&str]| {
        let mut args = vec!["check", "--config", config.to_str().unwrap(), "--json"];
        let (state, cache) = (place("state"), place("cache"));
        args.extend([
            "--registry-url",
            url,
            "--host-id",
            "db-02",
            "--metrics-port",
            "0",
        ]);
        args.extend(["--programs-state-dir", &state, "--cache-dir", &cache]);
        args.extend(more);
        let output = crate::parts::binary(&args)
            .env("AGENT_ROLE", "aegis")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let well = run(&registry.url(), &["--public-key", &signer.public()]);
    for part in [
        "assigns 1 artifacts to db-02",
        "1 keys are given",
        "will be made",
        "takes ",
    ] {
        assert!(well.contains(part), "{part:?} is missing in:\n{well}");
    }
    assert!(!well.contains("\"broken\""), "{well}");
    let bad = run("http://127.0.0.1:1", &[]);
    for part in ["Connection refused", "no key is trusted", "broken"] {
        assert!(bad.contains(part), "{part:?} is missing in:\n{bad}");
    }
}
