//! `Moment`: a point in time as the router counts it, so that a test can make its own.

use std::time::Duration;

/// Microseconds since the router's beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// So long after the beginning.
    pub fn since_start(elapsed: Duration) -> Moment {
        Moment(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// So many milliseconds after the beginning.
    pub fn from_ms(ms: u64) -> Moment {
        Moment(ms.saturating_mul(1000))
    }

    /// Whole milliseconds since the beginning.
    pub fn ms(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `pause` later.
    pub fn after(self, pause: Duration) -> Moment {
        Moment(self.0.saturating_add(Moment::since_start(pause).0))
    }

    /// How long it is since `earlier`; nothing if that is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
