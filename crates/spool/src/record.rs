//! What comes out of a spool: records, and what is known about those that do not.

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number. Numbers rise from record to record, with gaps, and are never given twice.
    pub sequence: u64,
    /// The time that the caller gave it, in seconds since 1970.
    pub at_seconds: u64,
    /// What was appended.
    pub bytes: Vec<u8>,
}

/// How many records left the queue without having been acknowledged, since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// To make room, the oldest first.
    pub by_size: u64,
    /// Because they were older than `max_age`.
    pub by_age: u64,
    /// Because they could not be read, or did not have the checksum they were written with. An upper bound where not even
    /// their lengths can be told.
    pub by_damage: u64,
}

/// What opening found to mend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// So many bytes at the end of the newest segment were no whole record, and were cut off: an append had been interrupted.
    pub cut_bytes: u64,
    /// So many records in what was read for opening (the oldest and the newest segment) were damaged.
    pub damaged_records: u64,
    /// Nobody knows how far the queue had been read, so it starts at the oldest record there is.
    pub position_lost: bool,
}
