//! The loop between one machine and the system.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use proto_machine::{
    Machine, Received, SocketError, SocketEvent, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer, UdpPorts,
};

use crate::inbox::Inbox;
use crate::outbox::MAX_SEND_BYTES;
use crate::resolver::{Answer, Resolver};
use crate::sockets::{SocketKey, Sockets};
use crate::wire::{UdpWire, Wire};
use crate::{Clock, DriverConfig, DriverStatistics};

/// The token of the waker; sockets are numbered from 0.
const WAKER: Token = Token(usize::MAX);
/// How many events the system reports at a time; more are reported by the next turn.
const EVENT_CAPACITY: usize = 1_024;
/// What a datagram is hardly longer than, in bytes, whatever the configuration allows: the Ethernet payload. Batches are cut so that as many fit into one call.
const LONG_DATAGRAM: usize = 1_500;
/// How often receiving may fail in a row before a socket is given up.
const MAX_RECEIVE_ERRORS: usize = 16;
/// How long to sleep at least if the machine's deadline has passed and it has been told so.
const OVERDUE_PAUSE: Duration = Duration::from_millis(1);

/// What opens a socket: the system, but in tests.
type Bind = Box<dyn Fn(SocketAddr, &DriverConfig) -> io::Result<Box<dyn Wire>> + Send>;

/// One machine with its sockets, timers and name look-ups.
///
/// Everything happens in [`turn`](Self::turn), on the thread that calls it; only name look-ups, which block, have threads of their own.
///
/// # Sockets that have no room
/// What a socket does not take is kept, in order, and the system says when there is room. While *all* sockets are blocked the machine is not asked for more, so that its
/// own flow control sees the jam and nothing is lost. While some are not, the machine is asked on their behalf; what it then writes for a blocked one waits too, up to
/// [`DriverConfig::max_pending_batches`], and is dropped and counted beyond, as a router would.
///
/// # What a turn may take
/// Reading is bounded by [`DriverConfig::receive_budget`] for each socket, writing and events by [`DriverConfig::drain_budget`]; what is left over is for the next turn,
/// which then does not sleep.
pub struct Driver<M> {
    machine: M,
    clock: Clock,
    poll: Poll,
    events: Events,
    waker: DriverWaker,
    sockets: Sockets,
    /// Sockets that have not been read to the end.
    readable: VecDeque<SocketKey>,
    inbox: Inbox,
    resolver: Resolver,
    buffer: TransmitBuffer,
    config: DriverConfig,
    bind: Bind,
    ports: UdpPorts,
    /// The machine's deadline had passed, it has been told so, and nothing came of it.
    overdue: bool,
    statistics: DriverStatistics,
}

/// What became of draining the machine.
#[derive(Clone, Copy, Debug)]
struct Drained {
    batches: usize,
    requests: usize,
    events: usize,
    budget: usize,
}

impl Drained {
    fn nothing(budget: usize) -> Self {
        Self { batches: 0, requests: 0, events: 0, budget: budget.max(1) }
    }

    fn is_idle(&self) -> bool {
        self.batches + self.requests + self.events == 0
    }

    /// The budget has ended it: there may be more.
    fn is_cut_short(&self) -> bool {
        self.batches.max(self.requests).max(self.events) == self.budget
    }

    /// The machine may still hold events. Until the application has taken them, it gets no more datagrams.
    fn has_events_left(&self) -> bool {
        self.events == self.budget
    }
}

impl<M> Driver<M>
where
    M: for<'a> Machine<Input<'a> = Received<'a>, Transmit = Transmit>,
{
    /// A driver for a machine. Sockets are opened as the machine asks for them.
    ///
    /// # Errors
    /// What the system says if it has no room for another event queue.
    pub fn new(machine: M, config: DriverConfig) -> io::Result<Self> {
        Self::with_bind(machine, config, Box::new(|local, config| Ok(Box::new(UdpWire::bind(local, config)?))))
    }

    fn with_bind(machine: M, config: DriverConfig, bind: Bind) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            machine,
            clock: config.clock,
            events: Events::with_capacity(EVENT_CAPACITY),
            waker: DriverWaker(Arc::clone(&waker)),
            sockets: Sockets::new(poll.registry().try_clone()?, &config),
            readable: VecDeque::new(),
            inbox: Inbox::new(),
            resolver: Resolver::new(waker, config.max_lookups),
            ports: UdpPorts::new(config.port_range.clone()),
            buffer: TransmitBuffer::new(config.datagram_capacity.clamp(1, MAX_SEND_BYTES)),
            config,
            bind,
            overdue: false,
            statistics: DriverStatistics::default(),
            poll,
        })
    }

    /// The time, as the machine is told it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The machine, to read from it or to command it. What a command causes is carried out by the next [`turn`](Self::turn).
    #[must_use]
    pub fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    /// Ends the driver, closes its sockets, and returns the machine.
    #[must_use]
    pub fn into_machine(self) -> M {
        self.machine
    }

    /// Carries out what the machine wants, sleeps until something happens, tells the machine, and carries out what it wants then.
    ///
    /// It sleeps until a datagram, a name or room to send arrives, the machine's deadline is reached, a [`DriverWaker`] is used, or `max_wait` is over, whichever is first;
    /// `None` stands for any time. It does not sleep if there is work left over, or if it has delivered events before: the caller may have waited for just those.
    ///
    /// `on_event` may command the machine. It is called with the time at which the machine was drained.
    ///
    /// # Errors
    /// Only if the system cannot wait for events, which no retry will mend. What befalls a single socket or datagram is reported to the machine or counted.
    pub fn turn(
        &mut self,
        max_wait: Option<Duration>,
        mut on_event: impl FnMut(&mut M, Timestamp, M::Event),
    ) -> io::Result<()> {
        self.statistics.turns += 1;
        let drained = self.drain(&mut on_event);
        let wait = self.wait(max_wait, drained);
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.take_answers();
        self.take_readiness();
        if !drained.has_events_left() {
            self.receive(&mut on_event);
        }
        self.handle_timeout(&mut on_event);
        Ok(())
    }

    /// Something that ends the sleep of [`turn`](Self::turn) from another thread.
    #[must_use]
    pub fn waker(&self) -> DriverWaker {
        self.waker.clone()
    }

    /// The open sockets with the addresses that they are bound to.
    pub fn local_addresses(&self) -> impl Iterator<Item = (SocketId, SocketAddr)> {
        self.sockets.local_addresses()
    }

    /// What has been counted.
    #[must_use]
    pub fn statistics(&self) -> DriverStatistics {
        self.statistics
    }

    /// Carries out what the machine wants: datagrams first, so that whoever leaves on its last event leaves nothing unsent.
    fn drain(&mut self, on_event: &mut impl FnMut(&mut M, Timestamp, M::Event)) -> Drained {
        let now = self.clock.now();
        let mut drained = Drained::nothing(self.config.drain_budget);
        let budget = drained.budget;
        loop {
            let before = (drained.requests, drained.events);
            while drained.batches < budget && self.transmit(now) {
                drained.batches += 1;
            }
            while drained.requests < budget
                && let Some(request) = self.machine.poll_socket_request()
            {
                drained.requests += 1;
                self.carry_out(now, request);
            }
            while drained.events < budget
                && let Some(event) = self.machine.poll_event()
            {
                drained.events += 1;
                on_event(&mut self.machine, now, event);
            }
            // Requests and events may have moved the machine to send more.
            if before == (drained.requests, drained.events) {
                return drained;
            }
        }
    }

    /// Sends the next batch. Returns whether there was one.
    fn transmit(&mut self, now: Timestamp) -> bool {
        if !self.sockets.can_send() {
            return false;
        }
        let fitting = MAX_SEND_BYTES / self.buffer.datagram_capacity().min(LONG_DATAGRAM);
        let max_segments = self.config.max_segments.min(fitting).clamp(1, TransmitBuffer::MAX_SEGMENTS);
        self.buffer.clear();
        let Some(Transmit { path, segments }) = self.machine.poll_transmit(now, max_segments, &mut self.buffer) else {
            return false;
        };
        let sent = self.sockets.send(&path, segments.size.get(), self.buffer.bytes(), &mut self.statistics);
        if let Err((socket, error)) = sent {
            self.give_up(socket, &error);
        }
        true
    }

    fn carry_out(&mut self, now: Timestamp, request: SocketRequest) {
        let event = match request {
            SocketRequest::BindUdp { socket, local } => {
                // Names are not used twice; if one is, it stands for the new socket.
                self.sockets.close(socket, &mut self.statistics);
                let Self { sockets, ports, bind, config, .. } = self;
                let opened = sockets.open(socket, || ports.bind(local, |local| bind(local, config)));
                match opened {
                    Ok(local) => SocketEvent::Opened { socket, local },
                    Err(error) => SocketEvent::Failed { socket, error },
                }
            }
            SocketRequest::Close { socket } => return self.sockets.close(socket, &mut self.statistics),
            SocketRequest::Resolve { lookup, host } => match self.resolver.ask(lookup, host) {
                Some(Answer { lookup, result }) => SocketEvent::Resolved { lookup, result },
                None => return,
            },
            // A request without a known shape has no name to answer it by.
            _ => {
                self.statistics.unsupported_requests += 1;
                return;
            }
        };
        self.machine.handle_socket_event(now, event);
    }

    /// How long to sleep; `None` if only something from outside can end the sleep.
    fn wait(&self, max_wait: Option<Duration>, drained: Drained) -> Option<Duration> {
        if drained.is_cut_short() || drained.events > 0 || !self.readable.is_empty() {
            return Some(Duration::ZERO);
        }
        let Some(deadline) = self.machine.poll_timeout() else { return max_wait };
        let mut wait = deadline.at - self.clock.now();
        if self.overdue {
            wait = wait.max(OVERDUE_PAUSE);
        }
        Some(max_wait.map_or(wait, |max_wait| wait.min(max_wait)))
    }

    /// Hands over the names that have been looked up.
    fn take_answers(&mut self) {
        while let Some(Answer { lookup, result }) = self.resolver.answer() {
            self.machine.handle_socket_event(self.clock.now(), SocketEvent::Resolved { lookup, result });
        }
    }

    /// Notes what the system has reported: sockets to read from, sockets that have room again.
    fn take_readiness(&mut self) {
        let mut useless = Vec::new();
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            let key = SocketKey(event.token().0);
            if event.is_writable()
                && let Err(failure) = self.sockets.flush(key, &mut self.statistics)
            {
                useless.push(failure);
            }
            // An error is picked up by reading.
            if (event.is_readable() || event.is_error())
                && let Some(socket) = self.sockets.get_mut(key)
                && !socket.readable
            {
                socket.readable = true;
                self.readable.push_back(key);
            }
        }
        for (socket, error) in useless {
            self.give_up(socket, &error);
        }
    }

    /// Reads from each readable socket, until all are empty or have had their share or the machine has more to hand over than a drain may take.
    fn receive(&mut self, on_event: &mut impl FnMut(&mut M, Timestamp, M::Event)) {
        for _ in 0..self.readable.len() {
            let Some(key) = self.readable.pop_front() else { return };
            let mut received = 0;
            let mut drained = Drained::nothing(self.config.drain_budget);
            while received < self.config.receive_budget.max(1)
                && let Some(count) = self.receive_once(key)
            {
                received += count;
                // At once, so that answers and acknowledgements do not wait for what else there is to read.
                drained = self.drain(on_event);
                if drained.is_cut_short() {
                    break;
                }
            }
            if self.sockets.get_mut(key).is_some_and(|socket| socket.readable) {
                self.readable.push_back(key);
            }
            if drained.has_events_left() {
                return;
            }
        }
    }

    /// Reads once from a socket, and returns how many datagrams there were; `None` if there was nothing.
    fn receive_once(&mut self, key: SocketKey) -> Option<usize> {
        let socket = self.sockets.get_mut(key).filter(|socket| socket.readable)?;
        let mut errors = 0;
        let filled = loop {
            match self.inbox.receive(&*socket.wire) {
                Ok(filled) => break filled,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                    return None;
                }
                Err(error) => {
                    self.statistics.receive_errors += 1;
                    errors += 1;
                    if errors == MAX_RECEIVE_ERRORS {
                        let id = socket.id;
                        self.give_up(id, &error);
                        return None;
                    }
                }
            }
        };
        let now = self.clock.now();
        let mut count = 0;
        self.inbox.for_each(filled, |meta, datagram| {
            count += 1;
            self.statistics.datagrams_received += 1;
            self.statistics.bytes_received += datagram.len() as u64;
            self.machine.handle_input(now, Received { path: socket.path(meta), datagram });
        });
        self.statistics.receive_calls += 1;
        Some(count)
    }

    /// Tells the machine of a deadline that has come, and carries out what it wants then.
    fn handle_timeout(&mut self, on_event: &mut impl FnMut(&mut M, Timestamp, M::Event)) {
        let now = self.clock.now();
        let is_due = |machine: &M| machine.poll_timeout().is_some_and(|deadline| deadline.at <= now);
        let due = is_due(&self.machine);
        if due {
            self.machine.handle_timeout(now);
        }
        let drained = self.drain(on_event);
        self.overdue = due && drained.is_idle() && is_due(&self.machine);
        self.statistics.overdue_deadlines += u64::from(self.overdue);
    }

    /// Closes a socket that the system no longer serves, and tells the machine.
    fn give_up(&mut self, socket: SocketId, error: &io::Error) {
        self.sockets.close(socket, &mut self.statistics);
        let error = SocketError::from(error);
        self.machine.handle_socket_event(self.clock.now(), SocketEvent::Failed { socket, error });
    }
}

impl<M: fmt::Debug> fmt::Debug for Driver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets: Vec<_> = self.sockets.local_addresses().collect();
        f.debug_struct("Driver")
            .field("machine", &self.machine)
            .field("sockets", &sockets)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}

/// Ends the sleep of a [`Driver::turn`] from any thread.
#[derive(Clone, Debug)]
pub struct DriverWaker(Arc<Waker>);

impl DriverWaker {
    /// Ends the current sleep, or else the next. Several calls may end only one.
    ///
    /// # Errors
    /// What the system says if it does not take the signal.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

#[cfg(test)]
mod tests;
