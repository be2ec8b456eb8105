//! Many peers behind a few sockets.

mod peek;
mod routes;
mod sockets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{InterfaceAddress, PathStanding};
use proto_machine::{
    Deadline, Machine, Path, Received, Rng, Seed, SocketEvent, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};

use self::peek::{Peek, peek, request_transaction};
use self::routes::Routes;
pub use self::sockets::SocketPolicy;
use self::sockets::{Owner, Sockets};
use crate::{Configuration, ConfigurationError, Peer, PeerEvent};

/// A peer of an [`Endpoint`], never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer{}", self.0)
    }
}

/// The bounds and habits of an [`Endpoint`].
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// How peers come to their sockets.
    pub sockets: SocketPolicy,
    /// The most peers at a time.
    pub max_peers: usize,
    /// The most requests on shared sockets whose answers are waited for; beyond it the oldest is forgotten.
    pub max_transactions: usize,
    /// The time between two new checks or gathering requests, over all peers together. RFC 8445 §14.2 asks for 5 ms; less deviates from it and connects crowds faster.
    pub transaction_interval: Duration,
    /// The most [`EndpointEvent::UnknownUsernameFragment`] and [`EndpointEvent::PathConflict`] that wait to be read; beyond it only their counters in
    /// [`EndpointStatistics`] tell of them.
    pub max_notices: usize,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            sockets: SocketPolicy::default(),
            max_peers: 10_000,
            max_transactions: 65_536,
            transaction_interval: Duration::from_millis(5),
            max_notices: 16,
        }
    }
}

/// What an [`Endpoint`] reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum EndpointEvent {
    /// A peer has something to say.
    Peer {
        /// Which one.
        peer: PeerId,
        /// What.
        event: PeerEvent,
    },
    /// A check came for a username fragment that no peer has, as when somebody tries to connect without signalling first. Nothing was answered.
    UnknownUsernameFragment {
        /// The fragment that the sender believes is ours.
        username_fragment: String,
        /// Where it came from. Anybody can have sent it.
        path: Path,
    },
    /// A peer has validated a path that another living peer has validated before: what is not STUN goes on to the other one, so this one will not connect there. It
    /// takes a socket of its own ([`SocketPolicy::PerPeer`]), or the end of the other peer.
    PathConflict {
        /// The peer that gets nothing.
        peer: PeerId,
        /// The path.
        path: Path,
    },
}

/// Why a peer was not added.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AddPeerError {
    /// The endpoint has as many peers as [`EndpointConfig::max_peers`] allows. Close one, or raise the bound.
    TooManyPeers,
    /// The configuration cannot be used.
    Configuration(ConfigurationError),
}

impl fmt::Display for AddPeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyPeers => {
                f.write_str("the endpoint has as many peers as it may: close one, or raise `max_peers`")
            }
            Self::Configuration(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AddPeerError {}

/// Datagrams that an [`Endpoint`] dropped before any peer saw them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EndpointStatistics {
    /// Neither DTLS nor STUN as ICE uses it (RFC 7983 §7).
    pub foreign: u64,
    /// Not for a socket of ours.
    pub unknown_socket: u64,
    /// A request for a username fragment that no peer has.
    pub unknown_fragment: u64,
    /// An answer to nothing that is waited for, or for a peer that has gone.
    pub unknown_transaction: u64,
    /// From a source that no peer has authenticated.
    pub unknown_source: u64,
    /// Packets of a peer on a path that belongs to another one.
    pub path_conflicts: u64,
}

/// Many peers as one machine: one socket for all of them, or sockets of their own.
///
/// On a shared socket a datagram finds its peer by the username fragment (requests), the transaction (responses), or the path (everything else); a path is a
/// peer's once that peer has authenticated a check on it. Such a claim yields to whoever has a check of its own answered on that path, since the source of a check can be
/// forged; a path that was validated stays with its peer until that one fails or is closed.
///
/// A TURN server tells its clients apart by the addresses that they come from. So each peer has a socket of its own for each TURN server, whatever the policy.
pub struct Endpoint {
    config: EndpointConfig,
    rng: Rng,
    interfaces: Vec<InterfaceAddress>,
    peers: BTreeMap<PeerId, Slot>,
    next_peer: u64,
    sockets: Sockets,
    routes: Routes,
    /// Peers that may have something to transmit.
    transmitting: Queue,
    /// Peers that may have events.
    talking: Queue,
    /// Peers that want to start a check or a gathering request, whose turn comes with the budget.
    waiting: Queue,
    /// When the budget allows the next one.
    next_transaction_at: Timestamp,
    deadlines: BTreeSet<(Timestamp, PeerId)>,
    notices: VecDeque<EndpointEvent>,
    statistics: EndpointStatistics,
}

struct Slot {
    peer: Peer,
    /// As it stands in `deadlines`.
    deadline: Option<Deadline>,
    /// The paths that were given to it, some of which it may have lost.
    paths: Vec<Path>,
}

/// Peers in line, each at most once.
#[derive(Debug, Default)]
struct Queue {
    line: VecDeque<PeerId>,
    members: BTreeSet<PeerId>,
}

impl Queue {
    fn push(&mut self, peer: PeerId) {
        if self.members.insert(peer) {
            self.line.push_back(peer);
        }
    }

    fn front(&self) -> Option<PeerId> {
        self.line.front().copied()
    }

    fn pop(&mut self) -> Option<PeerId> {
        let peer = self.line.pop_front()?;
        self.members.remove(&peer);
        Some(peer)
    }

    /// Lets the next one have its turn.
    fn rotate(&mut self) {
        if self.line.len() > 1 {
            self.line.rotate_left(1);
        }
    }
}

impl Endpoint {
    /// An endpoint without peers. Every peer's randomness follows from `seed`.
    #[must_use]
    pub fn new(config: EndpointConfig, seed: Seed) -> Self {
        Self {
            rng: seed.into_rng(),
            interfaces: Vec::new(),
            peers: BTreeMap::new(),
            next_peer: 0,
            sockets: Sockets::new(config.sockets),
            routes: Routes::default(),
            transmitting: Queue::default(),
            talking: Queue::default(),
            waiting: Queue::default(),
            next_transaction_at: Timestamp::ZERO,
            deadlines: BTreeSet::new(),
            notices: VecDeque::new(),
            statistics: EndpointStatistics::default(),
            config,
        }
    }

    /// The host's interfaces, for all peers that are added from now on.
    pub fn set_interfaces(&mut self, interfaces: &[InterfaceAddress]) {
        self.interfaces = interfaces.to_vec();
    }

    /// Adds a peer.
    ///
    /// # Errors
    ///
    /// [`AddPeerError`]; nothing has changed.
    pub fn add_peer(&mut self, now: Timestamp, configuration: Configuration) -> Result<PeerId, AddPeerError> {
        if self.peers.len() >= self.config.max_peers {
            return Err(AddPeerError::TooManyPeers);
        }
        let mut peer = Peer::new(configuration, self.rng.seed()).map_err(AddPeerError::Configuration)?;
        let id = PeerId(self.next_peer);
        self.next_peer += 1;
        if matches!(self.config.sockets, SocketPolicy::Shared { .. }) {
            peer.separate_relay_sockets();
        }
        peer.share_transaction_budget();
        peer.set_interfaces(now, &self.interfaces);
        self.routes.add_fragment(peer.username_fragment(), id);
        self.peers.insert(id, Slot { peer, deadline: None, paths: Vec::new() });
        self.touch(id);
        Ok(id)
    }

    /// A peer, to look at. A closed peer is gone once its last packet has been handed out.
    #[must_use]
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id).map(|slot| &slot.peer)
    }

    /// A peer, to give it commands; what follows from them comes out of the endpoint's `poll_*`. Its packets, time and polling are the endpoint's business: call none of its
    /// `handle_*` and `poll_*`, and do not exchange it for another.
    pub fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        if self.peers.contains_key(&id) {
            self.touch(id);
        }
        self.peers.get_mut(&id).map(|slot| &mut slot.peer)
    }

    /// All peers.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.peers.keys().copied()
    }

    /// The addresses of the shared sockets that are open.
    pub fn shared_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.shared_addresses()
    }

    /// What was dropped before any peer saw it.
    #[must_use]
    pub fn statistics(&self) -> EndpointStatistics {
        self.statistics
    }

    /// Whether a datagram may be for a peer connection, so that a port can be shared with another protocol (RFC 7983 §7, RFC 9443 §3).
    #[must_use]
    pub fn accepts(datagram: &[u8]) -> bool {
        peek(datagram) != Peek::Foreign
    }

    /// Closes all peers.
    pub fn close(&mut self, now: Timestamp) {
        let all: Vec<PeerId> = self.peers().collect();
        for id in all {
            if let Some(peer) = self.peer_mut(id) {
                peer.close(now);
            }
        }
    }

    fn touch(&mut self, id: PeerId) {
        self.transmitting.push(id);
        self.talking.push(id);
    }

    /// Whom a datagram is for.
    fn route(&mut self, path: &Path, datagram: &[u8]) -> Option<PeerId> {
        let statistics = &mut self.statistics;
        let (found, counter) = match (self.sockets.owner(&path.local), peek(datagram)) {
            (None, _) => (None, &mut statistics.unknown_socket),
            (Some(Owner::Peer(peer)), _) => return Some(peer),
            (Some(Owner::Shared), Peek::Request { username_fragment }) => {
                let found = self.routes.by_fragment(username_fragment);
                if found.is_none() && self.notices.len() < self.config.max_notices {
                    let username_fragment = username_fragment.to_owned();
                    self.notices.push_back(EndpointEvent::UnknownUsernameFragment { username_fragment, path: *path });
                }
                (found, &mut statistics.unknown_fragment)
            }
            (Some(Owner::Shared), Peek::Response { transaction }) => {
                let found = self.routes.by_transaction(&transaction).filter(|id| self.peers.contains_key(id));
                (found, &mut statistics.unknown_transaction)
            }
            (Some(Owner::Shared), Peek::BySource) => (self.routes.by_path(path), &mut statistics.unknown_source),
            (Some(Owner::Shared), Peek::Foreign) => (None, &mut statistics.foreign),
        };
        if found.is_none() {
            *counter += 1;
        }
        found
    }

    /// Carries requests of peers to the driver and its answers back, until neither is left.
    fn settle_sockets(&mut self, now: Timestamp, id: PeerId) {
        let mut touched = vec![id];
        while let Some(id) = touched.pop() {
            if let Some(slot) = self.peers.get_mut(&id) {
                while let Some(request) = slot.peer.poll_socket_request() {
                    let is_for_relay = |socket| slot.peer.is_relay_socket(socket);
                    self.sockets.handle_request(id, request, is_for_relay);
                }
            }
            while let Some((peer, event)) = self.sockets.poll_answer() {
                if let Some(slot) = self.peers.get_mut(&peer) {
                    slot.peer.handle_socket_event(now, event);
                    touched.push(peer);
                    self.touch(peer);
                }
            }
        }
    }

    /// What a peer has to transmit, remembered so that answers find it.
    fn transmit_of(
        &mut self,
        now: Timestamp,
        id: PeerId,
        max_segments: usize,
        buffer: &mut TransmitBuffer,
    ) -> Option<Transmit> {
        let transmit = self.peers.get_mut(&id)?.peer.poll_transmit(now, max_segments, buffer)?;
        if self.sockets.owner(&transmit.path.local) == Some(Owner::Shared) {
            for transaction in buffer.datagrams().filter_map(request_transaction) {
                self.routes.learn_transaction(now, transaction, id, self.config.max_transactions);
            }
        }
        Some(transmit)
    }

    /// A peer has nothing more to transmit for now: note what it waits for, or let it go.
    fn rest(&mut self, now: Timestamp, id: PeerId) {
        let Some(slot) = self.peers.get_mut(&id) else { return };
        if let Some(deadline) = slot.deadline.take() {
            self.deadlines.remove(&(deadline.at, id));
        }
        if slot.peer.is_closed() {
            self.remove(id);
            return;
        }
        let next_transaction = slot.peer.next_transaction_at();
        if next_transaction.is_some_and(|at| at <= now) {
            self.waiting.push(id);
        }
        let paced = next_transaction.filter(|&at| at > now).map(|at| Deadline { at, reason: "pacing" });
        slot.deadline = Deadline::earliest(slot.peer.poll_timeout(), paced);
        if let Some(deadline) = slot.deadline {
            self.deadlines.insert((deadline.at, id));
        }
    }

    /// Lets the peer that has waited longest start a transaction, if it is time (RFC 8445 §14.2).
    fn allow_transaction(&mut self, now: Timestamp) -> Option<()> {
        if self.next_transaction_at > now {
            return None;
        }
        let id = self.waiting.pop()?;
        if let Some(slot) = self.peers.get_mut(&id) {
            slot.peer.allow_transaction();
            self.next_transaction_at = now + self.config.transaction_interval;
            self.transmitting.push(id);
        }
        Some(())
    }

    /// Gives a path to a peer that has a better standing on it than whoever has it now.
    fn learn_path(&mut self, id: PeerId, path: Path) {
        let standing =
            |id: PeerId| self.peers.get(&id).map_or(PathStanding::Unknown, |slot| slot.peer.path_standing(&path));
        let owner = self.routes.by_path(&path);
        let ours = standing(id);
        if owner == Some(id) || ours == PathStanding::Unknown {
            return;
        }
        if owner.map_or(PathStanding::Unknown, standing) < ours {
            self.routes.set_path(path, id);
            if let Some(slot) = self.peers.get_mut(&id)
                && !slot.paths.contains(&path)
            {
                slot.paths.push(path);
            }
            return;
        }
        self.statistics.path_conflicts += 1;
        if ours == PathStanding::Validated && self.notices.len() < self.config.max_notices {
            self.notices.push_back(EndpointEvent::PathConflict { peer: id, path });
        }
    }

    fn remove(&mut self, id: PeerId) {
        if let Some(slot) = self.peers.remove(&id) {
            self.routes.remove(id, slot.peer.username_fragment(), &slot.paths);
            self.sockets.remove(id);
        }
    }
}

impl Machine for Endpoint {
    type Input<'a> = Received<'a>;
    type Event = EndpointEvent;
    type Transmit = Transmit;

    fn handle_input(&mut self, now: Timestamp, received: Received<'_>) {
        let Some(id) = self.route(&received.path, received.datagram) else { return };
        let Some(slot) = self.peers.get_mut(&id) else { return };
        let path = received.path;
        slot.peer.handle_input(now, received);
        if self.sockets.owner(&path.local) == Some(Owner::Shared) {
            self.learn_path(id, path);
        }
        self.touch(id);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.sockets.handle_event(event);
        while let Some((peer, event)) = self.sockets.poll_answer() {
            if let Some(slot) = self.peers.get_mut(&peer) {
                slot.peer.handle_socket_event(now, event);
                self.touch(peer);
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.deadlines.first() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            if let Some(slot) = self.peers.get_mut(&id) {
                slot.deadline = None;
                slot.peer.handle_timeout(now);
                self.touch(id);
            }
        }
    }

    /// Peers take turns, a batch each.
    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        loop {
            while let Some(id) = self.transmitting.front() {
                // Requests first: a peer that has just been touched may be waiting for a socket that is open already.
                self.settle_sockets(now, id);
                if let Some(transmit) = self.transmit_of(now, id, max_segments, buffer) {
                    self.transmitting.rotate();
                    return Some(transmit);
                }
                self.transmitting.pop();
                self.rest(now, id);
            }
            self.allow_transaction(now)?;
        }
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.sockets.poll_request()
    }

    fn poll_event(&mut self) -> Option<EndpointEvent> {
        if let Some(event) = self.notices.pop_front() {
            return Some(event);
        }
        while let Some(peer) = self.talking.front() {
            if let Some(event) = self.peers.get_mut(&peer).and_then(|slot| slot.peer.poll_event()) {
                // A message that is read makes room, which the other side is to be told.
                self.transmitting.push(peer);
                self.talking.rotate();
                return Some(EndpointEvent::Peer { peer, event });
            }
            self.talking.pop();
        }
        None
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let of_a_peer = self.deadlines.first().and_then(|(_, id)| self.peers.get(id)?.deadline);
        let of_the_budget = Deadline { at: self.next_transaction_at, reason: "transaction budget" };
        Deadline::earliest(of_a_peer, self.waiting.front().map(|_| of_the_budget))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("peers", &self.peers.len()).finish_non_exhaustive()
    }
}
