//! What the server's answer means.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::text::said;
use crate::{ApiKey, Error};

/// The longest wait that is passed on, so that callers may add it to a clock without thought.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer with as much of its body as was read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body is longer than what was read of it on purpose.
    pub(crate) is_cut: bool,
    /// The key of the request.
    pub(crate) key: Option<ApiKey>,
}

impl Answer {
    /// Makes an error of everything but a success of the API. `call` is what errors name, `url` what a redirect is
    /// relative to.
    ///
    /// 202 is the API's own word. Any other 2xx needs a body that a page of somebody else cannot have.
    pub(crate) fn check(&self, call: &str, url: &Url) -> Result<(), Error> {
        if !self.status.is_success() {
            return Err(self.refusal(call, url));
        }
        if self.status == StatusCode::ACCEPTED || self.is_empty() || self.json().is_some() {
            return Ok(());
        }
        Err(Error::NotTheApi {
            call: call.to_owned(),
            code: self.status.as_u16(),
            reason: self.foreign_body(),
        })
    }

    /// The server's own word about itself, such as `healthy`.
    pub(crate) fn state(&self) -> Option<String> {
        Some(self.said(self.json()?.get("status")?.as_str()?)).filter(|state| !state.is_empty())
    }

    /// The server's clock.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header(DATE.as_str())?).ok()
    }

    fn foreign_body(&self) -> String {
        if self.is_page() {
            return "with a web page: not the API (wrong URL, proxy or login page?)".to_owned();
        }
        if self.is_cut {
            let length = self.body.len();
            return format!("with more than {length} bytes: not the API (wrong URL or proxy?)");
        }
        let text = self.said(&String::from_utf8_lossy(&self.body));
        format!("with a text: not the API (wrong URL or proxy?): {text}")
    }

    fn refusal(&self, call: &str, url: &Url) -> Error {
        Error::Status {
            call: call.to_owned(),
            code: self.status.as_u16(),
            message: self.redirect(url).unwrap_or_else(|| self.message()),
            retry_after: self.retry_after(),
            is_page: self.is_page(),
        }
    }

    fn redirect(&self, url: &Url) -> Option<String> {
        if !self.status.is_redirection() {
            return None;
        }
        let target = url.join(self.header(LOCATION.as_str())?).ok()?;
        let target = self.said(&without_secrets(target));
        Some(format!("redirects to {target}, which is not followed"))
    }

    fn message(&self) -> String {
        let status = || self.status.canonical_reason().unwrap_or("unknown status");
        if self.is_page() {
            return format!("{} (with a web page)", status());
        }
        let json = self.json();
        let error = json
            .as_ref()
            .and_then(|body| body.get("error")?.as_str())
            .map(|error| self.said(error));
        let text = error.unwrap_or_else(|| self.said(&String::from_utf8_lossy(&self.body)));
        if text.is_empty() {
            status().to_owned()
        } else {
            text
        }
    }

    fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty() && !self.is_cut
    }

    /// Whether it is a web page. JSON is none, whatever its header says.
    fn is_page(&self) -> bool {
        let body = self.body.trim_ascii_start();
        let starts = |with: &[u8]| {
            body.get(..with.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        let content_type = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let said = content_type.to_ascii_lowercase().contains("html");
        (said || starts(b"<!doctype html") || starts(b"<html"))
            && !self.is_empty()
            && self.json().is_none()
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn said(&self, text: &str) -> String {
        said(text, self.key.as_ref())
    }

    fn retry_after(&self) -> Option<Duration> {
        let wait = self.wait(self.header(RETRY_AFTER.as_str())?.trim())?;
        Some(wait.min(MAX_RETRY_AFTER))
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

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A target without what may hold the token of a login page.
pub(crate) fn without_secrets(mut target: Url) -> String {
    target.set_query(None);
    target.set_fragment(None);
    // Both fail only where there is nothing to remove.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    target.into()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn check(status: u16, header: (&'static str, &[u8]), body: &[u8]) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(header.1) {
            headers.insert(HeaderName::from_static(header.0), value);
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_vec(),
            is_cut: false,
            key: None,
        };
        let _ = (answer.state(), answer.date());
        answer.check("GET", &Url::parse("http://api.example/health").unwrap())
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

    fn assert_fit_for_a_log(error: &Error) {
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() < 300, "{text}");
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_a_body_can_be_read() {
        let bodies: [&[u8]; 5] = [
            br#"{"error":"cpu_pct must be between 0 and 100"}"#,
            br#"{"status":"healthy"}"#,
            b"<!DOCTYPE html><p>",
            b"LunaSentri API - Coming Soon",
            "Zu viel\u{e4}\r\n".as_bytes(),
        ];
        for body in bodies.into_iter().flat_map(mutations) {
            for status in [200, 302, 400] {
                let result = check(status, ("x-none", b""), &body);
                assert!(status < 300 || result.is_err());
                if let Err(error) = result {
                    assert_fit_for_a_log(&error);
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
            ("location", b"https://api.example:8443/login?x#y"),
            ("content-type", b"text/html; charset=utf-8"),
        ];
        for (name, value) in good {
            for changed in mutations(value) {
                let error = check(302, (name, &changed), b"").unwrap_err();
                let wait = error.retry_after();
                assert!(wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER));
                assert_fit_for_a_log(&error);
                assert!(check(200, (name, &changed), b"{}").is_ok());
            }
        }
    }
}
