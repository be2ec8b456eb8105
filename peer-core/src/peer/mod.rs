//! The peer: `RTCPeerConnection` as a machine.
//!
//! [`settle`](Peer::settle) in `run.rs` is the one place where children's events reach their siblings; `signalling.rs` holds what the application does with
//! descriptions and candidates.

mod pool;
mod run;
mod signalling;

use std::collections::VecDeque;
use std::fmt;

use proto_dtls_sctp::{ChannelKey, ChannelView, CreateDataChannelError, DataChannelOptions, SecureTransport};
use proto_ice::{CandidatePair, IceAgent, IceGatheringState, IceReport, IceRole, InterfaceAddress, PathStanding, turn};
use proto_machine::{Path, Seed, SocketId, Timestamp};
use proto_sdp::{Negotiation, SectionId, TransportParameters};

use self::pool::Pool;
pub use self::signalling::SessionDescriptionInit;
use crate::channel::Channel;
use crate::{
    Configuration, ConfigurationError, IceConnectionState, PeerConnectionState, PeerEvent, PeerStatistics,
    SctpTransportStatistics, SignalingState, TransportStatistics,
};

/// `RTCPeerConnection` (W3C webrtc-pc §4.4): SDP, ICE, DTLS and SCTP joined into one machine.
///
/// Commands and `handle_*` take in what happened; everything that follows from them comes out of the `poll_*` of [`Machine`](proto_machine::Machine). Drain them after each
/// call.
pub struct Peer {
    configuration: Configuration,
    /// `None` until the driver has said what there is.
    interfaces: Option<Vec<InterfaceAddress>>,
    negotiation: Negotiation,
    ice: IceAgent,
    secure: SecureTransport,
    /// `None` before there is an answer.
    transport: Option<Transport>,
    pool: Pool,
    /// The section whose candidates are ours, once a local description has one.
    section: Option<SectionId>,
    life: Life,
    reported: ReportedStates,
    events: VecDeque<PeerEvent>,
    negotiation_needed: NegotiationNeeded,
    candidates_passed_over: u64,
    early_payloads_dropped: u64,
    events_dropped: u64,
}

/// The one bundled transport, once it is negotiated.
struct Transport {
    /// What the other side said of itself, last.
    parameters: TransportParameters,
    stage: Stage,
}

/// How far the secure transport has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// DTLS starts with the first valid pair, so that its timers run on a path (RFC 8445 §12.1).
    AwaitPath,
    /// DTLS was started.
    Started,
    /// DTLS has ended, and its last record has been handed out. There is no way back.
    Ended,
}

/// `[[NegotiationNeeded]]`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NegotiationNeeded {
    No,
    /// The application is to be told when it next asks for events.
    Unreported,
    /// It was told, and nothing has been negotiated since.
    Reported,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Open,
    /// Closed by the application; the last packets wait to be pulled.
    Closing,
    Closed,
}

/// The states that the application knows of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ReportedStates {
    signaling: SignalingState,
    ice_connection: IceConnectionState,
    connection: PeerConnectionState,
}

impl Peer {
    /// A peer that has done nothing yet. All its randomness follows from `seed`, which must never be used for another.
    ///
    /// # Errors
    ///
    /// [`ConfigurationError`] if a URL of an ICE server cannot be used.
    pub fn new(configuration: Configuration, seed: Seed) -> Result<Self, ConfigurationError> {
        let ice_config = configuration.ice_config()?;
        let mut secure_config = configuration.secure_transport.clone();
        if !ice_config.turn_servers.is_empty() {
            // A relay is to take every datagram that the path takes, as it is.
            secure_config.datagram_size -= turn::MAXIMUM_OVERHEAD;
        }
        let session_id = seed.child("session id").into_rng().next_u64();
        Ok(Self {
            // The answerer takes the other role when it learns that it is one (RFC 8445 §6.1.1).
            ice: IceAgent::new(ice_config, IceRole::Controlling, seed.child("ice")),
            secure: SecureTransport::new(secure_config, seed.child("secure transport")),
            pool: Pool::new(configuration.ice_candidate_pool_size),
            configuration,
            interfaces: None,
            negotiation: Negotiation::new(session_id),
            transport: None,
            section: None,
            life: Life::Open,
            reported: ReportedStates {
                signaling: SignalingState::Stable,
                ice_connection: IceConnectionState::New,
                connection: PeerConnectionState::New,
            },
            events: VecDeque::new(),
            negotiation_needed: NegotiationNeeded::No,
            candidates_passed_over: 0,
            early_payloads_dropped: 0,
            events_dropped: 0,
        })
    }

    /// The addresses of this host. Gathering begins as soon as they are known and there is a local description with a section to gather for, or at once with
    /// [`Configuration::ice_candidate_pool_size`]. Addresses that are given while gathering is under way are gathered from as well; once it is complete they have to wait for an ICE restart
    /// (RFC 8445 §9).
    pub fn set_interfaces(&mut self, now: Timestamp, interfaces: &[InterfaceAddress]) {
        self.interfaces = Some(interfaces.to_vec());
        if self.life == Life::Open {
            self.gather(now);
            self.settle(now);
        }
    }

    fn gather(&mut self, now: Timestamp) {
        if let Some(interfaces) = &self.interfaces
            && (self.section.is_some() || self.pool.is_in_use())
            && self.ice.gathering_state() != IceGatheringState::Complete
        {
            self.ice.gather(now, interfaces);
        }
    }

    /// `createDataChannel`: before the connection is negotiated, or at any time after.
    ///
    /// # Errors
    ///
    /// [`CreateDataChannelError`], under the names of the W3C.
    pub fn create_data_channel(
        &mut self,
        now: Timestamp,
        options: DataChannelOptions,
    ) -> Result<ChannelKey, CreateDataChannelError> {
        if self.life != Life::Open {
            return Err(CreateDataChannelError::Closed);
        }
        let key = self.secure.create_channel(now, options)?;
        self.update_negotiation_needed();
        self.settle(now);
        Ok(key)
    }

    /// A channel, for commands. `None` once it is closed.
    pub fn channel(&mut self, key: ChannelKey) -> Option<Channel<'_>> {
        self.secure.channel(key)?;
        Some(Channel { key, secure: &mut self.secure })
    }

    /// All channels that are not closed.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelKey, ChannelView<'_>)> {
        self.secure.channels()
    }

    /// `close`: aborts the association, ends DTLS and releases the sockets; no more events come (W3C webrtc-pc §4.4.2). Drain
    /// [`poll_transmit`](proto_machine::Machine::poll_transmit) so that the other side learns of it.
    pub fn close(&mut self, now: Timestamp) {
        if self.life != Life::Open {
            return;
        }
        self.life = Life::Closing;
        self.events.clear();
        self.secure.close(now);
    }

    /// Whether the peer was closed and has nothing more to send.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.life == Life::Closed
    }

    /// `signalingState`
    #[must_use]
    pub fn signaling_state(&self) -> SignalingState {
        match self.life {
            Life::Open => self.negotiation.signaling_state().into(),
            Life::Closing | Life::Closed => SignalingState::Closed,
        }
    }

    /// `iceGatheringState`: `new` while candidates are gathered for the pool, since there is no transport yet.
    #[must_use]
    pub fn ice_gathering_state(&self) -> IceGatheringState {
        if self.pool.is_in_use() { IceGatheringState::New } else { self.ice.gathering_state() }
    }

    /// `iceConnectionState`
    #[must_use]
    pub fn ice_connection_state(&self) -> IceConnectionState {
        match self.life {
            Life::Open => IceConnectionState::of(self.ice.state()),
            Life::Closing | Life::Closed => IceConnectionState::Closed,
        }
    }

    /// `connectionState`
    #[must_use]
    pub fn connection_state(&self) -> PeerConnectionState {
        match self.life {
            Life::Open => PeerConnectionState::of(self.ice.state(), self.secure.dtls_state()),
            Life::Closing | Life::Closed => PeerConnectionState::Closed,
        }
    }

    /// `sctp.maxMessageSize`: the largest message that can be sent, in bytes, once the other side's limit is known.
    #[must_use]
    pub fn max_message_size(&self) -> Option<usize> {
        self.secure.max_message_size()
    }

    /// `iceTransport.getSelectedCandidatePair()`: the pair that packets are sent on. Before one is nominated, it is the best that is valid (RFC 8445 §12.1).
    #[must_use]
    pub fn selected_candidate_pair(&self) -> Option<CandidatePair> {
        self.ice.data_pair()
    }

    /// The certificate that the other side showed, in DER, once it matched the fingerprint.
    #[must_use]
    pub fn remote_certificate(&self) -> Option<&[u8]> {
        self.secure.remote_certificate()
    }

    /// Our username fragment: what checks for this peer begin with.
    #[must_use]
    pub fn username_fragment(&self) -> &str {
        &self.ice.local_parameters().username_fragment
    }

    /// How sure it is that what comes over this path is for this peer.
    #[must_use]
    pub fn path_standing(&self, path: &Path) -> PathStanding {
        self.ice.path_standing(path)
    }

    /// Why ICE stands as it does: everything that was tried, what became of it, and a verdict in words.
    #[must_use]
    pub fn ice_report(&self) -> IceReport {
        self.ice.report()
    }

    /// The endpoint shares the sockets of this peer with others; those that carry an allocation are to be its own.
    pub(crate) fn separate_relay_sockets(&mut self) {
        self.ice.separate_relay_sockets();
    }

    /// Whether a socket that this peer asks for may not be shared.
    pub(crate) fn is_relay_socket(&self, socket: SocketId) -> bool {
        self.ice.is_relay_socket(socket)
    }

    /// From now on the endpoint says when a check or gathering request may start.
    pub(crate) fn share_transaction_budget(&mut self) {
        self.ice.share_transaction_budget();
    }

    /// One more may start.
    pub(crate) fn allow_transaction(&mut self) {
        self.ice.allow_transaction();
    }

    /// When the next one may start by the peer's own pacing, if there is one to start.
    pub(crate) fn next_transaction_at(&self) -> Option<Timestamp> {
        self.ice.next_transaction_at()
    }

    /// `getStats`, the first of it.
    #[must_use]
    pub fn statistics(&self) -> PeerStatistics {
        let secure = self.secure.statistics();
        PeerStatistics {
            transport: TransportStatistics {
                selected_candidate_pair: self.selected_candidate_pair(),
                ice_role: self.ice.role(),
                ice_local_username_fragment: self.username_fragment().to_owned(),
                dtls_state: self.secure.dtls_state(),
                dtls_role: self.secure.role(),
                tls_version: self.secure.dtls_version(),
                dtls_cipher: self.secure.cipher_suite(),
            },
            sctp: SctpTransportStatistics {
                state: self.secure.sctp_state(),
                max_message_size: self.secure.max_message_size(),
                max_channels: self.secure.max_channels(),
                smoothed_round_trip_time: secure.round_trip_time,
                agreement: secure.sctp_agreement,
            },
            ice: self.ice.statistics(),
            secure,
            candidates_passed_over: self.candidates_passed_over,
            early_payloads_dropped: self.early_payloads_dropped,
            events_dropped: self.events_dropped,
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("signaling", &self.signaling_state())
            .field("connection", &self.connection_state())
            .finish_non_exhaustive()
    }
}
