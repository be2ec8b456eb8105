//! The UDP sockets of one peer.

use std::array;
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::task::{Context, Poll, ready};

use async_io::Async;
use proto_machine::{
    Machine, Path, Received, SocketError, SocketEvent, SocketId, Timestamp, Transmit, TransmitBuffer, UdpPorts,
};
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

/// What every path takes, in bytes of UDP payload.
const DATAGRAM_CAPACITY: usize = 1_200;
/// The most datagrams in one segmented send: what fits into one IPv4 packet, as the system sees it before it divides it.
const MAX_SEGMENTS: usize = 65_507 / DATAGRAM_CAPACITY;
/// Sockets that are open at a time. A further bind request fails.
const MAX_SOCKETS: usize = 64;
/// Buffers for one call of receiving. Each may hold many datagrams of one source that the system has joined.
const RECEIVE_BUFFERS: usize = 4;
/// Bytes in such a buffer: the largest UDP payload there is fits, so nothing is cut short. Memory that no datagram has touched costs nothing.
const RECEIVE_BUFFER_SIZE: usize = 65_536;
/// How often receiving may fail in a row before a socket is given up.
const MAX_RECEIVE_ERRORS: usize = 16;

/// Counters of a connection's sockets since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SocketStatistics {
    /// Datagrams handed to the peer.
    pub datagrams_received: u64,
    /// Bytes of UDP payload handed to the peer.
    pub bytes_received: u64,
    /// Errors of receiving, other than that there is nothing to receive.
    pub receive_errors: u64,
    /// Datagrams that the system has taken.
    pub datagrams_sent: u64,
    /// Bytes of UDP payload that the system has taken.
    pub bytes_sent: u64,
    /// Times that a socket had no room for all that there was to send: the rest was kept until it had.
    pub would_block: u64,
    /// Datagrams that the system refused, or for which there was no socket, or no room at the end: whoever wrote them notices as with any loss.
    pub datagrams_dropped: u64,
    /// Requests of a kind that this driver does not know.
    pub unsupported_requests: u64,
}

struct OpenSocket {
    io: Async<UdpSocket>,
    state: UdpSocketState,
    local: SocketAddr,
    /// It may have more to read.
    readable: bool,
    /// How often receiving has failed in a row.
    receive_errors: usize,
}

impl OpenSocket {
    fn bind(local: SocketAddr, buffer_size: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A wish: systems cap it silently or refuse it, and smaller buffers work as well.
        let _ = socket.set_recv_buffer_size(buffer_size);
        let _ = socket.set_send_buffer_size(buffer_size);
        socket.bind(&local.into())?;
        let io = Async::new_nonblocking(UdpSocket::from(socket))?;
        let state = UdpSocketState::new(io.get_ref().into())?;
        let local = io.get_ref().local_addr()?;
        Ok(Self { io, state, local, readable: true, receive_errors: 0 })
    }

    /// Sends datagrams of `size` bytes each but the last, as many as one call takes. Returns how many bytes have gone.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        destination: SocketAddr,
        datagrams: &[u8],
        size: usize,
    ) -> Poll<io::Result<usize>> {
        let segments_before = self.state.max_gso_segments();
        loop {
            let at_once = size.saturating_mul(self.state.max_gso_segments());
            let contents = datagrams.get(..at_once).unwrap_or(datagrams);
            let segment_size = (contents.len() > size).then_some(size);
            let transmit = quinn_udp::Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
            match self.state.try_send(self.io.get_ref().into(), &transmit) {
                Ok(()) => return Poll::Ready(Ok(contents.len())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.io.poll_writable(context))?,
                // Segmentation is suspected: once more, without.
                Err(_) if segment_size.is_some() && self.state.max_gso_segments() == 1 => {}
                Err(error) => {
                    // A single datagram fails as well, so it was the destination; others must not lose their speed for it. There is no other way to reset the state.
                    if self.state.max_gso_segments() < segments_before
                        && let Ok(state) = UdpSocketState::new(self.io.get_ref().into())
                    {
                        self.state = state;
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// How many buffers have been filled, at least one.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.readable {
                ready!(self.io.poll_readable(context))?;
                self.readable = true;
            }
            match self.state.recv(self.io.get_ref().into(), buffers, metas) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                result => return Poll::Ready(result),
            }
        }
    }
}

/// Datagrams that a socket has no room for: they lie in the transmit buffer.
struct Unsent {
    transmit: Transmit,
    /// How many bytes have gone already.
    done: usize,
}

/// All open sockets, and the datagrams on their way through them.
pub(crate) struct Sockets {
    open: BTreeMap<SocketId, OpenSocket>,
    outgoing: TransmitBuffer,
    unsent: Option<Unsent>,
    incoming: Vec<u8>,
    socket_buffer_size: usize,
    ports: UdpPorts,
    pub(crate) statistics: SocketStatistics,
}

impl Sockets {
    pub(crate) fn new(socket_buffer_size: usize, port_range: Option<RangeInclusive<u16>>) -> Self {
        Self {
            open: BTreeMap::new(),
            outgoing: TransmitBuffer::new(DATAGRAM_CAPACITY),
            unsent: None,
            incoming: vec![0; RECEIVE_BUFFERS * RECEIVE_BUFFER_SIZE],
            socket_buffer_size,
            ports: UdpPorts::new(port_range),
            statistics: SocketStatistics::default(),
        }
    }

    /// Opens a socket, and tells what became of it.
    pub(crate) fn bind(&mut self, socket: SocketId, local: SocketAddr) -> SocketEvent {
        if self.open.len() >= MAX_SOCKETS {
            return SocketEvent::Failed { socket, error: SocketError::Other("too many sockets are open".to_owned()) };
        }
        let buffer_size = self.socket_buffer_size;
        match self.ports.bind(local, |local| OpenSocket::bind(local, buffer_size)) {
            Ok(opened) => {
                let local = opened.local;
                self.open.insert(socket, opened);
                SocketEvent::Opened { socket, local }
            }
            Err(error) => SocketEvent::Failed { socket, error: SocketError::from(&error) },
        }
    }

    pub(crate) fn close(&mut self, socket: SocketId) {
        self.open.remove(&socket);
    }

    /// Sends the machine's next datagrams. Returns whether there was anything to do. While a socket has no room the machine is not asked for more, so that its own flow
    /// control sees the jam and nothing is lost.
    pub(crate) fn transmit<M>(&mut self, machine: &mut M, now: Timestamp, context: &mut Context<'_>) -> bool
    where
        M: Machine<Transmit = Transmit>,
    {
        let is_new = self.unsent.is_none();
        if is_new {
            self.outgoing.clear();
            let Some(transmit) = machine.poll_transmit(now, MAX_SEGMENTS, &mut self.outgoing) else { return false };
            self.unsent = Some(Unsent { transmit, done: 0 });
        }
        let progress = self.send_rest(context);
        if is_new && self.unsent.is_some() {
            self.statistics.would_block += 1;
        }
        progress
    }

    /// Drops what a socket has no room for. Returns whether there was anything.
    pub(crate) fn drop_unsent(&mut self) -> bool {
        let Some(Unsent { transmit, done }) = self.unsent.take() else { return false };
        let rest = self.outgoing.bytes().len().saturating_sub(done);
        self.statistics.datagrams_dropped += rest.div_ceil(transmit.segments.size.get()) as u64;
        true
    }

    /// Returns whether something was sent or dropped.
    fn send_rest(&mut self, context: &mut Context<'_>) -> bool {
        let Some(Unsent { transmit, done }) = &mut self.unsent else { return false };
        let (path, size) = (transmit.path, transmit.segments.size.get());
        let before = *done;
        let Some(socket) = self.open.values_mut().find(|socket| socket.local == path.local) else {
            return self.drop_unsent();
        };
        while let Some(rest) = self.outgoing.bytes().get(*done..).filter(|rest| !rest.is_empty()) {
            match socket.poll_send(context, path.remote, rest, size) {
                Poll::Ready(Ok(sent)) => {
                    self.statistics.datagrams_sent += sent.div_ceil(size) as u64;
                    self.statistics.bytes_sent += sent as u64;
                    *done += sent;
                }
                Poll::Ready(Err(_)) => return self.drop_unsent(),
                Poll::Pending => return *done > before,
            }
        }
        self.unsent = None;
        true
    }

    /// Hands what one call for each socket receives to the machine. Returns whether there may be more.
    pub(crate) fn receive<M>(&mut self, machine: &mut M, now: Timestamp, context: &mut Context<'_>) -> bool
    where
        M: for<'a> Machine<Input<'a> = Received<'a>>,
    {
        let mut progress = false;
        let mut useless = Vec::new();
        for (&id, socket) in &mut self.open {
            let mut metas = [RecvMeta::default(); RECEIVE_BUFFERS];
            let mut buffers = self.incoming.chunks_exact_mut(RECEIVE_BUFFER_SIZE);
            let mut slices: [_; RECEIVE_BUFFERS] =
                array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
            let Poll::Ready(received) = socket.poll_receive(context, &mut slices, &mut metas) else { continue };
            progress = true;
            let filled = match received {
                Ok(filled) => filled,
                Err(error) => {
                    self.statistics.receive_errors += 1;
                    socket.receive_errors += 1;
                    if socket.receive_errors == MAX_RECEIVE_ERRORS {
                        useless.push((id, SocketError::from(&error)));
                    }
                    continue;
                }
            };
            socket.receive_errors = 0;
            for (meta, buffer) in metas.iter().zip(self.incoming.chunks_exact_mut(RECEIVE_BUFFER_SIZE)).take(filled) {
                let path = Path::udp(socket.local, meta.addr);
                for datagram in buffer.get_mut(..meta.len).unwrap_or_default().chunks_mut(meta.stride.max(1)) {
                    self.statistics.datagrams_received += 1;
                    self.statistics.bytes_received += datagram.len() as u64;
                    machine.handle_input(now, Received { path, datagram });
                }
            }
        }
        for (socket, error) in useless {
            self.open.remove(&socket);
            machine.handle_socket_event(now, SocketEvent::Failed { socket, error });
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn no_more_sockets_are_opened_than_the_bound() {
        let mut sockets = Sockets::new(65_536, None);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let number = MAX_SOCKETS as u64;
        for id in 0..number {
            assert!(matches!(sockets.bind(SocketId(id), any), SocketEvent::Opened { .. }));
        }
        let refused = sockets.bind(SocketId(number), any);
        assert!(matches!(refused, SocketEvent::Failed { error: SocketError::Other(_), .. }), "{refused:?}");
        sockets.close(SocketId(0));
        assert!(matches!(sockets.bind(SocketId(number), any), SocketEvent::Opened { .. }));
    }

    #[test]
    fn a_destination_that_is_refused_does_not_cost_the_others_segmentation() {
        let mut context = Context::from_waker(Waker::noop());
        let mut socket = OpenSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 65_536).unwrap();
        let segments = socket.state.max_gso_segments();
        // From a loopback address nothing leaves the host.
        let elsewhere = SocketAddr::from(([203, 0, 113, 77], 9));
        let refused = socket.poll_send(&mut context, elsewhere, &[0; 2_400], 1_200);
        assert!(matches!(refused, Poll::Ready(Err(_))), "{refused:?}");
        let here = socket.local;
        let sent = socket.poll_send(&mut context, here, &[0; 2_400], 1_200);
        assert!(matches!(sent, Poll::Ready(Ok(bytes)) if bytes == 1_200 * segments.min(2)), "{sent:?} of {segments}");
    }

    #[test]
    fn an_address_in_use_cannot_be_bound_again() {
        let mut sockets = Sockets::new(65_536, None);
        let opened = sockets.bind(SocketId(0), SocketAddr::from(([127, 0, 0, 1], 0)));
        let SocketEvent::Opened { local, .. } = opened else { panic!("{opened:?}") };
        let refused = sockets.bind(SocketId(1), local);
        assert_eq!(refused, SocketEvent::Failed { socket: SocketId(1), error: SocketError::AddressInUse });
    }
}
