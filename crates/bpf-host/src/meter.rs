//! What running programs cost and what they did: readings of the kernel's own figures, and rates between two of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ProgramKind;

/// Where the figures of run time and run count come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// The kernel does not count: run times and run counts are unknown.
    Off,
    /// The setting `kernel.bpf_stats_enabled` is on.
    Setting,
    /// This process has asked the kernel to count.
    Held,
}

impl Statistics {
    /// `off`, `sysctl` or `held`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Setting => "sysctl",
            Self::Held => "held",
        }
    }
}

/// All figures of one artifact at one moment. What the kernel does not tell is `None`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// When (`CLOCK_MONOTONIC`).
    pub at: Duration,
    /// Whether the kernel counts runs.
    pub statistics: Statistics,
    /// Its programs.
    pub programs: Vec<ProgramReading>,
    /// Kernel memory locked by its programs and maps, each counted once.
    pub memory_bytes: Option<u64>,
    /// What its programs count themselves.
    pub counters: Counters,
}

/// The figures of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramReading {
    /// The name of its function.
    pub name: String,
    /// How it is attached.
    pub kind: ProgramKind,
    /// The kernel's number for it.
    pub id: u32,
    /// The kernel's hash of its instructions, in hex.
    pub tag: String,
    /// Time spent in it since it was loaded.
    pub run_time: Option<Duration>,
    /// How often it ran since it was loaded.
    pub run_count: Option<u64>,
    /// How often it was left out because it was running already.
    pub recursion_misses: Option<u64>,
    /// Instructions that the verifier went through.
    pub verified_instructions: Option<u32>,
    /// Kernel memory locked by it.
    pub memory_bytes: Option<u64>,
}

/// What programs count in a map of an agreed name, summed over processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// The map; `None` means that there is none.
    pub source: Option<String>,
    /// Packets, system calls or events that were looked at.
    pub packets: Option<u64>,
    /// Those that broke a rule. In an enforcing program these are successful blocks.
    pub violations: Option<u64>,
    /// Failures of the program itself.
    pub errors: Option<u64>,
    /// All numbers of the map, by the names they have there.
    pub named: BTreeMap<String, u64>,
}

/// What happened between two readings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Usage {
    /// Time between them.
    pub elapsed: Duration,
    /// Time in the programs, as a share of one processor: 100 is one processor all the time.
    pub cpu_percent: Option<f64>,
    /// Mean time of one run; `None` without a run.
    pub mean_latency: Option<Duration>,
    /// Runs.
    pub runs: Option<u64>,
    /// Packets that the programs looked at; from their own count, else runs of per-packet programs.
    pub packets: Option<u64>,
    /// Broken rules.
    pub violations: Option<u64>,
    /// Failures of the programs themselves.
    pub errors: Option<u64>,
    /// Runs that were left out.
    pub recursion_misses: Option<u64>,
}

impl Counters {
    /// Sorts named numbers into what they mean.
    pub(crate) fn of(map: &str, named: BTreeMap<String, u64>) -> Self {
        let first = |names: &[&str]| {
            let values: Vec<u64> = names
                .iter()
                .filter_map(|name| named.get(*name).copied())
                .collect();
            values.first().copied()
        };
        Self {
            source: Some(map.to_owned()),
            packets: first(&[
                "packets_processed",
                "syscalls_processed",
                "events_processed",
            ]),
            violations: first(&[
                "violations",
                "packets_dropped",
                "syscalls_blocked",
                "events_blocked",
            ]),
            errors: first(&["errors"]),
            named,
        }
    }
}

impl Reading {
    /// What happened since an earlier reading. Programs that were loaded in between count from
    /// their start, those that are gone no longer count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Usage {
        let elapsed = self.at.saturating_sub(earlier.at);
        let on = self.statistics != Statistics::Off;
        let runs = self
            .sum(earlier, |program| program.run_count)
            .filter(|_| on);
        let nanoseconds = self.sum(earlier, |program| {
            program
                .run_time
                .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
        });
        let run_time = nanoseconds.filter(|_| on).map(Duration::from_nanos);
        let cpu_percent = run_time
            .filter(|_| !elapsed.is_zero())
            .map(|time| 100.0 * time.as_secs_f64() / elapsed.as_secs_f64());
        let mean_latency = run_time
            .zip(runs)
            .and_then(|(time, runs)| u64::try_from(time.as_nanos()).ok()?.checked_div(runs))
            .map(Duration::from_nanos);
        let same_programs = self
            .programs
            .iter()
            .map(|program| program.id)
            .eq(earlier.programs.iter().map(|program| program.id));
        let counted = |now: Option<u64>, before: Option<u64>| {
            now.map(|now| {
                if same_programs {
                    now.saturating_sub(before.unwrap_or(0))
                } else {
                    now
                }
            })
        };
        let own_packets = counted(self.counters.packets, earlier.counters.packets);
        let per_packet = || {
            self.programs
                .iter()
                .any(|program| program.kind.is_per_packet())
        };
        Usage {
            elapsed,
            cpu_percent,
            mean_latency,
            runs,
            packets: own_packets.or_else(|| {
                if per_packet() {
                    self.packet_runs(earlier).filter(|_| on)
                } else {
                    None
                }
            }),
            violations: counted(self.counters.violations, earlier.counters.violations),
            errors: counted(self.counters.errors, earlier.counters.errors),
            recursion_misses: self.sum(earlier, |program| program.recursion_misses),
        }
    }

    fn packet_runs(&self, earlier: &Self) -> Option<u64> {
        self.sum(earlier, |program| {
            if program.kind.is_per_packet() {
                program.run_count
            } else {
                Some(0)
            }
        })
    }

    /// The rise of a figure, over all programs; `None` if it is unknown for one of them.
    fn sum(&self, earlier: &Self, figure: impl Fn(&ProgramReading) -> Option<u64>) -> Option<u64> {
        let rise = |program: &ProgramReading| {
            let before = earlier
                .programs
                .iter()
                .find(|one| one.id == program.id)
                .and_then(&figure);
            figure(program).map(|now| now.saturating_sub(before.unwrap_or(0)))
        };
        self.programs.iter().map(rise).sum()
    }
}
