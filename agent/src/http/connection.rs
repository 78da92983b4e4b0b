//! One connection: what it is doing, since when, and the deadlines that follow from it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection may take for what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time; beyond it the one that idles longest has to go.
    pub(crate) connections: usize,
    /// Kept open without a request: longer than the usual scrape intervals.
    pub(crate) idle: Duration,
    /// From the first byte of a request to the end of its head, and again to the end of its body.
    pub(crate) request: Duration,
    /// Without the peer taking a single byte of the answer.
    pub(crate) write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            idle: Duration::from_secs(150),
            request: Duration::from_secs(10),
            write: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Waiting for the first byte of a request.
    Idle,
    /// Somewhere in a request's head.
    Head,
    /// Somewhere in a request's body.
    Body,
    /// The request is being answered.
    Busy,
}

/// What the server knows about a connection; shared between its parts.
#[derive(Debug)]
pub(super) struct Connection {
    phase: Mutex<(Phase, Instant)>,
    /// Told when the connection has to make room.
    pub(super) evicted: Notify,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            phase: Mutex::new((Phase::Idle, Instant::now())),
            evicted: Notify::new(),
        }
    }

    /// Since when nothing has been asked on it; `None` while an answer is under way.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let (phase, since) = self.get();
        (phase != Phase::Busy).then_some(since)
    }

    /// A request's head is here; the guard, when dropped, says that its answer is gone.
    pub(super) fn asked(self: &Arc<Self>, has_body: bool) -> Asked {
        self.set(if has_body { Phase::Body } else { Phase::Busy });
        Asked(Arc::clone(self))
    }

    /// The request is here as a whole: from now on it is we who keep the peer waiting.
    #[cfg(feature = "sigma")]
    pub(super) fn has_all(&self) {
        self.set(Phase::Busy);
    }

    fn get(&self) -> (Phase, Instant) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now());
    }

    fn received(&self) {
        if self.get().0 == Phase::Idle {
            self.set(Phase::Head);
        }
    }

    fn read_deadline(&self, limits: &Limits) -> Instant {
        let (phase, since) = self.get();
        since
            + if phase == Phase::Idle {
                limits.idle
            } else {
                limits.request
            }
    }
}

/// While it lives, its connection has a request to answer.
#[derive(Debug)]
pub(super) struct Asked(Arc<Connection>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
    }
}

/// An answer's body that keeps its request open until the last byte was handed over.
#[derive(Debug)]
pub(super) struct Answering<B> {
    body: B,
    _asked: Asked,
}

impl<B> Answering<B> {
    pub(super) fn new(body: B, asked: Asked) -> Self {
        Self {
            body,
            _asked: asked,
        }
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that gives up on a peer that keeps it waiting.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    connection: Arc<Connection>,
    limits: Limits,
    reading: Alarm,
    writing: Alarm,
}

impl Guarded {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, limits: Limits) -> Self {
        Self {
            stream,
            connection,
            limits,
            reading: Alarm::default(),
            writing: Alarm::default(),
        }
    }

    /// Passes a write's outcome on; one that waits too long is an error.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing.disarm();
            return outcome;
        }
        let deadline = self
            .writing
            .deadline
            .unwrap_or_else(|| Instant::now() + self.limits.write);
        ready!(self.writing.poll(cx, deadline));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not take the answer",
        )))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(outcome) => {
                if buffer.filled().len() > filled {
                    self.connection.received();
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let deadline = self.connection.read_deadline(&self.limits);
                ready!(self.reading.poll(cx, deadline));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the peer sends nothing",
                )))
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A timer that is only made when something first has to wait.
#[derive(Debug, Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if self.deadline != Some(deadline) {
            self.deadline = Some(deadline);
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }

    fn disarm(&mut self) {
        self.deadline = None;
    }
}
