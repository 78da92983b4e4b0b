//! The state machine that says when a task runs next; it has no clock and does no I/O.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::random::{Random, nanos, up_to};
use crate::{LONGEST_RETRY_AFTER, Outcome, Policy, Retry, SHORTEST};

/// Says when one task runs next, from the time and the outcome of its last run.
///
/// Every time it takes or gives is monotonic: a `Duration` since any fixed origin, such as the
/// start of the program. The wall clock is read once, at [`new`](Self::new), to place the phase;
/// whatever it does later changes nothing.
///
/// ```
/// use periodic::{Failure, Phase, Policy, Retry, Schedule};
/// use std::time::{Duration, SystemTime};
///
/// let second = Duration::from_secs(1);
/// let policy = Policy::every(60 * second, Phase::of(b"web-1"));
/// let mut schedule = Schedule::new(policy, 42, Duration::ZERO, SystemTime::now());
/// assert_eq!(schedule.due(), Duration::ZERO); // the first run is due at once
///
/// let due = schedule.ran(Duration::ZERO, second, &Ok(()));
/// assert!(due > second && due <= 61 * second); // the next one at the phase point
///
/// let failure = Err(Failure::new("connection refused", Retry::Backoff));
/// let retry = schedule.ran(due, due + second, &failure);
/// assert!(retry >= due + 31 * second && retry <= due + 91 * second);
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    policy: Policy,
    random: Random,
    /// Nanoseconds from 1970 to the origin of the monotonic time, as seen at the start.
    origin: i128,
    due: Duration,
    /// Whether `due` is a phase point, and not the end of a delay.
    on_phase: bool,
    last_start: Option<Duration>,
    /// The server asked for silence until then.
    silent_until: Duration,
    failures: u32,
}

impl Schedule {
    /// A task that starts `now`, at this time of the wall clock, and is due at once.
    ///
    /// `seed` feeds the jitter: give each process another one.
    #[must_use]
    pub fn new(policy: Policy, seed: u64, now: Duration, wall: SystemTime) -> Self {
        // Mixed with the phase, so that hosts given the same seed still differ.
        let random = Random::new(seed ^ policy.phase.bits());
        Self {
            policy,
            random,
            origin: since_1970(wall) - signed(now),
            due: now,
            on_phase: false,
            last_start: None,
            silent_until: Duration::ZERO,
            failures: 0,
        }
    }

    /// When the next run is due. In the past, if it is late.
    #[must_use]
    pub fn due(&self) -> Duration {
        self.due
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many runs have failed since the last one that did not.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes the outcome of a run and says when the next one is due.
    ///
    /// Phase points that passed in the meantime are skipped, not made up for.
    pub fn ran(&mut self, started: Duration, ended: Duration, outcome: &Outcome) -> Duration {
        let recovered = self.failures > 0 && outcome.is_ok();
        self.last_start = Some(started);
        self.failures = if outcome.is_ok() {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let retry = outcome
            .as_ref()
            .map_or_else(|failure| failure.retry, |()| Retry::NextPeriod);
        self.on_phase = retry == Retry::NextPeriod;
        self.due = match retry {
            Retry::NextPeriod if recovered => self.phase_point_after_recovery(started, ended),
            Retry::NextPeriod => self.phase_point_after(ended),
            Retry::Backoff => ended.saturating_add(self.backoff(None)),
            Retry::After(asked) => {
                self.silent_until = ended.saturating_add(asked.min(LONGEST_RETRY_AFTER));
                ended.saturating_add(self.backoff(Some(asked)))
            }
            Retry::Slowly => ended.saturating_add(self.slow_delay()),
        };
        self.due
    }

    /// Makes the next run due now, or as soon as `wake_gap` after the start of the last one
    /// allows, and says when. It shortens every delay but a `Retry-After`, and never puts a run
    /// off.
    pub fn wake(&mut self, now: Duration) -> Duration {
        let gap_ends = self.last_start.map_or(Duration::ZERO, |start| {
            start.saturating_add(self.policy.wake_gap)
        });
        self.bring_forward(now.max(gap_ends).max(self.silent_until))
    }

    /// Replaces the policy and says when the next run is due: at its old time or at the new
    /// phase point, whichever comes first. A delay after a failure goes on as it was.
    pub fn set_policy(&mut self, now: Duration, policy: Policy) -> Duration {
        self.policy = policy;
        if !self.on_phase {
            return self.due;
        }
        self.bring_forward(self.phase_point_after(now))
    }

    fn bring_forward(&mut self, earlier: Duration) -> Duration {
        self.due = self.due.min(earlier);
        self.due
    }

    /// A run that succeeds after failures stands for the phase point that is less than half a
    /// period away: without this, the regular runs of those who are back and the retries of the
    /// others would add up to more than the regular rate (1.27 times, for a minute and the
    /// default backoff). Half a period is the least that keeps the sum at 1.0.
    fn phase_point_after_recovery(&self, started: Duration, ended: Duration) -> Duration {
        self.phase_point_after(ended.max(started.saturating_add(self.period() / 2)))
    }

    /// The first phase point later than `time`, by at most one period.
    fn phase_point_after(&self, time: Duration) -> Duration {
        let period = self.period();
        let wall = self.origin + signed(time) - signed(self.policy.phase.offset(period));
        let passed = wall.rem_euclid(signed(period));
        let passed = Duration::from_nanos(u64::try_from(passed).unwrap_or(0));
        time.saturating_add(period).saturating_sub(passed)
    }

    fn period(&self) -> Duration {
        self.policy.period.max(SHORTEST)
    }

    fn backoff(&mut self, retry_after: Option<Duration>) -> Duration {
        let retry = self.failures.saturating_sub(1);
        self.policy
            .backoff
            .delay(retry, retry_after, self.random.next())
    }

    fn slow_delay(&mut self) -> Duration {
        let slow = self.policy.slow.max(SHORTEST);
        slow.saturating_add(up_to(slow / 2, self.random.next()))
    }
}

/// Nanoseconds since 1970; negative before.
fn since_1970(wall: SystemTime) -> i128 {
    match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => signed(after),
        Err(before) => -signed(before.duration()),
    }
}

fn signed(duration: Duration) -> i128 {
    i128::from(nanos(duration))
}
