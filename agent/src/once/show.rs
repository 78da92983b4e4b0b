//! What is told, for people or as JSON.

use std::fmt::Write;
#[cfg(any(feature = "luna", feature = "sigma"))]
use std::time::Duration;

use serde_json::{Value, json};

use super::Told;
use crate::cli::Role;
use crate::table::printable;

/// A time between two requests.
#[cfg(any(feature = "luna", feature = "sigma"))]
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{time:?}"),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A body as it is sent, for those who show it.
#[cfg(any(feature = "luna", feature = "sigma"))]
pub(super) fn value(body: &str) -> Option<Value> {
    serde_json::from_str(body).ok()
}

pub(super) fn for_people(role: Role, told: &[Told]) -> String {
    let mut text = format!("role {}: ", role.as_str());
    text.push_str(match told.len() {
        0 => "nothing about this host would be told to anybody\n",
        _ => "with this configuration, this much of the host would be told; keys are left out\n",
    });
    for one in told {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{}\n  to    {}\n  when  {}\n",
            one.what, one.to, one.when
        );
        if let Some(body) = &one.body {
            for line in format!("{body:#}").lines() {
                let _ = writeln!(text, "  {}", printable(line));
            }
        }
    }
    if role == Role::Aegis {
        text.push_str("\nWhat is told of programs, to the registry and over NATS, is in docs/PROGRAMS.md and docs/NATS.md.\n");
    }
    text
}

pub(super) fn as_json(role: Role, told: &[Told]) -> String {
    let told: Vec<Value> = told
        .iter()
        .map(|one| json!({ "what": one.what, "to": one.to, "when": one.when, "body": one.body }))
        .collect();
    let body = json!({ "role": role.as_str(), "tells": told });
    format!("{body:#}\n")
}
