//! A TURN server as a node.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use driver_sim::{Node, NodeAction, Signal};
use peer_core::IceServer;
use proto_ice::turn::TurnCredentials;
use proto_ice::turn::server::{TurnServer, TurnServerConfig};
use proto_machine::{Machine, Received, Seed, SocketId, SocketRequest, Timestamp, TransmitBuffer};

use crate::support::address;

/// The host number of the server. As text, its address does not begin like that of host 1 or 2.
pub(crate) const SERVER: u8 = 33;

/// It listens on port 3478 of its host, and opens a socket for each relayed address.
pub(crate) struct TurnNode {
    pub(crate) server: TurnServer,
    requests: VecDeque<SocketRequest>,
    bound: BTreeSet<SocketAddr>,
}

pub(crate) fn listening_address() -> SocketAddr {
    SocketAddr::new(address(SERVER), 3_478)
}

/// The server, as a configuration names it.
pub(crate) fn ice_server() -> IceServer {
    IceServer {
        urls: vec![format!("turn:{}?transport=udp", listening_address().ip())],
        username: Some("user".to_owned()),
        credential: Some("secret".to_owned()),
    }
}

impl TurnNode {
    pub(crate) fn new() -> Self {
        let config = TurnServerConfig::new(listening_address(), TurnCredentials::new("user", "secret"));
        let mut node = Self {
            server: TurnServer::new(config, &Seed::from_number(77)),
            requests: VecDeque::new(),
            bound: BTreeSet::new(),
        };
        node.bind(listening_address());
        node
    }

    fn bind(&mut self, local: SocketAddr) {
        if self.bound.insert(local) {
            let socket = SocketId(self.bound.len() as u64);
            self.requests.push_back(SocketRequest::BindUdp { socket, local });
        }
    }
}

impl Node<Signal> for TurnNode {
    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        self.server.handle_input(now, received);
        let relayed: Vec<SocketAddr> = self.server.relayed_addresses().collect();
        for address in relayed {
            self.bind(address);
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.server.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<Signal> {
        if let Some(request) = self.requests.pop_front() {
            return NodeAction::Socket(request);
        }
        match self.server.poll_transmit(now, 1, buffer) {
            Some(transmit) => NodeAction::Transmit(transmit),
            None => NodeAction::Wait(self.server.poll_timeout()),
        }
    }
}
