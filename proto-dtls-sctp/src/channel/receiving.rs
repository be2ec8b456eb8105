//! From SCTP to the application.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use proto_machine::Timestamp;

use super::stream_set::StreamSet;
use super::table::{DataChannels, Link};
use super::{Channel, ChannelKey, ChannelState, DataChannelOptions, Message, MessageKind, Reliability};
use crate::dcep::{self, DcepMessage};
use crate::sctp::{OutgoingMessage, PayloadProtocol, Sctp, SctpEvent};
use crate::{ChannelFailure, SecureEvent};

/// Streams without channel that data may wait on.
const MAX_UNDECLARED_STREAMS: usize = 16;
/// Bytes that may wait there, over all streams.
const MAX_UNDECLARED_BYTES: usize = 64 * 1024;
/// What a message there counts on top of its payload, in bytes.
const MESSAGE_COST: usize = 64;
/// Bytes that labels and protocols of the channels that the peer has opened may take.
const MAX_NAME_BYTES: usize = 1024 * 1024;

/// What all channels together have to receive.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// Streams on which something may be read, each once, in the order in which it came.
    readable: VecDeque<u16>,
    /// The same ones.
    is_readable: StreamSet,
    undeclared: BTreeMap<u16, Undeclared>,
    undeclared_bytes: usize,
    /// Bytes of the pieces of messages whose last one has not come, over all channels.
    piece_bytes: usize,
}

/// Data on a stream that nobody opened: a negotiated channel may not exist here yet.
#[derive(Debug)]
struct Undeclared {
    messages: Vec<Held>,
    bytes: usize,
    expires: Timestamp,
}

/// A message, or a piece of one.
#[derive(Debug)]
struct Held {
    kind: MessageKind,
    payload: Bytes,
    last: bool,
}

impl DataChannels {
    /// Something may be read on a stream.
    pub(crate) fn mark_readable(&mut self, stream: u16) {
        if self.receiving.is_readable.insert(stream) {
            self.receiving.readable.push_back(stream);
        }
    }

    fn next_readable(&mut self) -> Option<u16> {
        let stream = self.receiving.readable.pop_front()?;
        self.receiving.is_readable.remove(stream);
        Some(stream)
    }

    /// Reads while there is room; what is left closes the receive window of SCTP.
    pub(crate) fn read(&mut self, now: Timestamp, sctp: &mut Sctp, sctp_events: &mut Vec<SctpEvent>) {
        while self.events.has_room() {
            let Some(stream) = self.next_readable() else { return };
            if self.is_between_owners(stream) {
                continue;
            }
            if let Some((protocol, payload)) = sctp.read(stream, sctp_events) {
                // One message a turn.
                self.mark_readable(stream);
                self.take_in(now, stream, protocol, payload, sctp);
            }
        }
    }

    /// Reads all that has arrived before the association was lost: at most what the receive window holds.
    pub(crate) fn read_rest(&mut self, now: Timestamp, sctp: &mut Sctp) {
        while let Some(stream) = self.next_readable() {
            while !self.is_between_owners(stream)
                && let Some((protocol, payload)) = sctp.read(stream, &mut Vec::new())
            {
                self.take_in(now, stream, protocol, payload, sctp);
            }
        }
        sctp.forget_remains();
    }

    fn take_in(&mut self, now: Timestamp, stream: u16, protocol: PayloadProtocol, payload: Bytes, sctp: &mut Sctp) {
        let (kind, payload, last) = match protocol {
            PayloadProtocol::Dcep => return self.take_in_establishment(now, stream, &payload, sctp),
            PayloadProtocol::Unknown => {
                self.counters.unknown_protocol_messages += 1;
                return;
            }
            PayloadProtocol::Text => (MessageKind::Text, payload, true),
            PayloadProtocol::TextPartial => (MessageKind::Text, payload, false),
            // RFC 8831 §6.6: what the payload of an empty message is does not matter.
            PayloadProtocol::TextEmpty => (MessageKind::Text, Bytes::new(), true),
            PayloadProtocol::Binary => (MessageKind::Binary, payload, true),
            PayloadProtocol::BinaryPartial => (MessageKind::Binary, payload, false),
            PayloadProtocol::BinaryEmpty => (MessageKind::Binary, Bytes::new(), true),
        };
        match self.by_stream.get(&stream) {
            Some(&key) => self.deliver(key, kind, payload, last),
            None => self.hold(now, stream, Held { kind, payload, last }),
        }
    }

    fn deliver(&mut self, key: ChannelKey, kind: MessageKind, payload: Bytes, last: bool) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        // W3C: what arrives on a channel that is not open is discarded.
        let ChannelState::Open { acknowledged } = &mut channel.state else { return };
        // RFC 8832 §6: any message shows that the peer has the channel.
        *acknowledged = true;
        let payload = if channel.pieces.is_empty() && last {
            payload
        } else {
            let is_too_large = channel.pieces.len() + payload.len() > self.limits.max_receive_message_size;
            // SCTP does not count them any more: what it may hold may wait here once again.
            if is_too_large || self.receiving.piece_bytes + payload.len() > self.limits.receive_window {
                return self.fail_by_reset(key, ChannelFailure::MessageTooLarge);
            }
            channel.pieces.extend_from_slice(&payload);
            self.receiving.piece_bytes += payload.len();
            if !last {
                return;
            }
            self.take_pieces(key).into()
        };
        self.events.push(SecureEvent::Message { channel: key, message: Message { kind, payload } });
    }

    /// The pieces of a message that have come on a channel.
    pub(super) fn take_pieces(&mut self, key: ChannelKey) -> Vec<u8> {
        let pieces = self.channels.get_mut(&key).map(|channel| std::mem::take(&mut channel.pieces)).unwrap_or_default();
        self.receiving.piece_bytes = self.receiving.piece_bytes.saturating_sub(pieces.len());
        pieces
    }

    fn take_in_establishment(&mut self, now: Timestamp, stream: u16, bytes: &[u8], sctp: &mut Sctp) {
        match dcep::parse(bytes) {
            Some(DcepMessage::Open(options)) => self.accept(now, stream, options, sctp),
            Some(DcepMessage::Ack) => {
                let channel = self.by_stream.get(&stream).and_then(|key| self.channels.get_mut(key));
                match channel.map(|channel| &mut channel.state) {
                    Some(ChannelState::Open { acknowledged } | ChannelState::Flushing { acknowledged }) => {
                        *acknowledged = true;
                    }
                    Some(_) => {}
                    None => self.refuse(stream),
                }
            }
            None => self.refuse(stream),
        }
    }

    /// RFC 8832 §6: what the peer opens is there, unless the id is not the peer's to give, in use, or beyond what was negotiated.
    fn accept(&mut self, now: Timestamp, stream: u16, options: DataChannelOptions, sctp: &mut Sctp) {
        let within = matches!(self.link, Link::Up { streams } if stream < streams);
        let room = self.live_channels() < usize::from(self.limits.max_channels);
        let name = options.name_length();
        let room = room && self.name_bytes_of_peer + name <= MAX_NAME_BYTES;
        if !within || !room || !self.is_id_of_peer(stream) || !self.is_free(stream) {
            return self.refuse(stream);
        }
        sctp.open_stream(stream, options.priority.value());
        let message = OutgoingMessage {
            stream,
            protocol: PayloadProtocol::Dcep,
            payload: dcep::ack(),
            ordered: true,
            reliability: Reliability::Reliable,
        };
        sctp.write(now, message);
        let mut channel = Channel::new(options, Some(stream));
        channel.state = ChannelState::Open { acknowledged: true };
        channel.was_open = true;
        let key = self.insert(channel);
        self.name_bytes_of_peer += name;
        self.counters.channels_opened += 1;
        self.events.push_with(SecureEvent::DataChannel { channel: key }, name);
        self.adopt_undeclared(key);
    }

    /// RFC 8832 §6 and §5: the answer to a violation is to close the channel, by resetting the stream.
    fn refuse(&mut self, stream: u16) {
        self.counters.dcep_violations += 1;
        self.forget_undeclared(stream);
        match self.by_stream.get(&stream) {
            Some(&key) => {
                let open = self.channels.get(&key).is_some_and(|channel| {
                    matches!(channel.state, ChannelState::Open { .. } | ChannelState::Flushing { .. })
                });
                if open {
                    self.fail_by_reset(key, ChannelFailure::StreamReused);
                }
            }
            None if self.quarantined.contains(&stream) => {}
            None => self.reset_undeclared(stream),
        }
    }

    /// Keeps a message for a channel that may come.
    fn hold(&mut self, now: Timestamp, stream: u16, message: Held) {
        let bytes = message.payload.len() + MESSAGE_COST;
        let known = self.receiving.undeclared.contains_key(&stream);
        let stream_fits = known || self.receiving.undeclared.len() < MAX_UNDECLARED_STREAMS;
        if !stream_fits || self.receiving.undeclared_bytes + bytes > MAX_UNDECLARED_BYTES {
            self.counters.undeclared_messages_dropped += 1;
            self.forget_undeclared(stream);
            self.reset_undeclared(stream);
            return;
        }
        let expires = now + self.limits.undeclared_stream_lifetime;
        let held = self.receiving.undeclared.entry(stream).or_insert_with(|| Undeclared {
            messages: Vec::new(),
            bytes: 0,
            expires,
        });
        held.messages.push(message);
        held.bytes += bytes;
        self.receiving.undeclared_bytes += bytes;
    }

    /// Gives a new channel what has arrived for it.
    pub(super) fn adopt_undeclared(&mut self, key: ChannelKey) {
        let Some(held) = self.channels.get(&key).and_then(|channel| channel.id).and_then(|id| self.take_undeclared(id))
        else {
            return;
        };
        for message in held.messages {
            self.deliver(key, message.kind, message.payload, message.last);
        }
    }

    fn take_undeclared(&mut self, stream: u16) -> Option<Undeclared> {
        let held = self.receiving.undeclared.remove(&stream)?;
        self.receiving.undeclared_bytes = self.receiving.undeclared_bytes.saturating_sub(held.bytes);
        Some(held)
    }

    pub(super) fn forget_undeclared(&mut self, stream: u16) {
        if let Some(held) = self.take_undeclared(stream) {
            self.counters.undeclared_messages_dropped += held.messages.len() as u64;
        }
    }

    pub(super) fn undeclared_deadline(&self) -> Option<Timestamp> {
        self.receiving.undeclared.values().map(|held| held.expires).min()
    }

    /// Resets the streams whose channel has not come in time.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        let expired: Vec<u16> = self
            .receiving
            .undeclared
            .iter()
            .filter(|(_, held)| held.expires <= now)
            .map(|(&stream, _)| stream)
            .collect();
        for stream in expired {
            self.forget_undeclared(stream);
            self.reset_undeclared(stream);
        }
    }
}
