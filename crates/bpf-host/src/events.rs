//! Events that programs send through a ring buffer, in the agreed form.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use aya::maps::{Map, MapData, RingBuf};

use crate::bytes::{slice_at, u16_at, u32_at, u64_at};
use crate::error::{Error, Result};

/// Bytes before the payload.
const HEADER: usize = 32;
const VERSION: u16 = 1;
/// The longest payload that is handed on.
const MAX_PAYLOAD: usize = 4 << 10;

/// One event of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// When, since the host was started (`CLOCK_MONOTONIC`).
    pub at: Duration,
    /// The cgroup it is about, by its number; 0 if it is about none.
    pub cgroup_id: u64,
    /// The process it is about; 0 if it is about none.
    pub process_id: u32,
    /// The program's own code.
    pub code: u32,
    /// What else the program says.
    pub payload: Vec<u8>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Something that the program is there to prevent.
    Violation,
    /// The program could not do its work.
    Error,
    /// Anything else worth knowing.
    Info,
}

impl Event {
    /// Reads a record of the map `aegis_events`: version, kind (u16), length (u32), time,
    /// cgroup (u64), process, code (u32), payload.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        if u16_at(record, 0)? != VERSION {
            return None;
        }
        let kind = match u16_at(record, 2)? {
            1 => EventKind::Violation,
            2 => EventKind::Error,
            3 => EventKind::Info,
            _ => return None,
        };
        let length = usize::try_from(u32_at(record, 4)?)
            .ok()
            .filter(|length| *length <= MAX_PAYLOAD)?;
        let at = Duration::from_nanos(u64_at(record, 8)?);
        let (cgroup_id, process_id, code) = (
            u64_at(record, 16)?,
            u32_at(record, 24)?,
            u32_at(record, 28)?,
        );
        let payload = slice_at(record, HEADER, length)?.to_vec();
        Some(Self {
            kind,
            at,
            cgroup_id,
            process_id,
            code,
            payload,
        })
    }
}

/// The events of one program. Wait until the descriptor is readable, then take events until there
/// is none; with tokio, put it into an `AsyncFd`.
pub struct Events {
    ring: RingBuf<MapData>,
    malformed: u64,
}

impl Events {
    pub(crate) fn open(map: OwnedFd) -> Result<Self> {
        let failed = |error| {
            Error::kernel(
                "open the ring buffer `aegis_events`",
                io::Error::other(error),
            )
        };
        let data = MapData::from_fd(map).map_err(failed)?;
        let ring = RingBuf::try_from(Map::RingBuf(data)).map_err(failed)?;
        Ok(Self { ring, malformed: 0 })
    }

    /// The next event, if one is there. Malformed records are counted and passed over, at most
    /// 1,000 at once.
    pub fn next_event(&mut self) -> Option<Event> {
        for _ in 0..1_000 {
            let parsed = Event::parse(&self.ring.next()?);
            if parsed.is_some() {
                return parsed;
            }
            self.malformed = self.malformed.saturating_add(1);
        }
        None
    }

    /// Records so far that were not in the agreed form.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("malformed", &self.malformed)
            .finish_non_exhaustive()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_fd().as_raw_fd()
    }
}
