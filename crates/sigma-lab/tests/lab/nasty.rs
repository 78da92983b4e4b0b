//! Clients that are slow, greedy or broken. Time stands still in these tests but for waiting: a
//! runtime with nothing to do jumps to its next timer.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use sigma_lab::{Lab, Options, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::server::{Api, Endpoint, Reply, Server};

/// Runs a client against a lab on one paused runtime, stops the lab while what the client returns is
/// still alive, and says how long the stop took.
fn with_lab<F: Future>(client: impl FnOnce(SocketAddr, String) -> F) -> Duration {
    let lab = Lab::in_memory().unwrap();
    let key = lab.create_key("test", Role::Agent).unwrap();
    with_api(lab, Api::Sigma, |address| client(address, key))
}

fn with_luna<F: Future>(client: impl FnOnce(SocketAddr, String) -> F) -> Duration {
    let lab = Lab::in_memory().unwrap();
    let key = lab.create_machine("test").unwrap().key;
    with_api(lab, Api::Luna, |address| client(address, key))
}

fn with_api<F: Future>(lab: Lab, api: Api, client: impl FnOnce(SocketAddr) -> F) -> Duration {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let served = tokio::spawn(api.serve(listener, lab, stopped));
            let _left_open = client(address).await;
            let stopping = Instant::now();
            stop.send(()).unwrap();
            served.await.unwrap().unwrap();
            stopping.elapsed()
        })
}

/// Sends bytes, reads until the lab closes, and says how long it waited.
async fn told(address: SocketAddr, bytes: &[u8]) -> (String, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    (
        String::from_utf8_lossy(&reply).into_owned(),
        start.elapsed(),
    )
}

fn register_head(key: &str) -> String {
    format!(
        "POST /api/agent/register HTTP/1.1\r\nhost: lab\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\n"
    )
}

fn push_head(key: &str) -> String {
    format!("POST /agent/metrics HTTP/1.1\r\nhost: lab\r\nauthorization: Bearer {key}\r\n")
}

#[test]
fn silent_slow_and_idle_connections_are_closed_after_75_seconds() {
    with_lab(async |address, _| {
        for bytes in [
            "",
            "GET /healthz HTTP/1.1\r\nhos",
            "GET /healthz HTTP/1.1\r\nhost: lab\r\n\r\n",
        ] {
            let (_, waited) = told(address, bytes.as_bytes()).await;
            let seconds = waited.as_secs();
            assert!((75..85).contains(&seconds), "{bytes:?}: {waited:?}");
        }
    });
}

#[test]
fn a_body_that_does_not_come_is_a_408() {
    with_lab(async |address, key| {
        let head = register_head(&key) + "content-length: 16\r\n\r\n{\"host";
        let (reply, _) = told(address, head.as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    });
    with_luna(async |address, key| {
        let head = push_head(&key) + "content-length: 16\r\n\r\n{\"cpu";
        let (reply, _) = told(address, head.as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    });
}

#[test]
fn stopping_waits_a_second_for_requests_that_hang_and_not_at_all_for_idle_ones() {
    let hanging = with_lab(async |address, key| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = register_head(&key) + "content-length: 16\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // An answer on a later connection: by now the first one is being served.
        told(
            address,
            b"GET /healthz HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n",
        )
        .await;
        stream
    });
    assert!((1000..1100).contains(&hanging.as_millis()), "{hanging:?}");
    let idle = with_lab(async |address, _| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: lab\r\n\r\n")
            .await
            .unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
        stream
    });
    assert!(idle.as_millis() < 100, "{idle:?}");
}

#[test]
fn bodies_of_unsaid_length_are_cut_at_the_limit() {
    with_lab(async |address, key| assert_cut(address, register_head(&key)).await);
    with_luna(async |address, key| assert_cut(address, push_head(&key)).await);
}

async fn assert_cut(address: SocketAddr, head: String) {
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    let head = head + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    // Three MiB and an end.
    let bytes = head.clone() + &chunk.repeat(3) + "0\r\n\r\n";
    let (reply, _) = told(address, bytes.as_bytes()).await;
    assert!(
        reply.starts_with("HTTP/1.1 413 ") && reply.ends_with("length limit exceeded"),
        "{reply}"
    );
    // No end: the lab stops reading, so writing fails at some point.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut sent = 0;
    while stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "a body without end is read without end");
    }
}

#[test]
fn chunks_that_are_none_are_no_json() {
    with_luna(async |address, key| {
        let head = push_head(&key) + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        let (reply, _) = told(address, (head + "2\r\n{}\r\nnonsense\r\n").as_bytes()).await;
        assert!(
            reply.starts_with("HTTP/1.1 400 ") && reply.ends_with("Invalid request body"),
            "{reply}"
        );
    });
}

#[test]
fn heads_that_are_too_long_or_no_http_are_refused() {
    with_lab(async |address, _| {
        let long = "x".repeat(100_000);
        for (bytes, status) in [
            (
                format!("GET /healthz HTTP/1.1\r\nhost: lab\r\nx: {long}\r\n\r\n"),
                "431",
            ),
            (format!("GET /{long} HTTP/1.1\r\nhost: lab\r\n\r\n"), "4"),
            (
                format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)),
                "431",
            ),
            ("GET /healthz HTTP/9.9\r\n\r\n".to_owned(), "400"),
            ("\u{16}\u{3}\u{1}\u{0}garbage\r\n\r\n".to_owned(), "400"),
            (
                "POST /api/vps HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_owned(),
                "400",
            ),
            (
                "POST /api/vps HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
                    .to_owned(),
                "400",
            ),
        ] {
            let (reply, _) = told(address, bytes.as_bytes()).await;
            assert!(
                reply.starts_with(&format!("HTTP/1.1 {status}")),
                "{bytes:.60}: {reply}"
            );
        }
    });
}

#[test]
fn every_prefix_of_a_request_leaves_the_lab_serving() {
    let server = Server::start(Options::default());
    let body = r#"{"hostname":"h","ip_addresses":[{"ip":"::1"}]}"#;
    let head = register_head(server.key(Role::Agent));
    assert_prefixes_fail(server.address, head, body, 200);
    assert_eq!(server.lab.vps().unwrap().len(), 1);

    let machine = server.lab.create_machine("m").unwrap();
    let luna = Endpoint::start(server.lab.clone(), Api::Luna);
    let body = r#"{"cpu_pct":12.5,"uptime_s":86400} "#;
    assert_prefixes_fail(luna.address, push_head(&machine.key), body, 202);
    let rows = server.lab.machine_metrics(machine.id, 9).unwrap();
    assert_eq!(rows.len(), 1);
}

/// Only the whole request succeeds.
fn assert_prefixes_fail(address: SocketAddr, head: String, body: &str, success: u16) {
    let length = body.len();
    let request = head + &format!("connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    for end in 0..=request.len() {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(&request.as_bytes()[..end]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        if end == request.len() {
            assert_eq!(Reply::parse(&reply).status, success);
        } else {
            assert!(!reply.starts_with(b"HTTP/1.1 2") && !reply.starts_with(b"HTTP/1.1 5"));
        }
    }
}

#[test]
fn more_connections_than_are_served_wait_for_their_turn() {
    with_lab(async |address, _| {
        let request = b"GET /healthz HTTP/1.1\r\nhost: lab\r\n\r\n";
        let mut held = Vec::new();
        for _ in 0..64 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request).await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            held.push(stream);
        }
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        let early =
            tokio::time::timeout(Duration::from_secs(5), next.read_exact(&mut answer)).await;
        assert!(early.is_err(), "the 65th connection was served");
        held.pop();
        next.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    });
}
