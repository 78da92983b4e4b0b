//! Every way in which an API can answer, and what the agent makes of it.

use crate::parts::{Agent, Played, http, wait_for};

/// Starts an agent against a server that always answers `bytes`, and waits for the words it has for that.
fn check(bytes: Vec<u8>, words: &str) {
    let server = Played::start(move |_| Some(bytes.clone()));
    let mut agent = Agent::start(&server.url(), &["--api-key", "k"]);
    agent.heartbeat_fails(words);
    // While one is under way, no next try is planned.
    let next = wait_for("the plan for the next try", || {
        agent.task("heartbeat")["next_run_in_seconds"].as_f64()
    });
    assert!(next <= 10.0, "{next}");
    agent.signal("TERM");
    assert!(agent.end().success());
}

#[test]
fn refusals_are_said_in_words_that_tell_what_to_do() {
    let json = "content-type: application/json\r\n";
    check(http("401 Unauthorized", "", ""), "check --api-key-file");
    check(
        http(
            "403 Forbidden",
            json,
            r#"{"error":"Forbidden: Role 'readonly' is not allowed. Required: admin, operator, agent"}"#,
        ),
        "role may not do this",
    );
    check(http("404 Not Found", "", ""), "check --api-url");
    check(http("405 Method Not Allowed", "allow: GET\r\n", ""), "405");
    check(
        http(
            "400 Bad Request",
            json,
            r#"{"error":"Bad request: Invalid IP address: '1.2.3'"}"#,
        ),
        "Invalid IP address",
    );
    check(
        http(
            "422 Unprocessable Entity",
            "content-type: text/plain\r\n",
            "Failed to deserialize the JSON body: missing field `hostname`",
        ),
        "missing field",
    );
    check(
        http(
            "500 Internal Server Error",
            json,
            r#"{"error":"Database error"}"#,
        ),
        "Database error",
    );
    check(http("503 Service Unavailable", "", ""), "503");
}

#[test]
fn answers_that_are_not_the_apis_are_no_success() {
    check(
        http(
            "200 OK",
            "content-type: text/html\r\n",
            "<!DOCTYPE html><html>Sign in</html>",
        ),
        "check --api-url",
    );
    check(
        http("302 Found", "location: https://portal.example/\r\n", ""),
        "check --api-url",
    );
    check(
        http("200 OK", "content-type: application/json\r\n", "{\"id\":"),
        "EOF while parsing",
    );
    check(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":\"x\"".to_vec(), "end of file before message length reached");
    check(b"HELLO\r\n\r\n".to_vec(), "invalid HTTP version");
    check(Vec::new(), "closed before message completed");
}

#[test]
fn retry_after_is_honoured() {
    let server = Played::start(|_| {
        Some(http(
            "429 Too Many Requests",
            "retry-after: 1800\r\n",
            "Too Many Requests",
        ))
    });
    let agent = Agent::start(&server.url(), &[]);
    let task = agent.heartbeat_fails("429");
    assert!(
        task["next_run_in_seconds"].as_f64().unwrap() > 1700.0,
        "{task}"
    );
}

#[test]
fn a_silent_api_holds_up_neither_the_status_page_nor_the_end() {
    let server = Played::start(|_| None);
    let mut agent = Agent::start(&server.url(), &[]);
    wait_for("a request", || {
        server.requests.lock().unwrap().first().cloned()
    });
    assert_eq!(agent.task("heartbeat")["running"], true);
    agent.signal("TERM");
    assert!(agent.end().success());
}

#[test]
fn what_is_sent_is_what_the_contract_says() {
    let server = Played::start(|_| Some(http("503 Service Unavailable", "", "")));
    let _agent = Agent::start(
        &server.url(),
        &[
            "--api-key",
            "sk_sigma_0123456789abcdef0123456789abcdef01234567",
            "--public-ip",
            "192.0.2.2",
        ],
    );
    let request = wait_for("a request", || {
        server.requests.lock().unwrap().first().cloned()
    });
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /api/agent/register HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nx-api-key: sk_sigma_0123456789abcdef0123456789abcdef01234567"),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/json"),
        "{head}"
    );
    assert!(
        head.contains(concat!(
            "\r\nuser-agent: sigma-agent/",
            env!("CARGO_PKG_VERSION")
        )),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["hostname"], "e2e-host");
    assert_eq!(
        body["ip_addresses"][0],
        serde_json::json!({ "ip": "192.0.2.2", "label": "" })
    );
    assert_eq!(body["ssh_port"], 22);
    assert!(body["system_info"]["metrics_port"].is_u64());
}
