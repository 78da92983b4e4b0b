//! `spl/kstat/zfs/arcstats`: the cache of ZFS.

use super::fields::{Malformed, lines, number, words};

/// The cache of ZFS (ARC), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZfsArc {
    /// How large it is.
    pub size_bytes: u64,
    /// What it never shrinks below.
    pub minimum_bytes: u64,
    /// What in it is not in use, as far as this version of ZFS tells.
    pub unused_bytes: Option<u64>,
}

impl ZfsArc {
    /// What programs would get of it: not in use, and above its minimum.
    #[must_use]
    pub fn evictable_bytes(&self) -> u64 {
        let above_minimum = self.size_bytes.saturating_sub(self.minimum_bytes);
        self.unused_bytes
            .map_or(above_minimum, |unused| unused.min(above_minimum))
    }
}

/// Parses `arcstats`.
///
/// # Errors
///
/// When there is no `size` or no `c_min`.
pub fn arcstats(bytes: &[u8]) -> Result<ZfsArc, Malformed> {
    let (mut size, mut minimum) = (None, None);
    let mut unused = None;
    for line in lines(bytes) {
        let mut words = words(line);
        let (Some(name), Some(_kind)) = (words.next(), words.next()) else {
            continue;
        };
        let value = words.next().and_then(number);
        match name {
            b"size" => size = value,
            b"c_min" => minimum = value,
            b"mru_evictable_data"
            | b"mru_evictable_metadata"
            | b"mfu_evictable_data"
            | b"mfu_evictable_metadata" => {
                unused = Some(value.unwrap_or(0).saturating_add(unused.unwrap_or(0)));
            }
            _ => {}
        }
    }
    Ok(ZfsArc {
        size_bytes: size.ok_or(Malformed::at(1, "no size"))?,
        minimum_bytes: minimum.ok_or(Malformed::at(1, "no c_min"))?,
        unused_bytes: unused,
    })
}
