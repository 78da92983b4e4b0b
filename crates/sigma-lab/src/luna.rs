//! The LunaSentri endpoint: path, key, method, body, in this order.

mod machines;
mod outage;
mod sample;
mod timestamp;

pub use machines::{Machine, MetricsRow, NewMachine};
pub use outage::Outage;
pub use sample::SystemInfo;

use std::fmt::Display;

use hyper::body::{Body, Bytes};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Uri};

use crate::answer::{self, Answer, Refusal};
use crate::body::read_all;
use crate::key::KeyHash;
use crate::lab::Lab;
use sample::Sample;

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn answer<B>(lab: &Lab, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (head, body) = request.into_parts();
    if head.method == Method::POST
        && let Some(away) = outage::answer(lab)
    {
        return away;
    }
    if let Some(moved) = to_clean_path(&head.uri) {
        return moved;
    }
    match head.uri.path() {
        "/agent/metrics" => push(lab, &head, body)
            .await
            .unwrap_or_else(Refusal::into_answer),
        "/health" => answer::with_type(
            StatusCode::OK,
            "application/json",
            r#"{"status":"healthy"}"#,
        ),
        path if is_for_people(path) => answer::text(StatusCode::UNAUTHORIZED, "Unauthorized"),
        _ => answer::text(StatusCode::OK, "LunaSentri API - Coming Soon"),
    }
}

/// What needs the cookie of somebody who logged in. Nobody can log in to the lab.
fn is_for_people(path: &str) -> bool {
    let exact = [
        "/agent/register",
        "/machines",
        "/metrics",
        "/system/info",
        "/ws",
    ];
    exact.contains(&path) || path.starts_with("/machines/") || path.starts_with("/alerts/")
}

/// The 301 of a path with doubled slashes or dots for segments.
fn to_clean_path(uri: &Uri) -> Option<Answer> {
    let path = uri.path();
    let clean = clean(path);
    if clean == path || !path.starts_with('/') {
        return None;
    }
    let target = match uri.query() {
        Some(query) => format!("{clean}?{query}"),
        None => clean,
    };
    let location = HeaderValue::try_from(target).ok()?;
    let mut moved = answer::empty(StatusCode::MOVED_PERMANENTLY);
    moved.headers_mut().insert(LOCATION, location);
    Some(moved)
}

/// `//a/./b/../c/` → `/a/c/`.
fn clean(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if path.ends_with('/') {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// Takes one sample of a machine.
async fn push<B>(lab: &Lab, head: &Parts, body: B) -> Result<Answer, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let store = lab.store();
    let key = sent_key(&head.headers).ok_or_else(|| unauthorized("API key required"))?;
    let machine = machines::enabled(store, &KeyHash::of(key))
        .map_err(not_recorded)?
        .ok_or_else(|| unauthorized("invalid API key"))?;
    if head.method != Method::POST {
        return Err(Refusal::Method("POST"));
    }
    let bytes = read_all(body).await.map_err(|refusal| match refusal {
        // A body that breaks off is no JSON either.
        Refusal::Text(StatusCode::BAD_REQUEST, _) => sample::invalid(),
        other => other,
    })?;
    let sample = Sample::read(&bytes)?;
    machines::record(store, machine, &sample).map_err(not_recorded)?;
    Ok(answer::empty(StatusCode::ACCEPTED))
}

/// The key of a request. `Authorization` counts only where there is no `X-API-Key`.
fn sent_key(headers: &HeaderMap) -> Option<&[u8]> {
    let named = headers.get("x-api-key").map(HeaderValue::as_bytes);
    if let Some(key) = named.filter(|key| !key.is_empty()) {
        return Some(key);
    }
    let bearer = headers.get(AUTHORIZATION)?.as_bytes();
    let key = bearer.strip_prefix(b"Bearer ")?;
    Some(key).filter(|key| !key.is_empty() && !key.contains(&b' '))
}

fn unauthorized(why: &str) -> Refusal {
    Refusal::Text(StatusCode::UNAUTHORIZED, format!("Unauthorized: {why}"))
}

fn not_recorded(_: rusqlite::Error) -> Refusal {
    let why = "Failed to record metrics".to_owned();
    Refusal::Text(StatusCode::INTERNAL_SERVER_ERROR, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from Go's `path.Clean`, with the last slash kept as its HTTP server keeps it.
    #[test]
    fn paths_are_cleaned_as_gos_server_does() {
        for (path, cleaned) in [
            ("/", "/"),
            ("//", "/"),
            ("/agent/metrics", "/agent/metrics"),
            ("/agent/metrics/", "/agent/metrics/"),
            ("//agent/metrics", "/agent/metrics"),
            ("/agent//metrics//", "/agent/metrics/"),
            ("/agent/./x/../metrics", "/agent/metrics"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/...", "/..."),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn a_key_is_taken_from_one_header_only_and_after_exactly_one_space() {
        let sent = |headers: &[(&'static str, &'static str)]| {
            let pairs = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            sent_key(&HeaderMap::from_iter(pairs)).map(<[u8]>::to_vec)
        };
        for (headers, key) in [
            (&[("authorization", "Bearer k=")][..], "k="),
            (&[("x-api-key", "a")], "a"),
            (&[("x-api-key", "a"), ("authorization", "Bearer b")], "a"),
            (&[("x-api-key", "Bearer a")], "Bearer a"),
            (&[("x-api-key", ""), ("authorization", "Bearer b")], "b"),
        ] {
            assert_eq!(
                sent(headers).as_deref(),
                Some(key.as_bytes()),
                "{headers:?}"
            );
        }
        for none in [
            "bearer k",
            "BEARER k",
            "Bearer",
            "Bearer ",
            "Bearer  k",
            "Bearer k k",
            "Bearer\tk",
            "Basic k",
            "k",
            "",
            "Token Bearer k",
        ] {
            assert_eq!(sent(&[("authorization", none)]), None, "{none:?}");
        }
        assert_eq!(sent(&[]), None);
    }
}
