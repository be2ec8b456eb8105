//! What a peer tells its application.

use std::fmt;

use proto_dtls_sctp::{
    ChannelFailure, ChannelKey, DtlsTransportState, Message, MessageKind, SctpTransportState, SecureError, SecureEvent,
    StartError,
};
use proto_ice::{CandidateError, CandidatePair, IceGatheringState};

use crate::{IceCandidate, IceConnectionState, PeerConnectionState, SignalingState};

/// The events of `RTCPeerConnection`, its transports and its channels, under the names of the W3C.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// `negotiationneeded`: make an offer.
    NegotiationNeeded,
    /// `signalingstatechange`
    SignalingStateChange(SignalingState),
    /// `icegatheringstatechange`
    IceGatheringStateChange(IceGatheringState),
    /// `iceconnectionstatechange`
    IceConnectionStateChange(IceConnectionState),
    /// `connectionstatechange`
    ConnectionStateChange(PeerConnectionState),
    /// `icecandidate`: signal it to the other side. An empty candidate is the end of its generation, `None` the end of gathering, which is not signalled.
    IceCandidate(Option<IceCandidate>),
    /// `icecandidateerror`: a socket or a server yielded no candidate.
    IceCandidateError(CandidateError),
    /// `selectedcandidatepairchange` of the ICE transport.
    SelectedCandidatePairChange(Box<CandidatePair>),
    /// `statechange` of the DTLS transport.
    DtlsStateChange(DtlsTransportState),
    /// `statechange` of the SCTP transport.
    SctpStateChange(SctpTransportState),
    /// `datachannel`: the other side has opened a channel. It is open already.
    DataChannel {
        /// The new channel.
        channel: ChannelKey,
    },
    /// `open` of a channel that this side created.
    ChannelOpen {
        /// The channel.
        channel: ChannelKey,
    },
    /// `message` of a channel.
    Message {
        /// The channel.
        channel: ChannelKey,
        /// What came.
        message: Message,
    },
    /// `bufferedamountlow` of a channel.
    BufferedAmountLow {
        /// The channel.
        channel: ChannelKey,
    },
    /// There is room on a channel again, after a send was refused for want of it.
    Writable {
        /// The channel.
        channel: ChannelKey,
    },
    /// `closing` of a channel: the other side has begun to close it.
    ChannelClosing {
        /// The channel.
        channel: ChannelKey,
    },
    /// `error` of a channel: it is about to be closed by a failure.
    ChannelError {
        /// The channel.
        channel: ChannelKey,
        /// Why.
        error: ChannelFailure,
    },
    /// `close` of a channel. Its key is unknown from now on.
    ChannelClosed {
        /// The channel.
        channel: ChannelKey,
    },
    /// `error` of the DTLS transport: nothing more will be sent or received.
    TransportFailed(SecureError),
    /// The DTLS transport could not be started, because of the certificate or its key.
    TransportRefused(StartError),
    /// More records than is good have been sent with random nonces (DTLS 1.2 with AES-GCM). Comes once.
    NonceWarning,
}

impl PeerEvent {
    /// The same event in the peer's words; `None` for one that a later version of the transport adds.
    pub(crate) fn from_secure(event: SecureEvent) -> Option<Self> {
        Some(match event {
            SecureEvent::DtlsStateChange(state) => Self::DtlsStateChange(state),
            SecureEvent::SctpStateChange(state) => Self::SctpStateChange(state),
            SecureEvent::DataChannel { channel } => Self::DataChannel { channel },
            SecureEvent::ChannelOpen { channel } => Self::ChannelOpen { channel },
            SecureEvent::Message { channel, message } => Self::Message { channel, message },
            SecureEvent::BufferedAmountLow { channel } => Self::BufferedAmountLow { channel },
            SecureEvent::Writable { channel } => Self::Writable { channel },
            SecureEvent::ChannelClosing { channel } => Self::ChannelClosing { channel },
            SecureEvent::ChannelError { channel, error } => Self::ChannelError { channel, error },
            SecureEvent::ChannelClosed { channel } => Self::ChannelClosed { channel },
            SecureEvent::NonceWarning => Self::NonceWarning,
            SecureEvent::Failed(error) => Self::TransportFailed(error),
            _ => return None,
        })
    }
}

/// One line for logs and traces. Payloads are not printed, only their lengths.
impl fmt::Display for PeerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegotiationNeeded => f.write_str("negotiation needed"),
            Self::SignalingStateChange(state) => write!(f, "signaling {state}"),
            Self::IceGatheringStateChange(state) => write!(f, "ice gathering {}", state.name()),
            Self::IceConnectionStateChange(state) => write!(f, "ice {state}"),
            Self::ConnectionStateChange(state) => write!(f, "connection {state}"),
            Self::IceCandidate(Some(candidate)) => write!(f, "candidate {candidate}"),
            Self::IceCandidate(None) => f.write_str("gathering done"),
            Self::IceCandidateError(error) => write!(f, "candidate error {} {}", error.error_code, error.error_text),
            Self::SelectedCandidatePairChange(pair) => {
                let (local, remote) = (&pair.local, &pair.remote);
                write!(f, "selected {} {} -> {}", local.kind.name(), local.address, remote.address)
            }
            Self::DtlsStateChange(state) => write!(f, "dtls {state:?}"),
            Self::SctpStateChange(state) => write!(f, "sctp {state:?}"),
            Self::DataChannel { channel } => write!(f, "{channel:?} opened by the other side"),
            Self::ChannelOpen { channel } => write!(f, "{channel:?} open"),
            Self::Message { channel, message } => {
                let kind = match message.kind {
                    MessageKind::Text => "text",
                    MessageKind::Binary => "binary",
                };
                write!(f, "{channel:?} {kind} message of {} bytes", message.payload.len())
            }
            Self::BufferedAmountLow { channel } => write!(f, "{channel:?} buffered amount low"),
            Self::Writable { channel } => write!(f, "{channel:?} writable"),
            Self::ChannelClosing { channel } => write!(f, "{channel:?} closing"),
            Self::ChannelError { channel, error } => write!(f, "{channel:?} error: {error}"),
            Self::ChannelClosed { channel } => write!(f, "{channel:?} closed"),
            Self::TransportFailed(error) => write!(f, "transport failed: {error}"),
            Self::TransportRefused(error) => write!(f, "transport refused: {error}"),
            Self::NonceWarning => f.write_str("too many records with random nonces"),
        }
    }
}
