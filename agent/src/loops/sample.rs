//! Takes a sample of this host again and again, whether or not anybody takes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metricpush::Sample;
use periodic::{Control, Failure, Outcome, Phase, Policy, Retry};
use sysinfo_linux::{CpuTimes, Host, Result};
use tokio::sync::watch;

use crate::cli::Config;
use crate::place::Place;
use crate::push::Outbox;

/// The first window of the processor's figure; later ones last from sample to sample.
const FIRST_WINDOW: Duration = Duration::from_secs(1);

pub(crate) fn policy(interval: Duration, phase: Phase) -> Policy {
    Policy {
        wake_gap: interval,
        ..Policy::every(interval, phase)
    }
}

/// The loop's state.
pub(crate) struct Collector {
    pub(crate) settings: watch::Receiver<Arc<Config>>,
    pub(crate) place: Place,
    pub(crate) outbox: Arc<Outbox>,
    /// Wakes the loop that sends.
    pub(crate) control: Control,
    before: Option<CpuTimes>,
    /// What could not be read in the last sample: it is said once.
    missing: BTreeSet<&'static str>,
}

/// What one reading of the host brings.
struct Reading {
    sample: Sample,
    cpu: Option<CpuTimes>,
    missing: BTreeSet<&'static str>,
    errors: Vec<String>,
}

impl Collector {
    pub(crate) fn new(
        settings: watch::Receiver<Arc<Config>>,
        place: Place,
        outbox: Arc<Outbox>,
        control: Control,
    ) -> Self {
        Self {
            settings,
            place,
            outbox,
            control,
            before: None,
            missing: BTreeSet::new(),
        }
    }

    pub(crate) async fn run(&mut self) -> Outcome {
        if self.before.is_none() {
            self.before = self
                .place
                .beside(|place| place.host().cpu().ok())
                .await
                .flatten()
                .map(|cpu| cpu.total);
            tokio::time::sleep(FIRST_WINDOW).await;
        }
        let before = self.before;
        let Some(reading) = self.place.beside(move |place| read(place, before)).await else {
            return Err(Failure::new(
                "the host's files do not answer",
                Retry::NextPeriod,
            ));
        };
        self.before = reading.cpu.or(self.before);
        let mut sample = reading.sample;
        sample.hostname = self.hostname(sample.hostname);
        self.tell_missing(reading.missing, &reading.errors);
        if self.outbox.offer(sample).await {
            self.control.wake(super::PUSH);
        }
        Ok(())
    }

    fn hostname(&self, own: Option<String>) -> Option<String> {
        self.settings.borrow().hostname.clone().or(own)
    }

    /// A figure that cannot be read is left out; that is said when it begins and when it ends.
    fn tell_missing(&mut self, missing: BTreeSet<&'static str>, errors: &[String]) {
        let new: Vec<&str> = missing.difference(&self.missing).copied().collect();
        let back: Vec<&str> = self.missing.difference(&missing).copied().collect();
        if !new.is_empty() {
            tracing::warn!(
                figures = new.join(", "),
                errors = errors.join("; "),
                "cannot be read and are left out of the samples"
            );
        }
        if !back.is_empty() {
            tracing::info!(figures = back.join(", "), "can be read again");
        }
        self.missing = missing;
    }
}

/// One sample alone; blocks for the processor's window.
pub(crate) fn take(place: &Place) -> Sample {
    let before = place.host().cpu().ok().map(|cpu| cpu.total);
    std::thread::sleep(FIRST_WINDOW);
    read(place, before).sample
}

/// Reads the host; blocks.
fn read(place: &Place, before: Option<CpuTimes>) -> Reading {
    let mut host = place.host();
    let mut reading = Reading {
        sample: Sample::at(SystemTime::now()),
        cpu: None,
        missing: BTreeSet::new(),
        errors: Vec::new(),
    };
    let cpu = reading.take("cpu", host.cpu());
    reading.cpu = cpu.map(|cpu| cpu.total);
    // Counters that went back, as after a restored snapshot, have no figure for this window; the next one has.
    reading.sample.cpu_percent = reading
        .cpu
        .zip(before)
        .and_then(|(now, before)| now.usage_since(&before))
        .map(|usage| usage.busy * 100.0);
    let memory = reading.take("memory", host.memory());
    reading.sample.memory_percent = memory.and_then(|memory| memory.used_ratio()).map(percent);
    let disk = reading.take("disk", host.root_disk());
    reading.sample.disk_percent = disk.and_then(|disk| disk.used_ratio()).map(percent);
    if let Some((received, sent)) = reading.take("network", traffic(&mut host)) {
        reading.sample.network_bytes_received = Some(received);
        reading.sample.network_bytes_sent = Some(sent);
    }
    let uptime = reading.take("uptime", host.uptime());
    reading.sample.uptime = uptime.map(|uptime| uptime.since_boot);
    reading.sample.hostname = host.hostname().ok().map(|hostname| hostname.name);
    reading
}

impl Reading {
    fn take<T>(&mut self, name: &'static str, read: Result<T>) -> Option<T> {
        read.map_err(|error| {
            self.missing.insert(name);
            self.errors.push(error.to_string());
        })
        .ok()
    }
}

/// Bytes received and sent by what connects this host to others, each byte once.
fn traffic(host: &mut Host) -> Result<(u64, u64)> {
    let networks = host.networks()?;
    let physical = networks.iter().filter(|network| network.physical);
    Ok(
        physical.fold((0, 0), |(received, sent): (u64, u64), network| {
            (
                received.saturating_add(network.received.bytes),
                sent.saturating_add(network.sent.bytes),
            )
        }),
    )
}

fn percent(ratio: f64) -> f64 {
    ratio * 100.0
}
