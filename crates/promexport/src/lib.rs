#![doc = include_str!("../README.md")]

mod accept;
mod buckets;
mod escape;
mod family;
mod format;
mod gzip;
mod lint;
mod metadata;
mod name;
mod page;
mod seen;
#[cfg(feature = "serve")]
mod serve;
mod value;

pub use buckets::Buckets;
pub use family::{Counter, Gauge, Histogram, Info, Labels, StateSet, Unknown};
pub use format::{Format, VARY};
pub use gzip::{accepts_gzip, gzip};
pub use lint::{Complaint, lint};
pub use name::{BadName, LabelName};
pub use page::Page;
#[cfg(feature = "serve")]
pub use serve::serve;
pub use value::Value;
