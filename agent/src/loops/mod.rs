//! What the agent does again and again; the supervisor decides when.

pub(crate) mod public_ip;
pub(crate) mod register_heartbeat;
pub(crate) mod scan;
