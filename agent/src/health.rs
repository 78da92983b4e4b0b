//! `sigma-agent health`: whether the agent that runs here is well, in one line and an exit code.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask::{self, Reply};
use crate::cli::{HealthWanted, HostPlace, Http};
use crate::table::printable;

/// What there is to print, and whether the agent is well.
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) healthy: bool,
}

/// What was found.
struct Finding {
    healthy: bool,
    what: String,
    /// Where the agent answered.
    place: Option<SocketAddr>,
    status: Option<u16>,
    /// What is to be done.
    advice: Option<&'static str>,
}

/// Asks it.
pub(crate) fn run(wanted: &HealthWanted) -> Told {
    let start = Instant::now();
    let finding = match &wanted.http {
        Some(http) => ask_each(http, start + wanted.timeout),
        None => without_port(&wanted.place),
    };
    let took = start.elapsed();
    Told {
        healthy: finding.healthy,
        text: if wanted.json {
            as_json(&finding, took)
        } else {
            for_people(&finding)
        },
    }
}

/// The first agent that answers decides; a port that another program has does not.
fn ask_each(http: &Http, deadline: Instant) -> Finding {
    let mut last = None;
    for port in &http.ports {
        for way in ask::ways_to(http.address) {
            let place = SocketAddr::new(way, *port);
            match ask::get(place, "/healthz", deadline) {
                Ok(reply) => match judge(place, &reply) {
                    Some(finding) => return finding,
                    None => last = Some(stranger(place, &reply)),
                },
                Err(error) if last.is_none() => last = Some(silent(place, &error)),
                Err(_) => {}
            }
        }
    }
    last.unwrap_or_else(|| refused("no port to ask".to_owned(), "set --metrics-port"))
}

/// What an agent says of itself; `None`: these are not the words of an agent.
fn judge(place: SocketAddr, reply: &Reply) -> Option<Finding> {
    let body = reply.body.trim();
    let said: Option<Value> = serde_json::from_str(body).ok();
    let state = said.as_ref().and_then(|said| said.get("status")?.as_str());
    let state = match (reply.status, state) {
        (200, None) if body == "ok" => "ok",
        (200 | 503, Some(state)) => state,
        _ => return None,
    };
    let problems: Vec<&str> = said
        .as_ref()
        .and_then(|said| said.get("problems")?.as_array())
        .map(|problems| problems.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let problems = match problems.as_slice() {
        [] => String::new(),
        problems => format!(": {}", problems.join("; ")),
    };
    let healthy = reply.status == 200;
    Some(Finding {
        healthy,
        what: format!("the agent at {place} says {state}{problems}"),
        place: Some(place),
        status: Some(reply.status),
        advice: (!healthy).then_some("the `check` command says what to do; so does the log"),
    })
}

fn stranger(place: SocketAddr, reply: &Reply) -> Finding {
    Finding {
        status: Some(reply.status),
        ..refused(
            format!(
                "{place} is served by another program (status {})",
                reply.status
            ),
            "give --metrics-port as the agent has it, or see who has the port with `ss -ltnp`",
        )
    }
}

fn silent(place: SocketAddr, error: &std::io::Error) -> Finding {
    let advice = if error.kind() == std::io::ErrorKind::ConnectionRefused {
        "start the agent, or give --metrics-port and --metrics-address as it has them"
    } else {
        "if the agent runs, its log may say more; restart it when this lasts"
    };
    refused(format!("{place}: {}", ask::reason(error)), advice)
}

fn refused(what: String, advice: &'static str) -> Finding {
    Finding {
        healthy: false,
        what,
        place: None,
        status: None,
        advice: Some(advice),
    }
}

#[cfg(feature = "terminal")]
fn without_port(place: &HostPlace) -> Finding {
    let place = crate::place::Place::new(place);
    match crate::process::running_agent(place.proc()) {
        Some(id) => Finding {
            healthy: true,
            what: format!(
                "process {id} is an agent; it has no port, so whether it does its work is not known"
            ),
            place: None,
            status: None,
            advice: Some("set --metrics-port and --metrics-address 127.0.0.1 to know more"),
        },
        None => refused(
            "no agent runs here that could be seen, and none has a port to ask".to_owned(),
            "start it; if it has a port, give --metrics-port as it has it",
        ),
    }
}

#[cfg(not(feature = "terminal"))]
fn without_port(_: &HostPlace) -> Finding {
    refused(
        "the agent has no port to ask".to_owned(),
        "set --metrics-port",
    )
}

fn for_people(finding: &Finding) -> String {
    let verdict = if finding.healthy {
        "healthy"
    } else {
        "not healthy"
    };
    let advice = finding
        .advice
        .map_or_else(String::new, |advice| format!("; {advice}"));
    format!("{verdict}: {}{advice}\n", printable(&finding.what))
}

fn as_json(finding: &Finding, took: Duration) -> String {
    let body = json!({
        "healthy": finding.healthy,
        "what": finding.what,
        "advice": finding.advice,
        "address": finding.place.map(|place| place.to_string()),
        "status": finding.status,
        "seconds": took.as_secs_f64(),
    });
    format!("{body:#}\n")
}
