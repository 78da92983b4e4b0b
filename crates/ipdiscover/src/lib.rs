#![doc = include_str!("../README.md")]

mod address;
mod error;
mod fib_trie;
mod if_inet6;
mod ipv6_route;
mod lines;
mod local;
mod patterns;
mod place;
pub mod public;
mod report;
mod route;
mod scope;

pub use address::{Address, Family, Origin};
pub use error::Error;
pub use local::{Limits, Local, Tables, local, parse};
pub use patterns::Patterns;
pub use report::reportable;
pub use scope::Scope;
