//! What lives in a world.

use std::any::Any;
use std::fmt;

use proto_machine::{
    Deadline, InterfaceAddress, Received, SocketEvent, SocketRequest, Timestamp, Transmit, TransmitBuffer,
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
pub trait Node<S>: Any {
    /// The world has begun.
    fn handle_start(&mut self, now: Timestamp);

    /// A datagram has arrived.
    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>);

    /// A socket request has been answered.
    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        let _ = (now, event);
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

/// What a node wants done.
#[derive(Debug)]
pub enum NodeAction<S> {
    /// Send the datagrams in the buffer.
    Transmit(Transmit),
    /// Open or close a socket, look up a name.
    Socket(SocketRequest),
    /// Tell another node something beside the network.
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
