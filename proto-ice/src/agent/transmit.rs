//! What the agent sends of its own: responses, consent checks, retransmissions, new checks and requests, keepalives, in this order.

use std::time::Duration;

use proto_machine::{Path, Segments, Timestamp, Transmit, TransmitBuffer};
use stun_types::attribute::AttributeType;

use super::nominate::Nomination;
use super::{IceAgent, RemoteSession};
use crate::pacer::Turn;
use crate::pair::{Attempt, Pair, PairState};
use crate::stun::{CheckRequest, Nominate, StunBuffer, TransactionId};
use crate::transaction::{Backoff, CheckAttributes, Ended, Purpose, Transaction};
use crate::{CandidateType, IceConfig, IceTransportState};

/// Tr: RFC 8445 §11 allows no smaller value.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A response that is owed.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) path: Path,
    pub(super) transaction: TransactionId,
    pub(super) kind: ResponseKind,
}

#[derive(Debug)]
pub(super) enum ResponseKind {
    Success,
    Error(u16),
    UnknownAttributes(Vec<AttributeType>),
}

/// A message that is to be sent. One that could not be written is as good as lost on the way.
type Outgoing = (Path, Option<StunBuffer>);

impl IceAgent {
    pub(super) fn transmit(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        if let Some(transmit) = self.next_relay_message(now, buffer) {
            return Some(transmit);
        }
        if self.state == IceTransportState::Closed {
            return None;
        }
        loop {
            let (path, message) = self.next_message(now)?;
            if let Some(pair) = self.checklist.get_mut(&path) {
                pair.last_sent_at = now;
            }
            let transmit = message.and_then(|message| self.put_on_path(now, path, message.bytes(), buffer));
            if transmit.is_some() {
                return transmit;
            }
            // A new TURN client has its first message ready.
            if let Some(transmit) = self.next_relay_message(now, buffer) {
                return Some(transmit);
            }
        }
    }

    /// For a parent whose agents share a budget (RFC 8445 §14.2): from now on a new check or gathering request starts only after
    /// [`allow_transaction`](Self::allow_transaction). Responses, retransmissions, consent checks and data are not held.
    pub fn share_transaction_budget(&mut self) {
        self.pacer.share_budget();
    }

    /// One more check or gathering request may start.
    pub fn allow_transaction(&mut self) {
        self.pacer.allow_one();
    }

    /// When the next check or gathering request may start by this agent's own pacing, if there is one to start.
    #[must_use]
    pub fn next_transaction_at(&self) -> Option<Timestamp> {
        if !self.transactions.has_room() || self.state == IceTransportState::Failed {
            return None;
        }
        let has_checks = self.can_check() && (self.checklist.has_triggered() || self.has_ordinary_checks());
        let work_at = if has_checks {
            Some(Timestamp::ZERO)
        } else {
            let servers = [self.gatherer.next_deadline(), self.next_relay_request_at()];
            servers.into_iter().flatten().min()
        };
        work_at.map(|at| at.max(self.pacer.next_at()))
    }

    /// The same, as a deadline: none while the next one would have to be allowed first.
    pub(super) fn next_paced(&self) -> Option<Timestamp> {
        self.next_transaction_at().filter(|_| !self.pacer.is_held())
    }

    /// When the path for data needs a keepalive (RFC 8445 §11). Consent checks are more frequent by default.
    pub(super) fn keepalive_due_at(&self) -> Option<Timestamp> {
        let pair = self.checklist.get(&self.data_path?)?;
        Some(pair.last_sent_at + KEEPALIVE_INTERVAL)
    }

    fn next_message(&mut self, now: Timestamp) -> Option<Outgoing> {
        self.next_response()
            .or_else(|| self.next_consent_check(now))
            .or_else(|| self.next_retransmission(now))
            .or_else(|| self.next_transaction(now))
            .or_else(|| self.next_keepalive(now))
    }

    fn next_response(&mut self) -> Option<Outgoing> {
        let Response { path, transaction, kind } = self.responses.pop_front()?;
        let key = &self.local.key;
        let message = match kind {
            ResponseKind::Success => StunBuffer::success(transaction, path.remote, key),
            ResponseKind::Error(code) => StunBuffer::error(transaction, code, key),
            ResponseKind::UnknownAttributes(unknown) => StunBuffer::unknown_attributes(transaction, &unknown, key),
        };
        if let Some(pair) = self.checklist.get_mut(&path) {
            pair.counters.responses_sent += 1;
        }
        Some((path, message.ok()))
    }

    /// RFC 7675 §5.1: a check of every valid pair every few seconds, with a new transaction id, sent once.
    fn next_consent_check(&mut self, now: Timestamp) -> Option<Outgoing> {
        let is_due = |pair: &Pair| pair.validation().is_some_and(|valid| valid.consent.next_check_at() <= now);
        let path = self.checklist.iter().find(|(_, pair)| is_due(pair)).map(|(&path, _)| path)?;
        let attributes = self.check_attributes(path, Nominate::No);
        let interval = self.config.consent_interval;
        let pair = self.checklist.get_mut(&path)?;
        pair.counters.consent_requests_sent += 1;
        pair.validation_mut()?.consent.checked(now, interval, &mut self.rng);
        let id = self.start(now, path, Purpose::Consent(attributes));
        Some((path, self.check(id, attributes)))
    }

    fn next_retransmission(&mut self, now: Timestamp) -> Option<Outgoing> {
        let (checklist, candidates) = (&self.checklist, &self.remote.candidates);
        // The source of a check may be forged; only an address that signalling has named is known to be one of the other agent.
        let is_named = |id| candidates.get(id).is_some_and(|remote| remote.kind != CandidateType::PeerReflexive);
        let is_heard = |pair: &Pair| pair.is_authenticated_by_peer() && is_named(pair.remote);
        let backoff =
            |path| if checklist.get(&path).is_some_and(is_heard) { Backoff::Steady } else { Backoff::Doubling };
        let (id, path, purpose) = self.transactions.retransmit_due(now, backoff)?;
        let message = match purpose {
            Purpose::Check(attributes) | Purpose::Consent(attributes) => self.check(id, attributes),
            Purpose::Gathering(_) => StunBuffer::server_request(id).ok(),
        };
        Some((path, message))
    }

    /// RFC 8445 §6.1.4.2 and §14.2: one new transaction each Ta. Triggered checks go first, though not without end; then ordinary checks and requests to servers take turns.
    fn next_transaction(&mut self, now: Timestamp) -> Option<Outgoing> {
        if !self.pacer.is_open(now) || !self.transactions.has_room() || self.state == IceTransportState::Failed {
            return None;
        }
        let ordinary_first = self.checklist.owes_ordinary() && self.has_ordinary_checks();
        if !ordinary_first && let Some(outgoing) = self.next_triggered_check(now) {
            return Some(outgoing);
        }
        match self.pacer.turn() {
            Turn::Gathering => self.next_server_request(now).or_else(|| self.next_ordinary_check(now)),
            Turn::Checks => self.next_ordinary_check(now).or_else(|| self.next_server_request(now)),
        }
    }

    fn next_triggered_check(&mut self, now: Timestamp) -> Option<Outgoing> {
        if !self.can_check() {
            return None;
        }
        while let Some(path) = self.checklist.pop_triggered() {
            let is_wanted = match self.checklist.get(&path).map(|pair| &pair.state) {
                Some(PairState::Succeeded(_)) => self.is_nominating(path),
                Some(PairState::Failed(_)) | None => false,
                Some(_) => true,
            };
            if is_wanted {
                return Some(self.start_check(now, path));
            }
        }
        None
    }

    fn next_ordinary_check(&mut self, now: Timestamp) -> Option<Outgoing> {
        if !self.can_check() || self.nomination == Nomination::Concluded {
            return None;
        }
        let path = self.checklist.next_ordinary()?;
        // A pair that waits in both places is checked once.
        self.checklist.untrigger(path);
        Some(self.start_check(now, path))
    }

    /// What follows the first request of a TURN client goes before what asks another server.
    fn next_server_request(&mut self, now: Timestamp) -> Option<Outgoing> {
        if let Some(path) = self.allow_relay_request(now) {
            self.pacer.started(now, self.pacing(), Turn::Gathering);
            return Some((path, None));
        }
        let (request, path) = self.gatherer.next_request(now)?;
        if let Some(credentials) = self.gatherer.credentials(request) {
            self.start_relay(request, path, credentials);
            self.gatherer.sent(now, request);
            self.pacer.started(now, self.pacing(), Turn::Gathering);
            return Some((path, None));
        }
        let id = self.start(now, path, Purpose::Gathering(request));
        self.gatherer.sent(now, request);
        self.pacer.started(now, self.pacing(), Turn::Gathering);
        Some((path, StunBuffer::server_request(id).ok()))
    }

    fn next_keepalive(&mut self, now: Timestamp) -> Option<Outgoing> {
        let path = self.data_path?;
        if self.keepalive_due_at()? > now {
            return None;
        }
        let id = self.transaction_id();
        Some((path, StunBuffer::keepalive(id).ok()))
    }

    fn start_check(&mut self, now: Timestamp, path: Path) -> Outgoing {
        let nominate = if self.is_nominating(path) { Nominate::Yes } else { Nominate::No };
        let attributes = self.check_attributes(path, nominate);
        let transaction = self.start(now, path, Purpose::Check(attributes));
        if let Some(pair) = self.checklist.get_mut(&path) {
            pair.counters.requests_sent += 1;
            let since = match pair.state {
                PairState::Waiting(Attempt::Since(since)) => since,
                _ => now,
            };
            if !matches!(pair.state, PairState::Succeeded(_)) {
                pair.state = PairState::InProgress { transaction, since };
            }
        }
        self.times.first_check.get_or_insert(now);
        self.pacer.started(now, self.pacing(), Turn::Checks);
        // A pair that was Waiting is In-Progress now, which may be what a nomination has waited for.
        self.nominate(now);
        (path, self.check(transaction, attributes))
    }

    fn start(&mut self, now: Timestamp, path: Path, purpose: Purpose) -> TransactionId {
        let id = self.transaction_id();
        if let Some((displaced, transaction)) = self.transactions.insert(id, Transaction::sent(path, purpose, now)) {
            self.transaction_ended(now, displaced, &transaction, Ended::Forgotten);
        }
        id
    }

    /// 96 bits of the agent's own generator (RFC 8489 §5).
    fn transaction_id(&mut self) -> TransactionId {
        let [high, low] = [self.rng.next_u64(), self.rng.next_u64()];
        ((u128::from(high) << 64) | u128::from(low)).into()
    }

    fn check_attributes(&self, path: Path, nominate: Nominate) -> CheckAttributes {
        CheckAttributes {
            priority: self.local.candidates.peer_reflexive_priority(path.local),
            role: self.role,
            tie_breaker: self.tie_breaker,
            nominate,
        }
    }

    fn check(&self, transaction: TransactionId, attributes: CheckAttributes) -> Option<StunBuffer> {
        let RemoteSession::Known(identity) = &self.remote.session else {
            return None;
        };
        let request = CheckRequest {
            transaction,
            remote_fragment: &identity.parameters.username_fragment,
            local_fragment: &self.local.parameters.username_fragment,
            priority: attributes.priority,
            role: attributes.role,
            tie_breaker: attributes.tie_breaker,
            nominate: attributes.nominate,
        };
        StunBuffer::check(&request, &identity.key).ok()
    }

    /// Bytes of a check, at most; `None` as long as none can be sent. The message header is followed by USERNAME, PRIORITY, the role, USE-CANDIDATE, MESSAGE-INTEGRITY and
    /// FINGERPRINT (RFC 8445 §7.1).
    pub(super) fn largest_check(&self) -> Option<usize> {
        let RemoteSession::Known(identity) = &self.remote.session else {
            return None;
        };
        let (remote, local) = (&identity.parameters.username_fragment, &self.local.parameters.username_fragment);
        let username = (remote.len() + 1 + local.len()).next_multiple_of(4);
        Some(20 + 4 + username + 8 + 12 + 4 + 24 + 8)
    }

    fn can_check(&self) -> bool {
        matches!(self.remote.session, RemoteSession::Known(_))
    }

    fn has_ordinary_checks(&self) -> bool {
        self.nomination != Nomination::Concluded && self.checklist.has_ordinary()
    }

    /// Ta: the higher of what both agents propose, an agent that proposes nothing counting with the default (RFC 8445 §14.2). A proposal beyond
    /// [`IceConfig::MAXIMUM_PACING`] counts as that: signalling is not to bring checks to a standstill.
    fn pacing(&self) -> Duration {
        match &self.remote.session {
            RemoteSession::Awaited(_) => self.config.pacing,
            RemoteSession::Known(identity) => {
                let theirs = identity.parameters.pacing.unwrap_or(IceConfig::DEFAULT_PACING);
                self.config.pacing.max(theirs).min(IceConfig::MAXIMUM_PACING)
            }
        }
    }
}

/// Writes a message as one datagram. `None` if the buffer has no room for it.
pub(super) fn put(buffer: &mut TransmitBuffer, message: &[u8]) -> Option<Segments> {
    let mut segment = buffer.segment()?;
    if !segment.put(message) {
        return None;
    }
    segment.finish();
    buffer.segments()
}
