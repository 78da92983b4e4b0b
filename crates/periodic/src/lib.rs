#![doc = include_str!("../README.md")]

mod outcome;
mod phase;
mod policy;
mod random;
mod schedule;

#[cfg(feature = "tokio")]
mod board;
#[cfg(feature = "tokio")]
mod clock;
#[cfg(feature = "tokio")]
mod supervisor;

pub use outcome::{Failure, Outcome, Retry};
pub use phase::Phase;
pub use policy::{Backoff, LONGEST_RETRY_AFTER, Policy, SHORTEST};
pub use schedule::Schedule;

#[cfg(feature = "tokio")]
pub use board::{Board, Change, Health, LastError, Moment, State};
#[cfg(feature = "tokio")]
pub use supervisor::{Control, Supervisor};
