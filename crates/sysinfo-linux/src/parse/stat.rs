//! `stat`: what the processors did since the start, and what was forked, switched and interrupted.

use std::time::{Duration, SystemTime};

use super::fields::{Malformed, as_f64, lines, number, words};

/// What one processor, or all of them, did since the start, in ticks of
/// [1/100 s](CpuTimes::TICKS_PER_SECOND).
///
/// `guest` and `guest_nice` are contained in `user` and `nice`. A mode that the kernel does not
/// print is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User mode.
    pub user: u64,
    /// User mode at low priority.
    pub nice: u64,
    /// Kernel mode.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Nothing to do but to wait for a disk. The kernel calls it unreliable: it can go back.
    pub iowait: u64,
    /// Interrupts.
    pub irq: u64,
    /// Soft interrupts.
    pub softirq: u64,
    /// Wanted to run, but the hypervisor ran somebody else.
    pub steal: Option<u64>,
    /// Ran a guest of this host (part of `user`).
    pub guest: Option<u64>,
    /// Ran a guest of this host at low priority (part of `nice`).
    pub guest_nice: Option<u64>,
}

/// What share of the time between two readings went where; each figure is in `0.0..=1.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuUsage {
    /// Everything but idle and iowait; stolen time is busy.
    pub busy: f64,
    /// User mode, guests included.
    pub user: f64,
    /// User mode at low priority.
    pub nice: f64,
    /// Kernel mode.
    pub system: f64,
    /// Nothing to do.
    pub idle: f64,
    /// Waiting for a disk.
    pub iowait: f64,
    /// Interrupts.
    pub irq: f64,
    /// Soft interrupts.
    pub softirq: f64,
    /// Taken by the hypervisor.
    pub steal: Option<f64>,
    /// Guests of this host (part of `user`).
    pub guest: Option<f64>,
    /// Guests of this host at low priority (part of `nice`).
    pub guest_nice: Option<f64>,
}

/// One processor that is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core {
    /// The kernel's number of it; numbers have gaps where processors are offline.
    pub index: u32,
    /// What it did.
    pub times: CpuTimes,
}

/// The file `stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// All processors together.
    pub total: CpuTimes,
    /// Each processor that is online.
    pub cores: Vec<Core>,
    /// When the kernel started, by its own clock.
    pub boot_time: Option<SystemTime>,
    /// Processes that run or could run now.
    pub running: Option<u64>,
    /// Processes that wait for a disk now.
    pub blocked: Option<u64>,
    /// Processes and threads started since the start.
    pub forks: Option<u64>,
    /// Context switches since the start.
    pub context_switches: Option<u64>,
    /// Interrupts since the start.
    pub interrupts: Option<u64>,
    /// Soft interrupts since the start.
    pub soft_interrupts: Option<u64>,
}

impl CpuTimes {
    /// The unit of the counters (`USER_HZ`): 100 on x86 and arm, whatever the kernel's own clock.
    pub const TICKS_PER_SECOND: u64 = 100;

    /// All time there was. Guests' time is in `user` and `nice` already.
    #[must_use]
    pub fn total(&self) -> u64 {
        let stolen = self.steal.unwrap_or(0);
        [
            self.user,
            self.nice,
            self.system,
            self.idle,
            self.iowait,
            self.irq,
            self.softirq,
            stolen,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// How the time since an earlier reading of the same processor was used.
    ///
    /// `None` when no time has passed or the counters started anew (a restored snapshot): take the
    /// next window then. A single counter that went back counts as no time.
    #[must_use]
    pub fn usage_since(&self, earlier: &Self) -> Option<CpuUsage> {
        let passed = self.minus(earlier);
        let whole = passed.total();
        if whole == 0 || self.total() < earlier.total() {
            return None;
        }
        let share = |ticks: u64| (as_f64(ticks) / as_f64(whole)).min(1.0);
        let not_busy = passed.idle.saturating_add(passed.iowait);
        Some(CpuUsage {
            busy: share(whole.saturating_sub(not_busy)),
            user: share(passed.user),
            nice: share(passed.nice),
            system: share(passed.system),
            idle: share(passed.idle),
            iowait: share(passed.iowait),
            irq: share(passed.irq),
            softirq: share(passed.softirq),
            steal: passed.steal.map(share),
            guest: passed.guest.map(share),
            guest_nice: passed.guest_nice.map(share),
        })
    }

    fn minus(&self, earlier: &Self) -> Self {
        let optional = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Self {
            user: self.user.saturating_sub(earlier.user),
            nice: self.nice.saturating_sub(earlier.nice),
            system: self.system.saturating_sub(earlier.system),
            idle: self.idle.saturating_sub(earlier.idle),
            iowait: self.iowait.saturating_sub(earlier.iowait),
            irq: self.irq.saturating_sub(earlier.irq),
            softirq: self.softirq.saturating_sub(earlier.softirq),
            steal: optional(self.steal, earlier.steal),
            guest: optional(self.guest, earlier.guest),
            guest_nice: optional(self.guest_nice, earlier.guest_nice),
        }
    }
}

/// Parses `stat`. Only the first line is needed; what else is missing or odd is `None`.
///
/// # Errors
///
/// When there is no line of all processors, or it has fewer than seven numbers.
pub fn stat(bytes: &[u8]) -> Result<Cpu, Malformed> {
    let mut found = Cpu::default();
    let mut total = None;
    for (index, line) in lines(bytes).enumerate() {
        let mut words = words(line);
        let Some(name) = words.next() else { continue };
        if let Some(core) = name.strip_prefix(b"cpu") {
            if core.is_empty() {
                total = Some(cpu_times(words).ok_or(Malformed::at(index + 1, SEVEN_NUMBERS))?);
            } else if let (Some(index), Some(times)) = (core_index(core), cpu_times(words)) {
                found.cores.push(Core { index, times });
            }
            continue;
        }
        let value = words.next().and_then(number);
        match name {
            b"btime" => found.boot_time = value.and_then(unix_time),
            b"procs_running" => found.running = value,
            b"procs_blocked" => found.blocked = value,
            b"processes" => found.forks = value,
            b"ctxt" => found.context_switches = value,
            b"intr" => found.interrupts = value,
            b"softirq" => found.soft_interrupts = value,
            _ => {}
        }
    }
    found.total = total.ok_or(Malformed::at(1, "no line of all processors"))?;
    Ok(found)
}

const SEVEN_NUMBERS: &str = "a processor needs at least seven numbers";

fn cpu_times<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<CpuTimes> {
    let mut numbers = words.map(number);
    let mut next = || numbers.next().flatten();
    Some(CpuTimes {
        user: next()?,
        nice: next()?,
        system: next()?,
        idle: next()?,
        iowait: next()?,
        irq: next()?,
        softirq: next()?,
        steal: next(),
        guest: next(),
        guest_nice: next(),
    })
}

fn core_index(word: &[u8]) -> Option<u32> {
    number(word)?.try_into().ok()
}

fn unix_time(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
