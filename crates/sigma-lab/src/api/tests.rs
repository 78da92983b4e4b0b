//! Requests in memory: every damaged body gets a refusal in the contract's words, never a 500.

use std::net::{IpAddr, Ipv4Addr};

use http_body_util::{BodyExt, Full};

use super::*;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Caller {
    lab: Lab,
    key: String,
    runtime: tokio::runtime::Runtime,
}

impl Caller {
    fn new() -> Caller {
        let lab = Lab::in_memory().unwrap();
        let key = lab.create_key("test", Role::Admin).unwrap();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Caller {
            lab,
            key,
            runtime: builder.enable_all().build().unwrap(),
        }
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", &self.key)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        self.runtime.block_on(async {
            let answer = answer(&self.lab, PEER, request).await;
            let status = answer.status();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        })
    }
}

const BODIES: [(&str, &str, &str); 5] = [
    (
        "POST",
        "/api/agent/register",
        r#"{"hostname":"h","alias":"a","ip_addresses":[{"ip":"203.0.113.9","label":"x"}],"ssh_port":22,"system_info":{"load_avg":[4.07],"a":"\u0041"}}"#,
    ),
    (
        "POST",
        "/api/agent/heartbeat",
        r#"{"hostname":"h","ip_addresses":[{"ip":"::1"}],"system_info":null}"#,
    ),
    (
        "POST",
        "/api/vps",
        r#"{"hostname":"v","cost_monthly":5.5,"expire_date":"2026-12-31","tags":["a"],"extra":{}}"#,
    ),
    (
        "POST",
        "/api/vps/merge",
        r#"{"target_id":"935b5c77-d27b-4395-918e-655158f083c4","source_id":"x"}"#,
    ),
    ("POST", "/api/api-keys", r#"{"name":"n","role":"agent"}"#),
];

#[test]
fn every_prefix_of_a_body_is_refused_as_no_json() {
    let caller = Caller::new();
    for (method, path, body) in BODIES {
        for end in 0..body.len() {
            let (status, text) = caller.call(method, path, &body.as_bytes()[..end]);
            let refused =
                status == StatusCode::BAD_REQUEST || status == StatusCode::UNPROCESSABLE_ENTITY;
            assert!(
                refused && text.starts_with("Failed to "),
                "{path} {end}: {status} {text}"
            );
        }
    }
}

#[test]
fn no_mutation_of_a_body_is_an_error_of_the_lab_or_makes_the_list_unreadable() {
    let caller = Caller::new();
    caller.call("POST", "/api/agent/register", br#"{"hostname":"h"}"#);
    for (method, path, body) in BODIES {
        for position in 0..body.len() {
            for byte in [
                0, b'"', b'\\', b'{', b'}', b'0', b'9', b'-', b' ', 0x7f, 0xff,
            ] {
                let mut mutated = body.as_bytes().to_vec();
                mutated[position] = byte;
                let (status, text) = caller.call(method, path, &mutated);
                assert!(
                    !status.is_server_error(),
                    "{path} {position} {byte}: {text}"
                );
            }
        }
        let (status, text) = caller.call("GET", "/api/vps?per_page=100", b"");
        assert_eq!(status, StatusCode::OK, "{text}");
    }
}

#[test]
fn text_after_the_json_is_refused() {
    let caller = Caller::new();
    let (status, text) = caller.call("POST", "/api/agent/register", br#"{"hostname":"h"} x"#);
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let (status, _) = caller.call("POST", "/api/agent/register", b" {\"hostname\":\"h\"}\r\n ");
    assert_eq!(status, StatusCode::OK);
}
