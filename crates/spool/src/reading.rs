//! Reading the queue, without taking anything out.

use std::collections::VecDeque;
use std::io;

use crate::cursor::{Cursor, Found};
use crate::disk::{is_damage, read_part};
use crate::{Error, Record, Spool};

impl Spool {
    /// The `n` oldest records, the oldest first; fewer if there are no more. They stay in the queue until they are
    /// [acknowledged](Self::acknowledge).
    ///
    /// # Errors
    /// The disk cannot be read. If it still cannot the next time, the unreadable records are passed over and counted as damaged.
    pub fn peek(&mut self, n: usize) -> Result<Vec<Record>, Error> {
        self.iter()?.take(n).collect()
    }

    /// The `n` newest records, the newest first; fewer if there are no more.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn newest(&mut self, n: usize) -> Result<Vec<Record>, Error> {
        let mut newest = Vec::new();
        if self.front_bytes()?.is_none() {
            return Ok(newest);
        }
        for index in (0..self.segments.len()).rev() {
            let missing = n - newest.len();
            if missing == 0 {
                break;
            }
            newest.extend(self.last_of(index, missing)?.into_iter().rev());
        }
        Ok(newest)
    }

    /// The last `n` records of a segment.
    fn last_of(&mut self, index: usize, n: usize) -> Result<VecDeque<Record>, Error> {
        let mut walk = self.walk(index)?;
        let mut last = VecDeque::new();
        while let Some(record) = walk.next() {
            if last.len() == n {
                last.pop_front();
            }
            last.push_back(record);
        }
        Ok(last)
    }

    /// All records, the oldest first, reading one segment at a time.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn iter(&mut self) -> Result<Records<'_>, Error> {
        let walk = match self.front_bytes()? {
            Some(bytes) => Some(Walk::new(self.cursor.clone(), bytes)),
            None => None,
        };
        Ok(Records {
            spool: self,
            index: 0,
            walk,
        })
    }

    /// From the oldest record in a segment that is still in the queue.
    fn walk(&mut self, index: usize) -> Result<Walk, Error> {
        let cursor = match self.segments.get(index) {
            Some(segment) if index > 0 => Cursor::start(segment.name),
            _ => self.cursor.clone(),
        };
        let bytes = self.load(index, cursor.offset)?;
        Ok(Walk::new(cursor, bytes))
    }

    /// The bytes of a segment from an offset on.
    pub(crate) fn load(&mut self, index: usize, offset: u64) -> Result<Vec<u8>, Error> {
        let Some(segment) = self
            .segments
            .get(index)
            .filter(|segment| segment.bytes > offset)
        else {
            return Ok(Vec::new());
        };
        let insist = self.complained == Some(segment.name.first);
        let range = (offset, segment.bytes);
        let name = segment.name;
        let last = index + 1 == self.segments.len();
        let read = match self.writer.as_mut().filter(|_| last) {
            Some(writer) => read_part(writer.file.as_mut(), range, insist),
            None => match self.folder.open(&name.to_string()) {
                Ok(mut file) => read_part(file.as_mut(), range, insist),
                // Somebody removed it: all that was in it is lost.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => Err(error),
            },
        };
        let damaged = match &read {
            Ok(part) => part.unreadable,
            Err(error) => is_damage(error),
        };
        if damaged || insist {
            self.complained = damaged.then_some(name.first);
        }
        Ok(self.in_folder("read", &name.to_string(), read)?.bytes)
    }
}

/// The records of one segment.
struct Walk {
    cursor: Cursor,
    bytes: Vec<u8>,
    place: usize,
}

impl Walk {
    fn new(cursor: Cursor, bytes: Vec<u8>) -> Self {
        Self {
            cursor,
            bytes,
            place: 0,
        }
    }

    fn next(&mut self) -> Option<Record> {
        loop {
            match self.cursor.look(self.bytes.get(self.place..)?) {
                Found::Record(frame) => {
                    self.place += frame.length;
                    return Some(self.cursor.take(&frame));
                }
                Found::Damage { bytes, .. } => {
                    self.place += bytes;
                    self.cursor.skip(bytes);
                }
                Found::End { .. } => return None,
            }
        }
    }
}

/// The records of a spool, the oldest first. After an error it ends.
pub struct Records<'a> {
    spool: &'a mut Spool,
    index: usize,
    walk: Option<Walk>,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(walk) = &mut self.walk {
            if let Some(record) = walk.next() {
                return Some(Ok(record));
            }
            self.index += 1;
            self.walk = None;
            if self.index < self.spool.segments.len() {
                match self.spool.walk(self.index) {
                    Ok(walk) => self.walk = Some(walk),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
