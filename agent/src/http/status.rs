//! `GET /status`: the agent's own state, every loop included.

use hyper::StatusCode;
use periodic::{Health, Moment, State};
use serde_json::{Value, json};

use super::Routes;
use super::answer::{Answer, json as answer};
use crate::clock::rfc3339;

pub(super) fn status(routes: &Routes) -> Answer {
    let settings = routes.settings.borrow().clone();
    let shared = &routes.shared;
    let record = shared.record();
    let reported = shared.reported();
    let loops: Vec<Value> = routes.board.snapshot().iter().map(one_loop).collect();
    let body = json!({
        "agent": {
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_seconds": shared.started.elapsed().as_secs(),
        },
        "host": {
            "hostname": reported.as_ref().map(|reported| &reported.hostname),
            "addresses": reported.as_ref().map(|reported| &reported.addresses),
            "public_ip": reported.as_ref().and_then(|reported| reported.public_ip),
        },
        "api": {
            "url": settings.api.url,
            "registered": record.is_some(),
            "id": record.as_ref().map(|record| &record.id),
            "hostname": record.as_ref().map(|record| &record.hostname),
            "status": record.as_ref().map(|record| record.status.as_str()),
        },
        "loops": loops,
    });
    answer(StatusCode::OK, &body)
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
