//! What lives in a world.

use std::any::Any;
use std::fmt;

use crate::{StreamEvent, StreamRequest};
use proto_machine::{
    Deadline, InterfaceAddress, Path, Received, SocketEvent, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};

/// A node of a [`World`](crate::World), in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// The node that is added after `index` others. A world hands out its own; this is for an [`Internet`](crate::network::Internet) without one.
    #[must_use]
    pub const fn from_index(index: usize) -> Self {
        Self(index)
    }

    /// The node that is added after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}", self.0)
    }
}

/// Anything with sockets: a peer and its application, a game server, a STUN server.
///
/// `S` is what nodes tell each other beside the network, as over a signalling server. Such messages are never lost.
///
/// The world calls one `handle_*` for whatever happens, and then [`poll`](Self::poll) until the node only wants to wait. What keeps a world the same from run to run is up to its nodes
/// as well: no clock but `now`, no randomness but from a [`Seed`](proto_machine::Seed), and no order that depends on a hash. After [`handle_timeout`](Self::handle_timeout) the next
/// deadline is later than `now`.
///
/// Applications over WebRTC need not go so far down: [`PeerNode`](crate::PeerNode) and [`EndpointNode`](crate::EndpointNode) are nodes that call an
/// [`Application`](crate::Application) or a [`Server`](crate::Server). This is a node from scratch, which says good morning to everybody on port 7:
///
/// ```
/// use std::collections::VecDeque;
/// use std::net::{IpAddr, SocketAddr};
///
/// use driver_sim::{Node, NodeAction, World};
/// use proto_machine::{Path, Received, Seed, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer};
///
/// struct Greeter {
///     local: SocketAddr,
///     greets: Vec<SocketAddr>,
///     actions: VecDeque<NodeAction<()>>,
///     heard: usize,
/// }
///
/// impl Node<()> for Greeter {
///     fn handle_start(&mut self, _: Timestamp) {
///         self.actions.push_back(NodeAction::Socket(SocketRequest::BindUdp { socket: SocketId(0), local: self.local }));
///     }
///     fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
///         self.heard += received.datagram.len();
///         self.actions.push_back(NodeAction::Record(format!("greeted by {} at {now:?}", received.path.remote)));
///     }
///     fn handle_timeout(&mut self, _: Timestamp) {}
///     fn poll(&mut self, _: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<()> {
///         if let Some(action) = self.actions.pop_front() {
///             return action;
///         }
///         match self.greets.pop() {
///             Some(remote) if buffer.push(b"good morning") => {
///                 let segments = buffer.segments().expect("a datagram was just pushed");
///                 NodeAction::Transmit(Transmit { path: Path::udp(self.local, remote), segments })
///             }
///             _ => NodeAction::Wait(None),
///         }
///     }
/// }
///
/// let addresses = [1, 2].map(|last| SocketAddr::new(IpAddr::from([192, 0, 2, last]), 7));
/// let mut world = World::new(Seed::from_number(1));
/// let nodes = addresses.map(|local| {
///     let greets = addresses.into_iter().filter(|other| *other != local).collect();
///     world.add_node(Greeter { local, greets, actions: VecDeque::new(), heard: 0 }, vec![local.ip()])
/// });
/// world.run_until(Timestamp::from_millis(1_000), |world| nodes.iter().all(|node| world.node(*node).heard == 12)).unwrap();
/// ```
pub trait Node<S>: Any {
    /// The largest datagram that the node sends, in bytes of UDP payload: the capacity of the buffer that [`poll`](Self::poll) is given. Asked once, when the node is added.
    fn datagram_capacity(&self) -> usize {
        DATAGRAM_CAPACITY
    }

    /// The world has begun, or the node was added or [restarted](crate::World::restart) later.
    fn handle_start(&mut self, now: Timestamp);

    /// A datagram has arrived.
    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>);

    /// A socket request has been answered.
    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        let _ = (now, event);
    }

    /// Something has happened to the byte stream of this path.
    fn handle_stream(&mut self, now: Timestamp, path: Path, event: StreamEvent) {
        let _ = (now, path, event);
    }

    /// These are all the interfaces of the host: told before the start, and whenever they have changed.
    fn handle_interfaces(&mut self, now: Timestamp, interfaces: &[InterfaceAddress]) {
        let _ = (now, interfaces);
    }

    /// Another node has something to say beside the network.
    fn handle_signal(&mut self, now: Timestamp, from: NodeId, signal: S) {
        let _ = (now, from, signal);
    }

    /// The deadline that [`poll`](Self::poll) named has come.
    fn handle_timeout(&mut self, now: Timestamp);

    /// What the node wants done next. Called until it answers [`NodeAction::Wait`].
    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<S>;
}

/// What fits through every path of today's Internet, IPv6 and tunnels included.
const DATAGRAM_CAPACITY: usize = 1_200;

/// What a node wants done.
#[derive(Debug)]
pub enum NodeAction<S> {
    /// Send the datagrams in the buffer, from an address where the node has a socket; from elsewhere nothing leaves, and the transcript says so.
    Transmit(Transmit),
    /// Open or close a socket, look up a name. A socket has one address of the host: to bind the unspecified one fails with
    /// [`AddressNotAvailable`](proto_machine::SocketError::AddressNotAvailable). A socket that is opened under the number of another one takes its place.
    Socket(SocketRequest),
    /// Do something with a byte stream.
    Stream(StreamRequest),
    /// Tell another node something beside the network. The world panics if there is no such node.
    Signal {
        /// Whom.
        to: NodeId,
        /// What.
        signal: S,
    },
    /// Write this into the transcript.
    Record(String),
    /// Nothing until something arrives or the deadline has come.
    Wait(Option<Deadline>),
}
