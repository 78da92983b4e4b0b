//! The installer, the units and the OpenRC scripts: in clean Debian systems, with the real binary, a real systemd and a real OpenRC.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop; not every part is used here"
)]

mod clean_root;
mod downloads;
mod files;
mod images;
mod interrupted;
mod machine;
mod openrc;
#[path = "../e2e/parts.rs"]
mod parts;
mod refusals;
mod script;
mod systemd;
#[path = "../e2e/tls_front.rs"]
mod tls_front;
mod units;
