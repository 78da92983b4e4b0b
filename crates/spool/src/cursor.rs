//! A place in a segment, from which one record after the other is read, and damage passed over.

use crate::Record;
use crate::frame::{self, Chain, Frame};
use crate::segment::{HEADER, Name};

/// No frame is shorter: length, time and checksum.
pub(crate) const SHORTEST: u64 = 6;

#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    name: Name,
    /// In the segment's file.
    pub(crate) offset: u64,
    /// The next record's number, or a smaller one.
    pub(crate) expected: u64,
    chain: Chain,
    /// Whether the frame before is known.
    linked: bool,
}

/// What stands at a cursor.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Record(Frame<'a>),
    Damage {
        /// So long.
        bytes: usize,
        /// At most so many records were there.
        records: u64,
        /// The number of the good record behind it.
        next: u64,
    },
    /// The end, or nothing but bytes in which there may have been so many records.
    End {
        bytes: usize,
        records: u64,
    },
}

impl Cursor {
    pub(crate) fn start(name: Name) -> Self {
        Self {
            name,
            offset: HEADER as u64,
            expected: name.first,
            chain: Chain::default(),
            linked: false,
        }
    }

    /// What stands at the front of `bytes`, which are those from the cursor to the end of the segment.
    pub(crate) fn look<'a>(&self, bytes: &'a [u8]) -> Found<'a> {
        let before = self.linked.then_some(&self.chain);
        if let Some(frame) = self.good(frame::read(self.name, before, bytes)) {
            return Found::Record(frame);
        }
        let Some((behind, next)) = self.next_whole(bytes) else {
            return Found::End {
                bytes: bytes.len(),
                records: frame::count(self.name, bytes).unwrap_or(0),
            };
        };
        Found::Damage {
            bytes: behind,
            records: self.lost(bytes.get(..behind).unwrap_or_default(), next),
            next,
        }
    }

    fn good<'a>(&self, frame: Option<Frame<'a>>) -> Option<Frame<'a>> {
        frame.filter(|frame| frame.sequence >= self.expected)
    }

    /// Where the next whole frame starts, and its number.
    fn next_whole(&self, bytes: &[u8]) -> Option<(usize, u64)> {
        let mark = frame::mark(self.name);
        let places = bytes.windows(mark.len()).enumerate().skip(1);
        places
            .filter(|(_, window)| *window == mark)
            .find_map(|(place, _)| {
                let frame = self.good(frame::read(self.name, None, bytes.get(place..)?))?;
                Some((place, frame.sequence))
            })
    }

    /// How many records were in damaged bytes, before the record `next`. By the lengths of the frames, or, if these are damaged,
    /// at most as many as there are numbers and as there is room.
    fn lost(&self, damaged: &[u8], next: u64) -> u64 {
        frame::count(self.name, damaged).unwrap_or_else(|| {
            let room = u64::try_from(damaged.len()).unwrap_or(u64::MAX) / SHORTEST;
            next.saturating_sub(self.expected).min(room)
        })
    }

    /// Goes behind a frame that was found here, without unpacking it for the caller.
    pub(crate) fn pass(&mut self, frame: &Frame<'_>) {
        frame.pass(self.name, &mut self.chain);
        self.behind(frame);
    }

    /// Goes behind a frame that was found here.
    pub(crate) fn take(&mut self, frame: &Frame<'_>) -> Record {
        let bytes = frame.record(self.name, &mut self.chain);
        self.behind(frame);
        Record {
            sequence: frame.sequence,
            at_seconds: frame.at_seconds,
            bytes,
        }
    }

    fn behind(&mut self, frame: &Frame<'_>) {
        self.linked = true;
        self.expected = frame.sequence.saturating_add(1);
        self.advance(frame.length);
    }

    /// Goes behind damage that was found here.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.linked = false;
        self.advance(bytes);
    }

    fn advance(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(bytes);
    }
}
