//! A segment: its name, which says what is inside, and its header, which tells about the segment before it.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crate::Coding;
use crate::checksum::crc32c;
use crate::stamp::{self, Stamp, stamp, take_word};

const MAGIC: &[u8; 8] = b"spoolseg";
/// Where the first frame starts.
pub(crate) const HEADER: usize = stamp::LENGTH + 3 * 8 + 4;
/// A file that claims to begin behind this is none of ours: counting on from there would end.
const LAST_FIRST: u64 = u64::MAX / 2;

/// The name of a segment's file. All frames inside prove with their checksums that they belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// No record inside has a smaller number.
    pub(crate) first: u64,
    /// Chosen at random, so that nobody can write a record that contains what looks like records of the segment.
    salt: u32,
    words: bool,
}

impl Name {
    pub(crate) fn new(first: u64, coding: Coding) -> Self {
        let [a, b, c, d, ..] = RandomState::new().hash_one(first).to_le_bytes();
        Self {
            first,
            salt: u32::from_le_bytes([a, b, c, d]),
            words: coding == Coding::Words,
        }
    }

    /// `None` if the file is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (numbers, coding) = text.split_once('.')?;
        let (first, salt) = numbers.split_once('-')?;
        let name = Self {
            first: u64::from_str_radix(first, 16).ok()?,
            salt: u32::from_str_radix(salt, 16).ok()?,
            words: coding == "words",
        };
        (name.first <= LAST_FIRST && name.to_string() == text).then_some(name)
    }

    pub(crate) fn coding(self) -> Coding {
        if self.words {
            Coding::Words
        } else {
            Coding::Bytes
        }
    }

    /// What the checksums of the frames begin with.
    pub(crate) fn seed(self) -> u32 {
        crc32c(0, self.to_string().as_bytes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coding = if self.words { "words" } else { "bytes" };
        write!(f, "{:016x}-{:08x}.{coding}", self.first, self.salt)
    }
}

/// A segment in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) name: Name,
    /// So long is the good part of the file, header included.
    pub(crate) bytes: u64,
    /// So many records were appended to it.
    pub(crate) records: u64,
    /// So many of them are still in the queue.
    pub(crate) left: u64,
}

/// What a header says about the segment before, so that opening need not read that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Previous {
    /// Which one it was.
    seed: u64,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

impl Previous {
    pub(crate) fn is(self, name: Name) -> bool {
        self.seed == u64::from(name.seed())
    }
}

impl From<&Segment> for Previous {
    fn from(segment: &Segment) -> Self {
        Self {
            seed: u64::from(segment.name.seed()),
            bytes: segment.bytes,
            records: segment.records,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Ours(Previous),
    OtherVersion(u32),
    Damaged,
}

impl Header {
    pub(crate) fn write(previous: Option<&Segment>) -> Vec<u8> {
        let none = Previous {
            seed: 0,
            bytes: 0,
            records: 0,
        };
        let previous = previous.map_or(none, Previous::from);
        let mut bytes = stamp(MAGIC);
        for word in [previous.seed, previous.bytes, previous.records] {
            bytes.extend(word.to_le_bytes());
        }
        stamp::checked(bytes)
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        match stamp::read(MAGIC, bytes) {
            Stamp::Ours => Self::previous(bytes).map_or(Self::Damaged, Self::Ours),
            Stamp::Other(version) => Self::OtherVersion(version),
            Stamp::Damaged => Self::Damaged,
        }
    }

    fn previous(bytes: &[u8]) -> Option<Previous> {
        let content = bytes.get(..HEADER).and_then(stamp::unchecked)?;
        let mut words = content.get(stamp::LENGTH..)?;
        Some(Previous {
            seed: take_word(&mut words)?,
            bytes: take_word(&mut words)?,
            records: take_word(&mut words)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Header, LAST_FIRST, Name, Previous, Segment};
    use crate::Coding;

    #[test]
    fn only_names_written_here_are_understood() {
        let name = Name::new(255, Coding::Words);
        assert!(name.to_string().starts_with("00000000000000ff-"));
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for foreign in [
            "",
            "lock",
            "position",
            "00000000000000ff-00000000",
            "00000000000000ff-00000000.bak",
            "00000000000000ff-00000000.words~",
            "00000000000000FF-00000000.words",
            "+0000000000000ff-00000000.words",
            "ff-0.words",
            "ffffffffffffffff-00000000.words",
        ] {
            assert_eq!(Name::parse(foreign), None, "{foreign}");
        }
        assert!(Name::parse(&format!("{LAST_FIRST:016x}-00000000.bytes")).is_some());
    }

    #[test]
    fn a_header_tells_about_the_segment_before() {
        let before = Segment {
            name: Name::new(7, Coding::Bytes),
            bytes: 4096,
            records: 90,
            left: 3,
        };
        let header = Header::write(Some(&before));
        assert_eq!(header.len(), HEADER);
        assert_eq!(Header::read(&header), Header::Ours(Previous::from(&before)));
        assert!(Previous::from(&before).is(before.name));
        assert!(!Previous::from(&before).is(Name::new(7, Coding::Words)));
        for cut in 0..HEADER {
            assert_eq!(Header::read(&header[..cut]), Header::Damaged, "{cut} bytes");
            let mut changed = header.clone();
            changed[cut] ^= 0x10;
            assert_eq!(Header::read(&changed), Header::Damaged, "byte {cut}");
        }
    }
}
