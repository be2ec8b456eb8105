//! Many peers behind one socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use driver_sim::{EndpointNode, Handle, LinkConfig, PeerNode, Server, Signal, SignallingRole, World};
use peer_core::{
    AddPeerError, DataChannelOptions, Endpoint, EndpointConfig, EndpointEvent, InterfaceAddress, Message, Peer,
    PeerConnectionState, PeerEvent, PeerId, SocketPolicy,
};
use proto_machine::{Machine, Path, Received, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};

use crate::support::{Node, Observer, address, configuration, peer};

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

struct Served {
    world: World<Signal>,
    server: Handle<EndpointNode<Echo>>,
    clients: Vec<Handle<Node>>,
}

fn served(policy: SocketPolicy, clients: u8) -> Served {
    let mut world = World::new(Seed::from_number(9));
    world.set_default_link(LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() });
    world.set_signalling_delay(Duration::from_millis(20));
    let config = EndpointConfig { sockets: policy, ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(config, Seed::from_number(99));
    endpoint.set_interfaces(&[InterfaceAddress::new(address(100))]);
    let server = world.add_node(EndpointNode::new(endpoint, configuration(100), Echo), vec![address(100)]);
    let clients = (1..=clients)
        .map(|number| {
            let observer = Observer::creating(vec![DataChannelOptions::new("echo")]);
            let node = PeerNode::new(peer(number), observer, SignallingRole::Offerer { to: server.id() });
            world.add_node(node, vec![address(number)])
        })
        .collect();
    Served { world, server, clients }
}

impl Served {
    fn run_until(&mut self, condition: impl FnMut(&World<Signal>) -> bool) {
        let limit = self.world.now() + Duration::from_secs(60);
        if let Err(stuck) = self.world.run_until(limit, condition) {
            panic!("{stuck}\n{}", self.world.transcript());
        }
    }

    /// Every client sends its own number, and gets it back.
    fn exchange(&mut self) {
        let clients = self.clients.clone();
        self.run_until(|world| {
            clients.iter().all(|client| {
                let observer = world.node(*client).application();
                observer.channels.iter().all(|channel| observer.is_open(*channel))
            })
        });
        for (number, client) in clients.iter().enumerate() {
            let channel = self.world.node(*client).application().channels[0];
            self.world.command(*client, |node, now| {
                let message = Message::text(number.to_string());
                node.peer_mut().channel(channel).unwrap().send(now, message).unwrap();
            });
        }
        self.run_until(|world| {
            clients.iter().enumerate().all(|(number, client)| {
                let messages = world.node(*client).application().messages();
                messages.last().is_some_and(|(_, message)| *message == Message::text(number.to_string()))
            })
        });
    }
}

#[test]
fn fifty_clients_are_served_over_one_socket() {
    let mut served = served(SocketPolicy::Shared { port: 3_478 }, 50);
    served.exchange();
    let endpoint = served.world.node(served.server).endpoint();
    assert_eq!(endpoint.peers().count(), 50);
    assert_eq!(endpoint.shared_addresses().collect::<Vec<_>>(), [SocketAddr::new(address(100), 3_478)]);
    let statistics = endpoint.statistics();
    assert_eq!((statistics.unknown_fragment, statistics.unknown_source, statistics.path_conflicts), (0, 0, 0));
}

/// RFC 8445 §14.2: no more than one new transaction every 5 ms, over all agents.
#[test]
fn checks_are_paced_over_all_peers_together() {
    let mut served = served(SocketPolicy::Shared { port: 3_478 }, 20);
    served.world.capture();
    served.exchange();
    // The first transmission of each check, by its transaction.
    let server = SocketAddr::new(address(100), 3_478);
    let mut first: BTreeMap<Vec<u8>, Timestamp> = BTreeMap::new();
    for captured in served.world.captured().iter().filter(|captured| captured.path.remote == server) {
        if captured.bytes[..2] == [0, 1] {
            first.entry(captured.bytes[8..20].to_vec()).or_insert(captured.at);
        }
    }
    let mut times: Vec<Timestamp> = first.into_values().collect();
    times.sort();
    assert!(times.len() >= 20, "every peer checks its path");
    let started = times[times.len() - 1] - times[0];
    let budget = Duration::from_millis(5) * u32::try_from(times.len() - 1).unwrap();
    assert!(started >= budget, "{} checks within {started:?}", times.len());
}

#[test]
fn peers_with_sockets_of_their_own_are_served_too() {
    let mut served = served(SocketPolicy::PerPeer, 5);
    served.exchange();
    assert_eq!(served.world.node(served.server).endpoint().shared_addresses().count(), 0);
}

#[test]
fn a_peer_that_closes_leaves_the_endpoint_and_the_others_stay() {
    let mut served = served(SocketPolicy::Shared { port: 0 }, 3);
    served.exchange();
    let first = served.clients.remove(0);
    let id = served.world.node(served.server).peer_of(first.id()).unwrap();
    served.world.command(served.server, |node, now| node.endpoint_mut().peer_mut(id).unwrap().close(now));
    let server = served.server;
    served.run_until(|world| world.node(server).endpoint().peer(id).is_none());
    served.run_until(|world| {
        world.node(first).application().saw(|event| matches!(event, PeerEvent::ChannelClosed { .. }))
    });
    served.exchange();
    assert_eq!(served.world.node(served.server).endpoint().peers().count(), 2);
}

#[test]
fn closing_the_endpoint_closes_every_peer_and_tells_the_other_sides() {
    let mut served = served(SocketPolicy::Shared { port: 0 }, 3);
    served.exchange();
    let (server, clients) = (served.server, served.clients.clone());
    served.world.command(server, |node, now| node.endpoint_mut().close(now));
    served.run_until(|world| {
        let closed = |client: &Handle<Node>| {
            world.node(*client).application().saw(|event| matches!(event, PeerEvent::ChannelClosed { .. }))
        };
        world.node(server).endpoint().peers().count() == 0 && clients.iter().all(closed)
    });
}

/// Nothing that is not authenticated moves a route: the victim's path keeps its peer.
#[test]
fn a_stranger_can_neither_take_over_a_path_nor_reach_a_peer() {
    let mut served = served(SocketPolicy::Shared { port: 3_478 }, 2);
    served.exchange();
    let server = served.server;
    let local = SocketAddr::new(address(100), 3_478);
    let before = served.world.node(server).endpoint().statistics();
    served.world.command(server, |node, now| {
        let stranger = SocketAddr::from(([203, 0, 113, 5], 5));
        for mut datagram in [vec![22; 50], vec![200; 50], stun_request("nobody:here")] {
            let received = Received { path: Path::udp(local, stranger), datagram: &mut datagram };
            node.endpoint_mut().handle_input(now, received);
        }
    });
    let after = served.world.node(server).endpoint().statistics();
    assert_eq!(after.unknown_source, before.unknown_source + 1);
    assert_eq!(after.foreign, before.foreign + 1);
    assert_eq!(after.unknown_fragment, before.unknown_fragment + 1);
    served.exchange();
    let states = served.clients.iter().map(|client| served.world.node(*client).peer().connection_state());
    assert!(states.into_iter().all(|state| state == PeerConnectionState::Connected));
}

/// A Binding request with USERNAME and FINGERPRINT (RFC 8489 §14.3, §14.7), without integrity.
fn stun_request(username: &str) -> Vec<u8> {
    let mut attributes = vec![0, 6, 0, u8::try_from(username.len()).unwrap()];
    attributes.extend(username.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let length = u8::try_from(attributes.len() + 8).unwrap();
    let mut message = vec![0, 1, 0, length, 0x21, 0x12, 0xa4, 0x42];
    message.extend([5; 12]);
    message.extend(attributes);
    let fingerprint = crc32(&message) ^ 0x5354_554e;
    message.extend([0x80, 0x28, 0, 4]);
    message.extend(fingerprint.to_be_bytes());
    message
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// An endpoint whose one shared socket is open, with a peer that gathers.
fn listening(config: EndpointConfig) -> (Endpoint, SocketAddr) {
    let now = Timestamp::ZERO;
    let local = SocketAddr::new(address(100), 3_478);
    let mut endpoint = Endpoint::new(config, Seed::from_number(1));
    endpoint.set_interfaces(&[InterfaceAddress::new(address(100))]);
    let id = endpoint.add_peer(now, configuration(1)).unwrap();
    let peer = endpoint.peer_mut(id).unwrap();
    peer.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
    peer.set_local_description(now, None).unwrap();
    let mut buffer = TransmitBuffer::new(1200);
    assert!(endpoint.poll_transmit(now, 1, &mut buffer).is_none());
    let Some(SocketRequest::BindUdp { socket, local: asked }) = endpoint.poll_socket_request() else {
        panic!("no socket was asked for");
    };
    assert_eq!(asked, local);
    endpoint.handle_socket_event(now, SocketEvent::Opened { socket, local });
    (endpoint, local)
}

fn shared() -> EndpointConfig {
    EndpointConfig { sockets: SocketPolicy::Shared { port: 3_478 }, ..EndpointConfig::default() }
}

#[test]
fn checks_for_unknown_fragments_are_reported_up_to_a_bound_and_counted() {
    let now = Timestamp::ZERO;
    let (mut endpoint, local) = listening(shared());
    let path = Path::udp(local, ([203, 0, 113, 5], 5).into());
    for number in 0..100 {
        let mut datagram = stun_request(&format!("unknown{number}:x"));
        endpoint.handle_input(now, Received { path, datagram: &mut datagram });
    }
    assert_eq!(endpoint.statistics().unknown_fragment, 100);
    let unknown = std::iter::from_fn(|| endpoint.poll_event())
        .filter(|event| matches!(event, EndpointEvent::UnknownUsernameFragment { .. }))
        .count();
    assert_eq!(unknown, EndpointConfig::default().max_notices);
}

#[test]
fn the_number_of_peers_is_bounded() {
    let config = EndpointConfig { max_peers: 2, ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(config, Seed::from_number(1));
    let add = |endpoint: &mut Endpoint| endpoint.add_peer(Timestamp::ZERO, configuration(1));
    let first = add(&mut endpoint).unwrap();
    add(&mut endpoint).unwrap();
    assert_eq!(add(&mut endpoint), Err(AddPeerError::TooManyPeers));
    endpoint.peer_mut(first).unwrap().close(Timestamp::ZERO);
    let mut buffer = TransmitBuffer::new(1200);
    assert!(endpoint.poll_transmit(Timestamp::ZERO, 1, &mut buffer).is_none());
    assert!(endpoint.poll_event().is_none());
    add(&mut endpoint).unwrap();
}

#[test]
fn a_shared_port_can_be_shared_with_other_protocols() {
    assert!(Endpoint::accepts(&[22, 254, 253, 0]));
    assert!(Endpoint::accepts(&stun_request("a:b")));
    // TURN channels, RTP and QUIC (RFC 7983 §7, RFC 9443 §3).
    for first in [64, 79, 128, 191, 192, 255] {
        assert!(!Endpoint::accepts(&[first; 20]));
    }
}

#[test]
fn a_socket_that_fails_is_tried_again_for_the_next_peer() {
    let now = Timestamp::ZERO;
    let mut endpoint = Endpoint::new(shared(), Seed::from_number(1));
    endpoint.set_interfaces(&[InterfaceAddress::new(address(100))]);
    let mut buffer = TransmitBuffer::new(1200);
    for _ in 0..2 {
        let id = endpoint.add_peer(now, configuration(1)).unwrap();
        let peer = endpoint.peer_mut(id).unwrap();
        peer.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
        peer.set_local_description(now, None).unwrap();
        assert!(endpoint.poll_transmit(now, 1, &mut buffer).is_none());
        let Some(SocketRequest::BindUdp { socket, .. }) = endpoint.poll_socket_request() else {
            panic!("no socket was asked for");
        };
        let error = proto_machine::SocketError::AddressInUse;
        endpoint.handle_socket_event(now, SocketEvent::Failed { socket, error });
        let failed = std::iter::from_fn(|| endpoint.poll_event())
            .any(|event| matches!(event, EndpointEvent::Peer { event: PeerEvent::IceCandidateError(_), .. }));
        assert!(failed);
    }
}

/// The source of a check can be forged: whoever has credentials of his own may claim any path, but loses it to the peer that validates it.
#[test]
fn a_claim_on_a_path_yields_to_the_peer_that_validates_it() {
    let mut served = served(SocketPolicy::Shared { port: 3_478 }, 1);
    served.world.capture();
    served.exchange();
    let server = served.server;
    let attacker = served.clients[0];
    let local = SocketAddr::new(address(100), 3_478);
    // The attacker's own valid check, with the addresses that the victim is going to have.
    let check =
        served.world.captured().iter().find(|captured| captured.node == server.id() && captured.bytes[..2] == [0, 1]);
    let check = check.unwrap().bytes.clone();
    let victim_address = SocketAddr::new(address(2), 40_000);
    served.world.command(server, |node, now| {
        let received = Received { path: Path::udp(local, victim_address), datagram: &mut check.clone() };
        node.endpoint_mut().handle_input(now, received);
    });
    let observer = Observer::creating(vec![DataChannelOptions::new("echo")]);
    let victim = PeerNode::new(peer(2), observer, SignallingRole::Offerer { to: server.id() });
    let victim = served.world.add_node(victim, vec![address(2)]);
    served.clients = vec![victim];
    served.exchange();
    served.clients = vec![attacker];
    served.exchange();
}

/// A client that vanished and comes back from the same port is a new peer on an old path.
#[test]
fn a_path_is_free_again_once_its_peer_has_failed() {
    let mut served = served(SocketPolicy::Shared { port: 3_478 }, 1);
    served.exchange();
    let (server, old) = (served.server, served.clients[0]);
    let dead = LinkConfig { loss: driver_sim::Probability::percent(100), ..LinkConfig::default() };
    served.world.set_link(old.id(), server.id(), dead);
    served.world.set_link(server.id(), old.id(), dead);
    served.world.run_for(Duration::from_secs(60));
    let id = served.world.node(server).peer_of(old.id()).unwrap();
    let state = |world: &World<Signal>| world.node(server).endpoint().peer(id).map(Peer::connection_state);
    assert_eq!(state(&served.world), Some(PeerConnectionState::Failed));
    let alive = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
    served.world.set_link(old.id(), server.id(), alive);
    served.world.set_link(server.id(), old.id(), alive);
    // The same host and port with a fresh peer, while the old one's peer is still there.
    let observer = Observer::creating(vec![DataChannelOptions::new("echo")]);
    let fresh = Peer::new(configuration(7), Seed::from_number(7)).unwrap();
    served.world.restart(old, PeerNode::new(fresh, observer, SignallingRole::Offerer { to: server.id() }));
    served.exchange();
    let path = served.world.node(old).peer().selected_candidate_pair().unwrap().path;
    assert_eq!(path.local, SocketAddr::new(address(1), 40_000));
    assert!(served.world.node(server).endpoint().peer(id).is_some());
}

/// Requests that a socket be closed come out before the endpoint says that it waits, in whatever order it is drained.
#[test]
fn a_closed_peer_leaves_no_socket_behind_in_any_order_of_draining() {
    for events_first in [false, true] {
        let now = Timestamp::ZERO;
        let mut endpoint = Endpoint::new(EndpointConfig::default(), Seed::from_number(1));
        endpoint.set_interfaces(&[InterfaceAddress::new(address(100))]);
        let id = endpoint.add_peer(now, configuration(1)).unwrap();
        let peer = endpoint.peer_mut(id).unwrap();
        peer.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
        peer.set_local_description(now, None).unwrap();
        let mut buffer = TransmitBuffer::new(1200);
        assert!(endpoint.poll_transmit(now, 1, &mut buffer).is_none());
        let Some(SocketRequest::BindUdp { socket, .. }) = endpoint.poll_socket_request() else {
            panic!("no socket was asked for");
        };
        let local = SocketAddr::new(address(100), 5_000);
        endpoint.handle_socket_event(now, SocketEvent::Opened { socket, local });
        while endpoint.poll_event().is_some() {}
        assert!(endpoint.poll_transmit(now, 1, &mut buffer).is_none());

        endpoint.peer_mut(id).unwrap().close(now);
        if events_first {
            assert!(endpoint.poll_event().is_none());
        }
        assert!(endpoint.poll_transmit(now, 1, &mut buffer).is_none());
        assert_eq!(endpoint.poll_socket_request(), Some(SocketRequest::Close { socket }));
        assert!(endpoint.peer(id).is_none());
        assert_eq!(endpoint.poll_timeout(), None);
    }
}

/// Whoever waits for the budget has a turn: peers with many candidates, or that are kept busy, do not starve those that came later.
#[test]
fn the_budget_for_checks_goes_round() {
    let now = Timestamp::ZERO;
    let (mut endpoint, local) = listening(shared());
    let mut buffer = TransmitBuffer::new(1200);
    let mut fragments = Vec::new();
    for number in 0..10 {
        let id = endpoint.add_peer(now, configuration(1)).unwrap();
        let mut other = peer(50);
        other.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
        let mut offer = other.create_offer().unwrap();
        for port in 1..=60 {
            offer.sdp.push_str(&format!("a=candidate:{port} 1 udp 1 203.0.113.{number} {port} typ host\r\n"));
        }
        let peer = endpoint.peer_mut(id).unwrap();
        peer.set_remote_description(now, offer).unwrap();
        peer.set_local_description(now, None).unwrap();
        fragments.push(peer.username_fragment().to_owned());
    }
    let mut checked = Vec::new();
    let mut at = now;
    while checked.len() < 30 {
        while endpoint.poll_socket_request().is_some() || endpoint.poll_event().is_some() {}
        buffer.clear();
        if let Some(transmit) = endpoint.poll_transmit(at, 1, &mut buffer) {
            assert_eq!(transmit.path.local, local);
            checked.push(transmit.path.remote.ip());
            continue;
        }
        at = endpoint.poll_timeout().unwrap().at;
        endpoint.handle_timeout(at);
    }
    let distinct: std::collections::BTreeSet<_> = checked[..10].iter().collect();
    assert_eq!(distinct.len(), 10, "{checked:?}");
}

#[test]
fn every_user_of_a_shared_socket_is_told_when_it_is_lost() {
    let mut served = served(SocketPolicy::Shared { port: 3_478 }, 3);
    served.exchange();
    let server = served.server;
    let failed = served.world.command(server, |node, now| {
        let endpoint = node.endpoint_mut();
        let error = proto_machine::SocketError::AddressNotAvailable;
        endpoint.handle_socket_event(now, SocketEvent::Failed { socket: proto_machine::SocketId(0), error });
        let ids: Vec<PeerId> = endpoint.peers().collect();
        ids.into_iter()
            .filter(|id| {
                let state = endpoint.peer(*id).unwrap().ice_connection_state();
                !matches!(state, peer_core::IceConnectionState::Connected | peer_core::IceConnectionState::Completed)
            })
            .count()
    });
    assert_eq!(failed, 3);
    assert_eq!(served.world.node(server).endpoint().shared_addresses().count(), 0);
}
