//! The registry client against registries of the kinds there are: stand-ins that answer in the shapes of the contract.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]

mod material;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bpf_artifact::http::{Endpoint, FetchError, Listed, Registry, Secret};
use bpf_artifact::{Candidate, Digest, HostId, Limits, ListedArtifact, Listing, Policy};
use serde_json::{Value, json};

use material::{Bench, OBJECT, archive, candidate, signer};
use server::{Answer, Asked, Server, answer, client, raw};

/// Which of the registries it is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The old one: downloads are never found.
    Old,
    /// Its successor.
    New,
    /// As the new one, but only the second path of the two serves binaries.
    SecondPath,
    /// The one in memory: bare lists, `artifact_id`, bundles.
    Memory,
}

/// A stand-in for a registry: what it was given, and who has it.
struct Shelf {
    kind: Kind,
    artifacts: BTreeMap<String, (Value, Vec<u8>)>,
    hosts: Vec<(String, String)>,
    etag: u32,
}

impl Shelf {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("GET", ["healthz"]) if self.kind == Kind::Memory => answer(200, "ok"),
            ("GET", ["healthz"]) => server::json(
                200,
                &json!({"status": "healthy", "timestamp": "T", "version": "1.0.0"}),
            ),
            ("POST", ["artifacts"]) => self.create(&asked.json()),
            ("POST", ["assign", id, host]) => {
                self.hosts.push(((*id).to_owned(), (*host).to_owned()));
                self.etag += 1;
                server::json(
                    200,
                    &json!({"status": "success", "artifact_id": id, "host_id": host}),
                )
            }
            ("DELETE", ["unassign", id, host]) => {
                self.hosts
                    .retain(|known| known != &((*id).to_owned(), (*host).to_owned()));
                self.etag += 1;
                server::json(200, &json!({"status": "success"}))
            }
            ("GET", ["artifacts", "for-host", host]) => {
                self.list(host, asked.header("if-none-match"))
            }
            ("GET", ["artifacts", id, "binary"]) if self.kind == Kind::New => self.binary(id),
            ("GET", ["artifacts", "binary", id])
                if matches!(self.kind, Kind::New | Kind::SecondPath) =>
            {
                self.binary(id)
            }
            ("GET", ["bundles", id]) if self.kind == Kind::Memory => self.binary(id),
            _ => server::json(404, &json!({"error": "not found", "timestamp": "T"})),
        }
    }

    /// The contract's create call: metadata is text to text, and the signature is the server's own.
    fn create(&mut self, body: &Value) -> Answer {
        let metadata: BTreeMap<String, String> =
            serde_json::from_value(body["metadata"].clone()).unwrap();
        let data = STANDARD.decode(body["data"].as_str().unwrap()).unwrap();
        let id = format!(
            "artifact_{}",
            1_758_040_000_000_000_000_u64 + self.artifacts.len() as u64
        );
        let mut artifact = json!({
            "id": id, "name": body["name"], "version": body["version"], "description": "", "type": "ebpf",
            "architecture": "x86_64", "kernel_version": "", "created_at": "T", "updated_at": "T", "size": data.len(),
            "checksum": Digest::of(&data).to_string(), "signature": STANDARD.encode(Digest::of(&data).as_bytes()),
            "metadata": metadata,
        });
        if self.kind == Kind::Memory {
            artifact = json!({"artifact_id": id, "metadata": metadata});
        }
        self.artifacts.insert(id, (artifact.clone(), data));
        server::json(201, &artifact)
    }

    fn list(&self, host: &str, known: Option<&str>) -> Answer {
        let etag = format!("\"{}\"", self.etag);
        if known == Some(&etag) {
            return answer(304, "");
        }
        let mine = self.hosts.iter().filter(|(_, assigned)| assigned == host);
        let list: Vec<&Value> = mine.map(|(id, _)| &self.artifacts[id].0).collect();
        let body = match self.kind {
            Kind::Memory if list.is_empty() => Value::Null,
            Kind::Memory => json!(list),
            _ => json!({"artifacts": list, "total": list.len()}),
        };
        let mut answer = server::json(200, &body);
        answer.headers_mut().insert("etag", etag.parse().unwrap());
        answer
    }

    fn binary(&self, id: &str) -> Answer {
        match self.artifacts.get(id) {
            Some((_, data)) => answer(200, data.clone()),
            None => server::json(404, &json!({"error": "not found", "timestamp": "T"})),
        }
    }
}

async fn start(kind: Kind) -> Server {
    let shelf = Shelf {
        kind,
        artifacts: BTreeMap::new(),
        hosts: Vec::new(),
        etag: 0,
    };
    let shelf = Arc::new(Mutex::new(shelf));
    Server::start(move |asked| shelf.lock().unwrap().answer(asked)).await
}

fn registry(url: &str) -> Registry {
    Registry::new(client(), Endpoint::parse(url).unwrap(), Limits::default()).unwrap()
}

fn host() -> HostId {
    HostId::parse("db-02").unwrap()
}

/// Uploads as a pipeline does: `POST /artifacts`, then the assignment.
async fn publish(server: &Server, candidate: &Candidate) -> String {
    let manifest = candidate.manifest.as_ref().unwrap();
    let body = json!({
        "name": "egress_guard", "version": "2.1.0", "description": "", "type": "ebpf", "architecture": "x86_64",
        "kernel_version": "", "metadata": manifest.to_metadata(), "tags": [], "data": STANDARD.encode(&candidate.archive),
    });
    let created = client()
        .post(format!("{}/artifacts", server.url()))
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let created: Value = serde_json::from_slice(&created.bytes().await.unwrap()).unwrap();
    let id = created["id"]
        .as_str()
        .or(created["artifact_id"].as_str())
        .unwrap()
        .to_owned();
    let assign = format!("{}/assign/{id}/db-02", server.url());
    assert!(
        client()
            .post(assign)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    server.asked();
    id
}

async fn list(registry: &Registry) -> Listing {
    match registry.list(&host(), None).await.unwrap() {
        Listed::Now { listing, .. } => listing,
        Listed::Unchanged => panic!("nothing was known"),
    }
}

fn listed(id: &str) -> ListedArtifact {
    let listing = Listing::from_json(json!([{ "id": id }]).to_string().as_bytes()).unwrap();
    listing.artifacts.into_iter().next().unwrap()
}

/// What one call of this registry comes to.
async fn error_of(addr: SocketAddr) -> FetchError {
    registry(&format!("http://{addr}"))
        .list(&host(), None)
        .await
        .unwrap_err()
}

async fn error_to(reply: impl Fn() -> Answer + Send + Sync + 'static) -> FetchError {
    error_of(Server::start(move |_| reply()).await.addr).await
}

#[tokio::test]
async fn a_signed_artifact_comes_through_every_kind_of_registry() {
    let signed = candidate(&signer());
    for (kind, paths) in [(Kind::New, 1), (Kind::SecondPath, 2), (Kind::Memory, 3)] {
        let server = start(kind).await;
        let id = publish(&server, &signed).await;
        let registry = registry(&server.url());
        registry.health().await.unwrap();
        let listing = list(&registry).await;
        assert_eq!((listing.artifacts.len(), listing.problems.len()), (1, 0));
        assert_eq!(listing.artifacts[0].id.as_str(), id);
        server.asked();
        let archive = registry.download(&listing.artifacts[0]).await.unwrap();
        let asked = server.paths();
        let all = [
            format!("/artifacts/{id}/binary"),
            format!("/artifacts/binary/{id}"),
            format!("/bundles/{id}"),
        ];
        assert_eq!(asked, all[..paths]);
        let verified = Bench::new(Policy::Strict)
            .judge(listing.artifacts[0].candidate(archive))
            .unwrap();
        assert_eq!(
            verified.unpack(&Limits::default()).unwrap().object(),
            OBJECT
        );
        // Its own signature is worth nothing.
        let bare = Candidate {
            manifest: None,
            ..listing.artifacts[0].candidate(signed.archive.clone())
        };
        let code = if kind == Kind::Memory {
            "no_signature"
        } else {
            "malformed_signature"
        };
        assert_eq!(Bench::new(Policy::Archive).refuses(bare), code);
    }
}

#[tokio::test]
async fn the_old_registry_lists_and_never_serves() {
    let server = start(Kind::Old).await;
    let id = publish(&server, &candidate(&signer())).await;
    let registry = registry(&server.url());
    let error = registry
        .download(&list(&registry).await.artifacts[0])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("GET {}/artifacts/{id}/binary: 404 not found", server.url())
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn health_is_told_in_either_form() {
    let new = registry(&start(Kind::New).await.url())
        .health()
        .await
        .unwrap();
    assert_eq!(
        (new.status.as_str(), new.version.as_deref()),
        ("healthy", Some("1.0.0"))
    );
    let memory = registry(&start(Kind::Memory).await.url())
        .health()
        .await
        .unwrap();
    assert_eq!((memory.status.as_str(), memory.version), ("ok", None));
}

#[tokio::test]
async fn an_empty_list_an_error_and_a_shrunken_list_are_three_things() {
    let server = start(Kind::New).await;
    let ids = [
        publish(&server, &candidate(&signer())).await,
        publish(&server, &candidate(&signer())).await,
    ];
    let registry = registry(&server.url());
    let known: Vec<_> = list(&registry)
        .await
        .artifacts
        .into_iter()
        .map(|artifact| artifact.id)
        .collect();
    for (id, gone) in ids.iter().zip([50, 100]) {
        client()
            .delete(format!("{}/unassign/{id}/db-02", server.url()))
            .send()
            .await
            .unwrap();
        let listing = list(&registry).await;
        assert_eq!(listing.missing(&known).percent(), gone);
        assert_eq!(listing.is_empty(), gone == 100);
    }
    let broken = error_to(|| {
        answer(
            500,
            r#"{"error":"failed to list artifacts","timestamp":"T"}"#,
        )
    })
    .await;
    assert_eq!((broken.status(), broken.is_transient()), (Some(500), true));
    assert!(
        broken
            .to_string()
            .ends_with("/artifacts/for-host/db-02: 500 failed to list artifacts")
    );
}

#[tokio::test]
async fn what_is_no_listing_is_an_error_and_never_an_empty_list() {
    for body in [
        "",
        "{}",
        "ok",
        "<html></html>",
        r#"{"error":"x"}"#,
        r#"{"artifacts":{}}"#,
        "7",
        r#"{"artifacts":[],"total":3}"#,
        "[{\"id\":",
    ] {
        let error = error_to(move || answer(200, body)).await;
        assert!(
            matches!(error, FetchError::Answer { .. }),
            "{body}: {error}"
        );
        assert!(!error.is_transient());
    }
    for status in [204, 206, 400, 401, 404] {
        assert_eq!(
            error_to(move || answer(status, "[]")).await.status(),
            Some(status)
        );
    }
    assert!(matches!(
        error_to(|| answer(304, "")).await,
        FetchError::Answer { .. }
    ));
}

#[tokio::test]
async fn a_host_id_is_escaped_and_stays_one_segment() {
    let server = start(Kind::New).await;
    for (id, segment) in [
        ("web 1/ü%?#", "web%201%2F%C3%BC%25%3F%23"),
        ("../x", "..%2Fx"),
        ("a.b:c@d", "a.b:c@d"),
    ] {
        let host = HostId::parse(id).unwrap();
        registry(&format!("{}/below/", server.url()))
            .list(&host, None)
            .await
            .unwrap_err();
        assert_eq!(
            server.paths(),
            [format!("/below/artifacts/for-host/{segment}")]
        );
    }
    for id in ["", ".", "..", "*", " a", "a\n", "a\0b"] {
        assert!(HostId::parse(id).is_err(), "{id:?}");
    }
}

#[tokio::test]
async fn an_etag_saves_the_listing_until_something_changes() {
    let server = start(Kind::New).await;
    publish(&server, &candidate(&signer())).await;
    let registry = registry(&server.url());
    let Listed::Now {
        etag: Some(etag), ..
    } = registry.list(&host(), None).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(
        registry.list(&host(), Some(&etag)).await.unwrap(),
        Listed::Unchanged
    );
    assert_eq!(
        server.asked().last().unwrap().header("if-none-match"),
        Some(etag.as_str())
    );
    publish(&server, &candidate(&signer())).await;
    assert!(matches!(
        registry.list(&host(), Some(&etag)).await.unwrap(),
        Listed::Now { .. }
    ));
}

#[tokio::test]
async fn a_token_is_sent_and_never_shown() {
    let server = Server::start(|asked| {
        answer(
            403,
            asked.header("authorization").unwrap_or("none").to_owned(),
        )
    })
    .await;
    let endpoint = Endpoint::parse(&server.url())
        .unwrap()
        .token(Secret::parse(" top-secret\n").unwrap());
    let registry = Registry::new(client(), endpoint, Limits::default()).unwrap();
    let error = registry.list(&host(), None).await.unwrap_err();
    assert_eq!(
        server.asked()[0].header("authorization"),
        Some("Bearer top-secret")
    );
    assert!(error.to_string().ends_with("403 Bearer [token]") && error.is_denied());
    assert!(!format!("{registry:?}{error:?}").contains("top-secret"));
    for bad in ["", " ", "a b", "a\u{7f}"] {
        assert!(Secret::parse(bad).is_err());
    }
}

#[test]
fn a_base_url_is_checked_and_a_token_goes_nowhere_unprotected() {
    for bad in [
        "",
        "db-02",
        "ftp://x",
        "http://u:p@x",
        "http://x?a",
        "http://x#a",
        "file:///etc",
    ] {
        let error = Endpoint::parse(bad).unwrap_err().to_string();
        assert!(!error.contains("u:p"), "{error}");
    }
    let open = |url: &str| {
        Registry::new(
            client(),
            Endpoint::parse(url)
                .unwrap()
                .token(Secret::parse("t").unwrap()),
            Limits::default(),
        )
    };
    for local in ["http://localhost:1", "http://127.8.8.8", "http://[::1]:1"] {
        assert!(open(local).is_ok());
    }
    assert!(
        open("http://registry.example")
            .unwrap_err()
            .to_string()
            .contains("plain http")
    );
    let allowed = Endpoint::parse("http://registry.example")
        .unwrap()
        .token(Secret::parse("t").unwrap())
        .allow_plain(true);
    assert!(Registry::new(client(), allowed, Limits::default()).is_ok());
    assert!(
        Registry::new(
            client(),
            Endpoint::parse("http://registry.example").unwrap(),
            Limits::default()
        )
        .is_ok()
    );
}

#[tokio::test]
async fn a_redirect_is_refused_and_nobody_is_asked_in_its_place() {
    let target = start(Kind::New).await;
    let location = format!("{}/artifacts/for-host/db-02?token=x", target.url());
    let redirect = move || {
        let mut moved = answer(302, "");
        moved
            .headers_mut()
            .insert("location", location.parse().unwrap());
        moved
    };
    let error = error_to(redirect.clone()).await;
    assert_eq!(error.status(), Some(302));
    assert!(
        error.to_string().ends_with(&format!(
            "redirects to {}, which is not followed",
            target.url()
        )),
        "{error}"
    );
    assert!(target.asked().is_empty());
    // A client that follows is found out.
    let server = Server::start(move |_| redirect()).await;
    let following = server::builder().no_proxy().build().unwrap();
    let registry = Registry::new(
        following,
        Endpoint::parse(&server.url()).unwrap(),
        Limits::default(),
    )
    .unwrap();
    let error = registry.list(&host(), None).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the client follows redirects, and must be built not to")
    );
}

#[tokio::test]
async fn an_archive_over_the_limit_is_not_read_to_its_end() {
    let small = Limits::default().archive_bytes(1000);
    let announced = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", b"");
    let chunked = raw(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"4\r\nabcd\r\n",
    );
    let until_closed = raw(b"HTTP/1.1 200 OK\r\n\r\n", b"abcdefgh");
    for addr in [announced, chunked, until_closed] {
        let endpoint = Endpoint::parse(&format!("http://{addr}")).unwrap();
        let registry = Registry::new(client(), endpoint, small).unwrap();
        let error = registry.download(&listed("a7")).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the answer is longer than 1000 bytes"),
            "{error}"
        );
    }
    // So is a listing; an endless refusal is cut off.
    assert!(matches!(
        error_of(raw(b"HTTP/1.1 200 OK\r\n\r\n", b"[[[[[[[[")).await,
        FetchError::TooLarge { .. }
    ));
    assert_eq!(
        error_of(raw(b"HTTP/1.1 500 x\r\n\r\n", b"oh no "))
            .await
            .status(),
        Some(500)
    );
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_archive() {
    let server = Server::start(|_| answer(200, "x")).await;
    assert!(
        registry(&server.url())
            .download(&listed("a7"))
            .await
            .is_ok()
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
            .unwrap();
    });
    let error = registry(&format!("http://{addr}"))
        .download(&listed("a7"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Transport { .. }) && error.is_transient(),
        "{error}"
    );
}

#[tokio::test]
async fn another_archive_than_the_listed_one_is_refused() {
    let server = Server::start(|_| answer(200, "other")).await;
    let mut artifact = listed("a7");
    artifact.checksum = Some(Digest::of(b"listed"));
    let error = registry(&server.url())
        .download(&artifact)
        .await
        .unwrap_err();
    let (listed, found) = (Digest::of(b"listed"), Digest::of(b"other"));
    assert!(
        error
            .to_string()
            .ends_with(&format!("the archive is {found}, listed was {listed}"))
    );
    artifact.checksum = Some(Digest::of(b"other"));
    assert!(registry(&server.url()).download(&artifact).await.is_ok());
}

#[tokio::test]
async fn a_server_that_says_nothing_or_too_slowly_costs_the_time_limit() {
    for head in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n["] {
        let endpoint = Endpoint::parse(&format!("http://{}", raw(head, b""))).unwrap();
        let limit = Duration::from_millis(200);
        let registry = Registry::new(client(), endpoint.timeout(limit), Limits::default())
            .unwrap()
            .download_timeout(limit);
        for error in [
            registry.list(&host(), None).await.unwrap_err(),
            registry.download(&listed("a7")).await.unwrap_err(),
        ] {
            assert!(
                error
                    .to_string()
                    .ends_with("no complete answer within 200ms"),
                "{error}"
            );
            assert!(error.is_transient());
        }
    }
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_back() {
    for (header, wait) in [
        ("120", Some(120)),
        ("999999999", Some(86_400)),
        ("soon", None),
    ] {
        let error = error_to(move || {
            let mut busy = answer(503, "busy");
            busy.headers_mut()
                .insert("retry-after", header.parse().unwrap());
            busy
        });
        assert_eq!(error.await.retry_after(), wait.map(Duration::from_secs));
    }
}

#[tokio::test]
async fn nobody_listening_is_worth_another_try() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = error_of(addr).await;
    assert!(
        error.is_transient() && error.to_string().contains("refused"),
        "{error}"
    );
}

#[tokio::test]
async fn the_archive_is_what_was_uploaded() {
    let server = start(Kind::New).await;
    publish(&server, &candidate(&signer())).await;
    let registry = registry(&server.url());
    let artifact = &list(&registry).await.artifacts[0];
    assert_eq!(registry.download(artifact).await.unwrap(), archive());
    assert_eq!(
        (artifact.size, artifact.checksum),
        (Some(archive().len() as u64), Some(Digest::of(&archive())))
    );
}
