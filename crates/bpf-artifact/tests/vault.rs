//! The Vault client against a stand-in that answers in the shapes of the contract: transit, KV, tokens, health.
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
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bpf_artifact::http::{Endpoint, FetchError, Secret, Vault};
use bpf_artifact::{
    Algorithm, Candidate, FetchedKeys, KeyRing, Policy, SignedManifest, Trust, VaultKeys,
    manifest_message, vault_answer,
};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair,
};
use serde_json::{Map, Value, json};

use material::{Bench, DAY, archive, manifest, monday};
use server::{Answer, Asked, Server, client, json};

const TOKEN: &str = "hvs.CAESIJ-test";

fn transit(name: &str) -> VaultKeys {
    VaultKeys::Transit {
        mount: "transit".to_owned(),
        name: name.to_owned(),
    }
}

fn kv(path: &str, field: &str) -> VaultKeys {
    VaultKeys::Kv {
        mount: "secret".to_owned(),
        path: path.to_owned(),
        field: field.to_owned(),
    }
}

/// One version of a transit key.
enum Pair {
    Ed25519(Ed25519KeyPair),
    /// DER signatures, or (`jws`) those of fixed width.
    P256(EcdsaKeyPair, bool),
}

impl Pair {
    fn generate(kind: &str) -> Pair {
        let random = SystemRandom::new();
        if kind == "ed25519" {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            return Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap());
        }
        let jws = kind == "jws";
        let algorithm = if jws {
            &ECDSA_P256_SHA256_FIXED_SIGNING
        } else {
            &ECDSA_P256_SHA256_ASN1_SIGNING
        };
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Pair::P256(
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(),
            jws,
        )
    }

    /// As transit shows it: bare base64 for Ed25519, PEM for the others.
    fn public(&self) -> String {
        match self {
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key()),
            Pair::P256(pair, _) => {
                // SEQUENCE { SEQUENCE { ecPublicKey, prime256v1 }, BIT STRING } of the point that follows.
                let start = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
                let rest = STANDARD.encode(&pair.public_key().as_ref()[1..]);
                format!("-----BEGIN PUBLIC KEY-----\n{start}{rest}\n-----END PUBLIC KEY-----\n")
            }
        }
    }

    fn sign(&self, message: &[u8]) -> String {
        match self {
            Pair::Ed25519(pair) => STANDARD.encode(pair.sign(message)),
            Pair::P256(pair, jws) => {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
                if *jws {
                    engine.encode(signature)
                } else {
                    STANDARD.encode(signature)
                }
            }
        }
    }
}

/// A stand-in for a Vault server.
struct Safe {
    kind: &'static str,
    versions: BTreeMap<u32, Pair>,
    min_decryption_version: u32,
    sealed: bool,
    renewals: u64,
    /// Answers that are served as they are, by path.
    fixed: BTreeMap<&'static str, (u16, Value)>,
}

fn envelope(data: &Value) -> Value {
    json!({
        "request_id": "3c1a8e5e-0b1c-7b57-63ae-0f2c4b7b9d11", "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": data, "wrap_info": null, "warnings": null, "auth": null,
    })
}

fn errors(status: u16, texts: &[&str]) -> Answer {
    json(status, &json!({ "errors": texts }))
}

impl Safe {
    fn answer(&mut self, asked: &Asked) -> Answer {
        if asked.path == "/v1/sys/health" {
            let status = if self.sealed { 503 } else { 200 };
            return json(
                status,
                &json!({"initialized": true, "sealed": self.sealed, "standby": false,
                "server_time_utc": 1_767_600_000, "version": "1.16.3", "cluster_name": "x"}),
            );
        }
        if self.sealed {
            return errors(503, &["Vault is sealed"]);
        }
        if asked.header("x-vault-request") != Some("true") {
            return errors(412, &["missing request header"]);
        }
        if asked.header("x-vault-token") != Some(TOKEN) {
            return errors(403, &["permission denied"]);
        }
        if let Some((status, answer)) = self.fixed.get(asked.path.as_str()) {
            return json(*status, answer);
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/v1/transit/keys/bpf") => json(200, &envelope(&self.key())),
            ("POST", "/v1/transit/sign/bpf") => {
                let message = STANDARD
                    .decode(asked.json()["input"].as_str().unwrap())
                    .unwrap();
                let (version, pair) = self.versions.last_key_value().unwrap();
                let signature = format!("vault:v{version}:{}", pair.sign(&message));
                json(
                    200,
                    &envelope(&json!({"signature": signature, "key_version": version})),
                )
            }
            ("POST", "/v1/auth/token/renew-self") => {
                self.renewals += 1;
                let asked: u64 = asked.json()["increment"]
                    .as_str()
                    .map_or(3600, |text| text.trim_end_matches('s').parse().unwrap());
                let mut answer = envelope(&Value::Null);
                answer["auth"] = json!({"client_token": TOKEN, "accessor": "a", "policies": ["default"], "token_policies": ["default"],
                    "metadata": null, "lease_duration": asked, "renewable": true, "entity_id": "", "token_type": "service",
                    "orphan": true, "num_uses": 0});
                json(200, &answer)
            }
            _ => errors(404, &[]),
        }
    }

    fn key(&self) -> Value {
        let listed = self
            .versions
            .iter()
            .filter(|(version, _)| **version >= self.min_decryption_version);
        let keys: Map<String, Value> = listed
            .map(|(version, pair)| {
                let key = json!({"name": self.kind, "public_key": pair.public(), "certificate_chain": "", "creation_time": "T"});
                (version.to_string(), key)
            })
            .collect();
        json!({
            "name": "bpf", "type": if self.kind == "jws" { "ecdsa-p256" } else { self.kind }, "derived": false,
            "deletion_allowed": false, "exportable": false, "allow_plaintext_backup": false, "imported_key": false,
            "supports_encryption": false, "supports_decryption": false, "supports_derivation": false, "supports_signing": true,
            "latest_version": self.versions.len(), "min_available_version": 0,
            "min_decryption_version": self.min_decryption_version, "min_encryption_version": 0, "auto_rotate_period": 0,
            "keys": keys,
        })
    }
}

/// The stand-in with its hooks.
struct Stage {
    server: Server,
    safe: Arc<Mutex<Safe>>,
    vault: Vault,
}

impl Stage {
    async fn new(kind: &'static str) -> Stage {
        let safe = Safe {
            kind,
            versions: BTreeMap::from([(1, Pair::generate(kind))]),
            min_decryption_version: 1,
            sealed: false,
            renewals: 0,
            fixed: BTreeMap::new(),
        };
        let safe = Arc::new(Mutex::new(safe));
        let inside = safe.clone();
        let server = Server::start(move |asked| inside.lock().unwrap().answer(asked)).await;
        let endpoint = Endpoint::parse(&server.url())
            .unwrap()
            .token(Secret::parse(TOKEN).unwrap());
        Stage {
            vault: Vault::new(client(), endpoint).unwrap(),
            server,
            safe,
        }
    }

    fn seal(&self, sealed: bool) {
        self.safe.lock().unwrap().sealed = sealed;
    }

    fn rotate(&self) {
        let mut safe = self.safe.lock().unwrap();
        let (next, kind) = (safe.versions.keys().max().unwrap() + 1, safe.kind);
        safe.versions.insert(next, Pair::generate(kind));
    }

    fn retire_below(&self, version: u32) {
        self.safe.lock().unwrap().min_decryption_version = version;
    }

    fn fix(&self, path: &'static str, status: u16, answer: Value) {
        self.safe
            .lock()
            .unwrap()
            .fixed
            .insert(path, (status, answer));
    }

    async fn keys(&self) -> Result<FetchedKeys, FetchError> {
        self.vault.keys(&transit("bpf"), monday()).await
    }

    /// A manifest signed by the server, as a pipeline has it done.
    async fn signed(&self) -> Candidate {
        let archive = archive();
        let manifest = manifest(&archive).to_json().unwrap();
        let signature = self
            .vault
            .sign("transit", "bpf", &manifest_message(&manifest))
            .await
            .unwrap();
        Candidate {
            archive,
            manifest: Some(SignedManifest {
                manifest,
                signature,
            }),
            ..Candidate::default()
        }
    }
}

fn bench() -> Bench {
    Bench {
        keys: KeyRing::new(7 * DAY),
        ..Bench::new(Policy::Strict)
    }
}

#[tokio::test]
async fn what_vault_signs_is_trusted_by_the_keys_vault_shows() {
    for (kind, algorithm) in [
        ("ed25519", Algorithm::Ed25519),
        ("ecdsa-p256", Algorithm::EcdsaP256),
        ("jws", Algorithm::EcdsaP256),
    ] {
        let stage = Stage::new(kind).await;
        let keys = stage.keys().await.unwrap();
        assert_eq!(keys.versions[&1].algorithm(), algorithm);
        let mut bench = bench();
        bench.keys.replace(keys);
        let verified = bench.judge(stage.signed().await).unwrap();
        assert!(
            matches!(verified.trust(), Trust::Manifest(by) if by.source == "transit/bpf" && by.version == Some(1))
        );
    }
}

#[tokio::test]
async fn rotating_adds_and_retiring_revokes() {
    let stage = Stage::new("ed25519").await;
    let mut bench = bench();
    let old = stage.signed().await;
    bench.keys.replace(stage.keys().await.unwrap());
    let Trust::Manifest(running) = bench.judge(old.clone()).unwrap().trust().clone() else {
        panic!()
    };

    stage.rotate();
    let new = stage.signed().await;
    assert_eq!(
        bench.refuses(new.clone()),
        "unknown_key",
        "not refreshed yet"
    );
    bench.keys.replace(stage.keys().await.unwrap());
    assert!(bench.judge(old.clone()).is_ok() && bench.judge(new.clone()).is_ok());
    assert!(bench.keys.trusts(&running));

    stage.retire_below(2);
    bench.keys.replace(stage.keys().await.unwrap());
    assert_eq!(bench.refuses(old), "unknown_key");
    assert!(bench.judge(new).is_ok());
    assert!(!bench.keys.trusts(&running));
}

#[tokio::test]
async fn a_version_below_the_minimum_does_not_count_even_if_it_is_listed() {
    let stage = Stage::new("ed25519").await;
    stage.rotate();
    let mut key = stage.safe.lock().unwrap().key();
    key["min_decryption_version"] = json!(2);
    let keys =
        vault_answer::transit_keys(envelope(&key).to_string().as_bytes(), "t", monday()).unwrap();
    assert_eq!(keys.versions.into_keys().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn while_vault_is_sealed_the_keys_that_are_known_count_until_they_are_too_old() {
    let stage = Stage::new("ed25519").await;
    let signed = stage.signed().await;
    let mut bench = bench();
    bench.keys.replace(stage.keys().await.unwrap());
    stage.seal(true);
    let error = stage.keys().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "GET {}/v1/transit/keys/bpf: 503 Vault is sealed",
            stage.server.url()
        )
    );
    assert!(error.is_transient());
    assert_eq!(stage.vault.health().await.unwrap_err().status(), Some(503));
    assert!(bench.judge(signed.clone()).is_ok());
    bench.keys = KeyRing::new(DAY / 2);
    stage.seal(false);
    bench.keys.replace(stage.keys().await.unwrap());
    assert_eq!(bench.refuses(signed), "keys_too_old");
    assert_eq!(
        stage.vault.health().await.unwrap().version.as_deref(),
        Some("1.16.3")
    );
    assert_eq!(
        stage.vault.health().await.unwrap().server_time,
        Some(monday())
    );
}

#[tokio::test]
async fn keys_that_cannot_sign_are_refused_with_the_reason() {
    let stage = Stage::new("ed25519").await;
    let symmetric = json!({"name": "bpf", "type": "aes256-gcm96", "derived": false, "min_decryption_version": 1,
        "supports_signing": false, "keys": {"1": 1_767_600_000}});
    let mut derived = stage.safe.lock().unwrap().key();
    derived["derived"] = json!(true);
    let mut p384 = derived.clone();
    p384["type"] = json!("ecdsa-p384");
    for (key, reason) in [
        (
            symmetric,
            "the key transit/bpf is of type aes256-gcm96, whose signatures are not taken: make one of type ed25519, ecdsa-p256 or rsa-3072",
        ),
        (
            derived,
            "the key transit/bpf is derived: it has no public key of its own",
        ),
        (
            p384,
            "the key transit/bpf is of type ecdsa-p384, whose signatures are not taken: make one of type ed25519, ecdsa-p256 or rsa-3072",
        ),
    ] {
        stage.fix("/v1/transit/keys/bpf", 200, envelope(&key));
        let error = stage.keys().await.unwrap_err();
        assert!(error.to_string().ends_with(reason), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn rsa_keys_of_transit_are_read() {
    let pem = include_str!("fixtures/rsa2048.pub.pem");
    let key = json!({"type": "rsa-2048", "min_decryption_version": 1, "keys": {"1": {"name": "rsa-2048", "public_key": pem}}});
    let keys =
        vault_answer::transit_keys(envelope(&key).to_string().as_bytes(), "t", monday()).unwrap();
    assert_eq!(keys.versions[&1].algorithm(), Algorithm::Rsa);
}

#[tokio::test]
async fn a_public_key_in_kv_is_found_by_its_field() {
    let stage = Stage::new("ed25519").await;
    let answer: Value = serde_json::from_slice(include_bytes!("fixtures/vault-kv2.json")).unwrap();
    stage.fix("/v1/secret/data/bpf/signer%201", 200, answer.clone());
    let keys = stage
        .vault
        .keys(&kv("bpf/signer 1", "public_key"), monday())
        .await
        .unwrap();
    assert_eq!(
        (keys.unversioned.len(), keys.source.as_str()),
        (1, "secret/bpf/signer 1#public_key")
    );
    let error = stage
        .vault
        .keys(&kv("bpf/signer 1", "key"), monday())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has no text in its field \"key\""),
        "{error}"
    );

    // A deleted secret is a 404 with a body, a missing one a 404 without.
    let mut deleted = answer;
    deleted["data"]["data"] = Value::Null;
    deleted["data"]["metadata"]["deletion_time"] = json!("2026-01-05T08:00:00Z");
    stage.fix("/v1/secret/data/bpf/gone", 404, deleted.clone());
    let error = stage
        .vault
        .keys(&kv("bpf/gone", "k"), monday())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("404 the secret is deleted"),
        "{error}"
    );
    assert!(vault_answer::kv_keys(deleted.to_string().as_bytes(), "s", "k", monday()).is_err());
    let error = stage
        .vault
        .keys(&kv("bpf/none", "k"), monday())
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("404 Not Found"), "{error}");
}

#[tokio::test]
async fn a_token_tells_its_life_and_can_be_renewed() {
    let stage = Stage::new("ed25519").await;
    let lookup: Value =
        serde_json::from_slice(include_bytes!("fixtures/vault-lookup-self.json")).unwrap();
    stage.fix("/v1/auth/token/lookup-self", 200, lookup.clone());
    let state = stage.vault.token().await.unwrap();
    assert_eq!(
        (state.ttl, state.renewable),
        (Some(Duration::from_secs(3540)), Some(true))
    );
    assert_eq!(state.policies, ["default", "bpf-read"]);
    assert_eq!(
        stage
            .vault
            .renew(Some(Duration::from_secs(7200)))
            .await
            .unwrap()
            .ttl,
        Some(Duration::from_secs(7200))
    );
    assert_eq!(
        stage.vault.renew(None).await.unwrap().ttl,
        Some(Duration::from_secs(3600))
    );
    assert_eq!(stage.safe.lock().unwrap().renewals, 2);

    // A root token does not end, and says nothing about renewal.
    let mut root = lookup;
    root["data"]["ttl"] = json!(0);
    root["data"].as_object_mut().unwrap().remove("renewable");
    let state = vault_answer::token(root.to_string().as_bytes()).unwrap();
    assert_eq!((state.ttl, state.renewable), (None, None));
}

#[tokio::test]
async fn a_wrong_token_is_denied_and_not_shown() {
    let stage = Stage::new("ed25519").await;
    let endpoint = Endpoint::parse(&stage.server.url())
        .unwrap()
        .token(Secret::parse("hvs.wrong").unwrap());
    let vault = Vault::new(client(), endpoint).unwrap();
    let error = vault.keys(&transit("bpf"), monday()).await.unwrap_err();
    assert!(error.is_denied() && error.to_string().ends_with("403 permission denied"));
    assert!(!format!("{vault:?}{error:?}").contains("hvs.wrong"));
}

#[tokio::test]
async fn the_headers_are_those_that_vault_wants() {
    let stage = Stage::new("ed25519").await;
    stage.keys().await.unwrap();
    let asked = stage.server.asked().remove(0);
    assert_eq!(asked.header("x-vault-token"), Some(TOKEN));
    assert_eq!(asked.header("x-vault-request"), Some("true"));
    assert_eq!(asked.header("x-vault-namespace"), None);
    let within = stage.vault.clone().namespace("team/a").unwrap();
    within.keys(&transit("bpf"), monday()).await.unwrap();
    assert_eq!(
        stage.server.asked()[0].header("x-vault-namespace"),
        Some("team/a")
    );
    assert!(stage.vault.clone().namespace("a\nb").is_err());
}

#[tokio::test]
async fn standby_recovery_and_new_servers_are_told_apart_by_their_status() {
    for (status, transient) in [
        (429, true),
        (472, true),
        (473, true),
        (501, true),
        (503, true),
        (400, false),
        (404, false),
    ] {
        let server = Server::start(move |_| errors(status, &[])).await;
        let vault = Vault::new(client(), Endpoint::parse(&server.url()).unwrap()).unwrap();
        let error = vault.health().await.unwrap_err();
        assert_eq!(
            (error.status(), error.is_transient()),
            (Some(status), transient)
        );
    }
}

#[test]
fn keys_over_plain_http_to_another_machine_have_to_be_allowed() {
    let open = |url: &str| Endpoint::parse(url).unwrap();
    assert!(Vault::new(client(), open("http://vault.example:8200")).is_err());
    assert!(
        Vault::new(
            client(),
            open("http://vault.example:8200").allow_plain(true)
        )
        .is_ok()
    );
    assert!(Vault::new(client(), open("https://vault.example:8200")).is_ok());
    assert!(Vault::new(client(), open("http://localhost:8200")).is_ok());
}
