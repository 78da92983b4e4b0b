//! The queue: what it is made of, and what it knows about itself.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::cursor::Cursor;
use crate::disk::Folder;
use crate::passing::length;
use crate::position::{self, Position};
use crate::segment::Segment;
use crate::writing::Writer;
use crate::{Dropped, Error, Options, Recovery};

/// A queue of records in a folder. Whoever holds it is its only owner, in this process and among all others.
///
/// An error of any call leaves it usable.
pub struct Spool {
    pub(crate) folder: Box<dyn Folder>,
    /// For errors.
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    /// The oldest first. Records are read from the front and appended to the back.
    pub(crate) segments: VecDeque<Segment>,
    /// In the front segment, before the oldest record of the queue.
    pub(crate) cursor: Cursor,
    /// Of the back segment.
    pub(crate) writer: Option<Writer>,
    /// Segments that have left the queue, but whose files may still be there.
    pub(crate) leftovers: Vec<Segment>,
    pub(crate) position: Position,
    /// The next record's number.
    pub(crate) next: u64,
    pub(crate) recovered: Recovery,
    /// The segment (by its first number) that could not be read last time. The second time, what is unreadable is given up.
    pub(crate) complained: Option<u64>,
}

impl Spool {
    /// How many records are in the queue. Damaged ones count until reading comes to them.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.left).sum()
    }

    /// Whether no record is in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long all files together are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.position.bytes() + length(&self.segments) + length(&self.leftovers)
    }

    /// How many records left the queue unread, since it was created.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.position.state.dropped
    }

    /// What opening found to mend.
    #[must_use]
    pub fn recovered(&self) -> &Recovery {
        &self.recovered
    }

    /// When the oldest record in the queue was taken.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn oldest_at_seconds(&mut self) -> Result<Option<u64>, Error> {
        Ok(self.peek(1)?.first().map(|record| record.at_seconds))
    }

    /// Returns when everything that was appended, acknowledged or dropped would survive a power cut. For the end of a program, and
    /// from time to time with [`Sync::OnSegment`](crate::Sync::OnSegment).
    ///
    /// # Errors
    /// The disk did not take it. What could be written is written.
    pub fn sync(&mut self) -> Result<(), Error> {
        let written = self.position.write(self.folder.as_mut());
        let data = self.sync_records();
        self.in_folder("write", position::FILE, written)?;
        data?;
        let synced = self.position.sync();
        self.in_folder("sync", position::FILE, synced)?;
        self.sweep()
    }

    /// Writes how far the queue has been read, as the options ask for.
    pub(crate) fn save(&mut self) -> Result<(), Error> {
        let mut saved = self.position.write(self.folder.as_mut());
        if saved.is_ok() && self.options.sync == crate::Sync::Always {
            saved = self.position.sync();
        }
        self.in_folder("write", position::FILE, saved)
    }

    /// Says which file a failure is about.
    pub(crate) fn in_folder<T>(
        &self,
        action: &'static str,
        name: &str,
        result: io::Result<T>,
    ) -> Result<T, Error> {
        result.map_err(|source| Error::Disk {
            action,
            path: self.path.join(name),
            source,
        })
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path)
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
