//! What the agent does again and again; the supervisor decides when.

#[cfg(feature = "guest")]
pub(crate) mod guest;
#[cfg(feature = "guest")]
pub(crate) mod guest_report;
#[cfg(feature = "page")]
pub(crate) mod history;
#[cfg(feature = "aegis")]
pub(crate) mod programs;
#[cfg(feature = "sigma")]
pub(crate) mod public_ip;
#[cfg(feature = "luna")]
pub(crate) mod push;
#[cfg(feature = "sigma")]
pub(crate) mod register_heartbeat;
#[cfg(feature = "luna")]
pub(crate) mod sample;
#[cfg(feature = "sigma")]
pub(crate) mod scan;

/// The names of the loops at the supervisor, in `/status` and in metrics.
pub(crate) const HTTP: &str = "http";
pub(crate) const HEARTBEAT: &str = "heartbeat";
#[cfg(feature = "sigma")]
pub(crate) const PUBLIC_IP: &str = "public-ip";
#[cfg(feature = "sigma")]
pub(crate) const SCAN: &str = "scan";
#[cfg(feature = "luna")]
pub(crate) const SAMPLE: &str = "sample";
#[cfg(feature = "luna")]
pub(crate) const PUSH: &str = "push";
#[cfg(feature = "luna")]
pub(crate) const BACKFILL: &str = "backfill";
#[cfg(feature = "guest")]
pub(crate) const GUEST: &str = "guest";
#[cfg(feature = "guest")]
pub(crate) const REPORT: &str = "guest-report";
#[cfg(feature = "page")]
pub(crate) const HISTORY: &str = "history";

#[cfg(feature = "aegis")]
pub(crate) const POLL: &str = "programs-poll";
#[cfg(feature = "aegis")]
pub(crate) const KEYS: &str = "programs-keys";
#[cfg(feature = "aegis")]
pub(crate) const METER: &str = "programs-meter";
#[cfg(feature = "aegis")]
pub(crate) const DEADLINE: &str = "programs-deadline";

/// The loops that look at a changed configuration at once.
pub(crate) const WOKEN_BY_RELOAD: &[&str] = &[
    HTTP,
    #[cfg(feature = "sigma")]
    PUBLIC_IP,
    HEARTBEAT,
    #[cfg(feature = "luna")]
    PUSH,
];
