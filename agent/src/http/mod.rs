//! The agent's HTTP server: where it listens and what it answers.

mod answer;
mod body;
mod connection;
mod listen;
mod metrics;
mod ports;
mod server;
mod status;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, header};
use periodic::Board;
use serde_json::json;

use crate::cli::Config;
use crate::keyfile::Token;
use crate::ports::Ports;
use crate::shared::Shared;
use crate::snapshot::Place;
use answer::{Answer, error, method_not_allowed, text};
pub(crate) use connection::Limits;
pub(crate) use listen::listen;
use metrics::Scrapes;
pub(crate) use ports::page as ports_page;
pub(crate) use server::serve;

/// Allocations that are answered in one second; an API that manages a host needs a few a day.
const ALLOCATIONS_PER_SECOND: u32 = 100;

/// Everything the routes show.
#[derive(Clone)]
pub(crate) struct Routes {
    pub(crate) shared: Arc<Shared>,
    pub(crate) board: Board,
    pub(crate) settings: tokio::sync::watch::Receiver<Arc<Config>>,
    pub(crate) place: Place,
    /// `None`: ports are not scanned.
    pub(crate) ports: Option<Arc<Ports>>,
    pub(crate) token: Option<Token>,
    /// Whether the metrics page also has node_exporter's names.
    pub(crate) node_compat: bool,
    pub(crate) pace: Arc<Pace>,
    pub(crate) scrapes: Arc<Scrapes>,
}

impl server::Handler for Routes {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if path != "/healthz" && !self.admits(&request) {
            let mut answer = error(
                StatusCode::UNAUTHORIZED,
                "this agent wants a token: `Authorization: Bearer …`",
            );
            answer.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
            return answer;
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/healthz" if reads => text(StatusCode::OK, "ok\n"),
            "/version" if reads => version(),
            "/status" if reads => status::status(self),
            "/metrics" if reads => metrics::metrics(self, &request).await,
            "/ports" if reads => ports::list(self.ports.as_deref(), request.uri().query()),
            "/ports/allocate" if request.method() == Method::POST => self.allocate(request).await,
            "/healthz" | "/version" | "/status" | "/metrics" | "/ports" => {
                method_not_allowed("GET, HEAD")
            }
            "/ports/allocate" => method_not_allowed("POST"),
            _ => match path.strip_prefix("/ports/allocate/") {
                Some(lease) if request.method() == Method::DELETE => {
                    ports::release(self.ports.as_ref(), lease)
                }
                Some(_) => method_not_allowed("DELETE"),
                None => error(
                    StatusCode::NOT_FOUND,
                    "no such page; there are /healthz, /metrics, /ports, /status and /version",
                ),
            },
        }
    }
}

impl Routes {
    fn admits(&self, request: &Request<Incoming>) -> bool {
        let brought = request
            .headers()
            .get(header::AUTHORIZATION)
            .map(header::HeaderValue::as_bytes);
        self.token
            .as_ref()
            .is_none_or(|token| token.is_brought_by(brought))
    }

    async fn allocate(&self, request: Request<Incoming>) -> Answer {
        if self.pace.admits(Instant::now()) {
            return ports::allocate(self.ports.as_ref(), request).await;
        }
        let mut answer = text(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many allocations in this second; try again in the next",
        );
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        answer
    }
}

/// Counts what happens in a second, and says when it is enough.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<(Instant, u32)>>);

impl Pace {
    fn admits(&self, now: Instant) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *second {
            Some((start, count)) if now.duration_since(*start) < Duration::from_secs(1) => {
                *count += 1;
                *count <= ALLOCATIONS_PER_SECOND
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }
}

fn version() -> Answer {
    let features: &[&str] = if cfg!(feature = "lab") { &["lab"] } else { &[] };
    answer::json(
        StatusCode::OK,
        &json!({ "name": "sigma-agent", "version": env!("CARGO_PKG_VERSION"), "architecture": std::env::consts::ARCH, "features": features }),
    )
}
