//! Nomination and selection (RFC 8445 §8.1).
//!
//! Policy of the controlling agent: data needs no nomination, so nothing waits for it. The best valid pair is nominated as soon as no better one is promising, that is, Waiting
//! for its check, or In-Progress for less than one retransmission and two round trips of the valid pair. Frozen pairs do not count: a pair of their foundation
//! is checked before them. A nomination that fails is followed by that of the next valid pair; one that succeeds is the last.

use std::time::Duration;

use proto_machine::{Path, Timestamp};

use super::IceAgent;
use crate::pair::{Pair, PairNomination, PairState, Validation};
use crate::timers::{RELEASE_DELAY, Timer};
use crate::transaction::INITIAL_RTO;
use crate::{IceRole, IceTransportState, PairFailure};

/// How far nomination has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Nomination {
    /// No pair is nominated.
    Pending,
    /// As controlling agent we check this pair once more, with USE-CANDIDATE.
    Nominating(Path),
    /// A pair was nominated, which happens once.
    Concluded,
}

/// Whether a better pair is worth waiting for.
enum Promise {
    None,
    /// Until then, unless something happens.
    Until(Timestamp),
    /// Until it is checked.
    Unchecked,
}

impl IceAgent {
    /// Nominates, if it is up to us and the time has come.
    pub(super) fn nominate(&mut self, now: Timestamp) {
        if let Nomination::Nominating(path) = self.nomination
            && self.checklist.get(&path).and_then(Pair::validation).is_none()
        {
            // RFC 8445 §8.1.1 asks for one success, so the next valid pair may be tried.
            self.nomination = Nomination::Pending;
        }
        self.timers.clear(Timer::Nomination);
        if self.role != IceRole::Controlling
            || self.nomination != Nomination::Pending
            || self.state == IceTransportState::Failed
        {
            return;
        }
        let Some((path, best)) = self.valid_pairs().max_by_key(|(_, pair)| pair.priority) else {
            return;
        };
        match self.promise_beyond(best, now) {
            Promise::Unchecked => {}
            Promise::Until(at) => self.timers.set(Timer::Nomination, at),
            Promise::None => {
                self.nomination = Nomination::Nominating(path);
                self.checklist.trigger(path);
            }
        }
    }

    /// Whether a check with USE-CANDIDATE is due on this path.
    pub(super) fn is_nominating(&self, path: Path) -> bool {
        self.role == IceRole::Controlling && self.nomination == Nomination::Nominating(path)
    }

    /// Selects the pair for data.
    pub(super) fn select(&mut self, now: Timestamp) {
        let by_priority = |(_, pair): &(Path, &Pair)| pair.validation().map(|valid| valid.priority);
        // RFC 8445 §8.1.1: of several nominated pairs the one with the highest priority is used.
        let nominated = self.valid_pairs().filter(|(_, pair)| pair.nomination == PairNomination::Nominated);
        let selected = nominated.max_by_key(by_priority).map(|(path, _)| path);
        // RFC 8445 §12.1: before that, data may be sent on any valid pair.
        self.data_path = selected.or_else(|| self.valid_pairs().max_by_key(by_priority).map(|(path, _)| path));
        if selected == self.selected {
            return;
        }
        self.selected = selected;
        if selected.is_some() {
            self.selected_pair_changes += 1;
            self.timers.set(Timer::Release, now + RELEASE_DELAY);
            self.conclude();
        }
    }

    /// RFC 8445 §8.1.2: a pair is nominated, so no others are checked any more. Valid ones stay until [`release`](Self::release).
    fn conclude(&mut self) {
        if self.nomination != Nomination::Concluded {
            self.nomination = Nomination::Concluded;
            self.transactions.cancel_checks();
            self.checklist.clear_triggered();
            self.gatherer.conclude();
            self.transactions.forget_gathering();
        }
    }

    /// RFC 8445 §8.3.1: three seconds later, the other candidates are given up, and mappings at servers are no longer refreshed.
    pub(super) fn release(&mut self) {
        let Some(selected) = self.selected else {
            return;
        };
        self.gatherer.release(selected.local);
        self.transactions.forget_gathering();
        let removed = self
            .checklist
            .retain(|path, pair| *path == selected || (path.local == selected.local && pair.is_beyond_repair()));
        for path in removed {
            self.transactions.forget_path(path);
            self.held.discard(path);
        }
    }

    /// Takes another role, or keeps the same (RFC 8445 §7.3.1.1).
    pub(super) fn switch_role(&mut self, role: IceRole) {
        if self.role == role {
            return;
        }
        self.role = role;
        self.checklist.set_role(role);
        if matches!(self.nomination, Nomination::Nominating(_)) {
            self.nomination = Nomination::Pending;
        }
        for (_, pair) in self.checklist.iter_mut().filter(|(_, pair)| pair.nomination == PairNomination::Requested) {
            // Whoever nominated it was in the controlling role, which is ours now.
            pair.nomination = PairNomination::None;
        }
    }

    /// Takes a pair out of use.
    pub(super) fn fail_pair(&mut self, path: Path, failure: PairFailure) {
        if let Some(pair) = self.checklist.get_mut(&path) {
            pair.state = PairState::Failed(failure);
            pair.nomination = PairNomination::None;
            // RFC 7675 §5.1: outstanding consent transactions are discarded when consent expires.
            self.transactions.forget_path(path);
            self.checklist.untrigger(path);
            self.held.discard(path);
        }
    }

    /// The secure transport over this agent has ended: nothing may be sent any more (RFC 7675 §5.2), and the state turns to `failed`.
    pub fn revoke_consent(&mut self, now: Timestamp) {
        if self.state == IceTransportState::Closed {
            return;
        }
        let paths: Vec<Path> = self.checklist.iter().map(|(&path, _)| path).collect();
        for path in paths {
            self.fail_pair(path, PairFailure::ConsentRevoked);
        }
        self.fail();
        self.settle(now);
    }

    /// Whether a pair better than `best` may still become valid.
    fn promise_beyond(&self, best: &Pair, now: Timestamp) -> Promise {
        let round_trip_time = best.counters.current_round_trip_time.unwrap_or(Duration::ZERO);
        let patience = INITIAL_RTO + 2 * round_trip_time;
        let mut latest = now;
        for (_, pair) in self.checklist.iter().filter(|(_, pair)| pair.priority > best.priority) {
            match pair.state {
                PairState::Waiting => return Promise::Unchecked,
                PairState::InProgress { since, .. } => latest = latest.max(since + patience),
                PairState::Frozen | PairState::Succeeded(Validation { .. }) | PairState::Failed(_) => {}
            }
        }
        if latest > now { Promise::Until(latest) } else { Promise::None }
    }
}
