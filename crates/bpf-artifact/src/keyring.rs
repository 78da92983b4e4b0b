//! The keys that are trusted now: pinned ones, and fetched ones that age.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::signature::Signature;
use crate::{Algorithm, Digest, KeyError, PublicKey, Refusal};

/// The keys of one place, such as one key of Vault's transit engine with its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedKeys {
    /// Where they are from, as it is to stand in logs: `transit/bpf-signing`.
    pub source: String,
    /// When they were asked for.
    pub fetched_at: SystemTime,
    /// The keys by version. Versions that the server no longer lists are revoked.
    pub versions: BTreeMap<u32, PublicKey>,
    /// Keys without a version of their own.
    pub unversioned: Vec<PublicKey>,
}

/// Which key signed something. It is what to keep with a running program, to ask [`KeyRing::trusts`] later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SignedBy {
    /// `pinned`, or the [`FetchedKeys::source`].
    pub source: String,
    /// The version of the key, where it has one.
    pub version: Option<u32>,
    /// The key itself.
    pub fingerprint: Digest,
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SignedBy {
            source,
            version,
            fingerprint,
        } = self;
        let id: String = fingerprint.to_string().chars().take(16).collect();
        match version {
            Some(version) => write!(f, "{source} v{version} ({id})"),
            None => write!(f, "{source} ({id})"),
        }
    }
}

/// All keys that are trusted.
///
/// Pinned keys count for as long as they are in the ring. Fetched keys count until they are older than the
/// maximum age, so that a Vault that is away for an hour stops nothing, and one that is away for ever does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    pinned: Vec<PublicKey>,
    fetched: Vec<FetchedKeys>,
    max_age: Duration,
}

/// The source that pinned keys are named by.
const PINNED: &str = "pinned";

/// A key of the ring, with where it is from.
struct Known<'a> {
    source: &'a str,
    version: Option<u32>,
    /// When it was fetched; pinned keys never were.
    fetched_at: Option<SystemTime>,
    key: &'a PublicKey,
}

impl Known<'_> {
    fn signed_by(&self) -> SignedBy {
        SignedBy {
            source: self.source.to_owned(),
            version: self.version,
            fingerprint: self.key.fingerprint(),
        }
    }
}

impl KeyRing {
    /// An empty ring, which trusts nothing. Fetched keys will count for `max_age`.
    pub fn new(max_age: Duration) -> KeyRing {
        KeyRing {
            pinned: Vec::new(),
            fetched: Vec::new(),
            max_age,
        }
    }

    /// A ring of pinned keys alone.
    pub fn pinned(keys: Vec<PublicKey>) -> KeyRing {
        KeyRing {
            pinned: keys,
            ..KeyRing::new(Duration::ZERO)
        }
    }

    /// Adds a pinned key.
    pub fn pin(&mut self, key: PublicKey) {
        self.pinned.push(key);
    }

    /// Takes in what was fetched, in place of what was known from the same source.
    pub fn replace(&mut self, keys: FetchedKeys) {
        self.fetched.retain(|known| known.source != keys.source);
        self.fetched.push(keys);
    }

    /// What was fetched, of any age.
    pub fn fetched(&self) -> &[FetchedKeys] {
        &self.fetched
    }

    /// How many keys count now.
    pub fn count(&self, now: SystemTime) -> usize {
        self.trusted(now).count()
    }

    /// Whether what was signed by this key may go on running.
    ///
    /// False once the key was revoked (its version is no longer listed, or it is no longer pinned). The age of
    /// the ring does not matter here: a Vault that is away stops no running program.
    pub fn trusts(&self, signed_by: &SignedBy) -> bool {
        self.all().any(|known| known.signed_by() == *signed_by)
    }

    /// Who of the ring made this signature over this message.
    pub(crate) fn signer(
        &self,
        signature: &Signature,
        message: &[u8],
        now: SystemTime,
    ) -> Result<SignedBy, Refusal> {
        if self.count(now) == 0 {
            let newest = self.all().filter_map(|known| known.fetched_at).max();
            return Err(
                newest.map_or(Refusal::NoKeys, |fetched_at| Refusal::KeysTooOld {
                    fetched_at,
                    max_age: self.max_age,
                }),
            );
        }
        let mut tried = 0_usize;
        let keys = self.trusted(now);
        for known in keys.filter(|known| signature.may_be_by(known.key, known.version)) {
            if signature.is_by(known.key, message) {
                return Ok(known.signed_by());
            }
            tried += 1;
        }
        match tried {
            0 => Err(Refusal::UnknownKey(signature.by.to_string())),
            tried => Err(Refusal::BadSignature { tried }),
        }
    }

    fn trusted(&self, now: SystemTime) -> impl Iterator<Item = Known<'_>> {
        self.all().filter(move |known| {
            known
                .fetched_at
                // A fetch in the future is as far off as one in the past: one of the two clocks was wrong.
                .is_none_or(|fetched_at| distance(fetched_at, now) <= self.max_age)
        })
    }

    fn all(&self) -> impl Iterator<Item = Known<'_>> {
        let pinned = self.pinned.iter().map(|key| Known {
            source: PINNED,
            version: None,
            fetched_at: None,
            key,
        });
        pinned.chain(self.fetched.iter().flat_map(FetchedKeys::known))
    }
}

impl FetchedKeys {
    fn all(&self) -> impl Iterator<Item = (Option<u32>, &PublicKey)> {
        let versions = self.versions.iter();
        let versions = versions.map(|(version, key)| (Some(*version), key));
        versions.chain(self.unversioned.iter().map(|key| (None, key)))
    }

    fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.all().map(|(version, key)| Known {
            source: &self.source,
            version,
            fetched_at: Some(self.fetched_at),
            key,
        })
    }

    /// As JSON, to be kept for a start while the server is away. It has to lie where only the agent writes.
    pub fn to_json(&self) -> String {
        // A clock before 1970 makes them as old as can be.
        let since_1970 = self.fetched_at.duration_since(SystemTime::UNIX_EPOCH);
        let stored = StoredKeys {
            source: self.source.clone(),
            fetched_at_unix: since_1970.unwrap_or_default().as_secs(),
            keys: self.all().map(StoredKey::from).collect(),
        };
        serde_json::json!(stored).to_string()
    }

    /// Reads what [`FetchedKeys::to_json`] wrote.
    pub fn from_json(text: &[u8]) -> Result<FetchedKeys, KeyError> {
        let stored: StoredKeys = serde_json::from_slice(text)
            .map_err(|_| KeyError::Malformed("these are no stored keys"))?;
        let fetched_at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(stored.fetched_at_unix))
            .ok_or(KeyError::Malformed(
                "the time of the stored keys is out of range",
            ))?;
        let mut keys = FetchedKeys {
            source: stored.source,
            fetched_at,
            versions: BTreeMap::new(),
            unversioned: Vec::new(),
        };
        for stored in &stored.keys {
            match stored.version {
                Some(version) => drop(keys.versions.insert(version, stored.key()?)),
                None => keys.unversioned.push(stored.key()?),
            }
        }
        Ok(keys)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredKeys {
    source: String,
    fetched_at_unix: u64,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    version: Option<u32>,
    algorithm: String,
    key: String,
}

impl From<(Option<u32>, &PublicKey)> for StoredKey {
    fn from((version, key): (Option<u32>, &PublicKey)) -> StoredKey {
        StoredKey {
            version,
            algorithm: key.algorithm().to_string(),
            key: STANDARD.encode(key.bytes()),
        }
    }
}

impl StoredKey {
    fn key(&self) -> Result<PublicKey, KeyError> {
        let algorithm = Algorithm::from_name(&self.algorithm)
            .ok_or(KeyError::Malformed("a stored key is of no known kind"))?;
        let bytes = STANDARD
            .decode(&self.key)
            .map_err(|_| KeyError::Malformed("a stored key is not base64"))?;
        PublicKey::from_bytes(algorithm, bytes)
    }
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b)
        .unwrap_or_else(|earlier| earlier.duration())
}
