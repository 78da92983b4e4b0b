//! What is told about a rollback, in the words of the contract.

use crate::{ArtifactId, Digest, Figures};

/// An enum whose variants have a fixed text each, the same when shown and when written down.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* #[cfg_attr(feature = "serde", serde(rename = $text))] $variant,)*
        }

        impl $name {
            /// Its name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Why a program was rolled back.
    Reason {
        /// Errors, violations, latency or memory over the limit.
        TelemetryThreshold = "telemetry_threshold",
        /// The verifier refused it.
        VerifierFailure = "verifier_failure",
        /// CPU over the limit.
        HighCpu = "high_cpu",
        /// The orchestrator asked for it.
        OrchestratorSignal = "orchestrator_signal",
        /// A person, or the agent itself, asked for it.
        Manual = "manual",
        /// Its time is over. The wire knows this word; here the end of a TTL is a
        /// [`Stop`](crate::Action::Stop) and makes no event.
        TtlExpired = "ttl_expired",
    }
}

words! {
    /// Which limit was exceeded.
    Threshold {
        /// Errors.
        MaxErrors = "max_errors",
        /// Violations.
        MaxViolations = "max_violations",
        /// CPU.
        MaxCpuPercent = "max_cpu_percent",
        /// Latency.
        MaxLatencyMs = "max_latency_ms",
        /// Memory.
        MaxMemoryKb = "max_memory_kb",
        /// The verifier.
        VerifierFailure = "verifier_failure",
        /// None that is known.
        Unknown = "unknown",
    }
}

impl Threshold {
    /// The reason that goes with it.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::MaxCpuPercent => Reason::HighCpu,
            Self::VerifierFailure => Reason::VerifierFailure,
            _ => Reason::TelemetryThreshold,
        }
    }
}

words! {
    /// How far a rollback is.
    Status {
        /// A limit was exceeded or somebody asked; the delay, if any, begins.
        Initiated = "initiated",
        /// Within the delay it recovered, ended or was replaced: nothing is done.
        Cancelled = "cancelled",
        /// It is being undone.
        InProgress = "in_progress",
        /// It is out of the kernel.
        Completed = "completed",
        /// It could not be undone; it will be tried again.
        Failed = "failed",
    }
}

/// One thing that happened in a rollback. The caller adds the host.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// Which artifact.
    pub artifact_id: ArtifactId,
    /// Which bytes of it; `None` if it was not there.
    pub digest: Option<Digest>,
    /// Why.
    pub reason: Reason,
    /// Which limit, if one was exceeded.
    pub threshold: Option<Threshold>,
    /// By what.
    pub value: Option<String>,
    /// All figures at that moment.
    pub figures: Option<Figures>,
    /// When, in seconds since 1970.
    pub timestamp: i64,
    /// How far it is.
    pub status: Status,
    /// What went wrong.
    pub error: Option<String>,
    /// The request it answers.
    pub request_id: Option<String>,
    /// What the one who asked gave as the reason.
    pub remark: Option<String>,
}

/// The longest text of outside that is kept in memory and in events.
const LONGEST_TEXT: usize = 512;

/// The beginning of a text, cut between characters.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
