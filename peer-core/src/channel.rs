//! A data channel of a peer, borrowed for a moment.

use std::fmt;

use proto_dtls_sctp::{ChannelKey, ChannelView, DataChannelState, Message, SecureTransport, SendError, UnknownChannel};
use proto_machine::Timestamp;

/// `RTCDataChannel`, as long as the peer is borrowed. Made by [`Peer::channel`](crate::Peer::channel).
pub struct Channel<'a> {
    pub(crate) key: ChannelKey,
    pub(crate) secure: &'a mut SecureTransport,
}

impl Channel<'_> {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> ChannelKey {
        self.key
    }

    /// Its label, id, state, buffered amount and counters. `None` once it is closed.
    #[must_use]
    pub fn view(&self) -> Option<ChannelView<'_>> {
        self.secure.channel(self.key)
    }

    /// `send`: takes the message for delivery.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the message was not taken. [`SendError::NotOpen`] before the channel is open. After [`SendError::BufferFull`], [`PeerEvent::Writable`](crate::PeerEvent::Writable) tells when to try again.
    pub fn send(&mut self, now: Timestamp, message: Message) -> Result<(), SendError> {
        // W3C webrtc-pc §6.2: InvalidStateError unless open. The transport below would queue.
        match self.view().map(|view| view.ready_state) {
            Some(DataChannelState::Connecting) => Err(SendError::NotOpen),
            _ => self.secure.send(now, self.key, message),
        }
    }

    /// `bufferedAmountLowThreshold`, in bytes: [`PeerEvent::BufferedAmountLow`](crate::PeerEvent::BufferedAmountLow) comes when the buffered amount falls to it.
    ///
    /// # Errors
    ///
    /// [`UnknownChannel`] once it is closed.
    pub fn set_buffered_amount_low_threshold(&mut self, threshold: usize) -> Result<(), UnknownChannel> {
        self.secure.set_buffered_amount_low_threshold(self.key, threshold)
    }

    /// `close`: what is buffered is delivered first.
    ///
    /// # Errors
    ///
    /// [`UnknownChannel`] once it is closed.
    pub fn close(&mut self, now: Timestamp) -> Result<(), UnknownChannel> {
        self.secure.close_channel(now, self.key)
    }
}

impl fmt::Debug for Channel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("key", &self.key).field("view", &self.view()).finish()
    }
}
