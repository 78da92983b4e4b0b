//! `net/dev`: what each interface carried.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::fields::{Malformed, good_lines, number, words};

/// An interface and what it carried since it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name; any bytes but `/` and white space.
    pub name: OsString,
    /// What came in.
    pub received: Received,
    /// What went out.
    pub sent: Sent,
}

/// What came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with an error.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
    /// Overruns.
    pub fifo: u64,
    /// Framing errors.
    pub frame: u64,
    /// Compressed packets.
    pub compressed: u64,
    /// Multicast packets.
    pub multicast: u64,
}

/// What went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with an error.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
    /// Overruns.
    pub fifo: u64,
    /// Collisions.
    pub collisions: u64,
    /// Lost carriers.
    pub carrier: u64,
    /// Compressed packets.
    pub compressed: u64,
}

/// Parses `net/dev`.
///
/// # Errors
///
/// When there are lines after the two of the head, but none can be understood.
pub fn net_dev(bytes: &[u8]) -> Result<Vec<Interface>, Malformed> {
    good_lines(bytes, 2, "not a name and sixteen numbers", interface)
}

/// Older kernels print no space after the colon, and allow colons in names: the last one counts.
fn interface(line: &[u8]) -> Option<Interface> {
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let (name, counters) = line.split_at_checked(colon)?;
    let name = name.trim_ascii();
    if name.is_empty() {
        return None;
    }
    let mut numbers = words(counters.strip_prefix(b":")?).map(number);
    let mut next = || numbers.next().flatten();
    Some(Interface {
        received: Received {
            bytes: next()?,
            packets: next()?,
            errors: next()?,
            dropped: next()?,
            fifo: next()?,
            frame: next()?,
            compressed: next()?,
            multicast: next()?,
        },
        sent: Sent {
            bytes: next()?,
            packets: next()?,
            errors: next()?,
            dropped: next()?,
            fifo: next()?,
            collisions: next()?,
            carrier: next()?,
            compressed: next()?,
        },
        name: OsString::from_vec(name.to_vec()),
    })
}
