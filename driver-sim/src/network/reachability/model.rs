//! Endpoints as symbols, and what two sides learn of them from each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Family;
use super::super::behaviour::Dependence;
use super::super::nat::{Hairpinning, Pooling};
use super::{CandidateKind, Layer, Policy, Relay, Situation};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Endpoint(usize);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Side {
    Left,
    Right,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Left, Self::Right];

    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Server {
    Stun,
    /// All relayed addresses are at the same address.
    Turn,
}

/// Where a side sends from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Base {
    Host(Side, Family),
    /// What the TURN server does for it.
    Relay(Side, Family),
}

impl Base {
    fn side(self) -> Side {
        match self {
            Self::Host(side, _) | Self::Relay(side, _) => side,
        }
    }

    fn family(self) -> Family {
        match self {
            Self::Host(_, family) | Self::Relay(_, family) => family,
        }
    }
}

/// An address of a host, of a NAT or of a server; the shared NAT has one for both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Address {
    Server(Server),
    Own(Base),
    Nat(Base, usize),
    SharedNat(Family, usize),
    /// The own one of a mapping, under arbitrary pooling.
    Mapping(Endpoint),
}

/// What an endpoint is.
#[derive(Clone, Copy, Debug)]
struct Origin {
    family: Family,
    /// `None`: a server's.
    base: Option<Base>,
    address: Address,
    /// What a NAT has mapped to it.
    inner: Option<Endpoint>,
    /// How many layers lie inside of it.
    level: usize,
}

/// As much of a remote endpoint as a behaviour looks at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Scope {
    Any,
    Address(Address),
    Endpoint(Endpoint),
}

#[derive(Debug)]
struct Sent {
    destination: Endpoint,
    /// The source outside of each layer that was passed, the base's own endpoint first.
    sources: Vec<Endpoint>,
}

pub(super) struct Model {
    /// The layers of each base, the shared ones included, and how many the two hosts share.
    layers: BTreeMap<Base, Vec<Layer>>,
    shared: BTreeMap<Family, usize>,
    origins: Vec<Origin>,
    servers: BTreeMap<(Server, Family), Endpoint>,
    /// The endpoint of each base inside of all layers.
    own: BTreeMap<Base, Endpoint>,
    mapped: BTreeMap<(Endpoint, usize, Scope), Endpoint>,
    /// The remote endpoints that each base sends to.
    known: BTreeMap<Base, BTreeSet<Endpoint>>,
    sent: BTreeMap<Base, Vec<Sent>>,
    /// What servers see of each side.
    reflexive: BTreeMap<Side, BTreeSet<Endpoint>>,
}

impl Model {
    /// The pairs that work, with their families.
    pub(super) fn solve(
        situation: &Situation,
        generations: usize,
    ) -> BTreeSet<(Family, (CandidateKind, CandidateKind))> {
        let mut model = Self::new(situation);
        model.gather(situation);
        for _ in 0..generations {
            if !model.exchange() {
                break;
            }
        }
        model.connecting_pairs()
    }

    /// Hosts and servers, which know nothing of each other yet.
    fn new(situation: &Situation) -> Self {
        let mut model = Self {
            layers: BTreeMap::new(),
            shared: situation.shared.families().map(|(family, layers)| (family, layers.len())).collect(),
            origins: Vec::new(),
            servers: BTreeMap::new(),
            own: BTreeMap::new(),
            mapped: BTreeMap::new(),
            known: BTreeMap::new(),
            sent: BTreeMap::new(),
            reflexive: BTreeMap::new(),
        };
        for (family, server) in
            Family::ALL.into_iter().flat_map(|family| [Server::Stun, Server::Turn].map(|server| (family, server)))
        {
            let origin = Origin { family, base: None, address: Address::Server(server), inner: None, level: 0 };
            let endpoint = model.add_endpoint(origin);
            model.servers.insert((server, family), endpoint);
        }
        for (side, around) in Side::BOTH.into_iter().zip(&situation.sides) {
            for (family, layers) in around.families() {
                let shared = situation.shared.layers(family).unwrap_or_default();
                model.add_base(Base::Host(side, family), [layers, shared].concat());
            }
        }
        model
    }

    fn add_endpoint(&mut self, origin: Origin) -> Endpoint {
        self.origins.push(origin);
        Endpoint(self.origins.len() - 1)
    }

    fn add_base(&mut self, base: Base, layers: Vec<Layer>) {
        let address = Address::Own(base);
        let origin = Origin { family: base.family(), base: Some(base), address, inner: None, level: 0 };
        let endpoint = self.add_endpoint(origin);
        self.own.insert(base, endpoint);
        self.layers.insert(base, layers);
        self.known.insert(base, BTreeSet::new());
        self.sent.insert(base, Vec::new());
    }

    /// Both sides learn their server-reflexive and relayed endpoints, and are told each other's candidates.
    fn gather(&mut self, situation: &Situation) {
        let families: BTreeSet<Family> = self.own.keys().map(|base| base.family()).collect();
        let mut candidates: BTreeMap<Side, Vec<Endpoint>> = BTreeMap::new();
        for (side, policy) in Side::BOTH.into_iter().zip(situation.policies) {
            let hosts: Vec<Base> = self.own.keys().copied().filter(|base| base.side() == side).collect();
            let reflexive: Vec<Endpoint> = hosts.iter().filter_map(|&base| self.ask(base, Server::Stun)).collect();
            let mut by_relay = Vec::new();
            if situation.relay == Relay::Udp {
                by_relay.extend(hosts.iter().filter_map(|&base| self.ask(base, Server::Turn)));
            }
            let mut own: Vec<Endpoint> = hosts.iter().map(|base| self.own[base]).collect();
            own.extend(reflexive.iter().chain(&by_relay));
            if policy == Policy::RelayOnly {
                own.clear();
                self.known.retain(|base, _| !hosts.contains(base));
            }
            if !by_relay.is_empty() {
                own.extend(families.iter().map(|&family| self.add_relay(side, family)));
            }
            self.reflexive.insert(side, reflexive.into_iter().chain(by_relay).collect());
            candidates.insert(side, own);
        }
        for (base, known) in &mut self.known {
            let of_family = |endpoint: &&Endpoint| self.origins[endpoint.0].family == base.family();
            known.extend(candidates[&base.side().other()].iter().filter(of_family));
        }
    }

    /// The relayed endpoint.
    fn add_relay(&mut self, side: Side, family: Family) -> Endpoint {
        let base = Base::Relay(side, family);
        self.add_base(base, vec![Layer::nat(Dependence::EndpointIndependent, Dependence::AddressDependent)]);
        // It has one mapping for all destinations: whichever is asked for first.
        let server = self.servers[&(Server::Turn, family)];
        self.sources(base, server).last().copied().unwrap_or(self.own[&base])
    }

    /// How a server sees a host; `None` if nothing comes through to it. What it sends back comes from where the request went, which every layer lets pass.
    fn ask(&mut self, base: Base, server: Server) -> Option<Endpoint> {
        let destination = self.servers[&(server, base.family())];
        self.send(base, destination);
        let sent = self.sent[&base].iter().find(|sent| sent.destination == destination)?;
        sent.sources.get(self.layers[&base].len()).copied()
    }

    /// Sends to all that is known, and learns from what arrives; `false` if that changed nothing.
    fn exchange(&mut self) -> bool {
        let before = self.size();
        for (base, known) in self.known.clone() {
            for destination in known {
                self.send(base, destination);
            }
        }
        for (base, known) in self.known.clone() {
            for destination in known {
                let receiver = self.origins[destination.0].base;
                if let Some((receiver, source)) = receiver.zip(self.arrives_from(base, destination)) {
                    self.known.entry(receiver).or_default().insert(source);
                }
            }
        }
        before != self.size()
    }

    fn size(&self) -> usize {
        self.known.values().map(BTreeSet::len).sum::<usize>() + self.sent.values().map(Vec::len).sum::<usize>()
    }

    fn connecting_pairs(&self) -> BTreeSet<(Family, (CandidateKind, CandidateKind))> {
        let mut pairs = BTreeSet::new();
        for (&base, known) in self.known.iter().filter(|(base, _)| base.side() == Side::Left) {
            for &destination in known {
                let Some(source) = self.arrives_from(base, destination) else { continue };
                let Some(receiver) = self.origins[destination.0].base else { continue };
                // The answer, and the check in the other direction, come from where the request went.
                if self.arrives_from(receiver, source) == Some(destination) {
                    pairs.insert((base.family(), (self.kind(base, source), self.kind(receiver, destination))));
                }
            }
        }
        pairs
    }

    fn kind(&self, base: Base, endpoint: Endpoint) -> CandidateKind {
        match base {
            Base::Relay(..) => CandidateKind::Relayed,
            Base::Host(..) if endpoint == self.own[&base] => CandidateKind::Host,
            Base::Host(side, _) if self.reflexive[&side].contains(&endpoint) => CandidateKind::ServerReflexive,
            Base::Host(..) => CandidateKind::PeerReflexive,
        }
    }

    /// Passes a datagram through the sender's layers, as far as it has to go.
    fn send(&mut self, base: Base, destination: Endpoint) {
        if self.sent[&base].iter().all(|sent| sent.destination != destination) {
            let sources = self.sources(base, destination);
            self.sent.entry(base).or_default().push(Sent { destination, sources });
        }
    }

    /// The sources that a datagram has on the way up.
    fn sources(&mut self, base: Base, destination: Endpoint) -> Vec<Endpoint> {
        let mut sources = vec![self.own[&base]];
        for level in 0..self.layers_to_pass(base, destination) {
            let (Some(&source), layer) = (sources.last(), self.layers[&base][level]) else { break };
            match layer {
                Layer::Nat { mapping, pooling, .. } => {
                    let mapped = self.map(base, source, level, (mapping, pooling), destination);
                    sources.push(mapped);
                }
                Layer::Firewall => sources.push(source),
                Layer::UdpBlocked => break,
            }
        }
        sources
    }

    fn map(
        &mut self,
        base: Base,
        source: Endpoint,
        level: usize,
        (mapping, pooling): (Dependence, Pooling),
        destination: Endpoint,
    ) -> Endpoint {
        let key = (source, level, self.scope(mapping, destination));
        if let Some(&known) = self.mapped.get(&key) {
            return known;
        }
        let next = Endpoint(self.origins.len());
        let own = self.layers[&base].len() - self.shared_by(base, base);
        let address = match (base, pooling) {
            (Base::Relay(..), _) => Address::Server(Server::Turn),
            (_, Pooling::Arbitrary) => Address::Mapping(next),
            (_, Pooling::Paired) if level < own => Address::Nat(base, level),
            (_, Pooling::Paired) => Address::SharedNat(base.family(), level - own),
        };
        let origin = Origin { family: base.family(), base: Some(base), address, inner: Some(source), level: level + 1 };
        self.mapped.insert(key, next);
        self.add_endpoint(origin)
    }

    fn scope(&self, dependence: Dependence, remote: Endpoint) -> Scope {
        match dependence {
            Dependence::EndpointIndependent => Scope::Any,
            Dependence::AddressDependent => Scope::Address(self.origins[remote.0].address),
            Dependence::AddressAndPortDependent => Scope::Endpoint(remote),
        }
    }

    /// How many layers, counted from outside, are around both. A relay is outside of all.
    fn shared_by(&self, one: Base, other: Base) -> usize {
        match (one, other) {
            (Base::Host(..), Base::Host(..)) => self.shared.get(&one.family()).copied().unwrap_or_default(),
            _ => 0,
        }
    }

    /// How many of its own layers a datagram passes on the way up: to the innermost network that both sides share and that knows the destination. All of them if there is none.
    fn layers_to_pass(&self, base: Base, destination: Endpoint) -> usize {
        let depth = self.depth_of_turn(base, destination).unwrap_or(0);
        self.layers[&base].len() - depth
    }

    /// The network in which a datagram to this endpoint turns, as the number of layers outside of it.
    fn depth_of_turn(&self, sender: Base, destination: Endpoint) -> Option<usize> {
        let Origin { base: Some(owner), level, .. } = self.origins[destination.0] else { return Some(0) };
        let (layers, shared) = (&self.layers[&owner], self.shared_by(sender, owner));
        // Firewalls leave the address as it is: it is known on both sides of them.
        let transparent = layers[level..].iter().take_while(|layer| !matches!(layer, Layer::Nat { .. })).count();
        let (innermost, outermost) = (layers.len() - level, layers.len() - level - transparent);
        (outermost <= shared).then(|| innermost.min(shared))
    }

    /// The source with which what one side has sent arrives at the other, if it does.
    fn arrives_from(&self, sender: Base, destination: Endpoint) -> Option<Endpoint> {
        let receiver = self.origins[destination.0].base.filter(|receiver| receiver.side() != sender.side())?;
        let depth = self.depth_of_turn(sender, destination)?;
        let sent = self.sent[&sender].iter().find(|sent| sent.destination == destination)?;
        let source = *sent.sources.get(self.layers[&sender].len() - depth)?;
        let layers = &self.layers[&receiver];
        let mut endpoint = destination;
        for level in (0..layers.len() - depth).rev() {
            let is_turn = level + 1 == layers.len() - depth;
            let is_shared = level >= layers.len() - self.shared_by(sender, receiver);
            endpoint = match layers[level] {
                Layer::Nat { hairpinning: Hairpinning::Off, .. } if is_turn && is_shared => return None,
                Layer::Nat { filtering, .. } => {
                    let inner = self.origins[endpoint.0].inner?;
                    self.passes(receiver, level, endpoint, filtering, source).then_some(inner)?
                }
                Layer::Firewall => self
                    .passes(receiver, level, endpoint, Dependence::AddressAndPortDependent, source)
                    .then_some(endpoint)?,
                Layer::UdpBlocked => return None,
            };
        }
        (endpoint == self.own[&receiver]).then_some(source)
    }

    /// Whether the receiver has sent something through this layer, from this endpoint outside of it, that opens its filter for the source.
    fn passes(&self, receiver: Base, level: usize, outside: Endpoint, filtering: Dependence, source: Endpoint) -> bool {
        let wanted = self.scope(filtering, source);
        self.sent[&receiver].iter().any(|sent| {
            sent.sources.get(level + 1) == Some(&outside) && self.scope(filtering, sent.destination) == wanted
        })
    }
}
