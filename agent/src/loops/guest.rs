//! Samples this guest once a second; whoever asks is shown the last sample, so askers neither disturb the window nor each other.

use std::time::Duration;

use periodic::{Failure, Outcome, Phase, Policy, Retry};
use sysinfo_linux::{CpuTimes, CpuUsage, Host, Root};
use tokio::sync::watch;

use crate::cli::HostPlace;

/// The time between samples, which is the window of the processor's figures.
const PERIOD: Duration = Duration::from_secs(1);

/// The first window: short, so that the first asker is answered soon.
const FIRST_WINDOW: Duration = Duration::from_millis(200);

/// What was read last; `None` before the first window has passed, an error where it could not be read.
pub(crate) type Reading = Option<Result<Sample, String>>;

/// This guest at one moment. What every kernel tells is there, or there is no sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Sample {
    /// Of all processors together, stolen time included.
    pub(crate) cpu_percent: f64,
    pub(crate) steal_percent: Option<f64>,
    pub(crate) memory_total_bytes: u64,
    pub(crate) memory_available_bytes: u64,
    pub(crate) uptime: Duration,
    pub(crate) load_average: Option<f64>,
    pub(crate) process_count: Option<u64>,
}

/// Once a second, at any second: nobody else is asked anything.
pub(crate) fn policy() -> Policy {
    Policy {
        wake_gap: PERIOD,
        limit: Duration::from_secs(10),
        ..Policy::every(PERIOD, Phase::START)
    }
}

/// The loop's state. The files it reads are the kernel's own and never wait for a disk, so they need no thread of their own.
pub(crate) struct Sampler {
    host: Host,
    before: Option<CpuTimes>,
    reading: watch::Sender<Reading>,
}

impl Sampler {
    pub(crate) fn new(place: &HostPlace) -> (Self, watch::Receiver<Reading>) {
        let mut root = Root::below(&place.root);
        if let Some(proc) = &place.proc {
            root = root.with_proc(proc);
        }
        let (reading, read) = watch::channel(None);
        let sampler = Self {
            host: Host::new(root),
            before: None,
            reading,
        };
        (sampler, read)
    }

    pub(crate) async fn run(&mut self) -> Outcome {
        let sample = self.sample().await;
        let failed = sample.as_ref().err().cloned();
        self.reading.send_replace(Some(sample));
        match failed {
            None => Ok(()),
            Some(why) => Err(Failure::new(why, Retry::NextPeriod)),
        }
    }

    async fn sample(&mut self) -> Result<Sample, String> {
        let usage = self.usage().await?;
        let memory = self.host.meminfo().map_err(|error| error.to_string())?;
        let uptime = self.host.uptime().map_err(|error| error.to_string())?;
        let percent = |part: f64| (part * 100.0).clamp(0.0, 100.0);
        Ok(Sample {
            cpu_percent: percent(usage.busy),
            steal_percent: usage.steal.map(percent),
            memory_total_bytes: memory.total_bytes,
            memory_available_bytes: memory
                .available_or_estimate()
                .ok_or("the kernel does not tell how much memory is free")?,
            uptime: uptime.since_boot,
            load_average: self.host.load().ok().map(|load| load.one),
            process_count: self.host.process_count().ok(),
        })
    }

    /// The use of the processors since the sample before this one. Where there is none, or the counters went back as they do when a
    /// snapshot is restored, a short window begins now.
    async fn usage(&mut self) -> Result<CpuUsage, String> {
        let now = self.times()?;
        if let Some(usage) = self
            .before
            .replace(now)
            .and_then(|before| now.usage_since(&before))
        {
            return Ok(usage);
        }
        tokio::time::sleep(FIRST_WINDOW).await;
        let later = self.times()?;
        self.before = Some(later);
        later
            .usage_since(&now)
            .ok_or_else(|| "the processor's counters stand still".to_owned())
    }

    fn times(&mut self) -> Result<CpuTimes, String> {
        self.host
            .cpu()
            .map(|cpu| cpu.total)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;
    use std::time::Instant;

    use super::*;

    /// Keeps every processor busy for a share of the time, until it is dropped.
    struct Load {
        stop: Arc<AtomicBool>,
        threads: Vec<JoinHandle<()>>,
    }

    impl Load {
        fn of(percent: u32) -> Self {
            let stop = Arc::new(AtomicBool::new(false));
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let burn = move |stop: Arc<AtomicBool>| {
                let turn = Duration::from_millis(20);
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    while start.elapsed() < turn * percent / 100 {
                        std::hint::spin_loop();
                    }
                    std::thread::sleep(turn.saturating_sub(start.elapsed()));
                }
            };
            let threads = (0..cores)
                .map(|_| {
                    let stop = Arc::clone(&stop);
                    std::thread::spawn(move || burn(stop))
                })
                .collect();
            Self { stop, threads }
        }
    }

    impl Drop for Load {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::Relaxed);
            for thread in self.threads.drain(..) {
                thread.join().unwrap();
            }
        }
    }

    /// Busy and all ticks of all processors, from the kernel's text by hand.
    fn truth() -> (u64, u64) {
        let text = std::fs::read_to_string("/proc/stat").unwrap();
        let line = text.lines().next().unwrap();
        let ticks: Vec<u64> = line
            .split_ascii_whitespace()
            .skip(1)
            .take(8)
            .map(|word| word.parse().unwrap())
            .collect();
        let all: u64 = ticks.iter().sum();
        (all - ticks[3] - ticks[4], all)
    }

    #[tokio::test]
    #[expect(clippy::cast_precision_loss, reason = "ticks are small")]
    async fn any_load_and_any_number_of_pollers_give_the_kernels_own_figure() {
        let here = HostPlace {
            root: "/".into(),
            proc: None,
        };
        for pollers in [1, 20] {
            let (mut sampler, reading) = Sampler::new(&here);
            sampler.run().await.unwrap();
            for percent in [0, 25, 50, 100] {
                let load = Load::of(percent);
                sampler.run().await.unwrap();
                let before = truth();
                // The window's length does not matter; that others read meanwhile must not.
                for _ in 0..60 {
                    for _ in 0..pollers {
                        assert!(reading.borrow().as_ref().unwrap().is_ok());
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                sampler.run().await.unwrap();
                let after = truth();
                drop(load);
                let all = (after.1 - before.1) as f64;
                let expected = (after.0 - before.0) as f64 / all * 100.0;
                let shown = reading.borrow().clone().unwrap().unwrap().cpu_percent;
                // The two readings are microseconds apart: a tick on each side is what can differ.
                let ticks = 4.0 / all * 100.0;
                assert!(
                    (shown - expected).abs() <= 1.0 + ticks,
                    "load {percent} %, {pollers} pollers: shown {shown}, truth {expected}"
                );
            }
        }
    }
}
