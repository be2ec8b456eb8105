//! Offers, answers and candidates: what the application and its signalling do with a peer.

use proto_ice::{IceGatheringState, IceParameters, IcePassword, IceRole};
use proto_machine::Timestamp;
use proto_sdp::{
    CandidateTarget, DataSection, Fingerprint, HashFunction, LocalParameters, MaxMessageSize, Negotiation, Password,
    SdpType, SessionDescription, Side, TransportParameters, TypedDescription, UsernameFragment, ValueError,
};

use super::run::usable_fingerprints;
use super::{Life, Peer, TransportPhase};
use crate::candidate::{to_ice, to_sdp};
use crate::{
    AddIceCandidateError, CreateDescriptionError, IceCandidateInit, PeerEvent, SetDescriptionError, SignalingState,
};

/// `RTCSessionDescriptionInit`: a description as signalling carries it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionDescriptionInit {
    /// What it is.
    pub sdp_type: SdpType,
    /// The text of RFC 8866; empty for a rollback.
    pub sdp: String,
}

impl SessionDescriptionInit {
    fn new(sdp_type: SdpType, description: &SessionDescription) -> Self {
        Self { sdp_type, sdp: description.to_string() }
    }
}

/// Creating descriptions.
impl Peer {
    /// `createOffer`: an offer with a data section if there are channels, or if the configuration wants one always.
    ///
    /// # Errors
    ///
    /// [`CreateDescriptionError`]; nothing has changed.
    pub fn create_offer(&mut self) -> Result<SessionDescriptionInit, CreateDescriptionError> {
        let parameters = self.parameters_to_create()?;
        let with_data = self.configuration.always_negotiate_data_channels || self.has_channels();
        let offer = self.negotiation.create_offer(&parameters, with_data).map_err(|error| self.cannot_create(error))?;
        Ok(SessionDescriptionInit::new(SdpType::Offer, &offer))
    }

    /// `createAnswer`: an answer to the remote offer that is pending. Data is accepted, audio and video are rejected.
    ///
    /// # Errors
    ///
    /// [`CreateDescriptionError`]; nothing has changed.
    pub fn create_answer(&mut self) -> Result<SessionDescriptionInit, CreateDescriptionError> {
        let parameters = self.parameters_to_create()?;
        let answer = self.negotiation.create_answer(&parameters).map_err(|error| self.cannot_create(error))?;
        Ok(SessionDescriptionInit::new(SdpType::Answer, &answer))
    }

    fn parameters_to_create(&self) -> Result<LocalParameters, CreateDescriptionError> {
        if self.life != Life::Open {
            return Err(CreateDescriptionError::InvalidState(SignalingState::Closed));
        }
        self.local_parameters().map_err(CreateDescriptionError::Parameters)
    }

    fn cannot_create(&self, error: proto_sdp::DescriptionError) -> CreateDescriptionError {
        match error {
            proto_sdp::DescriptionError::InvalidAccess(error) => CreateDescriptionError::Operation(error),
            _ => CreateDescriptionError::InvalidState(self.signaling_state()),
        }
    }

    /// What we say of ourselves, with all candidates that are known so far (JSEP §5.2.1).
    fn local_parameters(&self) -> Result<LocalParameters, ValueError> {
        let ice = self.ice.local_parameters();
        let fingerprint = Fingerprint::new(HashFunction::Sha256, &self.configuration.certificate.fingerprint())?;
        let mut parameters = LocalParameters::new(
            UsernameFragment::new(&ice.username_fragment)?,
            Password::new(ice.password.as_str())?,
            vec![fingerprint],
        );
        parameters.max_message_size = Some(MaxMessageSize::from_wire(self.configuration.max_message_size.into()));
        parameters.candidates = self.ice.local_candidates().map(to_sdp).collect::<Result<_, _>>()?;
        parameters.end_of_candidates = self.ice.gathering_state() == IceGatheringState::Complete;
        Ok(parameters)
    }

    fn has_channels(&self) -> bool {
        self.secure.channels().next().is_some()
    }
}

/// Setting descriptions.
impl Peer {
    /// `setLocalDescription`: applies what was created, and begins to gather. Without a description, creates the one that the state asks for.
    ///
    /// # Errors
    ///
    /// [`SetDescriptionError`]; nothing has changed.
    pub fn set_local_description(
        &mut self,
        now: Timestamp,
        description: Option<SessionDescriptionInit>,
    ) -> Result<(), SetDescriptionError> {
        self.ensure_open()?;
        let description = match description {
            Some(description) => description,
            None => self.create_what_fits().map_err(SetDescriptionError::Create)?,
        };
        let typed = parse(&description)?;
        let sdp_type = typed.sdp_type();
        let mut next = self.negotiation.clone();
        next.set_local_description(typed)?;
        self.check(&next)?;
        if sdp_type == SdpType::Offer {
            self.take_role(now, IceRole::Controlling);
        }
        self.commit(now, next);
        Ok(())
    }

    /// `setRemoteDescription`: applies what the other side has sent. An offer that meets our own pending offer rolls that back first.
    ///
    /// # Errors
    ///
    /// [`SetDescriptionError`]; nothing has changed.
    pub fn set_remote_description(
        &mut self,
        now: Timestamp,
        description: SessionDescriptionInit,
    ) -> Result<(), SetDescriptionError> {
        self.ensure_open()?;
        let typed = parse(&description)?;
        let sdp_type = typed.sdp_type();
        let mut next = self.negotiation.clone();
        if sdp_type == SdpType::Offer && next.signaling_state() == proto_sdp::SignalingState::HaveLocalOffer {
            next.rollback()?;
        }
        next.set_remote_description(typed)?;
        if next.remote_offer_restarts_ice() {
            return Err(SetDescriptionError::IceRestart);
        }
        self.check(&next)?;
        if sdp_type == SdpType::Offer {
            self.take_role(now, IceRole::Controlled);
        }
        self.commit(now, next);
        Ok(())
    }

    fn ensure_open(&self) -> Result<(), SetDescriptionError> {
        if self.life == Life::Open { Ok(()) } else { Err(SetDescriptionError::Closed) }
    }

    fn create_what_fits(&mut self) -> Result<SessionDescriptionInit, CreateDescriptionError> {
        match self.signaling_state() {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => self.create_answer(),
            _ => self.create_offer(),
        }
    }

    /// What a description that is well-formed and fits may still ask for in vain.
    fn check(&self, next: &Negotiation) -> Result<(), SetDescriptionError> {
        let offered = next.description(Side::Remote).and_then(|(_, remote)| remote.data_section());
        if offered.is_some_and(|section| usable_fingerprints(section.fingerprints()).is_empty()) {
            return Err(SetDescriptionError::WeakFingerprint);
        }
        let DataSection::Accepted(parameters) = next.data_section() else { return Ok(()) };
        match self.transport.parameters() {
            Some(earlier) if parameters.restarts_ice(earlier) => Err(SetDescriptionError::IceRestart),
            Some(earlier) if !parameters.continues_dtls(earlier) => Err(SetDescriptionError::DtlsRestart),
            _ => Ok(()),
        }
    }

    /// RFC 8445 §6.1.1: who makes the first offer is controlling.
    fn take_role(&mut self, now: Timestamp, role: IceRole) {
        if matches!(self.transport, TransportPhase::Unnegotiated) {
            self.ice.set_role(now, role);
        }
    }

    fn commit(&mut self, now: Timestamp, next: Negotiation) {
        self.negotiation = next;
        self.report_states();
        let local = self.negotiation.description(Side::Local).and_then(|(_, local)| local.data_section());
        self.section = local.map(|section| section.id());
        if self.section.is_some() && self.ice.gathering_state() == IceGatheringState::New {
            self.ice.gather(now, &self.interfaces);
        }
        if let DataSection::Accepted(parameters) = self.negotiation.data_section() {
            self.apply_transport(now, *parameters);
        }
        self.update_negotiation_needed();
        self.settle(now);
    }

    /// Tells ICE about the other side. The secure transport follows with the first valid pair.
    fn apply_transport(&mut self, now: Timestamp, parameters: TransportParameters) {
        if matches!(self.transport, TransportPhase::Unnegotiated) {
            if parameters.ice_lite {
                // RFC 8445 §6.1.1: a full agent controls a lite one.
                self.ice.set_role(now, IceRole::Controlling);
            }
            let remote = IceParameters {
                username_fragment: parameters.username_fragment.as_str().to_owned(),
                password: IcePassword::new(parameters.password.as_str()),
                ice_lite: parameters.ice_lite,
                pacing: parameters.ice_pacing.map(|pacing| std::time::Duration::from_millis(pacing.milliseconds())),
            };
            // The types of proto-sdp have checked what the agent could refuse.
            let _refused = self.ice.set_remote_parameters(now, remote);
        }
        for (_, candidate) in &parameters.candidates {
            let added = to_ice(candidate).map(|candidate| self.ice.add_remote_candidate(now, candidate).is_ok());
            self.candidates_passed_over += u64::from(added != Ok(true));
        }
        if parameters.end_of_candidates {
            self.ice.end_of_remote_candidates(now, Some(parameters.username_fragment.as_str()));
        }
        let parameters = Box::new(parameters);
        self.transport = match &self.transport {
            TransportPhase::Unnegotiated | TransportPhase::AwaitPath(_) => TransportPhase::AwaitPath(parameters),
            TransportPhase::Started(_) => TransportPhase::Started(parameters),
            TransportPhase::Ended(_) => TransportPhase::Ended(parameters),
        };
    }

    /// W3C webrtc-pc §4.7.3: only when stable, and once until a negotiation has brought what was needed.
    pub(super) fn update_negotiation_needed(&mut self) {
        if self.signaling_state() != SignalingState::Stable {
            return;
        }
        let negotiated = matches!(self.negotiation.data_section(), DataSection::Accepted(_));
        let needed = self.has_channels() && !negotiated;
        if needed && !self.negotiation_needed {
            self.report(PeerEvent::NegotiationNeeded);
        }
        self.negotiation_needed = needed;
    }
}

/// Descriptions as they stand, with the candidates that were added since.
impl Peer {
    /// `localDescription`: the pending one, or else the current one.
    #[must_use]
    pub fn local_description(&self) -> Option<SessionDescriptionInit> {
        self.negotiation.description(Side::Local).map(init)
    }

    /// `remoteDescription`: the pending one, or else the current one.
    #[must_use]
    pub fn remote_description(&self) -> Option<SessionDescriptionInit> {
        self.negotiation.description(Side::Remote).map(init)
    }

    /// `currentLocalDescription`
    #[must_use]
    pub fn current_local_description(&self) -> Option<SessionDescriptionInit> {
        self.negotiation.current_description(Side::Local).map(init)
    }

    /// `currentRemoteDescription`
    #[must_use]
    pub fn current_remote_description(&self) -> Option<SessionDescriptionInit> {
        self.negotiation.current_description(Side::Remote).map(init)
    }

    /// `pendingLocalDescription`
    #[must_use]
    pub fn pending_local_description(&self) -> Option<SessionDescriptionInit> {
        self.negotiation.pending_description(Side::Local).map(init)
    }

    /// `pendingRemoteDescription`
    #[must_use]
    pub fn pending_remote_description(&self) -> Option<SessionDescriptionInit> {
        self.negotiation.pending_description(Side::Remote).map(init)
    }

    /// `canTrickleIceCandidates`: `None` before there is a remote description.
    #[must_use]
    pub fn can_trickle_ice_candidates(&self) -> Option<bool> {
        self.negotiation.can_trickle()
    }
}

/// Candidates.
impl Peer {
    /// `addIceCandidate`: a candidate of the other side, or with an empty `candidate` the end of them.
    ///
    /// A candidate that is well-formed but of no use here (a host name, TCP) is passed over and counted.
    ///
    /// # Errors
    ///
    /// [`AddIceCandidateError`]; nothing has changed.
    pub fn add_ice_candidate(&mut self, now: Timestamp, init: IceCandidateInit) -> Result<(), AddIceCandidateError> {
        if self.life != Life::Open {
            return Err(AddIceCandidateError::Closed);
        }
        let target = CandidateTarget {
            mid: init.sdp_mid.as_deref(),
            index: init.sdp_mline_index.map(usize::from),
            username_fragment: init.username_fragment.as_deref(),
        };
        if init.candidate.is_empty() {
            self.end_remote_candidates(now, target)?;
        } else {
            self.add_remote_candidate(now, target, &init.candidate)?;
        }
        self.settle(now);
        Ok(())
    }

    fn add_remote_candidate(
        &mut self,
        now: Timestamp,
        target: CandidateTarget<'_>,
        line: &str,
    ) -> Result<(), AddIceCandidateError> {
        let candidate: proto_sdp::Candidate = line.parse().map_err(AddIceCandidateError::Syntax)?;
        let located = self.negotiation.add_candidate(Side::Remote, target, &candidate);
        let trickled = located.map_err(AddIceCandidateError::Target)?;
        if matches!(self.transport, TransportPhase::Unnegotiated) {
            // It is in the description now, from where it is taken once there is an answer.
            return Ok(());
        }
        if !trickled.for_data {
            self.candidates_passed_over += 1;
            return Ok(());
        }
        match to_ice(&candidate) {
            Ok(candidate) => self.ice.add_remote_candidate(now, candidate).map_err(AddIceCandidateError::Unusable),
            Err(_passed_over) => {
                self.candidates_passed_over += 1;
                Ok(())
            }
        }
    }

    fn end_remote_candidates(
        &mut self,
        now: Timestamp,
        target: CandidateTarget<'_>,
    ) -> Result<(), AddIceCandidateError> {
        let ended = self.negotiation.end_candidates(Side::Remote, target).map_err(AddIceCandidateError::Target)?;
        if let Some(data) = ended.iter().find(|trickled| trickled.for_data)
            && !matches!(self.transport, TransportPhase::Unnegotiated)
        {
            let fragment = data.username_fragment.as_ref().map(UsernameFragment::as_str);
            self.ice.end_of_remote_candidates(now, fragment);
        }
        Ok(())
    }
}

fn parse(description: &SessionDescriptionInit) -> Result<TypedDescription, SetDescriptionError> {
    TypedDescription::parse(description.sdp_type, &description.sdp).map_err(SetDescriptionError::Syntax)
}

fn init((sdp_type, description): (SdpType, &SessionDescription)) -> SessionDescriptionInit {
    SessionDescriptionInit::new(sdp_type, description)
}
