//! `diskstats`: what each block device read and wrote.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use super::fields::{Malformed, good_lines, number, words};

/// What a block device did since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// Device number.
    pub device: (u32, u32),
    /// Name, as in `sda1`.
    pub name: OsString,
    /// Reads that were completed.
    pub reads: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Time that reads took, added up over reads under way at once.
    pub read_time: Duration,
    /// Writes that were completed.
    pub writes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Time that writes took, added up over writes under way at once.
    pub write_time: Duration,
    /// Requests under way now.
    pub in_flight: Option<u64>,
    /// Time with at least one request under way.
    pub busy_time: Duration,
    /// Time of all requests, added up.
    pub queue_time: Duration,
    /// Bytes that were discarded (4.18).
    pub discarded_bytes: Option<u64>,
    /// Flushes that were completed (5.5).
    pub flushes: Option<u64>,
}

/// The unit of the kernel's counters, whatever the device's own sectors.
const SECTOR_BYTES: u64 = 512;

/// Parses `diskstats`.
///
/// # Errors
///
/// When there are lines, but none can be understood.
pub fn diskstats(bytes: &[u8]) -> Result<Vec<BlockDevice>, Malformed> {
    good_lines(bytes, 0, "not a block device with eleven numbers", device)
}

fn device(line: &[u8]) -> Option<BlockDevice> {
    let mut words = words(line);
    let major = number(words.next()?)?.try_into().ok()?;
    let minor = number(words.next()?)?.try_into().ok()?;
    let name = OsString::from_vec(words.next()?.to_vec());
    let mut numbers = words.map(number);
    let mut next = || numbers.next().flatten();
    let (reads, _merged, read_sectors, read_millis) = (next()?, next()?, next()?, next()?);
    let (writes, _merged, written_sectors, write_millis) = (next()?, next()?, next()?, next()?);
    // Some kernels have printed a negative figure here.
    let in_flight = next();
    let (busy_millis, queue_millis) = (next()?, next()?);
    let (_discards, _merged, discarded_sectors, _millis) = (next(), next(), next(), next());
    Some(BlockDevice {
        device: (major, minor),
        name,
        reads,
        read_bytes: read_sectors.saturating_mul(SECTOR_BYTES),
        read_time: Duration::from_millis(read_millis),
        writes,
        written_bytes: written_sectors.saturating_mul(SECTOR_BYTES),
        write_time: Duration::from_millis(write_millis),
        in_flight,
        busy_time: Duration::from_millis(busy_millis),
        queue_time: Duration::from_millis(queue_millis),
        discarded_bytes: discarded_sectors.map(|sectors| sectors.saturating_mul(SECTOR_BYTES)),
        flushes: next(),
    })
}
