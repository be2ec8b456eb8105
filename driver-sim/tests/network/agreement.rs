//! The NATs against the model on paper: the same hosts connect by the same candidates, datagram by datagram.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use driver_sim::NodeId;
use driver_sim::network::reachability::{CandidateKind, Layer, connecting_pairs};
use driver_sim::network::{
    Family, FirewallConfig, Hairpinning, Internet, NatConfig, NetworkId, Packet, Pooling, UdpPolicy,
};
use proto_machine::{Seed, Timestamp};

use crate::support::{at, behaviours, ip};

const SERVER: &str = "192.0.2.100:3478";
const NOW: Timestamp = Timestamp::ZERO;
/// The model's bound and more: where more rounds teach more endpoints, they are of the same kinds.
const ROUNDS: usize = 8;

/// Two hosts with layers around them, and a server on the public Internet.
struct Bench {
    internet: Internet,
    hosts: [Host; 2],
}

#[derive(Clone, Copy)]
struct Host {
    node: NodeId,
    network: NetworkId,
    endpoint: SocketAddr,
    reflexive: Option<SocketAddr>,
}

impl Bench {
    fn new(left: &[Layer], right: &[Layer], shared: &[Layer]) -> Self {
        let mut internet = Internet::new(Seed::from_number(1));
        internet.attach(Internet::PUBLIC, at(SERVER).ip(), NodeId::from_index(2)).unwrap();
        let mut external = 0;
        let common = wrap(&mut internet, Internet::PUBLIC, shared, &mut external);
        let hosts = [(left, "10.0.0.2:5000"), (right, "10.0.0.3:5000")];
        let hosts = std::array::from_fn(|index| {
            let (layers, endpoint) = (hosts[index].0, at(hosts[index].1));
            let network = wrap(&mut internet, common, layers, &mut external);
            let node = NodeId::from_index(index);
            internet.attach(network, endpoint.ip(), node).unwrap();
            Host { node, network, endpoint, reflexive: None }
        });
        let mut bench = Self { internet, hosts };
        for index in 0..2 {
            let arrived = bench.send(index, at(SERVER));
            bench.hosts[index].reflexive = arrived.map(|(_, packet)| packet.source);
        }
        bench
    }

    fn send(&mut self, from: usize, destination: SocketAddr) -> Option<(NodeId, Packet)> {
        let Host { network, endpoint, .. } = self.hosts[from];
        self.internet.route(NOW, Packet { network, source: endpoint, destination }).ok()
    }

    /// A request and its response: the source that the request arrived with, and whether the response came back from where it went.
    fn request(&mut self, from: usize, destination: SocketAddr) -> Option<(SocketAddr, bool)> {
        let (me, other) = (self.hosts[from], self.hosts[1 - from]);
        let (_, request) = self
            .send(from, destination)
            .filter(|(node, packet)| *node == other.node && packet.destination == other.endpoint)?;
        let response = self.send(1 - from, request.source);
        let is_answer = |(node, packet): (NodeId, Packet)| {
            node == me.node && packet.destination == me.endpoint && packet.source == destination
        };
        Some((request.source, response.is_some_and(is_answer)))
    }

    fn connecting_pairs(&mut self) -> BTreeSet<(CandidateKind, CandidateKind)> {
        let candidates = |host: Host| BTreeSet::from_iter([Some(host.endpoint), host.reflexive].into_iter().flatten());
        let mut known = [candidates(self.hosts[1]), candidates(self.hosts[0])];
        // For each side: its own endpoint as the other sees it, and the other's endpoint.
        let mut valid = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..ROUNDS {
            for side in 0..2 {
                for destination in known[side].clone() {
                    if let Some((source, is_answered)) = self.request(side, destination) {
                        known[1 - side].insert(source);
                        if is_answered {
                            valid[side].insert((source, destination));
                        }
                    }
                }
            }
        }
        let both = valid[0].iter().filter(|(mine, theirs)| valid[1].contains(&(*theirs, *mine)));
        both.map(|&(mine, theirs)| (kind(self.hosts[0], mine), kind(self.hosts[1], theirs))).collect()
    }
}

fn kind(host: Host, endpoint: SocketAddr) -> CandidateKind {
    if endpoint == host.endpoint {
        CandidateKind::Host
    } else if host.reflexive == Some(endpoint) {
        CandidateKind::ServerReflexive
    } else {
        CandidateKind::PeerReflexive
    }
}

/// So many that hardly two mappings have the same one.
fn pool(number: u8) -> Vec<IpAddr> {
    (0..=u16::MAX).map(|last| IpAddr::from([198, 18 + number, last.to_be_bytes()[0], last.to_be_bytes()[1]])).collect()
}

/// Puts networks inside of each other, one for each layer, the last layer outermost.
fn wrap(internet: &mut Internet, outermost: NetworkId, layers: &[Layer], external: &mut u8) -> NetworkId {
    let mut outside = outermost;
    for layer in layers.iter().rev() {
        let inside = internet.add_network();
        match *layer {
            Layer::Nat { mapping, filtering, hairpinning, pooling } => {
                *external += 1;
                let addresses = match pooling {
                    Pooling::Paired => vec![IpAddr::from([203, 0, 113, *external])],
                    Pooling::Arbitrary => pool(*external),
                };
                let config = NatConfig { hairpinning, pooling, ..NatConfig::new(mapping, filtering) };
                internet.add_nat(inside, outside, config, addresses).unwrap();
            }
            Layer::Firewall | Layer::UdpBlocked => {
                let udp = if *layer == Layer::UdpBlocked { UdpPolicy::Blocked } else { UdpPolicy::Allowed };
                let config = FirewallConfig { udp, ..FirewallConfig::default() };
                internet.add_firewall(inside, outside, config, &Family::ALL).unwrap();
            }
        }
        outside = inside;
    }
    outside
}

fn single_layers() -> Vec<Layer> {
    let nats = behaviours().map(|(mapping, filtering)| Layer::nat(mapping, filtering));
    [Layer::Firewall, Layer::UdpBlocked].into_iter().chain(nats).collect()
}

/// No layer, one layer, and if `nested` every two of them.
fn sides(nested: bool) -> Vec<Vec<Layer>> {
    let singles = single_layers();
    let one = singles.iter().map(|&layer| vec![layer]);
    let two = singles.iter().flat_map(|&inner| singles.iter().map(move |&outer| vec![inner, outer]));
    let two = two.filter(|_| nested);
    std::iter::once(vec![]).chain(one).chain(two).collect()
}

fn assert_agreement(left: &[Layer], right: &[Layer], shared: &[Layer]) {
    let packets = Bench::new(left, right, shared).connecting_pairs();
    assert_eq!(packets, connecting_pairs(left, right, shared), "{left:?} against {right:?}, both in {shared:?}");
}

#[test]
fn nats_and_firewalls_connect_two_hosts_as_the_model_says_one_layer_or_two_deep() {
    let sides = sides(true);
    for left in &sides {
        for right in &sides {
            assert_agreement(left, right, &[]);
        }
    }
    assert_eq!(sides.len(), 1 + 11 + 121);
}

#[test]
fn hosts_and_homes_behind_a_common_middlebox_connect_as_the_model_says() {
    let hairpinning = single_layers()[2..].iter().map(|nat| nat.with_hairpinning(Hairpinning::On)).collect::<Vec<_>>();
    let commons: Vec<Layer> = single_layers().into_iter().chain(hairpinning).collect();
    let sides = sides(false);
    for &common in &commons {
        for left in &sides {
            for right in &sides {
                assert_agreement(left, right, &[common]);
            }
        }
    }
}

#[test]
fn two_carriers_deep_the_hairpin_of_either_is_enough() {
    let homes = [vec![], single_layers()[2..].to_vec()].concat();
    let nats = || {
        let both = [Hairpinning::Off, Hairpinning::On].into_iter();
        both.flat_map(|hairpinning| {
            single_layers().split_off(2).into_iter().map(move |nat| nat.with_hairpinning(hairpinning))
        })
    };
    for inner in nats() {
        for outer in nats() {
            for &home in &homes {
                assert_agreement(&[home], &[home], &[inner, outer]);
            }
        }
    }
}

#[test]
fn under_arbitrary_pooling_they_connect_as_the_model_says_that_gives_each_mapping_an_address_of_its_own() {
    let arbitrary = |layer: Layer| layer.with_pooling(Pooling::Arbitrary);
    for left in &sides(false) {
        for right in &sides(false) {
            let pooled = |layers: &[Layer]| layers.iter().map(|&layer| arbitrary(layer)).collect::<Vec<_>>();
            assert_agreement(&pooled(left), right, &[]);
            assert_agreement(&pooled(left), &pooled(right), &[]);
        }
    }
}

#[test]
fn a_private_address_that_both_homes_use_reaches_nobody_at_the_other_one() {
    let mut internet = Internet::new(Seed::from_number(1));
    let mut external = 0;
    let nat = [single_layers()[2]];
    let homes = [0, 1].map(|_| wrap(&mut internet, Internet::PUBLIC, &nat, &mut external));
    for (index, network) in homes.into_iter().enumerate() {
        internet.attach(network, ip("10.0.0.2"), NodeId::from_index(index)).unwrap();
    }
    for (index, network) in homes.into_iter().enumerate() {
        let packet = Packet { network, source: at("10.0.0.2:5000"), destination: at("10.0.0.2:5000") };
        assert_eq!(internet.route(NOW, packet), Ok((NodeId::from_index(index), packet)));
    }
}
