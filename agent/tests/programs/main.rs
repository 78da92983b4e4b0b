//! The real binary with real eBPF programs: a real kernel, real networks, and stand-ins for the registry and Vault that implement the
//! shapes of the contract over real sockets.

#![allow(
    dead_code,
    unsafe_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop; not every part is used here; namespaces are left by unsafe calls"
)]

mod crashes;
mod cut_off;
mod delivery;
mod ground;
mod limits;
mod listener;
mod nats_server;
#[path = "../e2e/parts.rs"]
mod parts;
mod refusals;
mod restarts;
mod stand_ins;
