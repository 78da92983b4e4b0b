//! Answers: JSON and text, with the headers that every answer carries.

#[cfg(feature = "page")]
mod stream;

#[cfg(feature = "page")]
use http_body_util::Either;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

#[cfg(feature = "page")]
pub(crate) use stream::Stream;

/// What a handler gives back.
pub(crate) type Answer = Response<Payload>;

/// An answer's body: whole, or told bit by bit.
#[cfg(feature = "page")]
pub(crate) type Payload = Either<Full<Bytes>, stream::Stream>;

/// An answer's body.
#[cfg(not(feature = "page"))]
pub(crate) type Payload = Full<Bytes>;

/// A body that is known as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Payload {
    let bytes = Full::new(bytes.into());
    #[cfg(feature = "page")]
    let bytes = Either::Left(bytes);
    bytes
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Answer {
    with_type(status, "application/json", format!("{value}\n"))
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text)
}

/// A refusal in the form of every refusal here: `{"error":"…"}`.
pub(crate) fn error(status: StatusCode, why: &str) -> Answer {
    json(status, &json!({ "error": why }))
}

/// The refusal of a method, naming those that are allowed.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = error(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("only {allowed} here"),
    );
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(whole(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}
