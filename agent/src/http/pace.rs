//! How many allocations are answered in a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An API that manages a host needs a few a day.
const ALLOCATIONS_PER_SECOND: u32 = 100;

/// Counts what happens in a second, and says when it is enough.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<(Instant, u32)>>);

impl Pace {
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *second {
            Some((start, count)) if now.duration_since(*start) < Duration::from_secs(1) => {
                *count += 1;
                *count <= ALLOCATIONS_PER_SECOND
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }
}
