//! Why a call brought no value, and whether another try can help.

use std::time::Duration;

/// What went wrong, with the call it happened to.
///
/// The text is complete: it names method and URL (which never holds a secret) and the innermost cause, so
/// there is no `source()` to print after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no usable connection: unknown name, refused, TLS failure, reset, answer cut off.
    #[error("{call}: {reason}")]
    #[non_exhaustive]
    Transport {
        /// Method and URL.
        call: String,
        /// The cause, as the layer that saw it words it.
        reason: String,
    },
    /// A time limit of the client ran out.
    #[error("{call}: {} within {limit:?}", if *.connecting { "no connection" } else { "no complete answer" })]
    #[non_exhaustive]
    Timeout {
        /// Method and URL.
        call: String,
        /// Whether the connection was still being made (name, TCP, TLS).
        connecting: bool,
        /// The limit that ran out.
        limit: Duration,
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
        /// How long the server asked to wait, at most a day; 60 s for a 429 that does not say.
        retry_after: Option<Duration>,
        /// What kind of body came along: it tells the API's own 404 from everybody else's.
        body: BodyKind,
    },
    /// The server reports success, but with something that is not the API's answer.
    #[error("{call}: {reason}")]
    #[non_exhaustive]
    Decode {
        /// Method and URL.
        call: String,
        /// What is wrong with the body.
        reason: String,
        /// What kind of body it is.
        body: BodyKind,
    },
}

/// What a body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyKind {
    /// No bytes, or blanks only.
    Empty,
    /// An object with a text `error`, as the API writes it.
    ApiError,
    /// A web page.
    Html,
    /// Anything else.
    Other,
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything: no connection, time-out,
    /// 408, 429, 5xx.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Transport { .. } | Error::Timeout { .. } => true,
            Error::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Error::Decode { .. } => false,
        }
    }

    /// Whether the API says that it knows no such host or id: 404 with a JSON error. After a heartbeat it
    /// means "register again".
    pub fn is_unknown_host(&self) -> bool {
        matches!(
            self,
            Error::Status {
                code: 404,
                body: BodyKind::ApiError,
                ..
            }
        )
    }

    /// Whether something other than the Sigma API seems to answer at this URL: a redirect, a 404 that is not
    /// the API's own, a web page.
    ///
    /// A web page counts neither with 401, 403, 408, 413 and 429 nor with 5xx: proxies in front of a good
    /// URL send those.
    pub fn is_wrong_url(&self) -> bool {
        match self {
            Error::Status {
                code: 300..=399, ..
            } => true,
            Error::Status {
                code: 404, body, ..
            } => *body != BodyKind::ApiError,
            Error::Status {
                code: 401 | 403 | 408 | 413 | 429,
                ..
            } => false,
            Error::Status {
                code: 400..=499,
                body,
                ..
            }
            | Error::Decode { body, .. } => *body == BodyKind::Html,
            _ => false,
        }
    }

    /// 401. No proof of a wrong key: the API answers it as well while its database is away.
    pub fn is_unauthorized(&self) -> bool {
        self.status() == Some(401)
    }

    /// 403: the key is known, its role is not allowed to do this.
    pub fn is_forbidden(&self) -> bool {
        self.status() == Some(403)
    }

    /// The status code, if the server answered with an error.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status { code, .. } => Some(*code),
            _ => None,
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
