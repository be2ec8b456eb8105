//! The state of the transport, derived from everything else (W3C webrtc-pc §5.6.6 `RTCIceTransportState`).

use proto_machine::Timestamp;

use super::nominate::Nomination;
use super::{EndOfCandidates, IceAgent, RemoteSession};
use crate::consent::Liveness;
use crate::pair::PairState;
use crate::timers::Timer;
use crate::{IceGatheringState, IceTransportState};

impl IceAgent {
    /// Brings the state up to date. `Failed` and `Closed` are final.
    pub(super) fn derive_state(&mut self, now: Timestamp) {
        if matches!(self.state, IceTransportState::Failed | IceTransportState::Closed) {
            return;
        }
        match self.data_path.and_then(|path| self.checklist.get(&path)?.validation()) {
            Some(validation) if validation.consent.liveness() == Liveness::Silent => {
                self.state = IceTransportState::Disconnected;
            }
            Some(_) if self.is_completed() => self.state = IceTransportState::Completed,
            Some(_) => self.state = IceTransportState::Connected,
            None => self.derive_state_without_path(now),
        }
    }

    /// Nothing is left to hope for. A restart may mend it, with a new agent.
    pub(super) fn fail(&mut self, now: Timestamp) {
        self.state = IceTransportState::Failed;
        self.times.failed = Some(now);
        self.timers.clear_all();
        self.checklist.retain_triggered(|_| false);
        self.transactions.clear();
        self.gatherer.conclude(now);
    }

    fn derive_state_without_path(&mut self, now: Timestamp) {
        let is_patient = self.timers.get(Timer::PatientlyAwaitingConnectivity).is_some();
        let RemoteSession::Known(identity) = &self.remote.session else {
            self.state = IceTransportState::New;
            return;
        };
        let is_ended = identity.end_of_candidates != EndOfCandidates::Awaited;
        let is_gathered = self.gathering_state() == IceGatheringState::Complete;
        if self.has_unfinished_checks() || self.awaits_permissions(now) {
            self.state = IceTransportState::Checking;
        } else if !is_patient && is_ended && is_gathered {
            // RFC 8838 §8 and RFC 8863 §4: checks, gathering, signalling and patience have all come to their end.
            self.fail(now);
        } else if self.remote.candidates.is_empty() {
            self.state = IceTransportState::New;
        } else if is_patient {
            self.state = IceTransportState::Checking;
        } else {
            self.state = IceTransportState::Disconnected;
        }
    }

    /// RFC 8445 §8.1.2, with W3C's condition that no candidate may be added on either side.
    fn is_completed(&self) -> bool {
        let RemoteSession::Known(identity) = &self.remote.session else {
            return false;
        };
        self.selected.is_some()
            && identity.end_of_candidates != EndOfCandidates::Awaited
            && self.gathering_state() == IceGatheringState::Complete
    }

    fn has_unfinished_checks(&self) -> bool {
        if self.nomination != Nomination::Concluded {
            return self.checklist.has_unfinished();
        }
        // What was not checked when a pair was nominated will not be; triggered checks still are.
        let in_progress = self.checklist.iter().any(|(_, pair)| matches!(pair.state, PairState::InProgress { .. }));
        self.checklist.has_triggered() || in_progress
    }
}
