//! A host: its node, its interfaces and its sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use proto_machine::{InterfaceAddress, SocketError, SocketId, Timestamp, TransmitBuffer};

use super::Interface;
use super::pipes::Pipes;
use crate::Node;
use crate::network::NetworkId;

/// The first port that a host hands out.
const FIRST_PORT: u16 = 40_000;

pub(super) struct Host<S> {
    pub(super) node: Box<dyn Node<S>>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) buffer: TransmitBuffer,
    interfaces: Vec<Interface>,
    pub(super) pipes: Pipes,
    sockets: BTreeMap<SocketId, SocketAddr>,
    bound: BTreeSet<SocketAddr>,
    next_port: u16,
}

impl<S: 'static> Host<S> {
    pub(super) fn new(node: Box<dyn Node<S>>) -> Self {
        Self {
            buffer: TransmitBuffer::new(node.datagram_capacity()),
            node,
            deadline: None,
            interfaces: Vec::new(),
            pipes: Pipes::default(),
            sockets: BTreeMap::new(),
            bound: BTreeSet::new(),
            next_port: FIRST_PORT,
        }
    }

    pub(super) fn interfaces(&self) -> impl Iterator<Item = Interface> {
        self.interfaces.iter().copied()
    }

    /// Tells the node what interfaces there are.
    pub(super) fn report_interfaces(&mut self, now: Timestamp) {
        let addresses: Vec<_> = self.interfaces().map(|interface| InterfaceAddress::new(interface.address)).collect();
        self.node.handle_interfaces(now, &addresses);
    }

    pub(super) fn network_of(&self, address: IpAddr) -> Option<NetworkId> {
        self.interfaces.iter().find(|interface| interface.address == address).map(|interface| interface.network)
    }

    pub(super) fn add_interface(&mut self, interface: Interface) {
        self.interfaces.push(interface);
    }

    /// Takes an interface away, and closes the sockets there, which are returned.
    pub(super) fn remove_interface(&mut self, address: IpAddr) -> Vec<SocketId> {
        self.interfaces.retain(|interface| interface.address != address);
        let is_there = |(_, bound): &(&SocketId, &SocketAddr)| bound.ip() == address;
        let sockets: Vec<SocketId> = self.sockets.iter().filter(is_there).map(|(&socket, _)| socket).collect();
        for &socket in &sockets {
            self.close(socket);
        }
        sockets
    }

    /// The network that a socket with this address is in.
    pub(super) fn network_of_socket(&self, address: SocketAddr) -> Option<NetworkId> {
        self.network_of(address.ip()).filter(|_| self.is_bound(address))
    }

    pub(super) fn is_bound(&self, address: SocketAddr) -> bool {
        self.bound.contains(&address)
    }

    pub(super) fn bind(&mut self, socket: SocketId, local: SocketAddr) -> Result<SocketAddr, SocketError> {
        if self.network_of(local.ip()).is_none() {
            return Err(SocketError::AddressNotAvailable);
        }
        let mut address = local;
        if local.port() == 0 {
            address.set_port(self.free_port(local.ip()).ok_or(SocketError::AddressInUse)?);
        }
        if !self.bound.insert(address) {
            return Err(SocketError::AddressInUse);
        }
        // A number that is used again names the new socket alone.
        if let Some(old) = self.sockets.insert(socket, address) {
            self.bound.remove(&old);
        }
        Ok(address)
    }

    pub(super) fn close(&mut self, socket: SocketId) {
        if let Some(address) = self.sockets.remove(&socket) {
            self.bound.remove(&address);
        }
    }

    /// As the end of a program does. What is started next is given the same ports again.
    pub(super) fn close_all(&mut self) {
        self.pipes = Pipes::default();
        self.sockets.clear();
        self.bound.clear();
        self.next_port = FIRST_PORT;
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
}
