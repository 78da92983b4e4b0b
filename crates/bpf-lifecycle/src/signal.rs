//! Rollbacks that somebody asks for.

use crate::event::clipped;
use crate::{ArtifactId, Event, Memory, Reason, Status};

/// Somebody wants an artifact rolled back, now and without delay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Signal {
    /// Which artifact.
    pub id: ArtifactId,
    /// Who asks.
    pub caller: Caller,
    /// By which the same request is known when it comes twice.
    pub request_id: Option<String>,
    /// What was given as the reason; kept in the events.
    pub remark: Option<String>,
}

/// Who asks for a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Caller {
    /// The orchestrator, by a message.
    Orchestrator,
    /// A person, or the agent that finds itself cut off.
    Operator,
}

impl Caller {
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Orchestrator => Reason::OrchestratorSignal,
            Self::Operator => Reason::Manual,
        }
    }
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The next plan sees to it; its events carry the request id.
    Taken,
    /// This request was taken before; nothing happens twice.
    Duplicate,
    /// More than 64 signals wait for a plan, or the request id is longer than 128 bytes.
    Refused,
}

const MOST_SIGNALS: usize = 64;
const MOST_REQUESTS: usize = 1_024;
const LONGEST_REQUEST_ID: usize = 128;

impl Memory {
    /// Takes a request for a rollback; the next plan has the step. Write the memory down before
    /// the request is acknowledged.
    pub fn signal(&mut self, signal: Signal) -> Answer {
        if let Some(request) = &signal.request_id {
            if self.requests.contains(request) {
                return Answer::Duplicate;
            }
            if request.len() > LONGEST_REQUEST_ID {
                return Answer::Refused;
            }
        }
        if self.signals.len() >= MOST_SIGNALS {
            return Answer::Refused;
        }
        self.requests.extend(signal.request_id.clone());
        let surplus = self.requests.len().saturating_sub(MOST_REQUESTS);
        self.requests.drain(..surplus);
        let remark = signal.remark.as_deref().map(clipped);
        self.signals.push(Signal { remark, ..signal });
        Answer::Taken
    }
}

impl Signal {
    /// The event of a request that came to nothing.
    pub(crate) fn failed(self, error: &str, wall_seconds: i64) -> Event {
        Event {
            artifact_id: self.id,
            digest: None,
            reason: self.caller.reason(),
            threshold: None,
            value: None,
            figures: None,
            timestamp: wall_seconds,
            status: Status::Failed,
            error: Some(error.to_owned()),
            request_id: self.request_id,
            remark: self.remark,
        }
    }
}
