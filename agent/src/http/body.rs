//! Reads the body of a request, within the limits of the server.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode, header};

use super::answer::{Answer, error, text};
use super::connection::Connection;
use super::server::MAX_BODY;

/// How long a body may take in all.
const TIME: Duration = Duration::from_secs(10);

/// The whole body; it may say that it is JSON or say nothing of its type.
pub(super) async fn read(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let says = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    if let Some(other) = says.filter(|says| !is_json(says)) {
        return Err(text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the body must be application/json, not {other:.60}"),
        ));
    }
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let limit = usize::try_from(MAX_BODY).unwrap_or(usize::MAX);
    let whole = Limited::new(request.into_body(), limit).collect();
    let body = tokio::time::timeout(TIME, whole).await;
    if let Some(connection) = connection {
        connection.has_all();
    }
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request's body is longer than 64 KiB",
        )),
        Ok(Err(_)) | Err(_) => Err(error(
            StatusCode::REQUEST_TIMEOUT,
            "the body was cut off, or took longer than 10 s",
        )),
    }
}

/// Also what `curl -d` sends unasked: the contract's own example runs into a refusal otherwise.
fn is_json(says: &str) -> bool {
    let kind = says.split(';').next().unwrap_or_default().trim();
    kind == "application/json"
        || kind.ends_with("+json")
        || kind == "application/x-www-form-urlencoded"
        || kind.is_empty()
}
