//! What goes over the wire, byte by byte, and how often.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;
mod server_rules;
mod web_3;

use byte_server::{Act, KEY, Server, answer, client, http, key};
use metricpush::{ApiKey, Client, ConfigError, ServerUrl};
use web_3::web_3;

fn accepted() -> Vec<u8> {
    answer("202 Accepted", &[], "")
}

/// A body as a reader of its own sees it: the golden file.
fn golden() -> &'static str {
    include_str!("data/sample.json")
}

#[tokio::test]
async fn a_push_is_one_post_with_these_bytes() {
    let server = Server::one(accepted());
    let body = web_3().to_json(None);
    server.client().push(&key(), body).await.unwrap();
    let seen = server.seen();
    let wanted = format!(
        "POST /agent/metrics HTTP/1.1\r\n\
         authorization: Bearer {KEY}\r\n\
         content-type: application/json\r\n\
         user-agent: lunasentri-agent/1.2.3\r\n\
         accept: */*\r\n\
         host: {}\r\n\
         content-length: {}\r\n\r\n",
        server.addr,
        golden().len()
    );
    assert_eq!(seen.head, wanted);
    assert_eq!(seen.body, golden());
    server_rules::assert_well_made(&seen.body);
    assert_eq!(server_rules::store(&seen.body).unwrap().net_tx_bytes, 9100);
}

#[tokio::test]
async fn a_check_of_health_carries_no_key() {
    let server = Server::one(answer("200 OK", &[], r#"{"status":"healthy"}"#));
    server.client().health().await.unwrap();
    let wanted = format!(
        "GET /health HTTP/1.1\r\n\
         user-agent: lunasentri-agent/1.2.3\r\n\
         accept: */*\r\n\
         host: {}\r\n\r\n",
        server.addr
    );
    assert_eq!(server.seen().head, wanted);
}

#[tokio::test]
async fn the_path_follows_the_base_whatever_slashes_end_it() {
    for (base, path) in [
        ("", "/agent/metrics"),
        ("/", "/agent/metrics"),
        ("//", "/agent/metrics"),
        ("/monitor/v1", "/monitor/v1/agent/metrics"),
        ("/monitor/v1/", "/monitor/v1/agent/metrics"),
    ] {
        let server = Server::one(accepted());
        let client = client(&format!("http://{}{base}", server.addr));
        client.push(&key(), "{}".to_owned()).await.unwrap();
        let line = format!("POST {path} HTTP/1.1\r\n");
        let head = server.seen().head;
        assert!(head.starts_with(&line), "{head}");
    }
}

#[tokio::test]
async fn pushes_share_a_connection_and_keys_can_change() {
    let next = ApiKey::parse("next").unwrap();
    let json = || answer("202 Accepted", &[], r#"{"status":"accepted"}"#);
    let server = Server::start(vec![vec![Act::Say(json()), Act::Say(json())]]);
    let client = server.client();
    client.push(&key(), "{}".to_owned()).await.unwrap();
    client.clone().push(&next, "{}".to_owned()).await.unwrap();
    let (first, second) = (server.seen(), server.seen());
    assert_eq!((first.connection, second.connection), (0, 0));
    assert!(
        first
            .head
            .contains(&format!("authorization: Bearer {KEY}\r\n"))
    );
    assert!(second.head.contains("authorization: Bearer next\r\n"));
}

#[tokio::test]
async fn a_kept_connection_that_breaks_is_an_error_and_the_sample_is_not_sent_again() {
    for end in [Act::Close, Act::Reset] {
        let server = Server::start(vec![vec![Act::Say(accepted()), end]]);
        let client = server.client();
        client.push(&key(), "1".to_owned()).await.unwrap();
        let error = client.push(&key(), "2".to_owned()).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        let bodies: Vec<String> = server
            .all_seen()
            .into_iter()
            .map(|seen| seen.body)
            .collect();
        assert_eq!(bodies, ["1", "2"]);
    }
}

#[tokio::test]
async fn no_answer_makes_it_send_twice() {
    for status in [
        "401 x", "408 x", "425 x", "429 x", "500 x", "503 x", "200 x",
    ] {
        let retry_at_once = ["retry-after: 0"];
        let server = Server::one(answer(status, &retry_at_once, "busy"));
        let result = server.client().push(&key(), "{}".to_owned()).await;
        assert!(result.is_err(), "{status}");
        assert_eq!(server.all_seen().len(), 1, "{status}");
    }
}

#[test]
fn a_version_that_is_no_word_is_refused() {
    let url = ServerUrl::parse("https://api.example").unwrap();
    for version in ["", "1 2", "1\r\nx: y", "é"] {
        let error = Client::new(http(), &url, version).unwrap_err();
        assert!(matches!(error, ConfigError::Version(_)), "{version:?}");
    }
    let client = Client::new(http(), &url, "1.0.0-rc.1+abc").unwrap();
    assert!(format!("{client:?}").contains("https://api.example/agent/metrics"));
}
