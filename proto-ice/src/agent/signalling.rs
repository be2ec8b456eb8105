//! What comes through signalling: roles, parameters and candidates of the other agent.

use proto_machine::{Path, Timestamp};

use super::{EndOfCandidates, IceAgent, RemoteIdentity, RemoteSession};
use crate::candidate::{COMPONENT, can_pair, is_usable_remote, with_zone_of};
use crate::candidates::{LocalId, RemoteId, Signalled};
use crate::checklist::Inserted;
use crate::pair::{Pair, PairFoundation, PairNomination, PairPriority, PairState};
use crate::stun::StunKey;
use crate::timers::Timer;
use crate::transaction::CHECK_TIMEOUT;
use crate::{
    AddRemoteCandidateError, IceParameters, IceRole, IceTransportPolicy, IceTransportState, PairCounters,
    RemoteCandidate, SetRemoteParametersError,
};
use proto_machine::TransportProtocol;

impl IceAgent {
    /// Takes a role, as signalling decides it (RFC 8445 §6.1.1). A nomination that is under way is given up if the role changes.
    pub fn set_role(&mut self, now: Timestamp, role: IceRole) {
        self.outbox.role_was_set(role);
        self.switch_role(role);
        self.settle(now);
    }

    /// Takes in the parameters of the other agent; checks start with them, and so does the PAC timer (RFC 8863 §4). The same ones again are accepted, and change
    /// nothing.
    ///
    /// # Errors
    ///
    /// See [`SetRemoteParametersError`]; nothing has changed then.
    pub fn set_remote_parameters(
        &mut self,
        now: Timestamp,
        parameters: IceParameters,
    ) -> Result<(), SetRemoteParametersError> {
        if self.state == IceTransportState::Closed {
            return Err(SetRemoteParametersError::Closed);
        }
        parameters.validate()?;
        let early = match &mut self.remote.session {
            RemoteSession::Known(known) if known.parameters == parameters => return Ok(()),
            RemoteSession::Known(_) => return Err(SetRemoteParametersError::AlreadySet),
            RemoteSession::Awaited(early) => early.take(),
        };
        let key = StunKey::new(parameters.password.as_str());
        self.remote.session =
            RemoteSession::Known(RemoteIdentity { parameters, key, end_of_candidates: EndOfCandidates::Awaited });
        self.times.remote_parameters = Some(now);
        self.timers.set(Timer::PatientlyAwaitingConnectivity, now + CHECK_TIMEOUT);
        self.expect_candidates(now);
        for check in early {
            self.act_on_check(now, &check);
        }
        // Checks that were not acted on leave no pair that could be validated.
        let checklist = &self.checklist;
        self.held.retain(|path| checklist.get(path).is_some());
        self.settle(now);
        Ok(())
    }

    /// Takes in a candidate of the other agent. One that is known already is accepted, and changes nothing.
    ///
    /// # Errors
    ///
    /// See [`AddRemoteCandidateError`]; nothing but a counter of stale ones has changed then.
    pub fn add_remote_candidate(
        &mut self,
        now: Timestamp,
        candidate: RemoteCandidate,
    ) -> Result<(), AddRemoteCandidateError> {
        let end_of_candidates = self.admit(&candidate)?;
        if end_of_candidates == EndOfCandidates::Signalled && !self.remote.candidates.knows_signalled(candidate.address)
        {
            // RFC 8838 §14: after the end, "it MUST ignore any newly received candidates".
            return Err(AddRemoteCandidateError::AfterEndOfCandidates);
        }
        let id = match self.remote.candidates.add_signalled(candidate) {
            Signalled::TooMany => return Err(AddRemoteCandidateError::TooManyCandidates),
            Signalled::Known => return Ok(()),
            Signalled::New(id) => id,
            Signalled::Replaced(id) => {
                self.rename_foundation(id);
                id
            }
        };
        self.expect_candidates(now);
        if self.config.transport_policy == IceTransportPolicy::All {
            let bases: Vec<_> = self.gatherer.candidates().collect();
            for base in bases {
                self.pair(base, id, now);
            }
        }
        self.relay_to(now, id);
        self.settle(now);
        Ok(())
    }

    /// The other agent has no more candidates in the generation with this fragment, or in the current one if it is `None`. Of another generation it is ignored and
    /// counted.
    pub fn end_of_remote_candidates(&mut self, now: Timestamp, username_fragment: Option<&str>) {
        if self.state == IceTransportState::Closed {
            return;
        }
        let RemoteSession::Known(identity) = &mut self.remote.session else {
            self.stale_signalling += 1;
            return;
        };
        if username_fragment.is_some_and(|fragment| fragment != identity.parameters.username_fragment) {
            self.stale_signalling += 1;
            return;
        }
        identity.end_of_candidates = EndOfCandidates::Signalled;
        self.timers.clear(Timer::EndOfCandidates);
        self.settle(now);
    }

    /// Whether a candidate may be added, and whether it comes after the end.
    fn admit(&mut self, candidate: &RemoteCandidate) -> Result<EndOfCandidates, AddRemoteCandidateError> {
        if self.state == IceTransportState::Closed {
            return Err(AddRemoteCandidateError::Closed);
        }
        let RemoteSession::Known(identity) = &self.remote.session else {
            return Err(AddRemoteCandidateError::NoRemoteParameters);
        };
        let current = &identity.parameters.username_fragment;
        if candidate.username_fragment.as_ref().is_some_and(|fragment| fragment != current) {
            // RFC 8838 §9: delayed updates of a previous session are recognized as such and ignored.
            self.stale_signalling += 1;
            return Err(AddRemoteCandidateError::UnknownUsernameFragment);
        }
        if candidate.protocol != TransportProtocol::Udp {
            return Err(AddRemoteCandidateError::UnsupportedProtocol);
        }
        if candidate.component != COMPONENT {
            return Err(AddRemoteCandidateError::UnsupportedComponent);
        }
        // RFC 8445 §5.1.2: "a positive integer between 1 and (2**31 - 1)".
        if !(1..1 << 31).contains(&candidate.priority) {
            return Err(AddRemoteCandidateError::InvalidPriority);
        }
        if !is_usable_remote(candidate.address) {
            return Err(AddRemoteCandidateError::UnusableAddress);
        }
        Ok(identity.end_of_candidates)
    }

    /// Candidates may come: the fallback for a missing end starts anew.
    fn expect_candidates(&mut self, now: Timestamp) {
        if let RemoteSession::Known(identity) = &mut self.remote.session
            && identity.end_of_candidates != EndOfCandidates::Signalled
        {
            identity.end_of_candidates = EndOfCandidates::Awaited;
            let fallback = self.config.end_of_candidates_fallback.max(CHECK_TIMEOUT);
            self.timers.set(Timer::EndOfCandidates, now + fallback);
        }
    }

    /// A learned candidate has its proper name now. Its pairs keep their state, nomination and priority (RFC 8838 §11).
    fn rename_foundation(&mut self, id: RemoteId) {
        let Some(candidate) = self.remote.candidates.get(id) else {
            return;
        };
        for (_, pair) in self.checklist.iter_mut().filter(|(_, pair)| pair.remote == id) {
            pair.foundation.remote.clone_from(&candidate.foundation);
        }
    }

    /// Pairs the host candidate of a socket with a remote candidate, if packets can go from the one to the other.
    pub(super) fn pair(&mut self, base: std::net::SocketAddr, remote: RemoteId, now: Timestamp) -> Option<Path> {
        let (local_id, local) = self.local.candidates.host_at(base)?;
        let candidate = self.remote.candidates.get(remote)?;
        if self.state == IceTransportState::Failed || !can_pair(base, candidate.address) {
            return None;
        }
        let path = Path::udp(base, with_zone_of(candidate.address, base));
        let pair = new_pair(self.role, (local_id, local.priority, &local.foundation), remote, candidate, now);
        match self.checklist.insert(path, pair) {
            Inserted::Added { displaced } => {
                displaced.into_iter().for_each(|displaced| self.forget_pair(displaced));
                Some(path)
            }
            Inserted::Redundant => Some(path),
            Inserted::Full => None,
        }
    }
}

fn new_pair(
    role: IceRole,
    (local, local_priority, local_foundation): (LocalId, u32, &str),
    remote: RemoteId,
    candidate: &RemoteCandidate,
    now: Timestamp,
) -> Pair {
    Pair {
        local,
        remote,
        foundation: PairFoundation { local: local_foundation.to_owned(), remote: candidate.foundation.clone() },
        local_priority,
        remote_priority: candidate.priority,
        priority: PairPriority::new(role, local_priority, candidate.priority),
        state: PairState::Frozen,
        nomination: PairNomination::None,
        counters: PairCounters::default(),
        last_sent_at: now,
    }
}
