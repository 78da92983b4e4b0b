//! One request and its answer, with limits of time and size.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::{FetchError, Secret};
use crate::vault_answer;

/// How much of a refusal is read: enough for any message.
const REFUSAL_BYTES: u64 = 16 * 1024;

/// How much of a server's words becomes part of a message.
const MESSAGE_CHARS: usize = 300;

/// The longest wait that is passed on.
const MAX_RETRY_AFTER: u64 = 24 * 3600;

/// One request.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) time_limit: Duration,
    pub(super) max_bytes: u64,
    /// What must not stand in an error, whoever repeats it.
    pub(super) secret: Option<&'a Secret>,
}

/// What came: any status that is no error, with its whole body.
pub(super) struct Reply {
    pub(super) call: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// An error about what came.
    pub(super) fn unexpected(&self, reason: impl Display) -> FetchError {
        FetchError::Answer {
            call: self.call.clone(),
            reason: format!("{reason}"),
        }
    }
}

impl Question<'_> {
    pub(super) async fn ask(self, http: &Client) -> Result<Reply, FetchError> {
        let call = format!("{} {}", self.method, self.url);
        let mut request = http
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .timeout(self.time_limit);
        if let Some(body) = &self.body {
            request = request
                .header("content-type", "application/json")
                .body(body.clone());
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.no_answer(&call, &error))?;
        if *response.url() != self.url {
            let reason = "the client follows redirects, and must be built not to".to_owned();
            return Err(FetchError::Answer { call, reason });
        }
        let status = response.status();
        let good = status == StatusCode::OK || status == StatusCode::NOT_MODIFIED;
        let max_bytes = if good { self.max_bytes } else { REFUSAL_BYTES };
        let body = self.read(&mut response, &call, max_bytes, good).await?;
        let headers = std::mem::take(response.headers_mut());
        if good {
            return Ok(Reply {
                call,
                status,
                headers,
                body,
            });
        }
        Err(FetchError::Status {
            message: self.said(status, &headers, &body),
            retry_after: retry_after(&headers),
            code: status.as_u16(),
            call,
        })
    }

    /// Reads a body up to the limit. What is longer is an error, or cut off if the answer is one anyway.
    async fn read(
        &self,
        response: &mut Response,
        call: &str,
        max_bytes: u64,
        whole: bool,
    ) -> Result<Vec<u8>, FetchError> {
        let too_large = || FetchError::TooLarge {
            call: call.to_owned(),
            limit: max_bytes,
        };
        if whole
            && response
                .content_length()
                .is_some_and(|length| length > max_bytes)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(_) if !whole => return Ok(body),
                Err(error) => return Err(self.no_answer(call, &error)),
            }
            let long = u64::try_from(body.len()).is_ok_and(|length| length > max_bytes);
            match (long, whole) {
                (true, true) => return Err(too_large()),
                (true, false) => return Ok(body),
                (false, _) => {}
            }
        }
    }

    fn no_answer(&self, call: &str, error: &reqwest::Error) -> FetchError {
        let call = call.to_owned();
        if error.is_timeout() {
            return FetchError::Timeout {
                call,
                limit: self.time_limit,
            };
        }
        FetchError::Transport {
            call,
            reason: reason(error),
        }
    }

    /// What a refusal says, fit for a log.
    fn said(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
        let text = redirect(&self.url, status, headers)
            .or_else(|| vault_answer::errors(body))
            .or_else(|| registry_error(body))
            .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let text = self
            .secret
            .map_or(text.clone(), |secret| secret.hide_in(&text));
        let words: Vec<&str> = text.split_whitespace().collect();
        let shown: String = words
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .take(MESSAGE_CHARS)
            .collect();
        if shown.is_empty() {
            return status
                .canonical_reason()
                .unwrap_or("unknown status")
                .to_owned();
        }
        shown
    }
}

fn redirect(url: &Url, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION).filter(|_| status.is_redirection())?;
    // Scheme, host and port only: what follows may hold a token of a login page.
    let target = url
        .join(location.to_str().ok()?)
        .ok()?
        .origin()
        .ascii_serialization();
    Some(format!("redirects to {target}, which is not followed"))
}

/// `{"error": "text"}`.
fn registry_error(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("error")?.as_str()?.to_owned())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

/// The innermost cause: the outer ones only say that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
