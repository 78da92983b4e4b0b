//! The client: sends, once, and reads what comes back.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use crate::answer::{Answer, without_secrets};
use crate::text::said;
use crate::{ApiKey, ConfigError, Error, ServerUrl};

/// How much of a body is read: enough for any answer of the API and any message.
const BODY_BYTES: usize = 16 * 1024;

const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// A client of one server, over an HTTP client that the caller made. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    metrics: Url,
    health: Url,
    user_agent: HeaderValue,
    limit: Duration,
}

/// A sample was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// 202, or another 2xx.
    pub status: u16,
    /// The server's clock, in whole seconds.
    pub date: Option<SystemTime>,
}

/// The server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The server's own word for its state, such as `healthy`.
    pub state: Option<String>,
    /// The server's clock, in whole seconds: the difference to the own one shows a clock that is wrong.
    pub date: Option<SystemTime>,
}

impl Client {
    /// A client of this server. `version` is that of the program: the user agent is `lunasentri-agent/<version>`.
    ///
    /// How to reach the server is the business of `http`: trust, names, proxies, time for a connection. It must not
    /// retry, which reqwest does not unless it is told to, and must not follow redirects, which needs
    /// `reqwest::redirect::Policy::none()`: a POST that is redirected may arrive as a GET. If it follows one, the call
    /// fails all the same, but the request has travelled further.
    pub fn new(
        http: reqwest::Client,
        server: &ServerUrl,
        version: &str,
    ) -> Result<Client, ConfigError> {
        let is_version = |byte: u8| byte.is_ascii_graphic();
        if version.is_empty() || !version.bytes().all(is_version) {
            return Err(ConfigError::Version("is not one printable ASCII word"));
        }
        let user_agent = HeaderValue::from_str(&format!("lunasentri-agent/{version}"))
            .map_err(|_| ConfigError::Version("does not fit into a header"))?;
        Ok(Client {
            http,
            metrics: url(server, "/agent/metrics")?,
            health: url(server, "/health")?,
            user_agent,
            limit: DEFAULT_LIMIT,
        })
    }

    /// The same client with another time limit for a call, from the name to the last byte of the answer.
    /// Default: 10 s.
    #[must_use]
    pub fn with_timeout(self, limit: Duration) -> Client {
        Client { limit, ..self }
    }

    /// Sends a body, such as that of [`Sample::to_json`](crate::Sample::to_json), to `POST /agent/metrics`.
    ///
    /// It tries once, whatever happens, also when a kept connection turns out to be dead: the server may have
    /// stored the sample before the connection broke, and stores one that comes again a second time.
    /// Below it, a request that never left this host may move to another connection, and over HTTP/2 one that the
    /// server says it did not process.
    pub async fn push(&self, key: &ApiKey, body: String) -> Result<Accepted, Error> {
        let request = self
            .http
            .post(self.metrics.clone())
            .header(AUTHORIZATION, bearer(key))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let answer = self
            .answer(request, "POST", &self.metrics, Some(key))
            .await?;
        Ok(Accepted {
            status: answer.status.as_u16(),
            date: answer.date(),
        })
    }

    /// Asks `GET /health`, without a key.
    pub async fn health(&self) -> Result<Health, Error> {
        let request = self.http.get(self.health.clone());
        let answer = self.answer(request, "GET", &self.health, None).await?;
        Ok(Health {
            state: answer.state(),
            date: answer.date(),
        })
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        method: &str,
        url: &Url,
        key: Option<&ApiKey>,
    ) -> Result<Answer, Error> {
        let call = format!("{method} {url}");
        let request = request
            .header(USER_AGENT, self.user_agent.clone())
            .timeout(self.limit);
        let response = request
            .send()
            .await
            .map_err(|error| self.no_answer(&call, &error))?;
        if response.url() != url {
            return Err(followed(&call, &response, key));
        }
        let answer = self.read(response, &call, key).await?;
        answer.check(&call, url)?;
        Ok(answer)
    }

    /// Reads the body as far as it is needed. Where the status alone decides, a body that breaks off changes
    /// nothing: above all, a sample that was accepted must not be sent again for it.
    async fn read(
        &self,
        mut response: Response,
        call: &str,
        key: Option<&ApiKey>,
    ) -> Result<Answer, Error> {
        let status = response.status();
        let needs_body = status.is_success() && status != StatusCode::ACCEPTED;
        let mut body = Vec::new();
        while body.len() <= BODY_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if needs_body => return Err(self.no_answer(call, &error)),
                Err(_) => break,
            }
        }
        let is_cut = body.len() > BODY_BYTES;
        body.truncate(BODY_BYTES);
        Ok(Answer {
            status,
            headers: std::mem::take(response.headers_mut()),
            body,
            is_cut,
            key: key.cloned(),
        })
    }

    fn no_answer(&self, call: &str, error: &reqwest::Error) -> Error {
        let call = call.to_owned();
        if error.is_timeout() {
            let limit = (!error.is_connect()).then_some(self.limit);
            return Error::Timeout { call, limit };
        }
        let reason = reason(error);
        Error::Transport { call, reason }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("metrics", &self.metrics.as_str())
            .field("user_agent", &self.user_agent)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

fn url(server: &ServerUrl, path: &str) -> Result<Url, ConfigError> {
    Url::parse(&format!("{server}{path}"))
        .map_err(|_| ConfigError::ServerUrl("has no valid host or port"))
}

/// A key is printable ASCII and so always fits into a header. Were it not so, the server would refuse the empty one.
fn bearer(key: &ApiKey) -> HeaderValue {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
        .unwrap_or(HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}

fn followed(call: &str, response: &Response, key: Option<&ApiKey>) -> Error {
    let target = said(&without_secrets(response.url().clone()), key);
    Error::NotTheApi {
        call: call.to_owned(),
        code: response.status().as_u16(),
        reason: format!("from {target}, to which the HTTP client followed a redirect: it must not"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hidden_where_headers_are_logged() {
        let key = ApiKey::parse("secret").unwrap();
        assert_eq!(bearer(&key), "Bearer secret");
        assert_eq!(format!("{:?}", bearer(&key)), "Sensitive");
    }
}
