//! Why a call brought nothing, and whether another try can help.

use std::time::Duration;

use crate::Digest;

/// Why a call brought nothing. The text names method and URL, and never a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There was no usable connection, or it broke.
    #[error("{call}: {reason}")]
    Transport {
        /// Method and URL.
        call: String,
        /// The cause, as the layer that saw it words it.
        reason: String,
    },
    /// The time limit ran out.
    #[error("{call}: no complete answer within {limit:?}")]
    Timeout {
        /// Method and URL.
        call: String,
        /// The limit.
        limit: Duration,
    },
    /// The server answered, but not with a success.
    #[error("{call}: {code} {message}")]
    Status {
        /// Method and URL.
        call: String,
        /// The status code.
        code: u16,
        /// What the server said; of a redirect, where it leads.
        message: String,
        /// How long the server asked to wait, at most a day.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than is allowed.
    #[error("{call}: the answer is longer than {limit} bytes")]
    TooLarge {
        /// Method and URL.
        call: String,
        /// The limit.
        limit: u64,
    },
    /// The server reports success with something else than an answer to this call.
    #[error("{call}: {reason}")]
    Answer {
        /// Method and URL.
        call: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The archive is not the one that was listed.
    #[error("{call}: the archive is {found}, listed was {listed}")]
    Checksum {
        /// Method and URL.
        call: String,
        /// What was listed.
        listed: Digest,
        /// What came.
        found: Digest,
    },
}

impl FetchError {
    /// Whether the same call may succeed later without anybody changing anything: no connection, time-out, 408,
    /// 429, 472, 473 (Vault in standby), 5xx (Vault sealed among them); and an archive that was exchanged while it
    /// was listed.
    pub fn is_transient(&self) -> bool {
        match self {
            FetchError::Transport { .. }
            | FetchError::Timeout { .. }
            | FetchError::Checksum { .. } => true,
            FetchError::Status { code, .. } => matches!(code, 408 | 429 | 472 | 473 | 500..=599),
            FetchError::TooLarge { .. } | FetchError::Answer { .. } => false,
        }
    }

    /// Whether the token is missing, expired or not allowed to do this.
    pub fn is_denied(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// The status code, if the server answered with an error.
    pub fn status(&self) -> Option<u16> {
        match self {
            FetchError::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// How long the server asked to wait. Add jitter: others were told the same.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            FetchError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
