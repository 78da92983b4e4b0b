//! The live page in a real browser: Debian's Chromium, driven over WebDriver.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop; not every part is used here"
)]

mod browser;
mod holder;
mod hosts;
mod looks;
mod names;
mod opened;
#[path = "../e2e/parts.rs"]
mod parts;
mod picture;
mod policy;
mod programs;
mod stage;
mod streams;
mod token;
