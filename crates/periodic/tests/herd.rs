//! A fleet on a virtual clock, with the real schedule: the API goes away and comes back.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, and the figures are worth seeing"
)]

use std::time::{Duration, UNIX_EPOCH};

use periodic::{Backoff, Failure, Phase, Policy, Retry, Schedule};

/// Some moment of the wall clock at which all agents start.
const STARTED: Duration = Duration::from_millis(1_800_000_000_123);

struct Fleet {
    agents: u32,
    period_s: u64,
    backoff: Backoff,
}

/// The API is away from one second to another.
struct Outage {
    from_s: usize,
    until_s: usize,
}

/// Two minutes after the start, when all is quiet.
const HALF_AN_HOUR: Outage = Outage {
    from_s: 120,
    until_s: 1_920,
};

struct Report {
    /// Requests per second while all is well: on average, and in the busiest second.
    steady: f64,
    steady_peak: u32,
    /// Requests in the busiest second of the outage. All of them fail.
    outage_peak: u32,
    /// Requests in the busiest second after it: of those who come back, and of all.
    comers_peak: u32,
    total_peak: u32,
    all_back_after: Duration,
    failed_tries_per_agent: f64,
}

impl Fleet {
    fn of_heartbeats() -> Self {
        Self {
            agents: 100_000,
            period_s: 60,
            backoff: Backoff::default(),
        }
    }

    fn of_pushers() -> Self {
        Self {
            agents: 100_000,
            period_s: 10,
            backoff: Backoff {
                floor: Duration::from_secs(20),
                base: Duration::from_secs(60),
                cap: Duration::from_secs(60),
            },
        }
    }

    fn schedule(&self, agent: u32) -> Schedule {
        let phase = Phase::of(format!("host-{agent}").as_bytes());
        let policy = Policy {
            backoff: self.backoff,
            ..Policy::every(Duration::from_secs(self.period_s), phase)
        };
        Schedule::new(
            policy,
            u64::from(agent),
            Duration::ZERO,
            UNIX_EPOCH + STARTED,
        )
    }

    /// Starts the whole fleet at second 0 and runs it until five minutes after the outage.
    ///
    /// Requests take no time and the API has no limit, so agents do not influence each other:
    /// one after the other lives its whole life, and their requests are counted by second.
    fn lives_through(&self, outage: &Outage) -> Report {
        let end_s = outage.until_s + 300;
        let mut all = vec![0_u32; end_s];
        let mut comers = vec![0_u32; end_s];
        let mut failed_tries = 0_u32;
        let mut last_comer = Duration::ZERO;
        let refused = Err(Failure::new("connection refused", Retry::Backoff));
        for agent in 0..self.agents {
            let mut schedule = self.schedule(agent);
            loop {
                let now = schedule.due();
                let second = usize::try_from(now.as_secs()).unwrap();
                if second >= end_s {
                    break;
                }
                all[second] += 1;
                if (outage.from_s..outage.until_s).contains(&second) {
                    failed_tries += 1;
                    schedule.ran(now, now, &refused);
                    continue;
                }
                if schedule.failures() > 0 {
                    comers[second] += 1;
                    last_comer = last_comer.max(now);
                }
                schedule.ran(now, now, &Ok(()));
            }
            assert_eq!(schedule.failures(), 0, "agent {agent} is not back");
        }
        Report {
            steady: f64::from(self.agents) / self.period_s as f64,
            steady_peak: peak(&all[end_s - 60..]),
            outage_peak: peak(&all[outage.from_s..outage.until_s]),
            comers_peak: peak(&comers),
            total_peak: peak(&all[outage.until_s..]),
            all_back_after: last_comer.saturating_sub(Duration::from_secs(outage.until_s as u64)),
            failed_tries_per_agent: f64::from(failed_tries) / f64::from(self.agents),
        }
    }
}

fn peak(bins: &[u32]) -> u32 {
    bins.iter().copied().max().unwrap()
}

/// What is asserted is asserted for these agents and seeds. Other fleets of 100,000 differ by the
/// luck of the draw: a second of 1,667 requests is one of 1,667 ± 41.
impl Report {
    fn print(&self, what: &str) {
        let times =
            |requests: u32| format!("{requests} ({:.2}x)", f64::from(requests) / self.steady);
        println!(
            "{what}: steady {:.0}/s, busiest second {}; during the outage up to {}; after it comers up to {}, \
             all requests up to {}, all back in {:.1} s; {:.1} failed tries per agent",
            self.steady,
            times(self.steady_peak),
            times(self.outage_peak),
            times(self.comers_peak),
            times(self.total_peak),
            self.all_back_after.as_secs_f64(),
            self.failed_tries_per_agent,
        );
    }

    fn assert_comers_stay_below_the_steady_rate_and_are_back_within(&self, time: Duration) {
        assert!(f64::from(self.comers_peak) <= self.steady);
        assert!(self.all_back_after <= time);
    }
}

#[test]
fn heartbeats_come_back_within_two_minutes_and_never_above_a_healthy_second() {
    let report = Fleet::of_heartbeats().lives_through(&HALF_AN_HOUR);
    report.print("100,000 agents, 60 s");
    report.assert_comers_stay_below_the_steady_rate_and_are_back_within(Duration::from_secs(120));
    assert!(report.total_peak <= report.steady_peak);
}

#[test]
fn pushes_come_back_within_one_minute_and_never_above_a_healthy_second() {
    let report = Fleet::of_pushers().lives_through(&HALF_AN_HOUR);
    report.print("100,000 agents, 10 s");
    report.assert_comers_stay_below_the_steady_rate_and_are_back_within(Duration::from_secs(60));
    assert!(report.total_peak <= report.steady_peak);
}

#[test]
fn fleet_that_starts_in_step_while_the_api_is_away_comes_back_spread() {
    let away_at_start = Outage {
        from_s: 0,
        until_s: 1_800,
    };
    let report = Fleet::of_heartbeats().lives_through(&away_at_start);
    report.print("100,000 agents, 60 s, all started at once without the API");
    report.assert_comers_stay_below_the_steady_rate_and_are_back_within(Duration::from_secs(120));
}
