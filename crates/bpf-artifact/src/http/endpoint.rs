//! Where a server is, and with which token it is asked.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use super::Secret;

/// Where a server is, with which token it is asked, and how long an answer may take.
#[derive(Debug, Clone)]
pub struct Endpoint {
    base: Url,
    token: Option<Secret>,
    timeout: Duration,
    plain_allowed: bool,
}

/// The URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {problem}")]
#[non_exhaustive]
pub struct BadEndpoint {
    /// The URL, without anything that may be a password.
    pub url: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Endpoint {
    /// A server at this URL, such as `https://vault.example:8200`. An answer may take ten seconds.
    pub fn parse(url: &str) -> Result<Endpoint, BadEndpoint> {
        let bad = |problem| BadEndpoint {
            url: without_userinfo(url),
            problem,
        };
        let base = Url::parse(url).map_err(|_| bad("not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(bad("not a URL of http or https"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad(
                "user and password do not belong into the URL: give a token",
            ));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(bad("`?` and `#` do not belong into a base URL"));
        }
        Ok(Endpoint {
            base,
            token: None,
            timeout: Duration::from_secs(10),
            plain_allowed: false,
        })
    }

    /// Asks with this token.
    #[must_use]
    pub fn token(self, token: Secret) -> Endpoint {
        Endpoint {
            token: Some(token),
            ..self
        }
    }

    /// How long one answer may take, from connecting to its last byte.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Endpoint {
        Endpoint { timeout, ..self }
    }

    /// Lets tokens and keys pass unprotected: `http://` to another machine.
    #[must_use]
    pub fn allow_plain(self, allowed: bool) -> Endpoint {
        Endpoint {
            plain_allowed: allowed,
            ..self
        }
    }

    /// An error if what passes could be read or altered on the way and that was not allowed.
    pub(super) fn protected(self) -> Result<Endpoint, BadEndpoint> {
        if self.base.scheme() == "https" || self.plain_allowed || is_loopback(&self.base) {
            return Ok(self);
        }
        let problem =
            "tokens and keys over plain http to another machine: use https, or allow it explicitly";
        Err(BadEndpoint {
            url: self.base.to_string(),
            problem,
        })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn secret(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    pub(super) fn time_limit(&self) -> Duration {
        self.timeout
    }

    /// The URL of a path below the base, each segment percent-encoded.
    pub(super) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What stands before an `@` may be a password.
fn without_userinfo(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    }
}
