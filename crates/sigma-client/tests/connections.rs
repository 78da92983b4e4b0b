//! Kept connections, and the one repeat on a dead one.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod byte_server;

use byte_server::{Act, Server, captured, captured_answer};
use sigma_client::{CheckReport, Error, Heartbeat, Registration, SystemInfo};

fn beat() -> Heartbeat {
    Heartbeat {
        hostname: "h".to_owned(),
        ip_addresses: Vec::new(),
        system_info: SystemInfo::default(),
    }
}

fn registration() -> Registration {
    Registration {
        hostname: "h".to_owned(),
        alias: None,
        ip_addresses: Vec::new(),
        ssh_port: 22,
        system_info: SystemInfo::default(),
    }
}

fn report() -> CheckReport {
    CheckReport {
        vps_id: "i".to_owned(),
        ip: "192.0.2.1".to_owned(),
        check_type: "tcp".to_owned(),
        source: "s".to_owned(),
        success: false,
        latency_ms: None,
    }
}

fn good() -> Act {
    Act::Say(captured_answer(&captured("api-hb-200")))
}

fn connections_of(server: Server) -> Vec<usize> {
    server
        .all_seen()
        .into_iter()
        .map(|seen| seen.connection)
        .collect()
}

#[tokio::test]
async fn calls_share_one_connection() {
    let server = Server::start(vec![vec![good(), good(), good()]]);
    let client = server.client();
    for _ in 0..3 {
        client.clone().heartbeat(&beat()).await.unwrap();
    }
    drop(client);
    assert_eq!(connections_of(server), [0, 0, 0]);
}

#[tokio::test]
async fn a_heartbeat_on_a_dead_kept_connection_is_repeated_once_on_a_new_one() {
    for end in [|| Act::Reset, || Act::Close] {
        let server = Server::start(vec![vec![good(), end()], vec![good()]]);
        let client = server.client();
        client.heartbeat(&beat()).await.unwrap();
        client.heartbeat(&beat()).await.unwrap();
        drop(client);
        assert_eq!(connections_of(server), [0, 0, 1]);
    }
}

#[tokio::test]
async fn a_registration_is_repeated_like_a_heartbeat() {
    let server = Server::start(vec![vec![good(), Act::Reset], vec![good()]]);
    let client = server.client();
    client.heartbeat(&beat()).await.unwrap();
    client.register(&registration()).await.unwrap();
    drop(client);
    assert_eq!(connections_of(server), [0, 0, 1]);
}

#[tokio::test]
async fn the_repeat_is_not_repeated() {
    let server = Server::start(vec![vec![good(), Act::Reset], vec![Act::Reset]]);
    let client = server.client();
    client.heartbeat(&beat()).await.unwrap();
    let error = client.heartbeat(&beat()).await.unwrap_err();
    assert!(
        matches!(error, Error::Transport { .. }) && error.is_transient(),
        "{error}"
    );
    drop(client);
    assert_eq!(connections_of(server), [0, 0, 1]);
}

#[tokio::test]
async fn a_reset_on_a_new_connection_is_not_repeated() {
    for end in [|| Act::Reset, || Act::Close] {
        let server = Server::start(vec![vec![end()]]);
        let client = server.client();
        client.heartbeat(&beat()).await.unwrap_err();
        drop(client);
        assert_eq!(connections_of(server), [0]);
    }
}

#[tokio::test]
async fn allocations_and_check_reports_are_never_repeated() {
    for allocate in [true, false] {
        let server = Server::start(vec![vec![good(), Act::Reset]]);
        let client = server.client();
        client.heartbeat(&beat()).await.unwrap();
        let error = if allocate {
            client.allocate_ports("i", 1).await.unwrap_err()
        } else {
            client.report_check(&report()).await.unwrap_err()
        };
        assert!(error.is_transient(), "{error}");
        drop(client);
        assert_eq!(connections_of(server), [0, 0]);
    }
}

#[tokio::test]
async fn an_answer_that_began_is_not_repeated() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec();
    let server = Server::start(vec![vec![good(), Act::SayAndClose(half)]]);
    let client = server.client();
    client.heartbeat(&beat()).await.unwrap();
    client.heartbeat(&beat()).await.unwrap_err();
    drop(client);
    assert_eq!(connections_of(server), [0, 0]);
}

#[tokio::test]
async fn a_connection_closed_between_calls_goes_unnoticed() {
    let once = || vec![Act::SayAndClose(captured_answer(&captured("api-hb-200")))];
    let server = Server::start(vec![once(), once(), once()]);
    let client = server.client();
    for _ in 0..3 {
        client.heartbeat(&beat()).await.unwrap();
    }
    drop(client);
    assert_eq!(connections_of(server), [0, 1, 2]);
}
