//! What one reading of the host brings, and what two of them say about the time between.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sysinfo_linux::{BlockKind, CpuTimes, Host, Pressures};

/// The names of the figures, in their order. Ratios are 0 to 1, traffic is bytes a second, waiting is the share of the time.
pub(crate) const COLUMNS: [&str; 14] = [
    "cpu_busy",
    "cpu_iowait",
    "cpu_steal",
    "memory_used",
    "swap_used",
    "load_1",
    "load_5",
    "received",
    "sent",
    "read",
    "written",
    "waiting_cpu",
    "waiting_memory",
    "waiting_io",
];

/// The figures of one moment; what is not known is `None`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Figures {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// In the order of [`COLUMNS`].
    pub(crate) values: [Option<f32>; COLUMNS.len()],
}

/// What the host's files said at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) at: Instant,
    wall: SystemTime,
    cpu: Option<CpuTimes>,
    memory_used: Option<f64>,
    swap_used: Option<f64>,
    load: Option<(f64, f64)>,
    pub(super) received: Option<u64>,
    sent: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    /// Time that some task waited for processor, memory and disk.
    waited: [Option<Duration>; 3],
}

impl Counters {
    /// Nothing known yet.
    pub(super) fn at(at: Instant, wall: SystemTime) -> Self {
        Self {
            at,
            wall,
            cpu: None,
            memory_used: None,
            swap_used: None,
            load: None,
            received: None,
            sent: None,
            read: None,
            written: None,
            waited: [None; 3],
        }
    }

    /// Reads the host; blocks. A file that cannot be read leaves its figures out.
    pub(crate) fn read(host: &mut Host) -> Self {
        let mut now = Self::at(Instant::now(), SystemTime::now());
        now.cpu = host.cpu().ok().map(|cpu| cpu.total);
        if let Ok(memory) = host.memory() {
            now.memory_used = memory.used_ratio();
            now.swap_used = memory
                .swap_used_bytes()
                .zip(memory.meminfo.swap_total_bytes)
                .and_then(|(used, total)| ratio(used, total));
        }
        now.load = host.load().ok().map(|load| (load.one, load.five));
        now.read_traffic(host);
        if let Ok(pressures) = host.pressure() {
            now.waited = waited(&pressures);
        }
        now
    }

    /// What the host's own connections and whole disks carried, each byte once.
    fn read_traffic(&mut self, host: &mut Host) {
        if let Ok(networks) = host.networks() {
            let physical = || networks.iter().filter(|network| network.physical);
            self.received = sum(physical().map(|network| network.received.bytes));
            self.sent = sum(physical().map(|network| network.sent.bytes));
        }
        if let Ok(disks) = host.disk_io() {
            let whole = || disks.iter().filter(|disk| disk.kind == BlockKind::Disk);
            self.read = sum(whole().map(|disk| disk.device.read_bytes));
            self.written = sum(whole().map(|disk| disk.device.written_bytes));
        }
    }
}

/// What all of them carried; nothing is known where there are none.
fn sum(bytes: impl Iterator<Item = u64>) -> Option<u64> {
    bytes.reduce(u64::saturating_add)
}

fn waited(pressures: &Pressures) -> [Option<Duration>; 3] {
    [pressures.cpu, pressures.memory, pressures.io].map(|pressure| Some(pressure?.some?.total))
}

impl Figures {
    /// What happened between two readings, and what is so at the second.
    pub(super) fn between(before: Option<&Counters>, now: &Counters) -> Self {
        let usage = before.and_then(|before| now.cpu?.usage_since(&before.cpu?));
        let seconds = before.map(|before| now.at.duration_since(before.at).as_secs_f64());
        let rate = |of: fn(&Counters) -> Option<u64>| {
            // A counter that went back began anew: there is no figure for this once.
            let more = of(now)?.checked_sub(of(before?)?)?;
            per_second(more, seconds?)
        };
        let waiting = |index: usize| {
            let total = |counters: &Counters| *counters.waited.get(index)?;
            let more = total(now)?.checked_sub(total(before?)?)?;
            let share = more.as_secs_f64() / seconds.filter(|seconds| *seconds > 0.0)?;
            Some(share.min(1.0))
        };
        let values = [
            usage.map(|usage| usage.busy),
            usage.map(|usage| usage.iowait),
            usage.and_then(|usage| usage.steal),
            now.memory_used,
            now.swap_used,
            now.load.map(|load| load.0),
            now.load.map(|load| load.1),
            rate(|counters| counters.received),
            rate(|counters| counters.sent),
            rate(|counters| counters.read),
            rate(|counters| counters.written),
            waiting(0),
            waiting(1),
            waiting(2),
        ];
        Self {
            at: since_1970(now.wall),
            values: values.map(|value| value.map(single)),
        }
    }

    /// One figure by its name.
    #[cfg(test)]
    pub(super) fn get(&self, name: &str) -> Option<f32> {
        let index = COLUMNS.iter().position(|column| *column == name)?;
        self.values[index]
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seven digits are more than a chart shows"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what passes in seconds is far below 2^53 bytes"
)]
fn per_second(bytes: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| bytes as f64 / seconds)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio needs no more digits than these"
)]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn since_1970(wall: SystemTime) -> i64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
