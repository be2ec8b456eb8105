//! `iceCandidatePoolSize`: candidates that are there before the description.

use std::net::IpAddr;
use std::time::Duration;

use driver_sim::{Handle, LinkConfig, PeerNode, Signal, SignallingRole, Topology, World};
use peer_core::{
    Configuration, DataChannelOptions, Endpoint, EndpointConfig, IceGatheringState, IceServer, IceTransportPolicy,
    InterfaceAddress, Message, Peer, PeerEvent, SdpType, SessionDescriptionInit,
};
use proto_machine::{Machine, Seed, SocketRequest, Timestamp};

use crate::support::{Node, Observer, address, configuration};
use crate::turn_node::{SERVER, TurnNode, ice_server};

const TEXT: &str = "
    home    nat EP external 203.0.113.1
    office  nat EP external 203.0.113.2
    left    host 10.0.0.2 behind home
    right   host 10.1.0.2 behind office
    server  stun 192.0.2.1
    stun.example.org  dns 192.0.2.1  delay 300ms
";

/// Two peers behind NATs, with a STUN server and a pool of this size each. Nobody signals but the test.
struct Homes {
    world: World<Signal>,
    sides: [Handle<Node>; 2],
}

fn homes(pool_size: u8) -> Homes {
    let topology: Topology = TEXT.parse().unwrap();
    let mut world = World::new(Seed::from_number(1));
    world.set_default_link(LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() });
    let places = topology.build(&mut world).unwrap();
    let sides = [(1, "left"), (2, "right")].map(|(number, name)| {
        let servers = ["stun:stun.example.org", "stun:gone.example.org"];
        let servers = servers.map(|url| IceServer { urls: vec![url.to_owned()], ..IceServer::default() });
        let configuration = Configuration {
            ice_servers: servers.to_vec(),
            ice_candidate_pool_size: pool_size,
            ..configuration(number)
        };
        let peer = Peer::new(configuration, Seed::from_number(number)).unwrap();
        let observer =
            if number == 1 { Observer::creating(vec![DataChannelOptions::new("pooled")]) } else { Observer::default() };
        places.add_host(&mut world, name, PeerNode::new(peer, observer, SignallingRole::Answerer)).unwrap()
    });
    Homes { world, sides }
}

impl Homes {
    fn describe(&mut self, side: usize) -> SessionDescriptionInit {
        self.world.command(self.sides[side], |node, now| {
            node.peer_mut().set_local_description(now, None).unwrap();
            node.peer().local_description().unwrap()
        })
    }

    fn tell(&mut self, side: usize, description: SessionDescriptionInit) {
        self.world.command(self.sides[side], |node, now| {
            node.peer_mut().set_remote_description(now, description).unwrap();
        });
    }

    fn gathering_state(&self, side: usize) -> IceGatheringState {
        self.world.node(self.sides[side]).peer().ice_gathering_state()
    }

    /// What a side was told of gathering, in words.
    fn told(&self, side: usize) -> Vec<String> {
        let word = |event: &PeerEvent| match event {
            PeerEvent::IceGatheringStateChange(state) => Some(state.name().to_owned()),
            PeerEvent::IceCandidate(None) => Some("null".to_owned()),
            PeerEvent::IceCandidate(Some(candidate)) if candidate.is_end_of_candidates() => Some("end".to_owned()),
            PeerEvent::IceCandidate(Some(candidate)) => {
                candidate.candidate.split_once(" typ ").map(|(_, rest)| rest.split(' ').next().unwrap().to_owned())
            }
            PeerEvent::IceCandidateError(error) => Some(format!("error {}", error.error_code)),
            _ => None,
        };
        self.world.node(self.sides[side]).application().events.iter().filter_map(word).collect()
    }
}

/// W3C webrtc-pc §5.6, `[[EarlyCandidates]]`; RFC 9429 §3.5.4: "handed to the application immediately".
#[test]
fn pooled_candidates_are_told_with_the_description_and_not_before() {
    let mut homes = homes(1);
    homes.world.run_for(Duration::from_secs(30));
    assert_eq!(homes.told(0), Vec::<String>::new());
    assert_eq!(homes.gathering_state(0), IceGatheringState::New, "there is no transport yet");
    let offer = homes.describe(0);
    assert_eq!(homes.gathering_state(0), IceGatheringState::Complete);
    for part in [" typ host", "203.0.113.1", " typ srflx", "a=end-of-candidates"] {
        assert!(offer.sdp.contains(part), "{part} in {}", offer.sdp);
    }
    let now = homes.world.now();
    homes.world.run_for(Duration::from_millis(1));
    assert_eq!(homes.told(0), ["gathering", "host", "error 701", "srflx", "end", "complete", "null"], "at {now:?}");
}

#[test]
fn a_pool_that_is_not_ready_tells_what_it_has_and_the_rest_as_it_comes() {
    let mut homes = homes(1);
    homes.world.run_for(Duration::from_millis(100));
    let offer = homes.describe(0);
    assert!(offer.sdp.contains(" typ host") && !offer.sdp.contains(" typ srflx"), "{}", offer.sdp);
    assert_eq!(homes.gathering_state(0), IceGatheringState::Gathering);
    homes.world.run_for(Duration::from_secs(30));
    assert_eq!(homes.told(0), ["gathering", "host", "error 701", "srflx", "end", "complete", "null"]);
}

/// RFC 9429 §4.1.1: "the default candidate pool size MUST be zero".
#[test]
fn without_a_pool_nothing_is_gathered_before_the_description() {
    assert_eq!(configuration(1).ice_candidate_pool_size, 0);
    let mut peer = Peer::new(configuration(1), Seed::from_number(1)).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address(1))]);
    assert_eq!(peer.poll_socket_request(), None);
}

/// The mappings of the NATs live for five minutes; an hour has gone by, and not one candidate has to be trickled.
#[test]
fn a_pool_is_kept_alive_until_it_is_needed() {
    let mut homes = homes(1);
    homes.world.run_for(Duration::from_secs(3_600));
    let offer = homes.describe(0);
    homes.tell(1, offer);
    let answer = homes.describe(1);
    homes.tell(0, answer);
    let began = homes.world.now();
    let [left, right] = homes.sides;
    let is_open = |world: &World<Signal>| world.node(right).application().channels.len() == 1;
    homes.world.run_until(began + Duration::from_secs(10), is_open).unwrap();
    let took = homes.world.now() - began;
    assert!(took < Duration::from_millis(500), "{took:?}, though nothing had to be gathered");
    let channel = homes.world.node(left).application().channels[0];
    homes.world.command(left, |node, now| {
        node.peer_mut().channel(channel).unwrap().send(now, Message::text("from the pool")).unwrap();
    });
    let has_come = |world: &World<Signal>| !world.node(right).application().messages().is_empty();
    homes.world.run_until(began + Duration::from_secs(20), has_come).unwrap();
}

/// A peer has one transport.
#[test]
fn a_pool_of_any_size_is_that_of_one_transport() {
    for pool_size in [1, 255] {
        let mut peer = pooled(pool_size);
        peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address(1)), InterfaceAddress::new(address(2))]);
        let is_bind = |request: &SocketRequest| matches!(request, SocketRequest::BindUdp { .. });
        let requests = std::iter::from_fn(|| peer.poll_socket_request());
        assert_eq!(requests.filter(is_bind).count(), 2, "one for each address");
    }
}

fn pooled(pool_size: u8) -> Peer {
    let configuration = Configuration { ice_candidate_pool_size: pool_size, ..configuration(1) };
    Peer::new(configuration, Seed::from_number(1)).unwrap()
}

#[test]
fn a_rollback_does_not_fill_the_pool_again() {
    let now = Timestamp::ZERO;
    let mut peer = pooled(1);
    peer.set_interfaces(now, &[InterfaceAddress::new(address(1))]);
    peer.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
    let mut told = Vec::new();
    for sdp_type in [None, Some(SdpType::Rollback), None] {
        let rollback = sdp_type.map(|sdp_type| SessionDescriptionInit { sdp_type, sdp: String::new() });
        peer.set_local_description(now, rollback).unwrap();
        told.extend(std::iter::from_fn(|| peer.poll_event()));
    }
    let changes = told.iter().filter(|event| matches!(event, PeerEvent::IceGatheringStateChange(_)));
    assert_eq!(changes.count(), 1, "{told:?}");
    assert_eq!(peer.ice_gathering_state(), IceGatheringState::Gathering);
}

/// A relayed candidate is there with the description, and the server has its port back when the peer is closed without ever having had one.
#[test]
fn an_allocation_of_the_pool_is_given_back_when_the_peer_is_closed() {
    let mut world = World::new(Seed::from_number(1));
    let server = world.add_node(TurnNode::new(), vec![address(SERVER)]);
    let allocations = |world: &World<Signal>| world.node(server).server.relayed_addresses().count();
    for described in [true, false] {
        let configuration = Configuration {
            ice_servers: vec![ice_server()],
            ice_transport_policy: IceTransportPolicy::Relay,
            ice_candidate_pool_size: 1,
            ..configuration(1)
        };
        let mut peer = Peer::new(configuration, Seed::from_number(1)).unwrap();
        let host: IpAddr = address(1 + u8::from(described));
        peer.set_interfaces(world.now(), &[InterfaceAddress::new(host)]);
        let observer = Observer::creating(vec![DataChannelOptions::new("pooled")]);
        let node = world.add_node(PeerNode::new(peer, observer, SignallingRole::Answerer), vec![host]);
        // Longer than an allocation lives without a refresh.
        world.run_for(Duration::from_secs(1_200));
        assert_eq!(allocations(&world), 1);
        world.command(node, |node, now| {
            if described {
                node.peer_mut().set_local_description(now, None).unwrap();
                let sdp = node.peer().local_description().unwrap().sdp;
                assert!(sdp.contains(" typ relay") && !sdp.contains(" typ host"), "{sdp}");
            }
            node.peer_mut().close(now);
        });
        world.run_for(Duration::from_secs(1));
        assert_eq!(allocations(&world), 0);
    }
}

#[test]
fn peers_of_an_endpoint_have_pools_as_well() {
    let now = Timestamp::ZERO;
    let mut endpoint = Endpoint::new(EndpointConfig::default(), Seed::from_number(1));
    endpoint.set_interfaces(&[InterfaceAddress::new(address(1))]);
    let configuration = Configuration { ice_candidate_pool_size: 1, ..configuration(1) };
    endpoint.add_peer(now, configuration).unwrap();
    let mut buffer = proto_machine::TransmitBuffer::new(1_200);
    assert!(endpoint.poll_transmit(now, 1, &mut buffer).is_none());
    assert!(matches!(endpoint.poll_socket_request(), Some(SocketRequest::BindUdp { .. })));
}
