//! What others are told about programs, in the words of the contract.

use std::time::{Duration, UNIX_EPOCH};

use bpf_lifecycle::Event;
use serde_json::{Map, Value, json};

use super::figures::Numbers;
use super::outbox::{Message, Outbox, Subject};
use crate::clock::rfc3339;

/// Whom an event is about: a program, or the agent itself where the id is empty.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) host: &'a str,
    pub(super) artifact: &'a str,
    /// Seconds since 1970.
    pub(super) at: i64,
}

/// What a program does, in the ten fields that every event has. What nobody knows is null.
pub(crate) fn data(
    about: (&str, &str, i64),
    status: &str,
    numbers: &Numbers,
) -> Map<String, Value> {
    let (host, artifact, at) = about;
    let fields = json!({
        "artifact_id": artifact,
        "host_id": host,
        "timestamp": time(at),
        "status": status,
        "cpu_percent": numbers.cpu_percent,
        "memory_kb": numbers.memory_kb(),
        "packets_processed": numbers.packets,
        "violations": numbers.violations,
        "errors": numbers.errors,
        "latency_ms": numbers.latency_ms,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// `2026-01-05T08:00:00Z`.
pub(crate) fn time(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    rfc3339(UNIX_EPOCH + since)
}

/// The one who tells.
pub(super) struct Teller<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) about: About<'a>,
}

impl Teller<'_> {
    pub(super) fn loaded(&self, name: &str, version: &str) {
        let more = [("program_name", name), ("program_version", version)];
        let nothing_yet = Numbers {
            violations: Some(0),
            errors: Some(0),
            packets: Some(0),
            ..Numbers::default()
        };
        self.event("program_loaded", "running", &nothing_yet, &more, None);
    }

    pub(super) fn unloaded(&self, numbers: &Numbers, why: &str) {
        let more = [("reason", why)];
        self.event("program_unloaded", "unloaded", numbers, &more, None);
    }

    pub(super) fn error(&self, what: &str, code: &str, verifier: Option<&str>) {
        let numbers = Numbers {
            errors: Some(1),
            ..Numbers::default()
        };
        let more = [("error", what), ("code", code)];
        self.event("program_error", "failed", &numbers, &more, verifier);
    }

    pub(super) fn rolled_back(&self, event: &Event) {
        let figures = event.figures.clone().unwrap_or_default();
        let numbers = Numbers {
            cpu_percent: figures.cpu_percent,
            latency_ms: figures.latency_ms,
            memory_bytes: figures.memory_kb.map(|kb| kb.saturating_mul(1024)),
            violations: figures.violations,
            errors: figures.errors,
            ..Numbers::default()
        };
        let threshold = event.threshold.map_or("", |threshold| threshold.as_str());
        let mut more = vec![
            ("rollback_reason", event.reason.as_str()),
            ("threshold", threshold),
            ("value", event.value.as_deref().unwrap_or_default()),
        ];
        more.extend(event.remark.as_deref().map(|remark| ("remark", remark)));
        self.event("program_rolled_back", "rolled_back", &numbers, &more, None);
    }

    pub(super) fn violation(&self, numbers: &Numbers, more: &[(&str, &str)]) {
        self.event("program_violation", "running", numbers, more, None);
    }

    /// Figures, with their names at the top a second time, where the orchestrator of the original looks for them.
    pub(super) fn telemetry(&self, numbers: &Numbers) {
        let mut body = self.body("program_telemetry", "running", numbers, &[], None);
        let dropped = ["packets_dropped", "syscalls_blocked", "events_blocked"];
        let blocked = dropped.iter().find_map(|name| numbers.named.get(*name));
        let flat = json!({
            "host_id": self.about.host,
            "artifact_id": self.about.artifact,
            "agent_version": env!("CARGO_PKG_VERSION"),
            "last_update": time(self.about.at),
            "violations": numbers.violations,
            "errors": numbers.errors,
            "latency_ms": numbers.latency_ms,
            "packet_count": numbers.packets,
            "block_count": blocked.copied().or(numbers.violations),
        });
        if let (Some(body), Value::Object(flat)) = (body.as_object_mut(), flat) {
            body.extend(flat);
        }
        self.put(Subject::Telemetry, body, false);
    }

    pub(super) fn heartbeat(&self, loaded: usize) {
        let loaded = loaded.to_string();
        let more = [("loaded_programs", loaded.as_str())];
        let body = self.body(
            "agent_heartbeat",
            "healthy",
            &Numbers::default(),
            &more,
            None,
        );
        self.put(Subject::Telemetry, body, false);
    }

    pub(super) fn rollback(&self, event: &Event) {
        self.put(
            Subject::RollbackStatus,
            rollback(self.about.host, event),
            true,
        );
        if event.status == bpf_lifecycle::Status::Initiated && event.threshold.is_some() {
            self.put(Subject::Alerts, rollback(self.about.host, event), true);
        }
    }

    fn event(
        &self,
        kind: &str,
        status: &str,
        numbers: &Numbers,
        more: &[(&str, &str)],
        verifier: Option<&str>,
    ) {
        let body = self.body(kind, status, numbers, more, verifier);
        self.put(Subject::Telemetry, body, true);
    }

    fn body(
        &self,
        kind: &str,
        status: &str,
        numbers: &Numbers,
        more: &[(&str, &str)],
        verifier: Option<&str>,
    ) -> Value {
        let About { host, artifact, at } = self.about;
        let mut data = data((host, artifact, at), status, numbers);
        if let Some(words) = verifier {
            data.insert("verifier_msg".to_owned(), words.into());
        }
        let mut metadata = Map::new();
        metadata.insert("host_id".to_owned(), host.into());
        if artifact.is_empty() || kind == "program_telemetry" {
            metadata.insert("agent_version".to_owned(), env!("CARGO_PKG_VERSION").into());
        }
        if !artifact.is_empty() {
            metadata.insert("artifact_id".to_owned(), artifact.into());
        }
        for (name, value) in more {
            metadata.insert((*name).to_owned(), (*value).into());
        }
        json!({ "type": kind, "timestamp": time(at), "data": data, "metadata": metadata })
    }

    fn put(&self, subject: Subject, body: Value, keep: bool) {
        self.outbox.put(Message {
            subject,
            body,
            keep,
            id: self.outbox.id(self.about.host),
        });
    }
}

/// One thing that happened in a rollback; what is empty is left out.
pub(crate) fn rollback(host: &str, event: &Event) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("type", "rollback_status".into());
    put("artifact_id", event.artifact_id.as_str().into());
    put("host_id", host.into());
    put("reason", event.reason.as_str().into());
    put("timestamp", time(event.timestamp).into());
    put("status", event.status.as_str().into());
    if let Some(threshold) = event.threshold {
        put("threshold", threshold.as_str().into());
    }
    if let Some(value) = &event.value {
        put("value", value.as_str().into());
    }
    if let Some(error) = &event.error {
        put("error", error.as_str().into());
    }
    let mut metadata = Map::new();
    if let Some(digest) = &event.digest {
        metadata.insert("digest".to_owned(), digest.to_string().into());
    }
    for (name, text) in [("request_id", &event.request_id), ("remark", &event.remark)] {
        if let Some(text) = text {
            metadata.insert(name.to_owned(), text.as_str().into());
        }
    }
    if !metadata.is_empty() {
        put("metadata", metadata.into());
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_event_is_the_one_of_the_contract() {
        let outbox = Outbox::new(true);
        let about = About {
            host: "db-02",
            artifact: "a7",
            at: 1_767_600_000,
        };
        let teller = Teller {
            outbox: &outbox,
            about,
        };
        teller.loaded("egress_guard", "2.1.0");
        let body = outbox.first().body;
        // From the contract, but for what nobody knows of a program that has just begun.
        let wanted = json!({
            "type": "program_loaded", "timestamp": "2026-01-05T08:00:00Z",
            "data": {
                "artifact_id": "a7", "host_id": "db-02", "timestamp": "2026-01-05T08:00:00Z", "status": "running",
                "cpu_percent": null, "memory_kb": null, "packets_processed": 0, "violations": 0, "errors": 0,
                "latency_ms": null
            },
            "metadata": {
                "host_id": "db-02", "artifact_id": "a7", "program_name": "egress_guard", "program_version": "2.1.0"
            }
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn telemetry_has_the_flat_names_too_and_heartbeats_the_true_count() {
        let outbox = Outbox::new(true);
        let about = |artifact| About {
            host: "h",
            artifact,
            at: 0,
        };
        let numbers = Numbers {
            violations: Some(3),
            packets: Some(9),
            ..Numbers::default()
        };
        Teller {
            outbox: &outbox,
            about: about("a7"),
        }
        .telemetry(&numbers);
        let body = outbox.first().body;
        assert_eq!(
            (
                &body["violations"],
                &body["packet_count"],
                &body["block_count"]
            ),
            (&json!(3), &json!(9), &json!(3))
        );
        assert_eq!(body["data"]["packets_processed"], 9);
        assert_eq!(body["data"]["cpu_percent"], Value::Null);
        let outbox = Outbox::new(true);
        Teller {
            outbox: &outbox,
            about: about(""),
        }
        .heartbeat(2);
        let body = outbox.first().body;
        assert_eq!(body["metadata"]["loaded_programs"], "2");
        assert_eq!(body["metadata"].get("artifact_id"), None);
        assert_eq!(body["data"]["artifact_id"], "");
    }
}
