//! The first sixteen bytes of everything on disk: what it is, and in which version. These never change.

use crate::checksum::crc32c;

/// The format that this crate writes and reads.
pub(crate) const VERSION: u32 = 1;
pub(crate) const LENGTH: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    Ours,
    Other(u32),
    Damaged,
}

/// The stamp of something called `magic`.
pub(crate) fn stamp(magic: &[u8; 8]) -> Vec<u8> {
    checked([magic.as_slice(), &VERSION.to_le_bytes()].concat())
}

/// `bytes` with their checksum behind them.
pub(crate) fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32c(0, &bytes).to_le_bytes());
    bytes
}

/// `bytes` without the checksum behind them, if it is theirs.
pub(crate) fn unchecked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    (crc32c(0, content) == u32::from_le_bytes(*sum)).then_some(content)
}

/// What stands at the front of `bytes`.
pub(crate) fn read(magic: &[u8; 8], bytes: &[u8]) -> Stamp {
    let version = bytes
        .get(..LENGTH)
        .and_then(unchecked)
        .and_then(|content| content.strip_prefix(magic))
        .and_then(|version| <[u8; 4]>::try_from(version).ok());
    match version.map(u32::from_le_bytes) {
        Some(VERSION) => Stamp::Ours,
        Some(version) => Stamp::Other(version),
        None => Stamp::Damaged,
    }
}

/// Takes a 64-bit number off the front.
pub(crate) fn take_word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::{Stamp, checked, read, stamp};

    #[test]
    fn a_later_version_is_told_from_damage() {
        let later = checked([&b"a magic!"[..], &2_u32.to_le_bytes()].concat());
        assert_eq!(read(b"a magic!", &later), Stamp::Other(2));
        let mut ours = stamp(b"a magic!");
        assert_eq!(read(b"a magic!", &ours), Stamp::Ours);
        assert_eq!(read(b"b magic!", &ours), Stamp::Damaged);
        ours[8] ^= 3;
        assert_eq!(read(b"a magic!", &ours), Stamp::Damaged);
    }
}
