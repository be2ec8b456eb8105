use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use proto_machine::{Path, SocketError, SocketEvent, SocketId, SocketRequest};
use quinn_udp::RecvMeta;

use super::*;
use support::{Host, Seen};

#[path = "../../tests/driver/support.rs"]
mod support;

/// What is wrong with a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    NoRoomToSend,
    /// Receiving fails so many times.
    CannotReceive(usize),
}

/// The faults of sockets by their address, shared between a test and the sockets of its driver.
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<BTreeMap<SocketAddr, Faulted>>>);

struct Faulted {
    fault: Option<Fault>,
    /// A second handle of the socket.
    twin: UdpSocket,
}

impl Faults {
    fn with<R>(&self, socket: SocketAddr, act: impl FnOnce(&mut Option<Fault>, &UdpSocket) -> R) -> R {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Faulted { fault, twin } = faults.get_mut(&socket).unwrap();
        act(fault, twin)
    }

    fn set(&self, socket: SocketAddr, new: Fault) {
        self.with(socket, |fault, _| *fault = Some(new));
    }

    /// Takes the fault away, and makes the system announce room, as it does when a datagram has left the socket.
    fn mend(&self, socket: SocketAddr) {
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.with(socket, |fault, twin| {
            *fault = None;
            twin.send_to(b"gone", sink.local_addr().unwrap()).unwrap();
        });
    }
}

/// A real socket with faults on request, without segmentation.
struct FaultyWire {
    socket: mio::net::UdpSocket,
    local: SocketAddr,
    faults: Faults,
}

impl Wire for FaultyWire {
    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        match self.faults.with(self.local, |fault, _| *fault) {
            Some(Fault::NoRoomToSend) => Err(io::ErrorKind::WouldBlock.into()),
            _ => self.socket.send_to(transmit.contents, transmit.destination).map(|_| ()),
        }
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.faults.with(self.local, |fault, _| match fault {
            Some(Fault::CannotReceive(times)) if *times > 0 => {
                *times -= 1;
                Err(io::Error::from(io::ErrorKind::NetworkDown))
            }
            _ => Ok(()),
        })?;
        let (length, from) = self.socket.recv_from(&mut buffers[0])?;
        (metas[0].addr, metas[0].len, metas[0].stride) = (from, length, length);
        Ok(1)
    }

    fn max_segments(&self) -> usize {
        1
    }

    fn restore_segmentation(&mut self) {}
}

impl Source for FaultyWire {
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

fn faulty_host(config: DriverConfig) -> (Host, Faults) {
    let faults = Faults::default();
    let shared = faults.clone();
    let bind: Bind = Box::new(move |local, _| {
        let twin = UdpSocket::bind(local)?;
        twin.set_nonblocking(true)?;
        let socket = mio::net::UdpSocket::from_std(twin.try_clone()?);
        let local = twin.local_addr()?;
        let mut all = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(local, Faulted { fault: None, twin });
        Ok(Box::new(FaultyWire { socket, local, faults: shared.clone() }))
    });
    let driver = Driver::with_bind(support::Scripted::default(), config, bind).unwrap();
    (Host::on(driver), faults)
}

fn receiver() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The next `count` datagrams, of one byte each.
fn next_bytes(socket: &UdpSocket, count: usize) -> Vec<u8> {
    let mut byte = [0];
    (0..count).map(|_| socket.recv(&mut byte).map(|_| byte[0]).unwrap()).collect()
}

#[test]
fn while_the_only_socket_is_blocked_the_machine_keeps_what_it_has_and_nothing_is_lost() {
    let (mut host, faults) = faulty_host(DriverConfig { max_pending_batches: 1, ..Default::default() });
    let (_, local) = host.open("127.0.0.1");
    let (other, remote) = receiver();
    faults.set(local, Fault::NoRoomToSend);
    for number in 0..10 {
        host.send(Path::udp(local, remote), vec![vec![number]]);
    }
    host.turn(Duration::ZERO);
    host.turn(Duration::ZERO);
    assert_eq!(host.driver.machine().outgoing.len(), 9);

    faults.mend(local);
    while host.driver.statistics().datagrams_sent < 10 {
        host.turn(Duration::from_secs(10));
    }
    assert_eq!(next_bytes(&other, 10), (0..10).collect::<Vec<u8>>());
    assert_eq!(host.driver.statistics().dropped.total(), 0);
}

#[test]
fn a_blocked_socket_does_not_spin() {
    let (mut host, faults) = faulty_host(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let (_other, remote) = receiver();
    faults.set(local, Fault::NoRoomToSend);
    for number in 0..10 {
        host.send(Path::udp(local, remote), vec![vec![number]]);
    }
    // The system says once that there is room, which is not true.
    host.turn(Duration::from_secs(10));
    let (start, would_block) = (host.driver.now(), host.driver.statistics().would_block);
    host.turn(Duration::from_millis(60));
    assert!(host.driver.now() - start >= Duration::from_millis(60));
    assert_eq!(host.driver.statistics().would_block, would_block);
}

#[test]
fn a_blocked_socket_does_not_hold_up_another_and_its_datagrams_wait_up_to_the_bound() {
    let (mut host, faults) = faulty_host(DriverConfig { max_pending_batches: 3, ..Default::default() });
    let (_, blocked) = host.open("127.0.0.1");
    let (_, free) = host.open("127.0.0.1");
    let (other, remote) = receiver();
    faults.set(blocked, Fault::NoRoomToSend);
    for number in 0..5 {
        host.send(Path::udp(blocked, remote), vec![vec![number]]);
        host.send(Path::udp(free, remote), vec![vec![100 + number]]);
    }
    host.turn(Duration::ZERO);
    assert_eq!(next_bytes(&other, 5), [100, 101, 102, 103, 104]);
    assert_eq!(host.driver.statistics().dropped.queue_full, 2);

    faults.mend(blocked);
    while host.driver.statistics().datagrams_sent < 8 {
        host.turn(Duration::from_secs(10));
    }
    assert_eq!(next_bytes(&other, 3), [0, 1, 2]);
}

#[test]
fn closing_a_blocked_socket_counts_what_waited_and_lets_the_machine_go_on() {
    let (mut host, faults) = faulty_host(DriverConfig::default());
    let (socket, local) = host.open("127.0.0.1");
    let (other, remote) = receiver();
    faults.set(local, Fault::NoRoomToSend);
    host.send(Path::udp(local, remote), vec![vec![1], vec![2]]);
    host.turn(Duration::ZERO);
    host.driver.machine().requests.push_back(SocketRequest::Close { socket });
    host.turn(Duration::ZERO);
    assert_eq!(host.driver.statistics().dropped.closed, 1 + 1);

    let (_, local) = host.open("127.0.0.1");
    host.send(Path::udp(local, remote), vec![vec![3]]);
    host.turn(Duration::ZERO);
    assert_eq!(next_bytes(&other, 1), [3]);
}

#[test]
fn a_socket_that_fails_to_receive_now_and_then_is_read_all_the_same() {
    let (mut host, faults) = faulty_host(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let (other, _) = receiver();
    faults.set(local, Fault::CannotReceive(MAX_RECEIVE_ERRORS - 1));
    other.send_to(b"x", local).unwrap();
    host.turn_until(|seen| !support::datagrams(seen).is_empty());
    assert_eq!(host.received()[0].1, b"x");
    assert_eq!(host.driver.statistics().receive_errors, 15);
}

#[test]
fn a_socket_that_cannot_receive_any_more_is_closed_and_reported() {
    let (mut host, faults) = faulty_host(DriverConfig::default());
    let (socket, local) = host.open("127.0.0.1");
    let (other, _) = receiver();
    faults.set(local, Fault::CannotReceive(usize::MAX));
    other.send_to(b"x", local).unwrap();
    let failed = |seen: &Seen| match seen {
        Seen::Socket(SocketEvent::Failed { socket, error }) => Some((*socket, error.clone())),
        _ => None,
    };
    host.turn_until(|seen| seen.iter().any(|seen| failed(seen).is_some()));
    let (id, error) = host.seen.iter().find_map(failed).unwrap();
    assert!(id == socket && matches!(error, SocketError::Other(_)));
    assert_eq!(host.driver.local_addresses().count(), 0);
    host.turn(Duration::ZERO);
    assert_eq!(host.driver.statistics().receive_errors, 16);
}

#[test]
fn closing_a_socket_that_is_not_open_changes_nothing() {
    let (mut host, _) = faulty_host(DriverConfig::default());
    host.open("127.0.0.1");
    host.driver.machine().requests.push_back(SocketRequest::Close { socket: SocketId(77) });
    host.turn(Duration::ZERO);
    assert_eq!(host.driver.local_addresses().count(), 1);
}
