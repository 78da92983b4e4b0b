//! `GET /status`: the agent's own state, every loop included.

use hyper::StatusCode;
use periodic::{Health, Moment, State};
use serde_json::{Map, Value, json};

use super::Routes;
use super::answer::{Answer, json as answer};
use crate::clock::rfc3339;

pub(super) fn status(routes: &Routes) -> Answer {
    #[cfg(feature = "aegis")]
    if let Some(desk) = routes.aegis() {
        return super::programs::status(routes, desk, &loops(routes));
    }
    answer(StatusCode::OK, &common(routes).into())
}

/// What is told in every role but aegis, and on the live page in all of them.
pub(super) fn common(routes: &Routes) -> Map<String, Value> {
    let settings = routes.settings.borrow().clone();
    let mut body = Map::new();
    body.insert(
        "agent".to_owned(),
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "role": settings.role.as_str(),
            "pid": std::process::id(),
            "uptime_seconds": routes.shared.started.elapsed().as_secs(),
        }),
    );
    #[cfg(feature = "sigma")]
    if let Some(sigma) = &settings.sigma {
        about_sigma(&mut body, &sigma.api.url, &routes.shared.sigma);
    }
    #[cfg(feature = "luna")]
    if let (Some(push), Some(outbox)) = (&settings.push, &routes.outbox) {
        body.insert("push".to_owned(), about_push(push, &outbox.totals()));
    }
    #[cfg(feature = "aegis")]
    if let Some(desk) = &routes.desk {
        body.insert("programs".to_owned(), super::programs::about(desk));
    }
    #[cfg(feature = "sandbox")]
    if let Some(sandbox) = routes.shared.sandbox() {
        body.insert("sandbox".to_owned(), sandbox.as_json());
    }
    body.insert("loops".to_owned(), loops(routes).into());
    body
}

fn loops(routes: &Routes) -> Vec<Value> {
    routes.board.snapshot().iter().map(one_loop).collect()
}

#[cfg(feature = "sigma")]
fn about_sigma(body: &mut Map<String, Value>, url: &str, sigma: &crate::shared::Sigma) {
    let (record, reported) = (sigma.record(), sigma.reported());
    body.insert(
        "host".to_owned(),
        json!({
            "hostname": reported.as_ref().map(|reported| &reported.hostname),
            "addresses": reported.as_ref().map(|reported| &reported.addresses),
            "public_ip": reported.as_ref().and_then(|reported| reported.public_ip),
        }),
    );
    body.insert(
        "api".to_owned(),
        json!({
            "url": url,
            "registered": record.is_some(),
            "id": record.as_ref().map(|record| &record.id),
            "hostname": record.as_ref().map(|record| &record.hostname),
            "status": record.as_ref().map(|record| record.status.as_str()),
        }),
    );
}

#[cfg(feature = "luna")]
fn about_push(push: &crate::cli::Push, totals: &crate::push::Totals) -> Value {
    let backlog = &totals.backlog;
    json!({
        "server": push.server_url.as_str(),
        "interval_seconds": push.interval.as_secs_f64(),
        "sent": totals.sent,
        "backfilled": totals.backfilled,
        "refused": totals.refused,
        "backlog": {
            "samples": backlog.samples,
            "bytes": backlog.bytes,
            "on_disk": backlog.on_disk,
            "dropped": {
                "size": backlog.dropped.by_size,
                "age": backlog.dropped.by_age,
                "damage": backlog.dropped.by_damage,
                "memory": backlog.dropped_from_memory,
            },
        },
    })
}

fn one_loop(health: &Health) -> Value {
    let state = match health.state {
        State::Waiting => "waiting",
        State::Ok => "ok",
        State::Failing { .. } => "failing",
        State::Stopped => "stopped",
    };
    json!({
        "name": &*health.name,
        "state": state,
        "running": health.running,
        "last_success": health.last_success.map(moment),
        "last_error": health.last_error.as_ref().map(|error| json!({ "message": error.message, "at": moment(error.when) })),
        "consecutive_failures": health.consecutive_failures,
        "runs": health.runs,
        "failures": health.failures,
        "timeouts": health.timeouts,
        "last_duration_seconds": health.last_duration.map(|duration| duration.as_secs_f64()),
        "next_run_in_seconds": health.next_due_in.map(|wait| wait.as_secs_f64()),
    })
}

fn moment(moment: Moment) -> Value {
    json!({ "time": rfc3339(moment.wall), "seconds_ago": moment.age.as_secs() })
}
