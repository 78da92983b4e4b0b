//! The agent's HTTP server: where it listens and what it answers.

mod answer;
#[cfg(feature = "sigma")]
mod body;
mod connection;
#[cfg(any(feature = "aegis", feature = "guest"))]
mod format;
#[cfg(feature = "guest")]
mod guest;
mod listen;
mod metrics;
#[cfg(feature = "sigma")]
mod pace;
#[cfg(feature = "page")]
mod page;
#[cfg(feature = "sigma")]
mod ports;
#[cfg(feature = "aegis")]
mod programs;
mod server;
mod status;

use std::sync::Arc;
#[cfg(feature = "sigma")]
use std::time::Instant;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, header};
use periodic::Board;
use serde_json::json;

use crate::cli::Config;
use crate::keyfile::Token;
use crate::place::Place;
#[cfg(feature = "sigma")]
use crate::ports::Ports;
use crate::shared::Shared;
use answer::{Answer, error, method_not_allowed, text};
pub(crate) use connection::Limits;
#[cfg(all(feature = "guest", feature = "terminal"))]
pub(crate) use guest::figures as guest_page;
pub(crate) use listen::{advice as listen_advice, listen, try_port};
pub(crate) use metrics::Scrapes;
#[cfg(feature = "terminal")]
pub(crate) use metrics::page_of_host;
#[cfg(feature = "page")]
pub(crate) use page::Live;
#[cfg(feature = "sigma")]
pub(crate) use ports::page as ports_page;
pub(crate) use server::serve;

/// Everything the routes show.
#[derive(Clone)]
pub(crate) struct Routes {
    pub(crate) shared: Arc<Shared>,
    pub(crate) board: Board,
    pub(crate) settings: tokio::sync::watch::Receiver<Arc<Config>>,
    pub(crate) place: Place,
    /// `None`: ports are not scanned.
    #[cfg(feature = "sigma")]
    pub(crate) ports: Option<Arc<Ports>>,
    /// `None`: the pages are not those that a guest's manager reads.
    #[cfg(feature = "guest")]
    pub(crate) guest: Option<tokio::sync::watch::Receiver<crate::loops::guest::Reading>>,
    /// `None`: no samples are pushed.
    #[cfg(feature = "luna")]
    pub(crate) outbox: Option<Arc<crate::push::Outbox>>,
    /// `None`: no programs are run.
    #[cfg(feature = "aegis")]
    pub(crate) desk: Option<Arc<crate::programs::Desk>>,
    /// What the live page shows besides.
    #[cfg(feature = "page")]
    pub(crate) live: Live,
    pub(crate) token: Option<Token>,
    /// Whether the metrics page also has node_exporter's names.
    #[cfg(feature = "sigma")]
    pub(crate) node_compat: bool,
    #[cfg(feature = "sigma")]
    pub(crate) pace: Arc<pace::Pace>,
    pub(crate) scrapes: Arc<Scrapes>,
}

impl server::Handler for Routes {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if !is_open(path) && !self.admits(&request) {
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
            #[cfg(feature = "aegis")]
            "/healthz" if reads && self.aegis().is_some() => self
                .aegis()
                .map_or_else(not_found, |desk| programs::health(self, desk)),
            "/healthz" if reads => text(StatusCode::OK, "ok\n"),
            #[cfg(feature = "page")]
            "/events" => page::events(self, &request),
            "/version" if reads => self.version(),
            "/status" if reads => status::status(self),
            #[cfg(feature = "guest")]
            "/health" if reads && self.guest.is_some() => guest::health(request.headers()),
            "/metrics" if reads => self.metrics(&request).await,
            "/healthz" | "/version" | "/status" | "/metrics" => method_not_allowed("GET, HEAD"),
            #[cfg(feature = "guest")]
            "/health" if self.guest.is_some() => method_not_allowed("GET, HEAD"),
            #[cfg(feature = "page")]
            _ if page::is_file(path) => page::file(&request),
            #[cfg(feature = "sigma")]
            _ if path == "/ports" || path.starts_with("/ports/") => self.ports(request).await,
            #[cfg(feature = "aegis")]
            _ if self.desk.is_some() && programs::PATHS.contains(&path) && !reads => {
                method_not_allowed("GET, HEAD")
            }
            #[cfg(feature = "aegis")]
            _ if programs::PATHS.contains(&path) => self
                .desk
                .as_ref()
                .map_or_else(not_found, |desk| programs::page(path, self, desk)),
            _ => not_found(),
        }
    }
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, NO_SUCH_PAGE)
}

/// Whether a path needs no token: health, and the live page's files, which hold nothing of this host.
fn is_open(path: &str) -> bool {
    #[cfg(feature = "page")]
    if page::is_file(path) {
        return true;
    }
    matches!(path, "/healthz" | "/health")
}

const NO_SUCH_PAGE: &str = if cfg!(feature = "sigma") {
    "no such page; / is for people, and there are /healthz, /metrics, /ports, /status and /version"
} else if cfg!(feature = "page") {
    "no such page; / is for people, and there are /healthz, /metrics, /status and /version"
} else {
    "no such page; there are /healthz, /metrics, /status and /version"
};

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

    /// The programs, where the pages are those of the aegis role.
    #[cfg(feature = "aegis")]
    fn aegis(&self) -> Option<&crate::programs::Desk> {
        let aegis = self.settings.borrow().role == crate::cli::Role::Aegis;
        self.desk.as_deref().filter(|_| aegis)
    }

    fn version(&self) -> Answer {
        #[cfg(feature = "aegis")]
        if let Some(desk) = self.aegis() {
            return programs::version(self, desk, build());
        }
        #[cfg(not(feature = "aegis"))]
        let _ = self;
        answer::json(StatusCode::OK, &build().into())
    }

    async fn metrics(&self, request: &Request<Incoming>) -> Answer {
        #[cfg(feature = "guest")]
        if let Some(reading) = &self.guest
            && !format::wants_prometheus(request.headers(), request.uri().query())
        {
            return guest::metrics(reading).await;
        }
        #[cfg(feature = "aegis")]
        if let Some(desk) = self.aegis()
            && !format::wants_prometheus(request.headers(), request.uri().query())
        {
            return programs::metrics(self, desk);
        }
        metrics::metrics(self, request).await
    }

    #[cfg(feature = "sigma")]
    async fn ports(&self, request: Request<Incoming>) -> Answer {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/ports" if reads => ports::list(self.ports.as_deref(), request.uri().query()),
            "/ports" => method_not_allowed("GET, HEAD"),
            "/ports/allocate" if request.method() == Method::POST => {
                if !self.pace.admits(Instant::now()) {
                    return ports::too_many();
                }
                ports::allocate(self.ports.as_ref(), request).await
            }
            "/ports/allocate" => method_not_allowed("POST"),
            path => match path.strip_prefix("/ports/allocate/") {
                Some(lease) if request.method() == Method::DELETE => {
                    ports::release(self.ports.as_ref(), lease)
                }
                Some(_) => method_not_allowed("DELETE"),
                None => error(StatusCode::NOT_FOUND, NO_SUCH_PAGE),
            },
        }
    }
}

/// What this program is.
fn build() -> serde_json::Map<String, serde_json::Value> {
    let features: &[&str] = &[
        #[cfg(feature = "lab")]
        "lab",
        #[cfg(feature = "sigma")]
        "sigma",
        #[cfg(feature = "luna")]
        "luna",
        #[cfg(feature = "guest")]
        "guest",
        #[cfg(feature = "aegis")]
        "aegis",
    ];
    let build = json!({ "name": "sigma-agent", "version": env!("CARGO_PKG_VERSION"), "architecture": std::env::consts::ARCH, "features": features });
    match build {
        serde_json::Value::Object(build) => build,
        _ => serde_json::Map::new(),
    }
}
