//! Signed eBPF programs: what a registry assigns to this host, verified, loaded, metered, expired and rolled back.

mod books;
mod cache;
mod cleared;
mod desk;
mod events;
mod figures;
mod guard;
mod intake;
mod keeper;
mod kernel;
mod metering;
pub(crate) mod nats;
mod outbox;
mod picture;
mod polling;
mod present;
mod round;
mod shelf;
mod signals;
mod steps;
mod store;
pub(crate) mod tools;
mod trust;
mod vault;
mod view;

pub(crate) use desk::Desk;
use desk::token;
pub(crate) use events::{data, rollback, time};
pub(crate) use figures::Numbers;
pub(crate) use guard::registry;
pub(crate) use kernel::kinds_here;
pub(crate) use outbox::Outbox;
pub(crate) use signals::{Asked, signals};
pub(crate) use store::try_folder;
pub(crate) use vault::open as vault;
pub(crate) use view::{Failed, Running, View};
