//! The negotiation of one connection: its signaling state and the descriptions created for it.

use crate::answer::create_answer;
use crate::attribute::Origin;
use crate::description_type::{SdpType, SignalingState, TypedDescription};
use crate::error::DescriptionError;
use crate::local::LocalParameters;
use crate::negotiated::Negotiated;
use crate::offer::create_offer;
use crate::session::SessionDescription;
use crate::states::{Refused, Signaling};
use crate::transport::{DataSection, DataTransport, Side};

/// The negotiation of one connection.
///
/// Refused operations change nothing.
#[derive(Clone, Debug)]
pub struct Negotiation {
    session_id: u64,
    pub(crate) signaling: Signaling,
    /// The last description created, whose version the next one goes on from.
    last_created: Option<SessionDescription>,
    last_created_offer: Option<SessionDescription>,
    last_created_answer: Option<SessionDescription>,
}

impl Negotiation {
    /// A stable negotiation. The session id goes into `o=` and should be random; its highest bit is cleared (JSEP
    /// §5.2.1).
    #[must_use]
    pub fn new(session_id: u64) -> Self {
        Self {
            session_id,
            signaling: Signaling::default(),
            last_created: None,
            last_created_offer: None,
            last_created_answer: None,
        }
    }

    /// The state with what belongs to it.
    #[must_use]
    pub fn signaling(&self) -> &Signaling {
        &self.signaling
    }

    /// `signalingState` of the W3C.
    #[must_use]
    pub fn signaling_state(&self) -> SignalingState {
        self.signaling.state()
    }

    /// `currentLocalDescription` or `currentRemoteDescription` of the W3C.
    #[must_use]
    pub fn current_description(&self, side: Side) -> Option<(SdpType, &SessionDescription)> {
        let current = self.signaling.current()?;
        let answered = side == current.answerer();
        let sdp_type = if answered { SdpType::Answer } else { SdpType::Offer };
        Some((sdp_type, current.side(side)))
    }

    /// `pendingLocalDescription` or `pendingRemoteDescription` of the W3C.
    #[must_use]
    pub fn pending_description(&self, side: Side) -> Option<(SdpType, &SessionDescription)> {
        self.signaling.pending(side)
    }

    /// `localDescription` or `remoteDescription` of the W3C: the pending one, or else the current one.
    #[must_use]
    pub fn description(&self, side: Side) -> Option<(SdpType, &SessionDescription)> {
        self.pending_description(side).or_else(|| self.current_description(side))
    }

    /// What the last answer, provisional or final, and its offer agree on.
    #[must_use]
    pub fn data_section(&self) -> DataSection {
        self.signaling.provisional().or(self.signaling.current()).map_or(DataSection::Absent, Negotiated::data_section)
    }

    /// `canTrickleIceCandidates` of the W3C; none before there is a remote description.
    #[must_use]
    pub fn can_trickle(&self) -> Option<bool> {
        let (_, remote) = self.description(Side::Remote)?;
        Some(remote.can_trickle())
    }

    /// Whether the pending remote offer restarts ICE, so that its answer needs new credentials (RFC 8839 §4.4.1.1.1).
    #[must_use]
    pub fn remote_offer_restarts_ice(&self) -> bool {
        let Some(offer) = self.remote_offer() else {
            return false;
        };
        let earlier = self.signaling.current().and_then(Negotiated::agreement);
        let Some((earlier, section)) = earlier.zip(offer.data_section()) else {
            return false;
        };
        DataTransport::of(section, section.mid())
            .is_ok_and(|transport| transport.restarts_ice(earlier.side(Side::Remote)))
    }
}

/// Creating descriptions.
impl Negotiation {
    /// Creates an offer (JSEP §5.2). `with_data` says that there are data channels, or that they are always negotiated.
    ///
    /// The version in `o=` rises if the content differs from the description created before.
    ///
    /// # Errors
    ///
    /// `InvalidState` unless stable or in have-local-offer.
    pub fn create_offer(
        &mut self,
        parameters: &LocalParameters,
        with_data: bool,
    ) -> Result<SessionDescription, DescriptionError> {
        match self.signaling {
            Signaling::Stable(_) | Signaling::HaveLocalOffer(_) => {}
            _ => return Err(self.invalid_state(SdpType::Offer)),
        }
        let current = self.signaling.current();
        let offer = create_offer(current, parameters, with_data, self.origin());
        let offer = self.next_version(offer);
        self.last_created_offer = Some(offer.clone());
        Ok(offer)
    }

    /// Creates an answer to the pending remote offer (JSEP §5.3).
    ///
    /// # Errors
    ///
    /// `InvalidState` unless in have-remote-offer or have-local-pranswer.
    pub fn create_answer(&mut self, parameters: &LocalParameters) -> Result<SessionDescription, DescriptionError> {
        let Some(offer) = self.remote_offer() else {
            return Err(self.invalid_state(SdpType::Answer));
        };
        let current = self.signaling.current();
        let answer = create_answer(offer, current, parameters, self.origin())?;
        let answer = self.next_version(answer);
        self.last_created_answer = Some(answer.clone());
        Ok(answer)
    }

    /// The offer last created and not yet outdated by an answer (`[[LastCreatedOffer]]` of the W3C).
    #[must_use]
    pub fn last_created_offer(&self) -> Option<&SessionDescription> {
        self.last_created_offer.as_ref()
    }

    /// The answer last created and not yet outdated by an answer (`[[LastCreatedAnswer]]` of the W3C).
    #[must_use]
    pub fn last_created_answer(&self) -> Option<&SessionDescription> {
        self.last_created_answer.as_ref()
    }

    fn remote_offer(&self) -> Option<&SessionDescription> {
        match &self.signaling {
            Signaling::HaveRemoteOffer(state) => Some(state.offer()),
            Signaling::HaveLocalPranswer(state) => Some(state.pending().offer()),
            _ => None,
        }
    }

    /// The origin of the description last created, or of the first one.
    fn origin(&self) -> Origin {
        let last = self.last_created.as_ref();
        last.map_or_else(|| Origin::new(self.session_id, 1), |last| last.origin.clone())
    }

    /// JSEP §5.2.2: the version rises by one if the description differs from the one created before.
    fn next_version(&mut self, mut description: SessionDescription) -> SessionDescription {
        if self.last_created.as_ref().is_some_and(|last| *last != description) {
            let version = description.origin.session_version().saturating_add(1);
            description.origin = Origin::new(self.session_id, version);
        }
        self.last_created = Some(description.clone());
        description
    }

    fn invalid_state(&self, sdp_type: SdpType) -> DescriptionError {
        DescriptionError::InvalidState { sdp_type, state: self.signaling.state() }
    }
}

/// Applying descriptions.
impl Negotiation {
    /// Applies a description of this end (JSEP §5.5, §5.9).
    ///
    /// # Errors
    ///
    /// `InvalidState` if the type does not fit the state, `InvalidModification` if the description is not the one
    /// last created (JSEP §5.4), `InvalidAccess` if its content cannot be applied.
    pub fn set_local_description(&mut self, description: TypedDescription) -> Result<(), DescriptionError> {
        let created = match description.sdp_type() {
            SdpType::Rollback => return self.rollback(),
            SdpType::Offer => &self.last_created_offer,
            SdpType::Pranswer | SdpType::Answer => &self.last_created_answer,
        };
        if description.description() != created.as_ref() {
            // The W3C checks this before the state.
            return Err(DescriptionError::InvalidModification);
        }
        self.apply(description, Side::Local)
    }

    /// Applies a description of the other end (JSEP §5.6, §5.10).
    ///
    /// An offer in have-local-offer is an `InvalidState`: roll back first if that is wanted.
    ///
    /// # Errors
    ///
    /// `InvalidState` if the type does not fit the state, `InvalidAccess` if its content cannot be applied.
    pub fn set_remote_description(&mut self, description: TypedDescription) -> Result<(), DescriptionError> {
        self.apply(description, Side::Remote)
    }

    /// Cancels the pending offer (JSEP §5.7). The W3C allows it in have-local-offer and have-remote-offer only.
    ///
    /// # Errors
    ///
    /// `InvalidState` in the other states.
    pub fn rollback(&mut self) -> Result<(), DescriptionError> {
        self.apply(TypedDescription::Rollback, Side::Local)
    }

    fn apply(&mut self, description: TypedDescription, side: Side) -> Result<(), DescriptionError> {
        let sdp_type = description.sdp_type();
        let signaling = std::mem::take(&mut self.signaling);
        let (signaling, result) = transition(signaling, side, description);
        self.signaling = signaling;
        if result.is_ok() && sdp_type == SdpType::Answer {
            // As the W3C does once an answer is applied.
            self.last_created_offer = None;
            self.last_created_answer = None;
        }
        result
    }
}

/// The table of transitions (JSEP §3.2). What is not in it is an `InvalidState`.
fn transition(
    signaling: Signaling,
    side: Side,
    description: TypedDescription,
) -> (Signaling, Result<(), DescriptionError>) {
    use Side::{Local, Remote};
    use Signaling as S;
    use TypedDescription as D;
    match (signaling, side, description) {
        (S::Stable(state), Local, D::Offer(offer)) => {
            outcome(state.set_local_offer(offer), S::HaveLocalOffer, S::Stable)
        }
        (S::Stable(state), Remote, D::Offer(offer)) => {
            outcome(state.set_remote_offer(offer), S::HaveRemoteOffer, S::Stable)
        }
        (S::HaveLocalOffer(state), Local, D::Offer(offer)) => {
            outcome(state.set_local_offer(offer), S::HaveLocalOffer, S::HaveLocalOffer)
        }
        (S::HaveLocalOffer(state), Remote, D::Pranswer(answer)) => {
            outcome(state.set_remote_pranswer(answer), S::HaveRemotePranswer, S::HaveLocalOffer)
        }
        (S::HaveLocalOffer(state), Remote, D::Answer(answer)) => {
            outcome(state.set_remote_answer(answer), S::Stable, S::HaveLocalOffer)
        }
        (S::HaveLocalOffer(state), _, D::Rollback) => (S::Stable(state.rollback()), Ok(())),
        (S::HaveRemoteOffer(state), Remote, D::Offer(offer)) => {
            outcome(state.set_remote_offer(offer), S::HaveRemoteOffer, S::HaveRemoteOffer)
        }
        (S::HaveRemoteOffer(state), Local, D::Pranswer(answer)) => {
            outcome(state.set_local_pranswer(answer), S::HaveLocalPranswer, S::HaveRemoteOffer)
        }
        (S::HaveRemoteOffer(state), Local, D::Answer(answer)) => {
            outcome(state.set_local_answer(answer), S::Stable, S::HaveRemoteOffer)
        }
        (S::HaveRemoteOffer(state), _, D::Rollback) => (S::Stable(state.rollback()), Ok(())),
        (S::HaveLocalPranswer(state), Local, D::Pranswer(answer)) => {
            outcome(state.set_local_pranswer(answer), S::HaveLocalPranswer, S::HaveLocalPranswer)
        }
        (S::HaveLocalPranswer(state), Local, D::Answer(answer)) => {
            outcome(state.set_local_answer(answer), S::Stable, S::HaveLocalPranswer)
        }
        (S::HaveRemotePranswer(state), Remote, D::Pranswer(answer)) => {
            outcome(state.set_remote_pranswer(answer), S::HaveRemotePranswer, S::HaveRemotePranswer)
        }
        (S::HaveRemotePranswer(state), Remote, D::Answer(answer)) => {
            outcome(state.set_remote_answer(answer), S::Stable, S::HaveRemotePranswer)
        }
        (signaling, _, description) => {
            let error = DescriptionError::InvalidState { sdp_type: description.sdp_type(), state: signaling.state() };
            (signaling, Err(error))
        }
    }
}

/// The next state, or the same one with the reason of refusal.
fn outcome<From, To>(
    result: Result<To, Refused<From>>,
    next: fn(To) -> Signaling,
    same: fn(From) -> Signaling,
) -> (Signaling, Result<(), DescriptionError>) {
    match result {
        Ok(state) => (next(state), Ok(())),
        Err(refused) => (same(*refused.state), Err(refused.error.into())),
    }
}
