//! Responses to our requests (RFC 8445 §7.2.5).

use std::net::SocketAddr;

use proto_machine::{Path, Timestamp};

use super::{IceAgent, RemoteSession};
use crate::consent::Consent;
use crate::gather::{Failure, RequestId};
use crate::pair::{PairNomination, PairPriority, PairState, Validation};
use crate::stun::{FingerprintPresence, MessageClass, Nominate, StunMessage, TransactionId, error_code};
use crate::transaction::{CheckAttributes, Purpose, Transaction};
use crate::words::shown;
use crate::{DropReason, IceRole, PairFailure};

/// What a response says.
enum Outcome {
    Success(SocketAddr),
    Error(u16),
    /// Authentic, and yet it cannot be used.
    Unusable,
}

impl IceAgent {
    pub(super) fn take_response(&mut self, now: Timestamp, path: Path, message: &StunMessage<'_>) {
        let Some(transaction) = self.transactions.get(message.transaction) else {
            self.drops.count(DropReason::UnknownTransaction);
            return;
        };
        match transaction.purpose {
            Purpose::Gathering(request) => self.take_server_response(now, path, request, message),
            Purpose::Check(_) | Purpose::Consent(_) => self.take_check_response(now, path, message),
        }
    }

    /// Servers know no password, so only transaction and addresses tell whether it is them.
    fn take_server_response(&mut self, now: Timestamp, path: Path, request: RequestId, message: &StunMessage<'_>) {
        if self.transactions.get(message.transaction).is_none_or(|transaction| transaction.path != path) {
            self.drops.count(DropReason::AsymmetricServerResponse);
            return;
        }
        let Some(transaction) = self.transactions.remove(message.transaction) else {
            return;
        };
        match outcome(message) {
            Outcome::Success(mapped) => self.take_server_answer(now, request, &transaction, mapped),
            Outcome::Error(code) => {
                let reason = message.error.as_ref().map(|error| error.reason()).unwrap_or_default();
                let failure = Failure::Refused(code, shown(reason));
                self.server_failed(now, request, &failure);
            }
            Outcome::Unusable => {
                self.drops.count(DropReason::UnusableResponse);
                let failure = Failure::Other("the server's answer is of no use".to_owned());
                self.server_failed(now, request, &failure);
            }
        }
        self.settle(now);
    }

    fn take_check_response(&mut self, now: Timestamp, path: Path, message: &StunMessage<'_>) {
        if message.fingerprint == FingerprintPresence::Absent {
            self.drops.count(DropReason::BadFingerprint);
            return;
        }
        let RemoteSession::Known(identity) = &self.remote.session else {
            return;
        };
        if !message.is_authentic(&identity.key) {
            // RFC 8489 §9.1.4: "discarded, as if it had never been received".
            self.drops.count(DropReason::UnauthenticatedResponse);
            return;
        }
        self.expire(now);
        if self.is_consent_from_elsewhere(path, message.transaction) {
            // RFC 7675 §5.1: no response at all, so the true one is still awaited.
            self.drops.count(DropReason::UnusableResponse);
        } else if let Some(transaction) = self.transactions.remove(message.transaction) {
            let id = message.transaction;
            match transaction.purpose {
                Purpose::Check(attributes) => self.check_ended(now, path, id, &transaction, attributes, message),
                Purpose::Consent(attributes) => self.consent_ended(now, &transaction, attributes, message),
                Purpose::Gathering(_) => {}
            }
        } else {
            self.drops.count(DropReason::UnknownTransaction);
        }
        self.settle(now);
    }

    fn is_consent_from_elsewhere(&self, path: Path, id: TransactionId) -> bool {
        let is_elsewhere =
            |transaction: &Transaction| matches!(transaction.purpose, Purpose::Consent(_)) && transaction.path != path;
        self.transactions.get(id).is_some_and(is_elsewhere)
    }

    fn check_ended(
        &mut self,
        now: Timestamp,
        path: Path,
        id: TransactionId,
        transaction: &Transaction,
        attributes: CheckAttributes,
        message: &StunMessage<'_>,
    ) {
        let checked = transaction.path;
        if path != checked {
            // RFC 8445 §7.2.5.2.1.
            self.check_failed(id, checked, attributes, PairFailure::NonSymmetricAddresses);
            return;
        }
        match outcome(message) {
            Outcome::Success(mapped) => {
                self.measure(now, transaction);
                self.check_succeeded(now, checked, attributes, mapped);
            }
            Outcome::Error(error_code::ROLE_CONFLICT) => self.take_role_conflict(checked, attributes),
            Outcome::Error(error_code::FORBIDDEN) if self.is_valid(checked) => {
                self.fail_pair(checked, PairFailure::ConsentRevoked);
            }
            Outcome::Error(code) => self.check_failed(id, checked, attributes, PairFailure::ErrorResponse(code)),
            Outcome::Unusable => self.check_failed(id, checked, attributes, PairFailure::UnusableResponse),
        }
    }

    /// RFC 7675 §5.1: consent is a success response from the address that data goes to, and nothing else.
    fn consent_ended(
        &mut self,
        now: Timestamp,
        transaction: &Transaction,
        attributes: CheckAttributes,
        message: &StunMessage<'_>,
    ) {
        let path = transaction.path;
        match outcome(message) {
            Outcome::Success(_) => {
                self.measure(now, transaction);
                if let Some(validation) = self.checklist.get_mut(&path).and_then(|pair| pair.validation_mut()) {
                    validation.consent.renew(now);
                }
            }
            // RFC 7675 §5.2.
            Outcome::Error(error_code::FORBIDDEN) => self.fail_pair(path, PairFailure::ConsentRevoked),
            Outcome::Error(error_code::ROLE_CONFLICT) => self.take_role_conflict(path, attributes),
            Outcome::Error(_) | Outcome::Unusable => self.drops.count(DropReason::UnusableResponse),
        }
    }

    /// RFC 8445 §7.2.5.3.
    fn check_succeeded(&mut self, now: Timestamp, path: Path, attributes: CheckAttributes, mapped: SocketAddr) {
        let Some(pair) = self.checklist.get_mut(&path) else {
            return;
        };
        // RFC 8445 §7.2.5.3.1: the candidate is the one that the other agent sees.
        let seen_as = self.local.candidates.seen_as(mapped, path.local, attributes.priority).unwrap_or(pair.local);
        let local_priority = self.local.candidates.get(seen_as).map_or(pair.local_priority, |seen| seen.priority);
        match &mut pair.state {
            PairState::Succeeded(validation) => validation.consent.renew(now),
            state => {
                self.remote.candidates.check_succeeded();
                *state = PairState::Succeeded(Validation {
                    local: seen_as,
                    local_priority,
                    priority: PairPriority::new(self.role, local_priority, pair.remote_priority),
                    consent: Consent::granted(now, self.config.consent_interval, &mut self.rng),
                });
            }
        }
        let nominated_by_us = attributes.nominate == Nominate::Yes && self.role == IceRole::Controlling;
        // RFC 8445 §7.2.5.3.4.
        if nominated_by_us {
            pair.nomination = PairNomination::Nominated(self.latest_nomination.advance());
        } else if let PairNomination::Requested(order) = pair.nomination {
            pair.nomination = PairNomination::Nominated(order);
        }
        let foundation = pair.foundation.clone();
        for length in self.held.validated(path) {
            pair.counters.packets_received += 1;
            pair.counters.bytes_received += length as u64;
            pair.counters.last_packet_received = Some(now);
        }
        self.checklist.unfreeze(&foundation);
    }

    /// A check has failed. Only the latest one of a pair counts, and of a valid pair only the one that nominates (RFC 8445 §7.2.5.3.4).
    pub(super) fn check_failed(
        &mut self,
        id: TransactionId,
        path: Path,
        attributes: CheckAttributes,
        failure: PairFailure,
    ) {
        let counts = match self.checklist.get(&path).map(|pair| &pair.state) {
            Some(PairState::InProgress { transaction, .. }) => *transaction == id,
            Some(PairState::Succeeded(_)) => attributes.nominate == Nominate::Yes && self.is_nominating(path),
            _ => false,
        };
        if counts {
            self.fail_pair(path, failure);
        }
    }

    /// RFC 8445 §7.2.5.1. A conflict over a role that we have left since is repaired already; the check is repeated all the same.
    fn take_role_conflict(&mut self, path: Path, attributes: CheckAttributes) {
        if attributes.role == self.role {
            self.switch_role(self.role.opposite());
            // "The agent MUST change the tiebreaker value."
            self.tie_breaker = self.rng.next_u64();
        }
        if !self.is_valid(path) && self.checklist.get(&path).is_some_and(|pair| !pair.is_beyond_repair()) {
            self.checklist.trigger(path);
        }
    }

    /// A response tells the round-trip time if it is sure which request it belongs to.
    fn measure(&mut self, now: Timestamp, transaction: &Transaction) {
        if let Some(pair) = self.checklist.get_mut(&transaction.path) {
            pair.counters.responses_received += 1;
            if transaction.was_sent_once() {
                let round_trip_time = now - transaction.sent_at;
                pair.counters.total_round_trip_time += round_trip_time;
                pair.counters.current_round_trip_time = Some(round_trip_time);
            }
        }
    }

    fn is_valid(&self, path: Path) -> bool {
        self.checklist.get(&path).is_some_and(|pair| pair.validation().is_some())
    }
}

/// Reads a response (RFC 8489 §6.3.3, §6.3.4).
fn outcome(message: &StunMessage<'_>) -> Outcome {
    if !message.unknown.is_empty() {
        return Outcome::Unusable;
    }
    match (message.class, message.mapped_address, &message.error) {
        (MessageClass::Success, Some(mapped), _) => Outcome::Success(mapped),
        (MessageClass::Error, _, Some(error)) => Outcome::Error(error.code()),
        _ => Outcome::Unusable,
    }
}
