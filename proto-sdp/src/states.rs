//! The signaling state machine (JSEP §3.2, §5.5 to §5.7): one type per state, and one value that is in any of them.
//!
//! ```text
//!                        set_local_offer                 set_remote_answer
//!              ┌────────────────────────► HaveLocalOffer ───────────────────────┐
//!              │                            │ set_remote_pranswer               │
//!              │                            ▼                                   │
//!              │                          HaveRemotePranswer ── remote answer ──┤
//!           Stable                                                              ├──► Stable
//!              │                          HaveLocalPranswer ─── local answer ───┤
//!              │                            ▲                                   │
//!              │                            │ set_local_pranswer                │
//!              └────────────────────────► HaveRemoteOffer ──────────────────────┘
//!                        set_remote_offer                set_local_answer
//! ```
//!
//! Every state other than [`Stable`] keeps the [`Stable`] it came from, to which `rollback` returns.

use crate::description_type::{SdpType, SignalingState};
use crate::error::ContentError;
use crate::negotiated::Negotiated;
use crate::session::SessionDescription;
use crate::transport::Side;
use crate::verify::{verify_answer, verify_offer};

/// A transition was refused: the state as it was, and why.
#[derive(Debug)]
pub struct Refused<State> {
    /// The unchanged state.
    pub state: Box<State>,
    /// What is wrong with the description.
    pub error: ContentError,
}

/// Nothing is being negotiated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stable {
    current: Option<Box<Negotiated>>,
}

/// A local offer waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaveLocalOffer {
    stable: Stable,
    offer: SessionDescription,
}

/// A remote offer waits for our answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaveRemoteOffer {
    stable: Stable,
    offer: SessionDescription,
}

/// A remote offer was answered provisionally by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaveLocalPranswer {
    stable: Stable,
    pending: Box<Negotiated>,
}

/// A local offer was answered provisionally by the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaveRemotePranswer {
    stable: Stable,
    pending: Box<Negotiated>,
}

impl Stable {
    /// The last offer and answer, none before the first negotiation.
    #[must_use]
    pub fn current(&self) -> Option<&Negotiated> {
        self.current.as_deref()
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut Negotiated> {
        self.current.as_deref_mut()
    }

    /// Applies an offer of this end.
    ///
    /// # Errors
    ///
    /// The offer cannot follow what is negotiated.
    pub fn set_local_offer(self, offer: SessionDescription) -> Result<HaveLocalOffer, Refused<Self>> {
        match verify_offer(&offer, Side::Local, self.current()) {
            Ok(()) => Ok(HaveLocalOffer { stable: self, offer }),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies an offer of the other end.
    ///
    /// # Errors
    ///
    /// The offer cannot follow what is negotiated, or nothing in it could be accepted.
    pub fn set_remote_offer(self, offer: SessionDescription) -> Result<HaveRemoteOffer, Refused<Self>> {
        match verify_offer(&offer, Side::Remote, self.current()) {
            Ok(()) => Ok(HaveRemoteOffer { stable: self, offer }),
            Err(error) => Err(refuse(self, error)),
        }
    }
}

impl HaveLocalOffer {
    /// The offer.
    #[must_use]
    pub fn offer(&self) -> &SessionDescription {
        &self.offer
    }

    /// Replaces the offer by another one.
    ///
    /// # Errors
    ///
    /// The offer cannot follow what is negotiated.
    pub fn set_local_offer(self, offer: SessionDescription) -> Result<Self, Refused<Self>> {
        match verify_offer(&offer, Side::Local, self.stable.current()) {
            Ok(()) => Ok(Self { offer, ..self }),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies a provisional answer.
    ///
    /// # Errors
    ///
    /// It does not answer this offer.
    pub fn set_remote_pranswer(self, answer: SessionDescription) -> Result<HaveRemotePranswer, Refused<Self>> {
        match verify_answer(&answer, Side::Remote, &self.offer, self.stable.current()) {
            Ok(()) => Ok(HaveRemotePranswer {
                stable: self.stable,
                pending: Box::new(Negotiated::new(self.offer, answer, Side::Remote)),
            }),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies the answer.
    ///
    /// # Errors
    ///
    /// It does not answer this offer.
    pub fn set_remote_answer(self, answer: SessionDescription) -> Result<Stable, Refused<Self>> {
        match verify_answer(&answer, Side::Remote, &self.offer, self.stable.current()) {
            Ok(()) => Ok(stable_with(self.offer, answer, Side::Remote)),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Cancels the offer.
    #[must_use]
    pub fn rollback(self) -> Stable {
        self.stable
    }
}

impl HaveRemoteOffer {
    /// The offer.
    #[must_use]
    pub fn offer(&self) -> &SessionDescription {
        &self.offer
    }

    /// Replaces the offer by another one.
    ///
    /// # Errors
    ///
    /// The offer cannot follow what is negotiated, or nothing in it could be accepted.
    pub fn set_remote_offer(self, offer: SessionDescription) -> Result<Self, Refused<Self>> {
        match verify_offer(&offer, Side::Remote, self.stable.current()) {
            Ok(()) => Ok(Self { offer, ..self }),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies a provisional answer.
    ///
    /// # Errors
    ///
    /// It does not answer this offer.
    pub fn set_local_pranswer(self, answer: SessionDescription) -> Result<HaveLocalPranswer, Refused<Self>> {
        match verify_answer(&answer, Side::Local, &self.offer, self.stable.current()) {
            Ok(()) => Ok(HaveLocalPranswer {
                stable: self.stable,
                pending: Box::new(Negotiated::new(self.offer, answer, Side::Local)),
            }),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies the answer.
    ///
    /// # Errors
    ///
    /// It does not answer this offer.
    pub fn set_local_answer(self, answer: SessionDescription) -> Result<Stable, Refused<Self>> {
        match verify_answer(&answer, Side::Local, &self.offer, self.stable.current()) {
            Ok(()) => Ok(stable_with(self.offer, answer, Side::Local)),
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Cancels the offer.
    #[must_use]
    pub fn rollback(self) -> Stable {
        self.stable
    }
}

impl HaveLocalPranswer {
    /// The offer and the provisional answer.
    #[must_use]
    pub fn pending(&self) -> &Negotiated {
        &self.pending
    }

    /// Replaces the provisional answer by another one.
    ///
    /// # Errors
    ///
    /// It does not answer the offer.
    pub fn set_local_pranswer(mut self, answer: SessionDescription) -> Result<Self, Refused<Self>> {
        let offer = self.pending.offer();
        match verify_answer(&answer, Side::Local, offer, self.stable.current()) {
            Ok(()) => {
                self.pending.replace_answer(answer);
                Ok(self)
            }
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies the final answer.
    ///
    /// # Errors
    ///
    /// It does not answer the offer.
    pub fn set_local_answer(self, answer: SessionDescription) -> Result<Stable, Refused<Self>> {
        let pranswered = self.set_local_pranswer(answer)?;
        Ok(Stable { current: Some(pranswered.pending) })
    }
}

impl HaveRemotePranswer {
    /// The offer and the provisional answer.
    #[must_use]
    pub fn pending(&self) -> &Negotiated {
        &self.pending
    }

    /// Replaces the provisional answer by another one.
    ///
    /// # Errors
    ///
    /// It does not answer the offer.
    pub fn set_remote_pranswer(mut self, answer: SessionDescription) -> Result<Self, Refused<Self>> {
        let offer = self.pending.offer();
        match verify_answer(&answer, Side::Remote, offer, self.stable.current()) {
            Ok(()) => {
                self.pending.replace_answer(answer);
                Ok(self)
            }
            Err(error) => Err(refuse(self, error)),
        }
    }

    /// Applies the final answer.
    ///
    /// # Errors
    ///
    /// It does not answer the offer.
    pub fn set_remote_answer(self, answer: SessionDescription) -> Result<Stable, Refused<Self>> {
        let pranswered = self.set_remote_pranswer(answer)?;
        Ok(Stable { current: Some(pranswered.pending) })
    }
}

fn refuse<State>(state: State, error: ContentError) -> Refused<State> {
    Refused { state: Box::new(state), error }
}

fn stable_with(offer: SessionDescription, answer: SessionDescription, answerer: Side) -> Stable {
    Stable { current: Some(Box::new(Negotiated::new(offer, answer, answerer))) }
}

/// Any of the states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signaling {
    /// Nothing is being negotiated.
    Stable(Stable),
    /// A local offer waits for its answer.
    HaveLocalOffer(HaveLocalOffer),
    /// A remote offer waits for our answer.
    HaveRemoteOffer(HaveRemoteOffer),
    /// A remote offer was answered provisionally by us.
    HaveLocalPranswer(HaveLocalPranswer),
    /// A local offer was answered provisionally by the other end.
    HaveRemotePranswer(HaveRemotePranswer),
}

impl Default for Signaling {
    fn default() -> Self {
        Self::Stable(Stable::default())
    }
}

impl Signaling {
    /// The state's name.
    #[must_use]
    pub fn state(&self) -> SignalingState {
        match self {
            Self::Stable(_) => SignalingState::Stable,
            Self::HaveLocalOffer(_) => SignalingState::HaveLocalOffer,
            Self::HaveRemoteOffer(_) => SignalingState::HaveRemoteOffer,
            Self::HaveLocalPranswer(_) => SignalingState::HaveLocalPranswer,
            Self::HaveRemotePranswer(_) => SignalingState::HaveRemotePranswer,
        }
    }

    fn stable(&self) -> &Stable {
        match self {
            Self::Stable(stable) => stable,
            Self::HaveLocalOffer(state) => &state.stable,
            Self::HaveRemoteOffer(state) => &state.stable,
            Self::HaveLocalPranswer(state) => &state.stable,
            Self::HaveRemotePranswer(state) => &state.stable,
        }
    }

    /// The last offer and answer.
    #[must_use]
    pub fn current(&self) -> Option<&Negotiated> {
        self.stable().current()
    }

    /// The offer and the provisional answer, if there is one.
    #[must_use]
    pub fn provisional(&self) -> Option<&Negotiated> {
        match self {
            Self::HaveLocalPranswer(state) => Some(&state.pending),
            Self::HaveRemotePranswer(state) => Some(&state.pending),
            Self::Stable(_) | Self::HaveLocalOffer(_) | Self::HaveRemoteOffer(_) => None,
        }
    }

    /// What one end has proposed and the other has not answered finally, with its type.
    #[must_use]
    pub fn pending(&self, side: Side) -> Option<(SdpType, &SessionDescription)> {
        match (self, side) {
            (Self::HaveLocalOffer(state), Side::Local) => Some((SdpType::Offer, &state.offer)),
            (Self::HaveRemoteOffer(state), Side::Remote) => Some((SdpType::Offer, &state.offer)),
            _ => {
                let pending = self.provisional()?;
                let answered = side == pending.answerer();
                let sdp_type = if answered { SdpType::Pranswer } else { SdpType::Offer };
                Some((sdp_type, pending.side(side)))
            }
        }
    }

    /// The descriptions of one end, pending and current.
    pub(crate) fn descriptions(&self, side: Side) -> impl Iterator<Item = &SessionDescription> {
        let pending = self.pending(side).map(|(_, description)| description);
        let current = self.current().map(|current| current.side(side));
        pending.into_iter().chain(current)
    }

    /// The descriptions of one end, pending and current, to add candidates to.
    pub(crate) fn descriptions_mut(&mut self, side: Side) -> impl Iterator<Item = &mut SessionDescription> {
        let (stable, pending) = match self {
            Self::Stable(stable) => (stable, None),
            Self::HaveLocalOffer(state) => {
                let offer = Some(&mut state.offer).filter(|_| side == Side::Local);
                (&mut state.stable, offer)
            }
            Self::HaveRemoteOffer(state) => {
                let offer = Some(&mut state.offer).filter(|_| side == Side::Remote);
                (&mut state.stable, offer)
            }
            Self::HaveLocalPranswer(state) => (&mut state.stable, Some(state.pending.side_mut(side))),
            Self::HaveRemotePranswer(state) => (&mut state.stable, Some(state.pending.side_mut(side))),
        };
        let current = stable.current_mut().map(|current| current.side_mut(side));
        pending.into_iter().chain(current)
    }
}
