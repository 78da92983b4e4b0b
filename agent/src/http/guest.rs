//! What the manager of a guest's host asks: figures as JSON, and whether the agent is there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::answer::{Answer, error, json as answer, text};
use super::format::accepts;
use crate::loops::guest::{Reading, Sample};

/// How long an asker waits for the very first sample.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last sample; a failed reading is a failure here too, never zeros.
pub(super) async fn metrics(reading: &watch::Receiver<Reading>) -> Answer {
    let mut reading = reading.clone();
    let ready = tokio::time::timeout(PATIENCE, reading.wait_for(Option::is_some)).await;
    let sample = match ready {
        Ok(Ok(reading)) => reading.clone(),
        Ok(Err(_)) | Err(_) => None,
    };
    match sample {
        Some(Ok(sample)) => answer(StatusCode::OK, &figures(&sample)),
        Some(Err(why)) => error(StatusCode::INTERNAL_SERVER_ERROR, &why),
        None => error(StatusCode::SERVICE_UNAVAILABLE, "there is no sample yet"),
    }
}

pub(crate) fn figures(sample: &Sample) -> Value {
    let used = sample
        .memory_total_bytes
        .saturating_sub(sample.memory_available_bytes);
    json!({
        "cpu_usage_percent": rounded(sample.cpu_percent),
        "cpu_steal_percent": sample.steal_percent.map(rounded),
        "memory_usage_percent": rounded(percent(used, sample.memory_total_bytes)),
        "memory_used_kb": used / 1024,
        "memory_total_kb": sample.memory_total_bytes / 1024,
        "memory_available_kb": sample.memory_available_bytes / 1024,
        "uptime_seconds": sample.uptime.as_secs(),
        "load_average": sample.load_average,
        "process_count": sample.process_count,
    })
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64 * 100.0
}

fn rounded(percent: f64) -> f64 {
    (percent * 1000.0).round() / 1000.0
}

/// `OK`, or JSON for those who ask for it.
pub(super) fn health(headers: &HeaderMap) -> Answer {
    if !accepts(headers, &["application/json"]) {
        return text(StatusCode::OK, "OK");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let body = json!({
        "status": "healthy",
        "timestamp": now.unwrap_or_default().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    answer(StatusCode::OK, &body)
}
