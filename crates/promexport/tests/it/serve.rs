//! The small server, asked over real sockets.

use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use promexport::{Format, Gauge, Page, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::full_page::{fill, full_page};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn start(fill: impl Fn(&mut Page) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, fill, async {
        let _ = stopped.await;
    }));
    Server {
        address,
        stop,
        task,
    }
}

/// Head and body of the answer on a connection of its own.
async fn ask(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request}Host: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_lowercase(), body)
}

/// Reads until the other side closes; an error is an end too.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1024]).await, Ok(0) | Err(_))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn the_format_follows_the_request() {
    run(async {
        let server = start(fill).await;
        let (head, body) = ask(server.address, "GET /metrics HTTP/1.1\r\n").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(
            head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{head}"
        );
        assert!(
            head.contains("\r\nvary: accept, accept-encoding\r\n"),
            "{head}"
        );
        assert_eq!(body, full_page(Format::TEXT));

        let accept = "Accept: application/openmetrics-text;version=1.0.0;escaping=values\r\n";
        let gzip = "Accept-Encoding: gzip\r\n";
        let (head, body) = ask(
            server.address,
            &format!("GET /metrics HTTP/1.1\r\n{accept}{gzip}"),
        )
        .await;
        assert!(
            head.contains("charset=utf-8; escaping=values\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*body)
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, full_page(Format::OPEN_METRICS));
    });
}

#[test]
fn head_has_no_body_and_other_requests_are_told_so() {
    run(async {
        let server = start(fill).await;
        let (head, body) = ask(server.address, "HEAD /metrics HTTP/1.1\r\n").await;
        let length = full_page(Format::TEXT).len();
        assert!(
            head.contains(&format!("\r\ncontent-length: {length}\r\n")),
            "{head}"
        );
        assert_eq!(body, b"");
        for (request, status) in [
            ("GET / HTTP/1.1\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n", "405"),
        ] {
            let (head, _) = ask(server.address, request).await;
            assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        }
    });
}

#[test]
fn every_scrape_is_live_also_on_a_kept_connection() {
    static SCRAPES: Gauge<0> = Gauge::new("scrapes", "Scrapes so far.", []);
    run(async {
        let count = AtomicU32::new(0);
        let server = start(move |page: &mut Page| {
            page.gauge(&SCRAPES, (), count.fetch_add(1, Relaxed));
        })
        .await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        for scrape in 0..3 {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = Vec::new();
            let end = format!("scrapes {scrape}\n");
            while !answer.ends_with(end.as_bytes()) {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
            }
        }
    });
}

#[test]
fn too_many_or_too_long_headers_are_refused() {
    run(async {
        let server = start(fill).await;
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n", "x".repeat(20_000));
        let many = format!("GET /metrics HTTP/1.1\r\n{}", "X: x\r\n".repeat(100));
        for request in [long, many] {
            let (head, _) = ask(server.address, &request).await;
            assert!(head.starts_with("http/1.1 431"), "{head}");
        }
    });
}

#[test]
fn a_crowd_of_silent_connections_does_not_keep_a_scraper_out() {
    run(async {
        let server = start(fill).await;
        let mut crowd = Vec::new();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(b"GET /metrics HT").await.unwrap();
            crowd.push(stream);
        }
        let (head, _) = ask(server.address, "GET /metrics HTTP/1.1\r\n").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        // The oldest had to go for the newest.
        assert!(is_closed(&mut crowd[0]).await);
        assert!(
            crowd[199]
                .try_read(&mut [0; 1])
                .is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
        );
    });
}

#[test]
fn who_sends_no_request_is_sent_away() {
    run(async {
        let server = start(fill).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        // With the clock of tokio stopped, time goes on only when nothing else can happen.
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        assert!(is_closed(&mut stream).await);
        assert!(
            start.elapsed() <= Duration::from_secs(11),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn a_kept_connection_may_rest_between_scrapes_but_not_for_ever() {
    run(async {
        let server = start(fill).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut answer).await.unwrap();
        }
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        assert!(is_closed(&mut stream).await);
        let rest = start.elapsed();
        assert!(
            (Duration::from_secs(80)..Duration::from_secs(100)).contains(&rest),
            "{rest:?}"
        );
    });
}

#[test]
fn the_server_stops_when_told_and_closes_its_connections() {
    run(async {
        let server = start(fill).await;
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert_ne!(idle.read(&mut [0; 1024]).await.unwrap(), 0);
        server.stop.send(()).unwrap();
        server.task.await.unwrap().unwrap();
        assert!(is_closed(&mut idle).await);
        assert!(TcpStream::connect(server.address).await.is_err());
    });
}

#[test]
fn a_panic_while_filling_ends_its_own_connection_alone() {
    run(async {
        let count = AtomicU32::new(0);
        let server = start(move |page: &mut Page| {
            assert_ne!(
                count.fetch_add(1, Relaxed),
                0,
                "the first scrape fails on purpose"
            );
            fill(page);
        })
        .await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(is_closed(&mut stream).await);
        let (head, _) = ask(server.address, "GET /metrics HTTP/1.1\r\n").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
    });
}
