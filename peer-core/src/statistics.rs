//! What a peer has done so far: the first of the W3C's statistics.

use std::time::Duration;

use proto_dtls_sctp::{
    CipherSuite, DtlsRole, DtlsTransportState, DtlsVersion, SctpAgreement, SctpTransportState, SecureStatistics,
};
use proto_ice::{CandidatePair, IceRole, IceStatistics};

/// A snapshot, by [`Peer::statistics`](crate::Peer::statistics). Those of channels are in their [`ChannelView`](crate::ChannelView).
#[derive(Clone, PartialEq, Debug)]
pub struct PeerStatistics {
    /// `transport`: ICE and DTLS.
    pub transport: TransportStatistics,
    /// `sctp-transport`
    pub sctp: SctpTransportStatistics,
    /// `candidate-pair`, `local-candidate`, `remote-candidate`, and datagrams that were dropped, by reason.
    pub ice: IceStatistics,
    /// Records, SCTP, channels, and what was dropped.
    pub secure: SecureStatistics,
    /// Remote candidates that were passed over: names, and protocols or types that are not supported.
    pub candidates_passed_over: u64,
    /// Payload that came before the description that says what to do with it.
    pub early_payloads_dropped: u64,
    /// Events that were not kept, since 512 others waited to be polled. Changes of the signaling, ICE connection and connection states are not among them: they are reported
    /// late, as what they have become.
    pub events_dropped: u64,
}

/// `RTCTransportStats` (W3C webrtc-stats §8.16).
#[derive(Clone, PartialEq, Debug)]
pub struct TransportStatistics {
    /// `selectedCandidatePairId`, as the pair itself: the one that packets are sent on.
    pub selected_candidate_pair: Option<CandidatePair>,
    /// `iceRole`
    pub ice_role: IceRole,
    /// `iceLocalUsernameFragment`
    pub ice_local_username_fragment: String,
    /// `dtlsState`
    pub dtls_state: DtlsTransportState,
    /// `dtlsRole`, once it is known.
    pub dtls_role: Option<DtlsRole>,
    /// `tlsVersion`, once it is known.
    pub tls_version: Option<DtlsVersion>,
    /// `dtlsCipher`, once it is known.
    pub dtls_cipher: Option<CipherSuite>,
}

/// `RTCSctpTransportStats` (W3C webrtc-provisional-stats §4.8), and what `RTCSctpTransport` tells (W3C webrtc-pc §6.1.1).
#[derive(Clone, PartialEq, Debug)]
pub struct SctpTransportStatistics {
    /// `state`
    pub state: SctpTransportState,
    /// `maxMessageSize`: the largest message that can be sent, in bytes, once the other side's limit is known.
    pub max_message_size: Option<usize>,
    /// `maxChannels`, while the association is established.
    pub max_channels: Option<u16>,
    /// `smoothedRoundTripTime`; that of the DTLS handshake or of ICE until SCTP has measured its own.
    pub smoothed_round_trip_time: Option<Duration>,
    /// How the association came about, the numbers of its streams, and the extensions in use. It has no name in the standards.
    pub agreement: Option<SctpAgreement>,
}
