//! What failed waits; what failed too often or did harm is barred.

use crate::{Now, Reason, Settings};

/// Delays that double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay.
    pub first_seconds: u64,
    /// The longest.
    pub longest_seconds: u64,
}

impl Backoff {
    /// The delay after this many failures, counted from 1.
    pub(crate) fn delay(&self, failures: u32) -> u64 {
        let doubled = 2_u64.saturating_pow(failures.saturating_sub(1));
        self.first_seconds
            .saturating_mul(doubled)
            .min(self.longest_seconds)
    }
}

/// Tries that failed in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Retry {
    pub(crate) failures: u32,
    /// When to try again, by the boot clock.
    pub(crate) at: i64,
}

impl Retry {
    pub(crate) fn fail(&mut self, settings: &Settings, now: &Now) {
        self.failures = self.failures.saturating_add(1);
        self.at = now.after(settings.retry.delay(self.failures));
    }
}

/// A digest that is not loaded for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quarantine {
    /// Why.
    pub reason: Barred,
    /// Until when, by the boot clock of the last plan.
    pub until: i64,
    /// How often it was barred by now.
    pub count: u32,
}

/// Why a digest is barred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Barred {
    /// It was rolled back.
    RolledBack(Reason),
    /// It failed to load too often.
    LoadFailures,
}
