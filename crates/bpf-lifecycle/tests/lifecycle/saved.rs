//! The memory written down and read back.

use crate::world::{Ask, START_OF_WALL, World, digest, entry, id};
use bpf_lifecycle::{
    Caller, Event, Figures, History, Measured, Memory, Reason, Signal, Status, Threshold,
};

/// A memory with something in every part of it.
fn full() -> World {
    let mut world = World::new();
    world.listed = ["a", "b", "c", "d", "e", "f"].map(entry).to_vec();
    for (number, entry) in (1..).zip(&mut world.listed) {
        entry.digest = digest(number);
        entry.not_after = Some(START_OF_WALL + 1_000);
    }
    world.failing.push((digest(6), false));
    world.settle(Ask::Fresh);
    world.wait(30);
    world.listed[1].digest = digest(7);
    world.measured = vec![Measured {
        id: id("a"),
        digest: digest(1),
        figures: Figures {
            cpu_percent: Some(90.5),
            latency_ms: Some(f64::NAN),
            ..Figures::default()
        },
    }];
    ask(&mut world, "c", "r1");
    world.settle(Ask::Fresh);
    world.listed.truncate(1);
    world.settle(Ask::Fresh);
    ask(&mut world, "d", "r2");
    world
}

fn ask(world: &mut World, name: &str, request: &str) {
    world.memory.signal(Signal {
        id: id(name),
        caller: Caller::Orchestrator,
        request_id: Some(request.to_owned()),
        remark: Some("so".to_owned()),
    });
}

#[test]
fn a_memory_that_was_read_back_plans_the_same() {
    let mut world = full();
    let text = serde_json::to_string_pretty(&world.memory).unwrap();
    for part in [
        "\"breach\": {",
        "\"previous\": {",
        "\"until\"",
        "\"failures\": {\n",
        "r2",
        "\"braking\": true",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let before = world.plan(Ask::Kept);
    world.memory = serde_json::from_str(&text).unwrap();
    // What is no number has no form in JSON and is read as unknown.
    let again = serde_json::to_string_pretty(&world.memory).unwrap();
    assert_eq!(again, text);
    assert_eq!(world.plan(Ask::Kept).steps, before.steps);
    assert_eq!(world.plan(Ask::Kept).held, before.held);
}

#[test]
fn a_file_that_is_cut_is_refused_and_an_empty_one_knows_nothing() {
    let text = serde_json::to_string(&full().memory).unwrap();
    for end in 0..text.len() {
        assert!(serde_json::from_str::<Memory>(&text[..end]).is_err());
    }
    assert_eq!(
        serde_json::from_str::<Memory>("{}").unwrap(),
        Memory::default()
    );
    assert_eq!(
        serde_json::from_str::<Memory>("{\"of_tomorrow\":1}").unwrap(),
        Memory::default()
    );
}

#[test]
fn a_file_with_a_wrong_byte_is_refused_or_planned_with() {
    let mut world = full();
    let text = serde_json::to_string(&world.memory).unwrap();
    let mut read = 0;
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = b"9\"-}"[at % 4];
        if let Ok(memory) = serde_json::from_slice(&bytes) {
            read += 1;
            world.memory = memory;
            let _ = world.plan(Ask::Fresh);
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn a_ring_that_is_too_long_loses_its_oldest() {
    let event = |timestamp| Event {
        artifact_id: id("a"),
        digest: None,
        reason: Reason::Manual,
        threshold: Some(Threshold::Unknown),
        value: None,
        figures: None,
        timestamp,
        status: Status::Failed,
        error: None,
        request_id: None,
        remark: None,
    };
    let events: Vec<Event> = (0..3_000).map(event).collect();
    let text = format!(
        "{{\"history\":{}}}",
        serde_json::to_string(&events).unwrap()
    );
    let mut world = World::new();
    world.memory = serde_json::from_str(&text).unwrap();
    let memory = world.plan(Ask::Absent).memory;
    assert_eq!(memory.history().len(), History::CAPACITY);
    assert_eq!(memory.history().iter().next_back(), events.last());
}

/// The words of the contract, as they stand in its section 5.3.
#[test]
fn events_are_written_in_the_words_of_the_contract() {
    let reasons = [
        (Reason::TelemetryThreshold, "telemetry_threshold"),
        (Reason::VerifierFailure, "verifier_failure"),
        (Reason::HighCpu, "high_cpu"),
        (Reason::OrchestratorSignal, "orchestrator_signal"),
        (Reason::Manual, "manual"),
        (Reason::TtlExpired, "ttl_expired"),
    ];
    for (reason, word) in reasons {
        assert_eq!(serde_json::to_value(reason).unwrap(), word);
        assert_eq!(reason.to_string(), word);
    }
    let thresholds = [
        (Threshold::MaxErrors, "max_errors"),
        (Threshold::MaxViolations, "max_violations"),
        (Threshold::MaxCpuPercent, "max_cpu_percent"),
        (Threshold::MaxLatencyMs, "max_latency_ms"),
        (Threshold::MaxMemoryKb, "max_memory_kb"),
        (Threshold::VerifierFailure, "verifier_failure"),
        (Threshold::Unknown, "unknown"),
    ];
    for (threshold, word) in thresholds {
        assert_eq!(serde_json::to_value(threshold).unwrap(), word);
    }
    let statuses = [
        (Status::Initiated, "initiated"),
        (Status::InProgress, "in_progress"),
        (Status::Completed, "completed"),
        (Status::Failed, "failed"),
    ];
    for (status, word) in statuses {
        assert_eq!(serde_json::to_value(status).unwrap(), word);
    }
}
