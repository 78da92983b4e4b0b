//! The live page: `GET /`, its files, and `GET /events`, over which it hears of news.
//!
//! The files hold nothing of this host and need no token: the page asks for it and brings it to `/events`.

mod events;
mod files;
mod host;
#[cfg(feature = "sigma")]
mod picture;
mod state;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, header};
use tokio::sync::{Semaphore, watch};

use super::Routes;
use super::answer::{Answer, error, method_not_allowed};
use crate::history::History;
pub(super) use files::is_file;

/// Pages that are told of news at a time; others ask now and then. Few of the server's 64 connections, so that scrapes find room.
const STREAMS: usize = 8;

/// What the page needs besides what every route has.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) history: Arc<History>,
    /// Turns true when the agent ends.
    stop: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
}

impl Live {
    pub(crate) fn new(history: Arc<History>, stop: watch::Receiver<bool>) -> Self {
        Self {
            history,
            stop,
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }
}

/// Answers for the page and its files.
pub(super) fn file(request: &Request<Incoming>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed("GET, HEAD");
    }
    files::answer(request.uri().path(), request.headers())
}

/// Answers `/events`.
pub(super) fn events(routes: &Routes, request: &Request<Incoming>) -> Answer {
    if request.method() != Method::GET {
        return method_not_allowed("GET");
    }
    let asked = match events::Asked::read(request.uri().query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(why) => return error(StatusCode::BAD_REQUEST, why),
    };
    if asked.once {
        return events::once(routes, asked);
    }
    match Arc::clone(&routes.live.streams).try_acquire_owned() {
        Ok(place) => events::stream(routes, asked, place),
        Err(_) => {
            let mut answer = error(
                StatusCode::SERVICE_UNAVAILABLE,
                "enough pages are told of news already; ask with ?once",
            );
            let soon = header::HeaderValue::from_static("5");
            answer.headers_mut().insert(header::RETRY_AFTER, soon);
            answer
        }
    }
}
