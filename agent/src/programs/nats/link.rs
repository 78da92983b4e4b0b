//! How the line is doing: what the connection says of itself, and what was counted.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use std::time::{Duration, Instant};

use async_nats::{ClientError, Event};
use tokio::sync::watch;

use super::connect::INBOX;
use crate::table::printable;

/// How many different complaints of the server are told; more are counted alone.
const MOST_COMPLAINTS: usize = 64;

/// The state of the line, shared by those who work on it and those who show it.
pub(crate) struct Link {
    weather: watch::Sender<Weather>,
    counters: Counters,
    told: Mutex<Told>,
    lost: Mutex<Option<Instant>>,
}

/// What changes what can be done now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Weather {
    pub(super) connected: bool,
    /// The line is at its end.
    pub(super) closed: bool,
    /// Counts connections: what was sent on an earlier one may be lost.
    pub(super) connection: u64,
    /// The server lets this host not listen to itself, so nothing proves that it has read what was sent.
    pub(super) deaf: bool,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
    requests: AtomicU64,
    bad_requests: AtomicU64,
    denied: AtomicU64,
}

#[derive(Default)]
struct Told {
    complaints: BTreeSet<String>,
    last_error: Option<String>,
}

/// How the line is doing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    pub(crate) connected: bool,
    /// Messages that the server has.
    pub(crate) published: u64,
    /// Messages that wait because they must not be lost.
    pub(crate) waiting: u64,
    /// Messages given up, because too many waited or no server would ever take them.
    pub(crate) dropped: u64,
    /// Requests that were understood.
    pub(crate) requests: u64,
    /// Messages that were no requests, or not signed as they have to be.
    pub(crate) bad_requests: u64,
    /// What the server did not permit.
    pub(crate) denied: u64,
    pub(crate) last_error: Option<String>,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            weather: watch::Sender::new(Weather::default()),
            counters: Counters::default(),
            told: Mutex::default(),
            lost: Mutex::default(),
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Figures {
            connected: self.weather.borrow().connected,
            published: read(&counters.published),
            waiting: read(&counters.waiting),
            dropped: read(&counters.dropped),
            requests: read(&counters.requests),
            bad_requests: read(&counters.bad_requests),
            denied: read(&counters.denied),
            last_error: self.told().last_error.clone(),
        }
    }

    /// Whether there is a connection, or was one so short a time ago.
    pub(super) fn was_connected_within(&self, span: Duration) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        self.weather.borrow().connected || lost.is_some_and(|lost| lost.elapsed() < span)
    }

    pub(super) fn weather(&self) -> watch::Receiver<Weather> {
        self.weather.subscribe()
    }

    pub(super) fn published(&self, count: u64) {
        self.counters.published.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, count: u64) {
        self.counters.dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self, count: u64) {
        self.counters.waiting.store(count, Ordering::Relaxed);
    }

    pub(super) fn understood(&self) {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A message on `subject` was no request. The same reason is told once.
    pub(super) fn misunderstood(&self, subject: &str, why: &str) {
        self.counters.bad_requests.fetch_add(1, Ordering::Relaxed);
        if self.is_new(why) {
            tracing::warn!(
                subject,
                why,
                "a message that asks for something is passed over"
            );
        }
    }

    /// Something failed; the same words are told once until it works again.
    pub(super) fn failed(&self, what: &str, why: &str) {
        let words = printable(&format!("{what}: {why}"));
        let news = self.told().last_error.replace(words.clone()) != Some(words);
        if news {
            tracing::warn!(error = why, "NATS: {what}");
        }
    }

    /// Takes in what the connection says of itself.
    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!("connected to NATS");
                self.told().last_error = None;
                self.weather.send_modify(|weather| {
                    weather.connected = true;
                    weather.connection += 1;
                    // What is permitted may have changed; if not, the server says so again.
                    weather.deaf = false;
                });
            }
            Event::Disconnected => {
                tracing::warn!("NATS is away; events that must not be lost wait on disk");
                let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
                *lost = Some(Instant::now());
                self.weather
                    .send_modify(|weather| weather.connected = false);
            }
            Event::Closed => self.weather.send_modify(|weather| {
                (weather.connected, weather.closed) = (false, true);
            }),
            Event::ServerError(error) => self.complained(&error.to_string()),
            // Why a try failed is told in more words before the next one.
            Event::ClientError(ClientError::Other(_)) => {}
            Event::ClientError(error) => self.failed("no connection", &error.to_string()),
            Event::SlowConsumer(_) => {
                self.misunderstood("", "messages come faster than they can be read");
            }
            _ => {}
        }
    }

    /// The server complains of a publish or subscription that it does not permit: it says so here and nowhere else.
    fn complained(&self, words: &str) {
        self.counters.denied.fetch_add(1, Ordering::Relaxed);
        let lower = words.to_lowercase();
        if lower.contains("violation") && lower.contains(&INBOX.to_lowercase()) {
            self.weather.send_modify(|weather| weather.deaf = true);
        }
        if self.is_new(words) {
            tracing::warn!(error = words, "NATS does not permit this");
        }
        self.told().last_error = Some(printable(words));
    }

    fn is_new(&self, words: &str) -> bool {
        let complaints = &mut self.told().complaints;
        complaints.len() < MOST_COMPLAINTS && complaints.insert(words.to_owned())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
