//! What an agent tells its owner.

use std::net::IpAddr;

use crate::{CandidatePair, IceRole, LocalCandidate};

/// The state of an ICE transport, with the names and meanings of W3C `RTCIceTransportState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IceTransportState {
    /// No remote candidate is known yet.
    New,
    /// Pairs are being checked, none is usable.
    Checking,
    /// A pair is usable; checks, gathering or signalling may go on.
    Connected,
    /// A pair is selected, and nothing is left to do.
    Completed,
    /// Nothing is heard from the other agent for the moment, or everything known has failed and more may come.
    Disconnected,
    /// All has failed. Only an ICE restart can mend it.
    Failed,
    /// The agent was closed.
    Closed,
}

/// The state of gathering, with the names and meanings of W3C `RTCIceGathererState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IceGatheringState {
    /// Gathering has not begun.
    New,
    /// Candidates are being gathered.
    Gathering,
    /// All candidates are known.
    Complete,
}

impl IceGatheringState {
    /// The W3C's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gathering => "gathering",
            Self::Complete => "complete",
        }
    }
}

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IceEvent {
    /// The gathering state is another.
    GatheringStateChange(IceGatheringState),
    /// A candidate to be signalled to the other agent.
    LocalCandidate(LocalCandidate),
    /// There are no more local candidates in this generation; to be signalled (RFC 8838 §13).
    EndOfCandidates,
    /// A socket or a server did not yield a candidate.
    CandidateError(CandidateError),
    /// The state of the transport is another.
    StateChange(IceTransportState),
    /// Another pair is selected for data.
    SelectedCandidatePairChange(CandidatePair),
    /// A role conflict was repaired by taking this role.
    RoleChange(IceRole),
}

/// Why a socket or a server did not yield a candidate: W3C `RTCPeerConnectionIceErrorEvent`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CandidateError {
    /// The local address that was tried, if it comes down to one.
    pub address: Option<IpAddr>,
    /// The local port, if it was open.
    pub port: Option<u16>,
    /// The server, if it comes down to one.
    pub url: Option<String>,
    /// A STUN error code, or 701 (W3C webrtc-pc §4.8.3) if the server could not be reached.
    pub error_code: u16,
    /// The words of the server, or of the system.
    pub error_text: String,
}

impl CandidateError {
    /// The error code of W3C webrtc-pc §4.8.3 for "no host candidate can reach the server".
    pub(crate) const UNREACHABLE: u16 = 701;
}
