//! Counters and the report of every pair.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proto_machine::{Path, Timestamp};

use crate::{LocalCandidate, RemoteCandidate};

/// What an agent has done so far.
#[derive(Clone, PartialEq, Debug)]
pub struct IceStatistics {
    /// Every pair that is or was tried and is still remembered, in order of path.
    pub pairs: Vec<CandidatePairStatistics>,
    /// How often the selected pair was replaced, the first selection included.
    pub selected_pair_changes: u64,
    /// Datagrams that were ignored, by reason.
    pub drops: DropCounters,
    /// Stale remote candidates and ends of candidates that were ignored (RFC 8838 §9).
    pub stale_signalling: u64,
}

/// A candidate pair: W3C `RTCIceCandidatePairStats`.
#[derive(Clone, PartialEq, Debug)]
pub struct CandidatePairStatistics {
    /// The local candidate; after validation, the one that the other agent sees.
    pub local: LocalCandidate,
    /// The remote candidate.
    pub remote: RemoteCandidate,
    /// The 5-tuple.
    pub path: Path,
    /// How far checks have come.
    pub state: CandidatePairState,
    /// Whether the pair is nominated.
    pub nominated: bool,
    /// RFC 8445 §6.1.2.3.
    pub priority: u64,
    /// What was sent and received.
    pub counters: PairCounters,
}

/// W3C `RTCStatsIceCandidatePairState`, with the reason of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CandidatePairState {
    /// A pair of the same foundation is checked first.
    Frozen,
    /// Its check is due.
    Waiting,
    /// Its check is under way.
    InProgress,
    /// Its check succeeded.
    Succeeded,
    /// It cannot be used.
    Failed(PairFailure),
}

impl CandidatePairState {
    /// The W3C's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Waiting => "waiting",
            Self::InProgress => "in-progress",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
        }
    }
}

/// Why a pair failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PairFailure {
    /// No response came (RFC 8445 §7.2.5.2.3).
    Timeout,
    /// The response came from or to another address (RFC 8445 §7.2.5.2.1).
    NonSymmetricAddresses,
    /// The response is an error, with its code (RFC 8445 §7.2.5.2.4).
    ErrorResponse(u16),
    /// The response is authentic but not understood (RFC 8489 §6.3.3).
    UnusableResponse,
    /// The socket is gone.
    SocketLost,
    /// The allocation at the TURN server is gone.
    RelayLost,
    /// No response to consent checks for 30 s (RFC 7675 §5.1).
    ConsentExpired,
    /// The other agent, or the end of the secure transport, has revoked consent (RFC 7675 §5.2).
    ConsentRevoked,
}

impl fmt::Display for PairFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no response"),
            Self::NonSymmetricAddresses => f.write_str("the response came from another address"),
            Self::ErrorResponse(code) => write!(f, "error response {code}"),
            Self::UnusableResponse => f.write_str("unusable response"),
            Self::SocketLost => f.write_str("the socket is gone"),
            Self::RelayLost => f.write_str("the allocation at the TURN server is gone"),
            Self::ConsentExpired => f.write_str("consent expired"),
            Self::ConsentRevoked => f.write_str("consent revoked"),
        }
    }
}

/// Traffic of a pair, named as in W3C `RTCIceCandidatePairStats`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PairCounters {
    /// Payload datagrams sent.
    pub packets_sent: u64,
    /// Payload datagrams received.
    pub packets_received: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// When payload was last sent.
    pub last_packet_sent: Option<Timestamp>,
    /// When payload was last received.
    pub last_packet_received: Option<Timestamp>,
    /// The sum of all round-trip times that were measured.
    pub total_round_trip_time: Duration,
    /// The latest round-trip time, from checks and consent checks.
    pub current_round_trip_time: Option<Duration>,
    /// Checks received, retransmissions included.
    pub requests_received: u64,
    /// Checks sent, retransmissions excluded.
    pub requests_sent: u64,
    /// Responses to checks received.
    pub responses_received: u64,
    /// Responses to checks sent.
    pub responses_sent: u64,
    /// Consent checks sent.
    pub consent_requests_sent: u64,
}

/// Why a datagram was ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum DropReason {
    /// The agent is closed.
    Closed,
    /// The first byte belongs to no protocol that is spoken here (RFC 7983 §7).
    UnknownProtocol,
    /// Payload from a path that no check has validated.
    UnvalidatedPath,
    /// Payload from a path under validation, when no more could be held.
    HeldFull,
    /// Not a well-formed STUN message.
    MalformedStun,
    /// STUN without, or with a wrong, FINGERPRINT.
    BadFingerprint,
    /// A STUN method or class with no use here.
    UnexpectedStun,
    /// A STUN message at an address that is none of our sockets.
    UnknownSocket,
    /// A request for another username fragment, or with none.
    WrongUsername,
    /// A request without valid integrity.
    UnauthenticatedRequest,
    /// A response that matches no transaction.
    UnknownTransaction,
    /// A response without valid integrity.
    UnauthenticatedResponse,
    /// A response of a STUN server from or to another address than the request went.
    AsymmetricServerResponse,
    /// A response that could not be used, from a server or with attributes that must be understood and are not.
    UnusableResponse,
    /// A request that came while too many responses were waiting.
    ResponseQueueFull,
    /// A check that was answered but not acted on: too many came before the remote parameters.
    EarlyChecksFull,
    /// A check that was answered but not acted on: its source is one peer-reflexive candidate too many, at a time or in a row without success.
    TooManyPeerReflexive,
    /// A check that was answered but not acted on: it names another remote fragment.
    UnknownRemoteFragment,
    /// A check that was answered but not acted on: no room for its pair, or the pair may not be used any more.
    UnusablePair,
}

/// How many datagrams were ignored for which reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DropCounters(BTreeMap<DropReason, u64>);

impl DropCounters {
    pub(crate) fn count(&mut self, reason: DropReason) {
        let counter = self.0.entry(reason).or_default();
        *counter = counter.saturating_add(1);
    }

    /// How often `reason` occurred.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, &count| sum.saturating_add(count))
    }
}
