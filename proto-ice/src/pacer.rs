//! Pacing: when the next transaction may start, and whose turn it is (RFC 8445 §14.2).

use std::time::Duration;

use proto_machine::Timestamp;

/// One clock for checks and gathering.
#[derive(Debug)]
pub(crate) struct Pacer {
    next_at: Timestamp,
    turn: Turn,
}

/// Checks and requests to servers take turns, so that neither has to wait for all of the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    Gathering,
    Checks,
}

impl Pacer {
    /// The first transaction may start at once.
    pub(crate) fn new() -> Self {
        Self { next_at: Timestamp::ZERO, turn: Turn::Gathering }
    }

    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.next_at <= now
    }

    pub(crate) fn next_at(&self) -> Timestamp {
        self.next_at
    }

    /// Nothing starts before `at`.
    pub(crate) fn delay(&mut self, at: Timestamp) {
        self.next_at = self.next_at.max(at);
    }

    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }

    /// A transaction was started by `turn`: the other is next, `interval` (Ta) later.
    pub(crate) fn started(&mut self, now: Timestamp, interval: Duration, turn: Turn) {
        self.next_at = now + interval;
        self.turn = match turn {
            Turn::Gathering => Turn::Checks,
            Turn::Checks => Turn::Gathering,
        };
    }
}
