//! The registry: what is assigned to this host, and the archives.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::ask::{Question, Reply};
use super::{BadEndpoint, Endpoint, FetchError};
use crate::{ArtifactId, Digest, HostId, Limits, ListedArtifact, Listing, MAX_LISTING_BYTES};

/// How much an answer about health may say.
const HEALTH_BYTES: u64 = 64 * 1024;

/// The longest `ETag` that is sent back.
const MAX_ETAG_BYTES: usize = 256;

/// A registry of artifacts, of any of the kinds there are.
#[derive(Debug, Clone)]
pub struct Registry {
    http: Client,
    endpoint: Endpoint,
    limits: Limits,
    download_timeout: Duration,
}

/// What a registry says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryHealth {
    /// `healthy`, `ok` or whatever word it uses.
    pub status: String,
    /// Its version, where it tells it.
    pub version: Option<String>,
}

/// What is assigned to a host, or that nothing changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// It is the same as when the `ETag` was given out.
    Unchanged,
    /// It is this.
    Now {
        /// What is assigned.
        listing: Listing,
        /// What to ask with the next time, where the registry offers it.
        etag: Option<String>,
    },
}

impl Registry {
    /// A registry at this endpoint; its token is sent as `Authorization: Bearer`. Of the limits those of
    /// downloads count here. A download may take a minute.
    pub fn new(http: Client, endpoint: Endpoint, limits: Limits) -> Result<Registry, BadEndpoint> {
        // Without a token nothing has to be protected: what comes is signed.
        let endpoint = if endpoint.has_token() {
            endpoint.protected()?
        } else {
            endpoint
        };
        Ok(Registry {
            http,
            endpoint,
            limits,
            download_timeout: Duration::from_secs(60),
        })
    }

    /// How long one download may take.
    #[must_use]
    pub fn download_timeout(self, timeout: Duration) -> Registry {
        Registry {
            download_timeout: timeout,
            ..self
        }
    }

    /// Whether the registry is there: `GET /healthz`.
    pub async fn health(&self) -> Result<RegistryHealth, FetchError> {
        let reply = self
            .get(&["healthz"], HEALTH_BYTES, self.endpoint.time_limit(), None)
            .await?;
        let word = |json: &Value, field: &str| Some(json.get(field)?.as_str()?.to_owned());
        Ok(match serde_json::from_slice::<Value>(&reply.body) {
            Ok(json) => RegistryHealth {
                status: word(&json, "status").unwrap_or_else(|| "ok".to_owned()),
                version: word(&json, "version"),
            },
            // Two of the four registries answer in one word.
            Err(_) => RegistryHealth {
                status: String::from_utf8_lossy(&reply.body)
                    .trim()
                    .chars()
                    .take(64)
                    .collect(),
                version: None,
            },
        })
    }

    /// What is assigned to this host: `GET /artifacts/for-host/HOST`.
    pub async fn list(&self, host: &HostId, etag: Option<&str>) -> Result<Listed, FetchError> {
        let max_bytes = u64::try_from(MAX_LISTING_BYTES).unwrap_or(u64::MAX);
        let path = ["artifacts", "for-host", host.as_str()];
        let reply = self
            .get(&path, max_bytes, self.endpoint.time_limit(), etag)
            .await?;
        if reply.status == StatusCode::NOT_MODIFIED {
            return Ok(Listed::Unchanged);
        }
        let listing = Listing::from_json(&reply.body).map_err(|error| reply.unexpected(error))?;
        let etag = reply.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag
            .filter(|etag| etag.len() <= MAX_ETAG_BYTES)
            .map(ToOwned::to_owned);
        Ok(Listed::Now { listing, etag })
    }

    /// The archive of a listed artifact, compared with its checksum where one is listed:
    /// `/artifacts/ID/binary`, where that is not known `/artifacts/binary/ID`, and then `/bundles/ID`.
    pub async fn download(&self, artifact: &ListedArtifact) -> Result<Vec<u8>, FetchError> {
        let reply = self.binary(&artifact.id).await?;
        if let Some(listed) = artifact.checksum {
            let found = Digest::of(&reply.body);
            if found != listed {
                return Err(FetchError::Checksum {
                    call: reply.call,
                    listed,
                    found,
                });
            }
        }
        Ok(reply.body)
    }

    async fn binary(&self, id: &ArtifactId) -> Result<Reply, FetchError> {
        let id = id.as_str();
        let mut answer = self.archive(&["artifacts", id, "binary"]).await;
        for path in [["artifacts", "binary", id].as_slice(), &["bundles", id]] {
            if !is_unknown(&answer) {
                return answer;
            }
            let other = self.archive(path).await;
            // Where all paths are unknown, the first is the one to show.
            if !is_unknown(&other) {
                answer = other;
            }
        }
        answer
    }

    async fn archive(&self, path: &[&str]) -> Result<Reply, FetchError> {
        let limit = self.limits.max_archive_bytes();
        self.get(path, limit, self.download_timeout, None).await
    }

    async fn get(
        &self,
        path: &[&str],
        max_bytes: u64,
        time_limit: Duration,
        etag: Option<&str>,
    ) -> Result<Reply, FetchError> {
        let secret = self.endpoint.secret();
        let token = secret.and_then(|secret| secret.header("Bearer "));
        let etag = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        let mut headers = HeaderMap::new();
        headers.extend(token.map(|token| (AUTHORIZATION, token)));
        headers.extend(etag.clone().map(|etag| (IF_NONE_MATCH, etag)));
        let question = Question {
            method: Method::GET,
            url: self.endpoint.url(path.iter().copied()),
            headers,
            body: None,
            time_limit,
            max_bytes,
            secret,
        };
        let reply = question.ask(&self.http).await?;
        if reply.status == StatusCode::NOT_MODIFIED && etag.is_none() {
            return Err(reply.unexpected("304, which nobody asked for"));
        }
        Ok(reply)
    }
}

fn is_unknown(answer: &Result<Reply, FetchError>) -> bool {
    answer
        .as_ref()
        .is_err_and(|error| error.status() == Some(404))
}
