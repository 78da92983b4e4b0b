//! The API behind TLS: whom the agent trusts, what it shows, and what it says when the two do not agree.

use std::path::{Path, PathBuf};

use crate::parts::{Agent, Api, folder};
use crate::tls_front::{Authority, Front, Handshake, Identity};
use sigma_lab::Role;

/// A file of this test's own, for an option that names a file.
fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Starts an agent that trusts the authority in the file `ca` besides the system's.
fn start(url: &str, key: &str, ca: &Path, more: &[&str]) -> Agent {
    let ca = ca.to_str().unwrap();
    Agent::start(url, &[&["--api-key", key, "--api-ca", ca], more].concat())
}

/// An agent that has a client certificate and logs all it can.
fn start_with_identity(front: &Front, key: &str, ca: &Authority, identity: &Identity) -> Agent {
    let folder = folder("identity");
    let certificate = file(&folder, "client.pem", &identity.certificate);
    let private = file(&folder, "client.key", &identity.key);
    start(
        &front.url(),
        key,
        &file(&folder, "ca.pem", &ca.pem()),
        &[
            "--api-client-cert",
            certificate.to_str().unwrap(),
            "--api-client-key",
            private.to_str().unwrap(),
            "--log-level",
            "trace",
        ],
    )
}

/// Neither the log nor the status page holds any of these.
fn tells_nothing_of(agent: &Agent, key: &str, identity: &Identity) {
    let secrets = identity
        .key
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .chain([key]);
    let told = format!("{:?}{}", agent.log(), agent.status());
    for secret in secrets {
        assert!(secret.len() > 16, "{secret:?} is too short to look for");
        assert!(!told.contains(secret), "a secret is told: {told}");
    }
}

#[test]
fn it_registers_and_beats_through_tls_on_one_connection() {
    let (api, ca) = (Api::start(), Authority::new("ours"));
    let front = Front::start(&ca, None, api.port);
    let ca = file(&folder("ca"), "ca.pem", &ca.pem());
    let agent = start(&front.url(), &api.key(Role::Agent), &ca, &[]);
    let mut record = api.registered();
    for _ in 0..2 {
        record = api.beat_after(&record);
    }
    assert_eq!(agent.status()["api"]["url"], front.url());
    let agreed = Handshake {
        tls: "TLSv1_3".to_owned(),
        http: Some("http/1.1".to_owned()),
        client_certificate: false,
    };
    assert_eq!(front.handshakes(), [Ok(agreed)]);
}

#[test]
fn a_foreign_authority_is_sent_nothing_until_the_ca_file_names_it() {
    let (api, ca, foreign) = (
        Api::start(),
        Authority::new("ours"),
        Authority::new("foreign"),
    );
    let front = Front::start(&foreign, None, api.port);
    let trusted = file(&folder("ca"), "ca.pem", &ca.pem());
    let agent = start(&front.url(), &api.key(Role::Agent), &trusted, &[]);
    let task = agent.heartbeat_fails("certificate");
    let message = task["last_error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&front.url())
            && message.contains("invalid peer certificate: UnknownIssuer"),
        "{message}"
    );
    agent.logged("invalid peer certificate");
    let handshakes = front.handshakes();
    assert!(
        !handshakes.is_empty() && handshakes.iter().all(Result::is_err),
        "{handshakes:?}"
    );
    assert_eq!(api.record(), None);

    std::fs::write(&trusted, foreign.pem()).unwrap();
    agent.signal("HUP");
    api.registered();
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let (api, ca) = (Api::start(), Authority::new("ours"));
    let front = Front::start(&ca, None, api.port);
    let url = front.url().replace("127.0.0.1", "localhost");
    let ca = file(&folder("ca"), "ca.pem", &ca.pem());
    let agent = start(&url, &api.key(Role::Agent), &ca, &[]);
    agent.heartbeat_fails("certificate not valid for name \"localhost\"");
    assert!(front.handshakes().iter().all(Result::is_err));
    assert_eq!(api.record(), None);
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (api, ca, clients) = (
        Api::start(),
        Authority::new("ours"),
        Authority::new("clients"),
    );
    let front = Front::start(&ca, Some(&clients), api.port);
    let (key, identity) = (api.key(Role::Agent), clients.identity("agent"));
    let agent = start_with_identity(&front, &key, &ca, &identity);
    api.beat_after(&api.registered());
    let handshakes = front.handshakes();
    assert!(
        matches!(handshakes.as_slice(), [Ok(agreed)] if agreed.client_certificate),
        "{handshakes:?}"
    );
    tells_nothing_of(&agent, &key, &identity);
}

#[test]
fn a_client_certificate_of_a_foreign_authority_is_refused_in_clear_words() {
    let (api, ca, clients) = (
        Api::start(),
        Authority::new("ours"),
        Authority::new("clients"),
    );
    let front = Front::start(&ca, Some(&clients), api.port);
    let (key, identity) = (
        api.key(Role::Agent),
        Authority::new("foreign").identity("agent"),
    );
    let agent = start_with_identity(&front, &key, &ca, &identity);
    agent.heartbeat_fails("received fatal alert: UnknownCA");
    assert!(front.handshakes().iter().all(Result::is_err));
    assert_eq!(api.record(), None);
    tells_nothing_of(&agent, &key, &identity);
}

#[test]
fn a_missing_client_certificate_is_told_in_clear_words() {
    let (api, ca, clients) = (
        Api::start(),
        Authority::new("ours"),
        Authority::new("clients"),
    );
    let front = Front::start(&ca, Some(&clients), api.port);
    let trusted = file(&folder("ca"), "ca.pem", &ca.pem());
    let agent = start(&front.url(), &api.key(Role::Agent), &trusted, &[]);
    agent.heartbeat_fails("received fatal alert: CertificateRequired");
    assert!(front.handshakes().iter().all(Result::is_err));
    assert_eq!(api.record(), None);
}
