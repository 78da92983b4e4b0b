//! How records leave the queue: acknowledged, too old, damaged, or to make room.

use std::io;

use crate::cursor::{Cursor, Found};
use crate::frame::Frame;
use crate::opening::content;
use crate::position;
use crate::segment::Segment;
use crate::{Error, Spool};

impl Spool {
    /// Removes the record with this number and all before it from the queue. A number that was not given yet stands for the newest.
    ///
    /// # Errors
    /// The disk could not be read, and some of the records are still there; or it could not be written, and they are gone, but
    /// may be back after a restart. The next call tries to write again.
    pub fn acknowledge(&mut self, upto: u64) -> Result<(), Error> {
        let passed = self.pass_while(|frame| frame.sequence <= upto);
        let saved = self.save();
        let swept = self.sweep();
        passed.and(saved).and(swept)
    }

    /// Drops the records at the front of the queue that are older than `max_age`. Says how many.
    ///
    /// A record waits for those before it: behind one with a time in the future, nothing is too old.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge).
    pub fn expire(&mut self, now_seconds: u64) -> Result<u64, Error> {
        let Some(age) = self.options.max_age else {
            return Ok(0);
        };
        let limit = now_seconds.saturating_sub(age.as_secs());
        let before = self.len();
        let damaged = self.dropped().by_damage;
        let passed = self.pass_while(|frame| frame.at_seconds < limit);
        let damaged = self.dropped().by_damage - damaged;
        let expired = before.saturating_sub(self.len()).saturating_sub(damaged);
        self.position.state.dropped.by_age += expired;
        let saved = self.save();
        let swept = self.sweep();
        passed.and(saved).and(swept).map(|()| expired)
    }

    /// Moves the cursor on over records that are to `go`.
    pub(crate) fn pass_while(&mut self, go: impl Fn(&Frame<'_>) -> bool) -> Result<(), Error> {
        while let Some(bytes) = self.front_bytes()? {
            if !self.pass_records(&bytes, &go) {
                break;
            }
        }
        Ok(())
    }

    /// Whether it came to the end of the good records in `bytes`, which start at the cursor.
    fn pass_records(&mut self, mut bytes: &[u8], go: impl Fn(&Frame<'_>) -> bool) -> bool {
        while let Found::Record(frame) = self.cursor.look(bytes) {
            if !go(&frame) {
                return false;
            }
            self.cursor.pass(&frame);
            self.passed(frame.sequence, 1);
            bytes = bytes.get(frame.length..).unwrap_or_default();
        }
        true
    }

    /// Notes that so many records of the front segment, up to this number, have left the queue.
    fn passed(&mut self, upto: u64, records: u64) {
        if let Some(front) = self.segments.front_mut() {
            front.left = front.left.saturating_sub(records);
        }
        self.position.state.passed = self.position.state.passed.max(upto);
    }

    /// What is in the front segment from the cursor on, after passing over damage: it starts with a good record. `None` if no
    /// record is in the queue.
    pub(crate) fn front_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while !self.segments.is_empty() {
            let bytes = self.load(0, self.cursor.offset)?;
            match self.cursor.look(&bytes) {
                Found::Record(_) => return Ok(Some(bytes)),
                Found::Damage {
                    bytes: damage,
                    next,
                    ..
                } => {
                    self.cursor.skip(damage);
                    let rest = bytes.get(damage..).unwrap_or_default();
                    let behind = content(&mut self.cursor.clone(), rest, false).appended();
                    self.damaged(self.front_left().saturating_sub(behind), next);
                }
                Found::End { .. } if self.segments.len() > 1 => self.leave_front(),
                Found::End { bytes, .. } => {
                    if bytes > 0 {
                        self.cursor.skip(bytes);
                    }
                    if self.front_left() > 0 {
                        self.damaged(self.front_left(), self.next);
                    }
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Notes that so many records before the record `next` are damaged. What had been read before does not count again.
    fn damaged(&mut self, records: u64, next: u64) {
        if next > self.position.state.passed.saturating_add(1) {
            self.position.state.dropped.by_damage += records;
        }
        self.passed(next.saturating_sub(1), records);
    }

    /// Goes on to the next segment. What was not found in this one was damaged.
    fn leave_front(&mut self) {
        self.damaged(self.front_left(), self.second_first());
        self.retire_front();
    }

    /// Takes the front segment out of the queue. Its file goes with the next sweep.
    pub(crate) fn retire_front(&mut self) {
        self.leftovers.extend(self.segments.pop_front());
        if let Some(front) = self.segments.front() {
            self.cursor = Cursor::start(front.name);
        }
    }

    /// Drops the oldest segments until there is room for so many bytes more.
    ///
    /// # Errors
    /// There is no room, because files cannot be removed.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Result<(), Error> {
        // The position may come to be written on the way.
        let others = position::LENGTH.saturating_add(bytes);
        let limit = self.options.max_bytes.saturating_sub(others);
        while length(&self.segments) > limit && self.segments.len() > 1 {
            self.drop_front();
        }
        if self.leftovers.is_empty() {
            return Ok(());
        }
        // Where the position cannot be written, a missing segment says the same.
        let _ = self.save();
        let swept = self.sweep();
        if length(&self.segments) + length(&self.leftovers) > limit {
            return swept;
        }
        Ok(())
    }

    fn drop_front(&mut self) {
        let left = self.front_left();
        self.position.state.dropped.by_size += left;
        self.passed(self.second_first().saturating_sub(1), left);
        self.retire_front();
    }

    fn front_left(&self) -> u64 {
        self.segments.front().map_or(0, |front| front.left)
    }

    /// No record of the front segment has this number or a larger one.
    fn second_first(&self) -> u64 {
        self.segments.get(1).map_or(0, |next| next.name.first)
    }

    /// Removes the files of segments that have left the queue.
    pub(crate) fn sweep(&mut self) -> Result<(), Error> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        // The names in the folder are what no number is given twice by: the newest must be safe before older ones go.
        self.sync_names()?;
        while let Some(gone) = self.leftovers.last() {
            let name = gone.name.to_string();
            match self.folder.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return self.in_folder("remove", &name, Err(error));
                }
                _ => self.leftovers.pop(),
            };
        }
        Ok(())
    }
}

/// How long the files of these segments are.
pub(crate) fn length<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> u64 {
    segments.into_iter().map(|segment| segment.bytes).sum()
}
