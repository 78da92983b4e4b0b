//! What a spool may hold, how it stores it, and when it asks the disk to be sure.

use std::time::Duration;

use crate::Error;

/// The smallest limit that leaves room for a few segments.
const LEAST_BYTES: u64 = 32 * 1024;
/// No record is longer than this, whatever the options say.
const LONGEST_RECORD: u64 = 16 * 1024 * 1024;
/// Segments are this long at most (or as long as one record), so that reading one takes little memory and time.
pub(crate) const LONGEST_SEGMENT: u64 = 256 * 1024;
/// A spool is made of this many segments when it is full, so that dropping the oldest one loses little.
const SEGMENTS: u64 = 16;

/// How a spool stores records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// As they are.
    #[default]
    Bytes,
    /// A record is a row of little-endian 64-bit words, stored as differences to the row before it. Whole rows come out.
    /// For samples of counters and gauges; a record whose length is not a multiple of eight is refused.
    Words,
}

/// When a spool asks the disk to be sure. Without any of it, a killed process loses nothing that was appended or acknowledged;
/// this is about power cuts and crashes of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// With every append and every acknowledgement: nothing is lost, nothing comes back.
    #[default]
    Always,
    /// When a segment is full, and on [`Spool::sync`](crate::Spool::sync). A power cut loses what was appended since (in practice
    /// the last half minute, which the kernel had not written yet), and what was acknowledged since may be read again.
    OnSegment,
}

/// What a spool may hold and how. Change single fields of the default.
#[derive(Clone, Debug)]
pub struct Options {
    /// How records are stored. May change between two runs: what is there stays readable.
    pub coding: Coding,
    /// When the disk is asked to be sure.
    pub sync: Sync,
    /// All files together are at most this long; beyond it the oldest records are dropped. At least 32 KiB.
    pub max_bytes: u64,
    /// A longer record is refused. At most a quarter of `max_bytes`, and 16 MiB.
    pub max_record_bytes: u64,
    /// Older records are dropped by [`Spool::expire`](crate::Spool::expire). `None`: no age is too old.
    pub max_age: Option<Duration>,
}

impl Default for Options {
    /// Bytes, always synced, 16 MiB, 64 KiB a record, any age.
    fn default() -> Self {
        Self {
            coding: Coding::Bytes,
            sync: Sync::Always,
            max_bytes: 16 * 1024 * 1024,
            max_record_bytes: 64 * 1024,
            max_age: None,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.max_bytes < LEAST_BYTES {
            return Err(Error::Refused("max_bytes is below 32 KiB"));
        }
        if self.max_record_bytes > (self.max_bytes / 4).min(LONGEST_RECORD) {
            return Err(Error::Refused(
                "max_record_bytes is above a quarter of max_bytes, or above 16 MiB",
            ));
        }
        Ok(())
    }

    /// When a segment is this long, the next record starts another.
    pub(crate) fn segment_bytes(&self) -> u64 {
        (self.max_bytes / SEGMENTS).min(LONGEST_SEGMENT)
    }
}
