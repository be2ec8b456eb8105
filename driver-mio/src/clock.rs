//! The only clock of the family.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proto_machine::Timestamp;

/// Monotonic time since a start, as the [`Timestamp`]s that machines understand.
///
/// Copies share the start, so that several drivers, each on its own thread, can share one time base.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that stands at [`Timestamp::ZERO`] now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time passed since the start. Never runs backwards.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }
}

/// Time since the Unix epoch, for what needs a date, such as the validity of a certificate. Zero if the system's clock is set before 1970.
#[must_use]
pub fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
