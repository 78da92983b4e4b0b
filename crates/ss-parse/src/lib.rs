#![doc = include_str!("../README.md")]

mod columns;
mod details;
mod endpoint;
mod error;
mod owners;
mod scan;
mod socket;
mod text;
mod whole;

pub use error::{ErrorKind, LineError};
pub use socket::{Address, Endpoint, Parsed, Port, Process, Protocol, Socket, State};

/// Reads what one run of `ss` printed.
///
/// Takes any bytes, with or without the header, and never panics. Every row is read by itself, so a
/// line that cannot be read becomes an entry of [`Parsed::errors`] and leaves the rows around it
/// alone. Time and memory grow linearly with the input; how much of it to accept is the caller's
/// choice.
#[must_use]
pub fn parse(output: &[u8]) -> Parsed {
    text::read(output)
}
