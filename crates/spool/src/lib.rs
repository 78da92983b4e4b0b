#![doc = include_str!("../README.md")]

mod checksum;
mod copy;
mod cursor;
pub mod disk;
mod error;
mod frame;
mod host;
mod opening;
mod options;
mod passing;
mod position;
mod reading;
mod record;
mod segment;
mod spool;
mod stamp;
mod varint;
mod writing;

pub use error::Error;
pub use options::{Coding, Options, Sync};
pub use reading::Records;
pub use record::{Dropped, Record, Recovery};
pub use spool::Spool;
