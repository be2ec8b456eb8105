//! The bridge to wrapped crates, which want `std::time::Instant`.

use std::time::{Duration, Instant};

use proto_machine::Timestamp;

/// Instants further away than this are "never" in the words of the wrapped crates.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// One moment, known on both time lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    instant: Instant,
    timestamp: Timestamp,
}

impl Clock {
    /// Takes the anchor. Only differences to it ever matter, so the value of the real clock leaves no trace.
    #[expect(clippy::disallowed_methods, reason = "an Instant cannot be had otherwise: the one anchor of this crate")]
    pub(crate) fn anchored_at(timestamp: Timestamp) -> Self {
        Self { instant: Instant::now(), timestamp }
    }

    /// The instant of a timestamp; that of the anchor if it lies before.
    pub(crate) fn instant(self, timestamp: Timestamp) -> Instant {
        self.instant.checked_add(timestamp - self.timestamp).unwrap_or(self.instant)
    }

    /// Lets the instants run ahead by so much more.
    pub(crate) fn put_forward(&mut self, by: Duration) {
        self.instant = self.instant.checked_add(by).unwrap_or(self.instant);
    }

    /// The timestamp of an instant; that of the anchor if it lies before.
    pub(crate) fn timestamp(self, instant: Instant) -> Timestamp {
        self.timestamp + instant.saturating_duration_since(self.instant)
    }

    /// The timestamp of a deadline, or `None` if it lies so far after `now` that it means none.
    pub(crate) fn deadline(self, now: Timestamp, instant: Instant) -> Option<Timestamp> {
        let timestamp = self.timestamp(instant);
        (timestamp - now < NEVER).then_some(timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_back_to_the_nanosecond() {
        let clock = Clock::anchored_at(Timestamp::from_millis(5));
        let later = Timestamp::from_nanos(7_000_001);
        assert_eq!(clock.deadline(Timestamp::ZERO, clock.instant(later)), Some(later));
    }

    #[test]
    fn what_comes_after_putting_the_clock_forward_comes_sooner() {
        let mut clock = Clock::anchored_at(Timestamp::ZERO);
        let instant = clock.instant(Timestamp::from_millis(5_000));
        clock.put_forward(Duration::from_secs(2));
        assert_eq!(clock.timestamp(instant), Timestamp::from_millis(3_000));
        assert_eq!(clock.instant(Timestamp::from_millis(3_000)), instant);
    }

    #[test]
    fn a_deadline_in_a_year_is_none_and_the_past_is_the_anchor() {
        let clock = Clock::anchored_at(Timestamp::from_millis(5));
        assert_eq!(clock.deadline(Timestamp::ZERO, clock.instant(Timestamp::ZERO + NEVER)), None);
        assert_eq!(clock.instant(Timestamp::ZERO), clock.instant(Timestamp::from_millis(5)));
    }
}
