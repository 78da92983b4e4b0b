//! The life cycle, played against a host that does what the steps say.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

mod decisions;
mod random;
mod rollback;
#[cfg(feature = "serde")]
mod saved;
mod script;
mod values;
mod world;
