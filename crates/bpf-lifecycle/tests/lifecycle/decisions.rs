//! What is decided: one short script for each behaviour.

use bpf_lifecycle::{State, Why};

use crate::script::check;
use crate::world::{Ask, World, digest, entry};

#[test]
fn assigned_programs_start_and_stay() {
    check(
        "absent
         list a b => start a@1, start b@1
         wait 30
         again
         absent",
    );
}

#[test]
fn an_empty_list_is_an_answer_and_a_missing_one_is_not() {
    check(
        "list a => start a@1
         absent
         wait 60
         list => stop a@1 unassigned",
    );
}

#[test]
fn what_expired_comes_back_only_as_a_new_issue_or_a_new_assignment() {
    check(
        "list a:serial=1 => start a@1
         wait 3599
         wait 1 => stop a@1 expired | a expired
         again => | a expired
         list a:serial=1,ttl=9999 => | a expired
         list a:serial=2 => start a@1
         wait 3600 => stop a@1 expired | a expired
         list a:serial=1 => | a expired
         list a@2:serial=2 => start a@2
         list a@2:serial=2
         list => stop a@2 unassigned
         list a@2:serial=2 => start a@2",
    );
    check(
        "list a => start a@1
         wait 3600 => stop a@1 expired | a expired
         list
         list a => start a@1",
    );
}

#[test]
fn a_renewal_begins_a_new_time_without_a_gap() {
    check(
        "list a:serial=1 => start a@1
         wait 3000
         list a:serial=2 => amend a@1
         wait 3599
         wait 1 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_renewal_that_arrives_with_the_end_is_in_time() {
    check(
        "list a:serial=1 => start a@1
         wait 3600 => stop a@1 expired | a expired",
    );
    check(
        "list a:serial=1 => start a@1
         wait 3599
         list a:serial=2 => amend a@1",
    );
}

#[test]
fn another_ttl_counts_from_the_same_beginning() {
    check(
        "list a => start a@1
         wait 1000
         list a:ttl=2000 => amend a@1
         wait 999
         wait 1 => stop a@1 expired | a expired",
    );
    check(
        "list a => start a@1
         wait 1000
         list a:ttl=900 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_time_of_zero_never_starts() {
    check("list a:ttl=0 => | a expired");
}

#[test]
fn time_runs_on_while_a_program_is_away() {
    check(
        "list a => start a@1
         wait 3000
         lose a => start a@1
         wait 600 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_reboot_counts_what_the_wall_clock_says_it_took() {
    check(
        "list a => start a@1
         wait 1000
         reboot 1000 => start a@1
         wait 1599
         wait 1 => stop a@1 expired | a expired",
    );
    check(
        "list a => start a@1
         reboot 3600 => | a expired",
    );
}

#[test]
fn a_reboot_without_a_clock_counts_the_time_the_host_is_up() {
    check(
        "list a => start a@1
         wait 1000
         reboot -50000000 => start a@1
         # 1000 s before, 10 s since the boot
         wait 2589
         wait 1 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_wall_clock_that_jumps_moves_no_ttl() {
    check(
        "list a => start a@1
         wait 1000
         wall 315360000
         again
         wall -630720000
         again
         wait 2599
         wait 1 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_signed_end_counts_by_both_clocks_and_the_earlier_wins() {
    check(
        "list a:end=600 => start a@1
         wait 599
         wait 1 => stop a@1 expired | a expired",
    );
    // Set back by ten years: the boot clock still ends it.
    check(
        "list a:end=600 => start a@1
         wall -315360000
         wait 599
         wait 1 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_wrong_wall_clock_ends_nothing_for_good() {
    check(
        "list a:end=3000 b => start a@1, start b@1
         wall 315360000 => stop a@1 expired | a expired
         wall -315360000 => start a@1
         wait 2999
         wait 1 => stop a@1 expired | a expired",
    );
    check(
        "wall 315360000
         list a:end=3000 => | a expired
         wall -315360000 => start a@1",
    );
}

#[test]
fn a_restart_of_the_agent_takes_over_what_runs() {
    check(
        "list a b => start a@1, start b@1
         wait 3000
         forget
         list a b
         wait 600 => stop a@1 expired, stop b@1 expired | a expired, b expired",
    );
}

#[test]
fn another_digest_replaces_and_keeps_the_old_one_until_it_has_loaded() {
    check(
        "list a => start a@1
         list a@2 => replace a by a@2
         fail a@3
         list a@3 => replace a by a@3 | a backing-off
         wait 30 => replace a by a@3 | a backing-off
         mend
         wait 60 => replace a by a@3",
    );
}

#[test]
fn another_artifact_of_the_name_replaces_too() {
    check(
        "list v1:name=guard => start v1@1
         list v2@2:name=guard => replace v1 by v2@2
         list v2@2:name=guard v3@3:name=guard => replace v2 by v3@3 | v2 superseded
         list v2@2:name=guard,serial=9 v3@3:name=guard => replace v3 by v2@2 | v3 superseded",
    );
}

#[test]
fn a_predecessor_does_not_outlive_its_own_time() {
    check(
        "list a => start a@1
         wait 3000
         refuse a@2
         list a@2 => replace a by a@2 | a barred ! a completed verifier_failure verifier_failure true
         wait 600 => stop a@1 expired | a barred",
    );
}

#[test]
fn an_older_serial_changes_nothing() {
    check(
        "list a:serial=5 => start a@1
         list a@2:serial=4 => | a older
         list a:serial=4,params=3 => | a older
         wait 3600 => stop a@1 expired | a expired",
    );
}

#[test]
fn other_parameters_are_written_into_the_running_program() {
    check(
        "list a => start a@1
         list a:params=2 => update a@1
         stick a
         list a:params=3 => update a@1 | a backing-off
         wait 29 => | a backing-off
         wait 1 => update a@1 | a backing-off
         mend
         list a:params=4 => update a@1",
    );
}

#[test]
fn terms_that_are_not_in_the_books_do_not_lengthen_anything() {
    check(
        "list a:serial=1 => start a@1
         wait 3590
         stick a
         list a:serial=2 => amend a@1 | a backing-off
         mend
         wait 10 => stop a@1 expired, start a@1",
    );
}

#[test]
fn the_new_one_takes_the_place_of_the_one_loaded_first() {
    check(
        "set max=2
         list a => start a@1
         wait 10
         list a b => start b@1
         wait 10
         list a b c => start c@1 evicting a | a full
         again => | a full
         list b c a@2 => start a@2 evicting b | b full
         list c a@2 b => | b full
         list c b => stop a@2 unassigned, start b@1",
    );
}

#[test]
fn of_many_at_once_each_place_is_given_once() {
    check(
        "set max=2
         list a b c d:prio=1 => start d@1, start a@1 | b full, c full
         wait 100 => | b full, c full",
    );
}

#[test]
fn priority_comes_before_age_and_protected_ones_stay() {
    check(
        "set max=2
         list a:prio=5 => start a@1
         wait 10
         list a:prio=5 b:prio=1 => start b@1
         wait 10
         list a:prio=5 b:prio=1 c:prio=1 => start c@1 evicting b | b full
         list a:prio=5 b:prio=1 c:prio=1 d => | b full, d full
         list a:prio=5,protected c:prio=1,protected d:prio=9 => amend a@1, amend c@1 | d all-protected
         list a:prio=5,protected c:prio=1 d:prio=9 => amend c@1, start d@1 evicting c | c full",
    );
}

#[test]
fn a_lower_limit_stops_the_surplus_but_no_protected_one() {
    check(
        "list a:protected b c:prio=1 d:prio=2 => start d@1, start c@1, start a@1, start b@1
         set max=2 => stop b@1 evicted, stop c@1 evicted | c full, b full
         set max=0 => stop d@1 evicted | d full, c full, b full",
    );
}

#[test]
fn the_place_of_one_that_does_not_go_is_not_given_away() {
    check(
        "set max=1
         list a => start a@1
         stick a
         list b => stop a@1 unassigned | b full
         mend
         wait 1 => stop a@1 unassigned, start b@1",
    );
}

#[test]
fn a_start_that_fails_costs_nobody_the_place() {
    check(
        "set max=1
         list a => start a@1
         fail b@2
         wait 10
         list a b@2 => start b@2 evicting a | b backing-off",
    );
}

#[test]
fn failed_loads_back_off_and_end_in_quarantine() {
    check(
        "fail a
         list a => start a@1 | a backing-off
         wait 29 => | a backing-off
         wait 1 => start a@1 | a backing-off
         wait 60 => start a@1 | a backing-off
         wait 120 => start a@1 | a backing-off
         wait 240 => start a@1 | a barred
         wait 3599 => | a barred
         wait 1 => start a@1 | a backing-off
         mend
         wait 30 => start a@1",
    );
}

#[test]
fn a_quarantine_outlives_a_reboot_and_ends_by_a_new_digest_or_the_operator() {
    check(
        "refuse a
         list a => start a@1 | a barred ! a completed verifier_failure verifier_failure true
         mend
         reboot 1800 => | a barred
         list a@2 => start a@2
         list => stop a@2 unassigned
         list a => | a barred
         clear a => start a@1",
    );
}

#[test]
fn a_verifier_failure_is_an_ordinary_one_if_the_limit_is_off() {
    check(
        "set verifier=false
         refuse a
         list a => start a@1 | a backing-off",
    );
}

#[test]
fn a_listing_that_shrinks_too_much_is_believed_after_three_more() {
    let many = "list a b c d e => start a@1, start b@1, start c@1, start d@1, start e@1\n";
    let held = |answers: u32| {
        let why = format!("missing(4/5,{answers}/4)");
        format!("| b {why}, c {why}, d {why}, e {why}")
    };
    let stops =
        "stop b@1 unassigned, stop c@1 unassigned, stop d@1 unassigned, stop e@1 unassigned";
    let shrunk = format!("{many} list a => {}\n wait 600 => {}\n", held(1), held(1));
    check(&format!(
        "{shrunk} again => {}
         again => {}
         again => {stops}",
        held(2),
        held(3)
    ));
    check(&format!("{shrunk} confirm => {stops}"));
    check(&format!("{shrunk} list a b c d e\n list a => {}", held(1)));
    // Held is not kept alive.
    check(&format!(
        "{shrunk} wait 3000 => stop a@1 expired, stop b@1 expired, stop c@1 expired, \
         stop d@1 expired, stop e@1 expired {}, a expired",
        held(1)
    ));
    check(&format!(
        "{many} list a b c => stop d@1 unassigned, stop e@1 unassigned"
    ));
}

#[test]
fn a_few_may_always_go_at_once() {
    check(
        "list a b c d => start a@1, start b@1, start c@1, start d@1
         list a => stop b@1 unassigned, stop c@1 unassigned, stop d@1 unassigned",
    );
}

#[test]
fn artifacts_that_come_back_under_other_ids_are_not_missing() {
    check(
        "set percent=10
         list a1:name=a b1:name=b c1:name=c d1:name=d => start a1@1, start b1@1, start c1@1, start d1@1
         fail x@2
         list a2@2:name=a b2@3:name=b c2@4:name=c d2@5:name=d => replace a1 by a2@2, replace b1 by b2@3, replace c1 by c2@4, replace d1 by d2@5 | a2 backing-off
         again => | a2 backing-off",
    );
}

#[test]
fn an_entry_that_lost_its_serial_changes_nothing() {
    check(
        "list a => start a@1
         wait 3600 => stop a@1 expired | a expired
         list a:serial=1 => start a@1
         list a:params=2 => | a older
         wait 3600 => stop a@1 expired | a expired",
    );
}

#[test]
fn a_replay_lends_no_terms() {
    check(
        "set max=1
         list a:serial=5 => start a@1
         list a:serial=4,protected b@2:prio=1 => start b@2 evicting a | a full",
    );
}

#[test]
fn a_load_that_works_wipes_out_the_failures_before() {
    check(
        "fail a
         list a => start a@1 | a backing-off
         mend
         wait 30 => start a@1
         fail a
         lose a => start a@1 | a backing-off
         wait 30 => start a@1 | a backing-off",
    );
}

#[test]
fn of_two_that_a_crash_left_the_wanted_and_whole_one_stays() {
    for (damaged, stopped) in [(false, 1), (true, 2)] {
        let mut world = World::new();
        world.listed = vec![entry("a")];
        world.settle(Ask::Fresh);
        let mut wanted = world.running[0].clone();
        wanted.loaded.digest = digest(2);
        wanted.loaded_at -= 1;
        if damaged {
            wanted.state = State::Damaged;
        }
        world.listed = vec![wanted.loaded.clone()];
        world.running.push(wanted);
        let steps = world.plan(Ask::Fresh).steps;
        let got: Vec<_> = steps.iter().map(|step| (step.digest, step.why)).collect();
        assert_eq!(got, [(digest(stopped), Why::Superseded)]);
        world.settle(Ask::Fresh);
        assert_eq!(world.running.len(), 1);
        assert_eq!(world.running[0].loaded.digest, digest(2));
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut world = World::new();
    let mut sizes = Vec::new();
    for number in 0..200 {
        world.listed = vec![entry(&format!("artifact{number:03}"))];
        world.settle(Ask::Fresh);
        world.wait(30);
        sizes.push(format!("{:?}", world.memory).len());
    }
    assert!(sizes[199] < sizes[9] + 100, "{} {}", sizes[9], sizes[199]);
}

#[test]
fn a_confirmation_is_for_one_plan_only() {
    check(
        "list a b c d e => start a@1, start b@1, start c@1, start d@1, start e@1
         confirm
         list => | a missing(5/5,1/4), b missing(5/5,1/4), c missing(5/5,1/4), d missing(5/5,1/4), e missing(5/5,1/4)",
    );
}

#[test]
fn a_damaged_program_is_started_anew_a_little_later() {
    check(
        "list a => start a@1
         damage a => stop a@1 damaged | a backing-off
         wait 30 => start a@1",
    );
}

#[test]
fn a_busy_program_gets_no_step_and_keeps_its_place() {
    check(
        "set max=1
         list a => start a@1
         wait 10
         busy a
         list b@2 => | b full
         ask a operator r1 => | b full
         rest a => undo a@1, start b@2 ! a initiated manual r1, a in_progress manual r1, a completed manual r1",
    );
}

#[test]
fn what_is_being_started_is_not_started_twice_and_its_time_has_not_begun() {
    let mut world = World::new();
    world.listed = vec![entry("a")];
    let plan = world.plan(Ask::Fresh);
    world.memory = plan.memory;
    world.execute(&plan.steps[0]);
    world.running[0].state = State::Busy;
    world.wait(100);
    let (steps, held) = world.settle(Ask::Fresh);
    assert!(steps.is_empty() && held.is_empty(), "{steps:?} {held:?}");
    world.running.clear(); // it failed after a long time
    world.settle(Ask::Fresh);
    assert_eq!(world.running[0].deadline.seconds_left(&world.now), 3_600);
}

#[test]
fn a_crash_before_the_notes_changes_nothing() {
    check(
        "lose-notes on
         list a b:serial=1 => start a@1, start b@1
         list a@2 b:serial=2 => amend b@1, replace a by a@2
         wait 3600 => stop b@1 expired, stop a@2 expired | a expired, b expired",
    );
}
