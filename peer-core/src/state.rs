//! The states of a peer connection, with the names of the W3C, and how they follow from those of its transports.

use std::fmt;

use proto_dtls_sctp::DtlsTransportState;
use proto_ice::IceTransportState;

/// `RTCSignalingState`: where the offer/answer exchange stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalingState {
    /// Nothing is being negotiated.
    Stable,
    /// A local offer waits for its answer.
    HaveLocalOffer,
    /// A remote offer waits for an answer.
    HaveRemoteOffer,
    /// A remote offer was answered provisionally.
    HaveLocalPranswer,
    /// A local offer was answered provisionally.
    HaveRemotePranswer,
    /// The peer is closed.
    Closed,
}

impl From<proto_sdp::SignalingState> for SignalingState {
    fn from(state: proto_sdp::SignalingState) -> Self {
        match state {
            proto_sdp::SignalingState::Stable => Self::Stable,
            proto_sdp::SignalingState::HaveLocalOffer => Self::HaveLocalOffer,
            proto_sdp::SignalingState::HaveRemoteOffer => Self::HaveRemoteOffer,
            proto_sdp::SignalingState::HaveLocalPranswer => Self::HaveLocalPranswer,
            proto_sdp::SignalingState::HaveRemotePranswer => Self::HaveRemotePranswer,
        }
    }
}

impl SignalingState {
    /// The W3C's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::HaveLocalOffer => "have-local-offer",
            Self::HaveRemoteOffer => "have-remote-offer",
            Self::HaveLocalPranswer => "have-local-pranswer",
            Self::HaveRemotePranswer => "have-remote-pranswer",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for SignalingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `RTCIceConnectionState`: the states of the ICE transports, put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IceConnectionState {
    /// No checks yet.
    New,
    /// Checks are under way.
    Checking,
    /// A usable pair was found; checks may go on.
    Connected,
    /// A pair is selected and nothing is left to do.
    Completed,
    /// Nothing is heard at the moment. It may mend itself.
    Disconnected,
    /// All candidate pairs have failed.
    Failed,
    /// The peer is closed.
    Closed,
}

impl IceConnectionState {
    /// One transport carries everything (BUNDLE), so its state is the state.
    pub(crate) const fn of(transport: IceTransportState) -> Self {
        match transport {
            IceTransportState::New => Self::New,
            IceTransportState::Checking => Self::Checking,
            IceTransportState::Connected => Self::Connected,
            IceTransportState::Completed => Self::Completed,
            IceTransportState::Disconnected => Self::Disconnected,
            IceTransportState::Failed => Self::Failed,
            IceTransportState::Closed => Self::Closed,
        }
    }

    /// The W3C's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Checking => "checking",
            Self::Connected => "connected",
            Self::Completed => "completed",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for IceConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `RTCPeerConnectionState`: the states of the ICE and DTLS transports, put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerConnectionState {
    /// Nothing has begun.
    New,
    /// ICE or DTLS is on its way.
    Connecting,
    /// ICE and DTLS are connected.
    Connected,
    /// ICE hears nothing at the moment. It may mend itself.
    Disconnected,
    /// ICE or DTLS has failed.
    Failed,
    /// The peer is closed.
    Closed,
}

impl PeerConnectionState {
    /// W3C webrtc-pc §4.3.3: the first row that applies.
    pub(crate) const fn of(ice: IceTransportState, dtls: DtlsTransportState) -> Self {
        match (ice, dtls) {
            (IceTransportState::Failed, _) | (_, DtlsTransportState::Failed) => Self::Failed,
            (IceTransportState::Disconnected, _) => Self::Disconnected,
            (
                IceTransportState::New | IceTransportState::Closed,
                DtlsTransportState::New | DtlsTransportState::Closed,
            ) => Self::New,
            (
                IceTransportState::Connected | IceTransportState::Completed,
                DtlsTransportState::Connected | DtlsTransportState::Closed,
            ) => Self::Connected,
            _ => Self::Connecting,
        }
    }

    /// The W3C's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for PeerConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_state_is_the_first_row_of_the_table_that_applies() {
        use {DtlsTransportState as Dtls, IceTransportState as Ice, PeerConnectionState as State};
        for (ice, dtls, expected) in [
            (Ice::Failed, Dtls::Connected, State::Failed),
            (Ice::Connected, Dtls::Failed, State::Failed),
            (Ice::Disconnected, Dtls::Connected, State::Disconnected),
            (Ice::New, Dtls::New, State::New),
            (Ice::Checking, Dtls::New, State::Connecting),
            (Ice::Connected, Dtls::New, State::Connecting),
            (Ice::Connected, Dtls::Connecting, State::Connecting),
            (Ice::Connected, Dtls::Connected, State::Connected),
            (Ice::Completed, Dtls::Connected, State::Connected),
            (Ice::Completed, Dtls::Closed, State::Connected),
        ] {
            assert_eq!(State::of(ice, dtls), expected, "{ice:?} {dtls:?}");
        }
    }
}
