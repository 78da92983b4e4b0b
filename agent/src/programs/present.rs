//! The present by all the clocks that ends of programs count by.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bpf_lifecycle::{BootId, Now};
use rustix::time::{ClockId, clock_gettime};

/// Tells the time, and which boot it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    boot: BootId,
}

impl Clocks {
    /// Reads which boot this is.
    pub(crate) fn of(proc: &Path) -> Result<Self, String> {
        let path = proc.join("sys/kernel/random/boot_id");
        let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|why| fail(&why))?;
        let boot = text.trim().parse().map_err(|why| fail(&why))?;
        Ok(Self { boot })
    }

    pub(crate) fn now(self) -> Now {
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(_) => 0,
        };
        Now {
            boot: self.boot,
            boottime_seconds: clock_gettime(ClockId::Boottime).tv_sec,
            wall_seconds: wall,
        }
    }
}
