//! Checks of the other agent (RFC 8445 §7.3).

use std::net::SocketAddr;

use proto_machine::{Path, Timestamp};

use super::transmit::{Response, ResponseKind};
use super::{IceAgent, RemoteSession};
use crate::candidates::{CheckSource, RemoteId};
use crate::early::EarlyCheck;
use crate::pair::{PairNomination, PairState};
use crate::stun::FingerprintPresence;
use crate::stun::{StunMessage, TransactionId, error_code};
use crate::{DropReason, IceRole, IceTransportState};

/// Who has to give way.
enum RoleConflict {
    None,
    /// We take the other role.
    Ours,
    /// The other agent has to take the other role.
    Theirs,
}

impl IceAgent {
    pub(super) fn take_request(&mut self, now: Timestamp, path: Path, message: &StunMessage<'_>) {
        let Some(remote_fragment) = self.authenticate(message) else {
            return;
        };
        // From here on the other agent is known to know our password.
        self.expire(now);
        if self.responses.len() >= self.config.limits.responses {
            self.drops.count(DropReason::ResponseQueueFull);
        } else {
            let kind = self.judge(now, path, message, remote_fragment);
            self.responses.push_back(Response { path, transaction: message.transaction, kind });
        }
        self.settle(now);
    }

    /// What to answer to an authentic request, which is acted on if the answer is success.
    fn judge(&mut self, now: Timestamp, path: Path, message: &StunMessage<'_>, remote_fragment: &str) -> ResponseKind {
        if !message.unknown.is_empty() {
            // RFC 8489 §6.3.1.
            return ResponseKind::UnknownAttributes(message.unknown.clone());
        }
        // RFC 8445 §7.1.1 makes PRIORITY mandatory, §5.1.2 gives its range; an agent has one role.
        let has_two_roles = message.controlling.is_some() && message.controlled.is_some();
        let Some(priority) = message.priority.filter(|priority| (1..1 << 31).contains(priority) && !has_two_roles)
        else {
            return ResponseKind::Error(error_code::BAD_REQUEST);
        };
        match self.role_conflict(message) {
            RoleConflict::None => {}
            RoleConflict::Ours => self.switch_role(self.role.opposite()),
            RoleConflict::Theirs => return ResponseKind::Error(error_code::ROLE_CONFLICT),
        }
        let remote_fragment = remote_fragment.to_owned();
        let use_candidate = message.use_candidate;
        self.accept_check(now, EarlyCheck { path, remote_fragment, priority, use_candidate, count: 1 });
        ResponseKind::Success
    }

    /// The fragment of the other agent, if the request proves that it knows our password. Otherwise silence: it leaves no trace but in counters.
    fn authenticate<'a>(&mut self, message: &StunMessage<'a>) -> Option<&'a str> {
        if message.fingerprint == FingerprintPresence::Absent {
            self.drops.count(DropReason::BadFingerprint);
            return None;
        }
        // RFC 8445 §7.3: the first value is equal to our fragment.
        let fragments = message.username.and_then(|username| username.split_once(':'));
        let Some((_, remote_fragment)) =
            fragments.filter(|(local, _)| *local == self.local.parameters.username_fragment)
        else {
            self.drops.count(DropReason::WrongUsername);
            return None;
        };
        if !message.is_authentic(&self.local.key) {
            self.drops.count(DropReason::UnauthenticatedRequest);
            return None;
        }
        Some(remote_fragment)
    }

    /// RFC 8445 §7.3.1.1.
    fn role_conflict(&self, message: &StunMessage<'_>) -> RoleConflict {
        match (self.role, message.controlling, message.controlled) {
            (IceRole::Controlling, Some(theirs), _) if self.tie_breaker >= theirs => RoleConflict::Theirs,
            (IceRole::Controlling, Some(_), _) => RoleConflict::Ours,
            (IceRole::Controlled, _, Some(theirs)) if self.tie_breaker >= theirs => RoleConflict::Ours,
            (IceRole::Controlled, _, Some(_)) => RoleConflict::Theirs,
            _ => RoleConflict::None,
        }
    }

    /// Acts on a check that is answered with success, or remembers it until the parameters of the other agent are there.
    fn accept_check(&mut self, now: Timestamp, check: EarlyCheck) {
        match &mut self.remote.session {
            RemoteSession::Awaited(early) => {
                if !early.remember(check) {
                    self.drops.count(DropReason::EarlyChecksFull);
                }
            }
            RemoteSession::Known(_) => self.act_on_check(now, &check),
        }
    }

    /// RFC 8445 §7.3.1.3-7.3.1.5.
    pub(super) fn act_on_check(&mut self, now: Timestamp, check: &EarlyCheck) {
        let RemoteSession::Known(identity) = &self.remote.session else {
            return;
        };
        if check.remote_fragment != identity.parameters.username_fragment {
            self.drops.count(DropReason::UnknownRemoteFragment);
            return;
        }
        if self.state == IceTransportState::Failed {
            self.drops.count(DropReason::UnusablePair);
            return;
        }
        let Some(remote) = self.source_of_check(check.path.remote, check.priority) else {
            self.drops.count(DropReason::TooManyPeerReflexive);
            return;
        };
        let is_new = self.checklist.get(&check.path).is_none();
        if is_new && self.pair(check.path.local, remote, now) != Some(check.path) {
            self.drops.count(DropReason::UnusablePair);
            return;
        }
        let Some(pair) = self.checklist.get_mut(&check.path) else {
            return;
        };
        pair.counters.requests_received += check.count;
        if pair.is_beyond_repair() {
            // RFC 7675 §5.1: lost consent is not regained with the same credentials.
            self.drops.count(DropReason::UnusablePair);
            return;
        }
        if check.use_candidate && self.role == IceRole::Controlled {
            let order = self.latest_nomination.advance();
            // RFC 8445 §7.3.1.5: it takes effect once our own check has succeeded.
            pair.nomination = match pair.state {
                PairState::Succeeded(_) => PairNomination::Nominated(order),
                _ => PairNomination::Requested(order),
            };
        }
        let superseded: Option<TransactionId> = match &mut pair.state {
            PairState::Succeeded(validation) => {
                validation.consent.hear(now);
                return;
            }
            PairState::InProgress { transaction, .. } => Some(*transaction),
            PairState::Frozen | PairState::Waiting(_) | PairState::Failed(_) => None,
        };
        if let Some(transaction) = superseded {
            // RFC 8445 §7.3.1.4: not retransmitted, but a late response counts.
            self.transactions.cancel(transaction);
        }
        self.checklist.trigger(check.path);
    }

    /// The candidate that a check came from, a new peer-reflexive one if need be. `None` if that is one too many.
    fn source_of_check(&mut self, address: SocketAddr, priority: u32) -> Option<RemoteId> {
        let checklist = &self.checklist;
        let is_in_use = |id| checklist.iter().any(|(_, pair)| pair.remote == id && !pair.may_make_room());
        match self.remote.candidates.source_of_check(address, priority, is_in_use)? {
            CheckSource::Known(id) | CheckSource::New(id) => Some(id),
            CheckSource::Reused(id) => {
                // The failed pairs of the candidate that was there.
                for path in self.checklist.retain(|_, pair| pair.remote != id) {
                    self.forget_pair(path);
                }
                Some(id)
            }
        }
    }
}
