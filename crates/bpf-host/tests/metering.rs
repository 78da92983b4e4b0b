//! Figures, against the kernel's own.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is meant to stop"
)]

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bpf_host::{Artifact, Statistics};
use serde_json::{Value, json};

#[path = "ground/mod.rs"]
mod ground;
use ground::{Ground, Mailbox, at_here, object};

fn burn<'a>(object: &'a [u8], rounds: u32) -> Artifact<'a> {
    Artifact {
        parameters: json!({"rounds": rounds}),
        ..at_here("burn", "v1", object)
    }
}

/// What bpftool says about a program.
fn by_bpftool(id: u32) -> Option<Value> {
    let output = Command::new("bpftool")
        .args(["-j", "prog", "show", "id", &id.to_string()])
        .output()
        .ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

/// Whether the kernel counts run times is one setting for the whole machine: who switches it, or counts on it, does so alone.
fn alone() -> MutexGuard<'static, ()> {
    static STATISTICS: Mutex<()> = Mutex::new(());
    STATISTICS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn run_time_and_count_are_those_of_the_kernel() {
    let _alone = alone();
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let mailbox = Mailbox::new();
    let object = object("burn");
    host.load(&burn(&object, 20_000)).unwrap();
    host.enable_statistics().unwrap();
    assert_eq!(host.statistics(), Statistics::Held);
    let before = host.measure("burn").unwrap();
    let started = by_bpftool(before.programs[0].id);
    ground.peer().send(mailbox.port(), 300);
    let after = host.measure("burn").unwrap();
    let ended = by_bpftool(before.programs[0].id);

    let usage = after.since(&before);
    let (runs, cpu_percent, latency) = (
        usage.runs.unwrap(),
        usage.cpu_percent.unwrap(),
        usage.mean_latency.unwrap(),
    );
    eprintln!(
        "{runs} runs, {cpu_percent:.1} % CPU, {latency:?} each, {:?} bytes",
        after.memory_bytes
    );
    assert!(runs >= 300 && usage.packets >= Some(300), "{usage:?}");
    assert!(
        cpu_percent > 1.0 && latency > Duration::from_micros(10),
        "{usage:?}"
    );
    let (Some(started), Some(ended)) = (started, ended) else {
        eprintln!("skipped: the comparison needs bpftool");
        return;
    };
    let rise =
        |field: &str| ended[field].as_f64().unwrap() - started[field].as_f64().unwrap_or(0.0);
    let theirs = rise("run_time_ns") / rise("run_cnt");
    let ours = latency.as_secs_f64() * 1e9;
    assert!(
        (ours / theirs - 1.0).abs() < 0.1,
        "{ours} ns, the kernel says {theirs} ns"
    );
    let theirs = rise("run_time_ns") / usage.elapsed.as_secs_f64() / 1e7;
    assert!(
        (cpu_percent / theirs - 1.0).abs() < 0.1,
        "{cpu_percent} %, the kernel says {theirs} %"
    );
}

#[test]
fn what_the_kernel_does_not_count_is_none_and_not_zero() {
    let _alone = alone();
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    if host.statistics() == Statistics::Setting {
        eprintln!("skipped: kernel.bpf_stats_enabled is on");
        return;
    }
    let object = object("burn");
    host.load(&burn(&object, 1)).unwrap();
    let before = host.measure("burn").unwrap();
    ground.peer().send(4242, 10);
    let after = host.measure("burn").unwrap();
    assert_eq!(after.statistics.name(), "off");
    assert_eq!(
        (after.programs[0].run_time, after.programs[0].run_count),
        (None, None)
    );
    let usage = after.since(&before);
    assert_eq!(
        (usage.cpu_percent, usage.mean_latency, usage.runs),
        (None, None, None)
    );
    // The program's own count goes on.
    assert!(usage.packets >= Some(10), "{usage:?}");
    assert_eq!(usage.recursion_misses, Some(0));

    host.enable_statistics().unwrap();
    host.disable_statistics();
    assert_eq!(host.statistics(), Statistics::Off);
}

#[test]
fn memory_is_that_of_the_program_and_each_of_its_maps_once() {
    let _alone = alone();
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("guard");
    let artifact = at_here("guard", "v1", &object);
    host.load(&artifact).unwrap();
    let reading = host.measure("guard").unwrap();
    let program = reading.programs[0].memory_bytes.unwrap();
    let all = reading.memory_bytes.unwrap();
    // Research measured 78,408 for a ring buffer of 64 KiB.
    assert!(
        program >= 4096 && all > program + 65_536 && all < 1 << 20,
        "{program} of {all}"
    );
    assert!(reading.programs[0].verified_instructions > Some(10));
    assert_eq!(reading.programs[0].tag.len(), 16);
}

#[test]
fn programs_without_a_map_of_an_agreed_name_have_no_counters() {
    let _alone = alone();
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("share");
    let artifact = at_here("share", "v1", &object);
    host.load(&artifact).unwrap();
    let before = host.measure("share").unwrap();
    assert_eq!(before.counters.source, None);
    ground.peer().send(4242, 10);
    let usage = host.measure("share").unwrap().since(&before);
    assert_eq!((usage.violations, usage.errors), (None, None));
    if host.statistics() == Statistics::Setting {
        eprintln!("skipped: kernel.bpf_stats_enabled is on");
    } else {
        assert_eq!(usage.packets, None);
    }
    host.enable_statistics().unwrap();
    let before = host.measure("share").unwrap();
    ground.peer().send(4242, 10);
    let usage = host.measure("share").unwrap().since(&before);
    assert!(
        usage.packets >= Some(10) && usage.violations.is_none(),
        "{usage:?}"
    );
}

#[test]
fn a_new_version_counts_from_its_start() {
    let _alone = alone();
    let Some(ground) = Ground::new() else { return };
    let mut host = ground.host();
    let object = object("burn");
    host.load(&burn(&object, 1)).unwrap();
    host.enable_statistics().unwrap();
    ground.peer().send(4242, 50);
    let before = host.measure("burn").unwrap();
    host.load(&burn(&object, 1)).unwrap();
    ground.peer().send(4242, 20);
    let after = host.measure("burn").unwrap();
    let usage = after.since(&before);
    assert!(usage.runs >= Some(20) && usage.runs < Some(50), "{usage:?}");
    assert!(
        usage.packets >= Some(20) && usage.packets < Some(50),
        "{usage:?}"
    );
}
