//! What the agent does again and again; the supervisor decides when.

pub(crate) mod public_ip;
pub(crate) mod register_heartbeat;
pub(crate) mod scan;

/// The names of the loops at the supervisor, in `/status` and in metrics.
pub(crate) const HTTP: &str = "http";
pub(crate) const HEARTBEAT: &str = "heartbeat";
pub(crate) const PUBLIC_IP: &str = "public-ip";
pub(crate) const SCAN: &str = "scan";

/// How this agent introduces itself to servers.
const USER_AGENT: &str = concat!("sigma-agent/", env!("CARGO_PKG_VERSION"));
