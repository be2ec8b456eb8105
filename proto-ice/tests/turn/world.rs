//! One client, servers and peers, on a network with a delay of 10 ms.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_ice::turn::server::{TurnRequest, TurnServer, TurnServerConfig};
use proto_ice::turn::{RelayedFamilies, TurnAllocation, TurnClient, TurnConfig, TurnCredentials, TurnError, TurnEvent};
use proto_machine::{Machine, Path, Received, Seed, Timestamp, TransmitBuffer};

pub(crate) const DELAY: Duration = Duration::from_millis(10);

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn client_address() -> SocketAddr {
    address("192.0.2.1:5000")
}

pub(crate) fn server_address() -> SocketAddr {
    address("203.0.113.5:3478")
}

pub(crate) fn credentials() -> TurnCredentials {
    TurnCredentials::new("user", "secret")
}

pub(crate) fn server_config() -> TurnServerConfig {
    let mut config = TurnServerConfig::new(server_address(), credentials());
    config.relay_addresses.push(ip("2001:db8::5"));
    config
}

/// Data that has arrived somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Arrived {
    /// The address at which the receiver sees the sender.
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) client: TurnClient,
    pub(crate) servers: Vec<TurnServer>,
    pub(crate) events: Vec<(Timestamp, TurnEvent)>,
    pub(crate) at_client: Vec<Arrived>,
    pub(crate) at_peers: Vec<Arrived>,
    /// Everything the client has sent, and where to.
    pub(crate) sent: Vec<(Timestamp, SocketAddr, Vec<u8>)>,
    /// So many of the next messages to the client are lost.
    pub(crate) lose_to_client: u32,
    /// Messages on their way, with the path as the receiver sees it.
    wire: BTreeMap<(Timestamp, usize), (Path, Vec<u8>)>,
    count: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(server_config(), TurnConfig::new(credentials()))
    }

    pub(crate) fn with(server: TurnServerConfig, client: TurnConfig) -> Self {
        let path = Path::udp(client_address(), server_address());
        Self {
            now: Timestamp::ZERO,
            client: TurnClient::new(path, client, &Seed::from_number(1)),
            servers: vec![TurnServer::new(server, &Seed::from_number(2))],
            events: Vec::new(),
            at_client: Vec::new(),
            at_peers: Vec::new(),
            sent: Vec::new(),
            lose_to_client: 0,
            wire: BTreeMap::new(),
            count: 0,
        }
    }

    pub(crate) fn of_families(families: RelayedFamilies) -> Self {
        Self::with(server_config(), TurnConfig { families, ..TurnConfig::new(credentials()) })
    }

    /// A world with an allocation.
    pub(crate) fn allocated() -> Self {
        let mut world = Self::new();
        world.run_for(Duration::from_secs(1));
        world.allocation();
        world
    }

    /// A world with a permission for this peer.
    pub(crate) fn permitted(peer: SocketAddr) -> Self {
        let mut world = Self::allocated();
        world.client.permit([peer.ip()]);
        world.run_for(Duration::from_secs(1));
        assert!(world.client.is_permitted(world.now, peer.ip()));
        world
    }

    pub(crate) fn server(&mut self) -> &mut TurnServer {
        &mut self.servers[0]
    }

    pub(crate) fn allocation(&self) -> TurnAllocation {
        let mut allocations = self.events.iter().filter_map(|(_, event)| match event {
            TurnEvent::Allocated(allocation) => Some(allocation.clone()),
            _ => None,
        });
        allocations.next_back().expect("an allocation")
    }

    pub(crate) fn relayed(&self) -> SocketAddr {
        self.allocation().relayed[0]
    }

    pub(crate) fn failure(&self) -> Option<TurnError> {
        self.events.iter().find_map(|(_, event)| match event {
            TurnEvent::Failed(error) => Some(error.clone()),
            _ => None,
        })
    }

    pub(crate) fn requests(&self, kind: TurnRequest) -> u64 {
        self.servers.iter().map(|server| server.statistics().requests.get(&kind).copied().unwrap_or_default()).sum()
    }

    pub(crate) fn has_event(&self, is_wanted: impl Fn(&TurnEvent) -> bool) -> bool {
        self.events.iter().any(|(_, event)| is_wanted(event))
    }

    /// Lets the client send to a peer. Returned is whether it could.
    pub(crate) fn send(&mut self, peer: SocketAddr, data: &[u8]) -> bool {
        let mut buffer = TransmitBuffer::new(1_200);
        let transmit = self.client.wrap(self.now, peer, &mut buffer, |buffer| {
            assert!(buffer.push(data));
            buffer.segments()
        });
        for datagram in buffer.datagrams().filter(|_| transmit.is_some()) {
            self.put_from_client(self.client.path(), datagram.to_vec());
        }
        transmit.is_some()
    }

    /// Lets a peer send to a relayed address.
    pub(crate) fn send_from_peer(&mut self, peer: SocketAddr, relayed: SocketAddr, data: &[u8]) {
        self.put(Path::udp(relayed, peer), data.to_vec());
    }

    /// Hands bytes to the client as if they came from the server.
    pub(crate) fn inject(&mut self, bytes: &[u8]) {
        assert_eq!(self.client.handle_message(self.now, bytes), None);
        self.drain();
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.drain();
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let deadline = self.client.poll_timeout().map(|deadline| deadline.at);
            let Some(next) = arrival.into_iter().chain(deadline).min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some((&(at, number), _)) = self.wire.first_key_value()
                && at <= self.now
            {
                let (path, bytes) = self.wire.remove(&(at, number)).unwrap();
                self.arrive(path, bytes);
            }
            self.client.handle_timeout(self.now);
        }
    }

    fn arrive(&mut self, path: Path, mut bytes: Vec<u8>) {
        if path.local == client_address() {
            if path == self.client.path()
                && let Some(data) = self.client.handle_message(self.now, &bytes)
            {
                let bytes = bytes[data.payload].to_vec();
                self.at_client.push(Arrived { from: data.peer, to: data.relayed, bytes });
            }
            return;
        }
        for server in &mut self.servers {
            server.handle_input(self.now, Received { path, datagram: &mut bytes });
        }
    }

    /// Takes everything that is ready, and checks that nothing that was due is left.
    pub(crate) fn drain(&mut self) {
        let mut buffer = TransmitBuffer::new(1_400);
        while let Some(transmit) = self.client.poll_transmit(self.now, 1, &mut buffer) {
            self.put_from_client(transmit.path, buffer.bytes().to_vec());
            buffer.clear();
        }
        for index in 0..self.servers.len() {
            while let Some(transmit) = self.servers[index].poll_transmit(self.now, 1, &mut buffer) {
                let bytes = buffer.bytes().to_vec();
                buffer.clear();
                if transmit.path.remote == client_address() {
                    if self.lose_to_client > 0 {
                        self.lose_to_client -= 1;
                        continue;
                    }
                    self.put(transmit.path.reversed(), bytes);
                } else {
                    let Path { local: from, remote: to, .. } = transmit.path;
                    self.at_peers.push(Arrived { from, to, bytes });
                }
            }
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push((self.now, event));
        }
        if let Some(deadline) = self.client.poll_timeout() {
            assert!(deadline.at > self.now || self.wire_is_due(), "{} is due and was not done", deadline.reason);
        }
    }

    fn wire_is_due(&self) -> bool {
        self.wire.keys().any(|(at, _)| *at <= self.now)
    }

    fn put_from_client(&mut self, path: Path, bytes: Vec<u8>) {
        self.sent.push((self.now, path.remote, bytes.clone()));
        self.put(path.reversed(), bytes);
    }

    fn put(&mut self, path: Path, bytes: Vec<u8>) {
        self.count += 1;
        self.wire.insert((self.now + DELAY, self.count), (path, bytes));
    }
}
