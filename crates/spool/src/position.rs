//! How far the queue has been read, and what was dropped on the way: three slots in one small file, written in place.
//!
//! Writing in place needs no room on a full disk. Never overwritten are the slot that was written last, which a kill in the middle
//! of the next one must leave, and the one that was synced last, which a power cut must leave.

use std::io;

use crate::Dropped;
use crate::disk::{File, Folder, read_part, write_all};
use crate::stamp::{self, Stamp, stamp, take_word};

pub(crate) const FILE: &str = "position";
/// The file before it has its content and its name.
pub(crate) const NEW: &str = "position.new";
const MAGIC: &[u8; 8] = b"spoolpos";
const SLOT: usize = stamp::LENGTH + 5 * 8 + 4;
/// Far enough apart that no sector holds two.
const PLACES: [u64; 3] = [0, 4096, 2 * 4096];
pub(crate) const LENGTH: u64 = 2 * 4096 + SLOT as u64;
/// A larger number would leave none to count on with.
const LAST_PASSED: u64 = u64::MAX / 2;

/// What a slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// This record and all before it have left the queue.
    pub(crate) passed: u64,
    pub(crate) dropped: Dropped,
}

/// The file, and what it will say when it is written next.
#[derive(Default)]
pub(crate) struct Position {
    pub(crate) state: State,
    /// What the file says.
    written: State,
    file: Option<Box<dyn File>>,
    generation: u64,
    /// The place of the slot that was written last.
    latest: u64,
    /// The place of the slot that was synced last, if that is known.
    synced: Option<u64>,
}

pub(crate) enum Opened {
    /// The file, or none yet.
    Position(Position),
    /// A file in which nothing can be read.
    Lost,
    OtherVersion(u32),
}

impl Position {
    pub(crate) fn open(folder: &mut dyn Folder) -> io::Result<Opened> {
        let mut file = match folder.open(FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Opened::Position(Self::default()));
            }
            Err(error) => return Err(error),
        };
        let mut best: Option<(u64, State, u64)> = None;
        for place in PLACES {
            let range = (place, place + SLOT as u64);
            let part = read_part(file.as_mut(), range, true)?;
            if let Stamp::Other(version) = stamp::read(MAGIC, &part.bytes) {
                return Ok(Opened::OtherVersion(version));
            }
            let Some((generation, state)) = read_slot(&part.bytes) else {
                continue;
            };
            if best.is_none_or(|(newest, ..)| generation > newest) {
                best = Some((generation, state, place));
            }
        }
        let Some((generation, state, latest)) = best else {
            return Ok(Opened::Lost);
        };
        Ok(Opened::Position(Self {
            state,
            written: state,
            file: Some(file),
            generation,
            latest,
            synced: None,
        }))
    }

    /// Writes the state, if it is not written yet.
    pub(crate) fn write(&mut self, folder: &mut dyn Folder) -> io::Result<()> {
        if self.state == self.written {
            return Ok(());
        }
        let generation = self.generation.saturating_add(1);
        let slot = write_slot(generation, &self.state);
        if self.synced.is_none() {
            // Only then is it certain which slots can be spared.
            self.sync()?;
        }
        if let Some(file) = &mut self.file {
            let kept = [Some(self.latest), self.synced];
            let spare = PLACES
                .into_iter()
                .find(|place| !kept.contains(&Some(*place)));
            let place = spare.unwrap_or_default();
            write_all(file.as_mut(), &slot, place)?;
            self.latest = place;
        } else {
            self.file = Some(create(folder, slot)?);
            self.latest = 0;
            self.synced = Some(0);
        }
        self.generation = generation;
        self.written = self.state;
        Ok(())
    }

    /// Returns when what was written would survive a power cut.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let synced = self.synced == Some(self.latest);
        if let Some(file) = self.file.as_mut().filter(|_| !synced) {
            file.sync()?;
            self.synced = Some(self.latest);
        }
        Ok(())
    }

    /// How long the file is.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |_| LENGTH)
    }
}

/// A new file with room for all slots.
fn create(folder: &mut dyn Folder, mut content: Vec<u8>) -> io::Result<Box<dyn File>> {
    content.resize(usize::try_from(LENGTH).unwrap_or(content.len()), 0);
    let mut file = folder.create(NEW)?;
    write_all(file.as_mut(), &content, 0)?;
    file.sync()?;
    folder.rename(NEW, FILE)?;
    folder.sync()?;
    Ok(file)
}

fn write_slot(generation: u64, state: &State) -> Vec<u8> {
    let mut bytes = stamp(MAGIC);
    let Dropped {
        by_size,
        by_age,
        by_damage,
    } = state.dropped;
    for word in [generation, state.passed, by_size, by_age, by_damage] {
        bytes.extend(word.to_le_bytes());
    }
    stamp::checked(bytes)
}

fn read_slot(bytes: &[u8]) -> Option<(u64, State)> {
    let content = bytes.get(..SLOT).and_then(stamp::unchecked)?;
    let mut words = content.get(stamp::LENGTH..)?;
    let generation = take_word(&mut words)?;
    let passed = take_word(&mut words).filter(|passed| *passed <= LAST_PASSED)?;
    let dropped = Dropped {
        by_size: take_word(&mut words)?,
        by_age: take_word(&mut words)?,
        by_damage: take_word(&mut words)?,
    };
    Some((generation, State { passed, dropped }))
}
