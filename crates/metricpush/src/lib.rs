#![doc = include_str!("../README.md")]

mod config_error;
mod figures;
mod json;
mod key;
mod rfc3339;
mod row;
mod sample;
mod server_url;
mod system_info;

#[cfg(feature = "http")]
mod answer;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod error;
#[cfg(feature = "http")]
mod text;

pub use config_error::ConfigError;
pub use key::ApiKey;
pub use row::ROW_WORDS;
pub use sample::Sample;
pub use server_url::ServerUrl;
pub use system_info::SystemInfo;

#[cfg(feature = "http")]
pub use client::{Accepted, Client, Health};
#[cfg(feature = "http")]
pub use error::Error;
