//! What each answer means: every captured one of the real server, and the odd ones that networks produce.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use byte_server::{Act, KEY, Server, answer, client, http, key};
use metricpush::{Accepted, Client, Error, Health, ServerUrl};

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn captured(name: &str) -> Vec<u8> {
    std::fs::read(captures().join(format!("{name}.http"))).unwrap()
}

async fn push_to(server: &Server) -> Result<Accepted, Error> {
    server.client().push(&key(), "{}".to_owned()).await
}

async fn answered(bytes: impl Into<Vec<u8>>) -> Result<Accepted, Error> {
    push_to(&Server::one(bytes)).await
}

async fn refused(bytes: impl Into<Vec<u8>>) -> Error {
    answered(bytes).await.unwrap_err()
}

async fn health_of(bytes: impl Into<Vec<u8>>) -> Result<Health, Error> {
    Server::one(bytes).client().health().await
}

/// The predicates that hold, by letter: transient, refused key, wrong URL, refused body.
fn signs(error: &Error) -> String {
    let all = [
        (error.is_transient(), 't'),
        (error.is_refused_key(), 'k'),
        (error.is_wrong_url(), 'w'),
        (error.is_refused_body(), 'b'),
    ];
    let holding = all.into_iter().filter(|(holds, _)| *holds);
    holding.map(|(_, letter)| letter).collect()
}

/// The part of an error's text behind method and URL.
fn words(error: &Error) -> String {
    let text = error.to_string();
    let (call, words) = text.split_once(": ").unwrap();
    assert!(call.starts_with("POST http://127.0.0.1:"), "{text}");
    assert!(call.ends_with("/agent/metrics"), "{text}");
    words.to_owned()
}

#[tokio::test]
async fn every_captured_refusal_is_understood_as_the_server_means_it() {
    let unauthorized = "401 Unauthorized: invalid API key";
    let table = [
        ("bad-body-400", "b", "400 Invalid request body"),
        (
            "out-of-range-400",
            "b",
            "400 cpu_pct must be between 0 and 100",
        ),
        ("no-key-401", "k", "401 Unauthorized: API key required"),
        ("wrong-key-401", "k", unauthorized),
        ("disabled-401", "k", unauthorized),
        ("get-405", "w", "405 Method not allowed"),
        ("storage-500", "t", "500 Failed to record metrics"),
        (
            "other-path-200",
            "w",
            "200 with a text: not the API (wrong URL or proxy?): LunaSentri API - Coming Soon",
        ),
    ];
    let mut tried =
        BTreeSet::from(["accepted-202", "health-200", "double-slash-301"].map(String::from));
    for (case, expected, text) in table {
        let error = refused(captured(case)).await;
        assert_eq!(signs(&error), expected, "{case}: {error}");
        assert_eq!(words(&error), text, "{case}");
        assert_eq!(error.retry_after(), None);
        assert_eq!(error.status().unwrap().to_string(), case[case.len() - 3..]);
        tried.insert(case.to_owned());
    }
    let all: BTreeSet<String> = std::fs::read_dir(captures())
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(tried, all, "captures were added or lost");
}

#[tokio::test]
async fn the_captured_202_without_a_body_is_a_success_with_the_servers_clock() {
    let accepted = answered(captured("accepted-202")).await.unwrap();
    assert_eq!(accepted.status, 202);
    // Fri, 27 Nov 2026 16:11:23 GMT, by date(1).
    let date = UNIX_EPOCH + Duration::from_secs(1_795_795_883);
    assert_eq!(accepted.date, Some(date));
}

#[tokio::test]
async fn a_captured_redirect_is_an_error_that_says_where_to() {
    let server = Server::one(captured("double-slash-301"));
    let error = push_to(&server).await.unwrap_err();
    let target = format!("http://{}/agent/metrics", server.addr);
    assert_eq!(
        words(&error),
        format!("301 redirects to {target}, which is not followed")
    );
    assert_eq!(signs(&error), "w");
    assert_eq!(server.all_seen().len(), 1);
}

#[tokio::test]
async fn success_is_202_or_another_2xx_that_no_page_could_be() {
    let json = "content-type: application/json";
    let html = "content-type: text/html";
    let table = [
        ("202 x", json, r#"{"status": "accepted"}"#),
        ("202 x", "x: y", ""),
        ("202 x", "x: y", "queued"),
        ("200 x", json, r#"{"status":"accepted"}"#),
        ("200 x", "x: y", " {\"ok\":true}\r\n"),
        ("200 x", "x: y", ""),
        ("200 x", html, ""),
        ("200 x", "x: y", " \r\n"),
        ("201 x", "x: y", "[]"),
        ("204 x", "x: y", ""),
    ];
    for (status, header, body) in table {
        let accepted = answered(answer(status, &[header], body)).await;
        let accepted = accepted.unwrap_or_else(|why| panic!("{status} {body}: {why}"));
        assert_eq!(accepted.status.to_string(), status[..3]);
        assert_eq!(accepted.date, None);
    }
}

#[tokio::test]
async fn success_with_a_page_or_a_text_is_loud() {
    let page = "with a web page: not the API (wrong URL, proxy or login page?)";
    let text = "with a text: not the API (wrong URL or proxy?): ";
    let table = [
        ("200 x", "content-type: text/html", "<p>Welcome", page, ""),
        (
            "200 x",
            "content-type: TEXT/HTML; charset=utf-8",
            "x",
            page,
            "",
        ),
        ("200 x", "x: y", "\n <!DOCTYPE html><p>", page, ""),
        ("200 x", "x: y", "<HTML><body>", page, ""),
        (
            "200 x",
            "x: y",
            "LunaSentri API - Coming Soon",
            text,
            "LunaSentri API - Coming Soon",
        ),
        ("201 x", "x: y", "ok\n", text, "ok"),
        (
            "203 x",
            "x: y",
            r#"{"status":"acc"#,
            text,
            r#"{"status":"acc"#,
        ),
        ("200 x", "x: y", "{} trailing", text, "{} trailing"),
        ("200 x", "x: y", "\u{0}\u{1b}[2J", text, "[2J"),
    ];
    for (status, header, body, reason, said) in table {
        let error = refused(answer(status, &[header], body)).await;
        assert!(matches!(error, Error::NotTheApi { .. }), "{error:?}");
        assert_eq!(signs(&error), "w", "{error}");
        assert_eq!(words(&error), format!("{} {reason}{said}", &status[..3]));
    }
}

#[tokio::test]
async fn the_signs_of_every_status_a_proxy_may_send() {
    let table = [
        ("300", "w"),
        ("302", "w"),
        ("303", "w"),
        ("304", "w"),
        ("307", "w"),
        ("308", "w"),
        ("400", "b"),
        ("401", "k"),
        ("402", ""),
        ("403", "k"),
        ("404", "w"),
        ("405", "w"),
        ("408", "t"),
        ("410", "w"),
        ("413", "b"),
        ("415", "b"),
        ("418", ""),
        ("422", "b"),
        ("429", "t"),
        ("500", "t"),
        ("501", "t"),
        ("502", "t"),
        ("503", "t"),
        ("504", "t"),
        ("520", "t"),
        ("599", "t"),
        ("600", ""),
        ("999", ""),
    ];
    for (status, expected) in table {
        let error = refused(answer(&format!("{status} x"), &[], "")).await;
        assert_eq!(error.status().unwrap().to_string(), status);
        assert_eq!(signs(&error), expected, "{error}");
    }
}

#[tokio::test]
async fn a_page_makes_a_wrong_url_of_a_refusal_but_not_of_one_that_proxies_send() {
    let page = "<html><head><title>Oops</title></head></html>";
    for (status, expected, text) in [
        ("400", "w", "400 Bad Request (with a web page)"),
        ("401", "k", "401 Unauthorized (with a web page)"),
        ("403", "k", "403 Forbidden (with a web page)"),
        ("413", "b", "413 Payload Too Large (with a web page)"),
        ("418", "w", "418 I'm a teapot (with a web page)"),
        ("429", "t", "429 Too Many Requests (with a web page)"),
        ("502", "t", "502 Bad Gateway (with a web page)"),
        ("520", "t", "520 unknown status (with a web page)"),
    ] {
        let error = refused(answer(&format!("{status} x"), &[], page)).await;
        assert_eq!(signs(&error), expected, "{error}");
        assert_eq!(words(&error), text);
    }
}

#[tokio::test]
async fn json_is_no_page_whatever_its_header_says() {
    let html = ["content-type: text/html; charset=UTF-8"];
    let error = refused(answer("400 x", &html, r#"{"error":"no"}"#)).await;
    assert_eq!(
        (words(&error).as_str(), signs(&error).as_str()),
        ("400 no", "b")
    );
    let accepted = answered(answer("200 x", &html, r#"{"status":"accepted"}"#)).await;
    assert_eq!(accepted.unwrap().status, 200);
}

#[tokio::test]
async fn redirects_say_where_to_without_what_may_be_secret_and_are_not_followed() {
    let table = [
        (
            "301 x",
            "https://api.example/agent/metrics",
            "https://api.example/agent/metrics",
        ),
        ("302 x", "/login?token=secret#secret", "@/login"),
        (
            "307 x",
            "https://me:secret@other.example:8443/x",
            "https://other.example:8443/x",
        ),
        ("308 x", "//other.example", "http://other.example/"),
    ];
    for (status, location, target) in table {
        let header = format!("location: {location}");
        let server = Server::one(answer(status, &[&header], "moved"));
        let error = push_to(&server).await.unwrap_err();
        let target = target.replace('@', &format!("http://{}", server.addr));
        let wanted = format!(
            "{} redirects to {target}, which is not followed",
            &status[..3]
        );
        assert_eq!(words(&error), wanted);
        assert_eq!(signs(&error), "w");
        assert_eq!(server.all_seen().len(), 1);
    }
    let error = refused(answer("301 x", &["location: http://["], "moved")).await;
    assert_eq!(words(&error), "301 moved");
}

#[tokio::test]
async fn an_http_client_that_follows_redirects_makes_no_success() {
    let good = answer("202 x", &[], "");
    for status in ["301 x", "307 x"] {
        let moved = answer(status, &["location: /other?token=secret"], "");
        let server = Server::start(vec![vec![Act::Say(moved), Act::Say(good.clone())]]);
        let follows = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(byte_server::no_trust())
            .build()
            .unwrap();
        let url = ServerUrl::parse(&format!("http://{}", server.addr)).unwrap();
        let client = Client::new(follows, &url, "1").unwrap();
        let error = client.push(&key(), "{}".to_owned()).await.unwrap_err();
        let target = format!("http://{}/other", server.addr);
        let wanted =
            format!("202 from {target}, to which the HTTP client followed a redirect: it must not");
        assert_eq!(words(&error), wanted);
        assert_eq!(signs(&error), "w");
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_as_date_and_not_at_all() {
    let clock = "date: Fri, 20 Nov 2026 11:00:00 GMT";
    let table: [(&str, &[&str], Option<u64>); 11] = [
        ("429 x", &["retry-after: 7"], Some(7)),
        ("429 x", &["retry-after:  7 "], Some(7)),
        (
            "503 x",
            &[clock, "retry-after: Fri, 20 Nov 2026 11:02:03 GMT"],
            Some(123),
        ),
        (
            "503 x",
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
        ("429 x", &["retry-after: 18446744073709551616"], None),
        ("429 x", &["retry-after: soon"], None),
        ("429 x", &["retry-after: -5"], None),
        ("429 x", &[], None),
        ("500 x", &["retry-after: 0"], Some(0)),
    ];
    for (status, headers, wanted) in table {
        let error = refused(answer(status, headers, "")).await;
        let wanted = wanted.map(Duration::from_secs);
        assert_eq!(error.retry_after(), wanted, "{status} {headers:?}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn what_a_server_says_is_shown_in_short_and_printable() {
    let long = "ä".repeat(300);
    let cut = format!("{}…", "ä".repeat(200));
    let quoted = format!(r#"{{"error":"{long}"}}"#);
    let table: [(&[u8], &str); 8] = [
        (br#"{"error":"no\n\u001b[31m  such\u202e"}"#, "no [31m such"),
        (quoted.as_bytes(), &cut),
        (long.as_bytes(), &cut),
        (br#"{"message":"x"}"#, r#"{"message":"x"}"#),
        (br#"{"error":5}"#, r#"{"error":5}"#),
        (br#"{"error":""}"#, "Service Unavailable"),
        (b"\xff\xfe\x00", "\u{fffd}\u{fffd}"),
        (b" \r\n", "Service Unavailable"),
    ];
    for (body, text) in table {
        let mut bytes = answer("503 x", &[&format!("content-length: {}", body.len())], "");
        bytes.extend_from_slice(body);
        assert_eq!(words(&refused(bytes).await), format!("503 {text}"));
    }
}

#[tokio::test]
async fn a_key_that_a_server_repeats_is_hidden() {
    let html = "content-type: text/html";
    let location = format!("location: /{KEY}/");
    let said = [
        answer("500 x", &[], &format!("Authorization: Bearer {KEY}")),
        answer("500 x", &[], &format!(r#"{{"error":"key {KEY}"}}"#)),
        answer(
            "500 x",
            &[],
            &format!("{}{KEY}", "x".repeat(16 * 1024 - 20)),
        ),
        answer(
            "200 x",
            &[],
            &format!("key={}%3D", KEY.trim_end_matches('=')),
        ),
        answer("200 x", &[html], KEY),
        answer("301 x", &[&location], ""),
    ];
    for bytes in said {
        let error = refused(bytes).await;
        let shown = format!("{error} {error:?} {:?}", client("http://localhost"));
        assert!(!shown.contains(&KEY[..12]), "{shown}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_read_in_part() {
    let head = |status| format!("HTTP/1.1 {status} x\r\n\r\n").into_bytes();
    let endless = |status| Server::start(vec![vec![Act::SayForEver(head(status))]]);
    assert_eq!(push_to(&endless(202)).await.unwrap().status, 202);
    assert_eq!(
        words(&push_to(&endless(200)).await.unwrap_err()),
        "200 with more than 16384 bytes: not the API (wrong URL or proxy?)"
    );
    let error = push_to(&endless(500)).await.unwrap_err();
    assert_eq!(words(&error), "500 Internal Server Error");
    assert_eq!(signs(&error), "t");
}

#[tokio::test]
async fn a_body_of_the_limit_is_read_and_one_byte_more_is_not() {
    let json = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    let fits = json(16 * 1024);
    assert_eq!(fits.len(), 16 * 1024);
    assert_eq!(
        answered(answer("200 x", &[], &fits)).await.unwrap().status,
        200
    );
    let error = refused(answer("200 x", &[], &json(16 * 1024 + 1))).await;
    assert_eq!(signs(&error), "w");
}

#[tokio::test]
async fn an_accepted_sample_stays_accepted_whatever_becomes_of_the_body() {
    let length = ["content-length: 500"];
    let cut = answered(answer("202 x", &length, r#"{"stat"#)).await;
    assert_eq!(cut.unwrap().status, 202);
    let held = answer("202 x", &length, r#"{"stat"#);
    let server = Server::start(vec![vec![Act::SayAndHold(held)]]);
    let client = server.client().with_timeout(Duration::from_millis(200));
    assert_eq!(
        client.push(&key(), String::new()).await.unwrap().status,
        202
    );
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_body_breaks_off() {
    let length = ["content-length: 500"];
    let error = refused(answer("401 x", &length, "Unauthorized: inv")).await;
    assert_eq!(signs(&error), "k");
    assert_eq!(words(&error), "401 Unauthorized: inv");
    let held = answer("503 x", &["content-length: 500", "retry-after: 9"], "");
    let server = Server::start(vec![vec![Act::SayAndHold(held)]]);
    let client = server.client().with_timeout(Duration::from_millis(200));
    let error = client.push(&key(), String::new()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
}

#[tokio::test]
async fn answers_that_never_come_or_stop_half_way_are_transient() {
    let cut_in_body = answer("200 x", &["content-length: 500"], r#"{"id":"#);
    let cut_in_head = b"HTTP/1.1 202 Accepted\r\ncontent-".to_vec();
    for bytes in [cut_in_body, cut_in_head, Vec::new()] {
        let error = refused(bytes).await;
        assert!(matches!(error, Error::Transport { .. }), "{error:?}");
        assert_eq!(
            (signs(&error).as_str(), error.status()),
            ("t", None),
            "{error}"
        );
    }
    for end in [Act::Close, Act::Reset] {
        let server = Server::start(vec![vec![end]]);
        let error = push_to(&server).await.unwrap_err();
        assert!(matches!(error, Error::Transport { .. }), "{error:?}");
        assert_eq!(server.all_seen().len(), 1, "it tries once");
    }
}

#[tokio::test]
async fn garbage_instead_of_http_is_an_error() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\u{0}\u{1}\r\n\r\n",
    ] {
        let error = refused(bytes).await;
        assert!(matches!(error, Error::Transport { .. }), "{error:?}");
        assert!(!words(&error).is_empty());
    }
}

#[tokio::test]
async fn silence_slow_headers_and_a_slow_body_run_into_the_time_limit() {
    let slow_head = b"HTTP/1.1 202 Accepted\r\nconte".to_vec();
    let slow_body = answer("200 x", &["content-length: 50"], r#"{"id""#);
    for bytes in [Vec::new(), slow_head, slow_body] {
        let server = Server::start(vec![vec![Act::SayAndHold(bytes)]]);
        let client = server.client().with_timeout(Duration::from_millis(200));
        let error = client.push(&key(), "{}".to_owned()).await.unwrap_err();
        assert_eq!(words(&error), "no complete answer within 200ms");
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert_eq!(signs(&error), "t");
    }
}

#[tokio::test]
async fn the_limit_of_the_call_wins_over_that_of_the_http_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = ServerUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let patient = Client::new(http(), &url, "1").unwrap();
    let hasty = patient.with_timeout(Duration::from_millis(50));
    let error = hasty.health().await.unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        format!("GET {url}/health: no complete answer within 50ms")
    );
}

#[tokio::test]
async fn a_peer_that_takes_the_connection_but_never_speaks_tls_is_no_connection_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = ServerUrl::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let hasty = reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(50))
        .no_proxy()
        .tls_backend_preconfigured(byte_server::no_trust())
        .build()
        .unwrap();
    let error = Client::new(hasty, &url, "1")
        .unwrap()
        .health()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert_eq!(text, format!("GET {url}/health: no connection in time"));
    assert_eq!(signs(&error), "t");
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url)
        .push(&key(), "{}".to_owned())
        .await
        .unwrap_err();
    assert_eq!(signs(&error), "t");
    assert!(words(&error).contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn health_is_the_servers_word_and_clock() {
    let health = health_of(captured("health-200")).await.unwrap();
    assert_eq!(health.state.as_deref(), Some("healthy"));
    // Fri, 27 Nov 2026 16:11:35 GMT, by date(1).
    assert_eq!(
        health.date,
        Some(UNIX_EPOCH + Duration::from_secs(1_795_795_895))
    );
    for (status, body) in [
        ("200 x", ""),
        ("204 x", ""),
        ("200 x", "[]"),
        ("200 x", r#"{"status":1}"#),
        ("200 x", r#"{"status":" "}"#),
    ] {
        let health = health_of(answer(status, &[], body)).await.unwrap();
        assert_eq!((health.state, health.date), (None, None), "{body}");
    }
    let odd = answer("200 x", &["date: yesterday"], r#"{"status":" so\nso "}"#);
    let health = health_of(odd).await.unwrap();
    assert_eq!(
        (health.state.as_deref(), health.date),
        (Some("so so"), None)
    );
}

#[tokio::test]
async fn health_of_something_else_is_a_wrong_url() {
    let error = health_of(captured("other-path-200")).await.unwrap_err();
    assert_eq!(signs(&error), "w");
    let error = health_of(answer("503 x", &[], r#"{"status":"down"}"#))
        .await
        .unwrap_err();
    assert_eq!(signs(&error), "t");
    assert!(
        error
            .to_string()
            .ends_with(r#"/health: 503 {"status":"down"}"#)
    );
}
