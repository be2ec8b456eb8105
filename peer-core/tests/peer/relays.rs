//! Peers that reach each other through a TURN server.

use std::net::IpAddr;
use std::time::Duration;

use driver_sim::{EndpointNode, Entry, Handle, LinkConfig, PeerNode, Server, Signal, SignallingRole, World};
use peer_core::{
    CandidateType, Configuration, DataChannelOptions, Endpoint, EndpointConfig, IceTransportPolicy, InterfaceAddress,
    Message, Peer, PeerEvent, PeerId, SocketPolicy,
};
use proto_machine::{Seed, Timestamp};

use crate::support::{Node, Observer, address, configuration};
use crate::turn_node::{SERVER, TurnNode, ice_server, listening_address};

/// Hosts 1 and 2, and a server between them. The left one offers.
struct Relayed {
    world: World<Signal>,
    server: Handle<TurnNode>,
    sides: [Handle<Node>; 2],
}

impl Relayed {
    fn new(policies: [IceTransportPolicy; 2]) -> Self {
        let mut world = World::new(Seed::from_number(1));
        world.set_default_link(LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() });
        world.capture();
        let server = world.add_node(TurnNode::new(), vec![address(SERVER)]);
        let [left, right] = policies.map(|policy| move |number| peer(number, policy));
        let right = PeerNode::new(right(2), Observer::default(), SignallingRole::Answerer);
        let right = world.add_node(right, vec![address(2)]);
        let observer = Observer::creating(vec![DataChannelOptions::new("relayed")]);
        let left = PeerNode::new(left(1), observer, SignallingRole::Offerer { to: right.id() });
        let left = world.add_node(left, vec![address(1)]);
        Self { world, server, sides: [left, right] }
    }

    fn run_until(&mut self, condition: impl FnMut(&World<Signal>) -> bool) {
        let limit = self.world.now() + Duration::from_secs(60);
        if let Err(stuck) = self.world.run_until(limit, condition) {
            panic!("{stuck}\n{}", self.world.transcript());
        }
    }

    /// A message each way.
    fn exchange(&mut self) {
        let sides = self.sides;
        self.run_until(|world| sides.iter().all(|side| !world.node(*side).application().channels.is_empty()));
        let channel = self.world.node(sides[0]).application().channels[0];
        self.run_until(|world| world.node(sides[0]).application().is_open(channel));
        for (from, to) in [(0, 1), (1, 0)] {
            let channel = self.world.node(sides[from]).application().channels[0];
            self.world.command(sides[from], |node, now| {
                node.peer_mut().channel(channel).unwrap().send(now, Message::text("through the relay")).unwrap();
            });
            self.run_until(|world| !world.node(sides[to]).application().messages().is_empty());
        }
    }

    /// All that a side has said to the other over signalling.
    fn told(&self, side: usize) -> String {
        let node = self.world.node(self.sides[side]);
        let candidate = |event: &PeerEvent| match event {
            PeerEvent::IceCandidate(Some(candidate)) => Some(candidate.candidate.clone()),
            _ => None,
        };
        let candidates: Vec<String> = node.application().events.iter().filter_map(candidate).collect();
        assert!(candidates.len() > 1, "a candidate, and their end");
        format!("{}\n{}", node.peer().local_description().unwrap().sdp, candidates.join("\n"))
    }

    /// Every path that a host has sent on.
    fn sent_by(&self, host: IpAddr) -> Vec<std::net::SocketAddr> {
        let remote = |entry: &Entry| match entry {
            Entry::Sent { path, .. } if path.local.ip() == host => Some(path.remote),
            _ => None,
        };
        self.world.transcript().entries().iter().filter_map(remote).collect()
    }
}

fn peer(number: u8, ice_transport_policy: IceTransportPolicy) -> Peer {
    let configuration =
        Configuration { ice_servers: vec![ice_server()], ice_transport_policy, ..configuration(number.into()) };
    let mut peer = Peer::new(configuration, Seed::from_number(number.into())).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address(number))]);
    peer
}

/// An address as it may lie in a packet: as it is, or behind the magic cookie (RFC 8489 §14.2).
fn is_inside(bytes: &[u8], address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { panic!("hosts have IPv4") };
    let plain = address.octets();
    let mut hidden = plain;
    hidden.iter_mut().zip([0x21, 0x12, 0xa4, 0x42]).for_each(|(byte, mask)| *byte ^= mask);
    bytes.windows(4).any(|window| window == plain || window == hidden)
}

#[test]
fn relay_only_peers_exchange_messages_through_the_server() {
    let mut relayed = Relayed::new([IceTransportPolicy::Relay; 2]);
    relayed.exchange();
    for side in relayed.sides {
        let pair = relayed.world.node(side).peer().selected_candidate_pair().unwrap();
        assert_eq!((pair.local.kind, pair.local.address.ip()), (CandidateType::Relayed, address(SERVER)));
        assert_eq!(pair.local.url, ice_server().urls.first().cloned());
    }
    let statistics = relayed.world.node(relayed.server).server.statistics().clone();
    assert!(statistics.sent_by_channel > 0 && statistics.blocked == 0, "{statistics:?}");
}

/// W3C webrtc-pc §4.2.3: "the ICE Agent uses only media relay candidates".
#[test]
fn a_relay_only_peer_tells_its_address_to_nobody_but_the_server() {
    for policies in [
        [IceTransportPolicy::Relay, IceTransportPolicy::Relay],
        [IceTransportPolicy::Relay, IceTransportPolicy::All],
        [IceTransportPolicy::All, IceTransportPolicy::Relay],
    ] {
        let mut relayed = Relayed::new(policies);
        relayed.exchange();
        for (side, policy) in policies.into_iter().enumerate() {
            let [own, other] = if side == 0 { [address(1), address(2)] } else { [address(2), address(1)] };
            if policy == IceTransportPolicy::All {
                assert!(relayed.told(side).contains(&own.to_string()), "what the search would find");
                continue;
            }
            let told = relayed.told(side);
            assert!(!told.contains(&own.to_string()) && told.contains("typ relay raddr 0.0.0.0 rport 0"), "{told}");
            let destinations = relayed.sent_by(own);
            assert!(!destinations.is_empty() && destinations.iter().all(|to| *to == listening_address()));
            let arrived = relayed.world.captured().iter().filter(|captured| captured.path.local.ip() == other);
            let leaking =
                arrived.filter(|captured| is_inside(&captured.bytes, own) || captured.path.remote.ip() == own);
            assert_eq!(leaking.count(), 0, "{policies:?}");
        }
    }
}

/// A peer that knows the address all the same, from elsewhere, gets no answer from it.
#[test]
fn a_relay_only_peer_answers_no_check_that_comes_to_its_socket() {
    let mut relayed = Relayed::new([IceTransportPolicy::Relay, IceTransportPolicy::All]);
    relayed.exchange();
    let sent_before = relayed.sent_by(address(1)).len();
    let fragment = relayed.world.node(relayed.sides[0]).peer().username_fragment().to_owned();
    let local = relayed.world.captured().iter().find(|captured| captured.path.local.ip() == address(1)).unwrap();
    let (socket, stranger) = (local.path.local, std::net::SocketAddr::new(address(2), 9));
    relayed.world.command(relayed.sides[0], |node, now| {
        let peer = node.peer_mut();
        let mut check = b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!".to_vec();
        check.extend(fragment.as_bytes());
        let path = proto_machine::Path::udp(socket, stranger);
        proto_machine::Machine::handle_input(peer, now, proto_machine::Received { path, datagram: &mut check });
    });
    relayed.world.run_for(Duration::from_millis(100));
    let sent = relayed.sent_by(address(1));
    assert!(sent.len() >= sent_before && sent.iter().all(|to| *to == listening_address()));
}

/// Item 41 (RFC 8656 §8): "a lifetime of 0". The other side gives its own back when it hears of the end.
#[test]
fn item_41_closing_a_peer_gives_its_allocation_back() {
    for closed in [0, 1] {
        let mut relayed = Relayed::new([IceTransportPolicy::Relay; 2]);
        relayed.exchange();
        let server = relayed.server;
        let allocations = |world: &World<Signal>| world.node(server).server.relayed_addresses().count();
        assert_eq!(allocations(&relayed.world), 2);
        let side = relayed.sides[closed];
        relayed.world.command(side, |node, now| node.peer_mut().close(now));
        assert!(relayed.world.node(side).peer().is_closed(), "the last packet has been handed out");
        relayed.world.run_for(Duration::from_secs(1));
        assert_eq!(allocations(&relayed.world), 0);
    }
}

/// RFC 8656 §2.2: the server tells its clients apart by their 5-tuples, and gives one allocation to each.
#[test]
fn peers_that_share_a_socket_each_reach_their_client_through_an_allocation_of_their_own() {
    let mut world = World::new(Seed::from_number(1));
    world.set_default_link(LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() });
    let turn = world.add_node(TurnNode::new(), vec![address(SERVER)]);
    let config = EndpointConfig { sockets: SocketPolicy::Shared { port: 5_000 }, ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(config, Seed::from_number(99));
    endpoint.set_interfaces(&[InterfaceAddress::new(address(100))]);
    let ice_transport_policy = IceTransportPolicy::Relay;
    let relayed = Configuration { ice_servers: vec![ice_server()], ice_transport_policy, ..configuration(100) };
    let server = world.add_node(EndpointNode::new(endpoint, relayed, Echo), vec![address(100)]);
    let clients: Vec<Handle<Node>> = (1..=5)
        .map(|number| {
            let observer = Observer::creating(vec![DataChannelOptions::new("echo")]);
            let role = SignallingRole::Offerer { to: server.id() };
            let peer = peer(number, IceTransportPolicy::All);
            world.add_node(PeerNode::new(peer, observer, role), vec![address(number)])
        })
        .collect();
    let run_until = |world: &mut World<Signal>, condition: &dyn Fn(&World<Signal>) -> bool| {
        let limit = world.now() + Duration::from_secs(60);
        if let Err(stuck) = world.run_until(limit, condition) {
            panic!("{stuck}\n{}", world.transcript());
        }
    };
    for (number, client) in clients.iter().enumerate() {
        run_until(&mut world, &|world| {
            let observer = world.node(*client).application();
            observer.channels.first().is_some_and(|channel| observer.is_open(*channel))
        });
        let channel = world.node(*client).application().channels[0];
        let message = Message::text(number.to_string());
        world.command(*client, |node, now| {
            node.peer_mut().channel(channel).unwrap().send(now, message.clone()).unwrap();
        });
        run_until(&mut world, &|world| {
            world.node(*client).application().messages().last().is_some_and(|(_, back)| *back == message)
        });
        let pair = world.node(*client).peer().selected_candidate_pair().unwrap();
        assert_eq!(pair.remote.address.ip(), address(SERVER));
    }
    assert_eq!(world.node(server).endpoint().shared_addresses().count(), 1);
    let statistics = world.node(server).endpoint().statistics();
    assert_eq!((statistics.unknown_source, statistics.unknown_transaction, statistics.unknown_socket), (0, 0, 0));
    let remote =
        clients.iter().map(|client| world.node(*client).peer().selected_candidate_pair().unwrap().remote.address);
    assert_eq!(remote.collect::<std::collections::BTreeSet<_>>().len(), 5);
    // Each peer takes its allocation and its socket with it.
    world.command(server, |node, now| node.endpoint_mut().close(now));
    world.run_for(Duration::from_secs(1));
    let left: Vec<_> = world.node(turn).server.relayed_addresses().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Sends every message back.
struct Echo;

impl Server for Echo {
    fn handle_event(&mut self, now: Timestamp, endpoint: &mut Endpoint, peer: PeerId, event: &PeerEvent) {
        if let PeerEvent::Message { channel, message } = event {
            let peer = endpoint.peer_mut(peer).unwrap();
            peer.channel(*channel).unwrap().send(now, message.clone()).unwrap();
        }
    }
}

/// The other side hears of the end before the relay is gone.
#[test]
fn closing_a_peer_tells_the_other_side_through_the_relay_first() {
    let mut relayed = Relayed::new([IceTransportPolicy::Relay; 2]);
    relayed.exchange();
    let [left, right] = relayed.sides;
    relayed.world.command(left, |node, now| node.peer_mut().close(now));
    relayed.world.run_for(Duration::from_secs(1));
    let observer = relayed.world.node(right).application();
    assert!(observer.saw(|event| matches!(event, PeerEvent::ChannelClosed { .. })));
}
