//! A TURN server as a node.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use proto_ice::turn::server::{TurnServer, TurnServerConfig};
use proto_ice::turn::{FrameReader, FramingError, TurnCredentials};
use proto_machine::{
    Machine, Path, Received, Seed, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer, TransportProtocol,
};

use crate::{Node, NodeAction, StreamEvent, StreamRequest, StreamSecurity};

/// A TURN server (RFC 8656), and a STUN server as well: a [`TurnServer`] with sockets. It has one at each address that it listens at, and one for each relayed address, which
/// begins and ends with the allocation. Both are addresses of its host. Clients may come over UDP, over TCP at the same port, and over TLS at port 443: byte streams of the world
/// ([`StreamRequest`]).
///
/// What goes wrong is up to the world, as in `world.command(server, |server, _| server.server_mut().faults.nonce_uses = Some(1))`: see [`TurnServerFaults`](crate::TurnServerFaults).
/// [`TurnServer::restart`] is a reboot: allocations and nonces are forgotten.
#[derive(Debug)]
pub struct TurnServerNode {
    server: TurnServer,
    /// The sockets at relayed addresses.
    relayed: BTreeMap<SocketAddr, SocketId>,
    /// How many sockets there have been.
    sockets: u64,
    requests: VecDeque<SocketRequest>,
    streams: VecDeque<StreamRequest>,
    /// What has arrived of the next message, for each client over a stream.
    readers: BTreeMap<Path, FrameReader>,
}

/// The payload of UDP over IPv4 on an Ethernet. A relay sends more than it has received: an envelope around it.
const DATAGRAM_CAPACITY: usize = 1_500 - 20 - 8;

impl TurnServerNode {
    /// The port of TURN over UDP and TCP (RFC 8656 §18.7).
    pub const PORT: u16 = 3478;
    /// The port at which it speaks TLS: that of HTTPS, for it is the one that firewalls leave open.
    pub const TLS_PORT: u16 = 443;

    /// A server that listens and relays at addresses of its host.
    #[must_use]
    pub fn new(config: TurnServerConfig, seed: &Seed) -> Self {
        let addresses = config.addresses.clone();
        let server = TurnServer::new(config, seed);
        let (requests, streams) = (VecDeque::new(), VecDeque::new());
        let mut node =
            Self { server, relayed: BTreeMap::new(), sockets: 0, requests, streams, readers: BTreeMap::new() };
        for local in addresses {
            node.bind(local);
            let tls = SocketAddr::new(local.ip(), Self::TLS_PORT);
            node.streams.push_back(StreamRequest::Listen { local, security: StreamSecurity::Tcp });
            node.streams.push_back(StreamRequest::Listen { local: tls, security: StreamSecurity::Tls });
        }
        node
    }

    /// A server that listens at these addresses, and relays at the first of each family.
    pub(crate) fn at(addresses: Vec<SocketAddr>, users: Vec<TurnCredentials>, seed: &Seed) -> Self {
        let first = |is_meant: fn(&SocketAddr) -> bool| addresses.iter().copied().find(is_meant);
        let relay_addresses = [first(SocketAddr::is_ipv4), first(SocketAddr::is_ipv6)].into_iter().flatten();
        let relay_addresses = relay_addresses.map(|address| address.ip()).collect();
        Self::new(TurnServerConfig { addresses, relay_addresses, users, ..TurnServerConfig::default() }, seed)
    }

    /// The server itself, to look at.
    #[must_use]
    pub fn server(&self) -> &TurnServer {
        &self.server
    }

    /// The server itself, to order faults and to restart.
    pub fn server_mut(&mut self) -> &mut TurnServer {
        &mut self.server
    }

    fn bind(&mut self, local: SocketAddr) -> SocketId {
        let socket = SocketId(self.sockets);
        self.sockets += 1;
        self.requests.push_back(SocketRequest::BindUdp { socket, local });
        socket
    }

    /// Cuts what has arrived into messages. A stream that is out of step is closed.
    fn read(&mut self, now: Timestamp, path: Path, bytes: &[u8]) {
        let Some(reader) = self.readers.get_mut(&path) else { return };
        reader.push(bytes);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    let datagram = &mut frame.to_vec();
                    self.server.handle_input(now, Received { path, datagram });
                }
                Ok(None) => return,
                Err(FramingError) => {
                    self.streams.push_back(StreamRequest::Close { path });
                    return self.hang_up(path);
                }
            }
        }
    }

    /// The 5-tuple of an allocation ends with its connection.
    fn hang_up(&mut self, path: Path) {
        self.readers.remove(&path);
        self.server.disconnect(path);
    }

    /// Opens sockets for new relayed addresses, and closes those of addresses that are gone.
    fn follow_allocations(&mut self) {
        let mut before = std::mem::take(&mut self.relayed);
        let current: Vec<SocketAddr> = self.server.relayed_addresses().collect();
        for address in current {
            let socket = before.remove(&address).unwrap_or_else(|| self.bind(address));
            self.relayed.insert(address, socket);
        }
        self.requests.extend(before.into_values().map(|socket| SocketRequest::Close { socket }));
    }
}

impl<S> Node<S> for TurnServerNode {
    fn datagram_capacity(&self) -> usize {
        DATAGRAM_CAPACITY
    }

    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        self.server.handle_input(now, received);
    }

    fn handle_stream(&mut self, now: Timestamp, path: Path, event: StreamEvent) {
        match event {
            StreamEvent::Opened => {
                self.readers.insert(path, FrameReader::default());
            }
            StreamEvent::Received(bytes) => self.read(now, path, &bytes),
            StreamEvent::Closed | StreamEvent::Failed(_) => self.hang_up(path),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.server.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<S> {
        self.follow_allocations();
        if let Some(request) = self.requests.pop_front() {
            return NodeAction::Socket(request);
        }
        if let Some(request) = self.streams.pop_front() {
            return NodeAction::Stream(request);
        }
        match self.server.poll_transmit(now, 1, buffer) {
            Some(Transmit { path, .. }) if path.protocol == TransportProtocol::Tcp => {
                let bytes = buffer.datagrams().flatten().copied().collect();
                NodeAction::Stream(StreamRequest::Send { path, bytes })
            }
            Some(transmit) => NodeAction::Transmit(transmit),
            None => NodeAction::Wait(self.server.poll_timeout()),
        }
    }
}
