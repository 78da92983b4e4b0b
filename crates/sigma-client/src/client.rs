//! The client: sends calls, once, and reads what comes back.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::connections::Connections;
use crate::{
    Allocation, ApiKey, Call, CheckReport, ClientBuilder, Error, Heartbeat, Registration, Reply,
    Vps, VpsFilter, VpsPage, VpsPages,
};

/// How much of a refusal's body is read: enough for any message.
const REFUSAL_BYTES: usize = 16 * 1024;

/// A client of one Sigma API. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) key: Option<ApiKey>,
}

/// What stays the same for all clones of a client.
pub(crate) struct Settings {
    pub(crate) base: Url,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_response_bytes: usize,
    pub(crate) connections: Connections,
}

impl Client {
    /// Begins a client for the API at this URL, such as `https://sigma.example/api`.
    pub fn builder(base_url: &str) -> ClientBuilder {
        ClientBuilder::new(base_url)
    }

    /// The same client with another key, on the same connections.
    #[must_use]
    pub fn with_api_key(&self, key: Option<ApiKey>) -> Client {
        Client {
            key,
            ..self.clone()
        }
    }

    /// Makes this host known, or overwrites what is known of it. See [`Registration`] for what it destroys.
    pub async fn register(&self, registration: &Registration) -> Result<Vps, Error> {
        self.value(Call::register(registration)).await
    }

    /// Says that this host is alive. [`Error::is_unknown_host`] means that it has to register.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<Vps, Error> {
        self.value(Call::heartbeat(heartbeat)).await
    }

    /// One record.
    pub async fn vps(&self, id: &str) -> Result<Vps, Error> {
        self.value(Call::vps(id)).await
    }

    /// The record that a heartbeat under this name reaches, deleted ones aside.
    ///
    /// The API cannot search by name, so this reads the list, 100 records a request, until the name is found.
    pub async fn vps_by_hostname(&self, hostname: &str) -> Result<Option<Vps>, Error> {
        let mut pages = self.vps_pages(VpsFilter::default());
        let mut merged = None;
        while let Some(page) = pages.next_page().await? {
            for vps in page.data {
                if vps.hostname == hostname {
                    return Ok(Some(vps));
                }
                if merged.is_none() && vps.answers_to(hostname) {
                    merged = Some(vps);
                }
            }
        }
        Ok(merged)
    }

    /// One page of records, counted from 1. The API cuts `per_page` to 1..=100.
    pub async fn vps_page(
        &self,
        filter: &VpsFilter,
        page: u32,
        per_page: u32,
    ) -> Result<VpsPage, Error> {
        self.value(Call::vps_page(filter, page, per_page)).await
    }

    /// All records, page by page.
    pub fn vps_pages(&self, filter: VpsFilter) -> VpsPages {
        VpsPages::new(self.clone(), filter)
    }

    /// Asks the agent on a VPS, through the API, for free ports. Nothing is reserved by the API itself.
    pub async fn allocate_ports(&self, id: &str, count: u32) -> Result<Vec<u16>, Error> {
        let allocation: Allocation = self.value(Call::allocate_ports(id, count)).await?;
        Ok(allocation.ports)
    }

    /// Reports what a probe found.
    pub async fn report_check(&self, report: &CheckReport) -> Result<(), Error> {
        self.value(Call::report_check(report)).await.map(drop)
    }

    /// Sends any call and returns its answer with the server's clock and what the rate limit leaves.
    ///
    /// A call is sent once. There is one exception: if a kept connection was closed by the server before it
    /// answered, a repeatable call is sent again, once and at once, on another connection and within the same
    /// time limit.
    pub async fn send<T: DeserializeOwned>(&self, call: &Call<T>) -> Result<Reply<T>, Error> {
        let url = call.url(&self.settings.base);
        let name = format!("{} {url}", call.method);
        let response = self
            .respond(call, &url)
            .await
            .map_err(|error| self.no_answer(&name, &error))?;
        self.take(response, &name).await?.read(&name, &url)
    }

    async fn value<T: DeserializeOwned>(&self, call: Call<T>) -> Result<T, Error> {
        Ok(self.send(&call).await?.value)
    }

    async fn respond<T>(&self, call: &Call<T>, url: &Url) -> Result<Response, reqwest::Error> {
        let start = Instant::now();
        let begun = self.settings.connections.begun();
        let first = self.attempt(call, url, self.settings.timeout).await;
        let on_kept_connection = self.settings.connections.begun() == begun;
        match first {
            Err(error) if call.repeatable && on_kept_connection && was_cut_off(&error) => {
                self.attempt(
                    call,
                    url,
                    self.settings.timeout.saturating_sub(start.elapsed()),
                )
                .await
            }
            outcome => outcome,
        }
    }

    async fn attempt<T>(
        &self,
        call: &Call<T>,
        url: &Url,
        limit: Duration,
    ) -> Result<Response, reqwest::Error> {
        let mut request = self
            .http
            .request(call.method.clone(), url.clone())
            .timeout(limit);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key.header());
        }
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        request.send().await
    }

    /// Reads the body: all of a success, or the first part of a refusal, whose status counts in any case.
    async fn take(&self, mut response: Response, name: &str) -> Result<Answer, Error> {
        let status = response.status();
        let limit = if status.is_success() {
            self.settings.max_response_bytes
        } else {
            REFUSAL_BYTES
        };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(self.no_answer(name, &error)),
            }
            if body.len() > limit && status.is_success() {
                return Err(too_large(name, limit));
            }
            if body.len() > limit {
                body.truncate(limit);
                break;
            }
        }
        Ok(Answer {
            status,
            headers: std::mem::take(response.headers_mut()),
            body,
            key: self.key.clone(),
        })
    }

    fn no_answer(&self, call: &str, error: &reqwest::Error) -> Error {
        let call = call.to_owned();
        if !error.is_timeout() {
            return Error::Transport {
                call,
                reason: reason(error),
            };
        }
        let connecting = error.is_connect();
        let limit = if connecting {
            self.settings.connect_timeout
        } else {
            self.settings.timeout
        };
        Error::Timeout {
            call,
            connecting,
            limit,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.settings.base.as_str())
            .field("key", &self.key)
            .finish()
    }
}

fn too_large(call: &str, limit: usize) -> Error {
    let reason = format!("the answer is longer than {limit} bytes");
    Error::Decode {
        call: call.to_owned(),
        reason,
        body: crate::BodyKind::Other,
    }
}

/// Whether the connection ended before an answer began, as a kept one does that the server gave up.
fn was_cut_off(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        if let Some(cause) = cause.downcast_ref::<hyper::Error>() {
            return cause.is_incomplete_message() || cause.is_canceled() || cause.is_closed();
        }
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::NotConnected
            )
        )
    })
}

/// The causes below the two outermost errors, which only say that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in causes(error).skip(2) {
        let text = cause.to_string();
        if words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
    }
    if words.is_empty() {
        causes(error)
            .last()
            .map(ToString::to_string)
            .unwrap_or_default()
    } else {
        words.join(": ")
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
