//! What runs, what does not and why, and what was rolled back, in the bodies of the aegis contract.

use std::time::Duration;

use bpf_lifecycle::Now;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::Routes;
use super::answer::{Answer, json as answer};
use crate::clock::rfc3339;
use crate::programs::{Desk, Failed, Running, View, data, rollback, time};

/// The routes that are there wherever programs are run.
pub(super) const PATHS: [&str; 4] = ["/programs", "/readyz", "/rollbacks", "/telemetry"];

/// Answers one of [`PATHS`].
pub(super) fn page(path: &str, routes: &Routes, desk: &Desk) -> Answer {
    match path {
        "/readyz" => ready(routes, desk),
        "/rollbacks" => rollbacks(desk),
        "/telemetry" => telemetry(desk),
        _ => programs(desk),
    }
}

/// `GET /healthz`: 503 when programs cannot be run, or what is to outlive a reboot cannot be written. A registry that is away is no
/// reason: whoever restarts this agent for it would unload what runs.
pub(super) fn health(routes: &Routes, desk: &Desk) -> Answer {
    let view = desk.view();
    let (code, status) = match (view.problems.is_empty(), view.running.len()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
        (true, 0) => (StatusCode::OK, "healthy"),
        (true, _) => (StatusCode::OK, "running"),
    };
    let mut body = head(desk);
    put(
        &mut body,
        json!({
            "status": status,
            "uptime": go(routes.shared.started.elapsed()),
            "version": env!("CARGO_PKG_VERSION"),
            "loaded_programs": view.running.len(),
            "signature_policy": desk.settings().policy.name(),
            "registry_answers": desk.registry_answers(),
            "problems": view.problems,
        }),
    );
    answer(code, &body.into())
}

/// `GET /readyz`: 503 until it is known what should run, from the registry or from the cache.
fn ready(routes: &Routes, desk: &Desk) -> Answer {
    let view = desk.view();
    if view.problems.is_empty() && view.assigned.is_none() {
        let mut body = head(desk);
        put(&mut body, json!({ "status": "waiting for the registry" }));
        return answer(StatusCode::SERVICE_UNAVAILABLE, &body.into());
    }
    health(routes, desk)
}

/// `GET /status` in this role.
pub(super) fn status(routes: &Routes, desk: &Desk, loops: &[Value]) -> Answer {
    let mut body = head(desk);
    put(
        &mut body,
        json!({
            "uptime": go(routes.shared.started.elapsed()),
            "version": env!("CARGO_PKG_VERSION"),
        }),
    );
    put(&mut body, about(desk));
    if let Some(sandbox) = routes.shared.sandbox() {
        put(&mut body, json!({ "sandbox": sandbox.as_json() }));
    }
    put(&mut body, json!({ "loops": loops }));
    answer(StatusCode::OK, &body.into())
}

/// What the status page of every role says of programs.
pub(super) fn about(desk: &Desk) -> Value {
    let view = desk.view();
    let settings = desk.settings();
    let applied: Vec<Value> = view
        .running
        .iter()
        .map(|running| applied(desk, &view, running))
        .chain(view.failed.iter().map(|failed| unapplied(desk, failed)))
        .collect();
    json!({
        "applied_artifacts": applied,
        "total_programs": applied.len(),
        "signature_policy": settings.policy.name(),
        "trusted_keys": view.keys,
        "key_sources": view.key_sources.iter().map(|source| json!({
            "source": source.name,
            "keys": source.keys,
            "fetched_at": source.fetched_at.map(rfc3339),
        })).collect::<Vec<_>>(),
        "registry": { "url": settings.registry.url, "answers": desk.registry_answers(), "assigned": view.assigned },
        "statistics": view.running.iter().find_map(|running| running.numbers.statistics),
        "persistence": view.persistence,
        "problems": view.problems,
        "recovered": view.recovered,
        "kinds": view.kinds.iter().map(|(kind, verdict, reason)| json!({ "kind": kind, "verdict": verdict, "reason": reason })).collect::<Vec<_>>(),
        "held": view.held.iter().map(|(id, why)| json!({ "artifact_id": id, "why": why })).collect::<Vec<_>>(),
        "quarantined": view.quarantined.iter().map(|barred| json!({
            "digest": barred.digest,
            "reason": barred.reason,
            "seconds_left": barred.seconds_left,
            "count": barred.count,
        })).collect::<Vec<_>>(),
        "nats": desk.nats().map(|nats| json!({
            "connected": nats.connected,
            "published": nats.published,
            "waiting": nats.waiting,
            "dropped": nats.dropped,
            "requests": nats.requests,
            "bad_requests": nats.bad_requests,
            "denied": nats.denied,
            "last_error": nats.last_error,
        })),
        "outbox": { "waiting": desk.outbox().len(), "dropped": desk.outbox().dropped() },
    })
}

/// `GET /metrics` in this role, for those who do not ask for the page of Prometheus.
pub(super) fn metrics(routes: &Routes, desk: &Desk) -> Answer {
    let view = desk.view();
    let numbers = || view.running.iter().map(|running| &running.numbers);
    let cpu: Vec<f64> = numbers()
        .filter_map(|numbers| numbers.cpu_percent)
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "there are few programs")]
    let average = (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64);
    let mut body = head(desk);
    put(
        &mut body,
        json!({
            "counters": {
                "total_programs": view.running.len() + view.failed.len(),
                "running_programs": view.running.len(),
                "failed_programs": view.failed.len(),
                "rolled_back_programs": view.counts.rollbacks,
            },
            "gauges": {
                "uptime_seconds": routes.shared.started.elapsed().as_secs_f64(),
                "average_cpu_percent": average,
                "total_memory_kb": sum(numbers().map(crate::programs::Numbers::memory_kb)),
                "total_violations": sum(numbers().map(|numbers| numbers.violations)),
                "total_errors": sum(numbers().map(|numbers| numbers.errors)),
            },
        }),
    );
    answer(StatusCode::OK, &body.into())
}

/// `GET /version` in this role.
pub(super) fn version(routes: &Routes, desk: &Desk, mut more: Map<String, Value>) -> Answer {
    more.extend(head(desk));
    put(
        &mut more,
        json!({ "uptime": go(routes.shared.started.elapsed()) }),
    );
    answer(StatusCode::OK, &more.into())
}

fn programs(desk: &Desk) -> Answer {
    let view = desk.view();
    let running = view.running.iter().map(|running| {
        let mut body = applied(desk, &view, running);
        if let Some(body) = body.as_object_mut() {
            put(
                body,
                json!({
                    "ttl": go(Duration::from_secs(running.ttl_seconds)),
                    "parameters": running.parameters,
                }),
            );
        }
        body
    });
    let all: Vec<Value> = running
        .chain(view.failed.iter().map(|failed| unapplied(desk, failed)))
        .collect();
    let mut body = head(desk);
    put(&mut body, json!({ "total": all.len(), "programs": all }));
    answer(StatusCode::OK, &body.into())
}

fn rollbacks(desk: &Desk) -> Answer {
    let view = desk.view();
    let host = desk.settings().host_id.as_str();
    let all: Vec<Value> = view
        .history
        .iter()
        .map(|event| rollback(host, event))
        .collect();
    let mut body = head(desk);
    put(&mut body, json!({ "total": all.len(), "rollbacks": all }));
    answer(StatusCode::OK, &body.into())
}

fn telemetry(desk: &Desk) -> Answer {
    let view = desk.view();
    let now = present(&view);
    let all: Map<String, Value> = view
        .running
        .iter()
        .map(|running| (running.id.clone(), figures(desk, running, now)))
        .collect();
    let mut body = head(desk);
    put(&mut body, json!({ "total": all.len(), "telemetry": all }));
    answer(StatusCode::OK, &body.into())
}

/// The ten fields, and where the figures are from.
fn figures(desk: &Desk, running: &Running, now: i64) -> Value {
    let host = desk.settings().host_id.as_str();
    let numbers = &running.numbers;
    let mut fields = data((host, &running.id, now), "running", numbers);
    put(
        &mut fields,
        json!({
            "statistics": numbers.statistics,
            "source": numbers.source.as_deref().unwrap_or("none"),
            "counters": numbers.named,
            "runs": numbers.runs,
            "events": running.told.map(|told| json!({
                "violations": told.violations,
                "errors": told.errors,
                "not_passed_on": told.dropped,
                "malformed": told.malformed,
            })),
        }),
    );
    fields.into()
}

fn applied(desk: &Desk, view: &View, running: &Running) -> Value {
    let left = view
        .now()
        .map_or(0, |now: Now| running.deadline.seconds_left(&now));
    json!({
        "artifact_id": running.id,
        "name": running.name,
        "version": running.version,
        "status": "running",
        "loaded_at": time(running.loaded_wall),
        "ttl_remaining": go(Duration::from_secs(left)),
        "ttl_seconds": left,
        "telemetry": figures(desk, running, present(view)),
        "digest": running.digest,
        "serial": running.serial,
        "trust": running.trust,
        "signed_by": running.signed_by,
        "persists": running.persists,
        "links": running.links,
        "kernel_programs": running.numbers.programs,
    })
}

fn unapplied(desk: &Desk, failed: &Failed) -> Value {
    let host = desk.settings().host_id.as_str();
    let numbers = Default::default();
    let mut fields = data((host, &failed.id, failed.at), "failed", &numbers);
    if let Some(words) = &failed.verifier {
        fields.insert("verifier_msg".to_owned(), words.as_str().into());
    }
    json!({
        "artifact_id": failed.id,
        "name": failed.name,
        "version": failed.version,
        "status": "failed",
        "loaded_at": null,
        "ttl": null,
        "ttl_remaining": null,
        "ttl_seconds": 0,
        "parameters": null,
        "error": failed.error,
        "code": failed.code,
        "telemetry": fields,
    })
}

fn head(desk: &Desk) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert(
        "host_id".to_owned(),
        desk.settings().host_id.as_str().into(),
    );
    let now = std::time::SystemTime::now();
    body.insert("timestamp".to_owned(), rfc3339(now).into());
    body
}

fn put(body: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        body.extend(more);
    }
}

fn present(view: &View) -> i64 {
    view.now().map_or(0, |now| now.wall_seconds)
}

/// The sum of what is known; nothing where nothing is.
fn sum(figures: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    let known: Vec<u64> = figures.flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// A duration as Go writes it, in whole seconds: `2h15m30s`.
fn go(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        // From `time.Duration.String`.
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (2730, "45m30s"),
            (3600, "1h0m0s"),
            (8130, "2h15m30s"),
            (90_000, "25h0m0s"),
        ] {
            assert_eq!(go(Duration::from_secs(seconds)), text);
        }
    }
}
