//! Data channels (RFC 8831).

mod message;
mod options;
mod receiving;
mod sending;
mod stream_set;
mod table;

use std::collections::VecDeque;

use bytes::Bytes;
use proto_machine::Timestamp;

use crate::sctp::PayloadProtocol;
pub use message::{Message, MessageKind};
pub use options::{DataChannelOptions, Priority, Reliability};
pub(crate) use table::{ChannelLimits, DataChannels};

/// A data channel as this transport names it. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelKey(pub(crate) u64);

/// `RTCDataChannelState` of the W3C specification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataChannelState {
    /// Waiting for the association. Messages may be sent and wait.
    Connecting,
    /// Open.
    Open,
    /// Being closed: what was sent is still delivered, unless the peer closes.
    Closing,
    /// Closed on both sides.
    Closed,
}

/// What a channel has carried: counters of the W3C statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChannelStatistics {
    /// Messages accepted by `send`.
    pub messages_sent: u64,
    /// Their payload, in bytes.
    pub bytes_sent: u64,
    /// Messages handed to the application.
    pub messages_received: u64,
    /// Their payload, in bytes.
    pub bytes_received: u64,
}

/// A look at a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelView<'a> {
    /// The label.
    pub label: &'a str,
    /// The protocol.
    pub protocol: &'a str,
    /// Whether messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// How hard it is tried to deliver.
    pub reliability: Reliability,
    /// Whether the application chose the id on both sides, without the establishment protocol.
    pub negotiated: bool,
    /// The stream; `None` until the DTLS role is known.
    pub id: Option<u16>,
    /// The priority.
    pub priority: Priority,
    /// The state.
    pub ready_state: DataChannelState,
    /// Bytes of payload that wait to be handed to SCTP.
    pub buffered_amount: usize,
    /// The amount at which `BufferedAmountLow` comes.
    pub buffered_amount_low_threshold: usize,
    /// What it has carried.
    pub statistics: ChannelStatistics,
}

/// Where a channel stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ChannelState {
    /// Waiting for the association.
    AwaitAssociation,
    /// Open.
    Open {
        /// The peer is known to have the channel: before, even an unordered one is ordered (RFC 8832 §6).
        acknowledged: bool,
    },
    /// Being closed by this side: what waits is still to be handed to SCTP.
    Flushing {
        /// As for `Open`.
        acknowledged: bool,
    },
    /// Being closed by this side: waiting for both resets.
    AwaitResets,
    /// Being closed; the peer's reset has come: waiting for the answer to ours.
    AwaitOwnReset,
    /// Closed; the event waits to be polled.
    Closed,
}

/// A message that waits to be handed to SCTP.
#[derive(Debug)]
struct Waiting {
    protocol: PayloadProtocol,
    payload: Bytes,
    since: Timestamp,
}

/// A channel.
#[derive(Debug)]
struct Channel {
    options: DataChannelOptions,
    id: Option<u16>,
    state: ChannelState,
    waiting: VecDeque<Waiting>,
    /// Bytes of payload in `waiting`.
    buffered: usize,
    buffered_amount_low_threshold: usize,
    /// When to look for messages that have waited too long: not later than the oldest one is too old.
    expiry: Option<Timestamp>,
    /// What the channel may hand over before the next one's turn, in bytes.
    credit: usize,
    /// Whether it waits for its turn.
    in_turn: bool,
    /// Pieces of a message (RFC 8831 §6.6, deprecated).
    pieces: Vec<u8>,
    was_open: bool,
    statistics: ChannelStatistics,
}

impl Channel {
    fn new(options: DataChannelOptions, id: Option<u16>) -> Self {
        Self {
            options,
            id,
            state: ChannelState::AwaitAssociation,
            waiting: VecDeque::new(),
            buffered: 0,
            buffered_amount_low_threshold: 0,
            expiry: None,
            credit: 0,
            in_turn: false,
            pieces: Vec::new(),
            was_open: false,
            statistics: ChannelStatistics::default(),
        }
    }

    fn view(&self) -> ChannelView<'_> {
        ChannelView {
            label: &self.options.label,
            protocol: &self.options.protocol,
            ordered: self.options.ordered,
            reliability: self.options.reliability,
            negotiated: self.options.negotiated.is_some(),
            id: self.id,
            priority: self.options.priority,
            ready_state: match self.state {
                ChannelState::AwaitAssociation => DataChannelState::Connecting,
                ChannelState::Open { .. } => DataChannelState::Open,
                ChannelState::Flushing { .. } | ChannelState::AwaitResets | ChannelState::AwaitOwnReset => {
                    DataChannelState::Closing
                }
                ChannelState::Closed => DataChannelState::Closed,
            },
            buffered_amount: self.buffered,
            buffered_amount_low_threshold: self.buffered_amount_low_threshold,
            statistics: self.statistics,
        }
    }
}
