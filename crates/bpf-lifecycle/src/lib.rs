#![doc = include_str!("../README.md")]

mod adopt;
mod artifact;
mod clock;
mod event;
mod figures;
mod history;
mod identity;
mod keep;
mod listing;
mod memory;
mod note;
mod places;
mod plan;
mod program;
mod retry;
mod settings;
mod signal;
mod step;
mod watch;

pub use artifact::{Assigned, Listing, OnExit, Running, State};
pub use clock::{Deadline, Now};
pub use event::{Event, Reason, Status, Threshold};
pub use figures::{Counting, Figures, LimitOverrides, Limits, Measured};
pub use history::History;
pub use identity::{ArtifactId, BootId, Digest, Malformed};
pub use memory::Memory;
pub use note::{Failure, Outcome};
pub use plan::{Plan, Situation, plan, plan_exit};
pub use retry::{Backoff, Barred, Quarantine};
pub use settings::{Brake, ReturnTo, Settings};
pub use signal::{Answer, Caller, Signal};
pub use step::{Action, Held, Hold, Step, Undo, Why};
