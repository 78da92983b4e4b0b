//! What a program was measured to do, as it is shown; what nobody knows is absent.

use std::collections::BTreeMap;

use bpf_host::{Reading, Usage};
use serde_json::{Value, json};

/// The newest figures of one program.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
    /// Since it was loaded, like all that follow.
    pub(crate) packets: Option<u64>,
    pub(crate) violations: Option<u64>,
    pub(crate) errors: Option<u64>,
    pub(crate) runs: Option<u64>,
    pub(crate) run_seconds: Option<f64>,
    /// `off`, `sysctl` or `held`: whether the kernel counts runs.
    pub(crate) statistics: Option<&'static str>,
    /// The map that the program counts in.
    pub(crate) source: Option<String>,
    /// Everything in that map.
    pub(crate) named: BTreeMap<String, u64>,
    pub(crate) programs: Vec<Value>,
}

/// What a ring buffer has told so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Told {
    pub(crate) violations: u64,
    pub(crate) errors: u64,
    /// More than are passed on.
    pub(crate) dropped: u64,
    pub(crate) malformed: u64,
}

impl Numbers {
    /// From a reading, what happened since the one before, and the ring buffer if there is one.
    pub(super) fn new(reading: &Reading, usage: Option<&Usage>, told: Option<Told>) -> Self {
        let of = |figure: fn(&bpf_host::ProgramReading) -> Option<u64>| -> Option<u64> {
            reading.programs.iter().map(figure).sum()
        };
        let run_time: Option<std::time::Duration> = reading
            .programs
            .iter()
            .map(|program| program.run_time)
            .sum();
        let counters = &reading.counters;
        let runs = of(|program| program.run_count);
        let misses = of(|program| program.recursion_misses);
        let per_packet = reading
            .programs
            .iter()
            .all(|program| program.kind.is_per_packet());
        let known = [counters.errors, told.map(|told| told.errors), misses];
        let errors = known
            .iter()
            .any(Option::is_some)
            .then(|| known.iter().flatten().sum());
        Self {
            cpu_percent: usage.and_then(|usage| usage.cpu_percent),
            latency_ms: usage
                .and_then(|usage| usage.mean_latency)
                .map(|latency| latency.as_secs_f64() * 1000.0),
            memory_bytes: reading.memory_bytes,
            packets: counters.packets.or(runs.filter(|_| per_packet)),
            violations: counters.violations.or(told.map(|told| told.violations)),
            errors,
            runs,
            run_seconds: run_time.map(|time| time.as_secs_f64()),
            statistics: Some(reading.statistics.name()),
            source: counters.source.clone(),
            named: counters.named.clone(),
            programs: reading.programs.iter().map(one).collect(),
        }
    }

    /// As the rules of the life cycle take them.
    pub(super) fn figures(&self) -> bpf_lifecycle::Figures {
        bpf_lifecycle::Figures {
            errors: self.errors,
            violations: self.violations,
            cpu_percent: self.cpu_percent,
            latency_ms: self.latency_ms,
            memory_kb: self.memory_kb(),
            verifier_failed: false,
        }
    }

    pub(crate) fn memory_kb(&self) -> Option<u64> {
        self.memory_bytes.map(|bytes| bytes.div_ceil(1024))
    }
}

fn one(program: &bpf_host::ProgramReading) -> Value {
    json!({
        "name": program.name,
        "kind": program.kind.name(),
        "id": program.id,
        "tag": program.tag,
        "run_count": program.run_count,
        "run_time_seconds": program.run_time.map(|time| time.as_secs_f64()),
        "recursion_misses": program.recursion_misses,
        "verified_instructions": program.verified_instructions,
        "memory_bytes": program.memory_bytes,
    })
}
