//! The candidates of both agents, by number. None is ever removed, so a number stays valid; that of a learned remote candidate is given to another one day, when no pair
//! refers to it any more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proto_machine::TransportProtocol;

use crate::candidate::{COMPONENT, candidate_priority, without_zone};
use crate::{CandidateType, IceLimits, LocalCandidate, RemoteCandidate};

/// A local candidate by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LocalId(usize);

/// A remote candidate by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RemoteId(usize);

/// How much an address of this host is preferred: 0 is best. Each leaves 16 local preferences to the reflexive candidates of its servers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct AddressRank(pub(crate) u16);

/// A STUN server by its place in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ServerIndex(pub(crate) u8);

/// The candidates of this agent.
#[derive(Debug)]
pub(crate) struct LocalCandidates {
    entries: Vec<LocalCandidate>,
    /// The rank of the base of each host and relayed candidate.
    hosts: Vec<Host>,
    /// What each foundation stands for; its name is its place, counted from 1.
    foundations: Vec<FoundationKey>,
    username_fragment: String,
    peer_reflexive_limit: usize,
}

/// A host or relayed candidate, which is its own base.
#[derive(Debug)]
struct Host {
    id: LocalId,
    base: SocketAddr,
    rank: AddressRank,
}

/// RFC 8445 §5.1.1.3: candidates with all of this in common share a foundation. The protocol is always UDP.
#[derive(PartialEq, Eq, Debug)]
struct FoundationKey {
    kind: CandidateType,
    base: IpAddr,
    server: Option<IpAddr>,
}

/// What is known of a server-reflexive candidate.
#[derive(Debug)]
pub(crate) struct ServerReflexive<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) base: SocketAddr,
    pub(crate) source: ReflexiveSource<'a>,
}

/// Who says that an address stands for a base.
#[derive(Debug)]
pub(crate) enum ReflexiveSource<'a> {
    Server {
        address: SocketAddr,
        index: ServerIndex,
        url: &'a str,
    },
    /// The application.
    Configuration,
}

/// The local preference of what the application says, behind all servers, of which there are at most 15.
const CONFIGURED: ServerIndex = ServerIndex(15);

/// What is known of a relayed candidate.
#[derive(Debug)]
pub(crate) struct RelayedAddress<'a> {
    pub(crate) address: SocketAddr,
    /// Where the server sees us, if that may be told.
    pub(crate) related: Option<SocketAddr>,
    /// That of the socket that the server is reached from.
    pub(crate) address_rank: AddressRank,
    pub(crate) server: SocketAddr,
    pub(crate) relay_rank: RelayRank,
    pub(crate) url: &'a str,
}

/// A TURN server by its place among the TURN servers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RelayRank(pub(crate) u8);

impl LocalCandidates {
    pub(crate) fn new(username_fragment: String, limits: &IceLimits) -> Self {
        Self {
            entries: Vec::new(),
            hosts: Vec::new(),
            foundations: Vec::new(),
            username_fragment,
            peer_reflexive_limit: limits.local_peer_reflexive_candidates,
        }
    }

    pub(crate) fn get(&self, id: LocalId) -> Option<&LocalCandidate> {
        self.entries.get(id.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LocalCandidate> {
        self.entries.iter()
    }

    /// The candidate that is this base: the host candidate of a socket, or a relayed one.
    pub(crate) fn host_at(&self, base: SocketAddr) -> Option<(LocalId, &LocalCandidate)> {
        let host = self.hosts.iter().find(|host| host.base == base)?;
        Some((host.id, self.get(host.id)?))
    }

    /// The priority that a peer-reflexive candidate of this base would have (RFC 8445 §7.1.1).
    pub(crate) fn peer_reflexive_priority(&self, base: SocketAddr) -> u32 {
        candidate_priority(CandidateType::PeerReflexive, self.local_preference(base, ServerIndex(0)))
    }

    /// Adds the host candidate of a socket, at the public address that stands for it if there is one.
    pub(crate) fn add_host(
        &mut self,
        base: SocketAddr,
        rank: AddressRank,
        public: Option<IpAddr>,
    ) -> Option<&LocalCandidate> {
        if self.host_at(base).is_some() {
            // Another socket with this address was there before and is gone: its candidate has been signalled already.
            return None;
        }
        let id = LocalId(self.entries.len());
        self.hosts.push(Host { id, base, rank });
        let priority = candidate_priority(CandidateType::Host, self.local_preference(base, ServerIndex(0)));
        let address = public.map_or(without_zone(base), |public| SocketAddr::new(public, base.port()));
        self.push(CandidateType::Host, address, base, priority, None);
        self.get(id)
    }

    /// Adds a server-reflexive candidate, unless it is redundant: RFC 8445 §5.1.3, with the proviso of RFC 8838 §9 that the one already known stays.
    pub(crate) fn add_server_reflexive(&mut self, candidate: &ServerReflexive<'_>) -> Option<&LocalCandidate> {
        if self.find(candidate.address, candidate.base).is_some() {
            return None;
        }
        let (server, index, url) = match candidate.source {
            ReflexiveSource::Server { address, index, url } => (Some(address.ip()), index, Some(url.to_owned())),
            ReflexiveSource::Configuration => (None, CONFIGURED, None),
        };
        let preference = self.local_preference(candidate.base, index);
        let priority = candidate_priority(CandidateType::ServerReflexive, preference);
        if self.entries.iter().any(|entry| entry.priority == priority) {
            // RFC 8445 §5.1.2: priorities are unique, and another address of the same server has told a mapping of this base already.
            return None;
        }
        let id = LocalId(self.entries.len());
        self.push(CandidateType::ServerReflexive, candidate.address, candidate.base, priority, server);
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.url = url;
        }
        self.get(id)
    }

    /// Adds a relayed candidate, which is its own base. `None` if there was one at this address before.
    pub(crate) fn add_relayed(&mut self, relayed: &RelayedAddress<'_>) -> Option<&LocalCandidate> {
        if self.host_at(relayed.address).is_some() {
            return None;
        }
        // Each server has two places, one for either family: IPv6 first (RFC 8421 §4).
        let place = relayed.relay_rank.0.saturating_mul(2).saturating_add(u8::from(relayed.address.is_ipv4()));
        let preference = preference_of(relayed.address_rank, ServerIndex(place));
        let priority = candidate_priority(CandidateType::Relayed, preference);
        let id = LocalId(self.entries.len());
        self.hosts.push(Host { id, base: relayed.address, rank: relayed.address_rank });
        let server = Some(relayed.server.ip());
        self.push(CandidateType::Relayed, relayed.address, relayed.address, priority, server);
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.related_address = Some(relayed.related.unwrap_or_else(|| unspecified_like(relayed.address)));
            entry.url = Some(relayed.url.to_owned());
        }
        self.get(id)
    }

    /// The candidate that the other agent sees, a new peer-reflexive one if need be (RFC 8445 §7.2.5.3.1). `None` if that is one too many.
    pub(crate) fn seen_as(&mut self, mapped: SocketAddr, base: SocketAddr, priority: u32) -> Option<LocalId> {
        let elsewhere = |entry: &LocalCandidate| entry.address == without_zone(mapped);
        if let Some(known) = self.find(mapped, base).or_else(|| self.entries.iter().position(elsewhere).map(LocalId)) {
            return Some(known);
        }
        let learned = self.entries.iter().filter(|entry| entry.kind == CandidateType::PeerReflexive).count();
        if learned >= self.peer_reflexive_limit {
            return None;
        }
        let id = LocalId(self.entries.len());
        self.push(CandidateType::PeerReflexive, mapped, base, priority, None);
        Some(id)
    }

    fn find(&self, address: SocketAddr, base: SocketAddr) -> Option<LocalId> {
        let alike = |entry: &LocalCandidate| entry.address == without_zone(address) && entry.base == base;
        self.entries.iter().position(alike).map(LocalId)
    }

    fn push(
        &mut self,
        kind: CandidateType,
        address: SocketAddr,
        base: SocketAddr,
        priority: u32,
        server: Option<IpAddr>,
    ) {
        let foundation = self.foundation(FoundationKey { kind, base: base.ip(), server });
        self.entries.push(LocalCandidate {
            foundation,
            component: COMPONENT,
            protocol: TransportProtocol::Udp,
            priority,
            address,
            kind,
            related_address: (kind != CandidateType::Host).then(|| without_zone(base)),
            base,
            username_fragment: self.username_fragment.clone(),
            url: None,
        });
    }

    fn foundation(&mut self, key: FoundationKey) -> String {
        let place = self.foundations.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.foundations.push(key);
            self.foundations.len() - 1
        });
        (place + 1).to_string()
    }

    fn local_preference(&self, base: SocketAddr, server: ServerIndex) -> u16 {
        let rank = self.hosts.iter().find(|host| host.base == base).map_or(AddressRank(0), |host| host.rank);
        preference_of(rank, server)
    }
}

/// RFC 8445 §5.1.2.1: 65535 for a single address, unique among the candidates of a type.
fn preference_of(AddressRank(rank): AddressRank, ServerIndex(server): ServerIndex) -> u16 {
    u16::MAX.saturating_sub(rank.saturating_mul(16)).saturating_sub(u16::from(server))
}

/// The candidates of the other agent.
#[derive(Debug)]
pub(crate) struct RemoteCandidates {
    entries: Vec<RemoteEntry>,
    signalled_limit: usize,
    learned_limit: usize,
    fruitless_limit: usize,
    /// Learned since a check of ours last succeeded.
    fruitless: usize,
}

#[derive(Debug)]
struct RemoteEntry {
    candidate: RemoteCandidate,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Signalled,
    /// From a check (RFC 8445 §7.3.1.3).
    Learned,
}

/// What became of a signalled candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signalled {
    New(RemoteId),
    /// It was learned from a check before, and has its proper name now.
    Replaced(RemoteId),
    Known,
    TooMany,
}

/// The candidate that a check came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CheckSource {
    Known(RemoteId),
    New(RemoteId),
    /// A new one with the number of one that was out of use.
    Reused(RemoteId),
}

impl RemoteCandidates {
    pub(crate) fn new(limits: &IceLimits) -> Self {
        Self {
            entries: Vec::new(),
            signalled_limit: limits.remote_candidates,
            learned_limit: limits.remote_peer_reflexive_candidates,
            fruitless_limit: limits.fruitless_peer_reflexive_candidates,
            fruitless: 0,
        }
    }

    pub(crate) fn get(&self, id: RemoteId) -> Option<&RemoteCandidate> {
        self.entries.get(id.0).map(|entry| &entry.candidate)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RemoteCandidate> {
        self.entries.iter().map(|entry| &entry.candidate)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The candidates that are paired with every base: those that were signalled. RFC 8445 §7.3.1.3: a learned one is not paired.
    pub(crate) fn signalled_ids(&self) -> impl Iterator<Item = RemoteId> {
        let signalled = self.entries.iter().enumerate().filter(|(_, entry)| entry.origin == Origin::Signalled);
        signalled.map(|(index, _)| RemoteId(index)).collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn knows_signalled(&self, address: SocketAddr) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.candidate.address == without_zone(address) && entry.origin == Origin::Signalled)
    }

    pub(crate) fn add_signalled(&mut self, mut candidate: RemoteCandidate) -> Signalled {
        candidate.address = without_zone(candidate.address);
        match self.entries.iter().position(|entry| entry.candidate.address == candidate.address) {
            Some(index) => self.replace_learned(index, candidate),
            None if self.count(Origin::Signalled) >= self.signalled_limit => Signalled::TooMany,
            None => Signalled::New(self.push(candidate, Origin::Signalled)),
        }
    }

    /// The candidate that a check came from, a new peer-reflexive one if need be (RFC 8445 §7.3.1.3). `None` if that is one too many, and `is_in_use` says yes to every
    /// learned one.
    pub(crate) fn source_of_check(
        &mut self,
        address: SocketAddr,
        priority: u32,
        is_in_use: impl Fn(RemoteId) -> bool,
    ) -> Option<CheckSource> {
        let address = without_zone(address);
        if let Some(index) = self.entries.iter().position(|entry| entry.candidate.address == address) {
            return Some(CheckSource::Known(RemoteId(index)));
        }
        if self.fruitless >= self.fruitless_limit {
            return None;
        }
        if self.count(Origin::Learned) < self.learned_limit {
            self.fruitless += 1;
            let candidate = peer_reflexive(self.entries.len(), address, priority);
            return Some(CheckSource::New(self.push(candidate, Origin::Learned)));
        }
        let is_free = |(index, entry): &(usize, &mut RemoteEntry)| {
            entry.origin == Origin::Learned && !is_in_use(RemoteId(*index))
        };
        let (index, entry) = self.entries.iter_mut().enumerate().find(is_free)?;
        self.fruitless += 1;
        entry.candidate = peer_reflexive(index, address, priority);
        Some(CheckSource::Reused(RemoteId(index)))
    }

    /// A check of ours has succeeded: what is learned from now on may be of use.
    pub(crate) fn check_succeeded(&mut self) {
        self.fruitless = 0;
    }

    fn replace_learned(&mut self, index: usize, candidate: RemoteCandidate) -> Signalled {
        match self.entries.get_mut(index) {
            Some(entry) if entry.origin == Origin::Learned => {
                *entry = RemoteEntry { candidate, origin: Origin::Signalled };
                Signalled::Replaced(RemoteId(index))
            }
            _ => Signalled::Known,
        }
    }

    fn push(&mut self, candidate: RemoteCandidate, origin: Origin) -> RemoteId {
        self.entries.push(RemoteEntry { candidate, origin });
        RemoteId(self.entries.len() - 1)
    }

    fn count(&self, origin: Origin) -> usize {
        self.entries.iter().filter(|entry| entry.origin == origin).count()
    }
}

/// No address at all, of the same family.
fn unspecified_like(address: SocketAddr) -> SocketAddr {
    let ip = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 0)
}

/// A candidate that a check tells of. Its foundation is different from all others (RFC 8445 §7.3.1.3): numbers are, and "~" is no ice-char, so nothing
/// signalled can be equal.
fn peer_reflexive(index: usize, address: SocketAddr, priority: u32) -> RemoteCandidate {
    RemoteCandidate {
        foundation: format!("~{index}"),
        component: COMPONENT,
        protocol: TransportProtocol::Udp,
        priority,
        address,
        kind: CandidateType::PeerReflexive,
        related_address: None,
        username_fragment: None,
    }
}
