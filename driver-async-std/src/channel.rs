//! Data channels: the application's handles, and what the task keeps of each.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use async_channel::{Receiver, Sender};
use futures_util::Stream;
use peer_core::{
    ChannelFailure, ChannelKey, ChannelStatistics, ChannelView, DataChannelState, Message, Peer, Reliability, SendError,
};
use proto_machine::Timestamp;

use crate::command::{Command, DropNotice, Signal, WaitingSend, ask, lock, run};

/// What a message counts on top of its payload, in bytes.
const MESSAGE_COST: usize = 64;

fn cost(message: &Message) -> usize {
    message.payload.len() + MESSAGE_COST
}

/// `RTCDataChannel` (W3C webrtc-pc §6.2). Clones are the same channel; each message goes to one of them.
///
/// Messages come from [`next_message`](Self::next_message), or from the handle as a [`Stream`]. When the application does not take them, this and all other channels of the
/// connection come to a halt, up to the sender on the other side: channels share one receive window.
///
/// Dropping the last handle of a channel closes the channel. As long as there is one, the connection lives on.
#[derive(Clone)]
#[must_use = "dropping the last handle closes the channel"]
pub struct DataChannel {
    parts: ChannelParts,
    commands: Sender<Command>,
}

/// A handle without what keeps the connection alive: it waits in queues that belong to the connection.
#[derive(Clone)]
pub(crate) struct ChannelParts {
    messages: Pin<Box<Receiver<Message>>>,
    shared: Arc<Shared>,
    notice: DropNotice,
}

/// What the task and the handles of a channel have in common.
#[derive(Debug)]
struct Shared {
    key: ChannelKey,
    label: String,
    protocol: String,
    ordered: bool,
    reliability: Reliability,
    negotiated: bool,
    status: Mutex<Status>,
    /// Cost of the messages that wait for the application, in bytes.
    held: AtomicUsize,
    capacity: usize,
    /// Closed when the channel opens, or closes without having opened.
    opened: Receiver<()>,
    /// Closed when the channel is closed.
    closed: Receiver<()>,
}

#[derive(Clone, Debug)]
struct Status {
    ready_state: DataChannelState,
    /// Whether the channel is open, or was before it closed.
    has_opened: bool,
    id: Option<u16>,
    failure: Option<ChannelFailure>,
}

impl DataChannel {
    pub(crate) fn new(parts: ChannelParts, commands: Sender<Command>) -> Self {
        Self { parts, commands }
    }

    fn shared(&self) -> &Shared {
        &self.parts.shared
    }

    /// `label`
    #[must_use]
    pub fn label(&self) -> &str {
        &self.shared().label
    }

    /// `protocol`
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.shared().protocol
    }

    /// `ordered`: whether messages arrive in the order in which they were sent.
    #[must_use]
    pub fn ordered(&self) -> bool {
        self.shared().ordered
    }

    /// `maxPacketLifeTime` and `maxRetransmits`: how hard it is tried to deliver a message.
    #[must_use]
    pub fn reliability(&self) -> Reliability {
        self.shared().reliability
    }

    /// `negotiated`: whether both applications have created the channel, under one id.
    #[must_use]
    pub fn negotiated(&self) -> bool {
        self.shared().negotiated
    }

    /// `id`: known once the channel is open, or from the start if the application chose it.
    #[must_use]
    pub fn id(&self) -> Option<u16> {
        lock(&self.shared().status).id
    }

    /// `readyState`
    #[must_use]
    pub fn ready_state(&self) -> DataChannelState {
        lock(&self.shared().status).ready_state
    }

    /// Why the channel was closed, if it was by a failure: what `error` tells.
    #[must_use]
    pub fn failure(&self) -> Option<ChannelFailure> {
        lock(&self.shared().status).failure.clone()
    }

    /// Waits until the channel is open: the event `open`. Returns whether it came to that; `false` if the channel closed before.
    ///
    /// By the time that anybody looks the other side may have closed the channel again: that is told where its messages are read, behind the last of them.
    pub async fn opened(&self) -> bool {
        let _nothing_is_sent = self.shared().opened.recv().await;
        lock(&self.shared().status).has_opened
    }

    /// Waits until the channel is closed: the event `close`. Messages that have not been read until then wait in front of it.
    pub async fn closed(&self) {
        let _nothing_is_sent = self.shared().closed.recv().await;
    }

    /// `send`, with backpressure: waits while the buffer of the channel, [`Options::send_buffer`](crate::Options::send_buffer), is full. Returns once the message is
    /// taken, not when it has arrived.
    ///
    /// If the future is dropped before it is done, the message may or may not have been taken. Messages of one task stay in order.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] before the channel is open and while it closes, [`SendError::UnknownChannel`] once it is closed, [`SendError::TooLarge`], and
    /// [`SendError::BufferFull`] only if [`MAX_WAITING_SENDS`](Self::MAX_WAITING_SENDS) others wait already. The message was not taken.
    pub async fn send(&self, message: Message) -> Result<(), SendError> {
        let key = self.shared().key;
        let answer = ask(&self.commands, |reply| Command::Send(key, WaitingSend { message, reply })).await;
        answer.unwrap_or(Err(SendError::UnknownChannel))
    }

    /// How many calls of [`send`](Self::send) may wait for room on one channel at a time.
    pub const MAX_WAITING_SENDS: usize = 64;

    /// Waits for the next message; `None` once the channel is closed and all have been taken.
    pub async fn next_message(&self) -> Option<Message> {
        let message = self.parts.messages.recv().await.ok()?;
        self.parts.note_taken(&message);
        Some(message)
    }

    /// `bufferedAmount`: bytes of payload that wait to be handed to SCTP. Zero once the channel is closed.
    pub async fn buffered_amount(&self) -> usize {
        self.view(|view| view.buffered_amount).await.unwrap_or_default()
    }

    /// What the channel has carried; `None` once it is closed.
    pub async fn statistics(&self) -> Option<ChannelStatistics> {
        self.view(|view| view.statistics).await
    }

    async fn view<R: Send + 'static>(&self, look: impl FnOnce(ChannelView<'_>) -> R + Send + 'static) -> Option<R> {
        let key = self.shared().key;
        run(&self.commands, move |peer, _| Some(look(peer.channel(key)?.view()?))).await?
    }

    /// `close`: what has been taken is delivered first, what waits to be taken is refused. On a channel that is closed it changes nothing. [`closed`](Self::closed) tells
    /// when it is done.
    pub async fn close(&self) {
        let key = self.shared().key;
        let _has_ended = run(&self.commands, move |peer, now| close(peer, now, key)).await;
    }
}

impl Stream for DataChannel {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let message = ready!(self.parts.messages.as_mut().poll_next(context));
        if let Some(message) = &message {
            self.parts.note_taken(message);
        }
        Poll::Ready(message)
    }
}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataChannel")
            .field("label", &self.label())
            .field("id", &self.id())
            .field("ready_state", &self.ready_state())
            .finish_non_exhaustive()
    }
}

impl ChannelParts {
    /// Tells the task if the inbox, once full, is half empty: in between it is not worth a wake-up.
    fn note_taken(&self, message: &Message) {
        let (shared, low) = (&self.shared, self.shared.capacity / 2);
        let before = shared.held.fetch_sub(cost(message), Ordering::AcqRel);
        if before > low && before.saturating_sub(cost(message)) <= low {
            self.notice.0.announce_room();
        }
    }
}

fn close(peer: &mut Peer, now: Timestamp, key: ChannelKey) {
    if let Some(mut channel) = peer.channel(key) {
        // It is there, so it is known.
        let _known = channel.close(now);
    }
}

/// What the task keeps of a channel.
struct Entry {
    messages: Sender<Message>,
    shared: Arc<Shared>,
    /// Dropped when the channel opens.
    opened: Option<Sender<()>>,
    /// Dropped with the entry.
    _closed: Sender<()>,
}

impl Entry {
    fn set_ready_state(&mut self, ready_state: DataChannelState, id: Option<u16>) {
        let mut status = lock(&self.shared.status);
        status.ready_state = ready_state;
        status.has_opened |= ready_state == DataChannelState::Open;
        status.id = id.or(status.id);
        drop(status);
        self.opened = None;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.set_ready_state(DataChannelState::Closed, None);
    }
}

/// All channels of a connection.
pub(crate) struct Channels {
    entries: BTreeMap<ChannelKey, Entry>,
    signal: Arc<Signal>,
    /// Bytes of messages that wait for the application, for each channel. The last message may exceed it.
    capacity: usize,
}

impl Channels {
    pub(crate) fn new(signal: Arc<Signal>, capacity: usize) -> Self {
        Self { entries: BTreeMap::new(), signal, capacity }
    }

    /// Takes in a channel, and makes its first handle.
    pub(crate) fn add(&mut self, key: ChannelKey, view: &ChannelView<'_>) -> ChannelParts {
        let (sender, messages) = async_channel::unbounded();
        let (open, opened) = async_channel::bounded(1);
        let (close, closed) = async_channel::bounded(1);
        let shared = Arc::new(Shared {
            key,
            label: view.label.to_owned(),
            protocol: view.protocol.to_owned(),
            ordered: view.ordered,
            reliability: view.reliability,
            negotiated: view.negotiated,
            status: Mutex::new(Status {
                ready_state: view.ready_state,
                has_opened: view.ready_state == DataChannelState::Open,
                id: view.id,
                failure: None,
            }),
            held: AtomicUsize::new(0),
            capacity: self.capacity,
            opened,
            closed,
        });
        let opened = (view.ready_state == DataChannelState::Connecting).then_some(open);
        self.entries.insert(key, Entry { messages: sender, shared: Arc::clone(&shared), opened, _closed: close });
        ChannelParts { messages: Box::pin(messages), shared, notice: DropNotice(Arc::clone(&self.signal)) }
    }

    /// Hands a message to the application. Returns it if there is no room, which is not asked for `is_last`: only so many follow as the receive window holds.
    #[must_use = "the message is still to be delivered"]
    pub(crate) fn deliver(&self, key: ChannelKey, message: Message, is_last: bool) -> Option<Message> {
        let entry = self.entries.get(&key)?;
        if entry.messages.is_closed() {
            return None;
        }
        if !is_last && entry.shared.held.load(Ordering::Acquire) >= self.capacity.max(1) {
            return Some(message);
        }
        entry.shared.held.fetch_add(cost(&message), Ordering::AcqRel);
        // The queue has no bound of its own, and if nobody is left to read, nobody misses it.
        let _nobody_reads = entry.messages.try_send(message);
        None
    }

    pub(crate) fn note_open(&mut self, key: ChannelKey, id: Option<u16>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.set_ready_state(DataChannelState::Open, id);
        }
    }

    pub(crate) fn note_closing(&mut self, key: ChannelKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.set_ready_state(DataChannelState::Closing, None);
        }
    }

    pub(crate) fn note_failure(&mut self, key: ChannelKey, failure: ChannelFailure) {
        if let Some(entry) = self.entries.get(&key) {
            lock(&entry.shared.status).failure = Some(failure);
        }
    }

    pub(crate) fn note_closed(&mut self, key: ChannelKey) {
        self.entries.remove(&key);
    }

    /// Closes the channels that have no handle any more.
    pub(crate) fn close_abandoned(&self, peer: &mut Peer, now: Timestamp) {
        let abandoned = self.entries.iter().filter(|(_, entry)| entry.messages.is_closed());
        for (&key, _) in abandoned {
            close(peer, now, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use peer_core::{Configuration, DataChannelOptions};

    use super::*;
    use crate::system::system_seed;

    #[test]
    fn a_full_inbox_takes_only_the_last_messages_of_a_connection() {
        let configuration = Configuration::new(crate::generate_certificate().unwrap());
        let mut peer = Peer::new(configuration, system_seed().unwrap()).unwrap();
        let key = peer.create_data_channel(Timestamp::ZERO, DataChannelOptions::new("")).unwrap();
        let mut channels = Channels::new(Arc::new(Signal::default()), 100);
        let parts = channels.add(key, &peer.channel(key).unwrap().view().unwrap());
        let message = Message::binary(vec![0; 50]);
        assert_eq!(channels.deliver(key, message.clone(), false), None);
        assert_eq!(channels.deliver(key, message.clone(), false), Some(message.clone()));
        assert_eq!(channels.deliver(key, message.clone(), true), None);
        assert_eq!(parts.messages.len(), 2);
        // The queue belongs to the application: once it is dropped, messages are discarded.
        drop(parts);
        assert_eq!(channels.deliver(key, message, false), None);
    }
}
