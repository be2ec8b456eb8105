//! A machine that does as it is told and a host that drives it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use driver_mio::Driver;
use proto_machine::{
    Deadline, Machine, Path, Received, SocketEvent, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};

/// What a machine was told.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Datagram { path: Path, bytes: Vec<u8> },
    Socket(SocketEvent),
    Timeout(Timestamp),
}

/// Sends what it is given, and reports all that it is told as events.
#[derive(Default, Debug)]
pub(crate) struct Scripted {
    pub(crate) requests: VecDeque<SocketRequest>,
    /// Batches to send: all datagrams of a batch have one length, but the last may be shorter.
    pub(crate) outgoing: VecDeque<(Path, Vec<Vec<u8>>)>,
    /// Every datagram goes back to where it came from.
    pub(crate) echo: bool,
    pub(crate) deadline: Option<Timestamp>,
    /// A deadline stays when it has been reached, against the contract.
    pub(crate) ignores_timeout: bool,
    events: VecDeque<Seen>,
}

impl Machine for Scripted {
    type Input<'a> = Received<'a>;
    type Event = Seen;
    type Transmit = Transmit;

    fn handle_input(&mut self, _now: Timestamp, input: Received<'_>) {
        let bytes = input.datagram.to_vec();
        if self.echo {
            self.outgoing.push_back((input.path, vec![bytes]));
        } else {
            self.events.push_back(Seen::Datagram { path: input.path, bytes });
        }
    }

    fn handle_socket_event(&mut self, _now: Timestamp, event: SocketEvent) {
        self.events.push_back(Seen::Socket(event));
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.deadline.is_some_and(|deadline| deadline <= now) && !self.ignores_timeout {
            self.deadline = None;
            self.events.push_back(Seen::Timeout(now));
        }
    }

    fn poll_transmit(&mut self, _now: Timestamp, max: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        let (path, mut datagrams) = self.outgoing.pop_front()?;
        if datagrams.len() > max {
            let rest = datagrams.split_off(max);
            self.outgoing.push_front((path, rest));
        }
        for datagram in datagrams {
            let mut segment = buffer.segment().expect("room for a segment");
            assert!(segment.put(&datagram), "a datagram longer than the first of its batch or than the path takes");
            segment.finish();
        }
        Some(Transmit { path, segments: buffer.segments().expect("a batch is not empty") })
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.requests.pop_front()
    }

    fn poll_event(&mut self) -> Option<Seen> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        self.deadline.map(|at| Deadline { at, reason: "test" })
    }
}

/// A driver with all that its machine has reported.
pub(crate) struct Host {
    pub(crate) driver: Driver<Scripted>,
    pub(crate) seen: Vec<Seen>,
    next_socket: u64,
}

impl Host {
    /// How long a test may wait for what it expects.
    const PATIENCE: Duration = Duration::from_secs(20);

    pub(crate) fn on(driver: Driver<Scripted>) -> Self {
        Self { driver, seen: Vec::new(), next_socket: 0 }
    }

    pub(crate) fn turn(&mut self, max_wait: Duration) {
        self.driver.turn(Some(max_wait), |_, _, event| self.seen.push(event)).expect("a turn");
    }

    /// Turns until what has been seen satisfies `enough`.
    pub(crate) fn turn_until(&mut self, enough: impl Fn(&[Seen]) -> bool) {
        let end = Instant::now() + Self::PATIENCE;
        while !enough(&self.seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain; seen: {:?}, counted: {:?}", self.seen, self.driver.statistics());
            self.turn(left);
        }
        assert!(Instant::now() < end, "the driver slept although there was something to do");
    }

    pub(crate) fn request_bind(&mut self, local: SocketAddr) -> SocketId {
        let socket = SocketId(self.next_socket);
        self.next_socket += 1;
        self.driver.machine().requests.push_back(SocketRequest::BindUdp { socket, local });
        socket
    }

    /// Opens a socket on a free port of `ip`.
    pub(crate) fn open(&mut self, ip: &str) -> (SocketId, SocketAddr) {
        let socket = self.request_bind(SocketAddr::new(ip.parse().expect("an address"), 0));
        match self.answer_about(socket) {
            SocketEvent::Opened { local, .. } => (socket, local),
            other => panic!("not opened: {other:?}"),
        }
    }

    /// The first thing that happens to a socket that has been asked for.
    pub(crate) fn answer_about(&mut self, socket: SocketId) -> SocketEvent {
        let about = |seen: &Seen| match seen {
            Seen::Socket(event @ (SocketEvent::Opened { socket: id, .. } | SocketEvent::Failed { socket: id, .. })) => {
                (*id == socket).then(|| event.clone())
            }
            _ => None,
        };
        self.turn_until(|seen| seen.iter().any(|seen| about(seen).is_some()));
        self.seen.iter().find_map(about).expect("just seen")
    }

    pub(crate) fn send(&mut self, path: Path, datagrams: Vec<Vec<u8>>) {
        self.driver.machine().outgoing.push_back((path, datagrams));
    }

    /// The datagrams received so far.
    pub(crate) fn received(&self) -> Vec<(Path, Vec<u8>)> {
        datagrams(&self.seen)
    }
}

pub(crate) fn datagrams(seen: &[Seen]) -> Vec<(Path, Vec<u8>)> {
    let datagram = |seen: &Seen| match seen {
        Seen::Datagram { path, bytes } => Some((*path, bytes.clone())),
        _ => None,
    };
    seen.iter().filter_map(datagram).collect()
}
