//! What the transport tells its parent.

use std::collections::VecDeque;

use crate::{ChannelFailure, ChannelKey, Message, SecureError};

/// `RTCDtlsTransportState` of the W3C specification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DtlsTransportState {
    /// Not started.
    New,
    /// Negotiating, or checking the certificate.
    Connecting,
    /// The handshake is complete and the certificate matches.
    Connected,
    /// Closed on this side, or by the peer's close_notify.
    Closed,
    /// An alert, a wrong certificate, or a time-out.
    Failed,
}

/// `RTCSctpTransportState` of the W3C specification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SctpTransportState {
    /// Not started, or waiting for DTLS or for the association.
    Connecting,
    /// The association is established.
    Connected,
    /// The association is closed.
    Closed,
}

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SecureEvent {
    /// The DTLS state has changed.
    DtlsStateChange(DtlsTransportState),
    /// The SCTP state has changed. Comes before the `ChannelOpen` of any channel.
    SctpStateChange(SctpTransportState),
    /// The peer has opened a channel. It is open already; no `ChannelOpen` follows.
    DataChannel {
        /// The new channel.
        channel: ChannelKey,
    },
    /// A channel that this side created is open.
    ChannelOpen {
        /// The channel.
        channel: ChannelKey,
    },
    /// A message has arrived.
    Message {
        /// The channel it came on.
        channel: ChannelKey,
        /// The message.
        message: Message,
    },
    /// The buffered amount has fallen to the threshold or below it.
    BufferedAmountLow {
        /// The channel.
        channel: ChannelKey,
    },
    /// There is room for messages again, after [`SendError::BufferFull`](crate::SendError::BufferFull).
    Writable {
        /// The channel.
        channel: ChannelKey,
    },
    /// The peer has begun to close the channel. What was not yet handed to SCTP is discarded.
    ChannelClosing {
        /// The channel.
        channel: ChannelKey,
    },
    /// The channel is about to be closed by a failure.
    ChannelError {
        /// The channel.
        channel: ChannelKey,
        /// Why.
        error: ChannelFailure,
    },
    /// The channel is closed. Once this event is handed over, its key is unknown.
    ChannelClosed {
        /// The channel.
        channel: ChannelKey,
    },
    /// More records than is good have been sent with random nonces (DTLS 1.2 with AES-GCM): at 2^16.5 the odds of a repeated nonce are 2^-32. Comes once.
    NonceWarning,
    /// The transport has failed: nothing more will be sent or received. Comes after the state changes that it causes.
    Failed(SecureError),
}

/// What an event in the queue counts, in bytes, on top of its payload.
const EVENT_COST: usize = 64;
/// The cost of the events in the queue after which the rest stays with SCTP, whose receive window then closes. The last one may exceed it.
const INBOX: usize = 64 * 1024;

/// Events that wait to be polled. What the peer can cause is bounded by `INBOX`: beyond it, nothing is read of what it sends. What the application causes is a few events
/// for each channel.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    events: VecDeque<(SecureEvent, usize)>,
    inbox: usize,
}

impl EventQueue {
    pub(crate) fn push(&mut self, event: SecureEvent) {
        let payload = if let SecureEvent::Message { message, .. } = &event { message.payload.len() } else { 0 };
        self.push_with(event, payload);
    }

    /// An event that keeps so many bytes in memory until it is polled.
    pub(crate) fn push_with(&mut self, event: SecureEvent, bytes: usize) {
        let cost = EVENT_COST + bytes;
        self.inbox += cost;
        self.events.push_back((event, cost));
    }

    pub(crate) fn pop(&mut self) -> Option<SecureEvent> {
        let (event, cost) = self.events.pop_front()?;
        self.inbox = self.inbox.saturating_sub(cost);
        Some(event)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.inbox < INBOX
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
