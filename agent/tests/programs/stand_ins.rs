//! Stand-ins for the registry and for Vault: test parts that answer in the shapes of the contract, over real sockets. And an agent that
//! works with them.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bpf_artifact::{Attach, Manifest, Metadata, SignedManifest, SigningKey, Target, pack};
use serde_json::{Map, Value, json};

use crate::ground::{Ground, object};
use crate::parts::{Agent, Played, binary, free_port, http, wait_for};

pub(crate) const HOST: &str = "db-02";

/// What is told of a program, on its page and in the `data` of every event, by the contract.
pub(crate) const TEN_FIELDS: [&str; 10] = [
    "artifact_id",
    "host_id",
    "timestamp",
    "status",
    "cpu_percent",
    "memory_kb",
    "packets_processed",
    "violations",
    "errors",
    "latency_ms",
];

/// What the registry holds.
#[derive(Default)]
struct Stock {
    entries: BTreeMap<String, Value>,
    archives: BTreeMap<String, Vec<u8>>,
    away: bool,
    listings: u64,
    downloads: Vec<String>,
}

/// A registry of the kind that is deployed: an object with `artifacts`, archives at `/artifacts/ID/binary`.
pub(crate) struct Registry {
    stock: Arc<Mutex<Stock>>,
    port: u16,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let stock: Arc<Mutex<Stock>> = Arc::default();
        let shelves = Arc::clone(&stock);
        let played = Played::start(move |request| {
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            Some(answer(&mut shelves.lock().unwrap(), &path))
        });
        Self {
            stock,
            port: played.port,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lists an artifact for the host of the tests.
    pub(crate) fn put(&self, id: &str, archive: &[u8], signed: Option<&SignedManifest>) {
        let metadata = signed.map(SignedManifest::to_metadata).unwrap_or_default();
        let entry = json!({
            "id": id, "name": id, "version": "1.0.0", "type": "program", "architecture": "x86_64",
            "size": archive.len(), "checksum": bpf_artifact::Digest::of(archive).to_string(),
            "created_at": "2026-01-05T08:00:00.123456789Z", "metadata": metadata, "hosts": [HOST],
        });
        let mut stock = self.stock.lock().unwrap();
        stock.entries.insert(id.to_owned(), entry);
        stock.archives.insert(id.to_owned(), archive.to_vec());
    }

    pub(crate) fn remove(&self, id: &str) {
        self.stock.lock().unwrap().entries.remove(id);
    }

    /// Whether it answers everything with 503.
    pub(crate) fn away(&self, away: bool) {
        self.stock.lock().unwrap().away = away;
    }

    pub(crate) fn downloads(&self) -> usize {
        self.stock.lock().unwrap().downloads.len()
    }

    /// Waits until the agent has asked for so many further listings.
    pub(crate) fn polled(&self, more: u64) {
        let seen = || self.stock.lock().unwrap().listings;
        let until = seen() + more;
        wait_for("the agent's polls", || (seen() >= until).then_some(()));
    }
}

fn answer(stock: &mut Stock, path: &str) -> Vec<u8> {
    const JSON: &str = "content-type: application/json\r\n";
    if stock.away {
        return http("503 Service Unavailable", JSON, r#"{"error":"down"}"#);
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz"] => http("200 OK", JSON, r#"{"status":"healthy","version":"1.0.0"}"#),
        ["artifacts", "for-host", HOST] => {
            stock.listings += 1;
            let artifacts: Vec<&Value> = stock.entries.values().collect();
            let total = artifacts.len();
            let body = json!({ "artifacts": artifacts, "total": total });
            http("200 OK", JSON, &body.to_string())
        }
        ["artifacts", id, "binary"] => match stock.archives.get(*id) {
            Some(archive) => {
                stock.downloads.push((*id).to_owned());
                let mut bytes = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    archive.len()
                )
                .into_bytes();
                bytes.extend(archive);
                bytes
            }
            None => http("404 Not Found", JSON, r#"{"error":"not found"}"#),
        },
        _ => http("404 Not Found", JSON, r#"{"error":"not found"}"#),
    }
}

/// A Vault with one transit key, and a KV store with one secret.
pub(crate) struct Vault {
    key: Arc<Mutex<Value>>,
    secret: Arc<Mutex<Value>>,
    port: u16,
}

impl Vault {
    pub(crate) fn start(signer: &SigningKey) -> Self {
        let public = signer.public_key().to_base64().unwrap();
        let key = json!({ "data": {
            "name": "signing", "type": "ed25519", "derived": false, "latest_version": 1, "min_decryption_version": 1,
            "keys": { "1": { "name": "ed25519", "public_key": public, "creation_time": "2026-01-05T08:00:00Z" } }
        }});
        let key = Arc::new(Mutex::new(key));
        let secret = Arc::new(Mutex::new(Value::Null));
        let (answer, kept) = (Arc::clone(&key), Arc::clone(&secret));
        let played = Played::start(move |request| {
            let path = request.split(' ').nth(1).unwrap_or_default();
            let knows = request
                .to_ascii_lowercase()
                .contains("x-vault-token: the-token");
            Some(match path {
                _ if !knows => http("403 Forbidden", "", r#"{"errors":["permission denied"]}"#),
                "/v1/transit/keys/signing" => {
                    http("200 OK", "", &answer.lock().unwrap().to_string())
                }
                "/v1/secret/data/bpf-registry/signer" => secret_answer(&kept.lock().unwrap()),
                _ => http("404 Not Found", "", r#"{"errors":[]}"#),
            })
        });
        Self {
            key,
            secret,
            port: played.port,
        }
    }

    /// Writes the next version of the secret, with these keys in its field `keys`; without any, it is deleted.
    pub(crate) fn keep(&self, keys: &[&Signer]) {
        let mut secret = self.secret.lock().unwrap();
        let version = secret["data"]["metadata"]["version"].as_u64().unwrap_or(0) + 1;
        let keys: Vec<String> = keys.iter().map(|signer| signer.public()).collect();
        let deleted = keys.is_empty();
        *secret = json!({
            "request_id": "c9a4b1d2-52c6-41d2-8d2b-1b1f6a5f0f4b", "lease_id": "", "renewable": false, "lease_duration": 0,
            "data": {
                "data": if deleted { Value::Null } else { json!({ "keys": keys.join("\n") }) },
                "metadata": {
                    "created_time": "2026-01-05T08:00:00.1Z", "custom_metadata": null, "destroyed": false, "version": version,
                    "deletion_time": if deleted { "2026-01-06T08:00:00.1Z" } else { "" },
                },
            },
            "wrap_info": null, "warnings": null, "auth": null, "mount_type": "kv",
        });
    }

    /// How an agent is told of it, with a file for its token.
    pub(crate) fn arguments(&self, ground: &Ground) -> [String; 6] {
        let token = ground.folder.join("token");
        std::fs::write(&token, "the-token\n").unwrap();
        let url = format!("http://127.0.0.1:{}", self.port);
        let token = token.to_str().unwrap();
        [
            "--vault-url",
            &url,
            "--vault-token-file",
            token,
            "--vault-refresh",
            "1",
        ]
        .map(str::to_owned)
    }

    /// Adds a second version and says that the first does not count any more.
    pub(crate) fn revoke_first(&self, second: &SigningKey) {
        let public = second.public_key().to_base64().unwrap();
        let mut key = self.key.lock().unwrap();
        key["data"]["keys"] = json!({ "2": { "public_key": public } });
        key["data"]["min_decryption_version"] = json!(2);
    }
}

/// What a KV store of version 2 answers: 404 without a body where nothing is, and with one where something was.
fn secret_answer(secret: &Value) -> Vec<u8> {
    match secret.pointer("/data/data") {
        None => http("404 Not Found", "", r#"{"errors":[]}"#),
        Some(Value::Null) => http("404 Not Found", "", &secret.to_string()),
        Some(_) => http("200 OK", "", &secret.to_string()),
    }
}

/// The one who signs, and what is signed.
pub(crate) struct Signer(pub(crate) SigningKey);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(SigningKey::generate().unwrap().0)
    }

    pub(crate) fn public(&self) -> String {
        self.0.public_key().to_base64().unwrap()
    }

    pub(crate) fn sign(&self, manifest: &Manifest) -> SignedManifest {
        self.0.sign_manifest(manifest).unwrap()
    }
}

pub(crate) fn archive(name: &str) -> Vec<u8> {
    pack(&object(name), &Metadata::default()).unwrap()
}

/// A manifest for the host of the tests that is valid now.
pub(crate) fn manifest(archive: &[u8], name: &str, serial: u64) -> Manifest {
    let now = SystemTime::now();
    Manifest {
        hosts: vec![HOST.to_owned()],
        ttl_sec: Some(3600),
        ..Manifest::new(
            archive,
            name,
            "1.0.0",
            serial,
            now..now + Duration::from_secs(86_400),
        )
    }
}

/// The program `program` on the interface of this side.
pub(crate) fn on_here(program: &str) -> Attach {
    Attach {
        program: program.to_owned(),
        to: Target::Interface {
            name: "here".to_owned(),
            direction: None,
            mode: None,
        },
    }
}

/// The guard that drops datagrams to these ports.
pub(crate) fn drops(archive: &[u8], serial: u64, ports: &[u16]) -> Manifest {
    let ports: Map<String, Value> = ports
        .iter()
        .map(|port| (port.to_string(), json!(1)))
        .collect();
    let mut parameters = Map::new();
    parameters.insert("ports".to_owned(), ports.into());
    Manifest {
        attach: vec![on_here("guard")],
        parameters: Some(parameters),
        limits: bpf_artifact::ProgramLimits {
            max_violations: Some(1_000_000),
            ..Default::default()
        },
        ..manifest(archive, "guard", serial)
    }
}

/// An agent of the aegis role that asks every second.
pub(crate) fn agent(ground: &Ground, registry: &str, more: &[&str]) -> Agent {
    let (mut command, port) = agent_command(ground, registry, more);
    Agent::spawn(&mut command, port)
}

/// How such an agent is started, and the port of its pages.
pub(crate) fn agent_command(ground: &Ground, registry: &str, more: &[&str]) -> (Command, u16) {
    let port = free_port();
    let port_text = port.to_string();
    let place = |name: &str| ground.folder.join(name).to_str().unwrap().to_owned();
    let (state, cache, pins) = (place("state"), place("cache"), place("bpf/pins"));
    let config = ground.folder.join("agent.yaml");
    std::fs::write(&config, "").unwrap();
    let mut args = vec!["--role", "aegis", "--config", config.to_str().unwrap()];
    for (flag, value) in [
        ("--registry-url", registry),
        ("--host-id", HOST),
        ("--metrics-port", &port_text),
        ("--programs-state-dir", &state),
        ("--cache-dir", &cache),
        ("--pins-dir", &pins),
        ("--poll-interval", "1"),
        ("--nats-url", "off"),
        ("--log-output", "stderr"),
    ] {
        if !more.contains(&flag) {
            args.extend([flag, value]);
        }
    }
    args.extend(more);
    (binary(&args), port)
}

/// A page of the agent as JSON.
pub(crate) fn page(agent: &Agent, path: &str) -> Value {
    let answer = agent.get(path);
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {answer:?}"))
}

/// What `/programs` says of an artifact.
pub(crate) fn program(agent: &Agent, id: &str) -> Option<Value> {
    let page = page(agent, "/programs");
    let mut programs = page["programs"].as_array().unwrap().iter();
    programs.find(|one| one["artifact_id"] == id).cloned()
}

/// Waits until an artifact has a status; the page says what it is instead.
pub(crate) fn becomes(agent: &Agent, id: &str, status: &str) -> Value {
    wait_for(
        &format!("{id} to be {status}; {:?}", agent.log().last()),
        || program(agent, id).filter(|one| one["status"] == status),
    )
}

/// Waits until an artifact is not there any more.
pub(crate) fn goes(agent: &Agent, id: &str) {
    wait_for(&format!("the end of {id}"), || {
        program(agent, id)
            .is_none_or(|one| one["status"] != "running")
            .then_some(())
    });
}
