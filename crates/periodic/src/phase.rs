//! Where in its period a task runs: a stable fraction made from an id.

use std::time::Duration;

use crate::random::{mix, nanos, scale};

/// A fixed place inside any period, as a fraction of it.
///
/// Made from an id, the same on every start and in every version of this crate, so that a fleet
/// spreads over the period and each member keeps its second.
///
/// Cloned machines share their machine-id: put the hostname into the id too. Tasks of one host
/// that should not run at the same moment put their name into it.
///
/// ```
/// use periodic::Phase;
/// use std::time::Duration;
///
/// let phase = Phase::of(b"4c4c4544-0042 web-1 heartbeat");
/// assert!(phase.offset(Duration::from_secs(60)) < Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Phase(u64);

impl Phase {
    /// The very start of the period: full minutes of the wall clock for a period of 60 s.
    pub const START: Self = Self(0);

    /// The phase that belongs to this id, for ever.
    #[must_use]
    pub fn of(id: &[u8]) -> Self {
        Self(mix(hash(id)))
    }

    /// How far into a period of this length the phase lies; always less than the period.
    #[must_use]
    pub fn offset(self, period: Duration) -> Duration {
        Duration::from_nanos(scale(self.0, nanos(period)))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }
}

/// FNV-1a, 64 bits. Its upper bits depend little on the last bytes of an id: callers mix.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test vectors of Fowler, Noll and Vo.
    #[test]
    fn hash_is_fnv_1a() {
        for (text, expected) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(hash(text.as_bytes()), expected, "{text:?}");
        }
    }
}
