//! When something is sent again that waits for its answer.

use std::time::Duration;

use proto_machine::Timestamp;

/// A pause never grows beyond this, unless the first is longer: these are a few small packets, and somebody waits for every one of them.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The timer of one packet.
#[derive(Debug)]
pub(super) struct Retransmission {
    due: Timestamp,
    pause: Duration,
    /// No pause is longer.
    longest: Duration,
    /// When the packet was sent, unless it has been retransmitted since (Karn's rule, RFC 9260 §6.3.1 C5).
    sent: Option<Timestamp>,
}

impl Retransmission {
    /// For a packet that is sent at `now`.
    pub(super) fn start(now: Timestamp, pause: Duration) -> Self {
        Self { due: now + pause, pause, longest: (pause * 2).max(LONGEST_PAUSE), sent: Some(now) }
    }

    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    /// How long the answer took, if it is sure what it answers.
    pub(super) fn answered(&self, now: Timestamp) -> Option<Duration> {
        self.sent.map(|sent| now - sent)
    }

    /// Whether it is due; if so, the next pause is set, which is twice as long (RFC 9260 §6.3.3 E2).
    pub(super) fn take_due(&mut self, now: Timestamp) -> bool {
        let due = self.due <= now;
        if due {
            self.pause = (self.pause * 2).min(self.longest);
            self.due = now + self.pause;
            self.sent = None;
        }
        due
    }
}
