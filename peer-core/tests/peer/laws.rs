//! The generic laws, on two peers that are connected through signalling without delay.

use std::net::SocketAddr;

use peer_core::{
    DataChannelOptions, Endpoint, EndpointConfig, EndpointEvent, InterfaceAddress, Peer, PeerConnectionState,
    PeerEvent, PeerId, SocketPolicy,
};
use proto_machine::laws::{Law, Scenario, check};
use proto_machine::{Machine, Path, Received, Seed, SocketEvent, SocketRequest, Timestamp, Transmit};

use crate::support::configuration;

struct TwoPeers;

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + u8::try_from(index).unwrap()], 5_000))
}

fn peer(seed: u64, index: usize) -> Peer {
    let seed = Seed::from_number(seed).child(["left", "right"][index]);
    let mut peer = Peer::new(configuration(index as u64), seed).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address(index).ip())]);
    peer
}

/// Offer and answer, without delay.
fn negotiate(left: &mut Peer, right: &mut Peer) {
    let now = Timestamp::ZERO;
    left.create_data_channel(now, DataChannelOptions::new("law")).unwrap();
    left.set_local_description(now, None).unwrap();
    right.set_remote_description(now, left.local_description().unwrap()).unwrap();
    right.set_local_description(now, None).unwrap();
    left.set_remote_description(now, right.local_description().unwrap()).unwrap();
}

/// Half of the noise comes from a stranger, half bears the address of the other side.
fn noise_path(index: usize, transmit: Option<Transmit>, noise: &[u8]) -> Path {
    let stranger = Path::udp(address(index), SocketAddr::from(([203, 0, 113, 9], 9)));
    let forged = transmit.map(|transmit| transmit.path.reversed());
    forged.filter(|_| noise.len().is_multiple_of(2)).unwrap_or(stranger)
}

fn open(index: usize, request: &SocketRequest) -> Option<SocketEvent> {
    match request {
        SocketRequest::BindUdp { socket, .. } => Some(SocketEvent::Opened { socket: *socket, local: address(index) }),
        _ => None,
    }
}

impl Scenario for TwoPeers {
    type Machine = Peer;

    fn pair(&self, seed: u64) -> [Peer; 2] {
        let (mut left, mut right) = (peer(seed, 0), peer(seed, 1));
        negotiate(&mut left, &mut right);
        [left, right]
    }

    fn deliver(&self, now: Timestamp, receiver: &mut Peer, transmit: Transmit, datagram: &mut [u8]) {
        receiver.handle_input(now, Received { path: transmit.path.reversed(), datagram });
    }

    fn inject(&self, now: Timestamp, index: usize, receiver: &mut Peer, transmit: Option<Transmit>, noise: &mut [u8]) {
        let path = noise_path(index, transmit, noise);
        receiver.handle_input(now, Received { path, datagram: noise });
    }

    fn answer(&self, index: usize, request: SocketRequest) -> Option<SocketEvent> {
        open(index, &request)
    }

    fn on_event(&self, now: Timestamp, index: usize, event: &PeerEvent, machines: &mut [Peer; 2]) {
        if let PeerEvent::IceCandidate(Some(candidate)) = event {
            machines[1 - index].add_ice_candidate(now, candidate.to_init()).unwrap();
        }
    }

    fn is_established(&self, machines: &[Peer; 2]) -> bool {
        machines.iter().all(|peer| peer.connection_state() == PeerConnectionState::Connected)
    }

    /// The DTLS handshake begins in plaintext: until it is complete, noise that bears the other peer's address can only delay it (RFC 9147 §11).
    fn is_authenticated(&self, machines: &[Peer; 2]) -> bool {
        self.is_established(machines)
    }

    fn close(&self, now: Timestamp, machine: &mut Peer) {
        machine.close(now);
    }
}

/// Two endpoints with one peer each.
struct TwoEndpoints(SocketPolicy);

/// The one peer.
fn only(endpoint: &Endpoint) -> Option<PeerId> {
    endpoint.peers().next()
}

impl Scenario for TwoEndpoints {
    type Machine = Endpoint;

    fn pair(&self, seed: u64) -> [Endpoint; 2] {
        let now = Timestamp::ZERO;
        let mut endpoints = [0, 1].map(|index| {
            let config = EndpointConfig { sockets: self.0, ..EndpointConfig::default() };
            let mut endpoint = Endpoint::new(config, Seed::from_number(seed).child(["left", "right"][index]));
            endpoint.set_interfaces(&[InterfaceAddress::new(address(index).ip())]);
            endpoint.add_peer(now, configuration(index as u64)).unwrap();
            endpoint
        });
        let [left, right] = &mut endpoints;
        let (left_id, right_id) = (only(left).unwrap(), only(right).unwrap());
        negotiate(left.peer_mut(left_id).unwrap(), right.peer_mut(right_id).unwrap());
        endpoints
    }

    fn deliver(&self, now: Timestamp, receiver: &mut Endpoint, transmit: Transmit, datagram: &mut [u8]) {
        receiver.handle_input(now, Received { path: transmit.path.reversed(), datagram });
    }

    fn inject(
        &self,
        now: Timestamp,
        index: usize,
        receiver: &mut Endpoint,
        transmit: Option<Transmit>,
        noise: &mut [u8],
    ) {
        // What names a fragment that nobody has is reported as such; that is no trace, but it would be in the transcript.
        noise.iter_mut().take(1).for_each(|first| *first |= 4);
        let path = noise_path(index, transmit, noise);
        receiver.handle_input(now, Received { path, datagram: noise });
    }

    fn answer(&self, index: usize, request: SocketRequest) -> Option<SocketEvent> {
        open(index, &request)
    }

    fn on_event(&self, now: Timestamp, index: usize, event: &EndpointEvent, machines: &mut [Endpoint; 2]) {
        if let EndpointEvent::Peer { event: PeerEvent::IceCandidate(Some(candidate)), .. } = event {
            let other = &mut machines[1 - index];
            let id = only(other).unwrap();
            other.peer_mut(id).unwrap().add_ice_candidate(now, candidate.to_init()).unwrap();
        }
    }

    fn is_established(&self, machines: &[Endpoint; 2]) -> bool {
        machines.iter().all(|endpoint| {
            let peer = only(endpoint).and_then(|id| endpoint.peer(id));
            peer.is_some_and(|peer| peer.connection_state() == PeerConnectionState::Connected)
        })
    }

    /// As for two peers.
    fn is_authenticated(&self, machines: &[Endpoint; 2]) -> bool {
        self.is_established(machines)
    }

    fn close(&self, now: Timestamp, machine: &mut Endpoint) {
        machine.close(now);
    }

    fn exceptions(&self) -> &'static [(Law, &'static str)] {
        &[(
            Law::ClosedStaysClosed,
            "an endpoint outlives its peers, and goes on reporting checks for fragments that it does not know",
        )]
    }
}

#[test]
fn two_connected_peers_obey_every_law() {
    check(&TwoPeers);
}

#[test]
fn two_endpoints_obey_every_law() {
    check(&TwoEndpoints(SocketPolicy::Shared { port: 5_000 }));
    check(&TwoEndpoints(SocketPolicy::PerPeer));
}
