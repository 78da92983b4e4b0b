//! Leases: ports kept for a server that has not started yet.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use crate::bind::GuardSocket;

/// Names a lease; not to be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub(crate) u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for LeaseId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Ports kept for a server that has not started yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// Ports that are still kept.
    pub ports: Vec<u16>,
    /// When it ends.
    pub until: Instant,
}

/// A port that an [`Allocator`](crate::Allocator) keeps, so that a scan can tell it from somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The port.
    pub port: u16,
    /// The kernel's name for the socket that keeps it.
    pub cookie: Option<u64>,
}

/// The ports of a lease, each with the socket that keeps it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) until: Instant,
    pub(crate) ports: Vec<(u16, GuardSocket)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_name_reads_back() {
        let id = LeaseId(0x1f);
        assert_eq!(id.to_string(), "000000000000001f");
        assert_eq!(id.to_string().parse::<LeaseId>().unwrap(), id);
        assert!("zz".parse::<LeaseId>().is_err());
    }
}
