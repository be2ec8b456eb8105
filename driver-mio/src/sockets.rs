//! The open sockets: by the machine's name, by address, and what each waits for.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use mio::{Interest, Registry, Token};
use proto_machine::{Path, SocketError, SocketId, TransportProtocol};
use quinn_udp::RecvMeta;
use slab::Slab;

use crate::outbox::{Batch, Outbox};
use crate::wire::Wire;
use crate::{DriverConfig, DriverStatistics};

/// Where a socket stands in the table; another socket may stand there once it is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SocketKey(pub(crate) usize);

impl SocketKey {
    pub(crate) fn token(self) -> Token {
        Token(self.0)
    }
}

/// An open socket.
pub(crate) struct UdpSocket {
    pub(crate) id: SocketId,
    pub(crate) wire: Box<dyn Wire>,
    /// It may have more to read: what has not been read to the end is not announced again.
    pub(crate) readable: bool,
    local: SocketAddr,
    outbox: Outbox,
    /// The system has been asked to say when it has room.
    awaits_room: bool,
}

impl UdpSocket {
    /// The path that a datagram came on. A socket bound to the unspecified address names the address that the datagram was sent to.
    pub(crate) fn path(&self, meta: &RecvMeta) -> Path {
        let local = match meta.dst_ip {
            Some(ip) if self.local.ip().is_unspecified() && can_be_source(ip) => match ip {
                IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                    SocketAddrV6::new(ip, self.local.port(), 0, meta.interface_index.unwrap_or_default()).into()
                }
                ip => SocketAddr::new(ip, self.local.port()),
            },
            _ => self.local,
        };
        Path::udp(local, meta.addr)
    }
}

/// Whether an answer can be sent from the address that a datagram came to.
fn can_be_source(ip: IpAddr) -> bool {
    !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// All open sockets.
pub(crate) struct Sockets {
    registry: Registry,
    table: Slab<UdpSocket>,
    by_id: HashMap<SocketId, SocketKey>,
    by_local: HashMap<SocketAddr, SocketKey>,
    /// How many sockets wait for room.
    blocked: usize,
    max_sockets: usize,
    max_pending_batches: usize,
}

impl Sockets {
    pub(crate) fn new(registry: Registry, config: &DriverConfig) -> Self {
        Self {
            registry,
            table: Slab::new(),
            by_id: HashMap::new(),
            by_local: HashMap::new(),
            blocked: 0,
            max_sockets: config.max_sockets,
            max_pending_batches: config.max_pending_batches,
        }
    }

    /// Takes in a socket that `bind` makes, and returns its address.
    pub(crate) fn open(
        &mut self,
        id: SocketId,
        bind: impl FnOnce() -> io::Result<Box<dyn Wire>>,
    ) -> Result<SocketAddr, SocketError> {
        if self.table.len() >= self.max_sockets {
            return Err(SocketError::Other("too many sockets are open".to_owned()));
        }
        let failure = |error: io::Error| SocketError::from(&error);
        let mut wire = bind().map_err(failure)?;
        let local = wire.local_address().map_err(failure)?;
        let entry = self.table.vacant_entry();
        let key = SocketKey(entry.key());
        self.registry.register(&mut wire, key.token(), Interest::READABLE).map_err(failure)?;
        let outbox = Outbox::new(self.max_pending_batches);
        entry.insert(UdpSocket { id, wire, readable: false, local, outbox, awaits_room: false });
        self.by_id.insert(id, key);
        self.by_local.insert(lookup_address(local), key);
        Ok(local)
    }

    /// Closes a socket, if it is open. What waits for it gets a last chance.
    pub(crate) fn close(&mut self, id: SocketId, statistics: &mut DriverStatistics) {
        let Some(key) = self.by_id.remove(&id) else { return };
        let mut socket = self.table.remove(key.0);
        self.by_local.remove(&lookup_address(socket.local));
        self.blocked -= usize::from(socket.awaits_room);
        socket.outbox.flush(&mut *socket.wire, statistics);
        statistics.dropped.closed += socket.outbox.waiting();
        // Dropping the socket takes it off the list as well.
        let _ = self.registry.deregister(&mut socket.wire);
    }

    /// Sends datagrams from the socket that the path names.
    ///
    /// # Errors
    /// The socket that has to be given up, and why.
    pub(crate) fn send(
        &mut self,
        path: &Path,
        size: usize,
        bytes: &[u8],
        statistics: &mut DriverStatistics,
    ) -> Result<(), (SocketId, io::Error)> {
        let mut batch = Batch { destination: path.remote, source: None, size, bytes };
        let local = path.local;
        if path.protocol != TransportProtocol::Udp
            || local.is_ipv4() != path.remote.is_ipv4()
            || path.remote.port() == 0
        {
            statistics.dropped.bad_path += batch.count();
            return Ok(());
        }
        let key = self.by_local.get(&lookup_address(local)).or_else(|| {
            batch.source = Some(local.ip());
            self.by_local.get(&unspecified(local))
        });
        let Some((&key, socket)) = key.and_then(|key| Some((key, self.table.get_mut(key.0)?))) else {
            statistics.dropped.no_socket += batch.count();
            return Ok(());
        };
        socket.outbox.send(&mut *socket.wire, batch, statistics);
        self.update_interest(key)
    }

    /// Sends what waits for a socket that has room again.
    pub(crate) fn flush(
        &mut self,
        key: SocketKey,
        statistics: &mut DriverStatistics,
    ) -> Result<(), (SocketId, io::Error)> {
        if let Some(socket) = self.table.get_mut(key.0) {
            socket.outbox.flush(&mut *socket.wire, statistics);
        }
        self.update_interest(key)
    }

    /// Asks to be told of room exactly as long as something waits for it: sockets that send without trouble cause no wake-ups.
    fn update_interest(&mut self, key: SocketKey) -> Result<(), (SocketId, io::Error)> {
        let Some(socket) = self.table.get_mut(key.0) else { return Ok(()) };
        let blocked = socket.outbox.is_blocked();
        if blocked == socket.awaits_room {
            return Ok(());
        }
        let interest = if blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.registry.reregister(&mut socket.wire, key.token(), interest).map_err(|error| (socket.id, error))?;
        socket.awaits_room = blocked;
        if blocked {
            self.blocked += 1;
        } else {
            self.blocked -= 1;
        }
        Ok(())
    }

    /// Whether there is any point in asking the machine for datagrams: with every socket blocked they are better left where they are.
    pub(crate) fn can_send(&self) -> bool {
        self.blocked == 0 || self.blocked < self.table.len()
    }

    pub(crate) fn get_mut(&mut self, key: SocketKey) -> Option<&mut UdpSocket> {
        self.table.get_mut(key.0)
    }

    pub(crate) fn local_addresses(&self) -> impl Iterator<Item = (SocketId, SocketAddr)> {
        self.table.iter().map(|(_, socket)| (socket.id, socket.local))
    }
}

/// An address as the table is sorted by: without the flow label, which names no socket (RFC 3493 §3.3).
fn lookup_address(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(address) = &mut address {
        address.set_flowinfo(0);
    }
    address
}

/// The address of a socket that serves all local addresses.
fn unspecified(address: SocketAddr) -> SocketAddr {
    let ip = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, address.port())
}
