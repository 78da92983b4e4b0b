//! Look-ups over real sockets of this machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

use std::future::{pending, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ipdiscover::public::{Found, LastGood, NotFound, Refused, lookup, parse_answer};
use ipdiscover::{Address, Family, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough never to matter.
const LIMIT: Duration = Duration::from_secs(60);

/// A service that answers every request with the same body; `None` never answers.
struct Service {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Service {
    async fn on(bind: &str, body: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(bind).await.unwrap();
        let url = format!("http://{}/ip", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, body));
            }
        });
        Self { url, asked }
    }

    async fn saying(body: &'static str) -> Self {
        Self::on("127.0.0.1:0", Some(body)).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, body: Option<&str>) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    match body {
        Some(body) => {
            let answer = format!("HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        None => pending().await,
    }
}

/// The smallest HTTP client that serves.
async fn fetch(url: &str) -> Result<Vec<u8>, std::io::Error> {
    let authority = url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/ip")
        .unwrap();
    let mut stream = TcpStream::connect(authority.parse::<SocketAddr>().unwrap()).await?;
    stream.write_all(b"GET /ip HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    let head = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    Ok(answer.split_off(head + 4))
}

async fn ask(services: &[&Service], family: Option<Family>) -> Result<Found, NotFound> {
    let urls: Vec<_> = services
        .iter()
        .map(|service| service.url.as_str())
        .collect();
    lookup(&urls, family, LIMIT, tokio::time::sleep, fetch).await
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_first_good_answer_wins_and_nobody_else_is_asked() {
    let (first, second) = (
        Service::saying("9.9.9.9\n").await,
        Service::saying("1.1.1.1").await,
    );
    let found = ask(&[&first, &second], None).await.unwrap();
    assert_eq!(
        (found.ip, &found.service, found.tried.len()),
        (ip("9.9.9.9"), &first.url, 0)
    );
    assert_eq!((first.asked(), second.asked()), (1, 0));
    let address = Address::from(found);
    assert_eq!(address.origin, Origin::Service(first.url));
}

#[tokio::test]
async fn bad_answers_are_passed_over_in_order() {
    let page = Service::saying("<!DOCTYPE html><title>Log in</title>").await;
    let portal = Service::saying("10.0.0.1").await;
    let good = Service::saying("2a00:1450::5\r\n").await;
    let found = ask(&[&page, &portal, &good], None).await.unwrap();
    assert_eq!(found.ip, ip("2a00:1450::5"));
    let tried: Vec<_> = found.tried.iter().map(ToString::to_string).collect();
    assert_eq!(
        tried,
        [
            format!(
                "{}: the answer is HTML, XML or JSON, not an address",
                page.url
            ),
            format!("{}: 10.0.0.1 is not public but private", portal.url),
        ]
    );
}

#[tokio::test]
async fn a_host_with_ipv6_alone_can_ask() {
    let Ok(probe) = TcpListener::bind("[::1]:0").await else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    drop(probe);
    let service = Service::on("[::1]:0", Some("2a00:1450::5")).await;
    let found = ask(&[&service], Some(Family::V6)).await.unwrap();
    assert_eq!(found.ip, ip("2a00:1450::5"));
}

#[tokio::test]
async fn the_answer_must_be_of_the_family_that_was_asked_for() {
    let (v6, v4) = (
        Service::saying("2a00:1450::5").await,
        Service::saying("9.9.9.9").await,
    );
    let found = ask(&[&v6, &v4], Some(Family::V4)).await.unwrap();
    assert_eq!(found.ip, ip("9.9.9.9"));
    let none = ask(&[&v6], Some(Family::V4)).await.unwrap_err();
    assert!(
        none.to_string().ends_with("/ip: 2a00:1450::5 is not IPv4"),
        "{none}"
    );
}

#[tokio::test]
async fn a_silent_service_costs_its_limit_and_no_more() {
    let silent = Service::on("127.0.0.1:0", None).await;
    let good = Service::saying("9.9.9.9").await;
    // The first alarm goes off once the silent service has been asked, the others never.
    let asked = Arc::clone(&silent.asked);
    let alarm = async |_| {
        if asked.load(Ordering::SeqCst) == 0 {
            while asked.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        } else {
            pending::<()>().await;
        }
    };
    let urls = [silent.url.as_str(), good.url.as_str()];
    let found = lookup(&urls, None, Duration::from_secs(5), alarm, fetch)
        .await
        .unwrap();
    assert_eq!(found.ip, ip("9.9.9.9"));
    assert_eq!(
        found.tried[0].to_string(),
        format!("{}: no answer within 5s", silent.url)
    );
}

#[tokio::test]
async fn a_service_that_is_away_is_named_with_the_reason() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ip", gone.local_addr().unwrap());
    drop(gone);
    let none = lookup(&[&url], None, LIMIT, tokio::time::sleep, fetch)
        .await
        .unwrap_err();
    let told = none.to_string();
    assert!(
        told.starts_with(&format!("find the public address: {url}: ")),
        "{told}"
    );
    assert!(told.contains("refused"), "{told}");
}

#[tokio::test]
async fn without_services_nothing_is_asked() {
    let none = lookup(&[""; 0], None, LIMIT, tokio::time::sleep, fetch)
        .await
        .unwrap_err();
    assert_eq!(
        none.to_string(),
        "find the public address: there is no service to ask"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_look_up_can_run_as_a_task_of_its_own() {
    let service = Service::saying("9.9.9.9").await;
    let task = tokio::spawn(async move {
        let client = String::from("a client that the fetcher borrows");
        let fetch = async |url: &str| {
            assert!(!client.is_empty());
            fetch(url).await
        };
        lookup(
            &[service.url.as_str()],
            None,
            LIMIT,
            tokio::time::sleep,
            fetch,
        )
        .await
    });
    assert_eq!(task.await.unwrap().unwrap().ip, ip("9.9.9.9"));
}

#[test]
fn answers_that_are_no_single_public_address_are_refused() {
    for (body, refusal) in [
        ("", "the answer is not an address: \"\""),
        (" \n", "the answer is not an address: \"\""),
        (
            "<html>9.9.9.9</html>",
            "the answer is HTML, XML or JSON, not an address",
        ),
        (
            "\n {\"ip\":\"9.9.9.9\"}",
            "the answer is HTML, XML or JSON, not an address",
        ),
        (
            "9.9.9.9 1.1.1.1",
            "the answer is not an address: \"9.9.9.9 1.1.1.1\"",
        ),
        (
            "9.9.9.9\n1.1.1.1",
            "the answer is not an address: \"9.9.9.9\\n1.1.1.1\"",
        ),
        ("9.9.9.9:80", "the answer is not an address: \"9.9.9.9:80\""),
        ("9.9.9.9/32", "the answer is not an address: \"9.9.9.9/32\""),
        (
            "[2a00:1450::5]",
            "the answer is not an address: \"[2a00:1450::5]\"",
        ),
        (
            "2a00:1450::5%eth0",
            "the answer is not an address: \"2a00:1450::5%eth0\"",
        ),
        ("009.9.9.9", "the answer is not an address: \"009.9.9.9\""),
        ("9.9.9", "the answer is not an address: \"9.9.9\""),
        ("error", "the answer is not an address: \"error\""),
        ("10.0.0.1", "10.0.0.1 is not public but private"),
        ("100.64.3.2", "100.64.3.2 is not public but cgnat"),
        ("127.0.0.1", "127.0.0.1 is not public but loopback"),
        ("0.0.0.0", "0.0.0.0 is not public but unspecified"),
        ("fe80::1", "fe80::1 is not public but link-local"),
        ("fd00::1", "fd00::1 is not public but unique-local"),
        ("203.0.113.7", "203.0.113.7 is not public but documentation"),
        ("::ffff:10.0.0.1", "10.0.0.1 is not public but private"),
    ] {
        assert_eq!(
            parse_answer(body.as_bytes()).unwrap_err().to_string(),
            refusal,
            "{body:?}"
        );
    }
}

#[test]
fn long_and_binary_answers_are_refused_and_shown_in_part() {
    let long = [b'1'; 100_000];
    for body in [
        &long[..],
        &[0xff; 300],
        b"9.9.9.9\0",
        b"\xef\xbb\xbf9.9.9.9",
    ] {
        let refused = parse_answer(body).unwrap_err();
        assert!(matches!(refused, Refused::NoAddress { .. }), "{refused}");
        assert!(refused.to_string().len() < 400, "{refused}");
    }
    let padded = format!("{}9.9.9.9{}", " ".repeat(500), "\n".repeat(500));
    assert_eq!(parse_answer(padded.as_bytes()), Ok(ip("9.9.9.9")));
}

#[test]
fn a_mapped_answer_is_the_ipv4_address_it_is() {
    assert_eq!(parse_answer(b"::ffff:9.9.9.9"), Ok(ip("9.9.9.9")));
}

#[test]
fn every_prefix_and_change_of_an_answer_is_public_or_refused() {
    for body in [
        &b"203.0.114.255\n"[..],
        b"2a00:1450:4001:81b::200e\r\n",
        b"::ffff:9.9.9.9",
    ] {
        let mut body = body.to_vec();
        for at in 0..body.len() {
            let original = body[at];
            for value in 0..=u8::MAX {
                body[at] = value;
                for text in [&body[..], &body[..at]] {
                    if let Ok(ip) = parse_answer(text) {
                        assert!(Address::new(ip, Origin::Local).scope.is_public());
                    }
                }
            }
            body[at] = original;
        }
    }
}

#[tokio::test]
async fn the_last_good_answer_of_each_family_is_remembered() {
    let told = async |ip: &'static str| {
        let answer = async |_: &str| Ok::<_, String>(ip.as_bytes().to_vec());
        lookup(&["x"], None, LIMIT, |_| ready(()), answer)
            .await
            .unwrap()
    };
    let start = Instant::now();
    let mut last = LastGood::default();
    assert_eq!(last.age(Family::V4, start), None);
    last.remember(told("2a00:1450::5").await, start);
    last.remember(told("1.1.1.1").await, start);
    let later = start + Duration::from_secs(7);
    last.remember(told("9.9.9.9").await, later);
    let ips: Vec<_> = last
        .addresses()
        .map(|address| address.ip.to_string())
        .collect();
    assert_eq!(ips, ["9.9.9.9", "2a00:1450::5"]);
    assert_eq!(last.age(Family::V4, later), Some(Duration::ZERO));
    assert_eq!(last.age(Family::V6, later), Some(Duration::from_secs(7)));
}
