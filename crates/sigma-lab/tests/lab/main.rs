//! The lab over real sockets and real files.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, also in what its tests share"
)]

mod database;
mod luna;
mod nasty;
mod replay;
mod server;
mod stories;
