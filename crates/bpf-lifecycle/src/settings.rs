//! What the operator decides.

use crate::{Backoff, Counting, Limits};

/// The settings of the life cycle; the defaults are those of the contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many may run at once.
    pub max_programs: usize,
    /// What a program may do without being rolled back.
    pub limits: Limits,
    /// How errors and violations are counted.
    pub counting: Counting,
    /// The time between two checks of the limits; at least 1.
    pub check_interval_seconds: u64,
    /// How long a breach has to last before something is done.
    pub rollback_delay_seconds: u64,
    /// What takes the place of what was rolled back.
    pub return_to: ReturnTo,
    /// When a shrinking listing is not believed at once.
    pub brake: Brake,
    /// The time between two tries to load the same digest, to change a program, or to undo one.
    pub retry: Backoff,
    /// After how many failed loads in a row a digest is barred.
    pub failures_before_quarantine: u32,
    /// How long a digest is barred: longer each time.
    pub quarantine: Backoff,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_programs: 10,
            limits: Limits::default(),
            counting: Counting::default(),
            check_interval_seconds: 30,
            rollback_delay_seconds: 5,
            return_to: ReturnTo::default(),
            brake: Brake::default(),
            retry: Backoff {
                first_seconds: 30,
                longest_seconds: 900,
            },
            failures_before_quarantine: 5,
            quarantine: Backoff {
                first_seconds: 3_600,
                longest_seconds: 86_400,
            },
        }
    }
}

/// What takes the place of a program that was rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnTo {
    /// Nothing: it is unloaded.
    #[default]
    Nothing,
    /// The version that ran before it, if that has time left and is not barred itself.
    Previous,
}

/// When a listing that has shrunk is not believed at once.
///
/// It holds if more than `few` programs **and** more than `percent` of all went missing. What is
/// missing then runs on until `listings` further answers lack it too, or
/// [`Memory::confirm_shrink`](crate::Memory::confirm_shrink).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brake {
    /// As many may always go at once.
    pub few: usize,
    /// This part of all may go at once.
    pub percent: u32,
    /// How many further answers confirm it.
    pub listings: u32,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            few: 3,
            percent: 50,
            listings: 3,
        }
    }
}
