//! The retransmission timeout (RFC 9260 §6.3), in the resolution of the clock.

use std::time::Duration;

/// The least timeout. A little above the 200 ms for which other receivers hold back a SACK (RFC 9260 §6.2), where RFC 9260 §16 has a second: nobody waits for that in a call.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_millis(250);
/// The longest pause between retransmissions. RFC 9260 §16 has 60 s, which no user waits for; ICE ends a path that is dead.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(3);

/// What is known of the round-trip time.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
    timeout: Duration,
    /// How often the timer has expired since something was acknowledged.
    expirations: u32,
}

impl RoundTrip {
    /// `initial` is the timeout until something was measured.
    pub(super) fn new(initial: Duration, measured: Option<Duration>) -> Self {
        let timeout = initial.clamp(MIN_TIMEOUT, MAX_TIMEOUT);
        let mut this = Self { smoothed: None, variation: Duration::ZERO, timeout, expirations: 0 };
        if let Some(measured) = measured {
            this.measure(measured);
        }
        this
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.saturating_mul(1 << self.expirations.min(8)).min(MAX_TIMEOUT)
    }

    /// How often the timer has expired since something was acknowledged.
    pub(super) fn expirations(&self) -> u32 {
        self.expirations
    }

    /// Takes in a measurement (RFC 9260 §6.3.1 C2, C3).
    pub(super) fn measure(&mut self, sample: Duration) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = sample / 2;
                sample
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                (smoothed * 7 + sample) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.timeout = (smoothed + self.variation * 4).clamp(MIN_TIMEOUT, MAX_TIMEOUT);
    }

    /// The timer has expired (RFC 9260 §6.3.3 E2).
    pub(super) fn back_off(&mut self) {
        self.expirations = self.expirations.saturating_add(1);
    }

    /// Something was acknowledged that was not before: the path is alive.
    pub(super) fn confirm(&mut self) {
        self.expirations = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_timeout_follows_the_measurements_within_its_bounds() {
        let mut round_trip = RoundTrip::new(milliseconds(500), None);
        assert_eq!(round_trip.timeout(), milliseconds(500));
        round_trip.measure(milliseconds(200));
        assert_eq!(round_trip.timeout(), milliseconds(600));
        (0..100).for_each(|_| round_trip.measure(milliseconds(200)));
        assert_eq!(round_trip.timeout(), MIN_TIMEOUT);
        round_trip.measure(Duration::from_secs(60));
        assert_eq!(round_trip.timeout(), MAX_TIMEOUT);
    }

    #[test]
    fn the_timeout_doubles_until_something_is_acknowledged_again() {
        let mut round_trip = RoundTrip::new(milliseconds(10), Some(milliseconds(40)));
        assert_eq!(round_trip.timeout(), MIN_TIMEOUT);
        let timeouts: Vec<_> = std::iter::repeat_with(|| {
            round_trip.back_off();
            round_trip.timeout().as_millis()
        })
        .take(5)
        .collect();
        assert_eq!(timeouts, [500, 1000, 2000, 3000, 3000]);
        round_trip.confirm();
        assert_eq!(round_trip.timeout(), MIN_TIMEOUT);
    }
}
