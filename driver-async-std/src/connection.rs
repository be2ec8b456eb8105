//! The connection: the application's handle, its settings and its events.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};

use async_channel::{Receiver, Sender, WeakSender};
use futures_util::{Stream, StreamExt};
use peer_core::{
    AddIceCandidateError, Certificate, CertificateError, Configuration, ConfigurationError, CreateDataChannelError,
    CreateDescriptionError, DataChannelOptions, Entropy, IceCandidateInit, IceConnectionState, IceGatheringState,
    InterfaceAddress, Peer, PeerConnectionState, PeerEvent, PeerStatistics, SessionDescriptionInit,
    SetDescriptionError, SignalingState,
};
use proto_machine::Timestamp;

use crate::channel::{Channels, DataChannel};
use crate::command::{COMMAND_CAPACITY, Command, Commands, DropNotice, Signal, ask, lock, run};
use crate::driver::{Driver, QueuedEvent};
use crate::sockets::{SocketStatistics, Sockets};
use crate::system::{Clock, interface_addresses, system_seed, wall_clock};
use crate::waiting::WaitingSends;

/// What the driver can be told beside the W3C's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The addresses to gather candidates from; `None`, the default, for all that the system has when the connection is made.
    pub interfaces: Option<Vec<InterfaceAddress>>,
    /// The buffered amount of a channel, in bytes, up to which [`DataChannel::send`] does not wait. A channel with an empty buffer takes a message of any permitted size.
    /// By default 1 MiB.
    pub send_buffer: usize,
    /// Messages of a channel that wait for the application, in bytes, each counted with 64 more; the last message may exceed it. Behind it the receive window fills up.
    /// By default 256 KiB.
    pub receive_buffer: usize,
    /// Events that wait for the application, at least 1. Behind it the receive window fills up as well. By default 256.
    pub event_capacity: usize,
    /// Ports for sockets, which a firewall has been opened for, say: they are used in turn. One beyond is an error that names the range. By default `None`: the system chooses.
    pub port_range: Option<RangeInclusive<u16>>,
    /// What to ask of the system for each direction of each socket, in bytes; it may grant less. By default 4 MiB.
    pub socket_buffer_size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: None,
            send_buffer: 1024 * 1024,
            receive_buffer: 256 * 1024,
            event_capacity: 256,
            port_range: None,
            socket_buffer_size: 4 * 1024 * 1024,
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum NewConnectionError {
    /// The configuration cannot be used.
    Configuration(ConfigurationError),
    /// The system does not say what its addresses are, or has no entropy to give.
    System(io::Error),
}

impl fmt::Display for NewConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses: {error}"),
        }
    }
}

impl std::error::Error for NewConnectionError {}

/// Why there is no certificate.
#[derive(Debug)]
#[non_exhaustive]
pub enum GenerateCertificateError {
    /// The cryptographic library refuses.
    Certificate(CertificateError),
    /// The system has no entropy to give.
    System(io::Error),
}

impl fmt::Display for GenerateCertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses: {error}"),
        }
    }
}

impl std::error::Error for GenerateCertificateError {}

/// `RTCPeerConnection.generateCertificate` (W3C webrtc-pc §4.9): a new certificate, which many connections may share.
///
/// # Errors
/// [`GenerateCertificateError`]
pub fn generate_certificate() -> Result<Arc<Certificate>, GenerateCertificateError> {
    let seed = system_seed().map_err(GenerateCertificateError::System)?;
    let certificate = Certificate::generate(seed, wall_clock(), Entropy::System);
    certificate.map(Arc::new).map_err(GenerateCertificateError::Certificate)
}

/// `RTCPeerConnection` (W3C webrtc-pc §4.4). Clones are the same connection.
///
/// A task of async-std drives it. The task ends, and the other side is told, with [`close`](Self::close), or when the last handle is dropped: of the connection and of its
/// channels. [`Events`] keep nothing alive.
///
/// Commands wait in a queue of 64. Once a command's future has been polled it may be carried out even if the future is dropped.
#[derive(Clone)]
#[must_use = "dropping the last handle closes the connection"]
pub struct PeerConnection {
    commands: Sender<Command>,
    source: Arc<Mutex<EventSource>>,
}

/// Who has the events.
enum EventSource {
    /// Nobody has asked for them; they wait.
    Unclaimed(Events),
    /// The queue ends with the streams that read it, and what waits in it with the queue.
    Claimed(Weak<Receiver<QueuedEvent>>, DropNotice),
}

impl PeerConnection {
    /// A connection that has done nothing yet, and the task that drives it.
    ///
    /// # Errors
    /// [`NewConnectionError`]. A socket that cannot be opened is no error: an event [`PeerEvent::IceCandidateError`] tells of it, for other sockets may do.
    pub fn new(configuration: Configuration) -> Result<Self, NewConnectionError> {
        Self::with_options(configuration, Options::default())
    }

    /// The same, with settings for the driver.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_options(configuration: Configuration, options: Options) -> Result<Self, NewConnectionError> {
        let seed = system_seed().map_err(NewConnectionError::System)?;
        let interfaces = options.interfaces.map_or_else(interface_addresses, Ok).map_err(NewConnectionError::System)?;
        let mut peer = Peer::new(configuration, seed).map_err(NewConnectionError::Configuration)?;
        let clock = Clock::start();
        peer.set_interfaces(clock.now(), &interfaces);

        let signal = Arc::new(Signal::default());
        let (commands, to_carry_out) = async_channel::bounded(COMMAND_CAPACITY);
        let (to_report, queue) = async_channel::bounded(options.event_capacity.max(1));
        let events = Events::new(Arc::new(queue), commands.downgrade(), DropNotice(Arc::clone(&signal)));
        async_std::task::spawn(Driver::new(
            peer,
            clock,
            Commands::new(to_carry_out),
            Arc::clone(&signal),
            Channels::new(signal, options.receive_buffer),
            WaitingSends::new(options.send_buffer),
            to_report,
            Sockets::new(options.socket_buffer_size, options.port_range),
        ));
        Ok(Self { commands, source: Arc::new(Mutex::new(EventSource::Unclaimed(events))) })
    }

    /// What happens to the connection, from its beginning on. Several streams share one queue: each event goes to one of them. Once all have been dropped, events are
    /// discarded, and channels that the other side opens are closed.
    ///
    /// Events that nobody takes, or asks for, bring the connection to a halt after [`Options::event_capacity`].
    pub fn events(&self) -> Events {
        let mut source = lock(&self.source);
        let (queue, notice) = match &*source {
            EventSource::Unclaimed(events) => (Arc::clone(&events.shared), events.notice.clone()),
            EventSource::Claimed(queue, notice) => {
                (queue.upgrade().unwrap_or_else(|| Arc::new(async_channel::bounded(1).1)), notice.clone())
            }
        };
        *source = EventSource::Claimed(Arc::downgrade(&queue), notice.clone());
        Events::new(queue, self.commands.downgrade(), notice)
    }

    async fn run<R: Send + 'static>(&self, work: impl FnOnce(&mut Peer, Timestamp) -> R + Send + 'static) -> Option<R> {
        run(&self.commands, work).await
    }

    /// `createDataChannel`: before the connection is negotiated, or at any time after. [`DataChannel::opened`] tells when it can be used.
    ///
    /// # Errors
    /// [`CreateDataChannelError`], under the names of the W3C.
    pub async fn create_data_channel(
        &self,
        options: DataChannelOptions,
    ) -> Result<DataChannel, CreateDataChannelError> {
        let created = ask(&self.commands, |reply| Command::CreateDataChannel(options, reply)).await;
        let parts = created.unwrap_or(Err(CreateDataChannelError::Closed))?;
        Ok(DataChannel::new(parts, self.commands.clone()))
    }

    /// `createOffer`
    ///
    /// # Errors
    /// [`CreateDescriptionError`]; nothing has changed.
    pub async fn create_offer(&self) -> Result<SessionDescriptionInit, CreateDescriptionError> {
        let closed = Err(CreateDescriptionError::InvalidState(SignalingState::Closed));
        self.run(|peer, _| peer.create_offer()).await.unwrap_or(closed)
    }

    /// `createAnswer`
    ///
    /// # Errors
    /// [`CreateDescriptionError`]; nothing has changed.
    pub async fn create_answer(&self) -> Result<SessionDescriptionInit, CreateDescriptionError> {
        let closed = Err(CreateDescriptionError::InvalidState(SignalingState::Closed));
        self.run(|peer, _| peer.create_answer()).await.unwrap_or(closed)
    }

    /// `setLocalDescription`: applies what was created, and begins to gather. Without a description it is created now.
    ///
    /// # Errors
    /// [`SetDescriptionError`]; nothing has changed.
    pub async fn set_local_description(
        &self,
        description: impl Into<Option<SessionDescriptionInit>>,
    ) -> Result<(), SetDescriptionError> {
        let description = description.into();
        let done = self.run(move |peer, now| peer.set_local_description(now, description)).await;
        done.unwrap_or(Err(SetDescriptionError::Closed))
    }

    /// `setRemoteDescription`: applies what the other side has sent.
    ///
    /// # Errors
    /// [`SetDescriptionError`]; nothing has changed.
    pub async fn set_remote_description(&self, description: SessionDescriptionInit) -> Result<(), SetDescriptionError> {
        let done = self.run(move |peer, now| peer.set_remote_description(now, description)).await;
        done.unwrap_or(Err(SetDescriptionError::Closed))
    }

    /// `addIceCandidate`: a candidate of the other side, or with an empty `candidate` the end of them.
    ///
    /// # Errors
    /// [`AddIceCandidateError`]; nothing has changed.
    pub async fn add_ice_candidate(&self, candidate: IceCandidateInit) -> Result<(), AddIceCandidateError> {
        let done = self.run(move |peer, now| peer.add_ice_candidate(now, candidate)).await;
        done.unwrap_or(Err(AddIceCandidateError::Closed))
    }

    /// `localDescription`, with the candidates found so far. `None` if there is none, and once the connection is closed.
    pub async fn local_description(&self) -> Option<SessionDescriptionInit> {
        self.run(|peer, _| peer.local_description()).await?
    }

    /// `remoteDescription`. `None` if there is none, and once the connection is closed.
    pub async fn remote_description(&self) -> Option<SessionDescriptionInit> {
        self.run(|peer, _| peer.remote_description()).await?
    }

    /// `signalingState`
    pub async fn signaling_state(&self) -> SignalingState {
        self.run(|peer, _| peer.signaling_state()).await.unwrap_or(SignalingState::Closed)
    }

    /// `iceGatheringState`. `None` once the connection is closed.
    pub async fn ice_gathering_state(&self) -> Option<IceGatheringState> {
        self.run(|peer, _| peer.ice_gathering_state()).await
    }

    /// `iceConnectionState`
    pub async fn ice_connection_state(&self) -> IceConnectionState {
        self.run(|peer, _| peer.ice_connection_state()).await.unwrap_or(IceConnectionState::Closed)
    }

    /// `connectionState`
    pub async fn connection_state(&self) -> PeerConnectionState {
        self.run(|peer, _| peer.connection_state()).await.unwrap_or(PeerConnectionState::Closed)
    }

    /// `sctp.maxMessageSize`: the largest message that can be sent, in bytes, once the other side's limit is known. `None` before, and once the connection is closed.
    pub async fn max_message_size(&self) -> Option<usize> {
        self.run(|peer, _| peer.max_message_size()).await?
    }

    /// `getStats`, the first of it. `None` once the connection is closed.
    pub async fn statistics(&self) -> Option<PeerStatistics> {
        self.run(|peer, _| peer.statistics()).await
    }

    /// What the sockets have carried. `None` once the connection is closed.
    pub async fn socket_statistics(&self) -> Option<SocketStatistics> {
        ask(&self.commands, Command::Statistics).await
    }

    /// `close`: what is buffered is lost, the other side is told. Done when the last packet is with the system, and the sockets are closed.
    pub async fn close(&self) {
        let _nothing_is_sent = ask(&self.commands, Command::Close).await;
    }
}

impl fmt::Debug for PeerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnection").field("is_closed", &self.commands.is_closed()).finish_non_exhaustive()
    }
}

/// What happens to a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// `datachannel`: the other side has opened a channel. It is open already.
    DataChannel(DataChannel),
    /// Anything else that is not about a single channel: for those ask the [`DataChannel`].
    Peer(PeerEvent),
}

/// The events of a [`PeerConnection`], as a [`Stream`]. It ends when the connection is closed.
#[must_use = "events are discarded once their stream is dropped"]
pub struct Events {
    queue: Pin<Box<Receiver<QueuedEvent>>>,
    /// What all streams of the connection share. Nothing else holds the queue, so that it ends with the last of them.
    shared: Arc<Receiver<QueuedEvent>>,
    commands: WeakSender<Command>,
    /// Dropped last: the driver then looks who is left.
    notice: DropNotice,
}

impl Events {
    fn new(shared: Arc<Receiver<QueuedEvent>>, commands: WeakSender<Command>, notice: DropNotice) -> Self {
        Self { queue: Box::pin(Receiver::clone(&shared)), shared, commands, notice }
    }

    /// Waits for the next event; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Event> {
        StreamExt::next(self).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            let Some(event) = ready!(self.queue.as_mut().poll_next(context)) else { return Poll::Ready(None) };
            self.notice.0.announce_room();
            match event {
                QueuedEvent::Peer(event) => return Poll::Ready(Some(Event::Peer(event))),
                QueuedEvent::DataChannel(parts) => {
                    // Without any handle the connection is about to be closed, and the channel with it.
                    if let Some(commands) = self.commands.upgrade() {
                        return Poll::Ready(Some(Event::DataChannel(DataChannel::new(parts, commands))));
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}
