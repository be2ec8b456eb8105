//! What a peer does with the signalling of the other side, whoever carries it.

use peer_core::{IceCandidateInit, Peer, SdpType, SessionDescriptionInit, SetDescriptionError};
use proto_machine::Timestamp;

use crate::signal::{Candidate, Signal};

/// Candidates that are kept until there is a remote description.
pub const MAX_EARLY_CANDIDATES: usize = 64;
/// Bytes of a candidate that is kept, its fragment and section included. Real ones take about 200.
pub(crate) const MAX_EARLY_CANDIDATE_BYTES: usize = 1024;

/// The exchange of descriptions and candidates, seen from the peer's side.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// The peer cannot take candidates yet.
    AwaitDescription { early: Vec<Candidate> },
    /// It can.
    Described,
}

/// What came of a signalling message.
#[derive(PartialEq, Eq, Default, Debug)]
#[must_use = "the other side waits for the answer"]
pub(crate) struct Outcome {
    /// An offer was taken: [`describe`] makes the answer.
    pub(crate) answer_due: bool,
    /// What went wrong.
    pub(crate) problems: Vec<Problem>,
}

/// Something that went wrong, and at what.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    pub(crate) place: &'static str,
    pub(crate) message: String,
}

impl Default for Exchange {
    fn default() -> Self {
        Self::AwaitDescription { early: Vec::new() }
    }
}

impl Exchange {
    /// Takes in what the other side says.
    pub(crate) fn handle_signal(&mut self, now: Timestamp, peer: &mut Peer, signal: Signal) -> Outcome {
        let mut problems = Vec::new();
        let mut answer_due = false;
        match signal {
            Signal::Offer { sdp } => {
                let offer = SessionDescriptionInit { sdp_type: SdpType::Offer, sdp };
                answer_due = self.set_remote_description(now, peer, offer, &mut problems);
            }
            Signal::Answer { sdp } => {
                let answer = SessionDescriptionInit { sdp_type: SdpType::Answer, sdp };
                self.set_remote_description(now, peer, answer, &mut problems);
            }
            Signal::Candidate(candidate) => problems.extend(self.add_candidate(now, peer, candidate)),
            Signal::EndOfCandidates => problems.extend(self.add_candidate(now, peer, Candidate::default())),
        }
        Outcome { answer_due, problems }
    }

    fn set_remote_description(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        description: SessionDescriptionInit,
        problems: &mut Vec<Problem>,
    ) -> bool {
        let place = if description.sdp_type == SdpType::Offer { "offer" } else { "answer" };
        if let Err(error) = peer.set_remote_description(now, description) {
            problems.push(Problem { place, message: error.to_string() });
            return false;
        }
        if let Self::AwaitDescription { early } = std::mem::replace(self, Self::Described) {
            problems.extend(early.into_iter().filter_map(|candidate| self.add_candidate(now, peer, candidate)));
        }
        true
    }

    fn add_candidate(&mut self, now: Timestamp, peer: &mut Peer, candidate: Candidate) -> Option<Problem> {
        let message = match self {
            Self::AwaitDescription { .. } if candidate.size() > MAX_EARLY_CANDIDATE_BYTES => {
                format!("a candidate of more than {MAX_EARLY_CANDIDATE_BYTES} bytes is not kept for the description")
            }
            Self::AwaitDescription { early } if early.len() < MAX_EARLY_CANDIDATES => {
                early.push(candidate);
                return None;
            }
            Self::AwaitDescription { .. } => {
                format!("{MAX_EARLY_CANDIDATES} candidates wait for a description already")
            }
            Self::Described => peer.add_ice_candidate(now, candidate.into()).err()?.to_string(),
        };
        Some(Problem { place: "candidate", message })
    }
}

/// Makes the description that is due, and sets it. `None` if there is nothing to say.
///
/// # Errors
/// What the peer says. Nothing has changed.
pub(crate) fn describe(now: Timestamp, peer: &mut Peer) -> Result<Option<Signal>, SetDescriptionError> {
    peer.set_local_description(now, None)?;
    Ok(local_description(peer))
}

/// The description as it stands, with the candidates that are known by now.
pub(crate) fn local_description(peer: &Peer) -> Option<Signal> {
    let SessionDescriptionInit { sdp_type, sdp } = peer.local_description()?;
    Some(match sdp_type {
        SdpType::Offer => Signal::Offer { sdp },
        SdpType::Answer | SdpType::Pranswer | SdpType::Rollback => Signal::Answer { sdp },
    })
}

impl From<Candidate> for IceCandidateInit {
    fn from(candidate: Candidate) -> Self {
        let Candidate { candidate, sdp_mid, sdp_mline_index, username_fragment } = candidate;
        Self { candidate, sdp_mid, sdp_mline_index, username_fragment }
    }
}

impl From<IceCandidateInit> for Candidate {
    fn from(candidate: IceCandidateInit) -> Self {
        let IceCandidateInit { candidate, sdp_mid, sdp_mline_index, username_fragment } = candidate;
        Self { candidate, sdp_mid, sdp_mline_index, username_fragment }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use driver_mio::{system_seed, wall_clock};
    use peer_core::{Certificate, Configuration, Entropy};

    use super::*;

    #[test]
    fn a_candidate_that_comes_before_the_description_is_kept_unless_it_is_huge() {
        let certificate = Certificate::generate(system_seed().unwrap(), wall_clock(), Entropy::System).unwrap();
        let mut peer = Peer::new(Configuration::new(Arc::new(certificate)), system_seed().unwrap()).unwrap();
        let mut exchange = Exchange::default();
        for (length, kept) in [(MAX_EARLY_CANDIDATE_BYTES, true), (MAX_EARLY_CANDIDATE_BYTES + 1, false)] {
            let candidate = Candidate { candidate: "x".repeat(length), ..Candidate::default() };
            let outcome = exchange.handle_signal(Timestamp::ZERO, &mut peer, Signal::Candidate(candidate));
            assert_eq!(outcome.problems.is_empty(), kept, "{outcome:?}");
        }
    }
}
