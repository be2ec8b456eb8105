//! Pacing: when the next transaction may start, and whose turn it is (RFC 8445 §14.2).

use std::time::Duration;

use proto_machine::Timestamp;

/// One clock for checks and gathering.
#[derive(Debug)]
pub(crate) struct Pacer {
    next_at: Timestamp,
    turn: Turn,
    budget: Budget,
}

/// Whether somebody above has a say in when transactions start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Budget {
    /// Nobody.
    Own,
    /// Somebody who has not allowed another transaction yet.
    Exhausted,
    /// Somebody who has allowed one more.
    One,
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
        Self { next_at: Timestamp::ZERO, turn: Turn::Gathering, budget: Budget::Own }
    }

    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.next_at <= now && !self.is_held()
    }

    pub(crate) fn next_at(&self) -> Timestamp {
        self.next_at
    }

    /// From now on, every transaction has to be allowed.
    pub(crate) fn share_budget(&mut self) {
        self.budget = Budget::Exhausted;
    }

    /// One more transaction may start.
    pub(crate) fn allow_one(&mut self) {
        if self.budget == Budget::Exhausted {
            self.budget = Budget::One;
        }
    }

    /// Whether a transaction would first have to be allowed.
    pub(crate) fn is_held(&self) -> bool {
        self.budget == Budget::Exhausted
    }

    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }

    /// A transaction was started by `turn`: the other is next, `interval` (Ta) later.
    pub(crate) fn started(&mut self, now: Timestamp, interval: Duration, turn: Turn) {
        self.next_at = now + interval;
        if self.budget == Budget::One {
            self.budget = Budget::Exhausted;
        }
        self.turn = match turn {
            Turn::Gathering => Turn::Checks,
            Turn::Checks => Turn::Gathering,
        };
    }
}
