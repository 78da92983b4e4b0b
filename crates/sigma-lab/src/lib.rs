#![doc = include_str!("../README.md")]

mod answer;
mod api;
mod body;
mod clock;
mod error;
mod id;
mod key;
mod lab;
mod luna;
mod query;
mod rate;
mod record;
mod rows;
mod server;
mod store;

pub use error::{Error, Result};
pub use key::Role;
pub use lab::{Lab, Options, Vps};
pub use luna::{Machine, MetricsRow, NewMachine, Outage, SystemInfo};
pub use record::Address;
pub use server::{serve, serve_luna};
