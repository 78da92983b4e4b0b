//! A TLS server in front of a plain one: it ends TLS and forwards bytes, as a reverse proxy does.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};

/// Who signs certificates, made for one run.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// Two of the same name would be told apart by their signatures alone, which real ones never are.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a DNS name or an address.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// What client and server agreed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Handshake {
    pub(crate) tls: String,
    pub(crate) http: Option<String>,
    pub(crate) client_certificate: bool,
}

/// Every handshake so far: what was agreed on, or why there is none.
type Handshakes = Arc<Mutex<Vec<Result<Handshake, String>>>>;

/// The server, on a thread of its own.
pub(crate) struct Front {
    pub(crate) port: u16,
    handshakes: Handshakes,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Front {
    /// Shows a certificate of `authority` for 127.0.0.1, speaks HTTP/1.1 alone and forwards to the port `behind`. With `clients_of`,
    /// clients must show a certificate of that authority.
    pub(crate) fn start(
        authority: &Authority,
        clients_of: Option<&Authority>,
        behind: u16,
    ) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(config(&authority.identity("127.0.0.1"), clients_of));
        let handshakes = Handshakes::default();
        let (stop, stopped) = oneshot::channel();
        let log = Arc::clone(&handshakes);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::spawn(accept(listener, TlsAcceptor::from(config), behind, log));
                drop(stopped.await);
            });
        });
        Self {
            port,
            handshakes,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/api", self.port)
    }

    pub(crate) fn handshakes(&self) -> Vec<Result<Handshake, String>> {
        self.handshakes.lock().unwrap().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn config(identity: &Identity, clients_of: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients_of {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&authority.pem())).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut config = builder
        .with_single_cert(vec![certificate(&identity.certificate)], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

async fn accept(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    behind: u16,
    log: Handshakes,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(forward(stream, acceptor.clone(), behind, Arc::clone(&log)));
    }
}

/// One connection: the server behind is dialled only after a good handshake.
async fn forward(client: TcpStream, acceptor: TlsAcceptor, behind: u16, log: Handshakes) {
    // Without this, Nagle's algorithm would hold back the small records of an answer.
    let _ = client.set_nodelay(true);
    let accepted = acceptor.accept(client).await;
    let told = accepted
        .as_ref()
        .map(|stream| agreed(stream.get_ref().1))
        .map_err(ToString::to_string);
    log.lock().unwrap().push(told);
    let Ok(mut client) = accepted else {
        return;
    };
    if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, behind)).await {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

fn agreed(connection: &ServerConnection) -> Handshake {
    let http = connection.alpn_protocol();
    Handshake {
        tls: format!("{:?}", connection.protocol_version().unwrap()),
        http: http.map(|name| String::from_utf8_lossy(name).into_owned()),
        client_certificate: connection.peer_certificates().is_some(),
    }
}
