//! The pool: candidates that were gathered before there was a local description (RFC 9429 §3.5.4).
//!
//! It is that of one transport, which is all that a peer has. What is gathered for it waits in `[[EarlyCandidates]]` (W3C webrtc-pc §5.6), and is told as if it had just been found once a
//! local description has a section for it. The agent keeps mappings and allocations alive meanwhile.

use proto_ice::IceEvent;

use super::Peer;

/// What has been gathered and not told.
#[derive(Debug)]
pub(super) enum Pool {
    /// There is none, or it belongs to the transport now.
    Empty,
    /// What the agent has said of gathering, in order: no more than its bounds on sockets and servers allow.
    Early(Vec<IceEvent>),
}

impl Pool {
    pub(super) fn new(size: u8) -> Self {
        if size == 0 { Self::Empty } else { Self::Early(Vec::new()) }
    }

    /// Whether candidates are gathered, or to be gathered, without a description.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self, Self::Early(_))
    }

    /// Keeps what is not to be told yet. Returned is what is.
    pub(super) fn hold_back(&mut self, event: IceEvent) -> Option<IceEvent> {
        let is_of_gathering = matches!(
            event,
            IceEvent::GatheringStateChange(_)
                | IceEvent::LocalCandidate(_)
                | IceEvent::EndOfCandidates
                | IceEvent::CandidateError(_)
        );
        match self {
            Self::Early(early) if is_of_gathering => {
                early.push(event);
                None
            }
            _ => Some(event),
        }
    }

    fn take(&mut self) -> Vec<IceEvent> {
        match std::mem::replace(self, Self::Empty) {
            Self::Empty => Vec::new(),
            Self::Early(early) => early,
        }
    }
}

impl Peer {
    /// W3C webrtc-pc §5.6, "release early candidates": there is a section for them.
    pub(super) fn release_early_candidates(&mut self) {
        if self.section.is_some() {
            for event in self.pool.take() {
                self.handle_ice_event(event);
            }
        }
    }
}
