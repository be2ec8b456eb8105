//! One UDP socket of the system.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::DriverConfig;

/// What the driver needs of a socket. Tests put their own in its place, to block and fail at will.
pub(crate) trait Wire: Source + Send {
    /// The address it is bound to.
    fn local_address(&self) -> io::Result<SocketAddr>;

    /// Sends one datagram or, if a segment size is given, several at once: all of them or none.
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()>;

    /// Fills buffers with datagrams of one source each, and returns how many buffers.
    fn receive(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize>;

    /// The most datagrams in one send; 1 after segmentation has failed.
    fn max_segments(&self) -> usize;

    /// Forgets that segmentation has failed: it was not to blame.
    fn restore_segmentation(&mut self);
}

/// A socket with whatever the system has to offer: segmentation offload both ways, several buffers a call.
#[derive(Debug)]
pub(crate) struct UdpWire {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    max_segments: usize,
}

impl UdpWire {
    pub(crate) fn bind(local: SocketAddr, config: &DriverConfig) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A wish: systems cap it silently or refuse it, and smaller buffers work as well.
        let _ = socket.set_recv_buffer_size(config.socket_buffer_size);
        let _ = socket.set_send_buffer_size(config.socket_buffer_size);
        socket.bind(&local.into())?;
        let socket = mio::net::UdpSocket::from_std(socket.into());
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state, max_segments: config.max_segments })
    }
}

impl Wire for UdpWire {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_io(|| self.state.try_send((&self.socket).into(), transmit))
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.socket.try_io(|| self.state.recv((&self.socket).into(), buffers, metas))
    }

    fn max_segments(&self) -> usize {
        self.state.max_gso_segments().min(self.max_segments)
    }

    fn restore_segmentation(&mut self) {
        // There is no way to reset the state but to probe the socket anew.
        if let Ok(state) = UdpSocketState::new((&self.socket).into()) {
            self.state = state;
        }
    }
}

impl Source for UdpWire {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}
