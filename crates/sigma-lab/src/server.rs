//! Serving over TCP: accept, bound, answer, stop.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::lab::Lab;
use crate::{api, luna};

/// Connections at once; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection may idle, and take for a request's head. Longer than a heartbeat's usual
/// interval, so that an agent can keep its connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// The longest request head, to within one read.
const LONGEST_HEAD: usize = 32 * 1024;
/// After this a connection is closed at the next pause, so that none is held for ever. No multiple
/// of a usual interval: a request that meets the close is lost.
const LONGEST_CONNECTION: Duration = Duration::from_secs(997);
/// How long a connection may take to finish its request then: more than a slow body and a slow
/// agent together.
const LAST_REQUEST: Duration = Duration::from_secs(30);
/// How long open connections may go on once the caller wants to stop.
const DRAIN: Duration = Duration::from_secs(1);
/// Pause after a failed accept: usually the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// So many failed accepts in a row end the server.
const MOST_ACCEPT_FAILURES: u32 = 100;

/// Serves the lab until `shutdown` completes. The caller binds, and the caller stops: then open
/// connections are told to finish, and dropped after a second.
///
/// Dropping the future stops everything at once. The runtime needs its I/O and time drivers.
///
/// # Errors
/// The listener failed for ten seconds on end.
pub async fn serve(
    listener: TcpListener,
    lab: Lab,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run(listener, lab, Api::Sigma, shutdown).await
}

/// Serves the lab's LunaSentri endpoint, as [`serve`] serves its Sigma API: on a listener of its own,
/// with the same limits.
///
/// # Errors
/// The listener failed for ten seconds on end.
pub async fn serve_luna(
    listener: TcpListener,
    lab: Lab,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run(listener, lab, Api::Luna, shutdown).await
}

/// Whose calls a listener answers.
#[derive(Clone, Copy)]
enum Api {
    Sigma,
    Luna,
}

async fn run(
    listener: TcpListener,
    lab: Lab,
    api: Api,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    let (stop, stopped) = watch::channel(());
    let mut failures = 0;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    failures = 0;
                    let (lab, stopped) = (lab.clone(), stopped.clone());
                    connections.spawn(attend(stream, peer.ip().to_canonical(), lab, api, stopped));
                }
                Err(error) if failures >= MOST_ACCEPT_FAILURES => return Err(error),
                Err(_) => {
                    failures += 1;
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop((listener, stop));
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(DRAIN, drained).await;
    // What is left is dropped before this returns, and with it the last handles on the database.
    connections.shutdown().await;
    Ok(())
}

/// Serves one connection until it ends, is told to, or lasts too long.
async fn attend(
    stream: TcpStream,
    peer: IpAddr,
    lab: Lab,
    api: Api,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(|request| {
        let lab = lab.clone();
        async move {
            Ok::<_, Infallible>(match api {
                Api::Sigma => api::answer(&lab, peer, request).await,
                Api::Luna => luna::answer(&lab, request).await,
            })
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        // A client that has said all it has to say still wants its answer (`nc -N`).
        .half_close(true)
        .max_buf_size(LONGEST_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(LONGEST_CONNECTION) => {}
    }
    connection.as_mut().graceful_shutdown();
    // Its errors are the client's business: it hung up or broke the protocol.
    let _ = timeout(LAST_REQUEST, connection).await;
}
