//! What a client tells its owner.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::Timestamp;

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TurnEvent {
    /// The server has sent us to another one; [`TurnClient::path`](super::TurnClient::path) goes there from now on. Comes once at the most.
    Redirected(SocketAddr),
    /// There is an allocation.
    Allocated(TurnAllocation),
    /// Packets can go to and come from this address.
    PermissionGranted(IpAddr),
    /// The server refuses to relay to this address.
    PermissionRefused {
        /// The address.
        address: IpAddr,
        /// Why.
        error: TurnError,
    },
    /// Data to this peer goes over a channel from now on.
    ChannelBound(SocketAddr),
    /// The server does not bind a channel; data to this peer goes in Send indications.
    ChannelRefused {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        error: TurnError,
    },
    /// There is no allocation, or there is none any more. The client says nothing further.
    Failed(TurnError),
    /// The allocation was given back, after [`TurnClient::close`](super::TurnClient::close).
    Released,
}

/// What the server has allocated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnAllocation {
    /// The relayed addresses, at most one of each family: relayed candidates.
    pub relayed: Vec<SocketAddr>,
    /// Where the server sees us: a server-reflexive candidate for nothing.
    pub mapped: Option<SocketAddr>,
    /// How long it lasts unless refreshed.
    pub lifetime: Duration,
}

/// Why there is no allocation, permission or channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnError {
    /// What kind of failure it is, and what can be done.
    pub failure: TurnFailure,
    /// The error code of the server, if it sent one.
    pub code: Option<u16>,
    /// The words of the server, or ours.
    pub text: String,
}

/// Kinds of failure (RFC 8656 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TurnFailure {
    /// The server did not answer.
    Timeout,
    /// It answered, and never with valid integrity: the password is wrong on one side, or somebody interferes.
    IntegrityViolated,
    /// 401 in answer to our credentials, or 441: they are not accepted. Trying again is of no use.
    CredentialsRefused,
    /// Its challenge cannot be answered: malformed, too long, weaker than its nonce promises (RFC 8489 §9.2.1), of another realm, or with unknown algorithms only.
    ChallengeRefused,
    /// It found every nonce stale.
    StaleNonce,
    /// A redirection that is not followed: the second one, or one to an unusable address.
    RedirectionRefused,
    /// 437: the 5-tuple is in use. A socket with another port may help; RFC 8656 §7.4 asks for three tries.
    AllocationMismatch,
    /// 486 or 508: the server has no room. Not to be tried again before `until`, at least a minute later. A Binding request may still yield a server-reflexive candidate
    /// (RFC 8445 §5.1.1.2).
    NoCapacity {
        /// When an Allocate may be tried again.
        until: Timestamp,
    },
    /// 440 or 443: not this address family.
    AddressFamily,
    /// Any other error code: 400, 403, 442 and the rest. Trying the same again is of no use.
    Rejected,
    /// Success, but with addresses that were not asked for. The allocation is given back.
    UnusableResponse,
    /// There was an allocation; it is lost, because the server has forgotten it or could not be reached in time.
    AllocationLost,
}

impl TurnError {
    pub(crate) fn new(failure: TurnFailure, text: impl Into<String>) -> Self {
        Self { failure, code: None, text: text.into() }
    }

    /// An error response.
    pub(crate) fn response(now: Timestamp, code: u16, text: String) -> Self {
        let failure = match code {
            401 | 441 => TurnFailure::CredentialsRefused,
            437 => TurnFailure::AllocationMismatch,
            438 => TurnFailure::StaleNonce,
            440 | 443 => TurnFailure::AddressFamily,
            // RFC 8656 §7.4: "at least 1 minute".
            486 | 508 => TurnFailure::NoCapacity { until: now + CAPACITY_PAUSE },
            300 => TurnFailure::RedirectionRefused,
            _ => TurnFailure::Rejected,
        };
        Self { failure, code: Some(code), text }
    }

    /// Whether the server may still be asked for a server-reflexive candidate (RFC 8445 §5.1.1.2).
    #[must_use]
    pub fn allows_binding(&self) -> bool {
        matches!(self.failure, TurnFailure::NoCapacity { .. })
    }
}

/// RFC 8656 §7.4.
const CAPACITY_PAUSE: Duration = Duration::from_secs(60);

impl fmt::Display for TurnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code} {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for TurnError {}

/// Why a message was ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum TurnDropReason {
    /// Neither a TURN message nor ChannelData, or malformed.
    Malformed,
    /// A class or method that servers do not send.
    Unexpected,
    /// A response to nothing that was asked, or that has been answered already.
    UnknownTransaction,
    /// A response without valid integrity, where it must have it (RFC 8489 §9.2.5).
    Unauthenticated,
    /// A challenge that is not answered: an old nonce, another realm, weaker algorithms (RFC 8489 §9.2.1).
    UnusableChallenge,
    /// A response with attributes that must be understood and are not.
    UnknownAttributes,
    /// Data from an address without a permission (RFC 8656 §11.4).
    NoPermission,
    /// ChannelData on a channel that is not bound (RFC 8656 §12.6).
    UnknownChannel,
    /// An ICMP error, which can be forged (RFC 8445 §7.2.5.2.2).
    Icmp,
    /// There is no allocation.
    NoAllocation,
}

/// How many messages were ignored for which reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TurnDropCounters(BTreeMap<TurnDropReason, u64>);

impl TurnDropCounters {
    pub(crate) fn count(&mut self, reason: TurnDropReason) {
        let counter = self.0.entry(reason).or_default();
        *counter = counter.saturating_add(1);
    }

    /// How often `reason` occurred.
    #[must_use]
    pub fn get(&self, reason: TurnDropReason) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, &count| sum.saturating_add(count))
    }
}

/// What is known of a server and of the dealings with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnReport {
    /// The server that is talked to: after a redirection, the other one.
    pub server: SocketAddr,
    /// The server that has redirected us.
    pub redirected_by: Option<SocketAddr>,
    /// What the server says it is. Not authenticated.
    pub software: Option<String>,
    /// The realm of the server.
    pub realm: Option<String>,
    /// How requests are authenticated.
    pub algorithm: Option<&'static str>,
    /// How often the server has found a nonce stale, and been given the next (RFC 8489 §9.2.5).
    pub stale_nonces: u64,
    /// Datagrams relayed for us, as far as we know.
    pub packets_sent: u64,
    /// Datagrams that came through the relay.
    pub packets_received: u64,
    /// Messages that were ignored.
    pub drops: TurnDropCounters,
}
