//! What others ask of the programs here: a rollback, or a look at the registry before its time.

use tokio::sync::{mpsc, oneshot};

/// How many requests wait at most; whoever brings one more waits.
const MOST: usize = 64;

/// A request from outside, with the way back for the answer.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To undo a program, now and without delay.
    RollBack {
        artifact_id: String,
        /// What was given as the reason; kept in the events.
        reason: Option<String>,
        /// By which the same request is known when it comes twice.
        request_id: Option<String>,
        answer: oneshot::Sender<Answered>,
    },
    /// To look at the registry now. It replaces neither assignment nor verification.
    Poll,
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answered {
    /// It is being done; the events of the rollback carry the request's id.
    Taken,
    /// It was done before.
    Duplicate,
    /// It is not done, and why.
    Refused(String),
}

/// Where requests come in.
pub(crate) type Signals = mpsc::Sender<Asked>;

pub(crate) fn signals() -> (Signals, mpsc::Receiver<Asked>) {
    mpsc::channel(MOST)
}
