//! Deadlines: what happens when nothing does.

use proto_machine::{Deadline, Path, Timestamp};

use super::{EndOfCandidates, IceAgent, RemoteSession};
use crate::consent::Liveness;
use crate::gather::Failure;
use crate::pair::PairState;
use crate::stun::TransactionId;
use crate::timers::Timer;
use crate::transaction::{Ended, Purpose, Transaction};
use crate::{IceTransportState, PairFailure};

impl IceAgent {
    /// Acts on every deadline at or before `now`.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((id, transaction, ended)) = self.transactions.take_ended(now) {
            self.transaction_ended(now, id, &transaction, ended);
        }
        self.expire_servers(now);
        self.expire_consent(now);
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                // What they mean is that they have run out; `settle` looks at that.
                Timer::PatientlyAwaitingConnectivity | Timer::Nomination => {}
                Timer::EndOfCandidates => {
                    if let RemoteSession::Known(identity) = &mut self.remote.session {
                        identity.end_of_candidates = EndOfCandidates::Assumed;
                    }
                }
                Timer::Release => self.release(now),
            }
        }
    }

    /// When to be woken next.
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        let at = |reason| move |at| Deadline { at, reason };
        let deadlines = [
            self.timers.next(),
            self.transactions.next_deadline().map(at("transaction")),
            self.next_paced().map(at("pacing")),
            self.next_consent_deadline(),
            self.next_relay_deadline(),
            self.gatherer.next_expiry().map(at("patience with a server")),
            self.keepalive_due_at().map(at("keepalive")),
        ];
        deadlines.into_iter().fold(None, Deadline::earliest)
    }

    /// A transaction has come to its end without a response.
    pub(super) fn transaction_ended(
        &mut self,
        now: Timestamp,
        id: TransactionId,
        transaction: &Transaction,
        ended: Ended,
    ) {
        match transaction.purpose {
            Purpose::Check(attributes) => match ended {
                // RFC 8445 §7.2.5.2.3.
                Ended::TimedOut => self.check_failed(id, transaction.path, attributes, PairFailure::Timeout),
                Ended::Forgotten => self.check_forgotten(id, transaction.path),
            },
            // RFC 7675 §5.1: one response for every request cannot be assumed; consent itself expires.
            Purpose::Consent(_) => {}
            Purpose::Gathering(request) => {
                if ended == Ended::TimedOut {
                    self.server_failed(now, request, &Failure::Silent);
                }
            }
        }
    }

    /// Gives up names and servers that take too long.
    fn expire_servers(&mut self, now: Timestamp) {
        for error in self.gatherer.expire_lookups(now) {
            self.report_error(now, error);
        }
        for request in self.gatherer.overdue_allocations(now) {
            self.give_up_relay(now, request);
        }
        self.gatherer.climb_on(now);
    }

    /// RFC 8445 §8.1.2: "will not treat the lack of response to be a failure". The pair stays unchecked, unless nomination begins anew.
    fn check_forgotten(&mut self, id: TransactionId, path: Path) {
        if let Some(pair) = self.checklist.get_mut(&path)
            && matches!(pair.state, PairState::InProgress { transaction, .. } if transaction == id)
        {
            pair.state = PairState::Frozen;
            self.held.discard(path);
        }
    }

    fn expire_consent(&mut self, now: Timestamp) {
        let mut expired: Vec<Path> = Vec::new();
        for (&path, pair) in self.checklist.iter_mut() {
            let timeout = self.config.disconnected_timeout + pair.counters.current_round_trip_time.unwrap_or_default();
            if let PairState::Succeeded(validation) = &mut pair.state {
                validation.consent.notice_silence(now, timeout);
                if validation.consent.is_expired(now) {
                    expired.push(path);
                }
            }
        }
        for path in expired {
            self.fail_pair(path, PairFailure::ConsentExpired);
        }
    }

    fn next_consent_deadline(&self) -> Option<Deadline> {
        let mut earliest = None;
        for (_, pair) in self.valid_pairs() {
            let Some(validation) = pair.validation() else {
                continue;
            };
            let consent = &validation.consent;
            let check = Deadline { at: consent.next_check_at(), reason: "consent check" };
            let expiry = Deadline { at: consent.expires_at(), reason: "consent expiry" };
            earliest = Deadline::earliest(earliest, Deadline::earliest(Some(check), Some(expiry)));
            if consent.liveness() == Liveness::Heard {
                let timeout =
                    self.config.disconnected_timeout + pair.counters.current_round_trip_time.unwrap_or_default();
                let silence = Deadline { at: consent.silent_at(timeout), reason: "silence" };
                earliest = Deadline::earliest(earliest, Some(silence));
            }
        }
        earliest.filter(|_| self.state != IceTransportState::Closed)
    }
}
