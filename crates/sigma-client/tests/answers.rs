//! What each answer means: every captured one, and the odd ones that networks produce.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use byte_server::{Act, Server, answer, captured, captured_answer};
use serde_json::Value;
use sigma_client::{BodyKind, Call, Client, Error, Heartbeat, SystemInfo, Vps};

fn beat() -> Heartbeat {
    Heartbeat {
        hostname: "h".to_owned(),
        ip_addresses: Vec::new(),
        system_info: SystemInfo::default(),
    }
}

async fn heartbeat_answered(bytes: impl Into<Vec<u8>>) -> Result<Vps, Error> {
    Server::one(bytes).client().heartbeat(&beat()).await
}

async fn refusal(bytes: impl Into<Vec<u8>>) -> Error {
    heartbeat_answered(bytes).await.unwrap_err()
}

/// The predicates that hold, by letter: transient, unknown host, wrong URL, unauthorized, forbidden.
fn signs(error: &Error) -> String {
    let all = [
        (error.is_transient(), 't'),
        (error.is_unknown_host(), 'u'),
        (error.is_wrong_url(), 'w'),
        (error.is_unauthorized(), '4'),
        (error.is_forbidden(), 'f'),
    ];
    all.into_iter()
        .filter_map(|(holds, letter)| holds.then_some(letter))
        .collect()
}

/// What the contract says about the captured refusals.
fn expected_signs(case: &str, status: u64) -> &'static str {
    match (case, status) {
        ("route-404-unknown", 404) => "w",
        (_, 404) => "u",
        (_, 429 | 500..) => "t",
        (_, 401) => "4",
        (_, 403) => "f",
        _ => "",
    }
}

fn expected_message(response: &Value) -> &str {
    let words = match response["status"].as_u64().unwrap() {
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "no captured answer needs other words",
    };
    let said = response["body"]["error"]
        .as_str()
        .or(response["body"].as_str())
        .unwrap();
    if said.is_empty() { words } else { said }
}

#[tokio::test]
async fn every_captured_answer_is_understood_as_the_contract_says() {
    let (mut records, mut refusals) = (0, 0);
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")).unwrap() {
        let capture: Value =
            serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        let case = capture["case"].as_str().unwrap_or("wire");
        let response = &capture["response"];
        let status = response["status"].as_u64().unwrap();
        let server = Server::one(captured_answer(&capture));
        let path = capture["request"]["path"]
            .as_str()
            .unwrap()
            .strip_prefix("/api/")
            .unwrap();
        let result = server
            .client()
            .send(&Call::<Value>::post(path, &Value::Null))
            .await;
        if status == 200 {
            assert_eq!(result.unwrap().value, response["body"], "{case}");
            records += usize::from(record_reads_completely(&response["body"], case));
        } else {
            refusals += 1;
            let error = result.unwrap_err();
            assert_eq!(error.status().map(u64::from), Some(status), "{case}");
            assert_eq!(
                signs(&error),
                expected_signs(case, status),
                "{case}: {error}"
            );
            let Error::Status { message, .. } = &error else {
                panic!("{case}: {error:?}")
            };
            assert_eq!(message, expected_message(response), "{case}");
            let wait = (case == "rate-429").then_some(Duration::from_secs(59));
            assert_eq!(error.retry_after(), wait, "{case}");
        }
    }
    assert_eq!((records, refusals), (25, 44), "captures were added or lost");
}

fn record_reads_completely(body: &Value, case: &str) -> bool {
    if body.get("hostname").is_none() {
        return false;
    }
    let vps: Vps = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(vps.id, body["id"], "{case}");
    assert_eq!(vps.hostname, body["hostname"], "{case}");
    assert_eq!(vps.status.as_str(), body["status"], "{case}");
    assert_eq!(
        vps.ip_addresses.len(),
        body["ip_addresses"].as_array().unwrap().len(),
        "{case}"
    );
    assert!(vps.other.is_empty(), "{case}: {:?}", vps.other);
    true
}

#[tokio::test]
async fn a_reply_carries_the_servers_clock_and_the_rest_of_the_rate_limit() {
    let server = Server::one(captured_answer(&captured("wire-agent-heartbeat")));
    let reply = server
        .client()
        .send(&Call::heartbeat(&beat()))
        .await
        .unwrap();
    assert_eq!(reply.value.hostname, "e2e-host");
    assert_eq!(reply.rate_limit_remaining, Some(98));
    // date -d 'Fri, 20 Nov 2026 11:09:12 GMT' +%s
    assert_eq!(
        reply.date,
        Some(UNIX_EPOCH + Duration::from_secs(1_795_172_952))
    );
}

#[tokio::test]
async fn headers_that_are_missing_or_nonsense_are_none() {
    for headers in [
        &[][..],
        &["date: yesterday", "x-ratelimit-remaining: -1"][..],
    ] {
        let body = r#"{"id":"i","hostname":"h","status":"active"}"#;
        let server = Server::one(answer("200 OK", headers, body));
        let reply = server
            .client()
            .send(&Call::heartbeat(&beat()))
            .await
            .unwrap();
        assert_eq!((reply.date, reply.rate_limit_remaining), (None, None));
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_as_date_and_not_at_all() {
    let clock = "date: Fri, 20 Nov 2026 11:00:00 GMT";
    let table: [(&str, &[&str], Option<u64>); 11] = [
        ("429 x", &["retry-after: 7"], Some(7)),
        ("429 x", &["retry-after:  7 "], Some(7)),
        (
            "429 x",
            &[clock, "retry-after: Fri, 20 Nov 2026 11:02:03 GMT"],
            Some(123),
        ),
        (
            "429 x",
            &[clock, "retry-after: Fri, 20 Nov 2026 10:00:00 GMT"],
            Some(0),
        ),
        (
            "429 x",
            &["retry-after: Sat, 21 Nov 2099 11:02:03 GMT"],
            Some(86_400),
        ),
        (
            "429 x",
            &["retry-after: 18446744073709551615"],
            Some(86_400),
        ),
        ("429 x", &["retry-after: soon"], Some(60)),
        ("429 x", &["retry-after: -5"], Some(60)),
        ("429 x", &[], Some(60)),
        ("503 x", &["retry-after: 120"], Some(120)),
        ("503 x", &[], None),
    ];
    for (status, headers, wanted) in table {
        let error = refusal(answer(status, headers, "")).await;
        assert_eq!(
            error.retry_after(),
            wanted.map(Duration::from_secs),
            "{status} {headers:?}"
        );
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn foreign_answers_are_told_from_the_apis_own() {
    let html = "content-type: text/html";
    let table = [
        ("404 x", "", "404 page not found", "w", "404 page not found"),
        (
            "404 x",
            html,
            "<html>no such site</html>",
            "w",
            "<html>no such site</html>",
        ),
        (
            "404 x",
            "",
            r#"{"message":"no Route matched"}"#,
            "w",
            r#"{"message":"no Route matched"}"#,
        ),
        (
            "400 x",
            html,
            "<h1>plain HTTP sent to HTTPS port</h1>",
            "w",
            "<h1>plain HTTP sent to HTTPS port</h1>",
        ),
        (
            "405 x",
            "",
            "<!DOCTYPE html><title>405</title>",
            "w",
            "<!DOCTYPE html><title>405</title>",
        ),
        ("401 x", html, "<html>", "4", "<html>"),
        ("403 x", html, "<html>", "f", "<html>"),
        ("408 x", html, "<html>", "t", "<html>"),
        ("413 x", html, "<html>", "", "<html>"),
        (
            "502 x",
            html,
            "<html>bad gateway</html>",
            "t",
            "<html>bad gateway</html>",
        ),
        (
            "500 x",
            "",
            r#"{"error":"Database error"}"#,
            "t",
            "Database error",
        ),
        ("503 x", "", "", "t", "Service Unavailable"),
        ("599 x", "", "", "t", "unknown status"),
        (
            "400 x",
            "",
            "two\r\n\tlines \u{1b}[31mred",
            "",
            "two lines [31mred",
        ),
        ("400 x", "", r#"{"error":"a\nb\u0007"}"#, "", "a b"),
        ("400 x", "", r#"{"error":""}"#, "", "Bad Request"),
        ("400 x", "", r#"{"error":5}"#, "", r#"{"error":5}"#),
    ];
    for (status, header, body, wanted_signs, wanted_message) in table {
        let headers = [header];
        let headers = if header.is_empty() {
            &[][..]
        } else {
            &headers[..]
        };
        let error = refusal(answer(status, headers, body)).await;
        assert_eq!(signs(&error), wanted_signs, "{status} {body}");
        let Error::Status { message, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(message, wanted_message);
    }
}

#[tokio::test]
async fn a_long_refusal_is_cut_and_an_endless_one_is_not_read() {
    let error = refusal(answer("400 x", &[], &"ä".repeat(100_000))).await;
    let Error::Status {
        message, code: 400, ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(message, format!("{}…", "ä".repeat(200)));
}

#[tokio::test]
async fn a_refusal_that_is_cut_off_still_counts() {
    let error = refusal(answer(
        "503 x",
        &["content-length: 100", "retry-after: 9"],
        "overl",
    ))
    .await;
    assert_eq!(
        (error.status(), error.retry_after()),
        (Some(503), Some(Duration::from_secs(9)))
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_names_its_target() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", trap.local_addr().unwrap());
    for status in ["301 x", "302 x", "303 x", "307 x", "308 x"] {
        let location = format!("location: {target}/login?token=secret");
        let error = refusal(answer(status, &[&location], "")).await;
        assert_eq!(signs(&error), "w");
        assert!(
            error
                .to_string()
                .contains(&format!("redirects to {target}, which is not followed")),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"));
    }
    let relative = refusal(answer("302 x", &["location: /login"], "")).await;
    assert!(
        relative
            .to_string()
            .contains("redirects to http://127.0.0.1:"),
        "{relative}"
    );
    let nowhere = refusal(answer("302 x", &[], "")).await;
    assert!(
        nowhere.is_wrong_url() && nowhere.to_string().ends_with("302 Found"),
        "{nowhere}"
    );
    trap.set_nonblocking(true).unwrap();
    assert_eq!(
        trap.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn a_success_that_is_not_the_apis_answer_says_what_it_is() {
    let table = [
        (
            "200 x",
            "content-type: text/html",
            "<p>Welcome to the hotel",
            BodyKind::Html,
            "a web page came instead of JSON",
        ),
        (
            "200 x",
            "x: y",
            "\n<HTML>",
            BodyKind::Html,
            "a web page came instead of JSON",
        ),
        (
            "200 x",
            "x: y",
            "ok",
            BodyKind::Other,
            "unexpected answer: expected value",
        ),
        ("200 x", "x: y", "", BodyKind::Empty, "200 without a body"),
        ("204 x", "x: y", "", BodyKind::Empty, "204 without a body"),
        (
            "200 x",
            "x: y",
            r#"{"id":"a"}"#,
            BodyKind::Other,
            "unexpected answer: a record without `hostname`",
        ),
        (
            "200 x",
            "x: y",
            r#"[1]"#,
            BodyKind::Other,
            "unexpected answer: invalid type: sequence",
        ),
        (
            "200 x",
            "x: y",
            r#"{"id":"a","hostname":"b"} x"#,
            BodyKind::Other,
            "unexpected answer: ",
        ),
    ];
    for (status, header, sent, kind, words) in table {
        let error = refusal(answer(status, &[header], sent)).await;
        assert!(!error.is_transient());
        assert_eq!(error.is_wrong_url(), kind == BodyKind::Html);
        let Error::Decode {
            call, reason, body, ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert!(call.starts_with("POST http://127.0.0.1:"), "{call}");
        assert_eq!(body, kind);
        assert!(reason.starts_with(words), "{reason}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_with_or_without_a_length() {
    let body = "x".repeat(3000);
    let chunked =
        format!("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nbb8\r\n{body}\r\n0\r\n\r\n");
    for bytes in [answer("200 x", &[], &body), chunked.into_bytes()] {
        let server = Server::one(bytes);
        let client = Client::builder(&server.url())
            .max_response_bytes(2999)
            .build()
            .unwrap();
        let error = client.heartbeat(&beat()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the answer is longer than 2999 bytes"),
            "{error}"
        );
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn answers_that_never_come_or_stop_half_way_are_transient() {
    let cut_in_body = answer("200 x", &["content-length: 500"], r#"{"id":"#);
    let cut_in_head = b"HTTP/1.1 200 OK\r\ncontent-".to_vec();
    for bytes in [cut_in_body, cut_in_head, Vec::new()] {
        let error = refusal(bytes).await;
        assert!(matches!(error, Error::Transport { .. }), "{error:?}");
        assert_eq!(signs(&error), "t", "{error}");
    }
}

#[tokio::test]
async fn garbage_instead_of_http_is_an_error() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\u{0}\u{1}\u{2}\u{3}\r\n\r\n",
    ] {
        assert!(matches!(refusal(bytes).await, Error::Transport { .. }));
    }
}

#[tokio::test]
async fn silence_slow_headers_and_a_slow_body_run_into_the_time_limit() {
    let silent = Vec::new();
    let slow_head = b"HTTP/1.1 200 OK\r\nconte".to_vec();
    let slow_body = answer("200 x", &["content-length: 50"], r#"{"id""#);
    for bytes in [silent, slow_head, slow_body] {
        let server = Server::start(vec![vec![Act::SayAndHold(bytes)]]);
        let client = Client::builder(&server.url())
            .timeout(Duration::from_millis(200))
            .build()
            .unwrap();
        let error = client.heartbeat(&beat()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Timeout {
                    connecting: false,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(signs(&error), "t");
        assert!(
            error
                .to_string()
                .ends_with(": no complete answer within 200ms"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Client::builder(&format!("http://{closed}/api"))
        .build()
        .unwrap();
    let error = client.heartbeat(&beat()).await.unwrap_err();
    assert_eq!(signs(&error), "t");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("POST http://{closed}/api/agent/heartbeat: ")),
        "{text}"
    );
    assert!(text.contains("Connection refused"), "{text}");
}

#[tokio::test]
async fn a_peer_that_takes_the_connection_but_never_speaks_tls_or_http_is_a_time_out() {
    // The kernel completes the handshake for a listener that never accepts.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::builder(&url)
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let error = client.heartbeat(&beat()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                connecting: false,
                ..
            }
        ),
        "{error:?}"
    );
}
