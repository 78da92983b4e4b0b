//! Signed programs: asks the registry and Vault, reads figures, and ends what has run its time.

use std::sync::Arc;
use std::time::Duration;

use periodic::{Backoff, Control, Outcome, Phase, Policy};
use tokio::sync::mpsc;

use crate::cli::{Programs, Vault};
use crate::programs::{Asked, Desk};

/// How late the end of a program's time is noticed at most.
const NOTICE: Duration = Duration::from_secs(1);

/// The longest time between two readings of figures: heartbeats go with them.
const READING: Duration = Duration::from_secs(5);

/// How long one run may take: fetching many archives, and loading many programs.
const LIMIT: Duration = Duration::from_secs(600);

/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

pub(crate) fn poll_policy(programs: &Programs, phase: Phase) -> Policy {
    asking(programs.registry.interval, phase)
}

pub(crate) fn keys_policy(vault: &Vault, phase: Phase) -> Policy {
    asking(vault.refresh, phase)
}

/// A server that is away is asked somewhat less often than one that answers.
fn asking(interval: Duration, phase: Phase) -> Policy {
    let floor = interval.min(Duration::from_secs(30));
    Policy {
        backoff: Backoff {
            floor,
            base: floor.saturating_mul(3),
            cap: LONGEST_WAIT,
        },
        wake_gap: Duration::from_secs(1),
        limit: LIMIT,
        ..Policy::every(interval, phase)
    }
}

pub(crate) fn meter_policy(programs: &Programs) -> Policy {
    let settings = &programs.lifecycle;
    let delay = settings.rollback_delay_seconds.max(1);
    let period = Duration::from_secs(settings.check_interval_seconds.min(delay));
    own(period.min(READING))
}

pub(crate) fn deadline_policy() -> Policy {
    own(NOTICE)
}

/// Work on this host alone.
fn own(period: Duration) -> Policy {
    Policy {
        backoff: Backoff {
            floor: period,
            base: period.saturating_mul(2),
            cap: Duration::from_secs(30),
        },
        limit: LIMIT,
        ..Policy::every(period, Phase::START)
    }
}

/// The loop that asks the registry.
pub(crate) struct Poll {
    pub(crate) desk: Arc<Desk>,
    pub(crate) etag: Option<String>,
}

impl Poll {
    pub(crate) async fn run(&mut self) -> Outcome {
        self.desk.poll(&mut self.etag).await
    }
}

/// The loop that asks Vault.
pub(crate) struct Keys {
    pub(crate) desk: Arc<Desk>,
    /// The longest life that the token was seen with.
    pub(crate) longest: Duration,
    pub(crate) control: Control,
    pub(crate) known: bool,
}

impl Keys {
    pub(crate) async fn run(&mut self) -> Outcome {
        self.desk.refresh_keys(&mut self.longest).await?;
        if !std::mem::replace(&mut self.known, true) {
            // What was refused for want of keys need not wait.
            self.control.wake(super::POLL);
        }
        Ok(())
    }
}

/// Does what others ask for, one after the other.
pub(crate) async fn obey(desk: Arc<Desk>, control: Control, mut asked: mpsc::Receiver<Asked>) {
    while let Some(asked) = asked.recv().await {
        match asked {
            Asked::RollBack {
                artifact_id,
                reason,
                request_id,
                answer,
            } => {
                let answered = desk.roll_back(&artifact_id, reason, request_id).await;
                // Whoever asked may have gone.
                let _ = answer.send(answered);
            }
            Asked::Poll => drop(control.wake(super::POLL)),
        }
    }
}
