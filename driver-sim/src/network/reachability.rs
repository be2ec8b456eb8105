//! Which candidates connect two hosts: a model of NATs on paper, to compare agents and the [`Nat`](super::Nat) itself with.
//!
//! It knows neither time nor ports nor tables. Endpoints are symbols: a host, or what a layer makes of an endpoint for a remote one. Two sides exchange their host and server-reflexive
//! candidates, send to every remote endpoint that they know, and learn the sources of what arrives, until nothing new is learned. A path works if a request arrives, and its response comes
//! from exactly where the request went (RFC 8445 §7.2.5.2.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::behaviour::Dependence;
use super::nat::{Hairpinning, Pooling};

/// What lies between a host and the network outside of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// A NAT.
    Nat {
        /// What its mappings depend on.
        mapping: Dependence,
        /// What its filters depend on.
        filtering: Dependence,
        /// Whether hosts behind it reach each other over its external address.
        hairpinning: Hairpinning,
        /// Whether each mapping has an external address of its own; with [`Pooling::Arbitrary`] no two have the same one here.
        pooling: Pooling,
    },
    /// A stateful firewall that lets answers pass from exactly where was written to.
    Firewall,
    /// A firewall that passes no UDP.
    UdpBlocked,
}

impl Layer {
    /// A NAT that does not hairpin, with one external address.
    #[must_use]
    pub const fn nat(mapping: Dependence, filtering: Dependence) -> Self {
        Self::Nat { mapping, filtering, hairpinning: Hairpinning::Off, pooling: Pooling::Paired }
    }

    /// The same with this hairpinning, if it is a NAT.
    #[must_use]
    pub const fn with_hairpinning(self, hairpinning: Hairpinning) -> Self {
        match self {
            Self::Nat { mapping, filtering, pooling, .. } => Self::Nat { mapping, filtering, hairpinning, pooling },
            other => other,
        }
    }

    /// The same with this pooling, if it is a NAT.
    #[must_use]
    pub const fn with_pooling(self, pooling: Pooling) -> Self {
        match self {
            Self::Nat { mapping, filtering, hairpinning, .. } => Self::Nat { mapping, filtering, hairpinning, pooling },
            other => other,
        }
    }
}

/// The label of a NAT, such as `EP`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nat { mapping, filtering, .. } => write!(f, "{mapping}{filtering}"),
            Self::Firewall => f.write_str("fw"),
            Self::UdpBlocked => f.write_str("UDP blocked"),
        }
    }
}

/// The type of a candidate, as one letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CandidateKind {
    /// `r`: an address at a relay. The model never names it.
    Relayed,
    /// `s`: what a STUN server sees.
    ServerReflexive,
    /// `p`: what only the other side sees.
    PeerReflexive,
    /// `h`: an address of the host.
    Host,
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "h",
            Self::ServerReflexive => "s",
            Self::PeerReflexive => "p",
            Self::Relayed => "r",
        })
    }
}

/// The pairs that connect two hosts without a relay, each as the type of the left and of the right side's own candidate. Empty if a relay is needed.
///
/// Each side has the layers that are its own, from the host outwards; behind them come the layers that both share, again outwards. Two hosts of one LAN share all layers.
#[must_use]
pub fn connecting_pairs(left: &[Layer], right: &[Layer], shared: &[Layer]) -> BTreeSet<(CandidateKind, CandidateKind)> {
    let mut model = Model::new(left, right, shared);
    model.gather();
    // Where both mappings depend on ports, each side learns a new endpoint of the other from each of its own, without end and without ever meeting: a few generations tell.
    (0..GENERATIONS).find(|_| !model.exchange());
    model.connecting_pairs()
}

const GENERATIONS: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Endpoint(usize);

/// An address of a host, of a NAT or of the STUN server; the shared NAT has one for both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Address {
    Server,
    Host(Side),
    Nat(Side, usize),
    SharedNat(usize),
    /// The own one of a mapping, under arbitrary pooling.
    Mapping(Endpoint),
}

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

/// What an endpoint is.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// `None`: the STUN server's.
    side: Option<Side>,
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
    /// The source outside of each layer that was passed, the host's own endpoint first.
    sources: Vec<Endpoint>,
}

struct Model {
    /// The layers of each side, the shared ones included, and how many are shared.
    layers: BTreeMap<Side, Vec<Layer>>,
    shared: usize,
    origins: Vec<Origin>,
    mapped: BTreeMap<(Endpoint, usize, Scope), Endpoint>,
    known: BTreeMap<Side, BTreeSet<Endpoint>>,
    sent: BTreeMap<Side, Vec<Sent>>,
    reflexive: BTreeMap<Side, Endpoint>,
}

const SERVER: Endpoint = Endpoint(0);

impl Model {
    fn new(left: &[Layer], right: &[Layer], shared: &[Layer]) -> Self {
        let server = Origin { side: None, address: Address::Server, inner: None, level: 0 };
        let host = |side| Origin { side: Some(side), address: Address::Host(side), inner: None, level: 0 };
        Self {
            layers: BTreeMap::from([(Side::Left, [left, shared].concat()), (Side::Right, [right, shared].concat())]),
            shared: shared.len(),
            origins: vec![server, host(Side::Left), host(Side::Right)],
            mapped: BTreeMap::new(),
            known: BTreeMap::from(Side::BOTH.map(|side| (side, BTreeSet::new()))),
            sent: BTreeMap::from(Side::BOTH.map(|side| (side, Vec::new()))),
            reflexive: BTreeMap::new(),
        }
    }

    fn host(side: Side) -> Endpoint {
        match side {
            Side::Left => Endpoint(1),
            Side::Right => Endpoint(2),
        }
    }

    /// Both sides learn their server-reflexive endpoints, and are told each other's candidates.
    fn gather(&mut self) {
        for side in Side::BOTH {
            self.send(side, SERVER);
            let passed = self.layers[&side].len();
            let source = self.sent[&side].first().and_then(|sent| sent.sources.get(passed)).copied();
            self.reflexive.extend(source.map(|source| (side, source)));
        }
        for side in Side::BOTH {
            let candidates = [Some(Self::host(side.other())), self.reflexive.get(&side.other()).copied()];
            self.known.entry(side).or_default().extend(candidates.into_iter().flatten());
        }
    }

    /// Sends to all that is known, and learns from what arrives; `false` if that changed nothing.
    fn exchange(&mut self) -> bool {
        let before: usize = self.known.values().map(BTreeSet::len).sum::<usize>() + self.sent_count();
        for side in Side::BOTH {
            for destination in self.known[&side].clone() {
                self.send(side, destination);
            }
        }
        for side in Side::BOTH {
            let arrived: Vec<Endpoint> =
                self.known[&side].iter().filter_map(|&destination| self.arrives_from(side, destination)).collect();
            self.known.entry(side.other()).or_default().extend(arrived);
        }
        before != self.known.values().map(BTreeSet::len).sum::<usize>() + self.sent_count()
    }

    fn sent_count(&self) -> usize {
        self.sent.values().map(Vec::len).sum()
    }

    fn connecting_pairs(&self) -> BTreeSet<(CandidateKind, CandidateKind)> {
        let mut pairs = BTreeSet::new();
        for &destination in &self.known[&Side::Left] {
            let Some(source) = self.arrives_from(Side::Left, destination) else { continue };
            // The answer, and the check in the other direction, come from where the request went.
            if self.arrives_from(Side::Right, source) == Some(destination) {
                pairs.insert((self.kind(Side::Left, source), self.kind(Side::Right, destination)));
            }
        }
        pairs
    }

    fn kind(&self, side: Side, endpoint: Endpoint) -> CandidateKind {
        if endpoint == Self::host(side) {
            CandidateKind::Host
        } else if self.reflexive.get(&side) == Some(&endpoint) {
            CandidateKind::ServerReflexive
        } else {
            CandidateKind::PeerReflexive
        }
    }

    /// Passes a datagram through the sender's layers, as far as it has to go.
    fn send(&mut self, side: Side, destination: Endpoint) {
        if self.sent[&side].iter().any(|sent| sent.destination == destination) {
            return;
        }
        let passed = self.layers_to_pass(side, destination);
        let mut sources = vec![Self::host(side)];
        for level in 0..passed {
            let (Some(&source), layer) = (sources.last(), self.layers[&side][level]) else { break };
            match layer {
                Layer::Nat { mapping, pooling, .. } => {
                    let mapped = self.map(side, source, level, (mapping, pooling), destination);
                    sources.push(mapped);
                }
                Layer::Firewall => sources.push(source),
                Layer::UdpBlocked => break,
            }
        }
        self.sent.entry(side).or_default().push(Sent { destination, sources });
    }

    fn map(
        &mut self,
        side: Side,
        source: Endpoint,
        level: usize,
        (mapping, pooling): (Dependence, Pooling),
        destination: Endpoint,
    ) -> Endpoint {
        let own = self.layers[&side].len() - self.shared;
        let scope = self.scope(mapping, destination);
        let next = Endpoint(self.origins.len());
        let address = match pooling {
            Pooling::Arbitrary => Address::Mapping(next),
            Pooling::Paired if level < own => Address::Nat(side, level),
            Pooling::Paired => Address::SharedNat(level - own),
        };
        let mapped = *self.mapped.entry((source, level, scope)).or_insert(next);
        if mapped == next {
            self.origins.push(Origin { side: Some(side), address, inner: Some(source), level: level + 1 });
        }
        mapped
    }

    fn scope(&self, dependence: Dependence, remote: Endpoint) -> Scope {
        match dependence {
            Dependence::EndpointIndependent => Scope::Any,
            Dependence::AddressDependent => Scope::Address(self.origins[remote.0].address),
            Dependence::AddressAndPortDependent => Scope::Endpoint(remote),
        }
    }

    /// How many of its own layers a datagram passes on the way up: to the innermost network that both sides share and that knows the destination. All of them if there is none.
    fn layers_to_pass(&self, side: Side, destination: Endpoint) -> usize {
        let depth = self.depth_of_turn(destination).unwrap_or(0);
        self.layers[&side].len() - depth
    }

    /// The network in which a datagram to this endpoint turns, as the number of layers outside of it.
    fn depth_of_turn(&self, destination: Endpoint) -> Option<usize> {
        let Origin { side: Some(owner), level, .. } = self.origins[destination.0] else { return Some(0) };
        let layers = &self.layers[&owner];
        // Firewalls leave the address as it is: it is known on both sides of them.
        let transparent = layers[level..].iter().take_while(|layer| !matches!(layer, Layer::Nat { .. })).count();
        let (innermost, outermost) = (layers.len() - level, layers.len() - level - transparent);
        (outermost <= self.shared).then(|| innermost.min(self.shared))
    }

    /// The source with which what one side has sent arrives at the other, if it does.
    fn arrives_from(&self, sender: Side, destination: Endpoint) -> Option<Endpoint> {
        let receiver = self.origins[destination.0].side.filter(|&side| side != sender)?;
        let depth = self.depth_of_turn(destination)?;
        let sent = self.sent[&sender].iter().find(|sent| sent.destination == destination)?;
        let source = *sent.sources.get(self.layers[&sender].len() - depth)?;
        let layers = &self.layers[&receiver];
        let mut endpoint = destination;
        for level in (0..layers.len() - depth).rev() {
            let is_turn = level + 1 == layers.len() - depth;
            let is_shared = level >= layers.len() - self.shared;
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
        (endpoint == Self::host(receiver)).then_some(source)
    }

    /// Whether the receiver has sent something through this layer, from this endpoint outside of it, that opens its filter for the source.
    fn passes(&self, receiver: Side, level: usize, outside: Endpoint, filtering: Dependence, source: Endpoint) -> bool {
        let wanted = self.scope(filtering, source);
        self.sent[&receiver].iter().any(|sent| {
            sent.sources.get(level + 1) == Some(&outside) && self.scope(filtering, sent.destination) == wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: Dependence = Dependence::EndpointIndependent;
    const A: Dependence = Dependence::AddressDependent;
    const P: Dependence = Dependence::AddressAndPortDependent;

    /// The eleven kinds of hosts, in the order of the table.
    fn hosts() -> Vec<(&'static str, Vec<Layer>)> {
        let nat = |mapping, filtering| vec![Layer::nat(mapping, filtering)];
        vec![
            ("pub", vec![]),
            ("fw", vec![Layer::Firewall]),
            ("EE", nat(E, E)),
            ("EA", nat(E, A)),
            ("EP", nat(E, P)),
            ("AE", nat(A, E)),
            ("AA", nat(A, A)),
            ("AP", nat(A, P)),
            ("PE", nat(P, E)),
            ("PA", nat(P, A)),
            ("PP", nat(P, P)),
        ]
    }

    /// Worked out apart from this model.
    const TABLE: [&str; 11] = [
        "h/h h/h h/s h/s h/s h/p h/p h/p h/p h/p h/p",
        "h/h h/h h/s h/s h/s  R   R   R   R   R   R ",
        "s/h s/h s/s s/s s/s s/p s/p s/p s/p s/p s/p",
        "s/h s/h s/s s/s s/s s/p s/p s/p s/p s/p s/p",
        "s/h s/h s/s s/s s/s  R   R   R   R   R   R ",
        "p/h  R  p/s p/s  R  p/p p/p  R  p/p p/p  R ",
        "p/h  R  p/s p/s  R  p/p  R   R  p/p  R   R ",
        "p/h  R  p/s p/s  R   R   R   R   R   R   R ",
        "p/h  R  p/s p/s  R  p/p p/p  R   R   R   R ",
        "p/h  R  p/s p/s  R  p/p  R   R   R   R   R ",
        "p/h  R  p/s p/s  R   R   R   R   R   R   R ",
    ];

    fn cell(left: &[Layer], right: &[Layer], shared: &[Layer]) -> String {
        let pairs = connecting_pairs(left, right, shared);
        let words: Vec<String> = pairs.iter().rev().map(|(left, right)| format!("{left}/{right}")).collect();
        if words.is_empty() { "R".to_owned() } else { words.join(" ") }
    }

    #[test]
    fn the_model_says_what_the_table_says_in_each_of_its_121_cells() {
        for ((row, left), cells) in hosts().iter().zip(TABLE) {
            for ((column, right), expected) in hosts().iter().zip(cells.split_whitespace()) {
                assert_eq!(cell(left, right, &[]), expected, "{row} against {column}");
            }
        }
    }

    #[test]
    fn two_hosts_of_one_lan_connect_directly_whatever_is_around_them() {
        for (name, layers) in hosts() {
            assert!(cell(&[], &[], &layers).starts_with("h/h"), "{name}");
        }
    }

    #[test]
    fn two_homes_behind_a_carrier_nat_connect_exactly_if_it_hairpins_and_maps_endpoint_independently() {
        let home = [Layer::nat(E, P)];
        for mapping in Dependence::ALL {
            for filtering in Dependence::ALL {
                for hairpinning in [Hairpinning::Off, Hairpinning::On] {
                    let carrier = [Layer::nat(mapping, filtering).with_hairpinning(hairpinning)];
                    let expected = if hairpinning == Hairpinning::On && mapping == E { "s/s" } else { "R" };
                    assert_eq!(cell(&home, &home, &carrier), expected, "{mapping}{filtering}, {hairpinning:?}");
                }
            }
        }
    }

    /// One layer is as strict as the other if it is in both mapping and filtering.
    #[test]
    fn a_double_nat_connects_as_its_stricter_layer_does() {
        let nats: Vec<_> = Dependence::ALL.into_iter().flat_map(|m| Dependence::ALL.map(|f| (m, f))).collect();
        let mut compared = 0;
        for &inner in &nats {
            for &outer in &nats {
                let stricter = (inner.0.max(outer.0), inner.1.max(outer.1));
                if stricter != inner && stricter != outer {
                    continue;
                }
                let double = [Layer::nat(inner.0, inner.1), Layer::nat(outer.0, outer.1)];
                for (name, other) in hosts() {
                    let expected = cell(&[Layer::nat(stricter.0, stricter.1)], &other, &[]);
                    assert_eq!(cell(&double, &other, &[]), expected, "{inner:?} in {outer:?} against {name}");
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 11 * 63);
    }

    #[test]
    fn who_cannot_send_udp_connects_to_nobody() {
        for (name, other) in hosts() {
            assert_eq!(cell(&[Layer::UdpBlocked], &other, &[]), "R", "{name}");
            assert_eq!(cell(&[Layer::nat(E, E), Layer::UdpBlocked], &other, &[]), "R", "{name}");
        }
    }
}
