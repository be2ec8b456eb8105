//! What the application decides.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::candidate::is_usable_remote;
use crate::consent::{CONSENT_LIFETIME, MINIMUM_CONSENT_INTERVAL};
use crate::turn::TurnCredentials;

/// How an agent behaves. [`Default`] follows the RFCs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IceConfig {
    /// Where server-reflexive candidates come from. At most [`IceLimits::stun_servers`] are used.
    pub stun_servers: Vec<StunServer>,
    /// Where relayed candidates come from. At most [`IceLimits::turn_servers`] are used.
    pub turn_servers: Vec<RelayServer>,
    /// Which candidates are used at all.
    pub transport_policy: IceTransportPolicy,
    /// Which addresses of this host become candidates.
    pub address_policy: AddressPolicy,
    /// Public addresses that are known to stand for addresses of this host.
    pub one_to_one_nat: OneToOneNat,
    /// Ta: the time between two new transactions (RFC 8445 §14.2). The larger value of the two agents counts. At least 5 ms, and at most
    /// 1 s, whichever agent proposes it. 50 ms by default.
    pub pacing: Duration,
    /// The basic period of consent checks, randomized by 0.8-1.2 (RFC 7675 §5.1). At least 5 s, so that no period is below 4 s, and at most 30 s.
    pub consent_interval: Duration,
    /// How long, a round trip aside, nothing authenticated is heard on the path for data before the state turns to `disconnected`; 13 s by default.
    ///
    /// Of a peer that sends no checks of its own, a lite agent or a silent one, only the answers to our consent checks are heard. These are at most 6 s apart and
    /// are sent once. So two periods and a second more: one lost check alone does not disconnect, two in a row do.
    pub disconnected_timeout: Duration,
    /// How long after the start of checks, and after the last remote candidate, a missing end-of-candidates indication is taken as given
    /// (RFC 8863 §5 allows such a fallback). Never earlier than the PAC timer.
    pub end_of_candidates_fallback: Duration,
    /// The bounds of every table and queue.
    pub limits: IceLimits,
}

impl Default for IceConfig {
    fn default() -> Self {
        Self {
            stun_servers: Vec::new(),
            turn_servers: Vec::new(),
            transport_policy: IceTransportPolicy::default(),
            address_policy: AddressPolicy::default(),
            one_to_one_nat: OneToOneNat::default(),
            pacing: Self::DEFAULT_PACING,
            // RFC 7675 §5.1.
            consent_interval: Duration::from_secs(5),
            disconnected_timeout: Duration::from_secs(13),
            end_of_candidates_fallback: Duration::from_secs(60),
            limits: IceLimits::default(),
        }
    }
}

/// RFC 8445 §14.2: no more than one transaction every 5 ms.
const MINIMUM_PACING: Duration = Duration::from_millis(5);

impl IceConfig {
    /// RFC 8445 §14.2.
    pub(crate) const DEFAULT_PACING: Duration = Duration::from_millis(50);

    /// Ta is never longer, whatever either agent proposes: with a few pairs, checks would not end within any user's patience.
    pub(crate) const MAXIMUM_PACING: Duration = Duration::from_secs(1);

    /// The same configuration with every value inside the range that the RFCs allow.
    pub(crate) fn within_bounds(mut self) -> Self {
        self.pacing = self.pacing.clamp(MINIMUM_PACING, Self::MAXIMUM_PACING);
        // RFC 7675 §5.1: "MUST NOT set the period between checks to less than 4 seconds", the shortest being 0.8 of the basic one.
        // A period beyond the lifetime could not keep consent.
        self.consent_interval = self.consent_interval.clamp(MINIMUM_CONSENT_INTERVAL, CONSENT_LIFETIME);
        self.one_to_one_nat.mappings.retain(AddressMapping::is_usable);
        self.turn_servers.truncate(self.limits.turn_servers.min(MAXIMUM_TURN_SERVERS));
        let room = MAXIMUM_STUN_SERVERS.saturating_sub(self.turn_servers.len());
        self.stun_servers.truncate(self.limits.stun_servers.min(room));
        self
    }
}

/// No configuration goes beyond this many TURN servers: each takes two of the 16 values of the local preference, one for either family.
const MAXIMUM_TURN_SERVERS: usize = 4;

/// No configuration goes beyond this many STUN servers, TURN servers included: the local preference leaves 16 values for each base, one of them for the base itself.
const MAXIMUM_STUN_SERVERS: usize = 15;

/// A STUN server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StunServer {
    /// Its address, or a name that the driver is asked to resolve.
    pub host: StunServerHost,
    /// Its UDP port; 3478 by default (RFC 7064 §3.2).
    pub port: u16,
    /// The URL it was configured with, for events and statistics.
    pub url: String,
}

/// Where a STUN server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StunServerHost {
    /// At an address.
    Address(IpAddr),
    /// At the addresses of a name. The first four of each family are asked, one after the other, until one answers.
    Name(String),
}

/// A TURN server (RFC 8656), reached over UDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayServer {
    /// Its address, or a name that the driver is asked to resolve.
    pub host: StunServerHost,
    /// Its UDP port; 3478 by default (RFC 7065 §3.2).
    pub port: u16,
    /// The URL it was configured with, for events and statistics.
    pub url: String,
    /// Username and password.
    pub credentials: TurnCredentials,
}

/// Which candidates are used: W3C `RTCIceTransportPolicy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IceTransportPolicy {
    /// All of them.
    #[default]
    All,
    /// Relayed ones only. No other is told to anybody, and nothing but messages to TURN servers leaves a socket.
    Relay,
}

/// Which kinds of local addresses become candidates. Unspecified, multicast and IPv4-mapped addresses never do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddressPolicy {
    /// Loopback addresses, which RFC 8445 §5.1.1.1 excludes: for tests and peers on one host.
    pub gather_loopback: bool,
    /// IPv6 and IPv4 link-local addresses.
    pub gather_link_local: bool,
}

/// A NAT that gives addresses of this host public ones, each its own, and leaves ports alone, as clouds have it. Whoever can be reached at a public address is told of it without a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OneToOneNat {
    /// Which address stands for which. Of two that begin alike the first counts; those that are of no use ([`AddressMapping::is_usable`]) are left out.
    pub mappings: Vec<AddressMapping>,
    /// As what the public addresses are told.
    pub candidates: MappedCandidates,
}

/// A public address that stands for an address of this host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressMapping {
    /// That of an interface.
    pub local: IpAddr,
    /// Where the other agent may send to, with the port of the socket.
    pub public: IpAddr,
}

/// As what public addresses of a [`OneToOneNat`] are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MappedCandidates {
    /// As host candidates, in the place of the local addresses: for a host that nobody reaches but from outside.
    #[default]
    Host,
    /// As server-reflexive candidates, beside the host candidates: for a host that is reached from inside as well.
    ServerReflexive,
}

impl AddressMapping {
    /// Whether both addresses are of one family, and packets can be sent to the public one.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.local.is_ipv4() == self.public.is_ipv4() && is_usable_remote(SocketAddr::new(self.public, 1))
    }
}

impl OneToOneNat {
    /// The public address that stands for a local one.
    pub(crate) fn public(&self, local: IpAddr) -> Option<IpAddr> {
        self.mappings.iter().find(|mapping| mapping.local == local).map(|mapping| mapping.public)
    }
}

/// The bound of every table and queue of an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IceLimits {
    /// Candidate pairs (RFC 8445 §6.1.2.5). Failed and then lower-priority pairs make room (RFC 8838 §11).
    pub pairs: usize,
    /// Interface addresses that become sockets, over all calls of `gather`.
    pub interface_addresses: usize,
    /// STUN servers, at most 15 together with the TURN servers.
    pub stun_servers: usize,
    /// TURN servers, at most 4.
    pub turn_servers: usize,
    /// Remote candidates that were signalled.
    pub remote_candidates: usize,
    /// Remote candidates learned from checks. One without a pair, or whose pairs have all failed, makes room.
    pub remote_peer_reflexive_candidates: usize,
    /// Remote candidates learned from checks since a check of our own last succeeded. Where two NATs make the source of every check a new one, there is no end of them, and none is ever of use.
    pub fruitless_peer_reflexive_candidates: usize,
    /// Local candidates learned from responses.
    pub local_peer_reflexive_candidates: usize,
    /// Authenticated checks from different paths that arrived before the remote parameters (RFC 8445 §7.3).
    pub early_checks: usize,
    /// Checks and gathering requests that may still be answered. The oldest that is no longer retransmitted makes room.
    pub transactions: usize,
    /// Responses waiting to be sent; further requests are dropped, as by a network.
    pub responses: usize,
    /// Datagrams held from paths whose validation is under way.
    pub held_datagrams: usize,
}

impl Default for IceLimits {
    fn default() -> Self {
        Self {
            pairs: 100,
            interface_addresses: 16,
            stun_servers: 4,
            turn_servers: 4,
            remote_candidates: 64,
            remote_peer_reflexive_candidates: 16,
            fruitless_peer_reflexive_candidates: 64,
            local_peer_reflexive_candidates: 16,
            early_checks: 16,
            transactions: 256,
            responses: 64,
            held_datagrams: 4,
        }
    }
}
