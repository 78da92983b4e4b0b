//! Sends the newest sample, and what an outage has left once it is over.

use std::sync::Arc;
use std::time::Duration;

use metricpush::SystemInfo;
use periodic::{Backoff, Control, Failure, Outcome, Phase, Policy, Retry};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cli::{Backfill, Config, Push};
use crate::place::Place;
use crate::push::{Delivered, Delivery, Fresh, Outbox, Refusal, Waiting, Why};

/// Both loops run when they are woken; this is for the case that nobody does.
const SELDOM: Duration = Duration::from_secs(86_400);

/// The server calls a machine offline after 120 s without a sample, so nobody waits longer than half of that.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long one run may take: reading files, and a call with each of three keys.
const LIMIT: Duration = Duration::from_secs(40);

/// How old facts about this host may be that a retry sends.
const FACTS_AGE: Duration = Duration::from_secs(300);

/// The backlog is sent no faster than this.
const BACKFILL_GAP: Duration = Duration::from_secs(1);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The first retry comes after the configured wait; each further one within twice the time, at random, so that a fleet that lost its
/// server at the same instant does not come back at the same instant.
pub(crate) fn policy(push: &Push, phase: Phase) -> Policy {
    Policy {
        backoff: Backoff {
            floor: push.retry_backoff,
            base: push.retry_backoff,
            cap: LONGEST_WAIT.max(push.retry_backoff),
        },
        wake_gap: Duration::ZERO,
        limit: LIMIT,
        ..Policy::every(SELDOM, phase)
    }
}

pub(crate) fn backfill_policy(phase: Phase) -> Policy {
    Policy {
        wake_gap: BACKFILL_GAP,
        limit: LIMIT,
        ..Policy::every(SELDOM, phase)
    }
}

/// The loop that sends the newest sample.
pub(crate) struct Sender<D> {
    pub(crate) settings: watch::Receiver<Arc<Config>>,
    pub(crate) place: Place,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) delivery: Arc<D>,
    pub(crate) control: Control,
    /// When facts about this host were last accepted; `None` where they have to be sent.
    pub(crate) informed: Option<Instant>,
    /// The facts, and when they were read: retries do not read them anew.
    pub(crate) facts: Option<(Instant, SystemInfo)>,
    /// What the last try said, while the server is away.
    pub(crate) last: Option<Failure>,
}

impl<D: Delivery> Sender<D> {
    pub(crate) async fn run(&mut self) -> Outcome {
        let Some(fresh) = self.outbox.fresh().await else {
            return self.nothing_to_send();
        };
        let Some(push) = self.settings.borrow().push.clone() else {
            return Ok(());
        };
        let info = self.system_info(&push).await;
        let body = fresh.sample.to_json(info.as_ref());
        match self.delivery.deliver(body).await {
            Ok(delivered) => {
                self.outbox.settled(&fresh, true);
                if info.is_some() {
                    self.informed = Some(Instant::now());
                }
                self.last = None;
                tell(&fresh.sample, &delivered);
                if self.outbox.totals().backlog.samples > 0 {
                    self.control.wake(super::BACKFILL);
                }
                Ok(())
            }
            Err(refusal) => {
                // Whoever answers next may be another server, or one that has lost its records.
                self.informed = None;
                let failure = self.after(&fresh, &push, refusal).await;
                self.last = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// Without a sample nothing is known that was not known before.
    fn nothing_to_send(&self) -> Outcome {
        match &self.last {
            None => Ok(()),
            Some(failure) => Err(failure.clone()),
        }
    }

    /// Decides what becomes of a sample that was not taken.
    async fn after(&self, fresh: &Fresh, push: &Push, refusal: Refusal) -> Failure {
        let exhausted = fresh.failures >= push.max_retries;
        let retry = match refusal.why {
            Why::Body => {
                self.outbox.settled(fresh, false);
                Retry::NextPeriod
            }
            Why::Ours => {
                self.outbox.set_aside(fresh, false).await;
                Retry::Slowly
            }
            Why::Away | Why::Busy(_) if exhausted => {
                tracing::debug!(
                    max_retries = push.max_retries,
                    last_error = refusal.message,
                    "All retry attempts failed"
                );
                self.outbox.set_aside(fresh, true).await;
                Retry::NextPeriod
            }
            Why::Away => {
                self.outbox.failed(fresh);
                Retry::Backoff
            }
            Why::Busy(wait) => {
                self.outbox.failed(fresh);
                Retry::After(wait)
            }
        };
        failure(refusal, retry)
    }

    /// The facts about this host, where it is time to send them.
    async fn system_info(&mut self, push: &Push) -> Option<SystemInfo> {
        let informed = self
            .informed
            .is_some_and(|at| at.elapsed() < push.system_info_period);
        if informed {
            return None;
        }
        let fresh = |(at, _): &&(Instant, SystemInfo)| at.elapsed() < FACTS_AGE;
        let info = match self.facts.as_ref().filter(fresh) {
            Some((_, info)) => info.clone(),
            None => {
                let info = self.place.beside(read_system_info).await?;
                let (_, info) = self.facts.insert((Instant::now(), info));
                info.clone()
            }
        };
        let given = self.settings.borrow().hostname.clone();
        let hostname = given.or(info.hostname);
        Some(SystemInfo { hostname, ..info })
    }
}

fn failure(refusal: Refusal, retry: Retry) -> Failure {
    let failure = Failure::new(refusal.message, retry);
    match refusal.class {
        Some(class) => failure.of_class(class),
        None => failure,
    }
}

/// The line that the specification shows for every sample.
fn tell(sample: &metricpush::Sample, delivered: &Delivered) {
    let text =
        |percent: Option<f64>| percent.map_or_else(String::new, |value| format!("{value:.1}"));
    tracing::debug!(
        api_key_hash = delivered.key_hash,
        cpu_pct = text(sample.cpu_percent),
        mem_pct = text(sample.memory_percent),
        disk_pct = text(sample.disk_percent),
        status_code = delivered.status,
        "Metrics sent successfully"
    );
}

/// Reads the host; blocks.
pub(crate) fn read_system_info(place: &Place) -> SystemInfo {
    let mut host = place.host();
    let os = host.os().ok();
    let (platform, platform_version) = os.map(|os| (os.id, os.version)).unwrap_or_default();
    SystemInfo {
        hostname: host.hostname().ok().map(|hostname| hostname.name),
        platform,
        platform_version,
        kernel_version: host.kernel().ok(),
        cpu_cores: host
            .cpu_count()
            .ok()
            .and_then(|count| u64::try_from(count).ok()),
        memory_total_mb: host
            .memory()
            .ok()
            .map(|memory| memory.effective_total_bytes() / MIB),
        disk_total_gb: host.root_disk().ok().map(|disk| disk.total_bytes / GIB),
        last_boot_time: host.boot_time().ok(),
    }
}

/// The loop that sends what waits in the backlog, behind every newest sample.
pub(crate) struct Backfiller<D> {
    pub(crate) settings: watch::Receiver<Arc<Config>>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) delivery: Arc<D>,
    pub(crate) control: Control,
    /// Backlog of an earlier run is looked for once.
    pub(crate) opened: bool,
}

impl<D: Delivery> Backfiller<D> {
    pub(crate) async fn run(&mut self) -> Outcome {
        if !std::mem::replace(&mut self.opened, true) {
            self.outbox.backlog.open().await;
            // Nothing is sent before the server has taken a newest sample.
            return Ok(());
        }
        let mode = self
            .settings
            .borrow()
            .push
            .as_ref()
            .map(|push| push.backfill);
        let waiting = match mode {
            // The newest goes first, and wakes this loop when it was taken.
            _ if self.outbox.has_fresh() => None,
            None | Some(Backfill::Off) => None,
            Some(Backfill::Latest) => self.outbox.backlog.newest().await,
            Some(Backfill::All) => self.outbox.backlog.oldest().await,
        };
        let Some(waiting) = waiting else {
            return Ok(());
        };
        self.send(waiting).await?;
        if self.outbox.totals().backlog.samples > 0 {
            self.control.wake(super::BACKFILL);
        }
        Ok(())
    }

    async fn send(&self, waiting: Waiting) -> Outcome {
        let mut sample = waiting.sample.clone();
        sample.hostname = self.outbox.hostname();
        match self.delivery.deliver(sample.to_json(None)).await {
            Ok(_) => {
                // Counted first: who sees an empty backlog sees where it went.
                self.outbox.backfilled(true);
                self.outbox.backlog.pass(&waiting).await;
                Ok(())
            }
            Err(refusal) if refusal.why == Why::Body => {
                // One sample that is refused must not stop all behind it.
                tracing::warn!(
                    error = refusal.message,
                    "a sample of the backlog is refused"
                );
                self.outbox.backfilled(false);
                self.outbox.backlog.pass(&waiting).await;
                Ok(())
            }
            Err(refusal) => {
                let retry = match refusal.why {
                    Why::Busy(wait) => Retry::After(wait),
                    Why::Ours => Retry::Slowly,
                    Why::Away | Why::Body => Retry::Backoff,
                };
                Err(failure(refusal, retry))
            }
        }
    }
}
