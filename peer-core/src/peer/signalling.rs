//! Offers, answers and candidates: what the application and its signalling do with a peer.

use std::time::Duration;

use proto_dtls_sctp::InitChunk;
use proto_ice::{AddRemoteCandidateError, IceGatheringState, IceParameters, IcePassword, IceRole};
use proto_machine::Timestamp;
use proto_sdp::{
    CandidateTarget, DataSection, Fingerprint, HashFunction, LocalParameters, MaxMessageSize, Negotiation, Password,
    SctpInit, SdpType, SessionDescription, Side, TransportParameters, TrickleError, TypedDescription, UsernameFragment,
    ValueError,
};

use super::run::usable_fingerprints;
use super::{Life, NegotiationNeeded, Peer, Stage, Transport};
use crate::candidate::{to_ice, to_sdp};
use crate::{AddIceCandidateError, CreateDescriptionError, IceCandidateInit, SetDescriptionError, SignalingState};

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
        let secure = &self.configuration.secure_transport;
        let fingerprint = Fingerprint::new(HashFunction::Sha256, &secure.certificate.fingerprint())?;
        let mut parameters = LocalParameters::new(
            UsernameFragment::new(&ice.username_fragment)?,
            Password::new(ice.password.as_str())?,
            vec![fingerprint],
        );
        // RFC 8841 §6.1: 0 would mean that there is no limit.
        let max_message_size = u64::try_from(secure.max_receive_message_size.max(1)).unwrap_or(u64::MAX);
        parameters.max_message_size = Some(MaxMessageSize::from_wire(max_message_size));
        parameters.sctp_init = self.sctp_init()?;
        parameters.candidates = self.ice.local_candidates().map(to_sdp).collect::<Result<_, _>>()?;
        parameters.end_of_candidates = self.ice.gathering_state() == IceGatheringState::Complete;
        Ok(parameters)
    }

    /// draft-hancke-tsvwg-snap-00 §5.6: always the same, and never added to an association that was agreed on without it.
    fn sctp_init(&self) -> Result<Option<SctpInit>, ValueError> {
        let agreed_without = self.transport.as_ref().is_some_and(|transport| transport.parameters.sctp_init.is_none());
        if !self.configuration.sctp_init_in_descriptions || agreed_without {
            return Ok(None);
        }
        SctpInit::new(&self.secure.init_chunk().to_bytes()).map(Some)
    }

    fn has_channels(&self) -> bool {
        self.secure.channels().next().is_some()
    }
}

/// Setting descriptions.
impl Peer {
    /// `setLocalDescription`: applies what was created, and begins to gather. Without a description, or with an empty one, it is created now.
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
        let typed = match description {
            Some(init) if !init.sdp.is_empty() || init.sdp_type == SdpType::Rollback => parse(&init)?,
            Some(init) => self.create(init.sdp_type)?,
            None => self.create(self.fitting_type())?,
        };
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
    /// [`SetDescriptionError`]; nothing has changed, not even by the rollback.
    pub fn set_remote_description(
        &mut self,
        now: Timestamp,
        description: SessionDescriptionInit,
    ) -> Result<(), SetDescriptionError> {
        self.ensure_open()?;
        let typed = parse(&description)?;
        let sdp_type = typed.sdp_type();
        let mut next = self.negotiation.clone();
        let collides = next.signaling_state() == proto_sdp::SignalingState::HaveLocalOffer;
        let rolls_back = sdp_type == SdpType::Offer && collides;
        if rolls_back {
            next.rollback()?;
        }
        next.set_remote_description(typed)?;
        if next.remote_offer_restarts_ice() {
            return Err(SetDescriptionError::IceRestart);
        }
        self.check(&next)?;
        if rolls_back {
            self.negotiation.rollback()?;
            self.report_states();
        }
        if sdp_type == SdpType::Offer {
            self.take_role(now, IceRole::Controlled);
        }
        self.commit(now, next);
        Ok(())
    }

    fn ensure_open(&self) -> Result<(), SetDescriptionError> {
        if self.life == Life::Open { Ok(()) } else { Err(SetDescriptionError::Closed) }
    }

    /// W3C webrtc-pc §4.4.2: what `setLocalDescription` means without an argument.
    fn fitting_type(&self) -> SdpType {
        match self.signaling_state() {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => SdpType::Answer,
            _ => SdpType::Offer,
        }
    }

    /// A description made now. It is the one that was created last, if nothing has changed since.
    fn create(&mut self, sdp_type: SdpType) -> Result<TypedDescription, SetDescriptionError> {
        let created = match sdp_type {
            SdpType::Rollback => return Ok(TypedDescription::Rollback),
            SdpType::Offer => self.create_offer(),
            SdpType::Pranswer | SdpType::Answer => self.create_answer(),
        };
        let negotiation = &self.negotiation;
        let found = match created.map(|_| sdp_type).map_err(SetDescriptionError::Create)? {
            SdpType::Offer => negotiation.last_created_offer().cloned().map(TypedDescription::Offer),
            SdpType::Pranswer => negotiation.last_created_answer().cloned().map(TypedDescription::Pranswer),
            SdpType::Answer => negotiation.last_created_answer().cloned().map(TypedDescription::Answer),
            SdpType::Rollback => None,
        };
        found.ok_or(SetDescriptionError::InvalidModification)
    }

    /// What a description that is well-formed and fits may still ask for in vain.
    fn check(&self, next: &Negotiation) -> Result<(), SetDescriptionError> {
        let offered = next.description(Side::Remote).and_then(|(_, remote)| remote.data_section());
        if offered.is_some_and(|section| usable_fingerprints(section.fingerprints()).is_empty()) {
            return Err(SetDescriptionError::WeakFingerprint);
        }
        if let Some(init) = offered.and_then(|section| section.media().sctp_init.as_ref()) {
            InitChunk::from_bytes(init.bytes()).map_err(SetDescriptionError::SctpInit)?;
        }
        let DataSection::Accepted(parameters) = next.data_section() else { return Ok(()) };
        match self.transport.as_ref().map(|transport| &transport.parameters) {
            Some(earlier) if parameters.restarts_ice(earlier) => Err(SetDescriptionError::IceRestart),
            Some(earlier) if !parameters.continues_dtls(earlier) => Err(SetDescriptionError::DtlsRestart),
            Some(earlier) if !parameters.continues_sctp(earlier) => Err(SetDescriptionError::SctpRestart),
            _ => Ok(()),
        }
    }

    /// RFC 8445 §6.1.1: who makes the first offer is controlling.
    fn take_role(&mut self, now: Timestamp, role: IceRole) {
        if self.transport.is_none() {
            self.ice.set_role(now, role);
        }
    }

    fn commit(&mut self, now: Timestamp, next: Negotiation) {
        self.negotiation = next;
        self.report_states();
        let local = self.negotiation.description(Side::Local).and_then(|(_, local)| local.data_section());
        self.section = local.map(|section| section.id());
        self.release_early_candidates();
        self.catch_up_candidates();
        if self.ice.gathering_state() == IceGatheringState::New {
            self.gather(now);
        }
        if let DataSection::Accepted(parameters) = self.negotiation.data_section() {
            self.apply_transport(now, *parameters);
        }
        if self.signaling_state() == SignalingState::Stable {
            // W3C webrtc-pc §4.4.1.5: cleared, then updated.
            self.negotiation_needed = NegotiationNeeded::No;
        }
        self.update_negotiation_needed();
        self.settle(now);
    }

    /// Tells ICE about the other side. The secure transport follows with the first valid pair.
    fn apply_transport(&mut self, now: Timestamp, parameters: TransportParameters) {
        if self.transport.is_none() {
            if parameters.ice_lite {
                // RFC 8445 §6.1.1: a full agent controls a lite one.
                self.ice.set_role(now, IceRole::Controlling);
            }
            // The types of proto-sdp have checked what the agent could refuse.
            let _refused = self.ice.set_remote_parameters(now, ice_parameters(&parameters));
        }
        let known = self.transport.as_ref().map(|transport| transport.parameters.candidates.as_slice());
        let is_new = |candidate| !known.unwrap_or_default().contains(candidate);
        for (_, candidate) in parameters.candidates.iter().filter(|candidate| is_new(candidate)) {
            let added = to_ice(candidate).map(|candidate| self.ice.add_remote_candidate(now, candidate).is_ok());
            self.candidates_passed_over += u64::from(added != Ok(true));
        }
        if parameters.end_of_candidates {
            self.ice.end_of_remote_candidates(now, Some(parameters.username_fragment.as_str()));
        }
        let stage = self.transport.as_ref().map_or(Stage::AwaitPath, |transport| transport.stage);
        self.transport = Some(Transport { parameters, stage });
    }

    /// W3C webrtc-pc §4.7.3: whether the connection has changed in a way that a negotiation has to tell. It is stable, and there are channels without a section.
    pub(super) fn needs_negotiation(&self) -> bool {
        self.signaling_state() == SignalingState::Stable
            && self.has_channels()
            && !matches!(self.negotiation.data_section(), DataSection::Accepted(_))
    }

    pub(super) fn update_negotiation_needed(&mut self) {
        if self.signaling_state() != SignalingState::Stable {
            return;
        }
        if !self.needs_negotiation() {
            self.negotiation_needed = NegotiationNeeded::No;
        } else if self.negotiation_needed == NegotiationNeeded::No {
            self.negotiation_needed = NegotiationNeeded::Unreported;
        }
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
    /// A candidate that is well-formed but of no use here (a host name, TCP, an address nobody can send to) is passed over and counted.
    ///
    /// # Errors
    ///
    /// [`AddIceCandidateError`]; nothing has changed.
    pub fn add_ice_candidate(&mut self, now: Timestamp, init: IceCandidateInit) -> Result<(), AddIceCandidateError> {
        let target = CandidateTarget {
            mid: init.sdp_mid.as_deref(),
            index: init.sdp_mline_index.map(usize::from),
            username_fragment: init.username_fragment.as_deref(),
        };
        let is_end = init.candidate.is_empty();
        if !is_end && target.mid.is_none() && target.index.is_none() {
            return Err(AddIceCandidateError::Target(TrickleError::NoTarget));
        }
        if self.life != Life::Open {
            return Err(AddIceCandidateError::Closed);
        }
        if is_end {
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
        let located = self.negotiation.locate(Side::Remote, target).map_err(AddIceCandidateError::Target)?;
        let candidate: proto_sdp::Candidate = line.parse().map_err(AddIceCandidateError::Syntax)?;
        // Before there is an answer it waits in the description, from where it is taken with the others.
        let (mut in_use, mut passed_over) = (false, 0);
        if self.transport.is_some() {
            let usable = to_ice(&candidate).ok().filter(|_| located.for_data);
            match usable.map(|candidate| self.ice.add_remote_candidate(now, candidate)) {
                Some(Ok(())) => in_use = true,
                Some(Err(AddRemoteCandidateError::TooManyCandidates)) => {
                    return Err(AddIceCandidateError::Target(TrickleError::TooManyCandidates));
                }
                Some(Err(_)) | None => passed_over = 1,
            }
        }
        match self.negotiation.add_candidate(Side::Remote, target, &candidate) {
            // A description that is full need not name a candidate for it to be of use.
            Err(error) if !in_use => Err(AddIceCandidateError::Target(error)),
            _ => {
                self.candidates_passed_over += passed_over;
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
            && self.transport.is_some()
        {
            let fragment = data.username_fragment.as_ref().map(UsernameFragment::as_str);
            self.ice.end_of_remote_candidates(now, fragment);
        }
        Ok(())
    }
}

/// What the other side says of its ICE agent.
fn ice_parameters(parameters: &TransportParameters) -> IceParameters {
    IceParameters {
        username_fragment: parameters.username_fragment.as_str().to_owned(),
        password: IcePassword::new(parameters.password.as_str()),
        ice_lite: parameters.ice_lite,
        pacing: parameters.ice_pacing.map(|pacing| Duration::from_millis(pacing.milliseconds())),
    }
}

fn parse(description: &SessionDescriptionInit) -> Result<TypedDescription, SetDescriptionError> {
    TypedDescription::parse(description.sdp_type, &description.sdp).map_err(SetDescriptionError::Syntax)
}

fn init((sdp_type, description): (SdpType, &SessionDescription)) -> SessionDescriptionInit {
    SessionDescriptionInit::new(sdp_type, description)
}
