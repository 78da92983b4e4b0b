//! The last hour of this host in figures, for whoever opens the live page, and whether anybody looks.

mod figures;
mod ring;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use periodic::{Control, Phase, Policy};
use tokio::sync::watch;

use crate::loops;
pub(crate) use figures::{COLUMNS, Counters, Figures};
use ring::Rings;

/// How often the host is read while nobody looks: three times a minute.
pub(crate) const SELDOM: Duration = Duration::from_secs(20);

/// How often while somebody does.
const OFTEN: Duration = Duration::from_secs(2);

/// Who asks now and then, without a stream, counts as looking for this long.
const GLANCE: Duration = Duration::from_secs(15);

/// The figures of the last hour; one loop writes them, streams read them.
pub(crate) struct History {
    rings: Mutex<Rings>,
    /// Rises with every reading, good or not.
    turns: watch::Sender<u64>,
    glanced: Mutex<Option<Instant>>,
    control: Control,
}

impl History {
    pub(crate) fn new(control: Control) -> Self {
        Self {
            rings: Mutex::default(),
            turns: watch::Sender::new(0),
            glanced: Mutex::default(),
            control,
        }
    }

    /// Takes a reading in.
    pub(crate) fn add(&self, counters: Counters) {
        lock(&self.rings).add(counters);
    }

    /// Tells those who look that a reading has ended.
    pub(crate) fn turn(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }

    /// Figures younger than `since` (milliseconds since 1970), oldest first; all of them if the clock went back behind that.
    pub(crate) fn since(&self, since: i64) -> Vec<Figures> {
        let rings = lock(&self.rings);
        let since = match rings.newest() {
            Some(newest) if newest.at < since => 0,
            _ => since,
        };
        rings.all().filter(|one| one.at > since).copied().collect()
    }

    /// Says after each reading that there may be news. While it lives, the host is read often.
    pub(crate) fn look(&self) -> watch::Receiver<u64> {
        let turns = self.turns.subscribe();
        self.hurry();
        turns
    }

    /// The same for who comes back every few seconds.
    pub(crate) fn glance(&self) {
        *lock(&self.glanced) = Some(Instant::now());
        self.hurry();
    }

    /// Somebody looks: the host is read now, and often from now on.
    fn hurry(&self) {
        self.control.set_policy(loops::HISTORY, &policy(OFTEN));
        self.control.wake(loops::HISTORY);
    }

    /// Nobody looks any more: the host is left alone.
    pub(crate) fn relax_if_unwatched(&self) {
        let glanced = lock(&self.glanced).is_some_and(|at| at.elapsed() < GLANCE);
        if !glanced && self.turns.receiver_count() == 0 {
            self.control.set_policy(loops::HISTORY, &policy(SELDOM));
        }
    }
}

/// The loop's rhythm.
pub(crate) fn policy(period: Duration) -> Policy {
    Policy {
        wake_gap: OFTEN,
        ..Policy::every(period, Phase::START)
    }
}

/// A poisoned lock holds a whole value all the same: figures are put in as one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
