//! Virtual time and the virtual network.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::{
    Path, Received, Seed, SocketError, SocketEvent, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};

use crate::link::Link;
use crate::{Entry, LinkConfig, Node, NodeAction, NodeId, Transcript};

/// Names a node of a known type, so that [`World::node`] needs no guess.
pub struct Handle<N> {
    id: NodeId,
    node: PhantomData<fn() -> N>,
}

impl<N> Handle<N> {
    /// The node's number.
    #[must_use]
    pub fn id(self) -> NodeId {
        self.id
    }
}

impl<N> Clone for Handle<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Handle<N> {}

impl<N> fmt::Debug for Handle<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

/// A network of nodes in virtual time. Everything in it follows from the seed and the order of the calls.
///
/// One thread, no clock: a world of an hour runs as fast as its nodes can compute.
pub struct World<S> {
    now: Timestamp,
    hosts: Vec<Host<S>>,
    /// Who has which IP address.
    addresses: BTreeMap<IpAddr, NodeId>,
    names: BTreeMap<String, Vec<IpAddr>>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    default_link: LinkConfig,
    signalling_delay: Duration,
    seed: Seed,
    queue: BTreeMap<(Timestamp, u64), Delivery<S>>,
    /// Numbers deliveries, so that those of one moment keep their order.
    sequence: u64,
    transcript: Transcript,
    captured: Option<Vec<Captured>>,
    buffer: TransmitBuffer,
    started: bool,
}

/// A datagram that has arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub node: NodeId,
    /// On which path, as the receiver sees it.
    pub path: Path,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

struct Host<S> {
    node: Box<dyn Node<S>>,
    addresses: Vec<IpAddr>,
    sockets: BTreeMap<SocketId, SocketAddr>,
    bound: BTreeSet<SocketAddr>,
    next_port: u16,
    deadline: Option<Timestamp>,
}

enum Delivery<S> {
    Datagram { to: NodeId, path: Path, bytes: Vec<u8> },
    Signal { to: NodeId, from: NodeId, signal: S },
    SocketEvent { to: NodeId, event: SocketEvent },
}

/// A world in which a condition did not come true in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stuck {
    /// The moment at which the world stopped.
    pub at: Timestamp,
    /// Whether nothing more could ever have happened, rather than the time being up.
    pub quiescent: bool,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.quiescent { "nothing was left to happen" } else { "the time was up" };
        write!(f, "the condition was not true at {:?}, when {why}", self.at)
    }
}

impl std::error::Error for Stuck {}

/// The most actions a node may want between two inputs: more is a node that spins.
const ACTION_BUDGET: usize = 1_000_000;
/// The first port that a host hands out.
const FIRST_PORT: u16 = 40_000;

impl<S: 'static> World<S> {
    /// An empty world.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            now: Timestamp::ZERO,
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            names: BTreeMap::new(),
            links: BTreeMap::new(),
            default_link: LinkConfig::default(),
            signalling_delay: Duration::ZERO,
            seed,
            queue: BTreeMap::new(),
            sequence: 0,
            transcript: Transcript::default(),
            captured: None,
            buffer: TransmitBuffer::new(1_200),
            started: false,
        }
    }

    /// How links behave that are not configured one by one. Set it before the first datagram is sent.
    pub fn set_default_link(&mut self, config: LinkConfig) {
        self.default_link = config;
    }

    /// How the direction from one node to another behaves from now on.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, config: LinkConfig) {
        self.link(from, to).set_config(config);
    }

    /// How long a signal takes from one node to another.
    pub fn set_signalling_delay(&mut self, delay: Duration) {
        self.signalling_delay = delay;
    }

    /// Gives a host name its addresses, for look-ups.
    pub fn add_name(&mut self, host: &str, addresses: Vec<IpAddr>) {
        self.names.insert(host.to_owned(), addresses);
    }

    /// Adds a node on a host with these addresses, each of which must be new to the world.
    ///
    /// # Panics
    ///
    /// If an address is taken.
    pub fn add_node<N: Node<S>>(&mut self, node: N, addresses: Vec<IpAddr>) -> Handle<N> {
        let id = NodeId(self.hosts.len());
        for &address in &addresses {
            let taken = self.addresses.insert(address, id);
            assert!(taken.is_none(), "{address} is taken by {taken:?}");
        }
        self.hosts.push(Host {
            node: Box::new(node),
            addresses,
            sockets: BTreeMap::new(),
            bound: BTreeSet::new(),
            next_port: FIRST_PORT,
            deadline: None,
        });
        if self.started {
            self.start(id);
        }
        Handle { id, node: PhantomData }
    }

    /// The current virtual time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Keeps a copy of every datagram that arrives from now on, for [`captured`](Self::captured).
    pub fn capture(&mut self) {
        self.captured.get_or_insert_default();
    }

    /// The datagrams that have arrived since [`capture`](Self::capture), in order.
    #[must_use]
    pub fn captured(&self) -> &[Captured] {
        self.captured.as_deref().unwrap_or_default()
    }

    /// What has happened so far.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// A node, to look at.
    ///
    /// # Panics
    ///
    /// If the handle is of another world.
    #[must_use]
    #[expect(clippy::expect_used, reason = "documented: a handle of another world is a mistake of the caller")]
    pub fn node<N: Node<S>>(&self, handle: Handle<N>) -> &N {
        let node: &dyn Any = &*self.hosts[handle.id.0].node;
        node.downcast_ref().expect("the handle is of this world")
    }

    /// Gives a command to a node, and carries out what it then wants.
    ///
    /// # Panics
    ///
    /// If the handle is of another world.
    #[expect(clippy::expect_used, reason = "documented: a handle of another world is a mistake of the caller")]
    pub fn command<N: Node<S>, R>(&mut self, handle: Handle<N>, command: impl FnOnce(&mut N, Timestamp) -> R) -> R {
        self.ensure_started();
        let node: &mut dyn Any = &mut *self.hosts[handle.id.0].node;
        let node = node.downcast_mut().expect("the handle is of this world");
        let result = command(node, self.now);
        self.drain(handle.id);
        result
    }

    /// Closes all sockets of a node's host, as the end of its program does. What is started there next is given the same ports again.
    pub fn close_sockets(&mut self, node: NodeId) {
        if let Some(host) = self.hosts.get_mut(node.0) {
            host.sockets.clear();
            host.bound.clear();
            host.next_port = FIRST_PORT;
        }
    }

    /// Runs until `condition` is true, which is looked at after every step, and returns the moment.
    ///
    /// # Errors
    ///
    /// [`Stuck`] if it is not true at `limit`, or when nothing is left that could happen.
    pub fn run_until(
        &mut self,
        limit: Timestamp,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> Result<Timestamp, Stuck> {
        self.ensure_started();
        loop {
            if condition(self) {
                return Ok(self.now);
            }
            match self.next_moment() {
                Some(next) if next <= limit => self.step(next),
                next => {
                    self.now = self.now.max(limit);
                    return Err(Stuck { at: self.now, quiescent: next.is_none() });
                }
            }
        }
    }

    /// Runs for `duration`, whatever happens.
    pub fn run_for(&mut self, duration: Duration) {
        let limit = self.now + duration;
        let _stuck = self.run_until(limit, |_| false);
    }

    fn ensure_started(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            for index in 0..self.hosts.len() {
                self.start(NodeId(index));
            }
        }
    }

    fn start(&mut self, id: NodeId) {
        self.hosts[id.0].node.handle_start(self.now);
        self.drain(id);
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let delivery = self.queue.keys().next().map(|&(at, _)| at);
        let deadline = self.hosts.iter().filter_map(|host| host.deadline).min();
        delivery.into_iter().chain(deadline).min()
    }

    /// One delivery, or one node's due timers.
    fn step(&mut self, next: Timestamp) {
        self.now = self.now.max(next);
        if let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= self.now
        {
            let delivery = entry.remove();
            self.deliver(delivery);
            return;
        }
        let due = |host: &Host<S>| host.deadline.is_some_and(|deadline| deadline <= self.now);
        if let Some(index) = self.hosts.iter().position(due) {
            self.hosts[index].node.handle_timeout(self.now);
            self.drain(NodeId(index));
            let next = self.hosts[index].deadline;
            assert!(next.is_none_or(|at| at > self.now), "{} is still due at {:?}: it spins", NodeId(index), self.now);
        }
    }

    fn deliver(&mut self, delivery: Delivery<S>) {
        let now = self.now;
        let to = match delivery {
            Delivery::Datagram { to, path, mut bytes } => {
                let host = &mut self.hosts[to.0];
                if !host.bound.contains(&path.local) {
                    self.transcript.push(Entry::Unreachable { at: now, path: path.reversed() });
                    return;
                }
                self.transcript.push(Entry::Arrived { at: now, path, length: bytes.len() });
                if let Some(captured) = &mut self.captured {
                    captured.push(Captured { at: now, node: to, path, bytes: bytes.clone() });
                }
                host.node.handle_packet(now, Received { path, datagram: &mut bytes });
                to
            }
            Delivery::Signal { to, from, signal } => {
                self.hosts[to.0].node.handle_signal(now, from, signal);
                to
            }
            Delivery::SocketEvent { to, event } => {
                self.hosts[to.0].node.handle_socket_event(now, event);
                to
            }
        };
        self.drain(to);
    }

    /// Carries out what a node wants until it only wants to wait.
    fn drain(&mut self, id: NodeId) {
        let rest = (0..ACTION_BUDGET).any(|_| !self.act(id));
        assert!(rest, "{id} wanted more than {ACTION_BUDGET} actions at {:?}: it spins", self.now);
    }

    /// Carries out one action of a node; `false` if it only wants to wait.
    fn act(&mut self, id: NodeId) -> bool {
        self.buffer.clear();
        match self.hosts[id.0].node.poll(self.now, &mut self.buffer) {
            NodeAction::Transmit(transmit) => self.send(id, transmit),
            NodeAction::Socket(request) => self.handle_request(id, request),
            NodeAction::Signal { to, signal } => {
                let at = self.now + self.signalling_delay;
                self.enqueue(at, Delivery::Signal { to, from: id, signal });
            }
            NodeAction::Record(text) => self.transcript.push(Entry::Event { at: self.now, node: id, text }),
            NodeAction::Wait(deadline) => {
                self.hosts[id.0].deadline = deadline.map(|deadline| deadline.at);
                return false;
            }
        }
        true
    }

    fn send(&mut self, from: NodeId, transmit: Transmit) {
        let path = transmit.path;
        let to = self.addresses.get(&path.remote.ip()).copied();
        let datagrams: Vec<Vec<u8>> = self.buffer.datagrams().map(<[u8]>::to_vec).collect();
        for bytes in datagrams {
            self.transcript.push(Entry::Sent { at: self.now, path, length: bytes.len() });
            let Some(to) = to else {
                self.transcript.push(Entry::Unreachable { at: self.now, path });
                continue;
            };
            let now = self.now;
            for at in self.link(from, to).arrivals(now) {
                let mut bytes = bytes.clone();
                self.link(from, to).corrupt(&mut bytes);
                self.enqueue(at, Delivery::Datagram { to, path: path.reversed(), bytes });
            }
        }
    }

    fn handle_request(&mut self, id: NodeId, request: SocketRequest) {
        let event = match request {
            SocketRequest::BindUdp { socket, local } => match self.hosts[id.0].bind(socket, local) {
                Ok(local) => SocketEvent::Opened { socket, local },
                Err(error) => SocketEvent::Failed { socket, error },
            },
            SocketRequest::Close { socket } => {
                self.hosts[id.0].close(socket);
                return;
            }
            SocketRequest::Resolve { lookup, host } => {
                let result = self.names.get(&host).cloned().ok_or(SocketError::NameNotFound);
                SocketEvent::Resolved { lookup, result }
            }
            // The vocabulary may grow. What this world does not know it cannot answer either; the transcript tells.
            other => {
                let text = format!("asked for what this world cannot do: {other:?}");
                self.transcript.push(Entry::Event { at: self.now, node: id, text });
                return;
            }
        };
        self.enqueue(self.now, Delivery::SocketEvent { to: id, event });
    }

    fn enqueue(&mut self, at: Timestamp, delivery: Delivery<S>) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), delivery);
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        let (config, seed) = (self.default_link, &self.seed);
        let child = || seed.child(&format!("link {from} to {to}"));
        self.links.entry((from, to)).or_insert_with(|| Link::new(config, child()))
    }
}

impl<S> Host<S> {
    fn bind(&mut self, socket: SocketId, local: SocketAddr) -> Result<SocketAddr, SocketError> {
        if !self.addresses.contains(&local.ip()) {
            return Err(SocketError::AddressNotAvailable);
        }
        let mut address = local;
        if local.port() == 0 {
            address.set_port(self.free_port(local.ip()).ok_or(SocketError::AddressInUse)?);
        }
        if !self.bound.insert(address) {
            return Err(SocketError::AddressInUse);
        }
        self.sockets.insert(socket, address);
        Ok(address)
    }

    /// The next port that is not bound.
    fn free_port(&mut self, ip: IpAddr) -> Option<u16> {
        for _ in FIRST_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !self.bound.contains(&SocketAddr::new(ip, port)) {
                return Some(port);
            }
        }
        None
    }

    fn close(&mut self, socket: SocketId) {
        if let Some(address) = self.sockets.remove(&socket) {
            self.bound.remove(&address);
        }
    }
}

impl<S> fmt::Debug for World<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("nodes", &self.hosts.len()).finish_non_exhaustive()
    }
}
