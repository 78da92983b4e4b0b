#![doc = include_str!("../README.md")]

mod apply;
mod calls;
mod capabilities;
mod capability;
mod error;
mod filter;
#[cfg(feature = "landlock")]
mod landlocked;
mod profile;
mod report;

pub use capability::Capability;
pub use error::Error;
pub use profile::{Access, Calls, FileRule, Profile};
pub use report::{Filtered, Kept, Landlocked, Outcome, Report};
