//! Nomination and selection (RFC 8445 §8.1).
//!
//! Policy of the controlling agent: data needs no nomination, so nothing waits for it. The best valid pair is nominated as soon as no better one is promising, that is, Waiting
//! for its check, or In-Progress for less than one retransmission and two round trips of the valid pair. Frozen pairs do not count: a pair of their foundation
//! is checked before them. A nomination that fails is followed by that of the next valid pair; one that succeeds is the last, as long as its pair is not lost.
//!
//! The controlled agent uses the best of the nominated pairs: one on which the peer is heard, then the one of the highest priority, then the one that was nominated last.

use std::time::Duration;

use proto_machine::{Path, Timestamp};

use super::IceAgent;
use crate::pair::{Attempt, Pair, PairNomination, PairState, Validation};
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
    /// A pair was nominated, which happens once, unless it is lost.
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
        let is_void = match self.nomination {
            Nomination::Pending => false,
            // RFC 8445 §8.1.1 asks for one success, so the next valid pair may be tried.
            Nomination::Nominating(path) => self.checklist.get(&path).and_then(Pair::validation).is_none(),
            // The nominated pair is lost, and there is another.
            Nomination::Concluded => self.selected.is_none() && self.valid_pairs().next().is_some(),
        };
        if is_void {
            self.nomination = Nomination::Pending;
        }
        self.timers.clear(Timer::Nomination);
        if self.role != IceRole::Controlling
            || self.nomination != Nomination::Pending
            || self.state == IceTransportState::Failed
        {
            return;
        }
        let Some((path, best)) = self.valid_pairs().max_by_key(|(_, pair)| (pair.is_heard(), pair.priority)) else {
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
        let preference = |(_, pair): &(Path, &Pair)| pair.preference();
        // RFC 8445 §8.1.1: of several nominated pairs one is used.
        let nominated = self.valid_pairs().filter(|(_, pair)| pair.is_nominated());
        let selected = nominated.max_by_key(preference).map(|(path, _)| path);
        // RFC 8445 §12.1: before that, data may be sent on any valid pair.
        self.data_path = selected.or_else(|| self.valid_pairs().max_by_key(preference).map(|(path, _)| path));
        if selected == self.selected {
            return;
        }
        self.selected = selected;
        if selected.is_some() {
            self.selected_pair_changes += 1;
            self.timers.set(Timer::Release, now + RELEASE_DELAY);
            self.times.selected.get_or_insert(now);
            self.conclude(now);
        }
    }

    /// RFC 8445 §8.1.2: a pair is nominated, so no others are checked any more, but for those that may still take its place. Valid ones stay until
    /// [`release`](Self::release).
    fn conclude(&mut self, now: Timestamp) {
        if self.nomination != Nomination::Concluded {
            self.nomination = Nomination::Concluded;
            let contenders = self.contenders();
            self.transactions.cancel_checks(|path| !contenders.contains(&path));
            self.checklist.retain_triggered(|path| contenders.contains(path));
            self.gatherer.conclude(now);
            self.transactions.forget_gathering();
        }
    }

    /// The pairs that the controlling agent has nominated, that would be preferred to the selected one, and whose check is still open. It may have selected
    /// such a pair already (RFC 8445 §8.1.1).
    fn contenders(&self) -> Vec<Path> {
        let selected = self.selected.and_then(|path| self.checklist.get(&path)?.preference());
        let is_contender = |pair: &Pair| {
            pair.is_waiting_or_in_progress() && pair.preference_on_success().is_some_and(|open| Some(open) > selected)
        };
        self.checklist.iter().filter(|(_, pair)| is_contender(pair)).map(|(&path, _)| path).collect()
    }

    /// RFC 8445 §8.3.1: three seconds later, the other candidates are given up, and mappings at servers are no longer refreshed. Those that may still be selected follow when
    /// their checks have ended.
    pub(super) fn release(&mut self, now: Timestamp) {
        let Some(selected) = self.selected else {
            return;
        };
        let mut kept = self.contenders();
        if !kept.is_empty() {
            self.timers.set(Timer::Release, now + RELEASE_DELAY);
        }
        kept.push(selected);
        let is_base = |address| kept.iter().any(|path| path.local == address);
        let relays = self.release_relays(now, is_base);
        self.gatherer.release(|address| is_base(address) || relays.contains(&address));
        self.transactions.forget_gathering();
        let removed =
            self.checklist.retain(|path, pair| kept.contains(path) || (is_base(path.local) && pair.is_beyond_repair()));
        for path in removed {
            self.forget_pair(path);
        }
    }

    /// A pair is gone: nothing that was sent or held on its path is of use any more.
    pub(super) fn forget_pair(&mut self, path: Path) {
        self.transactions.forget_path(path);
        self.held.discard(path);
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
        for (_, pair) in self.checklist.iter_mut() {
            if matches!(pair.nomination, PairNomination::Requested(_)) {
                // Whoever nominated it was in the controlling role, which is ours now.
                pair.nomination = PairNomination::None;
            }
        }
    }

    /// Takes a pair out of use.
    pub(super) fn fail_pair(&mut self, path: Path, failure: PairFailure) {
        if let Some(pair) = self.checklist.get_mut(&path) {
            pair.state = PairState::Failed(failure);
            pair.nomination = PairNomination::None;
            // RFC 7675 §5.1: outstanding consent transactions are discarded when consent expires.
            self.forget_pair(path);
            self.checklist.untrigger(path);
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
        self.fail(now);
        self.settle(now);
    }

    /// Whether a pair better than `best` may still become valid.
    fn promise_beyond(&self, best: &Pair, now: Timestamp) -> Promise {
        let round_trip_time = best.counters.current_round_trip_time.unwrap_or(Duration::ZERO);
        let patience = INITIAL_RTO + 2 * round_trip_time;
        let mut latest = now;
        for (_, pair) in self.checklist.iter().filter(|(_, pair)| pair.priority > best.priority) {
            match pair.state {
                PairState::Waiting(Attempt::New) => return Promise::Unchecked,
                PairState::Waiting(Attempt::Since(since)) | PairState::InProgress { since, .. } => {
                    latest = latest.max(since + patience);
                }
                PairState::Frozen | PairState::Succeeded(Validation { .. }) | PairState::Failed(_) => {}
            }
        }
        if latest > now { Promise::Until(latest) } else { Promise::None }
    }
}
