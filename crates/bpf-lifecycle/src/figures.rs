//! What a program was measured to do, and how much of it is allowed.

use crate::{ArtifactId, Digest, Threshold};

/// What was measured of one program; what the kernel does not give is `None` and never a breach.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Figures {
    /// Errors since it was loaded.
    pub errors: Option<u64>,
    /// Violations since it was loaded.
    pub violations: Option<u64>,
    /// Share of one CPU since the last measurement.
    pub cpu_percent: Option<f64>,
    /// Mean time of one run since the last measurement.
    pub latency_ms: Option<f64>,
    /// Locked memory.
    pub memory_kb: Option<u64>,
    /// Whether the verifier refused a part of it after it was loaded.
    pub verifier_failed: bool,
}

/// The figures of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Whose they are.
    pub id: ArtifactId,
    /// Of which bytes of it: figures of a version that was replaced say nothing about the new one.
    pub digest: Digest,
    /// What they are.
    pub figures: Figures,
}

/// How errors and violations are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// Those since the last check; the limit is per check interval, and a window of another length
    /// is judged in proportion.
    #[default]
    Window,
    /// All since the program was loaded.
    Cumulative,
}

/// What is allowed; more than that is a breach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Errors, see [`Counting`].
    pub max_errors: u64,
    /// Violations, see [`Counting`].
    pub max_violations: u64,
    /// Percent of one CPU.
    pub max_cpu_percent: f64,
    /// Mean milliseconds of one run.
    pub max_latency_ms: f64,
    /// Kilobytes of locked memory.
    pub max_memory_kb: u64,
    /// Whether a refusal of the verifier counts as a breach.
    pub verifier_failure: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_errors: 10,
            max_violations: 100,
            max_cpu_percent: 80.0,
            max_latency_ms: 1_000.0,
            max_memory_kb: 102_400,
            verifier_failure: true,
        }
    }
}

/// The limits of one artifact, each in place of the general one.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitOverrides {
    /// In place of [`Limits::max_errors`].
    pub max_errors: Option<u64>,
    /// In place of [`Limits::max_violations`].
    pub max_violations: Option<u64>,
    /// In place of [`Limits::max_cpu_percent`].
    pub max_cpu_percent: Option<f64>,
    /// In place of [`Limits::max_latency_ms`].
    pub max_latency_ms: Option<f64>,
    /// In place of [`Limits::max_memory_kb`].
    pub max_memory_kb: Option<u64>,
    /// In place of [`Limits::verifier_failure`].
    pub verifier_failure: Option<bool>,
}

/// By bits where there are fractions: a limit that is no number equals itself, or a program with
/// one would be changed for ever.
impl PartialEq for LimitOverrides {
    fn eq(&self, other: &Self) -> bool {
        let whole = |limits: &Self| {
            (
                limits.max_errors,
                limits.max_violations,
                limits.max_cpu_percent.map(f64::to_bits),
                limits.max_latency_ms.map(f64::to_bits),
                limits.max_memory_kb,
                limits.verifier_failure,
            )
        };
        whole(self) == whole(other)
    }
}

impl Limits {
    /// These limits with those of one artifact put over them.
    #[must_use]
    pub fn with(&self, own: &LimitOverrides) -> Self {
        Self {
            max_errors: own.max_errors.unwrap_or(self.max_errors),
            max_violations: own.max_violations.unwrap_or(self.max_violations),
            max_cpu_percent: own.max_cpu_percent.unwrap_or(self.max_cpu_percent),
            max_latency_ms: own.max_latency_ms.unwrap_or(self.max_latency_ms),
            max_memory_kb: own.max_memory_kb.unwrap_or(self.max_memory_kb),
            verifier_failure: own.verifier_failure.unwrap_or(self.verifier_failure),
        }
    }

    /// The first limit that is exceeded, in the order of the contract, and by what.
    pub(crate) fn first_exceeded(
        &self,
        errors: Option<Count>,
        violations: Option<Count>,
        figures: &Figures,
    ) -> Option<(Threshold, String)> {
        let count = |count: Option<Count>, limit| {
            count
                .filter(|count| count.exceeds(limit))
                .map(|count| count.number.to_string())
        };
        let above = |value: Option<f64>, limit: f64| {
            value
                .filter(|value| *value > limit)
                .map(|value| value.to_string())
        };
        let memory = figures.memory_kb.filter(|kb| *kb > self.max_memory_kb);
        let refused = self.verifier_failure && figures.verifier_failed;
        [
            (Threshold::MaxErrors, count(errors, self.max_errors)),
            (
                Threshold::MaxViolations,
                count(violations, self.max_violations),
            ),
            (
                Threshold::MaxCpuPercent,
                above(figures.cpu_percent, self.max_cpu_percent),
            ),
            (
                Threshold::MaxLatencyMs,
                above(figures.latency_ms, self.max_latency_ms),
            ),
            (Threshold::MaxMemoryKb, memory.map(|kb| kb.to_string())),
            (
                Threshold::VerifierFailure,
                refused.then(|| "true".to_owned()),
            ),
        ]
        .into_iter()
        .find_map(|(threshold, value)| value.map(|value| (threshold, value)))
    }
}

/// A number of events and the share of the check interval it was counted over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub(crate) number: u64,
    /// For how long it was counted, and the interval the limit is for. Equal when the limit is
    /// meant as it stands.
    pub(crate) over_seconds: u64,
    pub(crate) interval_seconds: u64,
}

impl Count {
    /// Whether this is more than `limit` per interval, without a division that would round.
    fn exceeds(&self, limit: u64) -> bool {
        let counted = u128::from(self.number) * u128::from(self.interval_seconds);
        counted > u128::from(limit) * u128::from(self.over_seconds)
    }
}
