//! What a confined process tries and fails to do: each test takes its rights from a process of its own, on the real kernel.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a failing test is meant to stop"
)]

mod calls;
mod child;
mod files;
mod neighbours;
mod rights;
