//! What goes over the wire, compared with what the original agent and the API's callers sent.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;

use byte_server::{KEY, Server, answer, captured, captured_answer};
use serde_json::{Map, Value, json};
use sigma_client::{
    ApiKey, CheckReport, Client, Heartbeat, IpEntry, PublicIp, Registration, SystemInfo, VpsFilter,
};

fn entry(ip: &str, label: &str) -> IpEntry {
    IpEntry {
        ip: ip.parse().unwrap(),
        label: label.to_owned(),
    }
}

fn e2e_info(uptime: u64) -> SystemInfo {
    SystemInfo {
        cpu_cores: Some(2),
        ram_mb: Some(24105),
        disk_gb: Some(251),
        disk_used_gb: Some(22),
        uptime_seconds: Some(uptime),
        load_avg: Some([4.07, 5.26, 5.29]),
        metrics_port: 39102,
        ..SystemInfo::default()
    }
}

fn e2e_registration() -> Registration {
    Registration {
        hostname: "e2e-host".to_owned(),
        alias: Some("127.0.0.1".to_owned()),
        ip_addresses: vec![entry("192.0.2.2", "")],
        ssh_port: 22,
        system_info: e2e_info(3362),
    }
}

fn e2e_heartbeat() -> Heartbeat {
    Heartbeat {
        hostname: "e2e-host".to_owned(),
        ip_addresses: vec![entry("192.0.2.2", "")],
        system_info: e2e_info(3366),
    }
}

fn wanted(capture: &Value, name: &str) -> String {
    let headers = capture["request"]["headers"].as_array().unwrap();
    let header = headers.iter().find(|header| header[0] == name).unwrap();
    header[1].as_str().unwrap().to_owned()
}

fn assert_as_captured(seen: &byte_server::Seen, capture: &Value) {
    let request = &capture["request"];
    let line = format!(
        "{} {} HTTP/1.1",
        request["method"].as_str().unwrap(),
        request["path"].as_str().unwrap()
    );
    assert_eq!(seen.line, line);
    assert_eq!(seen.body, request["body_raw"].as_str().unwrap());
    for name in ["x-api-key", "content-type", "accept", "content-length"] {
        assert_eq!(
            seen.header(name),
            Some(wanted(capture, name).as_str()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn register_is_byte_for_byte_what_the_original_agent_sends() {
    let capture = captured("wire-agent-register");
    let server = Server::one(captured_answer(&capture));
    let vps = server.client().register(&e2e_registration()).await.unwrap();
    assert_eq!(vps.id, "520e9acf-111b-44cd-bcda-f2ff98c5b666");
    let seen = server.seen();
    assert_as_captured(&seen, &capture);
    assert_eq!(seen.header("host"), Some(server.addr.to_string().as_str()));
    assert_eq!(seen.header("user-agent"), Some("sigma-client/0.1.0"));
}

#[tokio::test]
async fn heartbeat_is_byte_for_byte_what_the_original_agent_sends() {
    let capture = captured("wire-agent-heartbeat");
    let server = Server::one(captured_answer(&capture));
    server.client().heartbeat(&e2e_heartbeat()).await.unwrap();
    assert_as_captured(&server.seen(), &capture);
}

#[test]
fn own_keys_and_all_fields_travel_as_in_the_full_registration() {
    let capture = captured("api-reg-200-full");
    let registration = Registration {
        hostname: "h-full".to_owned(),
        alias: Some("al.example".to_owned()),
        ip_addresses: vec![entry("203.0.113.9", ""), entry("10.0.0.5", "internal")],
        ssh_port: 2222,
        system_info: SystemInfo {
            cpu_cores: Some(2),
            metrics_port: 39102,
            public_ip: Some(PublicIp::from(
                "127.0.0.1".parse::<std::net::IpAddr>().unwrap(),
            )),
            extra: Map::from_iter([("foo".to_owned(), json!({ "own": "key" }))]),
            ..SystemInfo::default()
        },
    };
    let sent: Value = serde_json::from_str(&registration.to_json()).unwrap();
    assert_eq!(sent, capture["request"]["body"]);
}

#[test]
fn unknown_values_are_left_out_and_only_the_metrics_port_stays() {
    let heartbeat = Heartbeat {
        hostname: " h-min\n".to_owned(),
        ip_addresses: Vec::new(),
        system_info: SystemInfo {
            load_avg: Some([f64::NAN, 0.0, 0.0]),
            ..SystemInfo::default()
        },
    };
    assert_eq!(
        heartbeat.to_json(),
        r#"{"hostname":"h-min","system_info":{"metrics_port":0}}"#
    );
}

#[test]
fn a_registration_without_addresses_says_so_and_a_blank_alias_is_left_out() {
    let registration = Registration {
        hostname: "h".to_owned(),
        alias: Some(" ".to_owned()),
        ip_addresses: Vec::new(),
        ssh_port: 22,
        system_info: SystemInfo::default(),
    };
    let wanted =
        r#"{"hostname":"h","ip_addresses":[],"ssh_port":22,"system_info":{"metrics_port":0}}"#;
    assert_eq!(registration.to_json(), wanted);
}

#[test]
fn own_keys_cannot_replace_known_ones_or_bring_null() {
    let own = json!({ "public_ip": "", "metrics_port": "9", "os": null, "arch": "x86_64" });
    let info = SystemInfo {
        metrics_port: 5,
        extra: own.as_object().unwrap().clone(),
        ..SystemInfo::default()
    };
    let heartbeat = Heartbeat {
        hostname: "h".to_owned(),
        ip_addresses: Vec::new(),
        system_info: info,
    };
    let sent: Value = serde_json::from_str(&heartbeat.to_json()).unwrap();
    assert_eq!(
        sent["system_info"],
        json!({ "arch": "x86_64", "metrics_port": 5 })
    );
}

#[test]
fn hostile_text_stays_inside_its_json_string() {
    let hostname = "a\",\"x\":1,\"\u{0}\\";
    let heartbeat = Heartbeat {
        hostname: hostname.to_owned(),
        ip_addresses: Vec::new(),
        system_info: SystemInfo::default(),
    };
    let sent: Value = serde_json::from_str(&heartbeat.to_json()).unwrap();
    assert_eq!(sent["hostname"], hostname);
    assert_eq!(sent.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn allocation_is_sent_and_answered_as_captured() {
    let capture = captured("api-alloc-200");
    let server = Server::one(captured_answer(&capture));
    let id = "520e9acf-111b-44cd-bcda-f2ff98c5b666";
    assert_eq!(
        server.client().allocate_ports(id, 3).await.unwrap(),
        [10000, 10001, 10002]
    );
    let seen = server.seen();
    assert_eq!(
        seen.line,
        format!(
            "POST {} HTTP/1.1",
            capture["request"]["path"].as_str().unwrap()
        )
    );
    assert_eq!(
        serde_json::from_str::<Value>(&seen.body).unwrap(),
        capture["request"]["body"]
    );
}

#[tokio::test]
async fn a_check_is_reported_as_captured() {
    let capture = captured("api-ip-check-200");
    let server = Server::one(captured_answer(&capture));
    let report = CheckReport {
        vps_id: "fddd215b-5342-4440-ab12-0a9917892c36".to_owned(),
        ip: "203.0.113.9".to_owned(),
        check_type: "tcp".to_owned(),
        source: "cn-1".to_owned(),
        success: true,
        latency_ms: Some(42),
    };
    server.client().report_check(&report).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.line, "POST /api/ip-checks HTTP/1.1");
    assert_eq!(
        serde_json::from_str::<Value>(&seen.body).unwrap(),
        capture["request"]["body"]
    );
}

#[tokio::test]
async fn a_page_is_asked_for_as_captured() {
    let capture = captured("api-vps-list");
    let server = Server::one(captured_answer(&capture));
    let page = server
        .client()
        .vps_page(&VpsFilter::active(), 1, 2)
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(
        seen.line,
        format!(
            "GET {} HTTP/1.1",
            capture["request"]["path"].as_str().unwrap()
        )
    );
    assert_eq!(
        (seen.body.as_str(), seen.header("content-type")),
        ("", None)
    );
    assert_eq!(
        (page.data.len(), page.unreadable, page.total),
        (2, 0, Some(7))
    );
}

#[tokio::test]
async fn an_id_cannot_leave_its_place_in_the_path() {
    let server = Server::one(answer("404 x", &[], ""));
    let _ = server.client().vps("a/../b?c=d#e f").await;
    assert_eq!(
        server.seen().line,
        "GET /api/vps/a%2F..%2Fb%3Fc=d%23e%20f HTTP/1.1"
    );
}

#[tokio::test]
async fn a_slash_at_the_end_of_the_base_url_changes_nothing() {
    for end in ["", "/", "//"] {
        let server = Server::one(captured_answer(&captured("api-hb-200")));
        let client = Client::builder(&format!(" {}{end}\n", server.url()))
            .build()
            .unwrap();
        client.heartbeat(&e2e_heartbeat()).await.unwrap();
        assert_eq!(server.seen().line, "POST /api/agent/heartbeat HTTP/1.1");
    }
}

#[tokio::test]
async fn a_base_url_without_a_path_works() {
    let server = Server::one(captured_answer(&captured("api-hb-200")));
    let client = Client::builder(&format!("http://{}", server.addr))
        .build()
        .unwrap();
    client.heartbeat(&e2e_heartbeat()).await.unwrap();
    assert_eq!(server.seen().line, "POST /agent/heartbeat HTTP/1.1");
}

#[tokio::test]
async fn no_key_means_no_header() {
    let server = Server::one(captured_answer(&captured("api-hb-200")));
    let client = server.client().with_api_key(ApiKey::parse(" \n").unwrap());
    client.heartbeat(&e2e_heartbeat()).await.unwrap();
    assert_eq!(server.seen().header("x-api-key"), None);
}

#[tokio::test]
async fn a_new_key_travels_on_the_same_connection() {
    let good = || byte_server::Act::Say(captured_answer(&captured("api-hb-200")));
    let server = Server::start(vec![vec![good(), good()]]);
    let client = server.client();
    client.heartbeat(&e2e_heartbeat()).await.unwrap();
    let rotated = client.with_api_key(ApiKey::parse("  second\r\n").unwrap());
    rotated.heartbeat(&e2e_heartbeat()).await.unwrap();
    let (first, second) = (server.seen(), server.seen());
    assert_eq!(
        (first.header("x-api-key"), second.header("x-api-key")),
        (Some(KEY), Some("second"))
    );
    assert_eq!((first.connection, second.connection), (0, 0));
}
