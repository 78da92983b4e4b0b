//! Requests that come in: understood, handed on, and answered where an answer is asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::{Client, HeaderMap, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::command::{Command, parse};
use super::link::Link;
use super::seal::{SIGNATURE, Seal, TIME};
use super::subjects::Subjects;
use super::{Settings, durable};
use crate::programs::signals::{Answered, Asked, Signals};

/// How long a rollback may take until its answer; the rollback goes on beyond it.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Listens on the subjects of this host. Dropped, it listens no more.
pub(super) struct Commands {
    desk: Arc<Desk>,
    subjects: Arc<Subjects>,
    stream: Option<String>,
    listeners: JoinSet<()>,
}

/// What is done with a message, wherever it came in.
pub(super) struct Desk {
    host: String,
    patience: Duration,
    signals: Signals,
    link: Arc<Link>,
    /// `None`: whoever may publish to the subject is heard.
    seal: Option<Mutex<Seal>>,
}

impl Commands {
    pub(super) fn new(
        settings: &Settings,
        subjects: &Arc<Subjects>,
        signals: Signals,
        link: &Arc<Link>,
    ) -> Self {
        let keys = &settings.nats.command_keys;
        let seal = (!keys.is_empty()).then(|| {
            let bytes = keys.iter().filter_map(|key| {
                let bytes = STANDARD.decode(key.to_base64()?).ok()?;
                bytes.try_into().ok()
            });
            Mutex::new(Seal::new(bytes.collect()))
        });
        Self {
            desk: Arc::new(Desk {
                host: settings.host.clone(),
                patience: settings.patience,
                signals,
                link: Arc::clone(link),
                seal,
            }),
            subjects: Arc::clone(subjects),
            stream: settings.nats.commands_stream.clone(),
            listeners: JoinSet::new(),
        }
    }

    /// Listens with a client, which subscribes again by itself whenever it has connected anew.
    pub(super) fn listen(&mut self, client: &Client) {
        let own = self.subjects.requests();
        let mut subjects: Vec<(String, bool)> = Vec::new();
        match (&self.stream, own.first()) {
            (Some(stream), Some(subject)) => {
                let consumer = durable::Consumer {
                    stream: stream.clone(),
                    name: format!("sigma-agent-{}", self.subjects.word()),
                    subject: subject.clone(),
                };
                let work = durable::listen(client.clone(), consumer, Arc::clone(&self.desk));
                self.listeners.spawn(work);
                subjects.extend(own.into_iter().skip(1).map(|subject| (subject, false)));
            }
            _ => subjects.extend(own.into_iter().map(|subject| (subject, false))),
        }
        let for_all = self.subjects.requests_for_all().iter();
        subjects.extend(for_all.map(|subject| ((*subject).to_owned(), true)));
        for (subject, to_all) in subjects {
            let work = listen(client.clone(), subject, to_all, Arc::clone(&self.desk));
            self.listeners.spawn(work);
        }
    }

    /// Listens no more. What is being answered is not answered.
    pub(super) async fn stop(&mut self) {
        self.listeners.shutdown().await;
    }
}

async fn listen(client: Client, subject: String, to_all: bool, desk: Arc<Desk>) {
    let mut messages = match client.subscribe(subject).await {
        Ok(messages) => messages,
        Err(error) => return desk.link.failed("no subscription", &error.to_string()),
    };
    while let Some(message) = messages.next().await {
        let Some(answer) = desk.handle(&message, to_all).await else {
            continue;
        };
        let Some(reply) = message.reply else { continue };
        let publish = client.publish(reply, answer.to_string().into());
        // An answer that finds no way is missed by who asked; the events of the rollback come all the same.
        let _ = timeout(desk.patience, publish).await;
    }
}

impl Desk {
    /// Does what a message asks for; the answer is `None` where another host gives it.
    pub(super) async fn handle(&self, message: &Message, to_all: bool) -> Option<Value> {
        let understood = self
            .admit(message)
            .map_err(str::to_owned)
            .and_then(|()| parse(&message.payload, &self.host, to_all));
        let command = match understood {
            Ok(Command::NotForUs) => return None,
            Ok(command) => command,
            Err(why) => {
                self.link.misunderstood(message.subject.as_str(), &why);
                // Every host would say the same of a message to all.
                let answer = json!({"status": "invalid", "error": why, "host_id": self.host});
                return (!to_all).then_some(answer);
            }
        };
        self.link.understood();
        Some(self.answer(command).await)
    }

    fn admit(&self, message: &Message) -> Result<(), &'static str> {
        let Some(seal) = &self.seal else {
            return Ok(());
        };
        let header = |name: &str| header(message.headers.as_ref(), name);
        let signature = header(SIGNATURE).and_then(|text| STANDARD.decode(text).ok());
        let mut seal = seal.lock().unwrap_or_else(PoisonError::into_inner);
        seal.check(
            header(TIME),
            signature.as_deref(),
            message.subject.as_str(),
            &message.payload,
            SystemTime::now(),
        )
    }

    async fn answer(&self, command: Command) -> Value {
        let Command::RollBack {
            artifact_id,
            reason,
            request_id,
        } = command
        else {
            let taken = timeout(ANSWER_TIME, self.signals.send(Asked::Poll)).await;
            let taken = matches!(taken, Ok(Ok(())));
            let status = if taken { "accepted" } else { "refused" };
            return json!({"status": status, "host_id": self.host});
        };
        let answered = timeout(
            ANSWER_TIME,
            self.ask(&artifact_id, reason, request_id.clone()),
        );
        let answered = answered
            .await
            .unwrap_or_else(|_| Answered::Refused("there was no answer in time".to_owned()));
        let (status, error) = match answered {
            Answered::Taken => ("accepted", None),
            Answered::Duplicate => ("duplicate", None),
            Answered::Refused(why) => ("refused", Some(why)),
        };
        let mut answer =
            json!({"status": status, "artifact_id": artifact_id, "host_id": self.host});
        if let Some(object) = answer.as_object_mut() {
            object.extend(request_id.map(|id| ("request_id".to_owned(), id.into())));
            object.extend(error.map(|why| ("error".to_owned(), why.into())));
        }
        answer
    }

    async fn ask(
        &self,
        artifact_id: &str,
        reason: Option<String>,
        request_id: Option<String>,
    ) -> Answered {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::RollBack {
            artifact_id: artifact_id.to_owned(),
            reason,
            request_id,
            answer,
        };
        let gone = || Answered::Refused("the agent is stopping".to_owned());
        if self.signals.send(asked).await.is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    headers?.get(name).map(async_nats::HeaderValue::as_str)
}
