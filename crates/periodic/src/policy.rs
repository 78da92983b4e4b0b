//! When a task runs: its period, its phase, and what happens after a failure.

use std::time::Duration;

use crate::Phase;
use crate::random::up_to;

/// The shortest period and the shortest delay after a failure; smaller ones count as this.
///
/// A mistake in a configuration must not become a busy loop.
pub const SHORTEST: Duration = Duration::from_millis(10);

/// The longest `Retry-After` that is believed; longer ones count as this.
///
/// A server that lies must not park a task for ever.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// When a task runs, and for how long it may.
///
/// ```
/// use periodic::{Phase, Policy};
/// use std::time::Duration;
///
/// let policy = Policy {
///     limit: Duration::from_secs(10),
///     ..Policy::every(Duration::from_secs(60), Phase::of(b"web-1"))
/// };
/// assert_eq!(policy.slow, Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The time between two runs while all goes well; at least [`SHORTEST`].
    pub period: Duration,
    /// Where in the period the runs lie.
    pub phase: Phase,
    /// The delays after [`Retry::Backoff`](crate::Retry::Backoff) and the jitter after
    /// [`Retry::After`](crate::Retry::After).
    pub backoff: Backoff,
    /// The delay after [`Retry::Slowly`](crate::Retry::Slowly); up to half of it is added at random.
    pub slow: Duration,
    /// The least time between the starts of two runs when somebody wakes the task.
    pub wake_gap: Duration,
    /// A run that takes longer is dropped and counts as failed. (Only the runner measures it.)
    pub limit: Duration,
}

impl Policy {
    /// A policy with this period and phase; the rest is fit for talking to a server over HTTP:
    /// default [`Backoff`], slow retry after 5 min, wake-ups 10 s apart, 30 s for each run.
    #[must_use]
    pub fn every(period: Duration, phase: Phase) -> Self {
        Self {
            period,
            phase,
            backoff: Backoff::default(),
            slow: Duration::from_secs(300),
            wake_gap: Duration::from_secs(10),
            limit: Duration::from_secs(30),
        }
    }
}

/// Full jitter above a floor: the delay before retry number n (from 0) is anything between
/// `floor` and min(`cap`, `base` × 2ⁿ), all equally likely.
///
/// The cap applies before the jitter. A jitter that is cut off by the cap puts a whole fleet
/// onto the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest delay.
    pub floor: Duration,
    /// The longest delay before the first retry. If it is not above the floor, the first retries
    /// have no jitter.
    pub base: Duration,
    /// The longest delay of all. A cap below the floor counts as the floor.
    pub cap: Duration,
}

impl Default for Backoff {
    /// 30 s to 90 s, later to 120 s: the first retry comes after 60 s on average, so that a fleet
    /// with a period of a minute asks a sick server no more often than a healthy one.
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(30),
            base: Duration::from_secs(90),
            cap: Duration::from_secs(120),
        }
    }
}

impl Backoff {
    /// The delay before retry number `retry`, counted from 0, made from a random number that may
    /// be anything; never less than [`SHORTEST`].
    ///
    /// A `Retry-After` of the server takes the place of a smaller floor and is believed up to
    /// [`LONGEST_RETRY_AFTER`]; the jitter comes on top.
    ///
    /// [`Schedule`](crate::Schedule) calls this itself. It is here for a tool that tries a few
    /// times and ends.
    #[must_use]
    pub fn delay(&self, retry: u32, retry_after: Option<Duration>, random: u64) -> Duration {
        let asked = retry_after.map_or(Duration::ZERO, |asked| asked.min(LONGEST_RETRY_AFTER));
        let least = asked.max(self.floor).max(SHORTEST);
        least.saturating_add(up_to(self.jitter(retry), random))
    }

    /// How much lies between the floor and the longest delay.
    fn jitter(&self, retry: u32) -> Duration {
        let grown = self.base.saturating_mul(2_u32.saturating_pow(retry));
        grown.min(self.cap).saturating_sub(self.floor)
    }
}
