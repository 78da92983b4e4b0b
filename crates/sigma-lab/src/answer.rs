//! The shapes of an answer: JSON, plain text or nothing, and the refusals with their words.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::key::Role;

/// An answer on its way out.
pub(crate) type Answer = Response<Full<Bytes>>;

/// 200 with JSON.
pub(crate) fn ok(value: &impl Serialize) -> Result<Answer, Refusal> {
    let body = serde_json::to_vec(value).map_err(|e| Refusal::Internal(e.to_string()))?;
    Ok(with_type(StatusCode::OK, "application/json", body))
}

/// A status and a plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text)
}

/// A status and nothing else.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// The value of a `Retry-After`, rounded up: who waits so long is let in.
pub(crate) fn retry_after(wait: Duration) -> HeaderValue {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).into()
}

pub(crate) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Why a request got no 200.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// 400, JSON.
    BadRequest(String),
    /// 400, JSON: a percentage of the LunaSentri endpoint that is none.
    OutOfRange(&'static str),
    /// 403, JSON.
    Forbidden {
        role: Role,
        required: &'static [Role],
    },
    /// 404, JSON: the record is unknown.
    NotFound,
    /// 405, empty, with `allow`.
    Method(&'static str),
    /// 502, JSON: the agent did not do as it was asked.
    BadGateway(String),
    /// 500, JSON.
    Database,
    /// 500, JSON.
    Internal(String),
    /// 400, 408, 413, 415 and 422 about the form of a request are plain text.
    Text(StatusCode, String),
}

impl Refusal {
    pub(crate) fn into_answer(self) -> Answer {
        let (status, error) = match self {
            Refusal::BadRequest(why) => (StatusCode::BAD_REQUEST, format!("Bad request: {why}")),
            Refusal::OutOfRange(field) => (
                StatusCode::BAD_REQUEST,
                format!("{field} must be between 0 and 100"),
            ),
            Refusal::Forbidden { role, required } => {
                (StatusCode::FORBIDDEN, forbidden(role, required))
            }
            Refusal::NotFound => (StatusCode::NOT_FOUND, "Not found".to_owned()),
            Refusal::BadGateway(why) => (StatusCode::BAD_GATEWAY, format!("Bad gateway: {why}")),
            Refusal::Database => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Database error".to_owned(),
            ),
            Refusal::Internal(why) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Internal error: {why}"),
            ),
            Refusal::Method(allow) => {
                let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(allow));
                return answer;
            }
            Refusal::Text(status, why) => return text(status, why),
        };
        with_type(
            status,
            "application/json",
            json!({ "error": error }).to_string(),
        )
    }
}

fn forbidden(role: Role, required: &[Role]) -> String {
    let required: Vec<_> = required.iter().map(|role| role.as_str()).collect();
    let (role, required) = (role.as_str(), required.join(", "));
    format!("Forbidden: Role '{role}' is not allowed. Required: {required}")
}

impl From<rusqlite::Error> for Refusal {
    fn from(_: rusqlite::Error) -> Refusal {
        Refusal::Database
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(error: getrandom::Error) -> Refusal {
        Refusal::Internal(error.to_string())
    }
}
