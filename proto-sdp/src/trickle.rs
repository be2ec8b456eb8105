//! Candidates that come after their description (RFC 8838, RFC 8840; `addIceCandidate` of the W3C).

use crate::candidate::Candidate;
use crate::error::TrickleError;
use crate::limits::{MAX_CANDIDATES, MAX_CANDIDATES_IN_DESCRIPTION};
use crate::negotiation::Negotiation;
use crate::section::{Section, SectionId};
use crate::session::SessionDescription;
use crate::states::Signaling;
use crate::tokens::UsernameFragment;
use crate::transport::{Side, answer_tag};

/// Where a trickled candidate, or the end of them, belongs: the members of the W3C's `RTCIceCandidateInit`.
///
/// The mid takes precedence over the index. Without both, the end of candidates is meant for every section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CandidateTarget<'a> {
    /// `sdpMid`
    pub mid: Option<&'a str>,
    /// `sdpMLineIndex`
    pub index: Option<usize>,
    /// `usernameFragment`; without it the latest description is meant.
    pub username_fragment: Option<&'a str>,
}

/// Where a trickled candidate was found to belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trickled {
    /// The section.
    pub section: SectionId,
    /// The generation: the username fragment that applies to the section. None if the section has no credentials.
    pub username_fragment: Option<UsernameFragment>,
    /// Whether the candidate is one of the data section's transport: in its section or in one bundled with it.
    pub for_data: bool,
}

impl Negotiation {
    /// Finds the section that a target means, without changing anything.
    ///
    /// # Errors
    ///
    /// As the W3C's `addIceCandidate`: see [`TrickleError`].
    pub fn locate(&self, side: Side, target: CandidateTarget<'_>) -> Result<Trickled, TrickleError> {
        // The W3C checks the target before the state.
        if target.mid.is_none() && target.index.is_none() {
            return Err(TrickleError::NoTarget);
        }
        let (_, latest) = self.description(side).ok_or(TrickleError::NoDescription)?;
        let section = match (target.mid, target.index) {
            (Some(mid), _) => latest.section_with_mid(mid).ok_or(TrickleError::UnknownMid)?,
            (None, index) => index.and_then(|index| latest.section(index)).ok_or(TrickleError::UnknownIndex)?,
        };
        let pending = self.pending_description(side);
        let applied = pending.into_iter().chain(self.current_description(side));
        let mut fragments = applied.filter_map(|(_, description)| {
            let section = description.section(section.index())?;
            section.transport(None).username_fragment
        });
        let username_fragment = match target.username_fragment {
            None => fragments.next(),
            Some(wanted) => Some(
                fragments.find(|fragment| fragment.as_str() == wanted).ok_or(TrickleError::UnknownUsernameFragment)?,
            ),
        };
        Ok(Trickled {
            section: section.id(),
            username_fragment: username_fragment.cloned(),
            for_data: self.is_for_data(side, latest, section),
        })
    }

    /// Adds a candidate to the pending and the current description of a side, where they are of its generation.
    ///
    /// A candidate that is there already is not added again. In a local description the default destination in `m=`
    /// and `c=` follows (RFC 8839 §4.2.1.2).
    ///
    /// # Errors
    ///
    /// See [`TrickleError`]; nothing has changed.
    pub fn add_candidate(
        &mut self,
        side: Side,
        target: CandidateTarget<'_>,
        candidate: &Candidate,
    ) -> Result<Trickled, TrickleError> {
        let target = CandidateTarget {
            username_fragment: target.username_fragment.or_else(|| candidate.extension("ufrag")),
            ..target
        };
        let trickled = self.locate(side, target)?;
        let index = trickled.section.index;
        let full = |description: &SessionDescription| {
            let section = description.media.get(index);
            section.is_some_and(|section| {
                let full = section.candidates.len() >= MAX_CANDIDATES
                    || description.candidate_count() >= MAX_CANDIDATES_IN_DESCRIPTION;
                full && !section.candidates.contains(candidate)
            })
        };
        let descriptions = || self.signaling.descriptions(side);
        let generation = trickled.username_fragment.as_ref();
        if descriptions().any(|description| is_of_generation(description, index, generation) && full(description)) {
            return Err(TrickleError::TooManyCandidates);
        }
        for description in self.signaling.descriptions_mut(side) {
            if !is_of_generation(description, index, generation) {
                continue;
            }
            let Some(section) = description.media.get_mut(index) else {
                continue;
            };
            if section.candidates.contains(candidate) {
                continue;
            }
            section.candidates.push(candidate.clone());
            if side == Side::Local {
                section.update_default_destination();
            }
        }
        Ok(trickled)
    }

    /// Notes that a side has no more candidates for a section, or, without mid and index, for all sections.
    ///
    /// Gives the sections concerned.
    ///
    /// # Errors
    ///
    /// See [`TrickleError`]; nothing has changed.
    pub fn end_candidates(&mut self, side: Side, target: CandidateTarget<'_>) -> Result<Vec<Trickled>, TrickleError> {
        let ended = if target.mid.is_some() || target.index.is_some() {
            vec![self.locate(side, target)?]
        } else {
            self.locate_all(side, target)?
        };
        for description in self.signaling.descriptions_mut(side) {
            for trickled in &ended {
                let index = trickled.section.index;
                let generation = trickled.username_fragment.as_ref();
                let current = is_of_generation(description, index, generation);
                if let Some(section) = description.media.get_mut(index).filter(|_| current) {
                    section.end_of_candidates = true;
                }
            }
        }
        Ok(ended)
    }

    /// Every section, or those that have the username fragment, of which there has to be one.
    fn locate_all(&self, side: Side, target: CandidateTarget<'_>) -> Result<Vec<Trickled>, TrickleError> {
        let (_, latest) = self.description(side).ok_or(TrickleError::NoDescription)?;
        let sections = 0..latest.media.len();
        let located: Vec<Trickled> = sections
            .filter_map(|index| self.locate(side, CandidateTarget { index: Some(index), ..target }).ok())
            .collect();
        if located.is_empty() && target.username_fragment.is_some() {
            return Err(TrickleError::UnknownUsernameFragment);
        }
        Ok(located)
    }

    /// Whether a section's candidates are those of the data section's transport.
    fn is_for_data(&self, side: Side, description: &SessionDescription, section: Section<'_>) -> bool {
        let Some(data) = description.data_section() else {
            return false;
        };
        // The answer to this description, if there is one, says which section is tagged.
        let answer = match &self.signaling {
            Signaling::Stable(stable) => stable.current(),
            _ => self.signaling.provisional(),
        };
        let answered = answer
            .filter(|answered| answered.answerer() != side)
            .and_then(|answered| answered.answer().section(data.index()));
        let tag = answered.and_then(answer_tag);
        data.sharing_sections(tag).iter().any(|sharing| sharing.index() == section.index())
    }
}

fn is_of_generation(description: &SessionDescription, index: usize, generation: Option<&UsernameFragment>) -> bool {
    let section = description.section(index);
    section.is_some_and(|section| section.transport(None).username_fragment == generation)
}
