//! The LunaSentri endpoint as its contract tells it: samples, keys, paths, and an outage.

use std::time::Duration;

use serde_json::{Value, json};
use sigma_lab::{Error, Lab, Options, Outage, Role};

use crate::server::{Api, Endpoint, Reply, Server};

/// The contract's own example of a sample.
const SAMPLE: &str = r#"{"hostname":"web-3","cpu_percent":12.5,"memory_percent":40.1,"disk_percent":63.0,"network_bytes_sent":9100,"network_bytes_recv":8200,"timestamp":"2026-03-01T07:00:10Z","cpu_pct":12.5,"mem_used_pct":40.1,"disk_used_pct":63.0,"net_tx_bytes":9100,"net_rx_bytes":8200,"uptime_s":86400}"#;

/// A lab with one machine, listening as LunaSentri.
struct Luna {
    lab: Lab,
    id: i64,
    key: String,
    endpoint: Endpoint,
}

impl Luna {
    fn start() -> Luna {
        let lab = Lab::in_memory().unwrap();
        let made = lab.create_machine("web").unwrap();
        Luna {
            endpoint: Endpoint::start(lab.clone(), Api::Luna),
            lab,
            id: made.id,
            key: made.key,
        }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.endpoint.send(method, path, headers, body.as_bytes())
    }

    fn push_as(&self, key: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {key}");
        self.call(
            "POST",
            "/agent/metrics",
            &[("authorization", &bearer)],
            body,
        )
    }

    fn push(&self, body: &str) -> Reply {
        self.push_as(&self.key, body)
    }

    fn machine(&self) -> sigma_lab::Machine {
        self.lab.machines().unwrap().swap_remove(0)
    }

    fn rows(&self) -> Vec<sigma_lab::MetricsRow> {
        self.lab.machine_metrics(self.id, 100).unwrap()
    }
}

fn told(reply: &Reply) -> (u16, &str) {
    (reply.status, &reply.body)
}

const NO_KEY: (u16, &str) = (401, "Unauthorized: API key required");
const WRONG_KEY: (u16, &str) = (401, "Unauthorized: invalid API key");

#[test]
fn a_sample_is_taken_with_an_empty_202_and_kept_as_of_its_arrival() {
    let luna = Luna::start();
    let new = luna.machine();
    assert_eq!(
        (new.name.as_str(), new.enabled, new.online),
        ("web", true, false)
    );
    assert_eq!((new.last_seen, new.latest), (None, None));

    let reply = luna.push(SAMPLE);
    assert_eq!(told(&reply), (202, ""));
    let rows = luna.rows();
    let [row] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(
        (row.cpu_pct, row.mem_used_pct, row.disk_used_pct),
        (12.5, 40.1, 63.0)
    );
    assert_eq!((row.net_rx_bytes, row.net_tx_bytes), (8200, 9100));
    assert_eq!(row.uptime_s, Some(86400.0));
    let seen = luna.machine();
    assert!(seen.online);
    assert_eq!(seen.last_seen.as_ref(), Some(&row.received_at));
    assert_eq!(seen.latest.as_ref(), Some(row));
    assert!(
        !row.received_at.starts_with("2026-03-01T07"),
        "the agent's own time was kept"
    );
    assert_eq!(seen.system_info.hostname, None);
}

#[test]
fn a_body_of_the_specification_alone_is_taken_and_kept_as_zeros() {
    let luna = Luna::start();
    let body = json!({"hostname": "h", "cpu_percent": 50.5, "memory_percent": 60, "disk_percent": 70,
        "network_bytes_sent": 1, "network_bytes_recv": 2, "timestamp": "2026-03-01T07:00:10Z"});
    for body in [&body.to_string(), "{}", "null", "{}trailing"] {
        assert_eq!(told(&luna.push(body)), (202, ""), "{body}");
        let row = &luna.rows()[0];
        assert_eq!(
            (row.cpu_pct, row.mem_used_pct, row.disk_used_pct),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(
            (row.net_rx_bytes, row.net_tx_bytes, row.uptime_s),
            (0, 0, None)
        );
    }
    assert_eq!(luna.rows().len(), 4);
}

#[test]
fn rows_are_listed_newest_first_and_as_many_as_asked_for() {
    let luna = Luna::start();
    for number in 0..5 {
        assert_eq!(
            luna.push(&format!(r#"{{"net_rx_bytes":{number}}}"#)).status,
            202
        );
    }
    let counters = |newest| -> Vec<i64> {
        let rows = luna.lab.machine_metrics(luna.id, newest).unwrap();
        rows.iter().map(|row| row.net_rx_bytes).collect()
    };
    assert_eq!(counters(3), [4, 3, 2]);
    assert_eq!(counters(100), [4, 3, 2, 1, 0]);
    assert!(counters(0).is_empty());
    assert_eq!(luna.lab.machine_metrics(luna.id + 1, 9).unwrap(), []);
}

#[test]
fn of_the_system_info_only_what_is_sent_is_overwritten() {
    let luna = Luna::start();
    luna.push(
        r#"{"system_info":{"hostname":"a","platform":"debian","platform_version":"13","kernel_version":"6.12",
            "cpu_cores":2,"memory_total_mb":1967,"disk_total_gb":49,"last_boot_time":"2026-03-01T07:00:10Z"}}"#,
    );
    let first = luna.machine().system_info;
    assert_eq!(
        (first.hostname.as_deref(), first.cpu_cores),
        (Some("a"), Some(2))
    );
    luna.push(SAMPLE);
    assert_eq!(luna.machine().system_info, first);
    luna.push(r#"{"system_info":{"hostname":"","cpu_cores":4,"platform":null}}"#);
    let later = luna.machine().system_info;
    assert_eq!(
        (later.hostname.as_deref(), later.cpu_cores),
        (Some(""), Some(4))
    );
    assert_eq!(
        (
            &later.platform,
            &later.kernel_version,
            later.memory_total_mb,
            later.disk_total_gb
        ),
        (&first.platform, &first.kernel_version, Some(1967), Some(49))
    );
    assert_eq!(
        later.last_boot_time.as_deref(),
        Some("2026-03-01T07:00:10Z")
    );
}

#[test]
fn refused_bodies_leave_no_trace() {
    let luna = Luna::start();
    let out = |field| format!(r#"{{"error":"{field} must be between 0 and 100"}}"#);
    for (body, why) in [
        ("", "Invalid request body"),
        ("[]", "Invalid request body"),
        (r#"{"cpu_pct":"12"}"#, "Invalid request body"),
        (r#"{"net_rx_bytes":1e3}"#, "Invalid request body"),
        (r#"{"timestamp":1772348410}"#, "Invalid request body"),
        (
            r#"{"system_info":{"cpu_cores":2.5}}"#,
            "Invalid request body",
        ),
        ("\u{1f}\u{8b}\u{8}\0", "Invalid request body"),
        (r#"{"cpu_pct":100.5}"#, &out("cpu_pct")),
        (r#"{"mem_used_pct":-1}"#, &out("mem_used_pct")),
        (
            r#"{"disk_used_pct":1000,"system_info":{"hostname":"x"}}"#,
            &out("disk_used_pct"),
        ),
    ] {
        let reply = luna.push(body);
        assert_eq!(told(&reply), (400, why), "{body}");
        let is_json = reply.header("content-type") == Some("application/json");
        assert_eq!(is_json, why.starts_with('{'), "{body}");
    }
    let machine = luna.machine();
    assert_eq!((machine.last_seen, machine.latest), (None, None));
    assert_eq!(machine.system_info, sigma_lab::SystemInfo::default());
}

#[test]
fn the_content_type_is_not_looked_at() {
    let luna = Luna::start();
    for content_type in ["text/plain", "application/json", "nonsense"] {
        let headers = [
            ("x-api-key", luna.key.as_str()),
            ("content-type", content_type),
        ];
        assert_eq!(
            luna.call("POST", "/agent/metrics", &headers, SAMPLE).status,
            202
        );
    }
}

#[test]
fn without_a_key_or_with_another_scheme_the_key_is_asked_for() {
    let luna = Luna::start();
    let key = &luna.key;
    for authorization in [
        format!("bearer {key}"),
        format!("Bearer  {key}"),
        format!("Basic {key}"),
        key.clone(),
        "Bearer".to_owned(),
    ] {
        let reply = luna.call(
            "POST",
            "/agent/metrics",
            &[("authorization", &authorization)],
            SAMPLE,
        );
        assert_eq!(told(&reply), NO_KEY, "{authorization}");
    }
    assert_eq!(
        told(&luna.call("POST", "/agent/metrics", &[], SAMPLE)),
        NO_KEY
    );
    assert_eq!(luna.machine().last_seen, None);
}

#[test]
fn the_key_of_one_header_is_not_made_good_by_the_other() {
    let luna = Luna::start();
    let right = format!("Bearer {}", luna.key);
    for (named, bearer, status) in [
        (luna.key.as_str(), "Bearer wrong", 202),
        ("wrong", right.as_str(), 401),
        (right.as_str(), right.as_str(), 401),
    ] {
        let headers = [("x-api-key", named), ("authorization", bearer)];
        let reply = luna.call("POST", "/agent/metrics", &headers, SAMPLE);
        assert_eq!(reply.status, status, "{headers:?}");
    }
}

#[test]
fn a_key_that_was_rotated_or_is_disabled_is_as_good_as_wrong() {
    let luna = Luna::start();
    assert_eq!(told(&luna.push_as("wrong", SAMPLE)), WRONG_KEY);
    let old_hash = luna.machine().api_key_hash;
    let new = luna.lab.rotate_machine_key(luna.id).unwrap();
    assert_eq!(told(&luna.push(SAMPLE)), WRONG_KEY);
    assert_eq!(luna.push_as(&new, SAMPLE).status, 202);
    assert_ne!(luna.machine().api_key_hash, old_hash);

    luna.lab.disable_machine(luna.id).unwrap();
    assert!(!luna.machine().enabled);
    assert_eq!(told(&luna.push_as(&new, SAMPLE)), WRONG_KEY);
    assert_eq!(told(&luna.push_as(&new, "no json")), WRONG_KEY);
    let newest = luna.lab.rotate_machine_key(luna.id).unwrap();
    assert_eq!(
        told(&luna.push_as(&newest, SAMPLE)),
        WRONG_KEY,
        "a new key enables nothing"
    );
    luna.lab.enable_machine(luna.id).unwrap();
    assert_eq!(luna.push_as(&newest, SAMPLE).status, 202);
    assert_eq!(luna.rows().len(), 2);
}

#[test]
fn machines_of_one_name_are_two_with_keys_of_their_own() {
    let luna = Luna::start();
    let other = luna.lab.create_machine("web").unwrap();
    assert_ne!(other.id, luna.id);
    assert_eq!(luna.push_as(&other.key, SAMPLE).status, 202);
    let seen: Vec<_> = luna.lab.machines().unwrap();
    assert_eq!(
        seen.iter()
            .map(|machine| machine.online)
            .collect::<Vec<_>>(),
        [false, true]
    );
    luna.lab.disable_machine(other.id).unwrap();
    assert_eq!(luna.push(SAMPLE).status, 202);
    assert!(
        luna.lab.machines().unwrap()[1].online,
        "disabled, but heard of just now"
    );
}

#[test]
fn a_machine_that_does_not_exist_is_an_error_with_its_number() {
    let lab = Lab::in_memory().unwrap();
    for outcome in [
        lab.rotate_machine_key(7).map(drop),
        lab.enable_machine(7),
        lab.disable_machine(7),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::UnknownMachine(7)));
        assert_eq!(
            error.to_string(),
            "find machine 7: there is none of that id"
        );
    }
}

#[test]
fn keys_of_the_sigma_api_are_none_here_and_machines_keys_none_there() {
    let server = Server::start(Options::default().require_keys(false).admin_key("boss"));
    let luna = Endpoint::start(server.lab.clone(), Api::Luna);
    let machine = server.lab.create_machine("m").unwrap();
    for key in [server.key(Role::Admin), "boss"] {
        let reply = luna.send("POST", "/agent/metrics", &[("x-api-key", key)], b"{}");
        assert_eq!(told(&reply), WRONG_KEY);
    }
    assert_eq!(
        told(&luna.send("POST", "/agent/metrics", &[], b"{}")),
        NO_KEY
    );
    let reply = server.send("GET", "/api/vps", &[("x-api-key", &machine.key)], b"");
    assert_eq!(reply.status, 401);
    assert_eq!(
        luna.send("GET", "/api/vps", &[], b"").body,
        "LunaSentri API - Coming Soon"
    );
    assert_eq!(
        server.send("POST", "/agent/metrics", &[], b"{}").status,
        404
    );
}

#[test]
fn other_methods_are_405_but_only_for_those_with_a_key() {
    let luna = Luna::start();
    let with_key = [("x-api-key", luna.key.as_str())];
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let reply = luna.call(method, "/agent/metrics", &with_key, "");
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
        assert_eq!(
            luna.call(method, "/agent/metrics", &[], "").status,
            401,
            "{method}"
        );
    }
}

#[test]
fn a_doubled_slash_is_moved_and_a_post_that_follows_as_get_is_a_405() {
    let luna = Luna::start();
    let headers = [("x-api-key", luna.key.as_str())];
    let reply = luna.call("POST", "//agent/metrics?a=b", &headers, SAMPLE);
    let moved = (reply.status, reply.header("location"));
    assert_eq!(moved, (301, Some("/agent/metrics?a=b")));
    assert_eq!(
        luna.call("GET", "/agent/metrics?a=b", &headers, "").status,
        405
    );
    assert_eq!(
        luna.call("POST", "/agent/metrics?a=b", &headers, SAMPLE)
            .status,
        202
    );
    assert_eq!(luna.rows().len(), 1);
    assert_eq!(
        luna.call("GET", "//example.org/..", &[], "")
            .header("location"),
        Some("/")
    );
}

#[test]
fn unknown_paths_are_200_and_record_nothing() {
    let luna = Luna::start();
    let headers = [("x-api-key", luna.key.as_str())];
    for path in [
        "/",
        "/agent/metrics/",
        "/api/agent/metrics",
        "/Agent/Metrics",
        "/healthz",
        "/machine",
    ] {
        let reply = luna.call("POST", path, &headers, SAMPLE);
        assert_eq!(
            told(&reply),
            (200, "LunaSentri API - Coming Soon"),
            "{path}"
        );
        assert!(
            reply
                .header("content-type")
                .unwrap()
                .starts_with("text/plain")
        );
    }
    assert_eq!(luna.rows(), []);
}

#[test]
fn health_needs_no_key() {
    let luna = Luna::start();
    let reply = luna.call("GET", "/health", &[], "");
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({"status": "healthy"}))
    );
    assert_eq!(reply.body, r#"{"status":"healthy"}"#);
    assert_eq!(told(&luna.call("HEAD", "/health", &[], "")), (200, ""));
}

#[test]
fn what_is_for_people_is_401_also_with_a_key() {
    let luna = Luna::start();
    let headers = [
        ("x-api-key", luna.key.as_str()),
        ("cookie", "lunasentri_session=x"),
    ];
    for (method, path) in [
        ("POST", "/agent/register"),
        ("GET", "/machines"),
        ("POST", "/machines/1/rotate-key"),
        ("GET", "/alerts/rules"),
        ("GET", "/metrics"),
        ("GET", "/ws"),
        ("GET", "/system/info"),
    ] {
        assert_eq!(
            luna.call(method, path, &headers, r#"{"name":"m"}"#).status,
            401,
            "{path}"
        );
    }
    assert_eq!(luna.lab.machines().unwrap().len(), 1);
}

#[test]
fn an_outage_answers_every_post_until_it_ends() {
    let luna = Luna::start();
    let wait = Duration::from_millis(6_500);
    for (outage, status, retry_after) in [
        (Outage::new(503).retry_after(wait), 503, Some("7")),
        (Outage::new(429).retry_after(Duration::ZERO), 429, Some("0")),
        (Outage::new(500), 500, None),
        (Outage::new(200), 200, None),
        (Outage::new(101), 503, None),
        (Outage::new(7), 503, None),
        (Outage::new(999), 503, None),
    ] {
        luna.lab.interrupt_luna(Some(outage));
        let reply = luna.push(SAMPLE);
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (status, retry_after)
        );
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(
            reply.body.contains(&format!("<h1>{status} ")),
            "{}",
            reply.body
        );
        assert_eq!(luna.push_as("wrong", "").status, status);
        assert_eq!(luna.call("POST", "/nowhere", &[], "").status, status);
        assert_eq!(luna.call("GET", "/health", &[], "").status, 200);
        assert_eq!(luna.call("GET", "/agent/metrics", &[], "").status, 401);
    }
    assert_eq!(luna.rows(), []);
    luna.lab.interrupt_luna(None);
    assert_eq!(luna.push(SAMPLE).status, 202);
}

#[test]
fn samples_that_arrive_at_once_are_all_kept() {
    let luna = Luna::start();
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| assert_eq!(luna.push(SAMPLE).status, 202));
        }
    });
    assert_eq!(luna.rows().len(), 30);
}

#[test]
fn odd_names_and_long_texts_come_back_as_they_were_sent() {
    let luna = Luna::start();
    for name in ["", "a\u{0}b", "it's \"", "сервер", &"x".repeat(1_000_000)] {
        let body = json!({"system_info": {"hostname": name, "platform": Value::Null}});
        assert_eq!(luna.push(&body.to_string()).status, 202);
        assert_eq!(luna.machine().system_info.hostname.as_deref(), Some(name));
    }
}
