//! In which form an asker wants the figures.

use hyper::header::{self, HeaderMap};

/// Whether the asker wants the page for Prometheus and not the JSON of a role.
pub(super) fn wants_prometheus(headers: &HeaderMap, query: Option<&str>) -> bool {
    let format = query
        .unwrap_or_default()
        .split('&')
        .find_map(|part| part.strip_prefix("format="));
    match format {
        Some("prometheus") => true,
        Some(_) => false,
        None => {
            accepts(headers, &["openmetrics-text", "text/plain"])
                && !accepts(headers, &["application/json"])
        }
    }
}

/// Whether one of these kinds is asked for.
pub(super) fn accepts(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| kinds.iter().any(|kind| value.contains(kind)))
}
