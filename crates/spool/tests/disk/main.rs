//! The spool on a disk that crashes, fills up, fails and rots.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failing test is meant to stop, and the figures are worth seeing"
)]

mod crashes;
mod damage;
mod faults;
mod model;
mod random;
mod simulated;
mod story;
