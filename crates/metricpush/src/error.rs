//! Why a call failed, and what helps.

use std::time::Duration;

/// What went wrong, with the call it happened to.
///
/// The text is complete and on one line: it names method and URL and the innermost cause, so there is no
/// `source()` to print after it. It never holds the key, even where a server repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no usable connection: unknown name, refused, TLS failure, reset, answer cut off, no HTTP at all.
    #[error("{call}: {reason}")]
    #[non_exhaustive]
    Transport {
        /// Method and URL.
        call: String,
        /// The cause, as the layer that saw it words it.
        reason: String,
    },
    /// A time limit ran out.
    #[error("{call}: {}", limit.map_or_else(
        || "no connection in time".to_owned(),
        |limit| format!("no complete answer within {limit:?}"),
    ))]
    #[non_exhaustive]
    Timeout {
        /// Method and URL.
        call: String,
        /// The limit of the call, or `None` if that of the caller's HTTP client for a connection ran out first.
        limit: Option<Duration>,
    },
    /// The server answered, and the answer is not a success.
    #[error("{call}: {code} {message}")]
    #[non_exhaustive]
    Status {
        /// Method and URL.
        call: String,
        /// The status code.
        code: u16,
        /// `error` of a JSON body, else the text in short, else the status words; of a redirect, where it leads.
        message: String,
        /// How long the server asked to wait, at most a day.
        retry_after: Option<Duration>,
        /// Whether a web page came along.
        is_page: bool,
    },
    /// The server reports success, but not as the API does: a page or text of something else that answers
    /// everything. Nothing was stored.
    #[error("{call}: {code} {reason}")]
    #[non_exhaustive]
    NotTheApi {
        /// Method and URL.
        call: String,
        /// The status code.
        code: u16,
        /// What came instead.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything: no connection, time-out,
    /// 408, 429, 5xx.
    ///
    /// The sample may have been stored nevertheless: an answer can be lost on its way.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Transport { .. } | Error::Timeout { .. } => true,
            Error::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Error::NotTheApi { .. } => false,
        }
    }

    /// 401 and 403: the key is wrong, was rotated, or its machine was disabled or deleted. The server does not
    /// say which.
    pub fn is_refused_key(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Whether something other than the API seems to answer at this URL: a redirect, 404, 405, 410, success with a
    /// text or a page, a refusal with a page.
    ///
    /// A page counts neither with 401, 403, 408, 413 and 429 nor with 5xx: proxies in front of a good URL send
    /// those.
    pub fn is_wrong_url(&self) -> bool {
        match self {
            Error::NotTheApi { .. } => true,
            Error::Status { code, is_page, .. } => match code {
                300..=399 | 404 | 405 | 410 => true,
                401 | 403 | 408 | 413 | 429 => false,
                400..=499 => *is_page,
                _ => false,
            },
            Error::Transport { .. } | Error::Timeout { .. } => false,
        }
    }

    /// Whether the server understood where this belongs and refuses this body for good: 400, 413, 415, 422.
    /// A queue should drop it, or all behind it wait for ever.
    pub fn is_refused_body(&self) -> bool {
        matches!(self.status(), Some(400 | 413 | 415 | 422)) && !self.is_wrong_url()
    }

    /// The status code, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status { code, .. } | Error::NotTheApi { code, .. } => Some(*code),
            Error::Transport { .. } | Error::Timeout { .. } => None,
        }
    }

    /// How long the server asked to wait, at most a day. Add jitter: others were told the same.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
