//! The task that drives one peer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_channel::{Sender, TrySendError};
use async_io::Timer;
use async_std::net::ToSocketAddrs;
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use peer_core::{Peer, PeerConnectionState, PeerEvent};
use proto_machine::{LookupId, Machine, SocketError, SocketEvent, SocketRequest, Timestamp};

use crate::channel::{ChannelParts, Channels};
use crate::command::{Command, Commands, Signal};
use crate::sockets::Sockets;
use crate::system::Clock;
use crate::waiting::WaitingSends;

/// Turns before other tasks of the executor have theirs.
const MAX_TURNS: usize = 16;
/// Commands, batches, requests and events in one turn.
const TURN_BUDGET: usize = 64;
/// Name look-ups that wait for an answer. A further one fails.
const MAX_LOOKUPS: usize = 64;
/// How long to wait at least if the peer's deadline has passed and it has been told so.
const OVERDUE_PAUSE: Duration = Duration::from_millis(1);

/// An event in the queue to the application.
pub(crate) enum QueuedEvent {
    DataChannel(ChannelParts),
    Peer(PeerEvent),
}

type Lookup = Pin<Box<dyn Future<Output = SocketEvent> + Send>>;

/// One peer with its sockets, timers and name look-ups, and the ends of all channels to its handles.
pub(crate) struct Driver {
    pub(crate) peer: Peer,
    pub(crate) clock: Clock,
    pub(crate) signal: Arc<Signal>,
    pub(crate) channels: Channels,
    pub(crate) waiting: WaitingSends,
    /// `None` once nobody can read them.
    pub(crate) events: Option<Sender<QueuedEvent>>,
    /// The event that there was no room for. Until it is delivered the peer is asked for no other, so that its receive window closes.
    held: Option<PeerEvent>,
    pub(crate) sockets: Sockets,
    lookups: FuturesUnordered<Lookup>,
    timer: Timer,
    /// What the timer is set to.
    armed: Option<Timestamp>,
    /// The peer is told of no deadline before.
    not_before: Timestamp,
    is_closing: bool,
    /// Whoever waits for a command that comes too late waits until the sockets are closed.
    pub(crate) commands: Commands,
    /// Who waits for the end: dropped last.
    closing: Vec<Sender<()>>,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "each is made by the connection, and none belongs with another")]
    pub(crate) fn new(
        peer: Peer,
        clock: Clock,
        commands: Commands,
        signal: Arc<Signal>,
        channels: Channels,
        waiting: WaitingSends,
        events: Sender<QueuedEvent>,
        sockets: Sockets,
    ) -> Self {
        Self {
            peer,
            clock,
            commands,
            signal,
            channels,
            waiting,
            events: Some(events),
            held: None,
            sockets,
            lookups: FuturesUnordered::new(),
            timer: Timer::never(),
            armed: None,
            not_before: Timestamp::ZERO,
            is_closing: false,
            closing: Vec::new(),
        }
    }

    /// Takes in what has come, and carries out what follows. Returns whether there was anything.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = self.take_commands(context);
        self.notice_dropped_handles();
        progress |= self.take_lookups(context);
        progress |= self.sockets.receive(&mut self.peer, self.clock.now(), context);
        progress |= self.drain(context);
        progress
    }

    fn take_commands(&mut self, context: &mut Context<'_>) -> bool {
        for taken in 0..TURN_BUDGET {
            if self.is_closing {
                return taken > 0;
            }
            match self.commands.poll_next(context) {
                Poll::Ready(Some(command)) => self.carry_out_command(command),
                // The last handle is gone.
                Poll::Ready(None) => self.close(),
                Poll::Pending => return taken > 0,
            }
        }
        true
    }

    fn carry_out_command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Run(work) => work(&mut self.peer, now),
            Command::CreateDataChannel(options, reply) => {
                let created = self.peer.create_data_channel(now, options);
                let parts = created.and_then(|key| {
                    let channel = self.peer.channel(key);
                    let view = channel.as_ref().and_then(|channel| channel.view());
                    view.map(|view| self.channels.add(key, &view)).ok_or(peer_core::CreateDataChannelError::Closed)
                });
                // If whoever asked has gone, the handle is dropped, which closes the channel.
                let _gone = reply.try_send(parts);
            }
            Command::Send(key, send) => self.waiting.send(&mut self.peer, now, key, send),
            Command::Statistics(reply) => {
                let _gone = reply.try_send(self.sockets.statistics);
            }
            Command::Close(reply) => {
                self.closing.push(reply);
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.is_closing = true;
        self.held = None;
        self.peer.close(self.clock.now());
    }

    fn notice_dropped_handles(&mut self) {
        if self.signal.take_handle_dropped() {
            self.channels.close_abandoned(&mut self.peer, self.clock.now());
            if self.events.as_ref().is_some_and(Sender::is_closed) {
                // The channels in the queue go with it.
                self.events = None;
            }
        }
    }

    fn take_lookups(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready(Some(event)) = Pin::new(&mut self.lookups).poll_next(context) {
            self.peer.handle_socket_event(self.clock.now(), event);
            progress = true;
        }
        progress
    }

    /// Carries out what the peer wants: datagrams first. Returns whether there was anything.
    fn drain(&mut self, context: &mut Context<'_>) -> bool {
        let now = self.clock.now();
        let mut progress = self.waiting.flush(&mut self.peer, now);
        for _ in 0..TURN_BUDGET {
            let moved = self.sockets.transmit(&mut self.peer, now, context) | self.carry_out(now) | self.deliver();
            if !moved {
                break;
            }
            progress = true;
        }
        if self.is_closing {
            // Last words get one chance.
            progress |= self.sockets.drop_unsent();
        }
        progress
    }

    fn carry_out(&mut self, now: Timestamp) -> bool {
        let Some(request) = self.peer.poll_socket_request() else { return false };
        let event = match request {
            SocketRequest::BindUdp { socket, local } => self.sockets.bind(socket, local),
            SocketRequest::Close { socket } => {
                self.sockets.close(socket);
                return true;
            }
            SocketRequest::Resolve { lookup, host } => match self.resolve(lookup, host) {
                Some(event) => event,
                None => return true,
            },
            // A request without a known shape has no name to answer it by.
            _ => {
                self.sockets.statistics.unsupported_requests += 1;
                return true;
            }
        };
        self.peer.handle_socket_event(now, event);
        true
    }

    fn resolve(&self, lookup: LookupId, host: String) -> Option<SocketEvent> {
        if self.lookups.len() >= MAX_LOOKUPS {
            let error = SocketError::Other("too many name look-ups are waiting".to_owned());
            return Some(SocketEvent::Resolved { lookup, result: Err(error) });
        }
        self.lookups.push(Box::pin(async move {
            let found = (host.as_str(), 0).to_socket_addrs().await;
            let result = match found.map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>()) {
                Ok(addresses) if addresses.is_empty() => Err(SocketError::NameNotFound),
                Ok(addresses) => Ok(addresses),
                Err(error) => Err(SocketError::Other(error.to_string())),
            };
            SocketEvent::Resolved { lookup, result }
        }));
        None
    }

    /// Hands the next event to the application. Returns `false` if there is none, or no room for it.
    fn deliver(&mut self) -> bool {
        let Some(event) = self.held.take().or_else(|| self.peer.poll_event()) else { return false };
        self.held = self.dispatch(event);
        self.held.is_none()
    }

    /// Returns the event if there is no room for it.
    fn dispatch(&mut self, event: PeerEvent) -> Option<PeerEvent> {
        match event {
            PeerEvent::Message { channel, message } => {
                // What a connection that has failed still holds is the last of it. Behind it stands the news of the failure, for which a reader may wait that is itself held up
                // by a send.
                let is_last = self.peer.connection_state() == PeerConnectionState::Failed;
                let refused = self.channels.deliver(channel, message, is_last);
                return refused.map(|message| PeerEvent::Message { channel, message });
            }
            PeerEvent::DataChannel { channel: key } => {
                if self.events.as_ref().is_some_and(Sender::is_full) {
                    return Some(event);
                }
                let channel = self.peer.channel(key)?;
                let parts = self.channels.add(key, &channel.view()?);
                if let Some(events) = &self.events {
                    // If nobody reads it, the handle is dropped, which closes the channel.
                    let _nobody_reads = events.try_send(QueuedEvent::DataChannel(parts));
                }
            }
            PeerEvent::ChannelOpen { channel: key } => {
                let id = self.peer.channel(key).and_then(|channel| channel.view()?.id);
                self.channels.note_open(key, id);
            }
            PeerEvent::ChannelClosing { channel } => self.channels.note_closing(channel),
            PeerEvent::ChannelError { channel, error } => self.channels.note_failure(channel, error),
            PeerEvent::ChannelClosed { channel } => self.channels.note_closed(channel),
            // Room is looked for after every turn.
            PeerEvent::BufferedAmountLow { .. } | PeerEvent::Writable { .. } => {}
            event => {
                let refused = self.events.as_ref()?.try_send(QueuedEvent::Peer(event)).err()?;
                if let TrySendError::Full(QueuedEvent::Peer(event)) = refused {
                    return Some(event);
                }
            }
        }
        None
    }

    /// When the peer is to be told that time has passed.
    fn deadline(&self) -> Option<Timestamp> {
        self.peer.poll_timeout().map(|deadline| deadline.at.max(self.not_before))
    }

    /// Tells the peer of a deadline that has come. Returns whether one has.
    fn handle_timeout(&mut self, context: &mut Context<'_>) -> bool {
        let now = self.clock.now();
        if self.deadline().is_none_or(|at| at > now) {
            return false;
        }
        self.peer.handle_timeout(now);
        let progress = self.drain(context);
        if !progress && self.deadline().is_some_and(|at| at <= now) {
            self.not_before = now + OVERDUE_PAUSE;
        }
        true
    }

    /// Sets the timer to the next deadline. Returns whether it has come already.
    fn set_timer(&mut self, context: &mut Context<'_>) -> bool {
        let Some(at) = self.deadline() else { return false };
        if self.armed != Some(at) {
            self.timer = self.clock.instant(at).map_or_else(Timer::never, Timer::at);
            self.armed = Some(at);
        }
        let has_come = Pin::new(&mut self.timer).poll(context).is_ready();
        if has_come {
            self.armed = None;
        }
        has_come
    }
}

/// Ends when the peer is closed and has had its last words.
impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.signal.register(context);
        for _ in 0..MAX_TURNS {
            // Deadlines come in the midst of a flood, too.
            let progress = self.turn(context) | self.handle_timeout(context);
            if self.peer.is_closed() {
                return Poll::Ready(());
            }
            if !progress && !self.set_timer(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
