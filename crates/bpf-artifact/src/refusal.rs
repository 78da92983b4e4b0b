//! Why an artifact is not trusted.

use std::time::{Duration, SystemTime};

use crate::seconds::Date;
use crate::signature::BadSignatureText;
use crate::{Digest, ManifestError};

/// Why an artifact is not trusted. It was neither unpacked nor looked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody is trusted: there is no key.
    #[error("no key is configured, so nobody's signature counts")]
    NoKeys,
    /// The fetched keys are too old to rely on, and there are no others.
    #[error("the keys are of {}, older than {} allow: is their server away?", Date(*fetched_at), humantime::format_duration(*max_age))]
    KeysTooOld {
        /// When the newest were fetched.
        fetched_at: SystemTime,
        /// What the ring allows.
        max_age: Duration,
    },
    /// The policy asks for a signed manifest, and none came along.
    #[error("it has no signed manifest, which the policy asks for")]
    NoManifest,
    /// There is no signature, or an empty one.
    #[error("it has no signature")]
    NoSignature,
    /// The signature cannot be read.
    #[error("its signature is {0}")]
    MalformedSignature(#[from] BadSignatureText),
    /// The signature says it is by a key that is not in the ring: never known, or revoked.
    #[error("it says it is signed by {0}, which is not among the trusted keys")]
    UnknownKey(String),
    /// No trusted key made this signature over these bytes.
    #[error(
        "its signature fits none of the {tried} keys tried: altered, or signed by somebody else"
    )]
    BadSignature {
        /// How many keys were tried.
        tried: usize,
    },
    /// The manifest is signed, but makes no sense.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is about another archive.
    #[error("the archive is {found}, its manifest is about {signed}")]
    OtherArchive {
        /// The archive that came.
        found: Digest,
        /// The archive that was signed.
        signed: Digest,
    },
    /// The manifest is for other hosts.
    #[error("it is for other hosts than {host}")]
    OtherHost {
        /// This host.
        host: String,
    },
    /// It was signed in the future, so one of the clocks is wrong.
    #[error("it counts from {} on, and here it is {}", Date(*issued_at), Date(*now))]
    NotYetValid {
        /// When it was signed.
        issued_at: SystemTime,
        /// When it was looked at.
        now: SystemTime,
    },
    /// Its time is over.
    #[error("it ended at {}", Date(*not_after))]
    Expired {
        /// When it ended.
        not_after: SystemTime,
    },
    /// A newer issue of the same name was seen here before.
    #[error("it is issue {serial} of {name:?}, and issue {seen} was here before")]
    Replayed {
        /// The name.
        name: String,
        /// The serial that came.
        serial: u64,
        /// The highest serial that was seen.
        seen: u64,
    },
}

impl Refusal {
    /// One word for events, labels of metrics and tests. It does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NoKeys => "no_keys",
            Refusal::KeysTooOld { .. } => "keys_too_old",
            Refusal::NoManifest => "no_manifest",
            Refusal::NoSignature => "no_signature",
            Refusal::MalformedSignature(_) => "malformed_signature",
            Refusal::UnknownKey(_) => "unknown_key",
            Refusal::BadSignature { .. } => "bad_signature",
            Refusal::Manifest(_) => "bad_manifest",
            Refusal::OtherArchive { .. } => "other_archive",
            Refusal::OtherHost { .. } => "other_host",
            Refusal::NotYetValid { .. } => "not_yet_valid",
            Refusal::Expired { .. } => "expired",
            Refusal::Replayed { .. } => "replayed",
        }
    }

    /// Whether the same artifact may be taken later without anybody signing anew: a matter of keys or clocks.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Refusal::NoKeys
                | Refusal::KeysTooOld { .. }
                | Refusal::UnknownKey(_)
                | Refusal::NotYetValid { .. }
        )
    }
}
