#![doc = include_str!("../README.md")]

mod attachment;
mod btf;
mod bytes;
mod cgroup;
mod error;
mod events;
mod host;
mod interface;
mod kernel_functions;
mod kernel_info;
mod kernel_support;
mod loader;
mod local_policy;
mod meter;
mod parameters;
mod pin_folder;
mod places;
mod program_kind;
mod running;
mod scanned_object;
mod section_names;
mod syscall;
mod target;
mod typed_value;

pub use error::{Error, KernelError, ParameterError, Refusal, Result, VerifierLog};
pub use events::{Event, EventKind, Events};
pub use host::{Artifact, Host, LinkStatus, OnExit, Recovery, Status};
pub use kernel_functions::{function_name, function_number};
pub use kernel_support::{Support, Verdict};
pub use local_policy::LocalPolicy;
pub use meter::{Counters, ProgramReading, Reading, Statistics, Usage};
pub use places::Places;
pub use program_kind::ProgramKind;
pub use scanned_object::{MAX_OBJECT_BYTES, ScannedMap, ScannedObject, ScannedProgram};
pub use target::{Direction, Target, XdpMode};
