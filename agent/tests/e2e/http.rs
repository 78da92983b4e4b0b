//! The agent's HTTP server: its answers, and what it does with peers that mean no good.

use std::io::{Read, Write};

use crate::parts::{Agent, ask, connect, wait_for};

/// An agent whose API is nowhere: the server has to work all the same.
fn agent() -> Agent {
    let agent = Agent::start("http://127.0.0.1:1/api", &["--interval", "60"]);
    connect(agent.port);
    agent
}

#[test]
fn pages_answer_and_everything_else_is_refused_in_json() {
    let agent = agent();
    let health = agent.get("/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    let version: serde_json::Value = serde_json::from_str(&agent.get("/version").body).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(agent.get("/status").status, 200);
    let refused = |request: &str, status: u16| {
        let answer = ask(agent.port, request);
        assert_eq!(answer.status, status, "{request:.60}: {answer:?}");
        let body: serde_json::Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        assert!(body["error"].is_string(), "{answer:?}");
        answer
    };
    refused(
        "GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        404,
    );
    refused(
        "GET //healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        404,
    );
    let method = refused(
        "DELETE /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        405,
    );
    assert!(
        method.head.contains("\r\nallow: get, head"),
        "{}",
        method.head
    );
    refused(
        "POST /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n",
        413,
    );
    refused(
        &format!(
            "GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n\r\n",
            "a".repeat(9000)
        ),
        431,
    );
    refused(
        &format!(
            "GET /healthz?{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "a".repeat(9000)
        ),
        431,
    );
    let head = ask(
        agent.port,
        "HEAD /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let agent = agent();
    let mut stream = connect(agent.port);
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"ok\n") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
    }
}

#[test]
fn garbage_ends_the_connection_and_not_the_server() {
    let agent = agent();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let mut stream = connect(agent.port);
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            !answer.starts_with(b"HTTP/1.1 200"),
            "{:?} was served",
            String::from_utf8_lossy(bytes)
        );
    }
    let huge = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(200_000));
    let mut stream = connect(agent.port);
    let _ = stream.write_all(huge.as_bytes());
    assert_eq!(agent.get("/healthz").status, 200);
}

/// The sockets that the agent has open: its connections, and a handful of its own.
fn sockets(agent: &Agent) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", agent.child.id())).unwrap();
    open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|what| what.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn slow_bodies_give_way_to_a_real_request() {
    let agent = Agent::start(
        "http://127.0.0.1:1/api",
        &["--interval", "60", "--port-scan"],
    );
    connect(agent.port);
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(agent.port);
            let _ = stream.write_all(
                b"POST /ports/allocate HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{",
            );
            stream
        })
        .collect();
    // Nothing but a limit of seconds would make room otherwise: an answer that comes while all of them are held shows it.
    assert_eq!(agent.get("/healthz").status, 200);
    let open = sockets(&agent);
    assert!(
        (40..80).contains(&open),
        "{open} sockets are open: the slow ones were let in, and some had to go"
    );
    drop(slow);
}

#[test]
fn a_slow_body_is_told_so() {
    let agent = Agent::start(
        "http://127.0.0.1:1/api",
        &["--interval", "60", "--port-scan"],
    );
    let answer = ask(
        agent.port,
        "POST /ports/allocate HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{",
    );
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[test]
fn half_open_connections_give_way_to_a_real_request() {
    let agent = agent();
    let half_open: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = connect(agent.port);
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ");
            stream
        })
        .collect();
    assert_eq!(agent.get("/healthz").status, 200);
    let open = sockets(&agent);
    assert!(open < 80, "{open} sockets are open");
    // Those that were let in are closed too when they do not finish their request.
    wait_for("the slow ones to be closed", || {
        (sockets(&agent) < 10).then_some(())
    });
    drop(half_open);
}
