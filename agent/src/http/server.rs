//! Accepts connections and answers requests, within limits that no peer can stretch.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::answer::{Answer, error};
use super::connection::{Answering, Connection, Guarded, Limits};

/// The head of a request may have this many bytes, names and values of headers together.
const MAX_HEAD: usize = 8 * 1024;

/// What is read of a head before hyper itself gives up on it, with an empty 431.
const MAX_BUFFER: usize = 32 * 1024;

/// No request to this agent needs a longer body.
pub(crate) const MAX_BODY: u64 = 64 * 1024;

/// How long open connections may take to finish when the server stops.
const FAREWELL: Duration = Duration::from_millis(300);

/// Answers one request.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// Serves until `stop` changes; returns when the last connection has ended or had its time.
pub(crate) async fn serve(
    listener: TcpListener,
    handler: impl Handler,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let table = Arc::new(Table {
        limits,
        open: Mutex::default(),
        ended: Notify::new(),
    });
    let mut next = 0_u64;
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = table.accept(&listener) => accepted,
        };
        match accepted {
            Ok(stream) => {
                next += 1;
                let (entry, connection) = Entry::new(Arc::clone(&table), next);
                tokio::spawn(converse(
                    stream,
                    connection,
                    handler.clone(),
                    entry,
                    stop.clone(),
                ));
            }
            Err(error) => {
                // Out of descriptors, say: those that are open go on, and new ones wait.
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, table.all_ended()).await;
}

/// The open connections.
struct Table {
    limits: Limits,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    ended: Notify,
}

impl Table {
    /// Waits for a connection; where there is no room for it, the one that waits longest has to go, and if all are being answered,
    /// the new one itself.
    async fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        loop {
            let (stream, _) = listener.accept().await?;
            if !self.full() {
                return Ok(stream);
            }
            if self.evict() {
                while self.full() {
                    self.ended.notified().await;
                }
                return Ok(stream);
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self) -> bool {
        self.locked().len() >= self.limits.connections
    }

    /// Asks the connection that waits longest to go; says whether there is one.
    fn evict(&self) -> bool {
        let open = self.locked();
        let waiting = open
            .values()
            .filter_map(|one| Some((one.waiting_since()?, one)));
        let oldest = waiting.min_by_key(|(since, _)| *since);
        if let Some((_, connection)) = oldest {
            connection.evicted.notify_one();
        }
        oldest.is_some()
    }

    async fn all_ended(&self) {
        while !self.locked().is_empty() {
            self.ended.notified().await;
        }
    }
}

/// A connection's place in the table, given up however it ends.
struct Entry {
    table: Arc<Table>,
    number: u64,
}

impl Entry {
    fn new(table: Arc<Table>, number: u64) -> (Self, Arc<Connection>) {
        let connection = Arc::new(Connection::new());
        table.locked().insert(number, Arc::clone(&connection));
        (Self { table, number }, connection)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.locked().remove(&self.number);
        self.table.ended.notify_one();
    }
}

async fn converse(
    stream: TcpStream,
    connection: Arc<Connection>,
    handler: impl Handler,
    entry: Entry,
    mut stop: watch::Receiver<bool>,
) {
    let limits = entry.table.limits;
    // Answers are small and written whole: there is nothing to gain by waiting for more.
    let _ = stream.set_nodelay(true);

    let io = TokioIo::new(Guarded::new(stream, Arc::clone(&connection), limits));
    let service = service_fn(|mut request: Request<Incoming>| {
        let asked = connection.asked(!request.body().is_end_stream());
        request.extensions_mut().insert(Arc::clone(&connection));
        let handler = handler.clone();
        async move {
            let answer = match refused(&request) {
                Some(refusal) => refusal,
                None => handler.answer(request).await,
            };
            Ok::<_, Infallible>(answer.map(|body| Answering::new(body, asked)))
        }
    });
    let mut talk = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            // A client that has said all it has to say still wants its answer (`nc -N`).
            .half_close(true)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(io, service)
    );
    tokio::select! {
        _ = talk.as_mut() => return,
        () = connection.evicted.notified() => return,
        _ = stop.wait_for(|stop| *stop) => talk.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(FAREWELL, talk).await;
}

/// The answer to a request that is too large to look at any further.
fn refused(request: &Request<Incoming>) -> Option<Answer> {
    let head: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if head + target > MAX_HEAD {
        return Some(error(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request's head is longer than 8 KiB",
        ));
    }
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return Some(error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request's body is longer than 64 KiB",
        ));
    }
    None
}
