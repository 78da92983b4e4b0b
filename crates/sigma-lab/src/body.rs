//! A request's JSON body, with the API's limits and its words for what is wrong with one.

use std::fmt::Display;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use crate::answer::Refusal;

/// The longest body that is taken.
const LONGEST: usize = 2 * 1024 * 1024;
/// What is read of a body that is too long, so that a client which writes first and reads then
/// gets to see the 413.
const LONGEST_SKIPPED: usize = 2 * LONGEST;
/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body of that type.
pub(crate) async fn read_json<T, B>(headers: &HeaderMap, body: B) -> Result<T, Refusal>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    if !is_json(headers) {
        let why = "Expected request with `Content-Type: application/json`".to_owned();
        return Err(Refusal::Text(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    parse(&read_all(body).await?)
}

/// Reads a body, within the limits of size and time.
pub(crate) async fn read_all<B>(body: B) -> Result<Vec<u8>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let collected = tokio::time::timeout(PATIENCE, collect(body)).await;
    collected.unwrap_or_else(|_| {
        let why = format!("the request body took longer than {} s", PATIENCE.as_secs());
        Err(Refusal::Text(StatusCode::REQUEST_TIMEOUT, why))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let media_type = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

async fn collect<B>(mut body: B) -> Result<Vec<u8>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| unreadable(StatusCode::BAD_REQUEST, &e))?;
        let data = frame.into_data().unwrap_or_default();
        length += data.len();
        if length <= LONGEST {
            bytes.extend_from_slice(&data);
        } else if length > LONGEST_SKIPPED {
            break;
        }
    }
    if length > LONGEST {
        return Err(unreadable(
            StatusCode::PAYLOAD_TOO_LARGE,
            &"length limit exceeded",
        ));
    }
    Ok(bytes)
}

fn unreadable(status: StatusCode, why: &impl Display) -> Refusal {
    Refusal::Text(status, format!("Failed to buffer the request body: {why}"))
}

/// 400 for what is no JSON, 422 for JSON of another shape.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        if error.inner().is_data() {
            wrong_shape(&error)
        } else {
            no_json(&error)
        }
    })?;
    reader.end().map_err(|error| no_json(&error))?;
    Ok(value)
}

fn no_json(error: &impl Display) -> Refusal {
    let why = format!("Failed to parse the request body as JSON: {error}");
    Refusal::Text(StatusCode::BAD_REQUEST, why)
}

pub(crate) fn wrong_shape(error: &impl Display) -> Refusal {
    let why = format!("Failed to deserialize the JSON body into the target type: {error}");
    Refusal::Text(StatusCode::UNPROCESSABLE_ENTITY, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_content_types_are_known_by_their_subtype() {
        for (content_type, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(is_json(&headers), json, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
