//! How two readings of a processor become shares of time.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says aloud what it skips"
)]

use sysinfo_linux::CpuTimes;

fn times(user: u64, system: u64, idle: u64, iowait: u64, steal: u64) -> CpuTimes {
    CpuTimes {
        user,
        system,
        idle,
        iowait,
        steal: Some(steal),
        ..CpuTimes::default()
    }
}

#[test]
fn stolen_time_is_busy_and_waiting_for_a_disk_is_not() {
    let earlier = times(1000, 500, 9000, 100, 10);
    let now = times(1020, 510, 9040, 110, 30);
    let usage = now.usage_since(&earlier).unwrap();
    assert_eq!(usage.busy, 0.5);
    assert_eq!(usage.user, 0.2);
    assert_eq!(usage.system, 0.1);
    assert_eq!(usage.idle, 0.4);
    assert_eq!(usage.iowait, 0.1);
    assert_eq!(usage.steal, Some(0.2));
    assert_eq!(usage.guest, None);
}

#[test]
fn guests_are_part_of_user_and_not_added_to_it() {
    let earlier = CpuTimes {
        guest: Some(0),
        ..CpuTimes::default()
    };
    let now = CpuTimes {
        user: 50,
        idle: 50,
        guest: Some(40),
        ..CpuTimes::default()
    };
    let usage = now.usage_since(&earlier).unwrap();
    assert_eq!((usage.busy, usage.guest), (0.5, Some(0.4)));
}

#[test]
fn no_time_is_no_usage() {
    let now = times(1, 2, 3, 4, 5);
    assert_eq!(now.usage_since(&now), None);
}

#[test]
fn counters_that_start_anew_start_a_new_window() {
    let before_the_snapshot = times(100_000, 50_000, 900_000, 100, 0);
    let after_it = times(60, 40, 100_000, 200, 0);
    assert_eq!(after_it.usage_since(&before_the_snapshot), None);
}

#[test]
fn a_counter_that_goes_back_counts_as_no_time() {
    let earlier = times(1000, 500, 9000, 100, 10);
    let now = times(1050, 500, 9050, 90, 10);
    let usage = now.usage_since(&earlier).unwrap();
    assert_eq!((usage.busy, usage.iowait, usage.idle), (0.5, 0.0, 0.5));
}

#[test]
fn any_two_readings_give_shares_between_zero_and_one() {
    // A small generator: the test needs variety, not chance.
    let mut state = 1_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> (state % 60)
    };
    for _ in 0..100_000 {
        let earlier = times(next(), next(), next(), next(), next());
        let now = times(next(), next(), next(), next(), next());
        let Some(usage) = now.usage_since(&earlier) else {
            continue;
        };
        let parts = [
            usage.user,
            usage.nice,
            usage.system,
            usage.idle,
            usage.iowait,
            usage.busy,
        ];
        assert!(
            parts.iter().all(|part| (0.0..=1.0).contains(part)),
            "{usage:?}"
        );
    }
}
