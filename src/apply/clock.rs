//! Time, as far as a run needs it.

use std::time::{Duration, Instant};

/// A clock that runs can wait with. Tests use one that does not really wait.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
    /// Waits.
    fn pause(&self, how_long: Duration);
}

/// The machine's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&self, how_long: Duration) {
        std::thread::sleep(how_long);
    }
}
