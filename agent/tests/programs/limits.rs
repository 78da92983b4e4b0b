//! A program that costs too much is measured, given its delay, and undone.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::ground::{Ground, HERE, THERE};
use crate::parts::wait_for;
use crate::stand_ins::{
    Registry, Signer, agent, archive, becomes, goes, manifest, on_here, page, program,
};

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
    ];
    let agent = agent(&ground, &registry.url(), &more);
    becomes(&agent, "hot", "running");
    if page(&agent, "/status")["statistics"] == "off" {
        eprintln!("skipped: this kernel does not count run times");
        return;
    }
    let enough = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&enough);
    ground.beside(move || {
        let socket = UdpSocket::bind((THERE, 0)).unwrap();
        while !stop.load(Ordering::Relaxed) {
            let _ = socket.send_to(&[0; 8], (HERE, 9));
        }
    });
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
    enough.store(true, Ordering::Relaxed);
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
}
