//! The two clocks of the runner: tokio's monotonic one decides, the wall clock is only shown.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

#[derive(Clone)]
pub(crate) struct Clock {
    origin: Instant,
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// Monotonic, since the supervisor was made.
    pub(crate) at: Duration,
    pub(crate) wall: SystemTime,
}

impl Clock {
    pub(crate) fn new(wall: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            origin: Instant::now(),
            wall: Arc::new(wall),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            at: self.now(),
            wall: (self.wall)(),
        }
    }
}
