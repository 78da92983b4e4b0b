//! Part of the tests: a small HTTP server that answers by a closure, and one that writes raw bytes.
#![allow(dead_code, reason = "every test file uses its own part of it")]

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder()
        .status(status)
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) fn json(status: u16, body: &Value) -> Answer {
    answer(status, body.to_string())
}

/// Serves until the test's runtime ends.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            addr: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let (reply, asked) = (Arc::new(reply), server.asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, asked) = (reply.clone(), asked.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (reply, asked) = (reply.clone(), asked.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let request = Asked {
                            method: head.method.to_string(),
                            path: head.uri.to_string(),
                            headers: head.headers,
                            body: body.collect().await.unwrap().to_bytes().to_vec(),
                        };
                        asked.lock().unwrap().push(request.clone());
                        Ok::<_, Infallible>(reply(&request))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What arrived since the last look.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The paths that were asked for since the last look.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

/// Answers every connection with these bytes, over and over until the other side has had enough if `endless`; then
/// says nothing more for as long as the other side stays.
pub(crate) fn raw(head: &'static [u8], endless: &'static [u8]) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let mut open = stream.write_all(head).is_ok();
            while open && !endless.is_empty() {
                open = stream.write_all(endless).is_ok();
            }
            let _ = stream.read(&mut request);
        }
    });
    addr
}

/// A client that trusts nobody: these tests speak plain HTTP, whatever TLS the rest of a workspace builds reqwest with.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    let ring = rustls::crypto::ring::default_provider().into();
    let tls = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls)
}

pub(crate) fn client() -> reqwest::Client {
    builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}
