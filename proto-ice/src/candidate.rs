//! Candidates: the addresses at which an agent may be reached.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use proto_machine::TransportProtocol;

/// How an address was found (RFC 8445 §5.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CandidateType {
    /// An address of an interface.
    Host,
    /// The address that a STUN server sees.
    ServerReflexive,
    /// The address that the other agent sees.
    PeerReflexive,
    /// An address at a TURN server.
    Relayed,
}

impl CandidateType {
    /// RFC 8445 §5.1.2.2.
    const fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::PeerReflexive => 110,
            Self::ServerReflexive => 100,
            Self::Relayed => 0,
        }
    }

    /// The name in SDP (RFC 8839 §5.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

/// The component that carries everything: RTCP is multiplexed, and data has but one (RFC 8445 §4).
pub(crate) const COMPONENT: u16 = 1;

/// RFC 8445 §5.1.2.1.
pub(crate) fn candidate_priority(kind: CandidateType, local_preference: u16) -> u32 {
    (kind.preference() << 24) + (u32::from(local_preference) << 8) + (256 - u32::from(COMPONENT))
}

/// A candidate of this agent, as it is signalled to the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalCandidate {
    /// The same for candidates of equal type, base address, server and protocol (RFC 8445 §5.1.1.3).
    pub foundation: String,
    /// Always 1.
    pub component: u16,
    /// The transport protocol.
    pub protocol: TransportProtocol,
    /// 1 to 2^31 - 1, unique (RFC 8445 §5.1.2).
    pub priority: u32,
    /// Where the other agent may send to.
    pub address: SocketAddr,
    /// How it was found.
    pub kind: CandidateType,
    /// The base of a reflexive candidate; for diagnostics only.
    pub related_address: Option<SocketAddr>,
    /// The socket from which packets of this candidate are sent (RFC 8445 §4).
    pub base: SocketAddr,
    /// The fragment of the generation it belongs to.
    pub username_fragment: String,
    /// The server that it was learned from.
    pub url: Option<String>,
}

/// A candidate of the other agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteCandidate {
    /// As signalled; one learned from a check carries a name that cannot be signalled.
    pub foundation: String,
    /// Always 1: others are refused.
    pub component: u16,
    /// The transport protocol.
    pub protocol: TransportProtocol,
    /// 1 to 2^31 - 1.
    pub priority: u32,
    /// Where to send to. Host names are resolved before they get here.
    pub address: SocketAddr,
    /// How the other agent found it.
    pub kind: CandidateType,
    /// For diagnostics only.
    pub related_address: Option<SocketAddr>,
    /// The fragment of the generation it belongs to; `None` stands for the current one.
    pub username_fragment: Option<String>,
}

/// What the other agent is told of a local candidate, as it will see it.
impl From<LocalCandidate> for RemoteCandidate {
    fn from(local: LocalCandidate) -> Self {
        Self {
            foundation: local.foundation,
            component: local.component,
            protocol: local.protocol,
            priority: local.priority,
            address: local.address,
            kind: local.kind,
            related_address: local.related_address,
            username_fragment: Some(local.username_fragment),
        }
    }
}

/// Why a remote candidate was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddRemoteCandidateError {
    /// There are no remote parameters yet.
    NoRemoteParameters,
    /// It belongs to another generation than the remote parameters.
    UnknownUsernameFragment,
    /// No packet can be sent there: an unspecified, multicast, broadcast or IPv4-mapped address, or port 0.
    UnusableAddress,
    /// Only UDP is spoken.
    UnsupportedProtocol,
    /// Only component 1 is in use.
    UnsupportedComponent,
    /// The priority is not in 1 to 2^31 - 1.
    InvalidPriority,
    /// [`IceLimits::remote_candidates`](crate::IceLimits::remote_candidates) is reached.
    TooManyCandidates,
    /// The end of candidates of this generation has been signalled (RFC 8838 §14).
    AfterEndOfCandidates,
    /// The agent is closed.
    Closed,
}

impl fmt::Display for AddRemoteCandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRemoteParameters => "there are no remote parameters yet",
            Self::UnknownUsernameFragment => "the candidate belongs to another generation",
            Self::UnusableAddress => "no packet can be sent to this address",
            Self::UnsupportedProtocol => "only UDP candidates are supported",
            Self::UnsupportedComponent => "only component 1 is in use",
            Self::InvalidPriority => "the priority is out of range",
            Self::TooManyCandidates => "there are too many remote candidates",
            Self::AfterEndOfCandidates => "the end of candidates has been signalled",
            Self::Closed => "the agent is closed",
        })
    }
}

impl std::error::Error for AddRemoteCandidateError {}

/// A local and a remote candidate between which packets have been exchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CandidatePair {
    /// The local candidate: what the other agent sees as our address (RFC 8445 §7.2.5.3.2).
    pub local: LocalCandidate,
    /// The remote candidate.
    pub remote: RemoteCandidate,
    /// The 5-tuple that packets are sent on, from the base of the local candidate.
    pub path: proto_machine::Path,
}

/// Whether a packet can be sent to this address at all.
pub(crate) fn is_usable_remote(address: SocketAddr) -> bool {
    let usable = match address.ip() {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        // RFC 8445 §5.1.1.1: IPv4-mapped addresses are no candidates.
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none(),
    };
    usable && address.port() != 0
}

/// Whether packets can go from one to the other: one family, and link-local IPv6 only among itself (RFC 8445 §6.1.2.2).
pub(crate) fn can_pair(local: SocketAddr, remote: SocketAddr) -> bool {
    match (local, remote) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => true,
        (SocketAddr::V6(local), SocketAddr::V6(remote)) => {
            local.ip().is_unicast_link_local() == remote.ip().is_unicast_link_local()
        }
        _ => false,
    }
}

/// The address without zone and flow label, which have a meaning on one host only and are not signalled.
pub(crate) fn without_zone(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0)),
    }
}

/// The remote address as the socket at `local` has to be given it: a link-local one needs the zone of the interface.
pub(crate) fn with_zone_of(remote: SocketAddr, local: SocketAddr) -> SocketAddr {
    match (remote, local) {
        (SocketAddr::V6(remote), SocketAddr::V6(local)) if remote.ip().is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(*remote.ip(), remote.port(), 0, local.scope_id()))
        }
        _ => remote,
    }
}
