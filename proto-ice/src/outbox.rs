//! Events on their way out.
//!
//! Candidates and errors are queued; there are no more of them than the bounds on sockets and servers allow. Everything else is a value that is compared with what was
//! reported last, so a remote agent that makes it change cannot make a queue grow.

use std::collections::VecDeque;

use proto_machine::Path;

use crate::{CandidateError, CandidatePair, IceEvent, IceGatheringState, IceRole, IceTransportState, LocalCandidate};

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<IceEvent>,
    gathering: ReportedGathering,
    role: IceRole,
    selected: Option<Path>,
    state: IceTransportState,
}

/// How much of gathering has been reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ReportedGathering {
    New,
    Gathering,
    EndOfCandidates,
    Complete,
}

/// The values as they are now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub(crate) gathering: IceGatheringState,
    pub(crate) role: IceRole,
    pub(crate) selected: Option<Path>,
    pub(crate) state: IceTransportState,
}

impl Outbox {
    pub(crate) fn new(role: IceRole) -> Self {
        Self {
            queue: VecDeque::new(),
            gathering: ReportedGathering::New,
            role,
            selected: None,
            state: IceTransportState::New,
        }
    }

    pub(crate) fn candidate(&mut self, candidate: LocalCandidate) {
        self.queue.push_back(IceEvent::LocalCandidate(candidate));
    }

    pub(crate) fn error(&mut self, error: CandidateError) {
        self.queue.push_back(IceEvent::CandidateError(error));
    }

    /// Nobody is told any more.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    /// The owner has set the role, and need not be told.
    pub(crate) fn role_was_set(&mut self, role: IceRole) {
        self.role = role;
    }

    /// The next report. W3C webrtc-pc §5.6: candidates come between the change to `gathering` and that to `complete`.
    /// `describe` tells the candidates of a path.
    pub(crate) fn poll(
        &mut self,
        current: Current,
        describe: impl FnOnce(Path) -> Option<CandidatePair>,
    ) -> Option<IceEvent> {
        if self.gathering == ReportedGathering::New && current.gathering != IceGatheringState::New {
            self.gathering = ReportedGathering::Gathering;
            return Some(IceEvent::GatheringStateChange(IceGatheringState::Gathering));
        }
        if let Some(event) = self.queue.pop_front() {
            return Some(event);
        }
        if current.gathering == IceGatheringState::Complete {
            match self.gathering {
                ReportedGathering::New | ReportedGathering::Gathering => {
                    self.gathering = ReportedGathering::EndOfCandidates;
                    return Some(IceEvent::EndOfCandidates);
                }
                ReportedGathering::EndOfCandidates => {
                    self.gathering = ReportedGathering::Complete;
                    return Some(IceEvent::GatheringStateChange(IceGatheringState::Complete));
                }
                ReportedGathering::Complete => {}
            }
        }
        if self.role != current.role {
            self.role = current.role;
            return Some(IceEvent::RoleChange(current.role));
        }
        if self.selected != current.selected {
            self.selected = current.selected;
            if let Some(pair) = current.selected.and_then(describe) {
                return Some(IceEvent::SelectedCandidatePairChange(pair));
            }
        }
        if self.state != current.state {
            self.state = current.state;
            return Some(IceEvent::StateChange(current.state));
        }
        None
    }
}
