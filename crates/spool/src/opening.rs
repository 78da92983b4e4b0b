//! Opening: what is in the folder becomes a queue again, whatever happened to the last owner.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use crate::copy::Copy;
use crate::cursor::{Cursor, Found, SHORTEST};
use crate::disk::{File, Folder, read_part};
use crate::host::Host;
use crate::options::LONGEST_SEGMENT;
use crate::position::{self, Opened, Position};
use crate::segment::{HEADER, Header, Name, Previous, Segment};
use crate::stamp::VERSION;
use crate::writing::{self, Writer};
use crate::{Coding, Error, Options, Recovery, Spool};

/// A longer file was not written here; what is behind this is not read.
const LONGEST_FILE: u64 = 32 * 1024 * 1024;
/// More numbers than can have been given since the last record that is certain to be on disk: the first that this or an earlier
/// owner has written into the newest segment. So many records do not fit into one.
const RESERVE: u64 = 65_536;
const _: () = assert!(LONGEST_SEGMENT / SHORTEST < RESERVE);

/// A segment's file, before it is known how much of it is good.
struct Candidate {
    name: Name,
    file: Box<dyn File>,
    length: u64,
    /// `None`: the header is damaged.
    previous: Option<Previous>,
}

/// What is in a segment's file.
pub(crate) struct Content {
    /// The end of the last good record.
    good_bytes: u64,
    garbage_bytes: u64,
    records: u64,
    damaged: u64,
    /// How many records may have been in the garbage.
    lost_at_end: u64,
    /// One more than the last record's number.
    next: u64,
    unreadable: bool,
}

impl Content {
    /// All that may have been appended, readable or not.
    pub(crate) fn appended(&self) -> u64 {
        self.records + self.damaged + self.lost_at_end
    }
}

impl Spool {
    /// Opens the spool in a folder, which is created if it is not there.
    ///
    /// # Errors
    /// Another process has it open; another version wrote it; the options make no sense; or the file system refuses. Damage is no
    /// error: see [`recovered`](Self::recovered).
    pub fn open(path: &Path, options: Options) -> Result<Self, Error> {
        options.check()?;
        Self::open_on(Box::new(Host::open(path)?), path, options)
    }

    /// Opens a copy of the spool in a folder, in memory, while its owner goes on: for an export, say. What is done with it changes
    /// nothing on disk. An append that is under way may be seen or not; records are whole.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be read; another version wrote it; the options make no sense. Files that are larger
    /// than `max_bytes` in all are refused.
    pub fn open_copy(path: &Path, options: Options) -> Result<Self, Error> {
        options.check()?;
        // A segment that was just begun counts to the limit only when the oldest one has gone.
        let most = options.max_bytes.saturating_add(LONGEST_FILE);
        Self::open_on(Box::new(Copy::of(path, most)?), path, options)
    }

    /// Opens the spool in a folder of any kind. The path is for errors alone, and there is no lock.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(folder: Box<dyn Folder>, path: &Path, options: Options) -> Result<Self, Error> {
        options.check()?;
        let mut spool = Self {
            folder,
            path: path.to_owned(),
            options,
            segments: VecDeque::new(),
            cursor: Cursor::start(Name::new(1, Coding::Bytes)),
            writer: None,
            leftovers: Vec::new(),
            position: Position::default(),
            next: 1,
            recovered: Recovery::default(),
            complained: None,
        };
        spool.open_position()?;
        let candidates = spool.candidates()?;
        spool.enqueue(candidates)?;
        // Twice: what cannot be read the second time is given up, so that a bad disk does not keep a spool closed.
        spool.catch_up().or_else(|_| spool.catch_up())?;
        // A disk that takes nothing now may take it later; nothing of this is lost until then.
        let _ = spool.position.write(spool.folder.as_mut());
        let _ = spool.make_room(0).and_then(|()| spool.sweep());
        Ok(spool)
    }

    fn open_position(&mut self) -> Result<(), Error> {
        let opened = Position::open(self.folder.as_mut());
        match self.in_folder("read", position::FILE, opened)? {
            Opened::Position(position) => self.position = position,
            Opened::Lost => self.recovered.position_lost = true,
            Opened::OtherVersion(found) => return Err(self.other_version(position::FILE, found)),
        }
        Ok(())
    }

    fn other_version(&self, name: &str, found: u32) -> Error {
        Error::Version {
            path: self.path.join(name),
            found,
            known: VERSION,
        }
    }

    /// The segments' files, the oldest first. All others are left alone.
    fn candidates(&mut self) -> Result<Vec<Candidate>, Error> {
        let listed = self.folder.list();
        let names = self.in_folder("list", "", listed)?;
        for unfinished in [position::NEW, writing::NEW] {
            if names.iter().any(|name| name == unfinished) {
                // If it stays, the next one takes its place.
                let _ = self.folder.remove(unfinished);
            }
        }
        let mut candidates = Vec::new();
        for name in names.iter().filter_map(|name| Name::parse(name)) {
            let file = match self.folder.open(&name.to_string()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => self.in_folder("open", &name.to_string(), opened)?,
            };
            candidates.push(self.candidate(name, file)?);
        }
        candidates.sort_by_key(|candidate| candidate.name);
        Ok(candidates)
    }

    fn candidate(&self, name: Name, mut file: Box<dyn File>) -> Result<Candidate, Error> {
        let text = name.to_string();
        let length = self.in_folder("measure", &text, file.length())?;
        let header = read_part(file.as_mut(), (0, length.min(HEADER as u64)), true);
        let previous = match Header::read(&self.in_folder("read", &text, header)?.bytes) {
            Header::Ours(previous) => Some(previous),
            Header::Damaged => None,
            Header::OtherVersion(found) => return Err(self.other_version(&text, found)),
        };
        Ok(Candidate {
            name,
            file,
            length: length.min(LONGEST_FILE),
            previous,
        })
    }

    fn enqueue(&mut self, candidates: Vec<Candidate>) -> Result<(), Error> {
        if !candidates.is_empty() || self.position.state.passed > 0 {
            self.next = self.position.state.passed + 1;
        }
        let mut candidates = candidates.into_iter().peekable();
        while let Some(candidate) = candidates.next() {
            match candidates.peek() {
                Some(next) => self.enqueue_full(candidate, next.previous)?,
                None => self.enqueue_last(candidate)?,
            }
        }
        if self.next > 1 || !self.segments.is_empty() {
            self.next = self.next.saturating_add(RESERVE);
        }
        if let Some(front) = self.segments.front() {
            self.cursor = Cursor::start(front.name);
        }
        Ok(())
    }

    /// A segment that is followed by another, whose header may know what is in it.
    fn enqueue_full(
        &mut self,
        mut candidate: Candidate,
        told: Option<Previous>,
    ) -> Result<(), Error> {
        let name = candidate.name;
        let (bytes, records) = match told.filter(|told| told.is(name)) {
            Some(told) => (told.bytes.min(candidate.length), told.records),
            None => {
                let content = self.content(&mut candidate)?;
                (candidate.length, content.records + content.damaged)
            }
        };
        self.segments.push_back(Segment {
            name,
            bytes,
            records,
            left: records,
        });
        Ok(())
    }

    /// The segment that was written last: what is no record at its end is cut off.
    fn enqueue_last(&mut self, mut candidate: Candidate) -> Result<(), Error> {
        let content = self.content(&mut candidate)?;
        let mut records = content.records + content.damaged;
        let mut bytes = candidate.length;
        let mut usable = candidate.previous.is_some() && !content.unreadable;
        if content.unreadable {
            records += content.lost_at_end;
        } else {
            bytes = content.good_bytes;
            self.recovered.cut_bytes = content.garbage_bytes;
            self.count_lost_at_end(&content);
        }
        if bytes < candidate.length {
            // If it cannot be cut off now, the next header will tell where the good part ends.
            usable &= candidate.file.cut(bytes).is_ok();
        }
        self.segments.push_back(Segment {
            name: candidate.name,
            bytes,
            records,
            left: records,
        });
        self.writer = Some(Writer::resume(candidate.file, usable));
        Ok(())
    }

    fn count_lost_at_end(&mut self, content: &Content) {
        let end = content.next.saturating_add(content.lost_at_end);
        let unread = end.saturating_sub(self.position.state.passed + 1);
        let lost = content.lost_at_end.min(unread);
        self.recovered.damaged_records += lost;
        self.position.state.dropped.by_damage += lost;
        self.next = self.next.max(end);
    }

    /// Reads a whole segment, and notes the numbers in it as given.
    fn content(&mut self, candidate: &mut Candidate) -> Result<Content, Error> {
        let mut cursor = Cursor::start(candidate.name);
        let range = (cursor.offset, candidate.length);
        let part = read_part(candidate.file.as_mut(), range, true);
        let part = self.in_folder("read", &candidate.name.to_string(), part)?;
        let content = content(&mut cursor, &part.bytes, part.unreadable);
        self.recovered.damaged_records += content.damaged;
        self.next = self.next.max(content.next);
        Ok(content)
    }

    /// Goes to the first record that has not been read, over segments and records that have been.
    fn catch_up(&mut self) -> Result<(), Error> {
        let passed = self.position.state.passed;
        while self
            .segments
            .get(1)
            .is_some_and(|next| next.name.first <= passed.saturating_add(1))
        {
            self.retire_front();
        }
        self.pass_while(|frame| frame.sequence <= passed)?;
        Ok(())
    }
}

/// What is in `bytes`, which start at the cursor.
pub(crate) fn content(cursor: &mut Cursor, bytes: &[u8], unreadable: bool) -> Content {
    let (mut records, mut damaged) = (0, 0);
    let mut rest = bytes;
    loop {
        let length = match cursor.look(rest) {
            Found::Record(frame) => {
                cursor.pass(&frame);
                records += 1;
                frame.length
            }
            Found::Damage { bytes, records, .. } => {
                cursor.skip(bytes);
                damaged += records;
                bytes
            }
            Found::End {
                bytes,
                records: lost_at_end,
            } => {
                return Content {
                    good_bytes: cursor.offset,
                    garbage_bytes: writing::length_of(bytes),
                    records,
                    damaged,
                    lost_at_end,
                    next: cursor.expected,
                    unreadable,
                };
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
}
