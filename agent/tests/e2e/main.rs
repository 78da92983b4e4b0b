//! The real binary against real peers: the lab's API, servers that answer byte for byte, the kernel.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop"
)]

mod answers;
mod commands;
mod deploy;
mod guest;
mod health;
mod host;
mod http;
mod life;
mod luna;
#[path = "../programs/nats_server.rs"]
mod nats_server;
mod once;
mod openrc;
mod outside;
mod pages;
mod parts;
mod ports;
mod programs_nats;
mod programs_tools;
mod registration;
mod sandbox;
mod tls;
mod tls_front;
