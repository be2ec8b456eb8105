//! How a peer runs: what comes in, what goes out, and what its children have to tell each other.

use proto_dtls_sctp::{
    DtlsTransportState, HashFunction, InitChunk, MaxMessageSize, RemoteFingerprint, StartParameters,
};
use proto_ice::{IceEvent, IceGatheringState, LocalCandidate};
use proto_machine::{Deadline, Machine, Received, SocketEvent, SocketRequest, Timestamp, Transmit, TransmitBuffer};
use proto_sdp::{CandidateTarget, Fingerprint, SectionId, Side, TransportParameters};

use super::{Life, NegotiationNeeded, Peer, ReportedStates, Stage, Transport};
use crate::candidate::to_sdp;
use crate::{IceCandidate, PeerEvent};

/// The most events that wait to be polled. Beyond it, changes of state wait until there is room, and are reported as what they have become.
const MAX_EVENTS: usize = 512;

impl Peer {
    /// Carries what one child has to say to the others, until none has anything left. Every path between ICE and the secure transport is in here, and in
    /// `poll_transmit` and `handle_input` below.
    pub(super) fn settle(&mut self, now: Timestamp) {
        if self.life != Life::Open {
            return;
        }
        while let Some(event) = self.ice.poll_event() {
            if let Some(event) = self.pool.hold_back(event) {
                self.handle_ice_event(event);
            }
        }
        self.start_secure_transport(now);
        while let Some(mut datagram) = self.ice.poll_held() {
            self.handle_payload(now, &mut datagram);
        }
        self.report_states();
    }

    pub(super) fn handle_ice_event(&mut self, event: IceEvent) {
        match event {
            IceEvent::GatheringStateChange(state) => {
                self.report(PeerEvent::IceGatheringStateChange(state));
                if state == IceGatheringState::Complete {
                    self.report(PeerEvent::IceCandidate(None));
                }
            }
            IceEvent::LocalCandidate(candidate) => self.handle_local_candidate(&candidate),
            IceEvent::EndOfCandidates => self.handle_end_of_local_candidates(),
            IceEvent::CandidateError(error) => self.report(PeerEvent::IceCandidateError(error)),
            IceEvent::SelectedCandidatePairChange(pair) => {
                self.report(PeerEvent::SelectedCandidatePairChange(Box::new(pair)));
            }
            // Connection states are derived in `report_states`; roles are read from the statistics.
            _ => {}
        }
    }

    fn handle_local_candidate(&mut self, candidate: &LocalCandidate) {
        let Ok(typed) = to_sdp(candidate) else { return };
        // Without a section, after a rollback, it waits for the next description.
        let Some(section) = &self.section else { return };
        let text = typed.to_string();
        // A description that is full keeps what it has; the candidate is trickled all the same.
        let _full = self.negotiation.add_candidate(Side::Local, target(section), &typed);
        self.report_candidate(text, candidate.url.clone());
    }

    fn handle_end_of_local_candidates(&mut self) {
        let Some(section) = &self.section else { return };
        let _unknown = self.negotiation.end_candidates(Side::Local, target(section));
        self.report_candidate(String::new(), None);
    }

    /// Trickles what was found while there was no description to put it in.
    pub(super) fn catch_up_candidates(&mut self) {
        let local = self.negotiation.description(Side::Local).and_then(|(_, local)| local.data_section());
        let Some(section) = local else { return };
        let known = &section.media().candidates;
        let is_missing = |candidate: &LocalCandidate| to_sdp(candidate).is_ok_and(|typed| !known.contains(&typed));
        let missing: Vec<LocalCandidate> = self.ice.local_candidates().filter(|c| is_missing(c)).cloned().collect();
        let misses_end = self.ice.gathering_state() == IceGatheringState::Complete && !section.end_of_candidates();
        for candidate in &missing {
            self.handle_local_candidate(candidate);
        }
        if misses_end {
            self.handle_end_of_local_candidates();
        }
    }

    fn report_candidate(&mut self, candidate: String, url: Option<String>) {
        let Some(section) = &self.section else { return };
        let event = PeerEvent::IceCandidate(Some(IceCandidate {
            candidate,
            sdp_mid: section.mid.as_ref().map(|mid| mid.as_str().to_owned()),
            sdp_mline_index: u16::try_from(section.index).unwrap_or(u16::MAX),
            username_fragment: self.username_fragment().to_owned(),
            url,
        }));
        self.report(event);
    }

    /// DTLS starts on the first valid pair, before nomination (RFC 8445 §12.1).
    fn start_secure_transport(&mut self, now: Timestamp) {
        let Some(transport) = self.transport.as_mut().filter(|transport| transport.stage == Stage::AwaitPath) else {
            return;
        };
        if !self.ice.can_send() {
            return;
        }
        if let Some(round_trip_time) = self.ice.round_trip_time() {
            self.secure.set_round_trip_time(round_trip_time);
        }
        match self.secure.start(now, start_parameters(&transport.parameters)) {
            Ok(()) => transport.stage = Stage::Started,
            Err(error) => {
                transport.stage = Stage::Ended;
                self.ice.revoke_consent(now);
                self.report(PeerEvent::TransportRefused(error));
            }
        }
    }

    /// RFC 7675 §5.2: the end of the security association, once its last record is out, revokes consent.
    fn end_secure_transport(&mut self, now: Timestamp) {
        let has_ended = matches!(self.secure.dtls_state(), DtlsTransportState::Closed | DtlsTransportState::Failed);
        if let Some(transport) = &mut self.transport
            && transport.stage == Stage::Started
            && has_ended
        {
            transport.stage = Stage::Ended;
            self.ice.revoke_consent(now);
            self.settle(now);
        }
    }

    fn handle_payload(&mut self, now: Timestamp, payload: &mut [u8]) {
        match &self.transport {
            Some(Transport { stage: Stage::Started, .. }) => self.secure.handle_datagram(now, payload),
            Some(Transport { stage: Stage::Ended, .. }) => {}
            Some(Transport { stage: Stage::AwaitPath, .. }) | None => self.early_payloads_dropped += 1,
        }
    }

    pub(super) fn report(&mut self, event: PeerEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            self.events_dropped += 1;
        }
    }

    /// Reports the states that have changed, in the order of W3C webrtc-pc §4.4.1.
    pub(super) fn report_states(&mut self) {
        let current = ReportedStates {
            signaling: self.signaling_state(),
            ice_connection: self.ice_connection_state(),
            connection: self.connection_state(),
        };
        let room = MAX_EVENTS.saturating_sub(self.events.len()) >= 3;
        if current == self.reported || !room {
            return;
        }
        let before = std::mem::replace(&mut self.reported, current);
        if before.signaling != current.signaling {
            self.report(PeerEvent::SignalingStateChange(current.signaling));
        }
        if before.ice_connection != current.ice_connection {
            self.report(PeerEvent::IceConnectionStateChange(current.ice_connection));
        }
        if before.connection != current.connection {
            self.report(PeerEvent::ConnectionStateChange(current.connection));
        }
    }
}

impl Machine for Peer {
    type Input<'a> = Received<'a>;
    type Event = PeerEvent;
    type Transmit = Transmit;

    fn handle_input(&mut self, now: Timestamp, received: Received<'_>) {
        if self.life != Life::Open {
            return;
        }
        // STUN ends in the agent. It hands back what has come over a path that it has validated.
        if let Some(payload) = self.ice.handle_datagram(now, received.path, received.datagram) {
            self.handle_payload(now, payload);
        }
        self.settle(now);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        if self.life == Life::Open {
            self.ice.handle_socket_event(now, event);
            self.settle(now);
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.life == Life::Open {
            self.ice.handle_timeout(now);
            self.secure.handle_timeout(now);
            self.settle(now);
        }
    }

    /// Checks first; then records, sealed in place behind the room that the path for data asks for.
    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        let secure = &mut self.secure;
        let write = |buffer: &mut TransmitBuffer| secure.poll_transmit(now, max_segments, buffer);
        match self.life {
            Life::Open => {
                let checks = self.ice.poll_transmit(now, max_segments, buffer);
                let transmit = checks.or_else(|| self.ice.wrap(now, buffer, write));
                if transmit.is_none() {
                    self.end_secure_transport(now);
                }
                transmit
            }
            Life::Closing => {
                // The relays are given back once nothing is left to go through them.
                let last_words = self.ice.wrap(now, buffer, write).or_else(|| {
                    self.ice.close(now);
                    self.ice.poll_transmit(now, max_segments, buffer)
                });
                if last_words.is_none() {
                    self.life = Life::Closed;
                }
                last_words
            }
            Life::Closed => None,
        }
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.ice.poll_socket_request()
    }

    /// The peer's own events first. Those of channels are only taken from the secure transport when they are asked for: messages that nobody reads fill the receive
    /// window and slow the sender down.
    fn poll_event(&mut self) -> Option<PeerEvent> {
        if self.life != Life::Open {
            return None;
        }
        if let Some(event) = self.events.pop_front() {
            self.report_states();
            return Some(event);
        }
        if self.negotiation_needed == NegotiationNeeded::Unreported && self.needs_negotiation() {
            self.negotiation_needed = NegotiationNeeded::Reported;
            return Some(PeerEvent::NegotiationNeeded);
        }
        loop {
            let event = self.secure.poll_event()?;
            if let Some(event) = PeerEvent::from_secure(event) {
                return Some(event);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        match self.life {
            Life::Open => Deadline::earliest(self.ice.poll_timeout(), self.secure.poll_timeout()),
            Life::Closing | Life::Closed => None,
        }
    }
}

/// The other side's parameters, in the words of the secure transport.
fn start_parameters(parameters: &TransportParameters) -> StartParameters {
    let role = match parameters.dtls_role {
        proto_sdp::DtlsRole::Client => proto_dtls_sctp::DtlsRole::Client,
        proto_sdp::DtlsRole::Server => proto_dtls_sctp::DtlsRole::Server,
    };
    let mut start = StartParameters::new(role, usable_fingerprints(parameters.strongest_fingerprints()));
    start.remote_sctp_port = parameters.sctp_port.get();
    start.remote_max_message_size = MaxMessageSize::from_attribute(Some(parameters.max_message_size.to_wire()));
    // Its description was refused if this is no chunk.
    start.remote_init = parameters.sctp_init.as_ref().and_then(|init| InitChunk::from_bytes(init.bytes()).ok());
    start
}

/// The fingerprints whose hash functions can be relied on, in the words of the secure transport.
pub(super) fn usable_fingerprints<'a>(all: impl IntoIterator<Item = &'a Fingerprint>) -> Vec<RemoteFingerprint> {
    let usable = all.into_iter().filter_map(|fingerprint| {
        let algorithm = HashFunction::from_name(fingerprint.algorithm().as_str())?;
        Some(RemoteFingerprint { algorithm, value: fingerprint.bytes().to_vec() })
    });
    usable.collect()
}

fn target(section: &SectionId) -> CandidateTarget<'static> {
    CandidateTarget { index: Some(section.index), ..CandidateTarget::default() }
}
