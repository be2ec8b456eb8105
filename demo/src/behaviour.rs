//! What the peer does on its data channels: echo, count, take in floods, send floods. Pure: no clock, no I/O.
//!
//! One [`ChannelBehaviour`] per channel. Messages go in with [`handle_message`](ChannelBehaviour::handle_message); what is to be said comes out of
//! [`pump`](ChannelBehaviour::pump), as long as the channel takes it, so that a full channel holds a flood back.
//!
//! A channel whose label begins with `sink` only counts; all others echo, text as text and binary as binary, empty as empty. On every channel:
//!
//! | text | meaning |
//! | --- | --- |
//! | `flood-begin BYTES` | binary messages follow, each begins with a 32-bit big-endian counter |
//! | `flood-end` | the flood is over: answered by `flood-ack BYTES MILLISECONDS INORDER` (1 or 0) |
//! | `please-close` | close the channel from this side |
//! | `please-flood BYTES MSGSIZE` | on a channel whose label begins with `flood`: send such a flood |
//!
//! The last two are for pages: a behaviour made by [`ChannelBehaviour::unasked`] takes them for any other text.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use crc32c::crc32c_append;
use peer_core::{Message, MessageKind, Reliability};
use proto_machine::{Seed, Timestamp};

/// The most bytes of messages that wait for room in the channel. A sender that goes on without reading is at fault: the channel is closed.
pub const MAX_WAITING_BYTES: usize = 64 << 20;
/// What a message that waits counts for in that, beside its payload, in bytes: about what it takes in memory.
pub const MESSAGE_COST: usize = 64;
/// The most messages that wait for room in the channel.
pub const MAX_WAITING_MESSAGES: usize = 1 << 16;
/// The smallest message of a flood: it holds the counter.
pub const MIN_FLOOD_MESSAGE: usize = 4;
/// The largest message of a flood: what Chromium accepts (its `a=max-message-size`).
pub const MAX_FLOOD_MESSAGE: usize = 262_144;

/// What one channel does with what it receives.
#[derive(Debug)]
pub struct ChannelBehaviour {
    echoes: bool,
    may_be_asked_to_close: bool,
    may_be_asked_to_flood: bool,
    received: Count,
    incoming: Option<IncomingFlood>,
    outgoing: OutgoingFlood,
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
    last_flood: Option<FloodOutcome>,
    received_flood: Option<ReceivedFlood>,
    /// Acknowledgements of floods that were given up: they may still come, and are no text to echo.
    late_acknowledgements: u32,
}

/// How much was received on a channel.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Bytes of all messages.
    pub bytes: u64,
}

/// What became of a flood that this side sent, as its receiver tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FloodOutcome {
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the receiver has counted.
    pub received: u64,
    /// Whether the receiver saw every counter in order.
    pub in_order: bool,
    /// CRC-32C of all that was sent, message by message.
    pub crc32c: u32,
    /// From the first message to the acknowledgement.
    pub elapsed: Duration,
}

/// A flood that came from the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceivedFlood {
    /// How much came, without the words of the protocol.
    pub count: Count,
    /// Whether every counter came in order.
    pub in_order: bool,
    /// CRC-32C of all that came, message by message.
    pub crc32c: u32,
    /// From its first word to its last.
    pub elapsed: Duration,
}

/// How far a flood that this side sends has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FloodProgress {
    /// There is none.
    Idle,
    /// It is being sent.
    Sending,
    /// All is handed to the channel; the other side has not acknowledged it yet.
    AwaitAcknowledgement {
        /// Bytes of the flood.
        bytes: u64,
        /// When it began.
        began: Timestamp,
    },
}

/// What the owner of the channel has to do after a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the other side waits for it"]
pub enum Request {
    /// Call [`ChannelBehaviour::pump`].
    Pump,
    /// Close the channel: the other side asked for it.
    Close,
    /// Close the channel: the other side sends without reading, and more than [`MAX_WAITING_BYTES`] wait for it.
    Overflow,
}

/// What became of a message that was handed to a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// It will be sent.
    Taken,
    /// It never will: the other side does not accept messages of this size.
    TooLarge,
    /// The channel has no room for it now.
    Full(Message),
}

#[derive(Debug)]
struct IncomingFlood {
    began: Timestamp,
    count: Count,
    next_counter: u32,
    in_order: bool,
    crc32c: u32,
}

/// A flood of our own, in the order of the protocol.
#[derive(Debug)]
enum OutgoingFlood {
    None,
    Begin { bytes: u64, message_size: usize },
    Body { flood: SentFlood, remaining: u64, counter: u32, message_size: usize },
    End(SentFlood),
    AwaitAcknowledgement(SentFlood),
}

/// What is to be known of a flood until it is acknowledged.
#[derive(Clone, Copy, Debug)]
struct SentFlood {
    began: Timestamp,
    /// All of them, sent or not.
    bytes: u64,
    /// Of those that were sent.
    crc32c: u32,
}

/// A text message that means something to the flood protocol.
enum Command {
    FloodBegin,
    FloodEnd,
    FloodAcknowledged { received: u64, in_order: bool },
    PleaseFlood { bytes: u64, message_size: usize },
    PleaseClose,
}

impl ChannelBehaviour {
    /// The behaviour of a channel with this label.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            may_be_asked_to_close: true,
            may_be_asked_to_flood: label.starts_with("flood"),
            ..Self::unasked(!label.starts_with("sink"))
        }
    }

    /// A behaviour that echoes or does not, and that the other side cannot ask for a flood or to close the channel.
    #[must_use]
    pub fn unasked(echoes: bool) -> Self {
        Self {
            echoes,
            may_be_asked_to_close: false,
            may_be_asked_to_flood: false,
            received: Count::default(),
            incoming: None,
            outgoing: OutgoingFlood::None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last_flood: None,
            received_flood: None,
            late_acknowledgements: 0,
        }
    }

    /// What was received so far.
    #[must_use]
    pub fn received(&self) -> Count {
        self.received
    }

    /// What became of the last flood that this side sent, once its receiver has acknowledged it.
    #[must_use]
    pub fn last_flood(&self) -> Option<FloodOutcome> {
        self.last_flood
    }

    /// How far the flood that this side sends has come.
    #[must_use]
    pub fn flood_progress(&self) -> FloodProgress {
        match self.outgoing {
            OutgoingFlood::None => FloodProgress::Idle,
            OutgoingFlood::AwaitAcknowledgement(SentFlood { began, bytes, .. }) => {
                FloodProgress::AwaitAcknowledgement { bytes, began }
            }
            OutgoingFlood::Begin { .. } | OutgoingFlood::Body { .. } | OutgoingFlood::End(_) => FloodProgress::Sending,
        }
    }

    /// Whether a flood of the other side is coming in.
    #[must_use]
    pub fn is_receiving_flood(&self) -> bool {
        self.incoming.is_some()
    }

    /// The last flood that came in to its end, once.
    pub fn take_received_flood(&mut self) -> Option<ReceivedFlood> {
        self.received_flood.take()
    }

    /// Whether messages wait for room in the channel, those of a flood aside.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes of messages that wait for room in the channel, and [`MESSAGE_COST`] for each.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes in a message.
    pub fn handle_message(&mut self, now: Timestamp, message: Message) -> Request {
        self.received.messages += 1;
        self.received.bytes += message.payload.len() as u64;
        match message.kind {
            MessageKind::Text => match Command::parse(&message.payload) {
                Some(command) => self.handle_command(now, &command, message),
                None => self.echo(message),
            },
            MessageKind::Binary => match &mut self.incoming {
                Some(flood) => {
                    flood.count(&message.payload);
                    Request::Pump
                }
                None => self.echo(message),
            },
        }
    }

    /// Floods the channel with `bytes` bytes in messages of `message_size` (within [`MIN_FLOOD_MESSAGE`] and [`MAX_FLOOD_MESSAGE`]); up to three bytes more, where the last message
    /// would have no room for its counter. False, and nothing changed, if a flood is already under way or the size is out of range.
    #[must_use]
    pub fn flood(&mut self, bytes: u64, message_size: usize) -> bool {
        let idle = matches!(self.outgoing, OutgoingFlood::None);
        let possible = idle && (MIN_FLOOD_MESSAGE..=MAX_FLOOD_MESSAGE).contains(&message_size);
        if possible {
            let last = bytes % message_size as u64;
            let missing = if last == 0 { 0 } else { (MIN_FLOOD_MESSAGE as u64).saturating_sub(last) };
            let bytes = bytes.saturating_add(missing);
            self.outgoing = OutgoingFlood::Begin { bytes, message_size };
        }
        possible
    }

    /// No longer waits for the end of the flood that this side sends. What has not been sent of it never will be. On a channel that may lose messages the acknowledgement need
    /// not come any more; on a reliable one it does, and must not be taken for that of a later flood.
    pub fn give_up_flood(&mut self, reliability: Reliability) {
        let awaits = matches!(self.outgoing, OutgoingFlood::AwaitAcknowledgement(_));
        if awaits && reliability == Reliability::Reliable {
            self.late_acknowledgements = self.late_acknowledgements.saturating_add(1);
        }
        self.outgoing = OutgoingFlood::None;
    }

    /// Messages come back no longer. Those that wait already still do.
    pub fn stop_echoing(&mut self) {
        self.echoes = false;
    }

    /// Sends a message once those before it are sent. [`Request::Overflow`], and nothing changed, if more than [`MAX_WAITING_BYTES`] or [`MAX_WAITING_MESSAGES`] would wait.
    pub fn send(&mut self, message: Message) -> Request {
        self.say(message)
    }

    /// Hands messages to `send` until there are no more, or `send` gives one back because the channel is full.
    pub fn pump(&mut self, now: Timestamp, mut send: impl FnMut(Message) -> Delivery) {
        while let Some(message) = self.waiting.pop_front() {
            let cost = cost(&message);
            if let Delivery::Full(message) = send(message) {
                self.waiting.push_front(message);
                return;
            }
            self.waiting_bytes -= cost;
        }
        while let Some((message, next)) = self.outgoing.step(now) {
            match send(message) {
                Delivery::Taken => self.outgoing = next,
                // So would every further one be, and nothing would ever hold the flood up.
                Delivery::TooLarge => self.outgoing = OutgoingFlood::None,
                Delivery::Full(_) => return,
            }
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: &Command, message: Message) -> Request {
        match *command {
            Command::FloodBegin => {
                self.incoming = Some(IncomingFlood {
                    began: now,
                    count: Count::default(),
                    next_counter: 0,
                    in_order: true,
                    crc32c: 0,
                });
                Request::Pump
            }
            Command::FloodEnd => match self.incoming.take() {
                Some(flood) => {
                    let flood = flood.end(now);
                    self.received_flood = Some(flood);
                    self.say(Message::text(flood.acknowledgement()))
                }
                None => self.echo(message),
            },
            Command::FloodAcknowledged { .. } if self.late_acknowledgements > 0 => {
                self.late_acknowledgements -= 1;
                Request::Pump
            }
            Command::FloodAcknowledged { received, in_order } => match self.outgoing {
                OutgoingFlood::AwaitAcknowledgement(SentFlood { began, bytes, crc32c }) => {
                    self.outgoing = OutgoingFlood::None;
                    self.last_flood =
                        Some(FloodOutcome { sent: bytes, received, in_order, crc32c, elapsed: now - began });
                    Request::Pump
                }
                _ => self.echo(message),
            },
            Command::PleaseFlood { bytes, message_size } if self.may_be_asked_to_flood => {
                if self.flood(bytes, message_size) {
                    return Request::Pump;
                }
                self.say(Message::text(format!(
                    "no flood: one at a time, with {MIN_FLOOD_MESSAGE} to {MAX_FLOOD_MESSAGE} bytes a message"
                )))
            }
            Command::PleaseFlood { .. } => self.echo(message),
            Command::PleaseClose if self.may_be_asked_to_close => Request::Close,
            Command::PleaseClose => self.echo(message),
        }
    }

    fn echo(&mut self, message: Message) -> Request {
        if self.echoes { self.say(message) } else { Request::Pump }
    }

    fn say(&mut self, message: Message) -> Request {
        let bytes = self.waiting_bytes + cost(&message);
        if bytes > MAX_WAITING_BYTES || self.waiting.len() >= MAX_WAITING_MESSAGES {
            return Request::Overflow;
        }
        self.waiting_bytes = bytes;
        self.waiting.push_back(message);
        Request::Pump
    }
}

impl Command {
    /// The longest command, in bytes. Longer messages are not looked into.
    const MAX_LENGTH: usize = 100;

    fn parse(payload: &[u8]) -> Option<Self> {
        if payload.len() > Self::MAX_LENGTH {
            return None;
        }
        let text = std::str::from_utf8(payload).ok()?;
        let mut words = text.split(' ');
        let command = match words.next()? {
            "flood-begin" => {
                let _announced: u64 = words.next()?.parse().ok()?;
                Self::FloodBegin
            }
            "flood-end" => Self::FloodEnd,
            "flood-ack" => {
                let received = words.next()?.parse().ok()?;
                let _milliseconds: f64 = words.next()?.parse().ok()?;
                Self::FloodAcknowledged { received, in_order: words.next()? == "1" }
            }
            "please-flood" => {
                Self::PleaseFlood { bytes: words.next()?.parse().ok()?, message_size: words.next()?.parse().ok()? }
            }
            "please-close" => Self::PleaseClose,
            _ => return None,
        };
        words.next().is_none().then_some(command)
    }
}

impl IncomingFlood {
    fn count(&mut self, message: &Bytes) {
        self.count.messages += 1;
        self.count.bytes += message.len() as u64;
        let counter = message.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        self.in_order &= counter == Some(self.next_counter);
        self.next_counter = self.next_counter.wrapping_add(1);
        self.crc32c = crc32c_append(self.crc32c, message);
    }

    fn end(&self, now: Timestamp) -> ReceivedFlood {
        let Self { count, in_order, crc32c, .. } = *self;
        ReceivedFlood { count, in_order, crc32c, elapsed: now - self.began }
    }
}

impl ReceivedFlood {
    fn acknowledgement(&self) -> String {
        let milliseconds = self.elapsed.as_millis();
        format!("flood-ack {} {milliseconds} {}", self.count.bytes, u8::from(self.in_order))
    }
}

impl OutgoingFlood {
    /// The next message, and the state once it has been sent.
    fn step(&self, now: Timestamp) -> Option<(Message, Self)> {
        match *self {
            Self::None | Self::AwaitAcknowledgement(_) => None,
            Self::Begin { bytes, message_size } => {
                let flood = SentFlood { began: now, bytes, crc32c: 0 };
                let body = Self::Body { flood, remaining: bytes, counter: 0, message_size };
                Some((Message::text(format!("flood-begin {bytes}")), body.or_end()))
            }
            Self::Body { flood, remaining, counter, message_size } => {
                let size = usize::try_from(remaining).map_or(message_size, |remaining| remaining.min(message_size));
                let rest = remaining.saturating_sub(size as u64);
                let payload = flood_message(counter, size);
                let flood = SentFlood { crc32c: crc32c_append(flood.crc32c, &payload), ..flood };
                let next = Self::Body { flood, remaining: rest, counter: counter.wrapping_add(1), message_size };
                Some((Message::binary(payload), next.or_end()))
            }
            Self::End(flood) => Some((Message::text("flood-end"), Self::AwaitAcknowledgement(flood))),
        }
    }

    /// A body of which nothing remains is at its end.
    fn or_end(self) -> Self {
        match self {
            Self::Body { flood, remaining: 0, .. } => Self::End(flood),
            other => other,
        }
    }
}

/// What a message that waits counts for in [`MAX_WAITING_BYTES`].
fn cost(message: &Message) -> usize {
    message.payload.len() + MESSAGE_COST
}

/// What messages of floods are filled with, each from another place on, so that no two neighbours are alike and what is out of place shows.
static FILLING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut filling = vec![0; MAX_FLOOD_MESSAGE + FILLING_PLACES];
    Seed::from_number(0).into_rng().fill(&mut filling);
    filling
});
/// From how many places on.
const FILLING_PLACES: usize = 1 << 16;

/// The counter, filled up to `size`, which is at most [`MAX_FLOOD_MESSAGE`].
fn flood_message(counter: u32, size: usize) -> Bytes {
    let mut message = BytesMut::with_capacity(size);
    message.put_u32(counter);
    let place = counter as usize % FILLING_PLACES;
    let missing = size.saturating_sub(message.len());
    message.extend_from_slice(FILLING.get(place..place + missing).unwrap_or_default());
    message.freeze()
}

#[cfg(test)]
mod tests;
