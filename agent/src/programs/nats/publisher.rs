//! The loop that empties the outbox: what must not be lost goes to disk first and stays there until the server has it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, context::PublishErrorKind};
use async_nats::{Client, HeaderMap, Subscriber};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::backlog::Backlog;
use super::commands::Commands;
use super::link::{Link, Weather};
use super::subjects::{Place, Subjects};
use super::{Settings, connect};
use crate::programs::outbox::{Message, Outbox};
use crate::programs::signals::Signals;

/// How many messages are proved at a time.
const BATCH: usize = 64;
/// How many messages that may be lost wait for a server.
const MOST_LIGHT: usize = 1_000;
/// What could not be done is tried again after this time, if nothing happens before.
const TRY_AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Publisher {
    settings: Settings,
    subjects: Arc<Subjects>,
    outbox: Arc<Outbox>,
    link: Arc<Link>,
    backlog: Backlog,
    /// Messages that may be lost, the oldest first.
    light: VecDeque<Message>,
    commands: Commands,
    line: Option<Open>,
}

/// A connection, or the hope of one.
struct Open {
    client: Client,
    stream: jetstream::Context,
    /// What this host sends to itself: when it comes back, the server has read everything that was sent before.
    echo: Option<(String, Subscriber)>,
    echoes: u64,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Yes,
    /// Later, perhaps.
    No,
    /// No server will ever take it.
    Never,
}

impl Publisher {
    pub(super) fn new(
        settings: Settings,
        outbox: Arc<Outbox>,
        signals: Signals,
        link: Arc<Link>,
    ) -> Self {
        let subjects = Arc::new(Subjects::new(&settings.host, &settings.nats));
        Self {
            backlog: Backlog::new(settings.folder.clone(), Arc::clone(&link)),
            commands: Commands::new(&settings, &subjects, signals, &link),
            settings,
            subjects,
            outbox,
            link,
            light: VecDeque::new(),
            line: None,
        }
    }

    /// Runs until it is stopped; then it sends what it still can.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut weather = self.link.weather();
        loop {
            self.open().await;
            self.round().await;
            let happening = async {
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => true,
                    () = self.outbox.news() => false,
                    _ = weather.changed() => false,
                }
            };
            if timeout(TRY_AGAIN, happening).await == Ok(true) {
                break;
            }
        }
        self.round().await;
        self.commands.stop().await;
        if let Some(line) = self.line.take() {
            let _ = timeout(self.settings.patience, line.end(&self.link)).await;
        }
        self.backlog.sync().await;
    }

    async fn open(&mut self) {
        if self.line.is_some() {
            return;
        }
        match connect::open(&self.settings, &self.link).await {
            Ok(client) => {
                self.commands.listen(&client);
                self.line = Some(Open {
                    stream: jetstream::new(client.clone()),
                    client,
                    echo: None,
                    echoes: 0,
                });
            }
            Err(why) => self.link.failed("no connection", &why),
        }
    }

    /// Takes what is in the outbox, and sends what can be sent.
    async fn round(&mut self) {
        loop {
            let messages = self.outbox.take(BATCH);
            let full = messages.len() == BATCH;
            let (kept, light): (Vec<_>, Vec<_>) =
                messages.into_iter().partition(|message| message.keep);
            self.backlog.keep(kept).await;
            self.light.extend(light);
            let surplus = self.light.len().saturating_sub(MOST_LIGHT);
            self.light.drain(..surplus);
            self.link.dropped(surplus as u64);
            if !full {
                break;
            }
        }
        let Some(mut line) = self.line.take() else {
            return;
        };
        if line.is_up() && self.send_kept(&mut line).await {
            self.send_light(&line).await;
        }
        self.line = Some(line);
    }

    /// Sends what must not be lost, in its order; says whether all of it has arrived.
    async fn send_kept(&self, line: &mut Open) -> bool {
        loop {
            let batch = self.backlog.oldest(BATCH).await;
            if batch.is_empty() {
                return true;
            }
            let before = *self.link.weather().borrow();
            let (mut published, mut last, mut whole) = (0, None, true);
            for waiting in batch {
                match self.send(line, &waiting.message).await {
                    Sent::Yes => published += 1,
                    Sent::Never => self.link.dropped(1),
                    Sent::No => {
                        whole = false;
                        break;
                    }
                }
                last = Some(waiting);
            }
            let proved = self.settings.nats.jetstream || self.is_read(line, before).await;
            match last {
                Some(last) if proved => self.backlog.pass(last).await,
                _ => return false,
            }
            self.link.published(published);
            if !whole {
                return false;
            }
        }
    }

    async fn send_light(&mut self, line: &Open) {
        while let Some(message) = self.light.pop_front() {
            match self.publish(line, &message).await {
                Sent::Yes => self.link.published(1),
                Sent::Never => self.link.dropped(1),
                Sent::No => {
                    self.light.push_front(message);
                    return;
                }
            }
        }
    }

    async fn send(&self, line: &Open, message: &Message) -> Sent {
        if self.settings.nats.jetstream {
            self.publish_to_streams(line, message).await
        } else {
            self.publish(line, message).await
        }
    }

    /// Hands a message to the connection, for all of its subjects.
    async fn publish(&self, line: &Open, message: &Message) -> Sent {
        let payload = message.body.to_string();
        if self.is_too_long(line, &payload) {
            return Sent::Never;
        }
        for place in self.subjects.of(message.subject) {
            let headers = headers(message, &place);
            let publish =
                line.client
                    .publish_with_headers(place.subject, headers, payload.clone().into());
            // While there is no connection a publish waits for room, and would do so for ever.
            match timeout(self.settings.patience, publish).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    self.link.failed("an event is not sent", &error.to_string());
                    return Sent::No;
                }
                Err(_) => return Sent::No,
            }
        }
        Sent::Yes
    }

    fn is_too_long(&self, line: &Open, payload: &str) -> bool {
        let too_long = payload.len() > line.client.max_payload();
        if too_long {
            let why = "it is longer than the server takes";
            self.link.failed("an event is given up", why);
        }
        too_long
    }

    /// Publishes with the word of the server that it is stored. At least one subject has to have a stream.
    async fn publish_to_streams(&self, line: &Open, message: &Message) -> Sent {
        let payload = message.body.to_string();
        if self.is_too_long(line, &payload) {
            return Sent::Never;
        }
        let mut stored = false;
        for place in self.subjects.of(message.subject) {
            let headers = headers(message, &place);
            let publish = async {
                let publish = line.stream.publish_with_headers(
                    place.subject.clone(),
                    headers,
                    payload.clone().into(),
                );
                publish.await?.await
            };
            match timeout(self.settings.patience, publish).await {
                Ok(Ok(_)) => stored = true,
                Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => {}
                Ok(Err(error)) => {
                    self.link
                        .failed("an event is not stored", &error.to_string());
                    return Sent::No;
                }
                Err(_) => return Sent::No,
            }
        }
        if !stored {
            self.link.failed(
                "an event is not stored",
                "no stream takes its subjects; make one, or switch --nats-jetstream off",
            );
        }
        if stored { Sent::Yes } else { Sent::No }
    }

    /// Whether the server has read all that was sent since `before`. NATS acknowledges nothing by itself, and what was in the socket
    /// when a server ends is gone.
    async fn is_read(&self, line: &mut Open, before: Weather) -> bool {
        let patience = self.settings.patience;
        if before.deaf {
            let flushed = timeout(patience, line.client.flush()).await;
            return matches!(flushed, Ok(Ok(()))) && line.is_up();
        }
        let Ok(echoed) = timeout(patience, line.echo(&self.link)).await else {
            return false;
        };
        let after = *self.link.weather().borrow();
        echoed && after.connection == before.connection
    }
}

impl Open {
    fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Gives up all subscriptions, sends what is under way, and waits until the connection is closed: a server that still believed
    /// in it would give it requests.
    async fn end(self, link: &Link) {
        if !self.is_up() || self.client.drain().await.is_err() {
            return;
        }
        let _ = link.weather().wait_for(|weather| weather.closed).await;
    }

    /// Sends something to itself and waits until it is back, or cannot come.
    async fn echo(&mut self, link: &Link) -> bool {
        let mut weather = link.weather();
        if self.echo.is_none() {
            let inbox = self.client.new_inbox();
            let Ok(subscriber) = self.client.subscribe(inbox.clone()).await else {
                return false;
            };
            self.echo = Some((inbox, subscriber));
        }
        let Some((inbox, subscriber)) = &mut self.echo else {
            return false;
        };
        self.echoes += 1;
        let mark = self.echoes.to_string();
        let sent = self.client.publish(inbox.clone(), mark.clone().into());
        if sent.await.is_err() {
            return false;
        }
        let back = async {
            while let Some(message) = subscriber.next().await {
                if message.payload == mark.as_bytes() {
                    return true;
                }
            }
            false
        };
        tokio::select! {
            back = back => back,
            _ = weather.wait_for(|weather| weather.deaf || !weather.connected) => false,
        }
    }
}

/// The id by which a stream knows a message that comes twice. Each subject has its own, since one stream may take several.
fn headers(message: &Message, place: &Place) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let id: String = message.id.chars().filter(|c| !c.is_control()).collect();
    headers.insert("Nats-Msg-Id", format!("{id}{}", place.mark));
    headers
}
