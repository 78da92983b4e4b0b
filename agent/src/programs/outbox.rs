//! Messages about programs that wait to be published.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::Notify;

/// How many messages wait at most.
const MOST: usize = 1_000;

/// What a message is about; which subjects that means is the publisher's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Subject {
    /// Events and figures of programs, and heartbeats.
    Telemetry,
    /// How far a rollback is.
    RollbackStatus,
    /// A limit was exceeded.
    Alerts,
}

/// One message to publish.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    pub(crate) subject: Subject,
    pub(crate) body: Value,
    /// Whether it is still worth something when it could not be sent at once.
    pub(crate) keep: bool,
    /// The same in every try, and in no other message.
    pub(crate) id: String,
}

/// Messages that wait, the oldest first.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Whether anybody publishes what is put in.
    open: bool,
    waiting: Mutex<VecDeque<Message>>,
    news: Notify,
    dropped: AtomicU64,
    /// What tells the ids of this process from those of others.
    began: u128,
    number: AtomicU64,
}

impl Outbox {
    /// A closed one takes nothing and forgets everything.
    pub(crate) fn new(open: bool) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            open,
            waiting: Mutex::default(),
            news: Notify::new(),
            dropped: AtomicU64::new(0),
            began: began.unwrap_or_default().as_nanos(),
            number: AtomicU64::new(0),
        }
    }

    /// An id that no other message has.
    pub(crate) fn id(&self, host: &str) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        format!("{host}-{}-{number}", self.began)
    }

    /// Takes a message. Of too many, one that is not to be kept goes first, then the oldest.
    pub(crate) fn put(&self, message: Message) {
        if !self.open {
            return;
        }
        let mut waiting = self.waiting();
        waiting.push_back(message);
        if waiting.len() > MOST {
            let light = waiting.iter().position(|message| !message.keep);
            waiting.remove(light.unwrap_or(0));
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Gives out at most `most` messages, the oldest first.
    pub(crate) fn take(&self, most: usize) -> Vec<Message> {
        let mut waiting = self.waiting();
        let count = most.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// Waits until something was put in.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// How many were given up because too many waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The oldest message that waits.
    #[cfg(test)]
    pub(super) fn first(&self) -> Message {
        self.waiting().front().unwrap().clone()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(outbox: &Outbox, keep: bool) -> Message {
        Message {
            subject: Subject::Telemetry,
            body: Value::Null,
            keep,
            id: outbox.id("h"),
        }
    }

    #[test]
    fn of_too_many_messages_the_light_ones_go_first() {
        let outbox = Outbox::new(true);
        outbox.put(message(&outbox, true));
        outbox.put(message(&outbox, false));
        (0..MOST).for_each(|_| outbox.put(message(&outbox, true)));
        assert_eq!((outbox.len(), outbox.dropped()), (MOST, 2));
        let waiting = outbox.waiting();
        assert!(waiting.iter().all(|message| message.keep));
        // The light one and then the oldest one are gone.
        assert!(waiting.front().unwrap().id.ends_with("-2"));
    }

    #[test]
    fn a_closed_one_takes_nothing() {
        let outbox = Outbox::new(false);
        outbox.put(message(&outbox, true));
        assert_eq!(outbox.len(), 0);
    }
}
