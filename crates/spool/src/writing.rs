//! Appending: a record is in the queue with its last byte, or not at all.

use std::io;

use crate::cursor::Cursor;
use crate::disk::{File, write_all};
use crate::frame::{self, Chain};
use crate::segment::{HEADER, Header, Name, Segment};
use crate::{Coding, Error, Spool, Sync};

/// The file of a new segment before it has its header and its name.
pub(crate) const NEW: &str = "segment.new";

/// The end of the newest segment.
pub(crate) struct Writer {
    pub(crate) file: Box<dyn File>,
    /// The record before, if it was written by this owner.
    chain: Option<Chain>,
    /// Whether a record of this owner is certain to be on disk. Its number tells the next owner which numbers nobody has seen, even
    /// if a power cut takes away those behind it.
    anchored: bool,
    /// Whether the file's name is certain to be in the folder.
    named: bool,
    /// Whether something was written that is not certain to be on disk.
    dirty: bool,
    /// Whether nothing more goes into this file: the disk failed at it.
    retired: bool,
}

impl Writer {
    fn start(file: Box<dyn File>) -> Self {
        Self {
            file,
            chain: None,
            anchored: false,
            named: false,
            dirty: true,
            retired: false,
        }
    }

    /// The end of a segment that another owner has started.
    pub(crate) fn resume(file: Box<dyn File>, usable: bool) -> Self {
        Self {
            retired: !usable,
            ..Self::start(file)
        }
    }
}

impl Spool {
    /// Puts a record at the end of the queue and gives it a number. When it returns, the record survives the end of the process,
    /// and, as the options say, a power cut. The oldest records are dropped if there is no room otherwise.
    ///
    /// # Errors
    /// The disk is full or fails, or the record is not allowed. It is not in the queue then. Only if the disk refuses even to take
    /// the pieces away again, a restart may find it whole.
    pub fn append(&mut self, at_seconds: u64, record: &[u8]) -> Result<u64, Error> {
        self.check(record)?;
        let sequence = self.next;
        let (bytes, chain) = if let Some(fitting) = self.fitting(at_seconds, record) {
            fitting
        } else {
            let guess = HEADER.saturating_add(64).saturating_add(record.len());
            self.make_room(length_of(guess))?;
            let name = self.start_segment()?;
            frame::encode(name, None, (sequence, at_seconds), record)
        };
        self.make_room(length_of(bytes.len()))?;
        self.write(&bytes, sequence)?;
        if let Some(writer) = &mut self.writer {
            writer.chain = Some(chain);
        }
        Ok(sequence)
    }

    fn check(&self, record: &[u8]) -> Result<(), Error> {
        let bytes = length_of(record.len());
        let limit = self.options.max_record_bytes;
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        if self.options.coding == Coding::Words && !bytes.is_multiple_of(8) {
            return Err(Error::Refused("a record is not a row of 64-bit words"));
        }
        if self.next >= u64::MAX / 2 {
            return Err(Error::Refused("all numbers for records are used up"));
        }
        Ok(())
    }

    /// The record as the newest segment takes it; `None` if it needs another segment.
    fn fitting(&self, at_seconds: u64, record: &[u8]) -> Option<(Vec<u8>, Chain)> {
        let segment = self.segments.back()?;
        let writer = self.writer.as_ref().filter(|writer| !writer.retired)?;
        if segment.name.coding() != self.options.coding {
            return None;
        }
        let numbers = (self.next, at_seconds);
        let (bytes, chain) = frame::encode(segment.name, writer.chain.as_ref(), numbers, record);
        let end = segment.bytes.saturating_add(length_of(bytes.len()));
        let fits = segment.records == 0 || end <= self.options.segment_bytes();
        fits.then_some((bytes, chain))
    }

    /// Starts a segment with the next record's number.
    fn start_segment(&mut self) -> Result<Name, Error> {
        self.finish_segment()?;
        let name = Name::new(self.next, self.options.coding);
        let before = self.segments.iter().rfind(|segment| segment.records > 0);
        let header = Header::write(before);
        let created = self.create(&name.to_string(), &header);
        let file = self.in_folder("create", &name.to_string(), created)?;
        self.writer = Some(Writer::start(file));
        if self.segments.back().is_some_and(|last| last.records == 0) {
            self.leftovers.extend(self.segments.pop_back());
        }
        if self.segments.is_empty() {
            self.cursor = Cursor::start(name);
        }
        self.segments.push_back(Segment {
            name,
            bytes: length_of(header.len()),
            records: 0,
            left: 0,
        });
        Ok(name)
    }

    /// The last sync of a segment: with the start of the next, all before is on disk.
    fn finish_segment(&mut self) -> Result<(), Error> {
        let retired = self.writer.as_ref().is_none_or(|writer| writer.retired);
        let synced = self.sync_records();
        // A retired one has failed before, and must not hold up the next.
        if retired { Ok(()) } else { synced }
    }

    fn create(&mut self, name: &str, header: &[u8]) -> io::Result<Box<dyn File>> {
        let mut file = self.folder.create(NEW)?;
        let named =
            write_all(file.as_mut(), header, 0).and_then(|()| self.folder.rename(NEW, name));
        if named.is_err() {
            // If it stays, the next one is written over it.
            let _ = self.folder.remove(NEW);
        }
        named.map(|()| file)
    }

    fn write(&mut self, bytes: &[u8], sequence: u64) -> Result<(), Error> {
        let (Some(segment), Some(writer)) = (self.segments.back_mut(), &mut self.writer) else {
            return Err(Error::Refused("no segment to append to"));
        };
        writer.dirty = true;
        let end = segment.bytes;
        let written = write_all(writer.file.as_mut(), bytes, end);
        if let Err(source) = written {
            let full = matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            self.undo(end, !full);
            return self.in_segment("append to", Err(source));
        }
        if (!writer.anchored || self.options.sync == Sync::Always)
            && let Err(error) = self.sync_records()
        {
            self.undo(end, true);
            return Err(error);
        }
        self.appended(length_of(bytes.len()), sequence);
        Ok(())
    }

    fn appended(&mut self, bytes: u64, sequence: u64) {
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes += bytes;
            segment.records += 1;
            segment.left += 1;
        }
        if let Some(writer) = &mut self.writer {
            writer.anchored = true;
        }
        self.next = sequence + 1;
    }

    /// Takes the pieces of a record away. On a disk that fails, what is in the file is not certain: another one is used from then
    /// on, whose header tells where the good part ends, and the record's number is not given again.
    fn undo(&mut self, end: u64, failing: bool) {
        if let Some(writer) = &mut self.writer {
            let cut = writer.file.cut(end);
            writer.retired |= failing || cut.is_err();
            self.next += u64::from(writer.retired);
        }
    }

    /// Returns when the newest segment would survive a power cut.
    pub(crate) fn sync_records(&mut self) -> Result<(), Error> {
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.dirty) {
            let synced = writer.file.sync();
            writer.dirty = synced.is_err();
            // After a failure the kernel may think that everything is on disk.
            writer.retired |= synced.is_err();
            self.in_segment("sync", synced)?;
        }
        self.sync_names()
    }

    /// Returns when the name of the newest segment would survive a power cut.
    pub(crate) fn sync_names(&mut self) -> Result<(), Error> {
        if let Some(writer) = self.writer.as_mut().filter(|writer| !writer.named) {
            let synced = self.folder.sync();
            writer.named = synced.is_ok();
            self.in_folder("sync", "", synced)?;
        }
        Ok(())
    }

    /// Says that a failure is about the newest segment.
    fn in_segment<T>(&self, action: &'static str, result: io::Result<T>) -> Result<T, Error> {
        let name = self.segments.back().map(|segment| segment.name.to_string());
        self.in_folder(action, &name.unwrap_or_default(), result)
    }
}

pub(crate) fn length_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
