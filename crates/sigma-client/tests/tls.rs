//! TLS against a real server with certificates made for the test.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failing test is meant to stop, in its helpers too"
)]
#![cfg(feature = "tls")]

mod byte_server;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use byte_server::captured;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use sigma_client::{Client, ClientBuilder, ConfigError, Error, Heartbeat, SystemInfo};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

struct Setup {
    identity: Identity,
    protocols: &'static [&'static str],
    clients_of: Option<String>,
}

/// Which HTTP each request came by, and on which connection.
type Log = Receiver<(Version, usize)>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, authority).unwrap().pem();
    Identity {
        certificate,
        key: key.serialize_pem(),
    }
}

fn server_config(setup: &Setup) -> ServerConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions();
    let builder = match &setup.clients_of {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
        None => builder.unwrap().with_no_client_auth(),
    };
    let chain =
        vec![CertificateDer::from_pem_slice(setup.identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(setup.identity.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = setup
        .protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    config
}

/// Answers every request with a captured record, by the HTTP that was agreed on.
async fn serve(setup: Setup) -> (SocketAddr, Log) {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&setup)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, log) = channel();
    let sender = Arc::new(Mutex::new(sender));
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, sender) = (acceptor.clone(), Arc::clone(&sender));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(move |request: Request<_>| {
                    let _ = sender.lock().unwrap().send((request.version(), connection));
                    let body = captured("api-hb-200")["response"]["body_raw"]
                        .as_str()
                        .unwrap()
                        .to_owned();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
                });
                let stream = TokioIo::new(stream);
                if is_h2 {
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(stream, service).await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(stream, service)
                        .await;
                }
            });
        }
    });
    (addr, log)
}

fn beat() -> Heartbeat {
    Heartbeat {
        hostname: "h".to_owned(),
        ip_addresses: Vec::new(),
        system_info: SystemInfo::default(),
    }
}

/// A client that trusts this authority alone, so that no test depends on the machine's roots.
fn trusting(authority: &Authority, addr: SocketAddr) -> ClientBuilder {
    Client::builder(&format!("https://{addr}/api"))
        .system_roots(false)
        .ca_pem(authority.pem().as_bytes())
}

/// Why a client of `trusted` does not talk to a server with an identity of `authority`.
async fn refusal(authority: &Authority, trusted: &Authority, identity: Identity) -> String {
    assert!(!authority.pem().is_empty());
    let (addr, log) = serve(Setup {
        identity,
        protocols: &[],
        clients_of: None,
    })
    .await;
    let error = trusting(trusted, addr)
        .build()
        .unwrap()
        .heartbeat(&beat())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Transport { .. }) && error.is_transient(),
        "{error:?}"
    );
    assert!(log.try_recv().is_err(), "a request was sent");
    error.to_string()
}

#[tokio::test]
async fn an_own_authority_is_trusted_and_http_2_is_used_on_one_connection() {
    let ca = authority();
    let identity = identity(&ca, "127.0.0.1", |_| ());
    let (addr, log) = serve(Setup {
        identity,
        protocols: &["h2", "http/1.1"],
        clients_of: None,
    })
    .await;
    let client = trusting(&ca, addr).build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.heartbeat(&beat()).await.unwrap().hostname, "h-full");
    }
    let seen: Vec<_> = log.try_iter().collect();
    assert_eq!(seen, [(Version::HTTP_2, 0); 3]);
}

#[tokio::test]
async fn http_1_is_used_where_nothing_else_is_offered() {
    let ca = authority();
    let identity = identity(&ca, "127.0.0.1", |_| ());
    let (addr, log) = serve(Setup {
        identity,
        protocols: &[],
        clients_of: None,
    })
    .await;
    let client = trusting(&ca, addr).build().unwrap();
    for _ in 0..2 {
        client.heartbeat(&beat()).await.unwrap();
    }
    assert_eq!(
        log.try_iter().collect::<Vec<_>>(),
        [(Version::HTTP_11, 0); 2]
    );
}

#[tokio::test]
async fn a_certificate_of_a_foreign_authority_is_refused() {
    let (ca, foreign) = (authority(), authority());
    let text = refusal(&foreign, &ca, identity(&foreign, "127.0.0.1", |_| ())).await;
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let ca = authority();
    let expired = identity(&ca, "127.0.0.1", |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let text = refusal(&ca, &ca, expired).await;
    assert!(text.contains("certificate expired"), "{text}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ca = authority();
    let text = refusal(&ca, &ca, identity(&ca, "other.example", |_| ())).await;
    assert!(text.contains("not valid for name"), "{text}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_the_server_asks() {
    let ca = authority();
    let setup = Setup {
        identity: identity(&ca, "127.0.0.1", |_| ()),
        protocols: &["h2"],
        clients_of: Some(ca.pem()),
    };
    let (addr, log) = serve(setup).await;
    let own = identity(&ca, "agent", |_| ());
    let with =
        trusting(&ca, addr).client_identity_pem(own.certificate.as_bytes(), own.key.as_bytes());
    with.build().unwrap().heartbeat(&beat()).await.unwrap();
    assert_eq!(log.try_iter().count(), 1);

    let without = trusting(&ca, addr).build().unwrap();
    let error = without.heartbeat(&beat()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");

    let stranger = authority();
    let foreign = identity(&stranger, "agent", |_| ());
    let with = trusting(&ca, addr)
        .client_identity_pem(foreign.certificate.as_bytes(), foreign.key.as_bytes());
    let error = with.build().unwrap().heartbeat(&beat()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert_eq!(log.try_iter().count(), 0);
}

#[tokio::test]
async fn a_peer_that_never_answers_the_handshake_is_a_connect_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ca = authority();
    let builder =
        trusting(&ca, listener.local_addr().unwrap()).connect_timeout(Duration::from_millis(200));
    let error = builder
        .build()
        .unwrap()
        .heartbeat(&beat())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                connecting: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().ends_with(": no connection within 200ms"),
        "{error}"
    );
}

#[tokio::test]
async fn plain_http_from_an_https_port_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let client = trusting(&authority(), addr).build().unwrap();
    let error = client.heartbeat(&beat()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
}

#[test]
fn https_without_any_root_says_what_to_do() {
    let error = Client::builder("https://sigma.example/api")
        .system_roots(false)
        .build()
        .unwrap_err();
    assert!(matches!(error, ConfigError::Tls(_)));
    let text =
        "TLS: no CA certificates found: install the package ca-certificates or give a CA file";
    assert_eq!(error.to_string(), text);
}

#[test]
fn http_needs_no_roots() {
    Client::builder("http://sigma.example/api")
        .system_roots(false)
        .build()
        .unwrap();
}

#[test]
fn unusable_certificates_and_keys_are_refused_at_once() {
    let ca = authority();
    let (one, two) = (identity(&ca, "a", |_| ()), identity(&ca, "b", |_| ()));
    let builder = || Client::builder("http://sigma.example/api");
    let reason = |builder: ClientBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(
        reason(builder().ca_pem(b"no PEM")),
        "TLS: the CA holds no PEM certificate"
    );
    let cut: String = ca.pem().chars().take(200).collect();
    assert!(reason(builder().ca_pem(cut.as_bytes())).starts_with("TLS: the CA cannot be read: "));
    let (certificate, key) = (one.certificate.as_bytes(), two.key.as_bytes());
    let mixed = reason(builder().client_identity_pem(certificate, key));
    assert!(
        mixed.starts_with("TLS: ") && !mixed.contains("PRIVATE"),
        "{mixed}"
    );
    let keyless = reason(builder().client_identity_pem(certificate, b""));
    assert!(
        keyless.starts_with("TLS: the client key cannot be read: "),
        "{keyless}"
    );
}
