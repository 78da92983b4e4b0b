//! Limits and rollbacks: one short script for each behaviour.

use crate::script::check;

#[test]
fn a_breach_that_lasts_is_undone_after_the_delay_and_does_not_come_back() {
    check(
        "list a => start a@1
         measure a:cpu=80.5
         wait 30 => ! a initiated high_cpu max_cpu_percent 80.5
         wait 4
         wait 1 => undo a@1 | a rolled-back ! a in_progress high_cpu max_cpu_percent 80.5, a completed high_cpu max_cpu_percent 80.5
         again => | a rolled-back
         list => 
         list a => | a barred
         wait 3600 => start a@1",
    );
}

#[test]
fn a_breach_that_is_over_after_the_delay_is_cancelled() {
    check(
        "list a => start a@1
         measure a:memory=102401
         wait 30 => ! a initiated telemetry_threshold max_memory_kb 102401
         measure a:memory=102400
         wait 5 => ! a cancelled telemetry_threshold max_memory_kb 102401",
    );
}

#[test]
fn figures_that_are_missing_never_breach() {
    check(
        "list a => start a@1
         measure a:
         wait 30
         measure a:cpu=NaN,latency=NaN
         wait 30",
    );
}

/// The order of the contract: errors, violations, CPU, latency, memory, verifier.
#[test]
fn the_first_limit_in_order_is_named() {
    let figures = [
        ("errors=11", "telemetry_threshold max_errors 11"),
        ("violations=101", "telemetry_threshold max_violations 101"),
        ("cpu=81", "high_cpu max_cpu_percent 81"),
        (
            "latency=1000.5",
            "telemetry_threshold max_latency_ms 1000.5",
        ),
        ("memory=102401", "telemetry_threshold max_memory_kb 102401"),
    ];
    for from in 0..figures.len() {
        let all: Vec<&str> = figures[from..].iter().map(|(figure, _)| *figure).collect();
        let all = all.join(",");
        let named = figures[from].1;
        check(&format!(
            "list a => start a@1
             measure a:{all}
             wait 30 => ! a initiated {named}"
        ));
    }
    check(
        "list a => start a@1
         measure a:errors=10,violations=100,cpu=80,latency=1000,memory=102400
         wait 30",
    );
}

#[test]
fn a_refusal_of_the_verifier_waits_for_nothing() {
    check(
        "list a => start a@1
         measure a:verifier=failed
         wait 1 => undo a@1 | a rolled-back ! a initiated verifier_failure verifier_failure true, a in_progress verifier_failure verifier_failure true, a completed verifier_failure verifier_failure true",
    );
    check(
        "set verifier=false
         list a => start a@1
         measure a:verifier=failed
         wait 30",
    );
}

#[test]
fn a_refusal_waits_for_nothing_even_if_another_limit_is_named() {
    check(
        "list a => start a@1
         measure a:cpu=81,verifier=failed
         wait 1 => undo a@1 | a rolled-back ! a initiated high_cpu max_cpu_percent 81, a in_progress high_cpu max_cpu_percent 81, a completed high_cpu max_cpu_percent 81",
    );
    check(
        "list a => start a@1
         measure a:cpu=81
         wait 30 => ! a initiated high_cpu max_cpu_percent 81
         measure a:verifier=failed
         wait 1 => undo a@1 | a rolled-back ! a in_progress high_cpu max_cpu_percent 81, a completed high_cpu max_cpu_percent 81",
    );
}

#[test]
fn figures_of_the_version_before_say_nothing_about_the_new_one() {
    check(
        "list a => start a@1
         list a@2 => replace a by a@2
         measure a@1:verifier=failed,cpu=99
         wait 30",
    );
}

#[test]
fn a_delay_of_zero_is_none() {
    check(
        "set delay=0
         list a => start a@1
         measure a:errors=11
         wait 30 => undo a@1 | a rolled-back ! a initiated telemetry_threshold max_errors 11, a in_progress telemetry_threshold max_errors 11, a completed telemetry_threshold max_errors 11",
    );
}

#[test]
fn errors_count_per_check_interval() {
    check(
        "list a => start a@1
         measure a:errors=10
         wait 30
         measure a:errors=20
         wait 30
         measure a:errors=31
         wait 30 => ! a initiated telemetry_threshold max_errors 11
         # 5 s of delay: 10 per 30 s are 1.67
         measure a:errors=32
         wait 5 => ! a cancelled telemetry_threshold max_errors 11
         measure a:errors=43
         wait 29
         wait 1 => ! a initiated telemetry_threshold max_errors 11
         measure a:errors=45
         wait 5 => undo a@1 | a rolled-back ! a in_progress telemetry_threshold max_errors 11, a completed telemetry_threshold max_errors 11",
    );
}

#[test]
fn a_check_that_comes_late_is_judged_in_proportion() {
    check(
        "list a => start a@1
         measure a:violations=1000
         wait 300
         measure a:violations=2001
         wait 300 => ! a initiated telemetry_threshold max_violations 1001",
    );
}

#[test]
fn a_counter_that_began_anew_is_all_new() {
    check(
        "list a => start a@1
         measure a:errors=10
         wait 30
         measure a:errors=20
         wait 30
         measure a:errors=10
         wait 30
         measure a:errors=20
         wait 30
         measure a:errors=11
         wait 30 => ! a initiated telemetry_threshold max_errors 11",
    );
}

#[test]
fn what_was_counted_before_the_agent_came_is_not_held_against_anybody() {
    check(
        "list a => start a@1
         forget
         measure a:errors=5000
         again
         wait 30
         measure a:errors=5011
         wait 30 => ! a initiated telemetry_threshold max_errors 11",
    );
}

#[test]
fn cumulative_counting_takes_them_all() {
    check(
        "set counting=cumulative
         list a => start a@1
         measure a:errors=10
         wait 30
         measure a:errors=11
         wait 30 => ! a initiated telemetry_threshold max_errors 11
         wait 5 => undo a@1 | a rolled-back ! a in_progress telemetry_threshold max_errors 11, a completed telemetry_threshold max_errors 11",
    );
}

#[test]
fn the_limits_of_an_artifact_come_before_the_general_ones() {
    check(
        "list a:violations=5000 b => start a@1, start b@1
         measure a:violations=5000 b:violations=5000
         wait 30 => ! b initiated telemetry_threshold max_violations 5000
         list a:violations=7 b => amend a@1
         measure a:violations=5008
         wait 30 => ! a initiated telemetry_threshold max_violations 8",
    );
}

#[test]
fn a_request_is_obeyed_once_and_without_delay() {
    check(
        "list a => start a@1
         ask a orchestrator r1 => undo a@1 | a rolled-back ! a initiated orchestrator_signal r1, a in_progress orchestrator_signal r1, a completed orchestrator_signal r1
         ask a orchestrator r1 duplicate => | a rolled-back
         ask a orchestrator r2 => | a rolled-back ! a failed orchestrator_signal r2
         ask b operator r3 => | a rolled-back ! b failed manual r3",
    );
}

#[test]
fn a_request_does_not_wait_for_the_delay_of_a_breach() {
    check(
        "list a => start a@1
         measure a:errors=11
         wait 30 => ! a initiated telemetry_threshold max_errors 11
         ask a operator r1 => undo a@1 | a rolled-back ! a initiated manual r1, a in_progress manual r1, a completed manual r1",
    );
}

#[test]
fn an_undo_that_fails_is_tried_again_later() {
    check(
        "list a => start a@1
         stick a
         ask a operator r1 => undo a@1 | a backing-off ! a initiated manual r1, a in_progress manual r1, a failed manual r1
         wait 29 => | a backing-off
         ask a operator r2 => | a backing-off
         mend
         wait 1 => undo a@1 | a rolled-back ! a completed manual r1",
    );
}

#[test]
fn an_undo_that_waits_does_not_keep_anything_alive() {
    check(
        "list a => start a@1
         wait 3590
         stick a
         ask a operator r1 => undo a@1 | a backing-off ! a initiated manual r1, a in_progress manual r1, a failed manual r1
         mend
         wait 10 => stop a@1 expired | a expired ! a completed manual r1",
    );
}

#[test]
fn it_goes_back_to_the_version_before_if_that_has_time_left() {
    let breach = "ask a operator r1 =>";
    let told = "! a initiated manual r1, a in_progress manual r1, a completed manual r1";
    check(&format!(
        "set return=previous
         list a => start a@1
         wait 1000
         list a@2 => replace a by a@2
         {breach} undo a@2 to a@1 | a rolled-back {told}
         again => | a rolled-back
         wait 2599 => | a rolled-back
         wait 1 => stop a@1 expired | a rolled-back"
    ));
    check(&format!(
        "set return=previous
         list a:ttl=1000 => start a@1
         wait 900
         list a@2 => replace a by a@2
         wait 100
         {breach} undo a@2 | a rolled-back {told}"
    ));
}

#[test]
fn it_goes_back_over_the_name_too() {
    check(
        "set return=previous
         list v1:name=g => start v1@1
         list v2@2:name=g => replace v1 by v2@2
         ask v2 operator r1 => undo v2@2 to v1@1 | v2 rolled-back ! v2 initiated manual r1, v2 in_progress manual r1, v2 completed manual r1
         ask v1 operator r2 => undo v1@1 | v2 rolled-back ! v1 initiated manual r2, v1 in_progress manual r2, v1 completed manual r2",
    );
}

#[test]
fn what_was_returned_to_goes_on_after_a_restart_and_a_reboot_for_the_rest_of_its_time() {
    let told = |name: &str| {
        format!(
            "! {name} initiated manual r1, {name} in_progress manual r1, {name} completed manual r1"
        )
    };
    let told_a = told("a");
    check(&format!(
        "set return=previous
         list a => start a@1
         wait 1000
         list a@2 => replace a by a@2
         ask a operator r1 => undo a@2 to a@1 | a rolled-back {told_a}
         lose a => start a@1 | a rolled-back
         reboot 600 => start a@1 | a rolled-back
         list a@3 => replace a by a@3
         list a@2 => | a rolled-back
         wait 1999 => | a rolled-back"
    ));
    let told_v2 = told("v2");
    check(&format!(
        "set return=previous
         list v1:name=g => start v1@1
         list v2@2:name=g => replace v1 by v2@2
         ask v2 operator r1 => undo v2@2 to v1@1 | v2 rolled-back {told_v2}
         lose v1 => start v1@1 | v2 rolled-back
         list v2@2:name=g => | v2 rolled-back
         list => stop v1@1 unassigned"
    ));
    // Where nothing is returned to, nothing comes back either.
    check(&format!(
        "list a => start a@1
         list a@2 => replace a by a@2
         ask a operator r1 => undo a@2 | a rolled-back {told_a}
         lose a => | a rolled-back"
    ));
}

#[test]
fn what_was_rolled_back_is_told_until_it_is_cleared() {
    let mut world = crate::world::World::new();
    world.listed = vec![crate::world::entry("a")];
    world.settle(crate::world::Ask::Fresh);
    let signal = bpf_lifecycle::Signal {
        id: crate::world::id("a"),
        caller: bpf_lifecycle::Caller::Operator,
        request_id: None,
        remark: None,
    };
    let _ = world.memory.signal(signal);
    world.settle(crate::world::Ask::Kept);
    let told: Vec<_> = world.memory.rolled_back_issues().collect();
    let digest = crate::world::digest(1);
    assert_eq!(told, [(&crate::world::id("a"), &digest)]);
    assert_eq!(world.memory.quarantined(&world.now).count(), 1);
    world.memory.clear(&digest);
    assert_eq!(world.memory.rolled_back_issues().count(), 0);
    assert_eq!(world.memory.quarantined(&world.now).count(), 0);
}

#[test]
fn a_return_that_fails_becomes_an_unload_at_once() {
    check(
        "set return=previous
         list a => start a@1
         list a@2 => replace a by a@2
         fail a@1
         ask a operator r1 => undo a@2 to a@1, undo a@2 | a rolled-back ! a initiated manual r1, a in_progress manual r1, a failed manual r1, a completed manual r1",
    );
}

#[test]
fn a_breach_ends_with_the_version_it_is_of() {
    check(
        "list a => start a@1
         measure a:errors=11
         wait 30 => ! a initiated telemetry_threshold max_errors 11
         measure a:
         list a@2 => replace a by a@2 ! a cancelled telemetry_threshold max_errors 11",
    );
}

#[test]
fn a_breached_version_is_not_returned_to() {
    for notes in ["on", "off"] {
        check(&format!("lose-notes {notes}
         set return=previous
         list a => start a@1
         measure a:cpu=81
         wait 30 => ! a initiated high_cpu max_cpu_percent 81
         measure a:
         list a@2 => replace a by a@2 ! a cancelled high_cpu max_cpu_percent 81
         ask a operator r1 => undo a@2 | a rolled-back ! a initiated manual r1, a in_progress manual r1, a completed manual r1"));
    }
}

#[test]
fn a_barred_version_is_not_returned_to() {
    let undone = |name: &str| {
        format!(
            "! {name} initiated manual {name}, {name} in_progress manual {name}, {name} completed manual {name}"
        )
    };
    check(&format!(
        "set return=previous
         list a b => start a@1, start b@1
         list a@2 b => replace a by a@2
         ask b operator b => undo b@1 | b rolled-back {}
         ask a operator a => undo a@2 | a rolled-back, b rolled-back {}",
        undone("b"),
        undone("a")
    ));
}

#[test]
fn an_undo_that_was_not_noted_is_found_out() {
    check(
        "list a => start a@1
         lose-notes on
         ask a operator r1 => undo a@1 | a rolled-back ! a initiated manual r1, a in_progress manual r1, a completed manual r1
         again => | a rolled-back",
    );
    check(
        "set return=previous
         lose-notes on
         list a => start a@1
         list a@2 => replace a by a@2
         ask a operator r1 => undo a@2 to a@1 | a rolled-back ! a initiated manual r1, a in_progress manual r1, a completed manual r1",
    );
}

#[test]
fn a_reboot_in_the_delay_cancels_and_one_in_the_undo_completes() {
    check(
        "list a => start a@1
         measure a:errors=11
         wait 30 => ! a initiated telemetry_threshold max_errors 11
         reboot 60 => start a@1 ! a cancelled telemetry_threshold max_errors 11",
    );
    check(
        "list a => start a@1
         stick a
         ask a operator r1 => undo a@1 | a backing-off ! a initiated manual r1, a in_progress manual r1, a failed manual r1
         mend
         reboot 60 => | a rolled-back ! a completed manual r1",
    );
}

#[test]
fn a_refusal_that_does_not_count_brings_no_check_forward() {
    check(
        "set verifier=false
         list a => start a@1
         measure a:errors=9,verifier=failed
         wait 1
         wait 29",
    );
}
