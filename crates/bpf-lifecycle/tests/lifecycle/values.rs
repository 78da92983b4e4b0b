//! The small parts: names, deadlines, the ring of events, signals, the end of the agent.

use crate::world::{Ask, World, boot, digest, entry, id};
use bpf_lifecycle::{
    Answer, ArtifactId, BootId, Caller, Deadline, Digest, Event, Failure, History, Malformed,
    Memory, Now, OnExit, Outcome, Reason, Signal, Status, Why, plan_exit,
};

#[test]
fn only_ids_that_are_safe_in_paths_and_subjects_are_ids() {
    let longest = "x".repeat(128);
    for good in [
        "a",
        "artifact_1767600000000000000",
        "A-z_0.9",
        "...",
        &longest,
    ] {
        assert_eq!(good.parse::<ArtifactId>().unwrap().as_str(), good);
    }
    let too_long = "x".repeat(129);
    for bad in [
        "", ".", "..", "a/b", "a b", "a\0", "ä", "a*", "a>", "%2e", &too_long,
    ] {
        assert_eq!(
            bad.parse::<ArtifactId>(),
            Err(Malformed::ArtifactId),
            "{bad:?}"
        );
    }
}

#[test]
fn digests_and_boot_ids_are_hexadecimal() {
    // From sha256sum of an empty file.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let parsed: Digest = empty.parse().unwrap();
    assert_eq!(parsed.0[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(parsed.to_string(), empty);
    assert_eq!(empty.to_uppercase().parse(), Ok(parsed));
    for end in 0..empty.len() {
        assert_eq!(empty[..end].parse::<Digest>(), Err(Malformed::Digest));
    }
    for at in 0..empty.len() {
        for wrong in ["g", " ", "+", "-"] {
            let mut text = empty.to_owned();
            text.replace_range(at..=at, wrong);
            assert_eq!(text.parse::<Digest>(), Err(Malformed::Digest), "{text}");
        }
    }
    let id = "0f6b8a4e-6d2f-4c39-9c1e-b1f3a7a9d210";
    assert!(id.parse::<BootId>().is_ok());
    for end in 0..id.len() {
        assert_eq!(id[..end].parse::<BootId>(), Err(Malformed::BootId));
    }
    assert_eq!(format!("{id}0").parse::<BootId>(), Err(Malformed::BootId));
}

#[test]
fn a_deadline_is_over_by_the_clock_that_gets_there_first() {
    let now = |boot_number, boottime_seconds, wall_seconds| Now {
        boot: boot(boot_number),
        boottime_seconds,
        wall_seconds,
    };
    let deadline = |boottime_seconds, not_after| Deadline {
        boot: boot(1),
        boottime_seconds,
        not_after,
    };
    for (deadline, now, left) in [
        (deadline(100, None), now(1, 40, 0), 60),
        (deadline(100, None), now(1, 100, 0), 0),
        (deadline(100, None), now(1, 40, i64::MAX), 60),
        (deadline(100, Some(1_000)), now(1, 40, 990), 10),
        (deadline(100, Some(1_000)), now(1, 40, 1_000), 0),
        (deadline(100, Some(1_000)), now(1, 40, i64::MIN), 60),
        (deadline(100, Some(i64::MIN)), now(1, 40, i64::MAX), 0),
        (
            deadline(i64::MAX, None),
            now(1, i64::MIN, 0),
            i64::MAX.unsigned_abs(),
        ),
        (deadline(100, None), now(2, 40, 0), 0),
    ] {
        assert_eq!(deadline.seconds_left(&now), left, "{deadline:?} {now:?}");
        assert_eq!(deadline.is_over(&now), left == 0);
    }
}

#[test]
fn the_largest_and_smallest_numbers_are_planned_with() {
    for number in [i64::MIN, -1, 0, i64::MAX] {
        let mut world = World::new();
        world.now.boottime_seconds = number;
        world.now.wall_seconds = number;
        let mut huge = entry("a");
        huge.ttl_seconds = u64::MAX;
        huge.not_after = Some(i64::MAX);
        world.listed = vec![huge, entry("b")];
        world.settle(Ask::Fresh);
        world.listed[0].ttl_seconds = 0;
        world.settle(Ask::Fresh);
        world.reboot(0);
        world.settle(Ask::Fresh);
    }
}

fn event(timestamp: i64) -> Event {
    Event {
        artifact_id: id("a"),
        digest: Some(digest(1)),
        reason: Reason::HighCpu,
        threshold: None,
        value: None,
        figures: None,
        timestamp,
        status: Status::Completed,
        error: None,
        request_id: None,
        remark: None,
    }
}

#[test]
fn merged_events_come_before_and_once_and_the_oldest_fall_out() {
    let times = |history: &History| {
        history
            .iter()
            .map(|event| event.timestamp)
            .collect::<Vec<_>>()
    };
    let mut history = History::default();
    history.merge([3, 4].map(event));
    history.merge([1, 2, 3, 3].map(event));
    assert_eq!(times(&history), [1, 2, 3, 4]);
    history.merge((-3_000..0).map(event));
    let kept = times(&history);
    assert_eq!(kept.len(), 1_024);
    assert_eq!((kept[0], kept[1_023]), (-1_020, 4));
}

fn signal(request: Option<&str>) -> Signal {
    Signal {
        id: id("a"),
        caller: Caller::Orchestrator,
        request_id: request.map(str::to_owned),
        remark: Some("ö".repeat(10_000)),
    }
}

#[test]
fn signals_are_bounded_and_their_texts_are_cut() {
    let mut memory = Memory::default();
    assert_eq!(
        memory.signal(signal(Some(&"r".repeat(129)))),
        Answer::Refused
    );
    for _ in 0..64 {
        assert_eq!(memory.signal(signal(None)), Answer::Taken);
    }
    assert_eq!(memory.signal(signal(Some("r"))), Answer::Refused);
    let mut world = World::new();
    world.memory = memory;
    world.settle(Ask::Absent);
    assert_eq!(world.memory.signal(signal(Some("r"))), Answer::Taken);
    assert_eq!(world.memory.signal(signal(Some("r"))), Answer::Duplicate);
    let remark = world.events[0].remark.as_ref().unwrap();
    assert_eq!(remark.chars().count(), 512);
}

#[test]
fn at_the_end_all_go_but_those_that_persist_the_newest_first() {
    let mut world = World::new();
    world.listed = vec![entry("a"), entry("b"), entry("c")];
    world.listed[1].on_exit = OnExit::Persist;
    world.settle(Ask::Fresh);
    world.running[2].loaded_at += 1;
    let steps = plan_exit(&world.running);
    let ids: Vec<&str> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["c", "a"]);
    assert!(steps.iter().all(|step| step.why == Why::Shutdown));
    for step in &steps {
        world.take(step);
    }
    // The next agent starts them again, for the time that was left.
    world.wait(3_000);
    world.settle(Ask::Fresh);
    let left: Vec<u64> = world
        .running
        .iter()
        .map(|running| running.deadline.seconds_left(&world.now))
        .collect();
    assert_eq!(left, [600, 600, 600]);
}

#[test]
fn the_operator_sees_what_is_barred() {
    let mut world = World::new();
    world.listed = vec![entry("a")];
    let failure = Outcome::Failed(Failure {
        by_verifier: true,
        message: "R0 invalid mem access".to_owned(),
    });
    let plan = world.plan(Ask::Fresh);
    let mut memory = plan.memory;
    let events = memory.note(&plan.steps[0], &failure, &world.settings, &world.now);
    assert_eq!(events[0].error.as_deref(), Some("R0 invalid mem access"));
    let barred: Vec<_> = memory.quarantined(&world.now).collect();
    assert_eq!((*barred[0].0, barred[0].1.count), (digest(1), 1));
    world.wait(3_600);
    assert_eq!(memory.quarantined(&world.now).count(), 0);
    memory.clear(&digest(1));
}
