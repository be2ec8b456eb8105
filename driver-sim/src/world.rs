//! Virtual time and the virtual network.

mod host;
mod names;
mod pipes;
mod transit;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::time::Duration;

use proto_machine::{Path, Seed, SocketError, SocketEvent, SocketRequest, Timestamp};

use self::host::Host;
pub use self::names::{Direction, Interface, LinkName};
use self::transit::Flight;
use crate::link::{Continuity, Link};
use crate::names::{NameRecord, Names};
use crate::network::{Internet, InternetError};
use crate::pcap::{Recording, RecordingId, VantagePoint};
use crate::{Entry, LinkConfig, Node, NodeAction, NodeId, StreamEvent, Transcript};

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
    internet: Internet,
    names: Names,
    links: BTreeMap<LinkName, Link>,
    default_link: LinkConfig,
    signalling_delay: Duration,
    seed: Seed,
    queue: BTreeMap<(Timestamp, u64), Delivery<S>>,
    /// Numbers deliveries, so that those of one moment keep their order.
    sequence: u64,
    transcript: Transcript,
    captured: Option<Vec<Captured>>,
    recordings: Vec<Recording>,
    started: bool,
    standstill: Standstill,
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

enum Delivery<S> {
    Flight(Flight),
    Datagram { to: NodeId, path: Path, bytes: Vec<u8> },
    Signal { to: NodeId, from: NodeId, signal: S },
    SocketEvent { to: NodeId, event: SocketEvent },
    Stream { to: NodeId, path: Path, event: StreamEvent },
    PipeTimer { of: NodeId, path: Path },
    Action(Action<S>),
}

type Action<S> = Box<dyn FnOnce(&mut World<S>)>;

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

/// The most steps in which time does not move: more are nodes that answer each other at once.
const STEP_BUDGET: usize = 1_000_000;

/// How long time has not moved.
#[derive(Debug, Default)]
struct Standstill {
    steps: usize,
    /// Who had the last turns, the latest one at the end.
    nodes: [Option<NodeId>; 2],
}

impl Standstill {
    fn turn_of(&mut self, node: NodeId) {
        self.nodes = [self.nodes[1], Some(node)];
    }

    /// Counts a step.
    ///
    /// # Panics
    ///
    /// If there were too many.
    fn step(&mut self, now: Timestamp) {
        let nodes = || {
            let names: BTreeSet<String> = self.nodes.iter().flatten().map(NodeId::to_string).collect();
            names.into_iter().collect::<Vec<_>>().join(" and ")
        };
        let spins = self.steps >= STEP_BUDGET;
        assert!(!spins, "time stands still at {now:?}: {STEP_BUDGET} steps, the last ones of {}", nodes());
        self.steps += 1;
    }
}

impl<S: 'static> World<S> {
    /// An empty world.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            now: Timestamp::ZERO,
            hosts: Vec::new(),
            internet: Internet::new(seed.child("internet")),
            names: Names::default(),
            links: BTreeMap::new(),
            default_link: LinkConfig::default(),
            signalling_delay: Duration::ZERO,
            seed,
            queue: BTreeMap::new(),
            sequence: 0,
            transcript: Transcript::default(),
            captured: None,
            recordings: Vec::new(),
            started: false,
            standstill: Standstill::default(),
        }
    }

    /// How the ways from node to node behave from now on that are not configured one by one.
    pub fn set_default_link(&mut self, config: LinkConfig) {
        self.default_link = config;
        for (_, link) in self.links.iter_mut().filter(|(name, _)| name.is_end_to_end()) {
            link.set_default(self.now, config);
        }
    }

    /// How the way from one node to another behaves from now on, whatever lies between them: [`LinkName::Between`].
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, config: LinkConfig) {
        self.configure(LinkName::Between { from, to }, config);
    }

    /// How any link behaves from now on. What is under way arrives when it would have; what waits at a bottleneck leaves at the new rate, as far as those are concerned that come later.
    ///
    /// # Panics
    ///
    /// If there is no such node, middlebox or interface: a fault with a wrong name would go unnoticed.
    pub fn configure(&mut self, link: LinkName, config: LinkConfig) {
        let now = self.now;
        self.existing_link(link).set_config(now, config);
    }

    /// Loses everything that is sent over a link from now on; what is under way arrives. One direction: a partition both ways cuts two.
    ///
    /// # Panics
    ///
    /// As [`configure`](Self::configure).
    pub fn cut(&mut self, link: LinkName) {
        self.existing_link(link).set_continuity(Continuity::Cut);
    }

    /// Ends what [`cut`](Self::cut) began. The link behaves as it is configured.
    ///
    /// # Panics
    ///
    /// As [`configure`](Self::configure).
    pub fn restore(&mut self, link: LinkName) {
        self.existing_link(link).set_continuity(Continuity::Whole);
    }

    /// The networks and middleboxes.
    #[must_use]
    pub fn internet(&self) -> &Internet {
        &self.internet
    }

    /// The networks and middleboxes, to add to and to reboot. Hosts are attached with [`add_host`](Self::add_host).
    pub fn internet_mut(&mut self) -> &mut Internet {
        &mut self.internet
    }

    /// How long a signal takes from one node to another.
    pub fn set_signalling_delay(&mut self, delay: Duration) {
        self.signalling_delay = delay;
    }

    /// Gives a host name its addresses: look-ups are answered with them at once.
    pub fn add_name(&mut self, host: &str, addresses: Vec<IpAddr>) {
        self.set_name(host, NameRecord::addresses(addresses));
    }

    /// How look-ups of a host name are answered that begin from now on. Other names are not found.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use driver_sim::{NameRecord, Signal, World};
    /// use proto_machine::{Seed, SocketError};
    ///
    /// let mut world: World<Signal> = World::new(Seed::from_number(1));
    /// let addresses = vec!["2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
    /// world.set_name("stun.example.org", NameRecord::addresses(addresses).after(Duration::from_millis(80)));
    /// world.set_name("gone.example.org", NameRecord::failure(SocketError::NameNotFound).after(Duration::from_secs(5)));
    /// ```
    pub fn set_name(&mut self, host: &str, record: NameRecord) {
        self.names.insert(host, record);
    }

    /// Adds a node on a host of the public Internet with these addresses, each of which must be new to the world.
    ///
    /// # Panics
    ///
    /// If an address is taken.
    pub fn add_node<N: Node<S>>(&mut self, node: N, addresses: Vec<IpAddr>) -> Handle<N> {
        let public = addresses.into_iter().map(|address| Interface { network: Internet::PUBLIC, address });
        self.add_host(node, public.collect())
    }

    /// Adds a node on a host with these interfaces.
    ///
    /// # Panics
    ///
    /// If a network does not exist, an address is taken in it, or two interfaces of the host have the same one.
    #[expect(clippy::expect_used, reason = "documented: interfaces that cannot be are a mistake of the caller")]
    pub fn add_host<N: Node<S>>(&mut self, node: N, interfaces: Vec<Interface>) -> Handle<N> {
        let added = self.try_add_host(node, interfaces, None);
        added.expect("documented: each interface is possible")
    }

    /// Adds a node with these access links, or nothing at all.
    pub(crate) fn try_add_host<N: Node<S>>(
        &mut self,
        node: N,
        interfaces: Vec<Interface>,
        link: Option<LinkConfig>,
    ) -> Result<Handle<N>, InternetError> {
        let id = NodeId(self.hosts.len());
        self.hosts.push(Host::new(Box::new(node)));
        for &interface in &interfaces {
            if let Err(error) = self.attach(id, interface) {
                let host = self.hosts.pop();
                for attached in host.iter().flat_map(Host::interfaces) {
                    self.internet.detach(attached.network, attached.address)?;
                }
                return Err(error);
            }
        }
        if let Some(config) = link {
            for Interface { address, .. } in interfaces {
                for direction in [Direction::Up, Direction::Down] {
                    self.configure(LinkName::Interface { node: id, address, direction }, config);
                }
            }
        }
        if self.started {
            self.start(id);
        }
        Ok(Handle { id, node: PhantomData })
    }

    /// Gives a host another interface, and tells its node.
    ///
    /// # Errors
    ///
    /// [`InternetError`] if there is no such node or network, or the address is taken; nothing has changed.
    pub fn add_interface(&mut self, node: NodeId, interface: Interface) -> Result<(), InternetError> {
        self.attach(node, interface)?;
        self.report_interfaces(node);
        Ok(())
    }

    /// Takes an interface away from a host, and tells its node. The sockets there fail.
    ///
    /// # Errors
    ///
    /// [`InternetError`] if there is no such node or address.
    pub fn remove_interface(&mut self, node: NodeId, address: IpAddr) -> Result<(), InternetError> {
        let host = self.hosts.get_mut(node.0).ok_or(InternetError::NoSuchPlace)?;
        let network = host.network_of(address).ok_or(InternetError::NoSuchAddress(address))?;
        self.internet.detach(network, address)?;
        for socket in host.remove_interface(address) {
            let event = SocketEvent::Failed { socket, error: SocketError::AddressNotAvailable };
            self.enqueue(self.now, Delivery::SocketEvent { to: node, event });
        }
        self.report_interfaces(node);
        Ok(())
    }

    /// Does something to the world at a moment of its future; at once if it is past.
    pub fn at(&mut self, moment: Timestamp, action: impl FnOnce(&mut Self) + 'static) {
        self.enqueue(moment.max(self.now), Delivery::Action(Box::new(action)));
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

    /// Keeps a packet trace from now on, of what is seen from one point; as many as are wanted. [`pcap`](Self::pcap) reads it.
    ///
    /// ```
    /// use driver_sim::network::Internet;
    /// use driver_sim::{Signal, VantagePoint, World};
    /// use proto_machine::{Seed, Timestamp};
    ///
    /// let mut world: World<Signal> = World::new(Seed::from_number(1));
    /// let trace = world.record(VantagePoint::Network(Internet::PUBLIC));
    /// // `std::fs::write("public.pcap", world.pcap(trace))` when all has happened.
    /// assert_eq!(world.pcap(trace).len(), 24);
    /// ```
    pub fn record(&mut self, point: VantagePoint) -> RecordingId {
        self.recordings.push(Recording::new(point));
        RecordingId(self.recordings.len() - 1)
    }

    /// A packet trace so far, as a file in the format of pcap: raw IP packets, stamped with virtual time. It stays below 256 MiB, and leaves out what comes later.
    ///
    /// # Panics
    ///
    /// If the recording is of another world.
    #[must_use]
    pub fn pcap(&self, recording: RecordingId) -> &[u8] {
        self.recordings[recording.0].bytes()
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

    /// Gives a command to a node, and carries out what it then wants. If the world has not begun, it does so first: all nodes are started.
    ///
    /// # Panics
    ///
    /// If the handle is of another world, or as [`run_until`](Self::run_until).
    #[expect(clippy::expect_used, reason = "documented: a handle of another world is a mistake of the caller")]
    pub fn command<N: Node<S>, R>(&mut self, handle: Handle<N>, command: impl FnOnce(&mut N, Timestamp) -> R) -> R {
        self.ensure_started();
        let node: &mut dyn Any = &mut *self.hosts[handle.id.0].node;
        let node = node.downcast_mut().expect("the handle is of this world");
        let result = command(node, self.now);
        self.drain(handle.id);
        result
    }

    /// Ends the program of a host, and starts this one in its place: the sockets are closed, and the new node is told its interfaces and begins. It is given the same ports again.
    /// Datagrams and signals that are under way to the old one reach the new one, answers to its look-ups do not.
    ///
    /// # Panics
    ///
    /// As [`command`](Self::command).
    #[expect(clippy::expect_used, reason = "documented: a handle of another world is a mistake of the caller")]
    pub fn restart<N: Node<S>>(&mut self, handle: Handle<N>, node: N) {
        self.ensure_started();
        let id = handle.id;
        let host = &mut self.hosts[id.0];
        host.close_all();
        let old: &mut dyn Any = &mut *host.node;
        *old.downcast_mut().expect("the handle is of this world") = node;
        self.queue.retain(|_, delivery| !matches!(delivery, Delivery::SocketEvent { to, .. } if *to == id));
        self.start(id);
    }

    /// Runs until `condition` is true, which is looked at after every step, and returns the moment.
    ///
    /// # Errors
    ///
    /// [`Stuck`] if it is not true at `limit`, or when nothing is left that could happen.
    ///
    /// # Panics
    ///
    /// If a node spins, which is named: it wants a million actions at once, has a deadline that never moves, or signals a node that does not exist; or if a million steps pass at one moment,
    /// as when two nodes answer each other over links without delay.
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
    ///
    /// # Panics
    ///
    /// As [`run_until`](Self::run_until).
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

    fn attach(&mut self, node: NodeId, interface: Interface) -> Result<(), InternetError> {
        let host = self.hosts.get_mut(node.0).ok_or(InternetError::NoSuchPlace)?;
        if host.network_of(interface.address).is_some() {
            return Err(InternetError::AddressTaken(interface.address));
        }
        self.internet.attach(interface.network, interface.address, node)?;
        host.add_interface(interface);
        Ok(())
    }

    fn report_interfaces(&mut self, id: NodeId) {
        if self.started {
            self.hosts[id.0].report_interfaces(self.now);
            self.drain(id);
        }
    }

    fn start(&mut self, id: NodeId) {
        let host = &mut self.hosts[id.0];
        host.report_interfaces(self.now);
        host.node.handle_start(self.now);
        self.drain(id);
    }

    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let delivery = self.queue.keys().next().map(|&(at, _)| at);
        let deadline = self.hosts.iter().filter_map(|host| host.deadline).min();
        delivery.into_iter().chain(deadline).min()
    }

    /// One delivery, or one node's due timers.
    fn step(&mut self, next: Timestamp) {
        if next > self.now {
            (self.now, self.standstill) = (next, Standstill::default());
        }
        self.standstill.step(self.now);
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
            Delivery::Flight(flight) => return self.fly(flight),
            Delivery::Datagram { to, path, bytes } => return self.arrive(to, path, bytes),
            Delivery::PipeTimer { of, path } => return self.wake_pipe(of, path),
            Delivery::Action(action) => return action(self),
            Delivery::Signal { to, from, signal } => {
                self.hosts[to.0].node.handle_signal(now, from, signal);
                to
            }
            Delivery::Stream { to, path, event } => {
                self.hosts[to.0].node.handle_stream(now, path, event);
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
        self.standstill.turn_of(id);
        let rest = (0..ACTION_BUDGET).any(|_| !self.act(id));
        assert!(rest, "{id} wanted more than {ACTION_BUDGET} actions at {:?}: it spins", self.now);
    }

    /// Carries out one action of a node; `false` if it only wants to wait.
    fn act(&mut self, id: NodeId) -> bool {
        let Host { node, buffer, .. } = &mut self.hosts[id.0];
        buffer.clear();
        match node.poll(self.now, buffer) {
            NodeAction::Transmit(transmit) => self.send(id, transmit),
            NodeAction::Socket(request) => self.handle_request(id, request),
            NodeAction::Stream(request) => self.handle_stream_request(id, request),
            NodeAction::Signal { to, signal } => {
                assert!(to.0 < self.hosts.len(), "{id} sends a signal to {to}, which does not exist");
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
                self.transcript.push(Entry::Event { at: self.now, node: id, text: format!("looks up {host}") });
                if let Some((delay, result)) = self.names.look_up(&host) {
                    let event = SocketEvent::Resolved { lookup, result };
                    self.enqueue(self.now + delay, Delivery::SocketEvent { to: id, event });
                }
                return;
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

    fn existing_link(&mut self, name: LinkName) -> &mut Link {
        let is_node = |node: NodeId| node.0 < self.hosts.len();
        let exists = match name {
            LinkName::Between { from, to } => is_node(from) && is_node(to),
            LinkName::ToMiddlebox { from, to } => is_node(from) && self.internet.has_middlebox(to),
            LinkName::Interface { node, address, .. } => {
                self.hosts.get(node.0).is_some_and(|host| host.network_of(address).is_some())
            }
            LinkName::Middlebox { middlebox, .. } => self.internet.has_middlebox(middlebox),
        };
        assert!(exists, "no such link: {name}");
        self.link(name)
    }

    fn link(&mut self, name: LinkName) -> &mut Link {
        let (seed, default) = (&self.seed, self.default_link);
        self.links.entry(name).or_insert_with(|| {
            let config = if name.is_end_to_end() { default } else { LinkConfig::default() };
            Link::new(config, seed.child(&name.to_string()))
        })
    }
}

impl<S> fmt::Debug for World<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("nodes", &self.hosts.len()).finish_non_exhaustive()
    }
}
