//! `/metrics` over HTTP/1.1, for tools that only want an exporter.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{Format, Page, VARY, accepts_gzip, gzip};

/// With more connections than this the one that has been idle longest is closed.
const CONNECTIONS: usize = 64;
/// A whole request has to arrive in this time after the connect.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// The same after an earlier request: longer than scrapers usually wait between scrapes.
const NEXT_REQUEST: Duration = Duration::from_secs(90);
/// How long answers under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(3);
/// Room for a request line and its headers.
const REQUEST_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers `GET /metrics` with the page that `fill` writes, until `shutdown` is ready.
///
/// `fill` is called for every scrape, also for several at once, and must not block for long. The format
/// and gzip follow the headers of the request. All connections end before the function returns, and at
/// once when its future is dropped.
///
/// # Errors
///
/// If the listener cannot accept connections any more. Running out of file descriptors is not such an
/// error: the server waits and goes on.
pub async fn serve<F>(
    listener: TcpListener,
    fill: F,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    F: Fn(&mut Page) + Send + Sync + 'static,
{
    let fill = Arc::new(fill);
    let (stop, stopping) = watch::channel(());
    let mut connections = Connections::default();
    let mut shutdown = pin!(shutdown);
    let result = loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let fill = Arc::clone(&fill);
                let stopping = stopping.clone();
                connections.spawn(|activity| connection(stream, fill, activity, stopping));
            }
            Err(error) if is_passing(&error) => sleep(ACCEPT_PAUSE).await,
            Err(error) => break Err(error),
        }
    };
    // Who connects from here on is refused instead of kept waiting.
    drop(listener);
    drop(stop);
    // What is not done in time ends when `connections` is dropped.
    let _ = timeout(DRAIN, connections.join_all()).await;
    result
}

/// Whether accepting can work again later: the peer went away, or memory or descriptors are short.
fn is_passing(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

/// The connections, at most [`CONNECTIONS`] of them.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: VecDeque<(Activity, AbortHandle)>,
}

impl Connections {
    fn spawn<T>(&mut self, task: impl FnOnce(Activity) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|(_, task)| !task.is_finished());
        if self.open.len() >= CONNECTIONS {
            self.close_idlest();
        }
        let activity = Activity::new();
        let handle = self.tasks.spawn(task(activity.clone()));
        self.open.push_back((activity, handle));
    }

    fn close_idlest(&mut self) {
        let idlest = self
            .open
            .iter()
            .enumerate()
            .min_by_key(|(_, (activity, _))| activity.last());
        if let Some((_, task)) = idlest.map(|(at, _)| at).and_then(|at| self.open.remove(at)) {
            task.abort();
        }
    }

    async fn join_all(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// When a connection last asked for something.
#[derive(Clone)]
struct Activity {
    connected: Instant,
    /// Milliseconds from `connected` to the last request; 0 before the first one.
    last_request: Arc<AtomicU64>,
}

impl Activity {
    fn new() -> Self {
        Activity {
            connected: Instant::now(),
            last_request: Arc::default(),
        }
    }

    fn note_request(&self) {
        let millis = self.connected.elapsed().as_millis();
        self.last_request
            .store(u64::try_from(millis).unwrap_or(u64::MAX).max(1), Relaxed);
    }

    fn last(&self) -> Instant {
        self.connected + Duration::from_millis(self.last_request.load(Relaxed))
    }

    /// When the connection will have kept us waiting for too long, be it for a request or in taking
    /// its answer.
    fn deadline(&self) -> Instant {
        match self.last_request.load(Relaxed) {
            0 => self.connected + FIRST_REQUEST,
            _ => self.last() + NEXT_REQUEST,
        }
    }
}

async fn connection<F>(
    stream: TcpStream,
    fill: Arc<F>,
    activity: Activity,
    mut stopping: watch::Receiver<()>,
) where
    F: Fn(&mut Page) + Send + Sync + 'static,
{
    // Without it an answer may wait for the client's delayed acknowledgement; slower, but not wrong.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        activity.note_request();
        let response = respond(&request, &*fill);
        async { Ok::<_, Infallible>(response) }
    });
    // Time limits are those of `Activity`, which also end an answer that nobody takes.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // A broken connection concerns its client alone.
            _ = &mut connection => return,
            () = sleep_until(activity.deadline()) => {
                if activity.deadline() <= Instant::now() {
                    return;
                }
            }
            // Only the drop of the sender ends this.
            _ = stopping.changed(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn respond(request: &Request<Incoming>, fill: &impl Fn(&mut Page)) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(
            StatusCode::NOT_FOUND,
            "not found; the metrics are at /metrics\n",
        );
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let format = Format::negotiate(header_of(request, &header::ACCEPT));
    let mut page = Page::new(format);
    fill(&mut page);
    let mut body = page.finish();
    let packed = accepts_gzip(header_of(request, &header::ACCEPT_ENCODING));
    if packed {
        body = gzip(&body);
    }
    let mut response = Response::new(Full::from(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn header_of<'a>(request: &'a Request<Incoming>, name: &HeaderName) -> Option<&'a [u8]> {
    request.headers().get(name).map(HeaderValue::as_bytes)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
