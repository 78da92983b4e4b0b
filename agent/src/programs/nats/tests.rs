//! The line against a real nats-server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::{self, stream};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::StreamExt;
use nkeys::{KeyPair, KeyPairType};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::programs::outbox::{Message, Outbox, Subject};
use crate::programs::signals::{Answered, Asked, signals};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
const HOST: &str = "db-02.example";

/// A server with a configuration and a store of its own, killed at the end of the test.
struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// `None`, said loudly, where there is no nats-server.
    async fn start(more: &str) -> Option<Self> {
        if Command::new("nats-server")
            .arg("--version")
            .output()
            .is_err()
        {
            println!("skipped: needs the command nats-server (Debian: nats-server)");
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sigma-agent-nats-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let here = folder.display();
        // With operators, streams would need an account of the system's own.
        let streams = if more.contains("operator:") {
            ""
        } else {
            "jetstream { store_dir: \"HERE/store\" }"
        };
        let config = format!("listen: \"127.0.0.1:{port}\"\n{streams}\n{more}\n");
        std::fs::write(
            folder.join("nats.conf"),
            config.replace("HERE", &here.to_string()),
        )
        .unwrap();
        let mut server = Self {
            child: run(&folder),
            folder,
            port,
        };
        server.is_ready().await;
        Some(server)
    }

    async fn is_ready(&mut self) {
        let port = self.port;
        wait_for("the server", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.child = run(&self.folder);
        self.is_ready().await;
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    fn settings(&self) -> Settings {
        let nats = cli::Nats {
            urls: vec![format!("nats://127.0.0.1:{}", self.port)],
            telemetry_subject: "agent.telemetry".to_owned(),
            credentials_file: None,
            token_file: None,
            nkey_file: None,
            user: None,
            password_file: None,
            ca: None,
            client: None,
            jetstream: false,
            flat_subjects: true,
            commands_stream: None,
            command_keys: Vec::new(),
        };
        Settings {
            ping: Duration::from_millis(300),
            patience: Duration::from_secs(1),
            ..Settings::new(nats, HOST.to_owned(), self.folder.join("kept"))
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn client(&self) -> async_nats::Client {
        async_nats::connect(format!("127.0.0.1:{}", self.port))
            .await
            .unwrap()
    }

    /// A stream that keeps everything agents say.
    async fn record(&self) {
        let stream = stream::Config {
            name: "ALL".to_owned(),
            subjects: vec!["agent.>".to_owned()],
            ..stream::Config::default()
        };
        let context = jetstream::new(self.client().await);
        context.create_stream(stream).await.unwrap();
    }

    /// What agents said on this subject, in order, waiting until there is as much.
    async fn recorded(&self, subject: &str, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let all = self.everything(subject).await.unwrap_or_default();
            if all.len() >= count {
                return all;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "only {} of {count} on {subject}",
                all.len()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn everything(&self, subject: &str) -> Result<Vec<Value>, async_nats::Error> {
        let context = jetstream::new(self.client().await);
        let mut stream = context.get_stream("ALL").await?;
        let last = stream.info().await?.state.last_sequence;
        let mut found = Vec::new();
        for number in 1..=last {
            let message = stream.get_raw_message(number).await?;
            if message.subject.as_str() == subject {
                found.push(serde_json::from_slice(&message.payload)?);
            }
        }
        Ok(found)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(folder: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    Command::new("nats-server")
        .arg("-c")
        .arg(folder.join("nats.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An open line with both of its ends.
struct Agent {
    line: Line,
    outbox: Arc<Outbox>,
    requests: mpsc::Receiver<Asked>,
}

impl Agent {
    fn open(settings: Settings) -> Self {
        let outbox = Arc::new(Outbox::new(true));
        let (signals, requests) = signals();
        Self {
            line: Line::open(settings, Arc::clone(&outbox), signals),
            outbox,
            requests,
        }
    }

    fn put(&self, numbers: std::ops::Range<u64>, keep: bool) {
        for number in numbers {
            self.outbox.put(Message {
                subject: if keep {
                    Subject::RollbackStatus
                } else {
                    Subject::Telemetry
                },
                body: json!({"n": number}),
                keep,
                id: self.outbox.id(HOST),
            });
        }
    }

    async fn figures(&self, what: &str, look: impl Fn(&Figures) -> bool) -> Figures {
        let link = self.line.link();
        wait_for(what, || {
            Some(link.figures()).filter(|figures| look(figures))
        })
        .await
    }

    async fn connected(&self) {
        self.figures("a connection", |figures| figures.connected)
            .await;
    }

    /// Answers the next request, and tells it.
    async fn answer(&mut self, with: Answered) -> (String, Option<String>, Option<String>) {
        let asked = tokio::time::timeout(PATIENCE, self.requests.recv()).await;
        match asked.unwrap().unwrap() {
            Asked::RollBack {
                artifact_id,
                reason,
                request_id,
                answer,
            } => {
                let _ = answer.send(with);
                (artifact_id, reason, request_id)
            }
            other @ Asked::Poll => panic!("{other:?}"),
        }
    }
}

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages
        .iter()
        .map(|message| message["n"].as_u64().unwrap())
        .collect()
}

const STATUS: &str = "agent.rollback.status.db-02_example";
const REQUEST: &str = "orchestrator.rollback.db-02_example";

#[tokio::test]
async fn a_server_that_is_away_at_the_start_gets_everything_when_it_comes() {
    let Some(mut server) = Server::start("").await else {
        return;
    };
    server.record().await;
    server.kill();
    let agent = Agent::open(server.settings());
    agent.put(0..100, true);
    agent.put(0..5, false);
    agent
        .figures("events on disk", |figures| figures.waiting == 100)
        .await;
    server.restart().await;
    assert_eq!(
        numbers(&server.recorded(STATUS, 100).await),
        (0..100).collect::<Vec<_>>()
    );
    assert_eq!(
        server.recorded("agent.rollback.status", 100).await.len(),
        100
    );
    server.recorded("agent.telemetry.db-02_example", 5).await;
    agent
        .figures("nothing waits", |figures| figures.waiting == 0)
        .await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_misses_nothing() {
    let Some(mut server) = Server::start("").await else {
        return;
    };
    server.record().await;
    let agent = Agent::open(server.settings());
    agent.put(0..100, true);
    server.recorded(STATUS, 100).await;
    agent
        .figures("nothing waits", |figures| figures.waiting == 0)
        .await;
    for round in 1..3 {
        server.kill();
        agent.put(round * 100..round * 100 + 100, true);
        agent
            .figures("events on disk", |figures| figures.waiting == 100)
            .await;
        server.restart().await;
        let all = server
            .recorded(STATUS, usize::try_from(round).unwrap() * 100 + 100)
            .await;
        assert_eq!(numbers(&all), (0..round * 100 + 100).collect::<Vec<_>>());
        agent
            .figures("nothing waits", |figures| figures.waiting == 0)
            .await;
    }
}

#[tokio::test]
async fn what_a_stream_acknowledges_is_there_once_though_the_server_is_killed_in_between() {
    let Some(mut server) = Server::start("").await else {
        return;
    };
    server.record().await;
    let mut settings = server.settings();
    settings.nats.jetstream = true;
    let agent = Agent::open(settings);
    agent.connected().await;
    agent.put(0..300, true);
    agent
        .figures("some events", |figures| figures.published > 20)
        .await;
    server.kill();
    server.restart().await;
    agent
        .figures("nothing waits", |figures| figures.waiting == 0)
        .await;
    let mut all = numbers(&server.recorded(STATUS, 300).await);
    all.dedup();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_stream_events_wait_and_say_so() {
    let Some(server) = Server::start("").await else {
        return;
    };
    let mut settings = server.settings();
    settings.nats.jetstream = true;
    let agent = Agent::open(settings);
    agent.connected().await;
    agent.put(0..3, true);
    let told = agent
        .figures("words", |figures| figures.last_error.is_some())
        .await;
    assert!(
        told.last_error
            .unwrap()
            .contains("no stream takes its subjects")
    );
    assert_eq!(agent.line.link().figures().waiting, 3);
    server.record().await;
    agent.put(3..4, true);
    assert_eq!(numbers(&server.recorded(STATUS, 4).await), [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up_and_gets_everything_when_it_goes_on() {
    let Some(server) = Server::start("").await else {
        return;
    };
    server.record().await;
    let agent = Agent::open(server.settings());
    agent.connected().await;
    server.signal("-STOP");
    agent.put(0..100, true);
    agent.put(0..2000, false);
    agent
        .figures("the silence", |figures| {
            !figures.connected && figures.waiting == 100
        })
        .await;
    server.signal("-CONT");
    let mut all = numbers(&server.recorded(STATUS, 100).await);
    agent
        .figures("nothing waits", |figures| figures.waiting == 0)
        .await;
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn closing_sends_what_waits_and_what_cannot_be_sent_is_there_at_the_next_start() {
    let Some(mut server) = Server::start("").await else {
        return;
    };
    server.record().await;
    let agent = Agent::open(server.settings());
    agent.connected().await;
    agent.put(0..200, true);
    agent.put(0..50, false);
    agent.line.close(PATIENCE).await;
    assert_eq!(server.recorded(STATUS, 200).await.len(), 200);
    server.recorded("agent.telemetry", 50).await;

    server.kill();
    let agent = Agent::open(server.settings());
    agent.put(200..300, true);
    let start = Instant::now();
    agent.line.close(Duration::from_secs(10)).await;
    assert!(start.elapsed() < PATIENCE);
    server.restart().await;
    let next = Agent::open(server.settings());
    assert_eq!(server.recorded(STATUS, 300).await.len(), 300);
    drop(next);
}

#[tokio::test]
async fn a_rollback_is_asked_for_and_answered() {
    let Some(server) = Server::start("").await else {
        return;
    };
    let mut agent = Agent::open(server.settings());
    agent.connected().await;
    let client = server.client().await;
    let ask = |subject: &'static str, body: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { client.request(subject, body.into()).await.unwrap() })
    };
    listening(&client, REQUEST).await;
    let body = r#"{"artifact_id":"a7","reason":"manual_rollback","request_id":"q1"}"#;
    let raw = "orchestrator.rollback.db-02.example";
    for (subject, answered, status) in [
        (REQUEST, Answered::Taken, "accepted"),
        (raw, Answered::Duplicate, "duplicate"),
        (
            raw,
            Answered::Refused("no such artifact".to_owned()),
            "refused",
        ),
    ] {
        let reply = ask(subject, body);
        let asked = agent.answer(answered).await;
        assert_eq!(asked.0, "a7");
        assert_eq!(
            (asked.1.as_deref(), asked.2.as_deref()),
            (Some("manual_rollback"), Some("q1"))
        );
        let reply: Value = serde_json::from_slice(&reply.await.unwrap().payload).unwrap();
        assert_eq!(
            (&reply["status"], &reply["request_id"], &reply["host_id"]),
            (&status.into(), &"q1".into(), &HOST.into()),
            "{reply}"
        );
    }
    let apply = r#"{"request_id":"p-1","action":"apply_ebpf","artifact_id":"a7","targets":["db-02.example"]}"#;
    client
        .publish("actions.apply.ebpf", apply.into())
        .await
        .unwrap();
    client.flush().await.unwrap();
    let asked = tokio::time::timeout(PATIENCE, agent.requests.recv())
        .await
        .unwrap();
    assert!(matches!(asked, Some(Asked::Poll)));
}

/// Waits until somebody listens: a request then finds no `no responders`. It is garbage, so it asks for nothing.
async fn listening(client: &async_nats::Client, subject: &'static str) {
    let start = Instant::now();
    while client.request(subject, "?".into()).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "nobody listens on {subject}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn garbage_is_counted_answered_and_survived() {
    let Some(server) = Server::start("").await else {
        return;
    };
    let mut agent = Agent::open(server.settings());
    let client = server.client().await;
    listening(&client, REQUEST).await;
    let garbage: [&[u8]; 6] = [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{\"artifact_id\":{}}",
        b"null",
        &[b'['; 5000],
    ];
    for bytes in garbage {
        let reply = client
            .request(REQUEST, bytes.to_vec().into())
            .await
            .unwrap();
        let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
        assert_eq!(reply["status"], "invalid", "{reply}");
    }
    client
        .publish("actions.rollback.ebpf", "garbage for all".into())
        .await
        .unwrap();
    client
        .publish(REQUEST, r#"{"artifact_id":"a7"}"#.into())
        .await
        .unwrap();
    assert_eq!(
        agent.answer(Answered::Taken).await,
        ("a7".to_owned(), None, None)
    );
    let figures = agent
        .figures("all of it", |figures| figures.bad_requests >= 8)
        .await;
    assert_eq!(figures.requests, 1);
}

#[tokio::test]
async fn with_a_key_set_only_signed_requests_are_heard() {
    let Some(server) = Server::start("").await else {
        return;
    };
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let public = ring::signature::KeyPair::public_key(&pair)
        .as_ref()
        .try_into()
        .unwrap();
    let mut settings = server.settings();
    settings.nats.command_keys = vec![bpf_artifact::PublicKey::ed25519(public)];
    let mut agent = Agent::open(settings);
    let client = server.client().await;
    listening(&client, REQUEST).await;
    let body = r#"{"artifact_id":"a7"}"#;
    let reply = client.request(REQUEST, body.into()).await.unwrap();
    assert!(String::from_utf8_lossy(&reply.payload).contains("it is not signed"));

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .to_string();
    let signature = pair.sign(&seal::message(&now, REQUEST, body.as_bytes()));
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(seal::TIME, now.as_str());
    headers.insert(seal::SIGNATURE, STANDARD.encode(signature).as_str());
    let signed = || client.publish_with_headers(REQUEST, headers.clone(), body.into());
    signed().await.unwrap();
    assert_eq!(agent.answer(Answered::Taken).await.0, "a7");
    signed().await.unwrap();
    agent
        .figures("the replay", |figures| figures.bad_requests >= 3)
        .await;
    assert!(agent.requests.try_recv().is_err());
}

#[tokio::test]
async fn a_request_to_a_stream_waits_for_a_host_that_is_away() {
    let Some(server) = Server::start("").await else {
        return;
    };
    let context = jetstream::new(server.client().await);
    let stream = stream::Config {
        name: "COMMANDS".to_owned(),
        subjects: vec!["orchestrator.rollback.*".to_owned()],
        ..stream::Config::default()
    };
    context.create_stream(stream).await.unwrap();
    let send = async |id: &str| {
        let body = json!({"artifact_id": id, "request_id": id}).to_string();
        context
            .publish(REQUEST, body.into())
            .await
            .unwrap()
            .await
            .unwrap();
    };
    send("before").await;
    let mut settings = server.settings();
    settings.nats.commands_stream = Some("COMMANDS".to_owned());
    let mut agent = Agent::open(settings.clone());
    assert_eq!(agent.answer(Answered::Taken).await.0, "before");
    send("while").await;
    assert_eq!(agent.answer(Answered::Taken).await.0, "while");
    agent.figures("both", |figures| figures.requests == 2).await;
    tokio::time::timeout(PATIENCE, acknowledged(&context, 2))
        .await
        .unwrap();
    agent.line.close(PATIENCE).await;

    send("away").await;
    let mut next = Agent::open(settings);
    assert_eq!(
        next.answer(Answered::Taken).await.0,
        "away",
        "what was done is not done again"
    );
}

async fn acknowledged(context: &jetstream::Context, count: u64) {
    let stream = context.get_stream("COMMANDS").await.unwrap();
    loop {
        let info = stream
            .consumer_info("sigma-agent-db-02_example")
            .await
            .unwrap();
        if info.ack_floor.stream_sequence >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens a line and says something; `Err` holds what the line says of why it is not heard.
async fn is_heard(server: &Server, listener: async_nats::ConnectOptions, settings: Settings) {
    let listener = listener
        .connect(format!("127.0.0.1:{}", server.port))
        .await
        .unwrap();
    let mut said = listener.subscribe(STATUS).await.unwrap();
    listener.flush().await.unwrap();
    let agent = Agent::open(settings);
    agent.put(1..2, true);
    let heard = tokio::time::timeout(PATIENCE, said.next()).await;
    assert_eq!(heard.unwrap().unwrap().payload.as_ref(), br#"{"n":1}"#);
    agent
        .figures("nothing waits", |figures| figures.waiting == 0)
        .await;
}

#[tokio::test]
async fn a_token_is_read_anew_for_each_try() {
    let Some(server) = Server::start("authorization { token: right }").await else {
        return;
    };
    let token = server.file("token", "wrong\n");
    let mut settings = server.settings();
    settings.nats.token_file = Some(token.clone());
    let agent = Agent::open(settings.clone());
    let told = agent
        .figures("a refusal", |figures| figures.last_error.is_some())
        .await;
    let words = told.last_error.unwrap();
    assert!(
        words.contains("authorization violation") && !words.contains("wrong"),
        "{words}"
    );
    std::fs::write(&token, "right\n").unwrap();
    agent.connected().await;
    drop(agent);
    settings.folder.push("other");
    is_heard(
        &server,
        async_nats::ConnectOptions::with_token("right".to_owned()),
        settings,
    )
    .await;
}

#[tokio::test]
async fn user_and_password_come_in_too() {
    let Some(server) = Server::start("authorization { user: agent, password: secret }").await
    else {
        return;
    };
    let mut settings = server.settings();
    settings.nats.user = Some("agent".to_owned());
    settings.nats.password_file = Some(server.file("password", "secret\n"));
    let listener =
        async_nats::ConnectOptions::with_user_and_password("agent".into(), "secret".into());
    is_heard(&server, listener, settings).await;
}

fn user() -> KeyPair {
    KeyPair::new_from_raw(KeyPairType::User, [5; 32]).unwrap()
}

#[tokio::test]
async fn an_nkey_comes_in_too() {
    let user = user();
    let more = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        user.public_key()
    );
    let Some(server) = Server::start(&more).await else {
        return;
    };
    let seed = user.seed().unwrap();
    let mut settings = server.settings();
    settings.nats.nkey_file = Some(server.file("seed", &format!("{seed}\n")));
    is_heard(
        &server,
        async_nats::ConnectOptions::with_nkey(seed),
        settings,
    )
    .await;
}

/// A JSON web token as NATS has them, signed by `by`.
fn jwt(by: &KeyPair, about: &KeyPair, nats: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let body = encode(&json!({
        "jti": "any", "iat": 1_700_000_000, "iss": by.public_key(), "name": "test",
        "sub": about.public_key(), "nats": nats,
    }));
    let signature = by.sign(format!("{head}.{body}").as_bytes()).unwrap();
    format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_credentials_file_comes_in_too() {
    let operator = KeyPair::new_from_raw(KeyPairType::Operator, [1; 32]).unwrap();
    let account = KeyPair::new_from_raw(KeyPairType::Account, [2; 32]).unwrap();
    let user = user();
    let limits = json!({"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1,
        "data": -1, "payload": -1, "wildcards": true});
    let operator_token = jwt(
        &operator,
        &operator,
        &json!({"type": "operator", "version": 2}),
    );
    let account_token = jwt(
        &operator,
        &account,
        &json!({"type": "account", "version": 2, "limits": limits}),
    );
    let user_token = jwt(
        &account,
        &user,
        &json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}),
    );
    let more = format!(
        "operator: {operator_token}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_token} }}",
        account.public_key()
    );
    let Some(server) = Server::start(&more).await else {
        return;
    };
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let mut settings = server.settings();
    settings.nats.credentials_file = Some(server.file("agent.creds", &credentials));
    let listener = async_nats::ConnectOptions::with_credentials(&credentials).unwrap();
    is_heard(&server, listener, settings).await;
}

/// A CA, and a certificate by it for `localhost` with its key.
struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

fn certificates() -> Certificates {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    Certificates {
        certificate: certificate.signed_by(&key, &issuer).unwrap().pem(),
        key: key.serialize_pem(),
        ca,
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_ca_and_knows_the_agent_by_its_certificate() {
    let tls = "tls { cert_file: \"HERE/cert\", key_file: \"HERE/key\", ca_file: \"HERE/ca\", verify: true }";
    // The files have to be there before the server reads them.
    let Some(mut server) = Server::start("").await else {
        return;
    };
    server.kill();
    let made = certificates();
    let (ca, certificate) = (
        server.file("ca", &made.ca),
        server.file("cert", &made.certificate),
    );
    let key = server.file("key", &made.key);
    let here = server.folder.display().to_string();
    let config = std::fs::read_to_string(server.folder.join("nats.conf")).unwrap();
    server.file(
        "nats.conf",
        &format!("{config}\n{}\n", tls.replace("HERE", &here)),
    );
    server.restart().await;
    let mut settings = server.settings();
    settings.nats.urls = vec![format!("tls://localhost:{}", server.port)];
    settings.nats.client = Some((certificate.clone(), key.clone()));
    let other = server.file("other", &certificates().ca);
    settings.nats.ca = Some(other);
    let stranger = Agent::open(settings.clone());
    let told = stranger
        .figures("a refusal", |figures| figures.last_error.is_some())
        .await;
    assert!(
        told.last_error
            .as_ref()
            .unwrap()
            .contains("invalid peer certificate"),
        "{told:?}"
    );
    drop(stranger);

    settings.nats.ca = Some(ca.clone());
    settings.folder.push("other");
    let listener = async_nats::ConnectOptions::new()
        .add_root_certificates(ca)
        .add_client_certificate(certificate, key)
        .connect(format!("tls://localhost:{}", server.port))
        .await
        .unwrap();
    let mut said = listener.subscribe(STATUS).await.unwrap();
    listener.flush().await.unwrap();
    let agent = Agent::open(settings);
    agent.put(1..2, true);
    tokio::time::timeout(PATIENCE, said.next())
        .await
        .unwrap()
        .unwrap();
}

const HARDENED: &str = r#"authorization { users: [
    { user: watcher, password: w },
    { user: agent, password: secret, permissions: {
        publish: ["agent.telemetry.db-02_example", "agent.rollback.status.db-02_example"],
        subscribe: ["orchestrator.rollback.db-02_example"] } } ] }"#;

#[tokio::test]
async fn what_a_hardened_server_does_not_permit_is_told_and_the_rest_works() {
    let Some(server) = Server::start(HARDENED).await else {
        return;
    };
    let mut settings = server.settings();
    settings.nats.user = Some("agent".to_owned());
    settings.nats.password_file = Some(server.file("password", "secret"));
    let watcher =
        || async_nats::ConnectOptions::with_user_and_password("watcher".into(), "w".into());
    // Not even the inbox by which it hears itself is permitted.
    settings.nats.flat_subjects = false;
    is_heard(&server, watcher(), settings.clone()).await;

    settings.nats.flat_subjects = true;
    settings.folder.push("other");
    let agent = Agent::open(settings);
    agent.put(0..3, true);
    agent
        .figures("nothing waits", |figures| {
            figures.published == 3 && figures.waiting == 0
        })
        .await;
    let figures = agent
        .figures("complaints", |figures| figures.denied >= 2)
        .await;
    assert!(
        figures
            .last_error
            .unwrap()
            .to_lowercase()
            .contains("permissions violation")
    );
}
