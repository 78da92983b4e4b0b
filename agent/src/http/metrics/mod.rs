//! `GET /metrics`: the ports, the host and the agent itself, read at the moment of the request.

mod agent;
mod host;
mod kept;
#[cfg(feature = "sigma")]
mod node;
#[cfg(feature = "sigma")]
mod ports;
#[cfg(feature = "aegis")]
mod programs;
#[cfg(feature = "luna")]
mod push;
#[cfg(feature = "sigma")]
mod sigma;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use promexport::{Format, Gauge, LabelName, Page, VARY};
use tokio::sync::Semaphore;

use super::Routes;
use super::answer::{Answer, error, whole};
use kept::Kept;

/// What every series carries: the dashboards of today select and join by it.
const HOSTNAME: LabelName = LabelName::new("hostname");

static SOURCE_UP: Gauge<1> = Gauge::new(
    "sigma_source_up",
    "Whether this source could be read for this page.",
    ["source"],
);
static SOURCE_SECONDS: Gauge<1> = Gauge::new(
    "sigma_source_duration_seconds",
    "How long reading this source took.",
    ["source"],
);

/// How a source of figures did.
struct Source {
    name: &'static str,
    up: bool,
    took: Duration,
}

/// A page being written, and how each source did. A sick one leaves its figures out and touches no other.
struct Writing {
    page: Page,
    sources: Vec<Source>,
    /// The sources that were asked for; empty: all.
    wanted: Vec<String>,
}

/// The page as a text file, without what it says of the process that writes it.
#[cfg(feature = "terminal")]
pub(crate) fn page_of_host(routes: &Routes) -> Vec<u8> {
    let mut writing = begun(routes, Format::negotiate(None), Vec::new());
    write_host(&mut writing, routes);
    writing.finish()
}

impl Writing {
    /// Runs one source. What this kernel or container does not have is absent, not broken.
    fn source<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce() -> sysinfo_linux::Result<T>,
        write: impl FnOnce(&mut Page, T),
    ) {
        if !self.wants(name) {
            return;
        }
        let start = Instant::now();
        let up = match read() {
            Ok(value) => {
                write(&mut self.page, value);
                true
            }
            Err(error) if error.is_missing() => return,
            Err(error) => {
                tracing::debug!(source = name, %error, "cannot be read");
                false
            }
        };
        self.sources.push(Source {
            name,
            up,
            took: start.elapsed(),
        });
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == name)
    }

    fn finish(mut self) -> Vec<u8> {
        for source in &self.sources {
            self.page.gauge(&SOURCE_UP, [source.name], source.up);
            self.page.gauge(&SOURCE_SECONDS, [source.name], source.took);
        }
        self.page.finish()
    }
}

/// How long a scrape waits for the one before it.
const PATIENCE: Duration = Duration::from_secs(8);

/// What scrapes share: one at a time reads the host, so that a sick disk can hold up no more than one thread.
#[derive(Debug)]
pub(crate) struct Scrapes {
    turn: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

impl Default for Scrapes {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            kept: Mutex::default(),
        }
    }
}

/// Answers a scrape; the host is read on a thread that may block.
pub(super) async fn metrics(routes: &Routes, request: &Request<Incoming>) -> Answer {
    let format = Format::negotiate(bytes(request.headers(), header::ACCEPT.as_str()));
    let packed =
        promexport::accepts_gzip(bytes(request.headers(), header::ACCEPT_ENCODING.as_str()));
    let wanted = wanted(request.uri().query().unwrap_or_default());
    let turn = Arc::clone(&routes.scrapes.turn).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, turn).await else {
        return error(
            StatusCode::SERVICE_UNAVAILABLE,
            "an earlier scrape still waits for this host",
        );
    };
    let routes = routes.clone();
    let body = tokio::task::spawn_blocking(move || {
        let body = page(&routes, format, wanted);
        drop(turn);
        if packed {
            promexport::gzip(&body)
        } else {
            body
        }
    });
    match body.await {
        Ok(body) => answer(format, packed, body),
        Err(_) => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page could not be written",
        ),
    }
}

/// `collect[]=cpu&collect[]=memory`, as node_exporter has it; nothing asked for is everything.
fn wanted(query: &str) -> Vec<String> {
    let name = |part: &str| {
        let name = ["collect[]=", "collect%5B%5D=", "collect%5b%5d="]
            .iter()
            .find_map(|key| part.strip_prefix(key))?;
        Some(name.to_owned())
    };
    query.split('&').filter_map(name).collect()
}

/// The page: all of it, or the sources that are wanted.
fn page(routes: &Routes, format: Format, wanted: Vec<String>) -> Vec<u8> {
    let mut writing = begun(routes, format, wanted);
    write_host(&mut writing, routes);
    if writing.wants("agent") {
        agent::write(&mut writing.page, &routes.shared, &routes.board.snapshot());
        #[cfg(feature = "sigma")]
        if routes.settings.borrow().sigma.is_some() {
            sigma::write(&mut writing.page, &routes.shared.sigma);
        }
        #[cfg(feature = "luna")]
        if let Some(outbox) = &routes.outbox {
            push::write(&mut writing.page, &outbox.totals());
        }
        #[cfg(feature = "aegis")]
        if let Some(desk) = &routes.desk {
            programs::write(&mut writing.page, desk);
        }
    }
    writing.finish()
}

fn begun(routes: &Routes, format: Format, wanted: Vec<String>) -> Writing {
    let mut page = Page::new(format);
    if let Some(hostname) = hostname(routes) {
        page.constant(HOSTNAME, hostname);
    }
    Writing {
        page,
        sources: Vec::new(),
        wanted,
    }
}

/// What is on the page of this host, whoever writes it.
fn write_host(writing: &mut Writing, routes: &Routes) {
    #[cfg(feature = "sigma")]
    if let Some(ports) = routes.ports.as_ref().filter(|_| writing.wants("ports")) {
        ports::write(&mut writing.page, ports);
    }
    let mut kept = routes
        .scrapes
        .kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    host::write(writing, &routes.place, &mut kept);
    #[cfg(feature = "sigma")]
    if routes.node_compat {
        node::write(writing, &routes.place, &mut kept.node);
    }
}

/// The name under which this host is known elsewhere, or would be.
fn hostname(routes: &Routes) -> Option<String> {
    #[cfg(feature = "sigma")]
    if let Some(reported) = routes.shared.sigma.reported() {
        return Some(reported.hostname);
    }
    let given = routes.settings.borrow().hostname.clone();
    given.or_else(|| routes.place.hostname())
}

fn answer(format: Format, packed: bool, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(whole(body));
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn bytes<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}
