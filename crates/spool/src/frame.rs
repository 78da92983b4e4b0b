//! One record in a segment: its bytes on disk, written and read.
//!
//! A whole frame stands by itself; a difference tells what changed since the frame before it, and nothing without that one.
//!
//! ```text
//! whole:       00  three bytes of the segment  length  number  time  record       checksum
//! difference:                                  length          time  differences  checksum
//! ```
//!
//! Length, number and time are varints; the number counts from the segment's first, the time of a difference from that of the
//! frame before. The length is of what stands between it and the checksum, and never 0. The checksum of a whole frame begins
//! with the segment's name, that of a difference with the checksum of the frame before it, so that a frame in another place
//! than its own is none.

use crate::checksum::crc32c;
use crate::segment::Name;
use crate::{Coding, varint};

/// After so many frames, a whole one: damage in between takes no more than these along.
const RUN: u8 = 64;
/// Zero, which is no length, and three bytes of the segment's own.
const MARK: usize = 4;

/// What a difference needs to know of the frame before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    sequence: u64,
    at_seconds: u64,
    row: Vec<u64>,
    checksum: u32,
    /// So many frames from the last whole one on.
    run: u8,
}

/// A frame that has its checksum.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) sequence: u64,
    pub(crate) at_seconds: u64,
    payload: &'a [u8],
    whole: bool,
    checksum: u32,
    /// So many bytes on disk.
    pub(crate) length: usize,
}

/// What a frame looks like, whether or not it has its checksum.
struct Shape<'a> {
    body: &'a [u8],
    whole: bool,
    length: usize,
}

pub(crate) fn mark(name: Name) -> [u8; MARK] {
    let [_, a, b, c] = name.seed().to_le_bytes();
    [0, a, b, c]
}

/// The bytes of a record, and what the next one needs. The record's length is a multiple of eight where words are stored.
pub(crate) fn encode(
    name: Name,
    before: Option<&Chain>,
    (sequence, at_seconds): (u64, u64),
    record: &[u8],
) -> (Vec<u8>, Chain) {
    let before = before.filter(|chain| {
        name.coding() == Coding::Words
            && chain.run < RUN
            && chain.sequence.checked_add(1) == Some(sequence)
    });
    let mut body = Vec::with_capacity(record.len() + 24);
    let mut bytes = Vec::with_capacity(record.len() + 40);
    if let Some(chain) = before {
        varint::put(&mut body, varint::difference(chain.at_seconds, at_seconds));
    } else {
        bytes.extend(mark(name));
        varint::put(&mut body, sequence.saturating_sub(name.first));
        varint::put(&mut body, at_seconds);
    }
    let row = match name.coding() {
        Coding::Bytes => {
            body.extend_from_slice(record);
            Vec::new()
        }
        Coding::Words => {
            let row = words(record);
            put_differences(&mut body, before.map_or(&[], |chain| &chain.row), &row);
            row
        }
    };
    varint::put(&mut bytes, length_of(&body));
    bytes.append(&mut body);
    let checksum = crc32c(before.map_or(name.seed(), |chain| chain.checksum), &bytes);
    bytes.extend(checksum.to_le_bytes());
    let chain = Chain {
        sequence,
        at_seconds,
        row,
        checksum,
        run: before.map_or(1, |chain| chain.run + 1),
    };
    (bytes, chain)
}

fn words(record: &[u8]) -> Vec<u64> {
    let (words, _) = record.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

fn put_differences(out: &mut Vec<u8>, before: &[u64], row: &[u64]) {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    for (from, to) in before.zip(row) {
        varint::put(out, varint::difference(from, *to));
    }
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The frame at the front of `bytes`, if it is one of this segment and can be read behind `before`.
pub(crate) fn read<'a>(name: Name, before: Option<&Chain>, bytes: &'a [u8]) -> Option<Frame<'a>> {
    let shape = shape(name, bytes)?;
    let before = if shape.whole { None } else { Some(before?) };
    let (content, checksum) = bytes.get(..shape.length)?.split_last_chunk::<4>()?;
    let seed = before.map_or_else(|| name.seed(), |chain| chain.checksum);
    let checksum = u32::from_le_bytes(*checksum);
    if crc32c(seed, content) != checksum {
        return None;
    }
    let mut payload = shape.body;
    let (sequence, at_seconds) = if let Some(chain) = before {
        let at = varint::step(chain.at_seconds, varint::take(&mut payload)?);
        (chain.sequence.checked_add(1)?, at)
    } else {
        let number = name.first.checked_add(varint::take(&mut payload)?)?;
        (number, varint::take(&mut payload)?)
    };
    Some(Frame {
        sequence,
        at_seconds,
        payload,
        whole: shape.whole,
        checksum,
        length: shape.length,
    })
}

fn shape(name: Name, bytes: &[u8]) -> Option<Shape<'_>> {
    let behind_mark = bytes.strip_prefix(mark(name).as_slice());
    let mut rest = behind_mark.unwrap_or(bytes);
    let length = usize::try_from(varint::take(&mut rest)?).ok()?;
    let body = rest.get(..length).filter(|body| !body.is_empty())?;
    let length = bytes.len() - rest.len() + length + 4;
    (length <= bytes.len()).then_some(Shape {
        body,
        whole: behind_mark.is_some(),
        length,
    })
}

/// How many frames stand in `bytes` one after the other, going by their lengths alone; `None` if these do not add up.
pub(crate) fn count(name: Name, mut bytes: &[u8]) -> Option<u64> {
    let mut frames = 0;
    while !bytes.is_empty() {
        bytes = bytes.get(shape(name, bytes)?.length..)?;
        frames += 1;
    }
    Some(frames)
}

impl Frame<'_> {
    /// The record, as it was appended. `chain` is what the frame before left, and becomes what this one leaves.
    pub(crate) fn record(&self, name: Name, chain: &mut Chain) -> Vec<u8> {
        self.pass(name, chain);
        match name.coding() {
            Coding::Bytes => self.payload.to_vec(),
            Coding::Words => chain
                .row
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect(),
        }
    }

    pub(crate) fn pass(&self, name: Name, chain: &mut Chain) {
        chain.sequence = self.sequence;
        chain.at_seconds = self.at_seconds;
        chain.checksum = self.checksum;
        if name.coding() == Coding::Words {
            self.take_differences(&mut chain.row);
        }
    }

    fn take_differences(&self, row: &mut Vec<u64>) {
        if self.whole {
            row.clear();
        }
        let mut payload = self.payload;
        let mut place = 0;
        while let Some(difference) = varint::take(&mut payload) {
            match row.get_mut(place) {
                Some(word) => *word = varint::step(*word, difference),
                None => row.push(varint::step(0, difference)),
            }
            place += 1;
        }
        row.truncate(place);
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, RUN, count, encode, read};
    use crate::Coding;
    use crate::segment::Name;

    fn row(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The rows of a segment that starts with record 10, written one after the other.
    fn written(name: Name, rows: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut lengths, mut chain) = (Vec::new(), Vec::new(), None);
        for (number, record) in (10..).zip(rows) {
            let (frame, after) = encode(name, chain.as_ref(), (number, 1000 - number), record);
            lengths.push(frame.len());
            bytes.extend(frame);
            chain = Some(after);
        }
        (bytes, lengths)
    }

    #[test]
    fn rows_of_any_widths_come_back_whole() {
        let rows = [
            row(&[1, u64::MAX, 5]),
            row(&[0, 1, 5, 7]),
            row(&[]),
            row(&[1 << 63]),
        ];
        let name = Name::new(10, Coding::Words);
        let (bytes, _) = written(name, &rows);
        let (mut rest, mut chain) = (bytes.as_slice(), Chain::default());
        for (number, expected) in (10..).zip(&rows) {
            let frame = read(name, Some(&chain), rest).unwrap();
            assert_eq!((frame.sequence, frame.at_seconds), (number, 1000 - number));
            assert_eq!(&frame.record(name, &mut chain), expected);
            rest = &rest[frame.length..];
        }
        assert!(rest.is_empty());
        assert_eq!(count(name, &bytes), Some(4));
    }

    /// Mark 4, length 1, number 1, time 2 and checksum 4, against length, time and checksum.
    #[test]
    fn framing_is_12_bytes_whole_and_6_as_difference() {
        let (_, lengths) = written(Name::new(10, Coding::Words), &[row(&[1]), row(&[2])]);
        assert_eq!(lengths, [13, 7]);
    }

    #[test]
    fn a_whole_frame_comes_every_so_often() {
        let rows = vec![row(&[3]); 2 * usize::from(RUN) + 1];
        let (_, lengths) = written(Name::new(10, Coding::Words), &rows);
        let whole: Vec<usize> = (0..rows.len()).filter(|i| lengths[*i] > 7).collect();
        assert_eq!(whole, [0, 64, 128]);
    }

    #[test]
    fn a_frame_is_good_only_in_its_place() {
        let name = Name::new(10, Coding::Words);
        let (bytes, lengths) = written(name, &[row(&[1]), row(&[1]), row(&[1])]);
        let second = &bytes[lengths[0]..];
        let third = &second[lengths[1]..];
        let mut chain = Chain::default();
        assert!(read(name, None, second).is_none(), "without the first");
        read(name, None, &bytes).unwrap().pass(name, &mut chain);
        assert!(
            read(name, Some(&chain), third).is_none(),
            "behind the first"
        );
        assert!(read(name, Some(&chain), second).is_some());
        for other in [Name::new(10, Coding::Words), Name::new(11, Coding::Words)] {
            assert!(read(other, Some(&chain), &bytes).is_none(), "{other}");
        }
    }
}
