//! How long a flight waits before it is sent again.
//!
//! The library doubles its timeout with every retransmission and with every answer to one, without end. Half a dozen losses are followed by a silence of many seconds. Here the pauses stop growing like that:
//! when one is long enough, the clock of the library is put forward to where it wanted to wait for. RFC 9147 §5.8.2 lets profiles for real-time protocols choose their timeouts.

use std::time::{Duration, Instant};

use proto_machine::Timestamp;

/// Pauses stop doubling here, unless the first two are longer.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// The pauses of one session.
#[derive(Debug)]
pub(super) struct Patience {
    /// Where pauses stop doubling.
    long: Duration,
    /// The longest pause at present.
    longest: Duration,
    /// What the library waits for, on its own clock, and until when it may.
    waiting: Option<(Instant, Timestamp)>,
}

impl Patience {
    /// With the first pause of a flight.
    pub(super) fn new(first: Duration) -> Self {
        let long = LONG_PAUSE.max(first * 2);
        Self { long, longest: long, waiting: None }
    }

    /// Until when to wait if the library wants to be woken at `instant` of its clock, which at present is `wanted`.
    pub(super) fn until(&mut self, now: Timestamp, instant: Instant, wanted: Timestamp) -> Timestamp {
        if let Some((known, until)) = self.waiting
            && known == instant
        {
            return until;
        }
        let bound = now + self.longest;
        if wanted <= bound {
            // It has begun anew with short pauses, or never grew beyond them.
            self.longest = self.long;
        }
        let until = wanted.min(bound);
        self.waiting = Some((instant, until));
        until
    }

    /// Where the clock of the library is to be put, if it waits for longer than it may. From there on each pause is a quarter longer than the last: the retransmissions of a
    /// minute are twenty, within what the library can double.
    pub(super) fn run_out(&mut self, now: Timestamp, clock: Instant) -> Option<Instant> {
        let (instant, _) = self.waiting.take_if(|(instant, until)| *until <= now && *instant > clock)?;
        self.longest = self.longest * 5 / 4;
        Some(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of a library that doubles its own without end, in milliseconds.
    fn pauses(first: u64, count: u32) -> Vec<u128> {
        let start = crate::clock::Clock::anchored_at(Timestamp::ZERO).instant(Timestamp::ZERO);
        let mut patience = Patience::new(Duration::from_millis(first));
        let (mut now, mut clock, mut pauses) = (Timestamp::ZERO, start, Vec::new());
        for doublings in 0..count {
            let pause = Duration::from_millis(first << doublings);
            let until = patience.until(now, clock + pause, now + pause);
            assert_eq!(patience.until(now + Duration::from_nanos(1), clock + pause, now), until, "it is known");
            pauses.push((until - now).as_millis());
            clock += until - now;
            now = until;
            if let Some(put_forward) = patience.run_out(now, clock) {
                clock = put_forward;
            }
        }
        pauses
    }

    #[test]
    fn pauses_double_to_half_a_second_and_grow_by_a_quarter_from_there() {
        assert_eq!(pauses(100, 7), [100, 200, 400, 500, 625, 781, 976]);
        assert_eq!(pauses(200, 5), [200, 400, 500, 625, 781]);
        assert_eq!(pauses(1600, 4), [1600, 3200, 3200, 4000]);
    }

    #[test]
    fn a_minute_is_bridged_before_the_library_runs_out_of_doublings() {
        // 1,600 ms doubled 24 times are most of a year, the most that counts as a time limit.
        for (first, count) in [(100, 24), (200, 24), (1600, 24)] {
            assert!(pauses(first, count).iter().sum::<u128>() > 60_000, "{first}");
        }
    }

    #[test]
    fn a_new_flight_begins_with_short_pauses_again() {
        let start = crate::clock::Clock::anchored_at(Timestamp::ZERO).instant(Timestamp::ZERO);
        let mut patience = Patience::new(Duration::from_millis(200));
        let far = Duration::from_secs(100);
        for step in 1..5 {
            let until = patience.until(Timestamp::ZERO, start + far * step, Timestamp::ZERO + far);
            patience.run_out(until, start);
        }
        let now = Timestamp::from_millis(9_000);
        let short = Duration::from_millis(200);
        assert_eq!(patience.until(now, start + short, now + short), now + short);
        assert_eq!(patience.until(now, start + far, now + far), now + LONG_PAUSE);
    }

    #[test]
    fn the_clock_is_left_alone_before_the_time_and_if_it_is_far_enough() {
        let start = crate::clock::Clock::anchored_at(Timestamp::ZERO).instant(Timestamp::ZERO);
        let mut patience = Patience::new(Duration::from_millis(200));
        let wanted = Duration::from_secs(2);
        let until = patience.until(Timestamp::ZERO, start + wanted, Timestamp::ZERO + wanted);
        assert_eq!(patience.run_out(Timestamp::from_millis(499), start), None);
        assert_eq!(patience.run_out(until, start + wanted), None);
        assert_eq!(patience.run_out(until, start), Some(start + wanted));
        assert_eq!(patience.run_out(until, start), None, "once");
    }
}
