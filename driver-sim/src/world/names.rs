//! Interfaces and links, and what they are called.

use std::fmt;
use std::net::IpAddr;

use crate::NodeId;
use crate::network::{MiddleboxId, NetworkId};

/// An address of a host, and the network that it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interface {
    /// The network.
    pub network: NetworkId,
    /// The address.
    pub address: IpAddr,
}

/// A link, which is one direction of a way. Each has a configuration and a generator of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LinkName {
    /// The long way from one host to another. Every datagram crosses one such link, where it turns from going up to going down; they have the default configuration until they are
    /// given another.
    Between {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
    },
    /// The same, from a host to a middlebox that has no receiver for the datagram when it is sent.
    ToMiddlebox {
        /// The sender.
        from: NodeId,
        /// The middlebox.
        to: MiddleboxId,
    },
    /// The access link of an interface; without effect until it is configured.
    Interface {
        /// The host.
        node: NodeId,
        /// The interface.
        address: IpAddr,
        /// Which way.
        direction: Direction,
    },
    /// What a middlebox has between it and the network outside; without effect until it is configured. Hairpinned datagrams do not cross it.
    Middlebox {
        /// The middlebox.
        middlebox: MiddleboxId,
        /// Which way.
        direction: Direction,
    },
}

/// A direction of an access link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// Towards the public Internet.
    Up,
    /// Away from it.
    Down,
}

impl LinkName {
    pub(super) const fn is_end_to_end(self) -> bool {
        matches!(self, Self::Between { .. } | Self::ToMiddlebox { .. })
    }
}

/// What a link's generator is split off by.
impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between { from, to } => write!(f, "link {from} to {to}"),
            Self::ToMiddlebox { from, to } => write!(f, "link {from} to {to}"),
            Self::Interface { node, address, direction } => write!(f, "interface {node} {address} {direction:?}"),
            Self::Middlebox { middlebox, direction } => write!(f, "{middlebox} {direction:?}"),
        }
    }
}
