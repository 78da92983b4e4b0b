//! What a proxy says while the server behind it is away.

use std::sync::PoisonError;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;

use crate::answer::{self, Answer};
use crate::lab::Lab;

/// An answer that every `POST` to the LunaSentri endpoint gets while it lasts, as of a proxy whose
/// server is away: a status and a small HTML page. See [`Lab::interrupt_luna`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    status: StatusCode,
    retry_after: Option<Duration>,
}

impl Outage {
    /// An outage with this status, also 200. One that is no final answer of HTTP, from 200 to 599,
    /// counts as 503.
    #[must_use]
    pub fn new(status: u16) -> Outage {
        let known = StatusCode::from_u16(status).ok();
        Outage {
            status: known
                .filter(|status| (200..600).contains(&status.as_u16()))
                .unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            retry_after: None,
        }
    }

    /// Also tells clients how long to wait, in whole seconds rounded up.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Outage {
        self.retry_after = Some(wait);
        self
    }
}

impl Lab {
    /// Begins an outage of the LunaSentri endpoint, or ends it with `None`. Keys and bodies are not
    /// looked at and nothing is recorded meanwhile; `GET /health` goes on.
    pub fn interrupt_luna(&self, outage: Option<Outage>) {
        *self.outage().lock().unwrap_or_else(PoisonError::into_inner) = outage;
    }
}

/// The answer to a `POST`, while there is an outage.
pub(super) fn answer(lab: &Lab) -> Option<Answer> {
    let outage = lab
        .outage()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()?;
    let page = format!("<html><body><h1>{}</h1></body></html>\n", outage.status);
    let mut answer = answer::with_type(outage.status, "text/html; charset=utf-8", page);
    if let Some(wait) = outage.retry_after {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, answer::retry_after(wait));
    }
    Some(answer)
}
