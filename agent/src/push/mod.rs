//! The push of samples: what waits to be sent, where it waits, and how it gets to the server.

mod backlog;
mod courier;
mod outbox;
mod print;
#[cfg(test)]
mod simulation;

pub(crate) use backlog::{Waiting, options};
pub(crate) use courier::{Courier, Delivered, Delivery, Refusal, Why, client};
pub(crate) use outbox::{Fresh, Outbox, Totals};
pub(crate) use print::run as print_backlog;
