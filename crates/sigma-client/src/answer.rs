//! What the server's answer means.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{ApiKey, BodyKind, Error};

/// What a 429 without a usable `Retry-After` means: the length of the API's window.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The longest wait that is passed on, so that callers may add it to a clock without thought.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How much of the API's own words becomes part of a message.
const ERROR_CHARS: usize = 1000;

/// How much of any other text becomes part of a message.
const TEXT_CHARS: usize = 200;

/// The value of a successful answer, and what its headers say.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reply<T> {
    /// The answer.
    pub value: T,
    /// The server's clock, in whole seconds.
    pub date: Option<SystemTime>,
    /// How many more requests the rate limit allows in its present window.
    pub rate_limit_remaining: Option<u32>,
}

/// An answer with as much of its body as was read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The key of the request. Debug pages of proxies repeat what they were sent.
    pub(crate) key: Option<ApiKey>,
}

impl Answer {
    /// Reads a success as `T` and makes an error of everything else. `call` is what errors name, `url` what a
    /// redirect is relative to.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        call: &str,
        url: &Url,
    ) -> Result<Reply<T>, Error> {
        if !self.status.is_success() {
            return Err(self.refusal(call, url));
        }
        let value =
            serde_json::from_slice(&self.body).map_err(|error| self.not_the_api(call, &error))?;
        Ok(Reply {
            value,
            date: self.date(),
            rate_limit_remaining: self.number("x-ratelimit-remaining"),
        })
    }

    fn not_the_api(&self, call: &str, error: &serde_json::Error) -> Error {
        let body = self.body_kind();
        let reason = match body {
            BodyKind::Html => {
                "a web page came instead of JSON (wrong URL, proxy or login page?)".to_owned()
            }
            BodyKind::Empty => format!("{} without a body", self.status.as_u16()),
            _ => format!(
                "unexpected answer: {}",
                self.said(&error.to_string(), TEXT_CHARS)
            ),
        };
        Error::Decode {
            call: call.to_owned(),
            reason,
            body,
        }
    }

    fn refusal(&self, call: &str, url: &Url) -> Error {
        let message = self.redirect(url).unwrap_or_else(|| self.message());
        Error::Status {
            call: call.to_owned(),
            code: self.status.as_u16(),
            message,
            retry_after: self.retry_after(),
            body: self.body_kind(),
        }
    }

    fn redirect(&self, url: &Url) -> Option<String> {
        if !self.status.is_redirection() {
            return None;
        }
        let target = url.join(self.text(LOCATION.as_str())?).ok()?;
        // Scheme, host and port only: what follows may hold a token of a login page.
        let target = clean(&target.origin().ascii_serialization(), TEXT_CHARS);
        Some(format!("redirects to {target}, which is not followed"))
    }

    fn message(&self) -> String {
        let words = || {
            self.status
                .canonical_reason()
                .unwrap_or("unknown status")
                .to_owned()
        };
        let text = self
            .api_error()
            .unwrap_or_else(|| self.said(&String::from_utf8_lossy(&self.body), TEXT_CHARS));
        if text.is_empty() { words() } else { text }
    }

    fn body_kind(&self) -> BodyKind {
        let body = self.body.trim_ascii();
        let starts = |with: &[u8]| {
            body.get(..with.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        let content_type = self
            .text(CONTENT_TYPE.as_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if body.is_empty() {
            BodyKind::Empty
        } else if self.api_error().is_some() {
            BodyKind::ApiError
        } else if content_type.contains("html") || starts(b"<!doctype html") || starts(b"<html") {
            BodyKind::Html
        } else {
            BodyKind::Other
        }
    }

    fn api_error(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(self.said(body.get("error")?.as_str()?, ERROR_CHARS))
    }

    /// What the server said, fit for a log.
    fn said(&self, text: &str, chars: usize) -> String {
        match &self.key {
            Some(key) => clean(&key.hide_in(text), chars),
            None => clean(text, chars),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        let said = self
            .text(RETRY_AFTER.as_str())
            .and_then(|text| self.wait(text.trim()));
        let assumed = (self.status == StatusCode::TOO_MANY_REQUESTS).then_some(DEFAULT_RETRY_AFTER);
        Some(said.or(assumed)?.min(MAX_RETRY_AFTER))
    }

    /// Seconds, or a date. The date is compared with the server's clock if that is known, since ours may be off.
    fn wait(&self, text: &str) -> Option<Duration> {
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = httpdate::parse_http_date(text).ok()?;
        let now = self.date().unwrap_or_else(SystemTime::now);
        Some(until.duration_since(now).unwrap_or_default())
    }

    fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.text(DATE.as_str())?).ok()
    }

    fn number(&self, header: &str) -> Option<u32> {
        self.text(header)?.trim().parse().ok()
    }

    fn text(&self, header: &str) -> Option<&str> {
        self.headers.get(header)?.to_str().ok()
    }
}

/// One line of printable text: control characters and runs of blanks become one blank, the end is cut off.
fn clean(text: &str, chars: usize) -> String {
    let printable: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = printable.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        status: u16,
        header: (&'static str, &[u8]),
        body: &[u8],
    ) -> Result<Reply<Value>, Error> {
        let mut headers = HeaderMap::new();
        if let Ok(value) = reqwest::header::HeaderValue::from_bytes(header.1) {
            headers.insert(header.0, value);
        }
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer {
            status,
            headers,
            body: body.to_vec(),
            key: None,
        };
        answer.read("GET", &Url::parse("http://sigma.example/api").unwrap())
    }

    fn mutations(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let prefixes = (0..good.len()).map(|end| good[..end].to_vec());
        let changed = (0..good.len()).flat_map(move |at| {
            (0..=255).map(move |byte| {
                let mut bytes = good.to_vec();
                bytes[at] = byte;
                bytes
            })
        });
        prefixes.chain(changed)
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_refusal_can_be_read() {
        let no_header = ("x-none", &b""[..]);
        for good in [
            &br#"{"error":"Not found"}"#[..],
            b"<!DOCTYPE html><p>",
            "Zu viel\u{e4}\r\n".as_bytes(),
        ] {
            for body in mutations(good) {
                for status in [200, 302, 404, 429, 500] {
                    let result = read(status, no_header, &body);
                    assert!(status == 200 || result.is_err());
                }
            }
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_header_can_be_read() {
        let good: [(&'static str, &[u8]); 5] = [
            ("retry-after", b"Fri, 20 Nov 2026 11:02:03 GMT"),
            ("retry-after", b"86399"),
            ("date", b"Fri, 20 Nov 2026 11:02:03 GMT"),
            ("location", b"https://sigma.example:8443/login?x#y"),
            ("content-type", b"text/html; charset=utf-8"),
        ];
        for (name, value) in good {
            for changed in mutations(value) {
                let error = read(302, (name, &changed), b"").unwrap_err();
                assert!(
                    error
                        .retry_after()
                        .is_none_or(|wait| wait <= MAX_RETRY_AFTER)
                );
                let _ = read(200, (name, &changed), b"{}");
            }
        }
    }
}
