//! What the agent remembers for its report.

use proto_machine::Timestamp;

use super::{EndOfCandidates, IceAgent, RemoteSession};
use crate::gather::{Failure, RequestId};
use crate::report::verdict;
use crate::{CandidateError, IceGatheringState, IceReport, RefusedPeer, RemoteKnowledge};

/// The most errors that are remembered.
const MAXIMUM_ERRORS: usize = 64;

/// The most refused peers that are remembered.
const MAXIMUM_REFUSED_PEERS: usize = 16;

impl IceAgent {
    /// How the agent stands, and how it has come to that: the answer to "why did ICE not connect?".
    #[must_use]
    pub fn report(&self) -> IceReport {
        let statistics = self.statistics();
        let mut report = IceReport {
            verdict: String::new(),
            state: self.state,
            gathering_state: self.gathering_state(),
            role: self.role,
            transport_policy: self.config.transport_policy,
            data_pair: self.data_pair(),
            remote: match &self.remote.session {
                RemoteSession::Awaited(_) => RemoteKnowledge::Nothing,
                RemoteSession::Known(identity) if identity.end_of_candidates == EndOfCandidates::Awaited => {
                    RemoteKnowledge::Parameters
                }
                RemoteSession::Known(_) => RemoteKnowledge::EndOfCandidates,
            },
            local_candidates: self.local_candidates().cloned().collect(),
            remote_candidates: self.remote_candidates().cloned().collect(),
            servers: self.gatherer.reports(),
            relays: self.turn_reports().collect(),
            refused_peers: self.refused_peers.clone(),
            errors: self.errors.clone(),
            pairs: statistics.pairs,
            drops: statistics.drops,
            times: self.times,
        };
        report.verdict = verdict(&report);
        report
    }

    /// Tells of a socket or a server that has yielded nothing.
    pub(super) fn report_error(&mut self, now: Timestamp, error: CandidateError) {
        if self.errors.len() < MAXIMUM_ERRORS {
            self.errors.push((now, error.clone()));
        }
        self.outbox.error(error);
    }

    /// A request to a server has failed.
    pub(super) fn server_failed(&mut self, now: Timestamp, request: RequestId, failure: &Failure) {
        if let Some(error) = self.gatherer.request_failed(now, request, failure) {
            self.report_error(now, error);
        }
    }

    pub(super) fn note_refused_peer(&mut self, refused: RefusedPeer) {
        if self.refused_peers.len() < MAXIMUM_REFUSED_PEERS {
            self.refused_peers.push(refused);
        }
    }

    pub(super) fn note_times(&mut self, now: Timestamp) {
        if self.gathering_state() == IceGatheringState::Complete {
            self.times.gathering_completed.get_or_insert(now);
        }
        if self.data_path.is_some() {
            self.times.connected.get_or_insert(now);
        }
    }
}
