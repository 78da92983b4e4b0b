//! Time as it is handed in, and ends of time that no clock can move.

use crate::BootId;

/// The present, read once by the caller and handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Now {
    /// Which boot `boottime_seconds` belongs to.
    pub boot: BootId,
    /// `CLOCK_BOOTTIME`: rises while the host sleeps, is never set, starts again with each boot.
    pub boottime_seconds: i64,
    /// Seconds since 1970 by the wall clock, which anybody may set.
    pub wall_seconds: i64,
}

/// When a program has to be gone: at a moment of the boot clock or of the wall clock, the earlier
/// wins.
///
/// A wall clock set back does not lengthen it, and one set forward reaches only `not_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deadline {
    /// The boot `boottime_seconds` belongs to.
    pub boot: BootId,
    /// The end of the TTL by `CLOCK_BOOTTIME`. It was made not later than `not_after` was then.
    pub boottime_seconds: i64,
    /// The end the manifest sets, in seconds since 1970.
    pub not_after: Option<i64>,
}

impl Deadline {
    /// Whether it has passed.
    ///
    /// One of another boot has: no program outlives the kernel it ran in.
    #[must_use]
    pub fn is_over(&self, now: &Now) -> bool {
        self.seconds_left(now) == 0
    }

    /// How long it is until then, by the clock that gets there first; 0 when it has passed.
    #[must_use]
    pub fn seconds_left(&self, now: &Now) -> u64 {
        if self.boot != now.boot {
            return 0;
        }
        let by_boot = self.boottime_seconds.saturating_sub(now.boottime_seconds);
        let by_wall = self
            .not_after
            .map_or(i64::MAX, |end| end.saturating_sub(now.wall_seconds));
        u64::try_from(by_boot.min(by_wall)).unwrap_or(0)
    }
}

impl Now {
    /// This many seconds from now, by the boot clock.
    pub(crate) fn after(&self, seconds: u64) -> i64 {
        self.boottime_seconds.saturating_add_unsigned(seconds)
    }

    /// The moment of the boot clock at which the wall clock reads `wall`, if nobody touches it.
    pub(crate) fn when_wall_reads(&self, wall: i64) -> i64 {
        self.boottime_seconds
            .saturating_add(wall.saturating_sub(self.wall_seconds))
    }

    /// What turns a moment of the boot of `seen` into one of this boot; nothing if it is the same.
    ///
    /// Between the two passed what the wall clock says, but not less than this boot is old. A wall
    /// clock that went back says nothing, so that a host without a battery-backed clock counts
    /// only the time it was up.
    pub(crate) fn shift_from(&self, seen: &Self) -> i64 {
        if self.boot == seen.boot {
            return 0;
        }
        let by_wall = self.wall_seconds.saturating_sub(seen.wall_seconds);
        let passed = by_wall.max(self.boottime_seconds).max(0);
        self.boottime_seconds
            .saturating_sub(seen.boottime_seconds)
            .saturating_sub(passed)
    }
}
