#![doc = include_str!("../README.md")]

mod allocate;
mod attribution;
mod bind;
mod cgroup;
mod connect;
mod error;
mod lease;
mod listing;
mod permutation;
mod picture;
pub mod proc_net;
mod ranges;
mod scan;
mod set;
pub mod sock_diag;
mod socket;
mod sources;
mod summary;
mod sysctl;
mod verdict;

pub use allocate::{AllocateError, Allocation, Allocator, Limits, MAX_COUNT, Request};
pub use attribution::Attribution;
pub use cgroup::{Cgroup, Container, Engine};
pub use connect::{ConnectError, check_connect};
pub use error::Error;
pub use lease::{Guard, Lease, LeaseId};
pub use listing::Backend;
pub use picture::{Picture, Timing, Warning};
pub use ranges::{ParseRangesError, PortRanges};
pub use scan::{Config, Method, Owners, Scanner};
pub use set::PortSet;
pub use socket::{Process, Protocol, Socket, State};
pub use sources::{ParseSourcesError, Sources};
pub use summary::Summary;
pub use sysctl::ephemeral_ports;
pub use verdict::Verdict;
