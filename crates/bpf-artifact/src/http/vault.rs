//! Vault or OpenBao: keys of the transit engine and of KV, and the token's own life.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::ask::{Question, Reply};
use super::{BadEndpoint, Endpoint, FetchError};
use crate::vault_answer::{self, TokenState};
use crate::{FetchedKeys, VaultKeys};

/// More than any answer that is asked for here.
const MAX_BYTES: u64 = 4 << 20;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Proxies may insist on it, as a guard against forged requests.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A Vault or OpenBao server.
#[derive(Debug, Clone)]
pub struct Vault {
    http: Client,
    endpoint: Endpoint,
    namespace: Option<HeaderValue>,
}

/// What the server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultHealth {
    /// Its version.
    pub version: Option<String>,
    /// Its clock.
    pub server_time: Option<SystemTime>,
}

impl Vault {
    /// A server at this endpoint; its token is sent as `X-Vault-Token`. Plain `http` to another machine has to be
    /// allowed: whoever can alter the answers decides who is trusted.
    pub fn new(http: Client, endpoint: Endpoint) -> Result<Vault, BadEndpoint> {
        Ok(Vault {
            http,
            endpoint: endpoint.protected()?,
            namespace: None,
        })
    }

    /// Asks within this namespace.
    pub fn namespace(self, namespace: &str) -> Result<Vault, BadEndpoint> {
        let value = HeaderValue::from_str(namespace).map_err(|_| BadEndpoint {
            url: namespace.escape_debug().to_string(),
            problem: "not a namespace",
        })?;
        Ok(Vault {
            namespace: Some(value),
            ..self
        })
    }

    /// The keys of a place, with the time they were asked for, which is `now`: `GET /v1/MOUNT/keys/NAME` of a transit
    /// engine, or `GET /v1/MOUNT/data/PATH` of a KV store.
    pub async fn keys(
        &self,
        place: &VaultKeys,
        now: SystemTime,
    ) -> Result<FetchedKeys, FetchError> {
        let source = place.to_string();
        match place {
            VaultKeys::Transit { mount, name } => {
                let reply = self.get([mount, "keys", name]).await?;
                vault_answer::transit_keys(&reply.body, &source, now)
                    .map_err(|error| reply.unexpected(error))
            }
            VaultKeys::Kv { mount, path, field } => {
                let parts = [mount, "data"].into_iter().chain(path.split('/'));
                let reply = self.get(parts).await?;
                vault_answer::kv_keys(&reply.body, &source, field, now)
                    .map_err(|error| reply.unexpected(error))
            }
        }
    }

    /// What the token may still do: `lookup-self`.
    pub async fn token(&self) -> Result<TokenState, FetchError> {
        let reply = self.get(["auth", "token", "lookup-self"]).await?;
        vault_answer::token(&reply.body).map_err(|error| reply.unexpected(error))
    }

    /// Renews the token: `renew-self`. Without an increment the server decides for how long.
    pub async fn renew(&self, increment: Option<Duration>) -> Result<TokenState, FetchError> {
        let body = match increment {
            Some(increment) => json!({ "increment": format!("{}s", increment.as_secs()) }),
            None => json!({}),
        };
        let reply = self
            .ask(Method::POST, ["auth", "token", "renew-self"], Some(&body))
            .await?;
        vault_answer::token(&reply.body).map_err(|error| reply.unexpected(error))
    }

    /// Has a message signed by the newest version of a transit key, for whoever signs: `vault:v<N>:<base64>`.
    ///
    /// RSA signs with PKCS #1 v1.5 then, whose signatures are taken here.
    pub async fn sign(
        &self,
        mount: &str,
        name: &str,
        message: &[u8],
    ) -> Result<String, FetchError> {
        let body = json!({ "input": STANDARD.encode(message), "signature_algorithm": "pkcs1v15" });
        let reply = self
            .ask(Method::POST, [mount, "sign", name], Some(&body))
            .await?;
        vault_answer::signature(&reply.body).map_err(|error| reply.unexpected(error))
    }

    /// Whether the server is there, unsealed and active. Everything else is an error with its status: 429 and 473
    /// standby, 472 recovery, 501 not initialised, 503 sealed.
    pub async fn health(&self) -> Result<VaultHealth, FetchError> {
        let reply = self.get(["sys", "health"]).await?;
        let json: Value =
            serde_json::from_slice(&reply.body).map_err(|error| reply.unexpected(error))?;
        let seconds = json.get("server_time_utc").and_then(Value::as_u64);
        Ok(VaultHealth {
            version: json
                .get("version")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned),
            server_time: seconds.and_then(|seconds| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
            }),
        })
    }

    async fn get<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Result<Reply, FetchError> {
        self.ask(Method::GET, path, None).await
    }

    async fn ask<'a>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'a str>,
        body: Option<&Value>,
    ) -> Result<Reply, FetchError> {
        let mut headers = HeaderMap::from_iter([(REQUEST, HeaderValue::from_static("true"))]);
        headers.extend(
            self.namespace
                .clone()
                .map(|namespace| (NAMESPACE, namespace)),
        );
        let token = self.endpoint.secret().and_then(|secret| secret.header(""));
        headers.extend(token.map(|token| (TOKEN, token)));
        let question = Question {
            method,
            url: self.endpoint.url(["v1"].into_iter().chain(path)),
            headers,
            body: body.map(Value::to_string),
            time_limit: self.endpoint.time_limit(),
            max_bytes: MAX_BYTES,
            secret: self.endpoint.secret(),
        };
        question.ask(&self.http).await
    }
}
