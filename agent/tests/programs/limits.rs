//! A program that costs too much is measured, given its delay, and undone.

use std::path::Path;

use serde_json::{Value, json};

use crate::ground::Ground;
use crate::listener::Listener;
use crate::nats_server::NatsServer;
use crate::parts::{binary, free_port, wait_for};
use crate::stand_ins::{
    HOST, Registry, Signer, TEN_FIELDS, agent, archive, becomes, goes, manifest, on_here, page,
    program,
};

/// What was said on a subject of this type, and in which order.
fn said<'a>(heard: &'a [(String, Value)], subject: &str, kind: &str) -> Vec<&'a Value> {
    let of = heard
        .iter()
        .filter(|(on, message)| on == subject && message["type"] == kind);
    of.map(|(_, message)| message).collect()
}

/// The rollback of `hot` in the words of the contract.
fn tells_of_the_rollback(heard: &[(String, Value)], host: &str) {
    let on = |subject: &str, kind| said(heard, &format!("{subject}{host}"), kind);
    let progress = on("agent.rollback.status", "rollback_status");
    let status: Vec<&Value> = progress.iter().map(|message| &message["status"]).collect();
    assert_eq!(
        status,
        ["initiated", "in_progress", "completed"],
        "{heard:?}"
    );
    for message in &progress {
        assert_eq!(message["artifact_id"], "hot");
        assert_eq!(message["host_id"], HOST);
        assert_eq!(message["reason"], "high_cpu");
        assert_eq!(message["threshold"], "max_cpu_percent");
    }
    assert_eq!(
        on("agent.alerts.threshold", "rollback_status"),
        progress[..1]
    );
    let unloaded = on("agent.telemetry", "program_unloaded");
    assert_eq!(unloaded[0]["data"]["status"], "unloaded");
    let event = on("agent.telemetry", "program_rolled_back")[0];
    let (data, metadata) = (&event["data"], &event["metadata"]);
    let fields: Vec<&str> = data
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    for field in TEN_FIELDS {
        assert!(fields.contains(&field), "{event}");
    }
    assert_eq!(data["artifact_id"], "hot");
    assert_eq!(data["host_id"], HOST);
    assert_eq!(data["status"], "rolled_back");
    assert!(data["cpu_percent"].as_f64().unwrap() > 2.0, "{event}");
    let wanted = json!({
        "host_id": HOST, "artifact_id": "hot", "rollback_reason": "high_cpu", "threshold": "max_cpu_percent",
        "value": progress[0]["value"],
    });
    assert_eq!(*metadata, wanted);
    assert!(metadata["value"].as_str().unwrap().parse::<f64>().unwrap() > 2.0);
}

/// The time that the kernel counted in the program that this process holds, from the descriptors of the process.
fn kernel_seconds(pid: u32) -> f64 {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let of = |text: String| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("run_time_ns:"))?;
        line.trim().parse::<u64>().ok()
    };
    let counted =
        folder.filter_map(|entry| of(std::fs::read_to_string(entry.unwrap().path()).ok()?));
    let nanoseconds = counted.max().expect("a program");
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[test]
fn a_program_that_burns_processor_time_is_rolled_back_and_barred() {
    let Some(ground) = Ground::new() else { return };
    let (registry, signer) = (Registry::start(), Signer::new());
    let nats = NatsServer::start(free_port());
    let mut listener = nats.as_ref().map(Listener::at);
    let nats_url = nats.as_ref().map_or("off".to_owned(), NatsServer::url);
    let archive = archive("burn");
    let mut manifest = manifest(&archive, "burn", 1);
    manifest.attach = vec![on_here("burn")];
    manifest.parameters = json!({ "rounds": 200_000 }).as_object().cloned();
    manifest.limits.max_cpu_percent = Some(2.0);
    registry.put("hot", &archive, Some(&signer.sign(&manifest)));
    let more = [
        "--public-key",
        &signer.public(),
        "--rollback-check-interval",
        "1",
        "--rollback-delay",
        "4",
        "--nats-url",
        &nats_url,
    ];
    let agent = agent(&ground, &registry.url(), &more);
    becomes(&agent, "hot", "running");
    if page(&agent, "/status")["statistics"] == "off" {
        eprintln!("skipped: this kernel does not count run times");
        return;
    }
    let flood = ground.flood(9);
    // What the agent says lies between what the kernel says before and after.
    let told = || {
        let program = program(&agent, "hot")?;
        program["kernel_programs"][0]["run_time_seconds"].as_f64()
    };
    let first = wait_for("figures", || told().filter(|seconds| *seconds > 0.0));
    let before = kernel_seconds(agent.child.id());
    let next = wait_for("the next figures", || {
        told().filter(|seconds| *seconds >= before)
    });
    let after = kernel_seconds(agent.child.id());
    println!("the kernel: {before} s, the agent: {next} s, the kernel: {after} s");
    assert!(first <= before && next <= after);
    goes(&agent, "hot");
    drop(flood);
    assert!(!ground.has_xdp());
    let history = page(&agent, "/rollbacks")["rollbacks"].clone();
    let told: Vec<&str> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["status"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["initiated", "in_progress", "completed"], "{history}");
    assert_eq!(history[0]["reason"], "high_cpu");
    assert_eq!(history[0]["threshold"], "max_cpu_percent");
    let value: f64 = history[0]["value"].as_str().unwrap().parse().unwrap();
    assert!(value > 2.0, "{history}");
    if let Some(listener) = &mut listener {
        // On the subjects of this host, and on those of all.
        let is_it = |message: &Value| message["type"] == "program_rolled_back";
        let heard = [listener.hears_until(is_it), listener.hears_until(is_it)].concat();
        tells_of_the_rollback(&heard, &format!(".{HOST}"));
        tells_of_the_rollback(&heard, "");
    }
    registry.polled(2);
    assert_eq!(program(&agent, "hot"), None);
    let status = page(&agent, "/status");
    assert_eq!(
        status["quarantined"].as_array().unwrap().len(),
        1,
        "{status}"
    );
    wait_for("the count", || {
        (page(&agent, "/metrics")["counters"]["rolled_back_programs"] == 1).then_some(())
    });

    // An operator lets it run again: while no agent runs, and while one does.
    let digest = status["quarantined"][0]["digest"].as_str().unwrap();
    let state = ground.folder.join("state");
    let clear = |words: &[&str]| clear(&state, words);
    let (told, well) = clear(&[]);
    assert!(
        well && told.contains(digest) && told.contains("rolled back as hot"),
        "{told}"
    );
    assert!(told.contains("high_cpu, time 1"), "{told}");
    let (told, well) = clear(&[&"ab".repeat(32)]);
    assert!(!well && told.contains("not held back"), "{told}");
    drop(agent);
    assert!(clear(&[digest]).1);
    let agent = self::agent(&ground, &registry.url(), &more);
    becomes(&agent, "hot", "running");
    let (told, _) = clear(&[]);
    assert_eq!(told, "nothing is held back\n");
    assert_eq!(clear(&["--json"]).0, "{\"held_back\":[]}\n");
    let flood = ground.flood(9);
    goes(&agent, "hot");
    drop(flood);
    assert!(clear(&[digest]).1);
    becomes(&agent, "hot", "running");
}

/// `programs clear`: what it said, and whether that was good.
fn clear(state: &Path, words: &[&str]) -> (String, bool) {
    let mut command = binary(&["programs", "clear"]);
    command.args(words).arg("--programs-state-dir").arg(state);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (said, output.status.success())
}
