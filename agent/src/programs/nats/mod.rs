//! The line to NATS: events go out, requests come in, and nothing here ever waits for a server that is away.

mod backlog;
mod command;
mod commands;
mod connect;
mod durable;
mod link;
mod publisher;
mod reach;
mod seal;
mod subjects;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::guard::Peer;
use super::outbox::Outbox;
use super::signals::Signals;
use crate::cli;
pub(crate) use link::{Figures, Link};
use publisher::Publisher;

/// What the line needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) nats: cli::Nats,
    /// The id of this host, as the orchestrator knows it.
    pub(crate) host: String,
    /// Where messages wait that must not be lost.
    pub(crate) folder: PathBuf,
    /// How often a silent server is asked whether it is there; after three times it counts as gone.
    pub(crate) ping: Duration,
    /// How long one publish or one answer may take.
    pub(crate) patience: Duration,
}

impl Settings {
    pub(crate) fn new(nats: cli::Nats, host: String, folder: PathBuf) -> Self {
        Self {
            nats,
            host,
            folder,
            ping: Duration::from_secs(10),
            patience: Duration::from_secs(5),
        }
    }
}

/// The line, at work until it is closed.
pub(crate) struct Line {
    stop: watch::Sender<bool>,
    publisher: JoinHandle<()>,
    link: Arc<Link>,
}

impl Line {
    /// Opens the line; whether there is a server shows later.
    pub(crate) fn open(settings: Settings, outbox: Arc<Outbox>, signals: Signals) -> Self {
        let stop = watch::Sender::new(false);
        let link = Arc::new(Link::new());
        let publisher = Publisher::new(settings, outbox, signals, Arc::clone(&link));
        Self {
            publisher: tokio::spawn(publisher.run(stop.subscribe())),
            stop,
            link,
        }
    }

    /// A look at whether there is still a way to a server.
    pub(crate) fn peer(&self, settings: &cli::Nats) -> Peer {
        reach::peer(&settings.urls, &self.link)
    }

    /// How it is doing, for those who show it.
    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    /// Sends what waits, as far as `grace` allows; what must not be lost and was not sent is on disk.
    pub(crate) async fn close(mut self, grace: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(grace, &mut self.publisher)
            .await
            .is_err()
        {
            self.publisher.abort();
        }
    }
}
