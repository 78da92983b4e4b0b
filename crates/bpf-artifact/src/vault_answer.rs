//! What Vault and OpenBao answer, read without any network.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{FetchedKeys, KeyError, PublicKey};

/// How many versions of a key are taken.
const MAX_VERSIONS: usize = 1024;

/// Why an answer gave nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultAnswerError {
    /// It is not what this call is answered with.
    #[error("unexpected answer: {0}")]
    Form(String),
    /// The key is of a kind that cannot sign programs.
    #[error("the key {source_name} {problem}")]
    Unsuitable {
        /// Which key.
        source_name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A public key in it cannot be used.
    #[error("the key {source_name}: {error}")]
    Key {
        /// Which key.
        source_name: String,
        /// Why.
        error: KeyError,
    },
}

/// What a token may still do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenState {
    /// How long it lives on; `None` if it does not end.
    pub ttl: Option<Duration>,
    /// Whether it can be renewed, if that was said.
    pub renewable: Option<bool>,
    /// What it may do.
    pub policies: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    auth: Option<Auth>,
}

#[derive(Deserialize)]
struct Auth {
    lease_duration: u64,
    renewable: Option<bool>,
    #[serde(default)]
    policies: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    ttl: u64,
    renewable: Option<bool>,
    policies: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TransitKey {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    min_decryption_version: u32,
    keys: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

/// Reads the answer to `GET /v1/transit/keys/NAME`: all versions from `min_decryption_version` on.
pub fn transit_keys(
    answer: &[u8],
    source: &str,
    fetched_at: SystemTime,
) -> Result<FetchedKeys, VaultAnswerError> {
    let key: TransitKey = data(answer)?;
    let unsuitable = |problem: String| VaultAnswerError::Unsuitable {
        source_name: source.to_owned(),
        problem,
    };
    match key.kind.as_str() {
        "ed25519" if key.derived => {
            return Err(unsuitable(
                "is derived: it has no public key of its own".to_owned(),
            ));
        }
        "ed25519" | "ecdsa-p256" | "rsa-2048" | "rsa-3072" | "rsa-4096" => {}
        kind => {
            let advice = "make one of type ed25519, ecdsa-p256 or rsa-3072";
            return Err(unsuitable(format!(
                "is of type {kind:.40}, whose signatures are not taken: {advice}"
            )));
        }
    }
    if key.keys.len() > MAX_VERSIONS {
        return Err(unsuitable(format!("has more than {MAX_VERSIONS} versions")));
    }
    let mut versions = BTreeMap::new();
    for (version, entry) in &key.keys {
        let version: u32 = version
            .parse()
            .map_err(|_| unsuitable("has a version that is no number".to_owned()))?;
        if version < key.min_decryption_version {
            continue;
        }
        let text = entry
            .get("public_key")
            .and_then(Value::as_str)
            .unwrap_or_default();
        versions.insert(version, public_key(text, source)?);
    }
    Ok(FetchedKeys {
        source: source.to_owned(),
        fetched_at,
        versions,
        unversioned: Vec::new(),
    })
}

/// Reads public keys from a field of a secret: the answer to `GET /v1/secret/data/PATH` (KV version 2).
pub fn kv_keys(
    answer: &[u8],
    source: &str,
    field: &str,
    fetched_at: SystemTime,
) -> Result<FetchedKeys, VaultAnswerError> {
    let mut secret: Map<String, Value> = data(answer)?;
    let unsuitable = |problem: String| VaultAnswerError::Unsuitable {
        source_name: source.to_owned(),
        problem,
    };
    let fields = match secret.remove("data") {
        Some(Value::Object(fields)) => fields,
        Some(Value::Null) => return Err(unsuitable("is deleted".to_owned())),
        _ => return Err(unsuitable("is not in a KV store of version 2".to_owned())),
    };
    let text = fields.get(field).and_then(Value::as_str);
    let text = text.ok_or_else(|| unsuitable(format!("has no text in its field {field:?}")))?;
    let unversioned = PublicKey::parse_all(text).map_err(|error| key_error(source, error))?;
    Ok(FetchedKeys {
        source: source.to_owned(),
        fetched_at,
        versions: BTreeMap::new(),
        unversioned,
    })
}

/// Reads the answer to `lookup-self` or to `renew-self`. The token in it is not kept.
pub fn token(answer: &[u8]) -> Result<TokenState, VaultAnswerError> {
    let envelope: Envelope<Token> = envelope(answer)?;
    let (seconds, renewable, policies) = match (envelope.auth, envelope.data) {
        (Some(auth), _) => (auth.lease_duration, auth.renewable, auth.policies),
        (None, Some(token)) => (token.ttl, token.renewable, token.policies),
        (None, None) => {
            return Err(VaultAnswerError::Form(
                "neither `auth` nor `data`".to_owned(),
            ));
        }
    };
    Ok(TokenState {
        ttl: (seconds > 0).then(|| Duration::from_secs(seconds)),
        renewable,
        policies: policies.unwrap_or_default(),
    })
}

/// Reads the answer to `POST /v1/transit/sign/NAME`: `vault:v<N>:<base64>`.
pub fn signature(answer: &[u8]) -> Result<String, VaultAnswerError> {
    data(answer).map(|signed: Signed| signed.signature)
}

/// What a refusal says, or the beginning of whatever it is.
#[cfg(feature = "http")]
pub(crate) fn errors(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    // A deleted secret of KV is answered like one that is there, with 404.
    if answer.pointer("/data/data").is_some_and(Value::is_null) {
        return Some("the secret is deleted".to_owned());
    }
    let errors = answer.get("errors")?.as_array()?;
    let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
    Some(errors.join("; "))
}

/// A public key of transit: base64 of 32 bytes for Ed25519, PEM for the others.
fn public_key(text: &str, source: &str) -> Result<PublicKey, VaultAnswerError> {
    PublicKey::parse(text).map_err(|error| key_error(source, error))
}

fn key_error(source: &str, error: KeyError) -> VaultAnswerError {
    VaultAnswerError::Key {
        source_name: source.to_owned(),
        error,
    }
}

fn data<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, VaultAnswerError> {
    let envelope: Envelope<T> = envelope(answer)?;
    envelope
        .data
        .ok_or_else(|| VaultAnswerError::Form("no `data` in it".to_owned()))
}

fn envelope<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<Envelope<T>, VaultAnswerError> {
    serde_json::from_slice(answer).map_err(|error| VaultAnswerError::Form(error.to_string()))
}
