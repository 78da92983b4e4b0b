#![doc = include_str!("../README.md")]

mod agent;
mod answer;
mod builder;
mod call;
mod checks;
mod client;
mod connections;
mod error;
mod key;
#[cfg(feature = "pure-dns")]
mod names;
mod pages;
mod ports;
#[cfg(feature = "tls")]
mod tls;
mod vps;

pub use agent::{Heartbeat, IpEntry, PublicIp, Registration, SystemInfo};
pub use answer::Reply;
pub use builder::{ClientBuilder, ConfigError, check_url};
pub use call::Call;
pub use checks::CheckReport;
pub use client::Client;
pub use error::{BodyKind, Error};
pub use key::ApiKey;
pub use pages::{VpsFilter, VpsPage, VpsPages};
pub use ports::Allocation;
pub use vps::{StoredAddress, Vps, VpsStatus};
