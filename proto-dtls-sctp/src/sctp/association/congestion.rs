//! Congestion control.

use std::fmt;

/// Packets that go out at once on an untried path (RFC 6928 §2).
const INITIAL_WINDOW: usize = 10;

/// What was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// Bytes of chunks that were not acknowledged before.
    pub(super) bytes: usize,
    /// Bytes in flight before that.
    pub(super) in_flight: usize,
    pub(super) cumulative_advanced: bool,
    /// A loss is being repaired.
    pub(super) in_recovery: bool,
}

/// How much may be in flight. Sizes are those of chunks with header and padding, in bytes.
pub(super) trait CongestionController: fmt::Debug + Send {
    fn window(&self) -> usize;
    fn on_acknowledged(&mut self, progress: Progress);
    /// Three acknowledgements have passed over a chunk. Comes once for a window of data.
    fn on_loss(&mut self);
    /// Nothing was acknowledged in time.
    fn on_timeout(&mut self);
}

/// The rules of RFC 9260 §7.2.
#[derive(Debug)]
pub(super) struct NewReno {
    packet_size: usize,
    window: usize,
    threshold: usize,
    /// Bytes acknowledged since the window grew last (partial_bytes_acked).
    partial: usize,
}

impl NewReno {
    /// `threshold` is where slow start ends at first, in bytes.
    pub(super) fn new(packet_size: usize, threshold: usize) -> Self {
        Self { packet_size, window: INITIAL_WINDOW * packet_size, threshold, partial: 0 }
    }
}

impl CongestionController for NewReno {
    fn window(&self) -> usize {
        self.window
    }

    fn on_acknowledged(&mut self, progress: Progress) {
        // RFC 9260 §7.2.1: it only grows while it is used, and not while a loss is repaired.
        let used = progress.in_flight + self.packet_size > self.window;
        if !used || progress.in_recovery || !progress.cumulative_advanced {
            return;
        }
        if self.window <= self.threshold {
            // RFC 9260 §7.2.1 bounds the growth by what was acknowledged, and by L packets for each SACK. A receiver that takes in packets by the batch acknowledges them
            // by the batch, so that L has no bound here.
            self.window += progress.bytes;
            return;
        }
        // RFC 9260 §7.2.2
        self.partial += progress.bytes;
        if self.partial >= self.window {
            self.partial -= self.window;
            self.window += self.packet_size;
        }
    }

    fn on_loss(&mut self) {
        // RFC 9260 §7.2.3
        self.threshold = (self.window / 2).max(4 * self.packet_size);
        self.window = self.threshold;
        self.partial = 0;
    }

    fn on_timeout(&mut self) {
        self.threshold = (self.window / 2).max(4 * self.packet_size);
        self.window = self.packet_size;
        self.partial = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledge(control: &mut NewReno, bytes: usize) {
        let progress = Progress { bytes, in_flight: control.window(), cumulative_advanced: true, in_recovery: false };
        control.on_acknowledged(progress);
    }

    #[test]
    fn slow_start_doubles_the_window_in_a_round_trip_and_then_a_packet_is_added() {
        let mut control = NewReno::new(1000, 40_000);
        for expected in [20_000, 40_000, 42_000, 43_000] {
            for _ in 0..control.window() / 2000 {
                acknowledge(&mut control, 2000);
            }
            if control.window() % 2000 == 1000 {
                acknowledge(&mut control, 1000);
            }
            assert_eq!(control.window(), expected);
        }
    }

    #[test]
    fn a_loss_halves_the_window_and_a_timeout_leaves_one_packet() {
        let mut control = NewReno::new(1000, 40_000);
        control.on_loss();
        assert_eq!(control.window(), 5000);
        control.on_timeout();
        assert_eq!((control.window(), control.threshold), (1000, 4000));
    }

    #[test]
    fn a_window_that_is_not_used_or_a_loss_that_is_repaired_lets_nothing_grow() {
        let mut control = NewReno::new(1000, 40_000);
        let full = Progress { bytes: 2000, in_flight: 10_000, cumulative_advanced: true, in_recovery: false };
        control.on_acknowledged(Progress { in_flight: 5000, ..full });
        control.on_acknowledged(Progress { in_recovery: true, ..full });
        control.on_acknowledged(Progress { cumulative_advanced: false, ..full });
        assert_eq!(control.window(), 10_000);
    }
}
