//! The agent's HTTP server: where it listens and what it answers.

mod answer;
mod connection;
mod listen;
mod server;
mod status;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use periodic::Board;
use serde_json::json;

use crate::cli::Config;
use crate::shared::Shared;
use answer::{Answer, error, method_not_allowed};
pub(crate) use connection::Limits;
pub(crate) use listen::listen;
pub(crate) use server::serve;

/// Everything the routes show.
#[derive(Clone)]
pub(crate) struct Routes {
    pub(crate) shared: Arc<Shared>,
    pub(crate) board: Board,
    pub(crate) settings: tokio::sync::watch::Receiver<Arc<Config>>,
}

impl server::Handler for Routes {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let page = match request.uri().path() {
            "/healthz" => || answer::text(StatusCode::OK, "ok\n"),
            "/version" => version,
            "/status" => return self.get(&request, || status::status(self)),
            _ => {
                return error(
                    StatusCode::NOT_FOUND,
                    "no such page; there are /healthz, /status and /version",
                );
            }
        };
        self.get(&request, page)
    }
}

impl Routes {
    fn get(&self, request: &Request<Incoming>, page: impl FnOnce() -> Answer) -> Answer {
        match *request.method() {
            Method::GET | Method::HEAD => page(),
            _ => method_not_allowed("GET, HEAD"),
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
