//! The kernel's socket tables over netlink (`NETLINK_SOCK_DIAG`): requests, answers, and one dump.
//!
//! [`Messages`] is the pure parser, for tools that talk to the kernel themselves.

mod dump;
mod message;
mod request;

pub(crate) use dump::Dumper;
pub use message::{Malformed, Message, Messages};
pub(crate) use request::{Query, Tables};
