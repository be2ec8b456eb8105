//! Two agents in virtual time: links with delay, loss, duplication and reordering, simple NATs, a STUN server, and signalling.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_ice::turn::server::TurnServer;
use proto_ice::{
    IceAgent, IceConfig, IceEvent, IceRole, IceTransportState, InterfaceAddress, LocalCandidate, RemoteCandidate,
};
use proto_machine::{
    Action, Machine, Path, Received, Rng, Seed, SocketError, SocketEvent, SocketId, SocketRequest, Timestamp,
    TransmitBuffer,
};

use crate::messages;

/// Where the TURN server listens, and where it relays.
pub(crate) const TURN_ADDRESSES: [&str; 2] = ["203.0.113.5", "2001:db8:5::5"];

pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;

/// What a test describes; everything else has a default.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) sides: [Side; 2],
    pub(crate) link: Link,
    pub(crate) stun_servers: Vec<StunServerNode>,
    /// Names and what they resolve to; others are not found.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    pub(crate) signalling: Signalling,
}

pub(crate) struct Side {
    pub(crate) config: IceConfig,
    pub(crate) role: IceRole,
    pub(crate) addresses: Vec<&'static str>,
    pub(crate) nat: Option<Nat>,
    /// Addresses at which no socket can be opened.
    pub(crate) unbindable: Vec<&'static str>,
    /// Whether names are looked up at once, and not never.
    pub(crate) answers_lookups: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// One way.
    pub(crate) delay: Duration,
    /// Added to the delay at random, which reorders.
    pub(crate) jitter: Duration,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Nat {
    pub(crate) public: &'static str,
    /// Another mapping for each destination.
    pub(crate) symmetric: bool,
}

pub(crate) struct StunServerNode {
    pub(crate) address: SocketAddr,
    pub(crate) behaviour: ServerBehaviour,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerBehaviour {
    Answers,
    Silent,
    /// Answers with this error code.
    Refuses(u16),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signalling {
    /// Parameters at once, candidates and their end after this time.
    Trickle(Duration),
    /// Like `Trickle`, but the parameters of the right side reach the left one this much later.
    LateAnswer(Duration),
    /// Parameters only: no candidate is ever told.
    ParametersOnly,
    /// Candidates, but never their end.
    WithoutEnd,
    /// The test does it.
    None,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            sides: [Side::new(IceRole::Controlling, &["192.0.2.1"]), Side::new(IceRole::Controlled, &["198.51.100.2"])],
            link: Link::perfect(10),
            stun_servers: Vec::new(),
            names: BTreeMap::new(),
            signalling: Signalling::Trickle(Duration::ZERO),
        }
    }
}

impl Side {
    pub(crate) fn new(role: IceRole, addresses: &[&'static str]) -> Self {
        Self {
            config: IceConfig::default(),
            role,
            addresses: addresses.to_vec(),
            nat: None,
            unbindable: Vec::new(),
            answers_lookups: true,
        }
    }
}

impl Nat {
    /// It translates one family, and leaves the other alone.
    fn translates(&self, address: SocketAddr) -> bool {
        let public: IpAddr = self.public.parse().unwrap();
        public.is_ipv4() == address.is_ipv4()
    }
}

impl Link {
    pub(crate) fn perfect(delay_milliseconds: u64) -> Self {
        Self {
            delay: Duration::from_millis(delay_milliseconds),
            jitter: Duration::ZERO,
            loss_percent: 0,
            duplicate_percent: 0,
        }
    }
}

/// An agent and what it has told.
pub(crate) struct Node {
    pub(crate) agent: IceAgent,
    pub(crate) interfaces: Vec<InterfaceAddress>,
    pub(crate) events: Vec<(Timestamp, IceEvent)>,
    pub(crate) payloads: Vec<(Timestamp, Vec<u8>)>,
    pub(crate) socket_requests: Vec<SocketRequest>,
    pub(crate) sockets: BTreeMap<SocketId, SocketAddr>,
    nat: Option<Nat>,
    unbindable: Vec<IpAddr>,
    answers_lookups: bool,
    mappings: Vec<Mapping>,
}

struct Mapping {
    inside: SocketAddr,
    /// Only packets from and to there, if the NAT is symmetric.
    destination: Option<SocketAddr>,
    outside: SocketAddr,
}

/// A datagram that was sent, as its sender sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) from: usize,
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
}

enum Delivery {
    Datagram { source: SocketAddr, destination: SocketAddr, bytes: Vec<u8> },
    Candidate { to: usize, candidate: RemoteCandidate },
    EndOfCandidates { to: usize, fragment: String },
    Parameters { to: usize },
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) nodes: [Node; 2],
    pub(crate) link: Link,
    pub(crate) sent: Vec<Sent>,
    /// Nothing gets from the one address to the other.
    pub(crate) blocked: BTreeSet<(IpAddr, IpAddr)>,
    pub(crate) stun_servers: Vec<StunServerNode>,
    /// It has its IP addresses for itself.
    pub(crate) turn: Option<TurnServer>,
    /// Whether sockets open as soon as they are asked for.
    pub(crate) opens_sockets: bool,
    names: BTreeMap<String, Vec<IpAddr>>,
    signalling: Signalling,
    queue: BTreeMap<(Timestamp, u64), Delivery>,
    next_number: u64,
    next_port: u16,
    rng: Rng,
}

impl World {
    /// Agents that have exchanged parameters and begun to gather, at time zero.
    pub(crate) fn new(setup: Setup) -> Self {
        let mut world = Self::idle(setup);
        world.begin();
        world
    }

    /// Agents that have done nothing yet.
    pub(crate) fn idle(setup: Setup) -> Self {
        let seed = Seed::from_number(setup.seed);
        let mut number = 0;
        let nodes = setup.sides.map(|side| {
            number += 1;
            let parse = |address: &&str| -> IpAddr { address.parse().unwrap() };
            Node {
                agent: IceAgent::new(side.config, side.role, seed.child(&format!("agent {number}"))),
                interfaces: side.addresses.iter().map(parse).map(InterfaceAddress::new).collect(),
                events: Vec::new(),
                payloads: Vec::new(),
                socket_requests: Vec::new(),
                sockets: BTreeMap::new(),
                nat: side.nat,
                answers_lookups: side.answers_lookups,
                unbindable: side.unbindable.iter().map(parse).collect(),
                mappings: Vec::new(),
            }
        });
        Self {
            now: Timestamp::ZERO,
            nodes,
            link: setup.link,
            sent: Vec::new(),
            blocked: BTreeSet::new(),
            stun_servers: setup.stun_servers,
            turn: None,
            opens_sockets: true,
            names: setup.names,
            signalling: setup.signalling,
            queue: BTreeMap::new(),
            next_number: 0,
            next_port: 5_000,
            rng: seed.child("network").into_rng(),
        }
    }

    pub(crate) fn begin(&mut self) {
        match self.signalling {
            Signalling::None => {}
            Signalling::LateAnswer(delay) => {
                self.tell_parameters(RIGHT);
                self.schedule(delay, Delivery::Parameters { to: LEFT });
            }
            Signalling::Trickle(_) | Signalling::ParametersOnly | Signalling::WithoutEnd => {
                self.tell_parameters(LEFT);
                self.tell_parameters(RIGHT);
            }
        }
        for node in &mut self.nodes {
            node.agent.gather(self.now, &node.interfaces.clone());
        }
        self.drain();
    }

    pub(crate) fn tell_parameters(&mut self, to: usize) {
        let parameters = self.nodes[1 - to].agent.local_parameters().clone();
        self.nodes[to].agent.set_remote_parameters(self.now, parameters).unwrap();
    }

    pub(crate) fn agent(&mut self, side: usize) -> &mut IceAgent {
        &mut self.nodes[side].agent
    }

    pub(crate) fn state(&self, side: usize) -> IceTransportState {
        self.nodes[side].agent.state()
    }

    /// Lets `duration` pass.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration, |_| false);
    }

    /// Lets time pass until `is_done`; panics if that takes longer than `limit`.
    pub(crate) fn run_to(&mut self, limit: Duration, is_done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        assert!(self.run_until(end, is_done), "not done at {:?}: {:?}, {:?}", end, self.state(LEFT), self.state(RIGHT));
    }

    /// Lets time pass until both agents have a path for data.
    pub(crate) fn connect(&mut self) {
        self.run_to(Duration::from_secs(30), |world| world.nodes.iter().all(|node| node.agent.can_send()));
    }

    /// Lets time pass until both agents have selected a pair.
    pub(crate) fn complete(&mut self) {
        let is_selected = |node: &Node| node.agent.selected_pair().is_some();
        self.run_to(Duration::from_secs(60), |world| world.nodes.iter().all(is_selected));
    }

    fn run_until(&mut self, end: Timestamp, is_done: impl Fn(&Self) -> bool) -> bool {
        loop {
            self.drain();
            if is_done(self) {
                return true;
            }
            let arrival = self.queue.keys().next().map(|&(at, _)| at);
            let deadlines = self.nodes.iter().filter_map(|node| Some(node.agent.poll_timeout()?.at));
            let Some(next) = deadlines.chain(arrival).min().filter(|next| *next <= end) else {
                self.now = self.now.max(end);
                return false;
            };
            assert!(next >= self.now || arrival == Some(next), "a deadline is left over at {:?}", self.now);
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let delivery = entry.remove();
                self.deliver(delivery);
            }
            for node in &mut self.nodes {
                node.agent.handle_timeout(self.now);
            }
        }
    }

    /// Carries out whatever the agents want, until they want nothing more at this moment.
    pub(crate) fn drain(&mut self) {
        let mut buffer = TransmitBuffer::new(1_200);
        for side in [LEFT, RIGHT] {
            loop {
                match self.nodes[side].agent.poll_action(self.now, usize::MAX, &mut buffer) {
                    Action::Transmit(transmit) => {
                        for datagram in buffer.datagrams() {
                            self.send(side, transmit.path, datagram.to_vec());
                        }
                    }
                    Action::Socket(request) => self.serve(side, request),
                    Action::Event(event) => self.signal(side, event),
                    Action::Wait(deadline) => {
                        assert!(
                            deadline.is_none_or(|deadline| deadline.at > self.now),
                            "{deadline:?} at {:?}",
                            self.now
                        );
                        break;
                    }
                }
            }
            while let Some(payload) = self.nodes[side].agent.poll_held() {
                self.nodes[side].payloads.push((self.now, payload));
            }
        }
    }

    /// Sends payload over the path for data, if there is one.
    pub(crate) fn send_payload(&mut self, side: usize, payload: &[u8]) -> Option<Path> {
        let mut buffer = TransmitBuffer::new(1_200);
        let transmit = self.nodes[side].agent.wrap(self.now, &mut buffer, |buffer| {
            let mut segment = buffer.segment()?;
            assert!(segment.put(payload));
            segment.finish();
            buffer.segments()
        })?;
        self.send(side, transmit.path, buffer.bytes().to_vec());
        Some(transmit.path)
    }

    fn serve(&mut self, side: usize, request: SocketRequest) {
        self.nodes[side].socket_requests.push(request.clone());
        match request {
            SocketRequest::BindUdp { socket, local } if self.opens_sockets => {
                if self.nodes[side].unbindable.contains(&local.ip()) {
                    let error = SocketError::AddressNotAvailable;
                    self.nodes[side].agent.handle_socket_event(self.now, SocketEvent::Failed { socket, error });
                    return;
                }
                self.next_port += 1;
                let mut local = local;
                local.set_port(self.next_port);
                self.nodes[side].sockets.insert(socket, local);
                self.nodes[side].agent.handle_socket_event(self.now, SocketEvent::Opened { socket, local });
            }
            SocketRequest::Close { socket } => {
                self.nodes[side].sockets.remove(&socket);
            }
            SocketRequest::Resolve { lookup, host } if self.nodes[side].answers_lookups => {
                let result = self.names.get(&host).cloned().ok_or(SocketError::NameNotFound);
                self.nodes[side].agent.handle_socket_event(self.now, SocketEvent::Resolved { lookup, result });
            }
            _ => {}
        }
    }

    fn signal(&mut self, side: usize, event: IceEvent) {
        self.nodes[side].events.push((self.now, event.clone()));
        let to = 1 - side;
        let delay = match self.signalling {
            Signalling::Trickle(delay) => delay,
            Signalling::LateAnswer(delay) if side == RIGHT => delay,
            Signalling::LateAnswer(_) | Signalling::WithoutEnd => Duration::ZERO,
            Signalling::ParametersOnly | Signalling::None => return,
        };
        match event {
            IceEvent::LocalCandidate(candidate) => {
                self.schedule(delay, Delivery::Candidate { to, candidate: candidate.into() });
            }
            IceEvent::EndOfCandidates if self.signalling != Signalling::WithoutEnd => {
                let fragment = self.nodes[side].agent.local_parameters().username_fragment.clone();
                self.schedule(delay, Delivery::EndOfCandidates { to, fragment });
            }
            _ => {}
        }
    }

    fn schedule(&mut self, delay: Duration, delivery: Delivery) {
        self.next_number += 1;
        self.queue.insert((self.now + delay, self.next_number), delivery);
    }

    fn send(&mut self, from: usize, path: Path, bytes: Vec<u8>) {
        self.sent.push(Sent { at: self.now, from, path, bytes: bytes.clone() });
        let source = self.translate(from, path.local, path.remote);
        self.put_on_wire(source, path.remote, bytes);
    }

    /// A datagram of somebody else, from wherever they claim to be.
    pub(crate) fn put_on_wire(&mut self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        let copies = if self.rng.below(100) < self.link.duplicate_percent { 2 } else { 1 };
        for _ in 0..copies {
            let is_lost = self.rng.below(100) < self.link.loss_percent;
            let jitter = Duration::from_nanos(self.rng.below(u64::try_from(self.link.jitter.as_nanos()).unwrap()));
            if !is_lost && !self.blocked.contains(&(source.ip(), destination.ip())) {
                let delivery = Delivery::Datagram { source, destination, bytes: bytes.clone() };
                self.schedule(self.link.delay + jitter, delivery);
            }
        }
    }

    /// What the source address becomes on the way out.
    fn translate(&mut self, from: usize, inside: SocketAddr, remote: SocketAddr) -> SocketAddr {
        let node = &mut self.nodes[from];
        let Some(nat) = node.nat.filter(|nat| nat.translates(inside)) else {
            return inside;
        };
        let destination = nat.symmetric.then_some(remote);
        let known = node.mappings.iter().find(|mapping| mapping.inside == inside && mapping.destination == destination);
        if let Some(mapping) = known {
            return mapping.outside;
        }
        self.next_port += 1;
        let outside = SocketAddr::new(nat.public.parse().unwrap(), 10_000 + self.next_port);
        node.mappings.push(Mapping { inside, destination, outside });
        outside
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Datagram { source, destination, bytes } => self.arrive(source, destination, bytes),
            Delivery::Candidate { to, candidate } => {
                let _ = self.nodes[to].agent.add_remote_candidate(self.now, candidate);
            }
            Delivery::EndOfCandidates { to, fragment } => {
                self.nodes[to].agent.end_of_remote_candidates(self.now, Some(&fragment));
            }
            Delivery::Parameters { to } => self.tell_parameters(to),
        }
    }

    fn arrive(&mut self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        if let Some(server) = self.stun_servers.iter().find(|server| server.address == destination) {
            if let Some(answer) = messages::server_answer(&bytes, source, server.behaviour) {
                self.put_on_wire(destination, source, answer);
            }
            return;
        }
        if TURN_ADDRESSES.contains(&destination.ip().to_string().as_str()) {
            self.arrive_at_turn_server(Path::udp(destination, source), bytes);
            return;
        }
        for side in [LEFT, RIGHT] {
            let node = &self.nodes[side];
            let inside = match node.nat.filter(|nat| nat.translates(destination)) {
                None => Some(destination),
                Some(_) => node
                    .mappings
                    .iter()
                    .find(|mapping| {
                        mapping.outside == destination && mapping.destination.is_none_or(|only| only == source)
                    })
                    .map(|mapping| mapping.inside),
            };
            if let Some(local) = inside.filter(|inside| node.sockets.values().any(|socket| socket == inside)) {
                self.inject(side, Path::udp(local, source), &bytes);
                return;
            }
        }
    }

    fn arrive_at_turn_server(&mut self, path: Path, mut datagram: Vec<u8>) {
        let Some(mut server) = self.turn.take() else { return };
        server.handle_input(self.now, Received { path, datagram: &mut datagram });
        let mut buffer = TransmitBuffer::new(1_400);
        while let Some(transmit) = server.poll_transmit(self.now, 1, &mut buffer) {
            self.put_on_wire(transmit.path.local, transmit.path.remote, buffer.bytes().to_vec());
            buffer.clear();
        }
        self.turn = Some(server);
    }

    /// Hands a datagram to an agent, past the network.
    pub(crate) fn inject(&mut self, side: usize, path: Path, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if let Some(payload) = self.nodes[side].agent.handle_datagram(self.now, path, &mut bytes) {
            let payload = payload.to_vec();
            self.nodes[side].payloads.push((self.now, payload));
        }
    }
}

impl Node {
    pub(crate) fn states(&self) -> Vec<IceTransportState> {
        let state = |(_, event): &(Timestamp, IceEvent)| match event {
            IceEvent::StateChange(state) => Some(*state),
            _ => None,
        };
        self.events.iter().filter_map(state).collect()
    }

    pub(crate) fn candidates(&self) -> Vec<LocalCandidate> {
        let candidate = |(_, event): &(Timestamp, IceEvent)| match event {
            IceEvent::LocalCandidate(candidate) => Some(candidate.clone()),
            _ => None,
        };
        self.events.iter().filter_map(candidate).collect()
    }

    /// The address of its first socket.
    pub(crate) fn socket(&self) -> SocketAddr {
        *self.sockets.values().next().unwrap()
    }
}
