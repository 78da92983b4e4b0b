//! The aegis role and a real nats-server: what it says there, and what can be asked of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::Subscriber;
use serde_json::Value;

use crate::nats_server::{NatsServer, heard_until};
use crate::parts::{Agent, binary, folder, free_port};

/// An agent without a registry.
fn agent(place: &Path, nats_port: u16) -> Agent {
    let port = free_port();
    let at = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let config = place.join("agent.yaml");
    std::fs::write(&config, "").unwrap();
    let url = format!("nats://127.0.0.1:{nats_port}");
    let mut command = binary(&["--role", "aegis", "--host-id", "db.02", "--pins-dir", "off"]);
    command
        .args([
            "--config",
            config.to_str().unwrap(),
            "--log-output",
            "stderr",
        ])
        .args(["--registry-url", "http://127.0.0.1:9", "--nats-url", &url])
        .args(["--metrics-port", &port.to_string()])
        .args([
            "--programs-state-dir",
            &at("state"),
            "--cache-dir",
            &at("cache"),
        ]);
    Agent::spawn(&mut command, port)
}

fn place() -> PathBuf {
    folder("nats")
}

/// Waits for a message of this type.
async fn heard(said: &mut Subscriber, kind: &str) -> Value {
    let mut heard = heard_until(said, |message| message["type"] == kind).await;
    heard.pop().unwrap().1
}

#[tokio::test]
async fn heartbeats_go_out_and_a_rollback_is_answered_before_and_after_the_server_was_away() {
    let place = place();
    let port = free_port();
    // The server comes after the agent.
    let mut agent = agent(&place, port);
    agent.logged("NATS: no connection");
    for _ in 0..2 {
        let Some(server) = NatsServer::start(port) else {
            return;
        };
        let client = server.client().await;
        let mut own = client.subscribe("agent.telemetry.db_02").await.unwrap();
        let mut all = client.subscribe("agent.telemetry").await.unwrap();
        let beat = heard(&mut own, "agent_heartbeat").await;
        assert_eq!(beat["metadata"]["host_id"], "db.02");
        heard(&mut all, "agent_heartbeat").await;

        let body = r#"{"artifact_id":"a7","reason":"drill","request_id":"q1"}"#;
        let request = client.request("orchestrator.rollback.db.02", body.into());
        let reply = tokio::time::timeout(Duration::from_secs(40), request).await;
        let reply: Value = serde_json::from_slice(&reply.unwrap().unwrap().payload).unwrap();
        assert_eq!(
            (&reply["artifact_id"], &reply["host_id"]),
            (&"a7".into(), &"db.02".into())
        );
        let status = reply["status"].as_str().unwrap();
        assert!(
            ["accepted", "duplicate", "refused"].contains(&status),
            "{reply}"
        );
        assert_eq!(agent.status()["nats"]["connected"], true);
    }
    agent.signal("TERM");
    assert!(agent.end().success());
    let _ = std::fs::remove_dir_all(place);
}
