//! The schedule, turned by hand: phase, delays, wake-ups, late runs and strange policies.

#![allow(clippy::unwrap_used, reason = "a failing test is meant to stop")]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periodic::{
    Backoff, Failure, LONGEST_RETRY_AFTER, Outcome, Phase, Policy, Retry, SHORTEST, Schedule,
};

const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(31_557_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn minutely() -> Policy {
    Policy::every(MINUTE, Phase::of(b"web-1"))
}

/// A schedule that starts at monotonic zero, at some moment of 2027.
fn started(policy: Policy, seed: u64) -> Schedule {
    Schedule::new(
        policy,
        seed,
        Duration::ZERO,
        UNIX_EPOCH + Duration::from_millis(1_800_000_000_123),
    )
}

fn failed(retry: Retry) -> Outcome {
    Err(Failure::new("no luck", retry))
}

/// The delay after a run that takes no time.
fn delay(schedule: &mut Schedule, now: Duration, outcome: &Outcome) -> Duration {
    schedule.ran(now, now, outcome) - now
}

/// A few numbers without pattern, for choosing cases; xorshift, not the generator under test.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

/// Nanoseconds since 1970 modulo the period.
fn place_in_period(wall: SystemTime, period: Duration) -> Duration {
    let period = i128::try_from(period.as_nanos()).unwrap();
    let nanos = match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap(),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap(),
    };
    Duration::from_nanos(u64::try_from(nanos.rem_euclid(period)).unwrap())
}

/// Computed once with Python's integers from the definition: splitmix64's finaliser of FNV-1a.
/// They must never change: every fleet would move.
#[test]
fn phase_of_an_id_is_fixed_for_ever() {
    for (id, nanos) in [
        ("", 57_460_405_514),
        ("a", 645_209_838),
        ("host-1", 16_583_364_103),
        ("host-2", 6_310_461_187),
        ("4c4c4544004210348035b3c04f4d3732 web-1", 30_029_635_805),
    ] {
        assert_eq!(
            Phase::of(id.as_bytes()).offset(MINUTE),
            Duration::from_nanos(nanos),
            "{id:?}"
        );
    }
    assert_eq!(Phase::START.offset(MINUTE), Duration::ZERO);
}

#[test]
fn phases_of_similar_ids_spread_evenly() {
    let mut hosts_in_second = [0_u32; 60];
    for host in 0..60_000 {
        let offset = Phase::of(format!("host-{host}").as_bytes()).offset(MINUTE);
        hosts_in_second[usize::try_from(offset.as_secs()).unwrap()] += 1;
    }
    // 1000 each, give or take five standard deviations.
    assert!(
        hosts_in_second
            .iter()
            .all(|hosts| (840..1_160).contains(hosts)),
        "{hosts_in_second:?}"
    );
}

#[test]
fn first_run_is_due_at_once() {
    let schedule = Schedule::new(minutely(), 7, seconds(12), SystemTime::now());
    assert_eq!(schedule.due(), seconds(12));
}

#[test]
fn phase_is_kept_over_a_restart_at_any_time_of_the_wall_clock() {
    let mut numbers = numbers(1);
    let mut number = || numbers.next().unwrap();
    for period in [
        seconds(1),
        seconds(10),
        MINUTE,
        seconds(86_400),
        Duration::from_millis(1_337),
    ] {
        for _ in 0..200 {
            // From 1946 (a clock that runs from before 1970) to 2084.
            let wall =
                UNIX_EPOCH - 24 * YEAR + Duration::from_nanos(number() % 4_355_000_000_000_000_000);
            let now = Duration::from_nanos(number() % 1_000_000_000_000_000);
            let phase = Phase::of(b"web-1");
            let mut schedule = Schedule::new(Policy::every(period, phase), number(), now, wall);
            let mut run = now;
            for _ in 0..3 {
                let next = schedule.ran(run, run, &Ok(()));
                assert!(next > run && next <= run + period);
                assert_eq!(
                    place_in_period(wall + (next - now), period),
                    phase.offset(period)
                );
                run = next;
            }
        }
    }
}

#[test]
fn backoff_stays_between_floor_and_cap_and_uses_all_of_it() {
    let mut least = [Duration::MAX; 8];
    let mut most = [Duration::ZERO; 8];
    for seed in 0..2_000 {
        let mut schedule = started(minutely(), seed);
        for attempt in 0..8 {
            let delay = delay(&mut schedule, seconds(1), &failed(Retry::Backoff));
            least[attempt] = least[attempt].min(delay);
            most[attempt] = most[attempt].max(delay);
        }
    }
    for attempt in 0..8 {
        let longest = seconds(if attempt == 0 { 90 } else { 120 });
        assert!(
            least[attempt] >= seconds(30) && least[attempt] < seconds(31),
            "{least:?}"
        );
        assert!(
            most[attempt] <= longest && most[attempt] > longest - seconds(1),
            "{most:?}"
        );
    }
}

#[test]
fn delay_grows_with_the_random_number_from_floor_to_cap() {
    let backoff = Backoff::default();
    let third = u64::MAX / 3;
    for (retry, random, expected) in [
        (0, 0, 30),
        (0, third, 50),
        (0, u64::MAX, 90),
        (1, third, 60),
        (9, u64::MAX, 120),
        (u32::MAX, u64::MAX, 120),
    ] {
        let delay = backoff.delay(retry, None, random);
        assert!(
            delay.abs_diff(seconds(expected)) <= Duration::from_nanos(1),
            "{delay:?}"
        );
    }
    let upside_down = Backoff {
        cap: seconds(3),
        ..backoff
    };
    assert_eq!(upside_down.delay(5, None, u64::MAX), seconds(30));
}

#[test]
fn jitter_is_not_cut_off_by_the_cap() {
    let mut above_110 = 0;
    for seed in 0..10_000 {
        let mut schedule = started(minutely(), seed);
        schedule.ran(Duration::ZERO, Duration::ZERO, &failed(Retry::Backoff));
        above_110 +=
            u32::from(delay(&mut schedule, MINUTE, &failed(Retry::Backoff)) > seconds(110));
    }
    // Evenly spread over 30..=120, a ninth lies above 110.
    assert!((1_000..1_220).contains(&above_110), "{above_110}");
}

#[test]
fn success_starts_the_backoff_anew() {
    for seed in 0..500 {
        let mut schedule = started(minutely(), seed);
        for _ in 0..5 {
            schedule.ran(Duration::ZERO, Duration::ZERO, &failed(Retry::Backoff));
        }
        assert_eq!(schedule.failures(), 5);
        schedule.ran(MINUTE, MINUTE, &Ok(()));
        assert_eq!(schedule.failures(), 0);
        assert!(delay(&mut schedule, 2 * MINUTE, &failed(Retry::Backoff)) <= seconds(90));
    }
}

#[test]
fn retry_after_is_never_shortened() {
    for seed in 0..500 {
        for asked in [0, 1, 29, 30, 31, 60, 599, 3_599, 3_600] {
            let mut schedule = started(minutely(), seed);
            for _ in 0..4 {
                let delay = delay(&mut schedule, MINUTE, &failed(Retry::After(seconds(asked))));
                assert!(delay >= seconds(asked.max(30)) && delay <= seconds(asked.max(30) + 90));
            }
        }
    }
}

#[test]
fn retry_after_of_a_lying_server_does_not_park_the_task() {
    for asked in [seconds(3_601), 10 * YEAR, Duration::MAX] {
        let mut schedule = started(minutely(), 1);
        let delay = delay(&mut schedule, MINUTE, &failed(Retry::After(asked)));
        assert!(delay >= LONGEST_RETRY_AFTER && delay <= LONGEST_RETRY_AFTER + seconds(90));
        let retry = schedule.due();
        schedule.ran(retry, retry, &failed(Retry::Slowly));
        assert_eq!(
            schedule.wake(retry + MINUTE),
            retry + MINUTE,
            "nor its wake-ups"
        );
    }
}

#[test]
fn hosts_that_were_told_the_same_retry_after_come_back_spread() {
    let delays = (0..1_000).map(|seed| {
        delay(
            &mut started(minutely(), seed),
            MINUTE,
            &failed(Retry::After(MINUTE)),
        )
    });
    let seconds: BTreeSet<u64> = delays.map(|delay| delay.as_secs()).collect();
    assert_eq!(
        seconds.into_iter().collect::<Vec<_>>(),
        (60..120).collect::<Vec<_>>()
    );
}

#[test]
fn hosts_that_were_given_the_same_seed_still_differ() {
    let delays = (0..100).map(|host: u32| {
        let policy = Policy::every(MINUTE, Phase::of(&host.to_be_bytes()));
        delay(&mut started(policy, 1), MINUTE, &failed(Retry::Backoff))
    });
    assert_eq!(delays.collect::<BTreeSet<_>>().len(), 100);
}

#[test]
fn refused_key_is_retried_slowly() {
    for seed in 0..500 {
        let delay = delay(
            &mut started(minutely(), seed),
            MINUTE,
            &failed(Retry::Slowly),
        );
        assert!(delay >= seconds(300) && delay <= seconds(450));
    }
}

#[test]
fn refused_request_waits_for_the_normal_time() {
    let mut refused = started(minutely(), 1);
    let mut accepted = refused.clone();
    for run in [seconds(3), seconds(70), seconds(500)] {
        assert_eq!(
            refused.ran(run, run, &failed(Retry::NextPeriod)),
            accepted.ran(run, run, &Ok(()))
        );
    }
    assert_eq!(refused.failures(), 3);
}

#[test]
fn run_that_succeeds_after_failures_stands_for_a_phase_point_nearer_than_half_a_period() {
    for seed in 0..500 {
        let mut schedule = started(minutely(), seed);
        let normal = schedule.ran(Duration::ZERO, Duration::ZERO, &Ok(()));
        let retry = schedule.ran(normal, normal, &failed(Retry::Backoff));
        let next = schedule.ran(retry, retry, &Ok(()));
        assert!(next >= retry + seconds(30) && next < retry + seconds(90));
        assert_eq!(
            place_in_period(UNIX_EPOCH + (next - normal), MINUTE),
            Duration::ZERO,
            "off phase"
        );
    }
}

#[test]
fn late_and_long_runs_cause_neither_burst_nor_gap() {
    for seed in 0..200 {
        let mut numbers = numbers(seed);
        let mut number = || numbers.next().unwrap();
        let mut schedule = started(minutely(), seed);
        let mut ended = Duration::ZERO;
        for _ in 0..200 {
            // Mostly on time; at times late or long by up to ten minutes.
            let scale = if number().is_multiple_of(4) {
                600_000
            } else {
                500
            };
            let start = schedule.due() + Duration::from_millis(number() % scale);
            assert!(start >= ended, "two runs at once");
            ended = start + Duration::from_millis(number() % scale);
            let was_well = schedule.failures() == 0;
            let outcome = if number().is_multiple_of(8) {
                failed(Retry::Backoff)
            } else {
                Ok(())
            };
            let due = schedule.ran(start, ended, &outcome);
            assert!(due > ended, "a missed run is made up for");
            let longest = match (was_well, &outcome) {
                (true, Ok(())) => MINUTE,
                (false, Ok(())) => seconds(90),
                (_, Err(_)) => seconds(120),
            };
            assert!(due <= ended + longest, "gap of {:?}", due - ended);
        }
    }
}

#[test]
fn clock_that_counts_a_suspend_causes_one_run_and_not_many() {
    let mut schedule = started(minutely(), 1);
    let before = schedule.ran(Duration::ZERO, Duration::ZERO, &Ok(()));
    let resumed = before + seconds(8 * 3_600 + 17);
    assert!(schedule.due() < resumed);
    let due = schedule.ran(resumed, resumed, &Ok(()));
    assert!(due > resumed && due <= resumed + MINUTE);
    assert_eq!(
        (due - before).as_nanos() % MINUTE.as_nanos(),
        0,
        "off phase"
    );
}

#[test]
fn wake_runs_now_when_the_last_start_is_long_ago() {
    for retry in [Retry::Backoff, Retry::Slowly, Retry::NextPeriod] {
        let mut schedule = started(minutely(), 1);
        schedule.ran(Duration::ZERO, Duration::ZERO, &failed(retry));
        assert_eq!(schedule.wake(seconds(10)), seconds(10), "{retry:?}");
    }
}

#[test]
fn wake_keeps_its_gap_to_the_last_start() {
    let mut schedule = started(minutely(), 1);
    schedule.ran(seconds(1), seconds(3), &failed(Retry::Backoff));
    assert_eq!(schedule.wake(seconds(4)), seconds(11));
    assert_eq!(
        schedule.wake(seconds(7)),
        seconds(11),
        "another wake changes nothing"
    );
}

#[test]
fn wake_respects_retry_after_but_not_its_jitter() {
    let mut schedule = started(minutely(), 1);
    let due = schedule.ran(seconds(1), seconds(2), &failed(Retry::After(MINUTE)));
    assert!(due > seconds(62));
    assert_eq!(schedule.wake(seconds(30)), seconds(62));
}

#[test]
fn wake_never_puts_a_run_off() {
    let mut schedule = started(minutely(), 1);
    assert_eq!(
        schedule.wake(seconds(5)),
        Duration::ZERO,
        "the first run is late already"
    );
    let due = schedule.ran(seconds(5), seconds(5), &Ok(()));
    assert_eq!(schedule.wake(due + seconds(9)), due);
}

#[test]
fn storm_of_wakes_runs_once_per_gap() {
    let mut schedule = started(minutely(), 1);
    let mut runs = 0;
    for millisecond in 0..60_000 {
        let now = Duration::from_millis(millisecond);
        if schedule.wake(now) <= now {
            schedule.ran(now, now, &Ok(()));
            runs += 1;
        }
    }
    // At 0, 10, … 50 s, and at the phase point between, which starts a new gap.
    assert!((6..=7).contains(&runs), "{runs}");
}

#[test]
fn shorter_period_counts_at_once_and_a_longer_one_after_the_next_run() {
    let mut schedule = started(minutely(), 1);
    let due = schedule.ran(Duration::ZERO, Duration::ZERO, &Ok(()));
    let hourly = Policy {
        period: seconds(3_600),
        ..minutely()
    };
    assert!(schedule.set_policy(seconds(1), hourly) <= due);
    let hour = schedule.ran(due, due, &Ok(()));
    assert!(hour <= due + seconds(3_600));
    let ten = Policy {
        period: seconds(10),
        ..minutely()
    };
    let now = due + seconds(1);
    assert!(schedule.set_policy(now, ten) <= now + seconds(10));
}

#[test]
fn new_policy_has_the_phase_that_a_restart_would_give_it() {
    let policy = Policy {
        period: seconds(300),
        ..minutely()
    };
    let mut reloaded = started(minutely(), 1);
    reloaded.set_policy(seconds(2), policy.clone());
    let mut restarted = started(policy, 1);
    assert_eq!(
        reloaded.ran(seconds(5), seconds(5), &Ok(())),
        restarted.ran(seconds(5), seconds(5), &Ok(()))
    );
}

#[test]
fn new_policy_keeps_delays_after_failures_and_pending_wakes() {
    let mut failing = started(minutely(), 1);
    let retry = failing.ran(Duration::ZERO, Duration::ZERO, &failed(Retry::Slowly));
    assert_eq!(failing.set_policy(seconds(1), minutely()), retry);

    let mut woken = started(minutely(), 1);
    woken.ran(Duration::ZERO, Duration::ZERO, &failed(Retry::NextPeriod));
    let wake = woken.wake(seconds(1));
    let daily = Policy {
        period: seconds(86_400),
        ..minutely()
    };
    assert_eq!(woken.set_policy(seconds(2), daily), wake);
}

#[test]
fn strange_policies_neither_panic_nor_spin() {
    let extremes = [
        Duration::ZERO,
        Duration::from_nanos(1),
        seconds(5),
        600 * YEAR,
        Duration::MAX,
    ];
    let outcomes = [
        Ok(()),
        failed(Retry::Backoff),
        failed(Retry::After(Duration::ZERO)),
        failed(Retry::After(Duration::MAX)),
        failed(Retry::Slowly),
        failed(Retry::NextPeriod),
    ];
    let mut numbers = numbers(3);
    let mut extreme = || extremes[usize::try_from(numbers.next().unwrap() % 5).unwrap()];
    for seed in 0..2_000 {
        let backoff = Backoff {
            floor: extreme(),
            base: extreme(),
            cap: extreme(),
        };
        let policy = Policy {
            period: extreme(),
            backoff,
            slow: extreme(),
            wake_gap: extreme(),
            ..minutely()
        };
        let mut schedule = started(policy.clone(), seed);
        for outcome in &outcomes {
            let (start, end) = (extreme(), extreme());
            let due = schedule.ran(start, end, outcome);
            assert!(due > end || end == Duration::MAX, "{policy:?} {outcome:?}");
            schedule.wake(extreme());
            schedule.set_policy(extreme(), policy.clone());
        }
    }
    let zero = Policy {
        backoff: Backoff {
            floor: Duration::ZERO,
            base: Duration::ZERO,
            cap: Duration::ZERO,
        },
        ..minutely()
    };
    assert_eq!(
        delay(&mut started(zero, 1), MINUTE, &failed(Retry::Backoff)),
        SHORTEST
    );
}
