//! Brings a body to the server, once, with the key that the server takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metricpush::{Accepted, ApiKey, Client, Error};
use tokio::sync::{Semaphore, watch};

use crate::cli::{Config, KeySource, Push};
use crate::place::in_time;
use crate::{secret, servers};

/// Sends a body; the loops retry.
pub(crate) trait Delivery {
    async fn deliver(&self, body: String) -> Result<Delivered, Refusal>;
}

/// The server took it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Delivered {
    pub(crate) status: u16,
    /// Of the key that was taken.
    pub(crate) key_hash: String,
}

/// The server did not take it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    /// What stays the same while the words differ from answer to answer.
    pub(crate) class: Option<String>,
    pub(crate) why: Why,
}

/// What a refusal means for the sample and for the next try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// Nobody there, or no time: later.
    Away,
    /// The server said when.
    Busy(Duration),
    /// Somebody has to mend something: the key, the address, a file.
    Ours,
    /// This body will never be taken.
    Body,
}

/// The way to the real server. Both loops that send use the same one.
pub(crate) struct Courier {
    settings: Mutex<watch::Receiver<Arc<Config>>>,
    line: Mutex<Option<Line>>,
    /// The turn to read key and certificate files.
    files: Arc<Semaphore>,
}

/// A client and the key it is used with.
#[derive(Clone)]
struct Line {
    client: Client,
    key: ApiKey,
}

impl Courier {
    pub(crate) fn new(settings: watch::Receiver<Arc<Config>>) -> Self {
        Self {
            settings: Mutex::new(settings),
            line: Mutex::default(),
            files: Arc::new(Semaphore::new(1)),
        }
    }

    /// The configuration; a new one drops the client, so that changed files count too.
    fn push(&self) -> Option<Push> {
        let mut settings = lock(&self.settings);
        if settings.has_changed().unwrap_or(false) {
            *lock(&self.line) = None;
        }
        settings.borrow_and_update().push.clone()
    }

    async fn line(&self, push: &Push) -> Result<Line, Refusal> {
        if let Some(line) = lock(&self.line).clone() {
            return Ok(line);
        }
        let files = push.clone();
        let opened = in_time(&self.files, move || open(&files)).await;
        let slow = || Err("the key or certificate files cannot be read in time".to_owned());
        let line = opened.unwrap_or_else(slow).map_err(|message| Refusal {
            message,
            class: None,
            why: Why::Ours,
        })?;
        Ok(lock(&self.line).insert(line).clone())
    }

    /// Other keys than the refused one: what its file holds now, then the next one.
    async fn other_keys(&self, push: &Push, refused: &ApiKey) -> Vec<ApiKey> {
        let sources = [push.key.clone(), push.next_key.clone()];
        let read = move || -> Vec<ApiKey> { sources.iter().filter_map(current).collect() };
        let mut keys = in_time(&self.files, read).await.unwrap_or_default();
        keys.retain(|key| key != refused);
        keys.dedup();
        keys
    }

    async fn with_other_keys(
        &self,
        push: &Push,
        line: &Line,
        body: &str,
        mut error: Error,
    ) -> Result<(Accepted, ApiKey), Error> {
        for key in self.other_keys(push, &line.key).await {
            tracing::info!(
                api_key_hash = key.hash(),
                refused_key_hash = line.key.hash(),
                "the server refuses the key: trying another one"
            );
            match line.client.push(&key, body.to_owned()).await {
                Ok(accepted) => return Ok((accepted, key)),
                Err(other) => error = other,
            }
            if !error.is_refused_key() {
                break;
            }
        }
        Err(error)
    }
}

impl Delivery for Courier {
    async fn deliver(&self, body: String) -> Result<Delivered, Refusal> {
        let Some(push) = self.push() else {
            // The loops are there only where the push is on, and a reload does not switch it off.
            return Err(Refusal {
                message: "the push is switched off".to_owned(),
                class: None,
                why: Why::Ours,
            });
        };
        let line = self.line(&push).await?;
        let outcome = match line.client.push(&line.key, body.clone()).await {
            Ok(accepted) => Ok((accepted, line.key.clone())),
            Err(error) if error.is_refused_key() => {
                self.with_other_keys(&push, &line, &body, error).await
            }
            Err(error) => Err(error),
        };
        let (accepted, key) = outcome.map_err(|error| refusal(&error))?;
        let key_hash = key.hash();
        if key != line.key {
            *lock(&self.line) = Some(Line { key, ..line });
        }
        Ok(Delivered {
            status: accepted.status,
            key_hash,
        })
    }
}

fn open(push: &Push) -> Result<Line, String> {
    let key = push.key.read()?.ok_or("there is no key")?;
    let key = ApiKey::parse(key.expose()).map_err(|error| error.to_string())?;
    Ok(Line {
        client: client(push)?,
        key,
    })
}

/// A client of the configured server.
pub(crate) fn client(push: &Push) -> Result<Client, String> {
    let http = servers::builder(push.server_url.as_str(), &push.server)?
        .build_http()
        .map_err(|error| error.to_string())?;
    Client::new(http, &push.server_url, env!("CARGO_PKG_VERSION"))
        .map_err(|error| error.to_string())
}

fn current(source: &KeySource) -> Option<ApiKey> {
    let text = match source {
        KeySource::None => return None,
        KeySource::Given(key) => key.clone(),
        KeySource::File(path) => match secret::read(path) {
            Ok(key) => key,
            Err(why) => {
                tracing::warn!(%why, "the key cannot be read again");
                return None;
            }
        },
    };
    ApiKey::parse(text.expose()).ok()
}

/// What an error means, in words that say what to do.
fn refusal(error: &Error) -> Refusal {
    let (advice, why) = if error.is_refused_key() {
        (
            ": the server refuses the key; it may have been rotated, or the machine disabled",
            Why::Ours,
        )
    } else if error.is_wrong_url() {
        (
            ": this does not answer like a LunaSentri server; check the server's URL",
            Why::Ours,
        )
    } else if error.is_refused_body() {
        (": the sample is given up", Why::Body)
    } else {
        ("", error.retry_after().map_or(Why::Away, Why::Busy))
    };
    Refusal {
        message: format!("{error}{advice}"),
        class: error.status().map(|status| status.to_string()),
        why,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
