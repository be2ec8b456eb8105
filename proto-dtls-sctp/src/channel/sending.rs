//! From `send` to SCTP.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proto_machine::Timestamp;

use super::table::{DataChannels, Link};
use super::{Channel, ChannelKey, ChannelState, Message, MessageKind, Reliability, Waiting};
use crate::queue::release_if_empty;
use crate::sctp::{OutgoingMessage, PayloadProtocol, Sctp, SctpEvent};
use crate::{SecureEvent, SendError, UnknownChannel};

/// What a message, waiting or with SCTP, counts on top of its payload, in bytes.
const MESSAGE_COST: usize = 64;
/// What a channel of priority 1 may hand over in a turn, in bytes: 2 KiB for the least priority that channels have, 16 KiB for the highest.
const CREDIT_UNIT: usize = 16;

/// What all channels together have to send.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Channels with waiting messages, in the order of their turns.
    turns: VecDeque<ChannelKey>,
    /// Bytes of all waiting messages, and their cost.
    bytes: usize,
    cost: usize,
    /// When the oldest waiting message of each channel whose messages have a lifetime is too old.
    expiries: BTreeSet<(Timestamp, ChannelKey)>,
    /// Messages with SCTP, by stream.
    handed_over: BTreeMap<u16, HandedOver>,
    /// Their unacknowledged bytes, and their cost.
    unacknowledged: usize,
    window_used: usize,
    /// Streams of which SCTP has something to tell. Scratch, kept for its memory.
    settled: Vec<u16>,
    /// Channels on which a message was refused for lack of room.
    blocked: BTreeSet<ChannelKey>,
}

/// What one stream has handed to SCTP.
#[derive(Debug, Default)]
struct HandedOver {
    /// The lengths of its messages, oldest first.
    lengths: VecDeque<usize>,
    /// Their sum.
    bytes: usize,
    /// Bytes that are not yet acknowledged.
    unacknowledged: usize,
}

impl HandedOver {
    fn push(&mut self, length: usize) {
        self.lengths.push_back(length);
        self.bytes += length;
        self.unacknowledged += length;
    }

    /// Forgets as many messages as have been acknowledged, the oldest first.
    fn settle(&mut self, unacknowledged: usize) {
        self.unacknowledged = unacknowledged;
        while let Some(&length) = self.lengths.front()
            && self.bytes - length >= unacknowledged
        {
            self.bytes -= length;
            self.lengths.pop_front();
        }
    }

    fn cost(&self) -> usize {
        self.unacknowledged + self.lengths.len() * MESSAGE_COST
    }
}

fn cost(waiting: &Waiting) -> usize {
    waiting.payload.len() + MESSAGE_COST
}

impl Channel {
    fn cost(&self) -> usize {
        self.buffered + self.waiting.len() * MESSAGE_COST
    }

    /// When the oldest waiting message is too old (RFC 3758 §4.1), if there is such a moment.
    fn next_expiry(&self) -> Option<Timestamp> {
        let Reliability::MaxPacketLifetime(lifetime) = self.options.reliability else { return None };
        self.waiting.front().map(|oldest| oldest.since + lifetime)
    }
}

impl DataChannels {
    /// Takes a message to be sent.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        message: Message,
        limit: usize,
    ) -> Result<(), SendError> {
        let channel = self.channels.get_mut(&key).ok_or(SendError::UnknownChannel)?;
        if !matches!(channel.state, ChannelState::AwaitAssociation | ChannelState::Open { .. }) {
            return Err(SendError::NotOpen);
        }
        let length = message.payload.len();
        if length > limit {
            return Err(SendError::TooLarge { limit });
        }
        let added = length + MESSAGE_COST;
        let fits = channel.waiting.is_empty() || channel.cost() + added <= self.limits.send_buffer;
        let fits_all = self.sending.cost == 0 || self.sending.cost + added <= self.limits.total_send_buffer;
        if !fits || !fits_all {
            self.sending.blocked.insert(key);
            return Err(SendError::BufferFull);
        }
        let protocol = match (message.kind, length) {
            (MessageKind::Text, 0) => PayloadProtocol::TextEmpty,
            (MessageKind::Text, _) => PayloadProtocol::Text,
            (MessageKind::Binary, 0) => PayloadProtocol::BinaryEmpty,
            (MessageKind::Binary, _) => PayloadProtocol::Binary,
        };
        channel.statistics.messages_sent += 1;
        channel.statistics.bytes_sent += length as u64;
        channel.buffered += length;
        channel.waiting.push_back(Waiting { protocol, payload: message.payload, since: now });
        self.sending.bytes += length;
        self.sending.cost += added;
        if channel.expiry.is_none() {
            channel.expiry = channel.next_expiry();
            self.sending.expiries.extend(channel.expiry.map(|expiry| (expiry, key)));
        }
        if !std::mem::replace(&mut channel.in_turn, true) {
            self.sending.turns.push_back(key);
        }
        Ok(())
    }

    /// Sets the threshold of `BufferedAmountLow`.
    pub(crate) fn set_threshold(&mut self, key: ChannelKey, threshold: usize) -> Result<(), UnknownChannel> {
        self.channels.get_mut(&key).ok_or(UnknownChannel)?.buffered_amount_low_threshold = threshold;
        Ok(())
    }

    /// Bytes that wait, without what is counted on top.
    pub(crate) fn bytes_waiting(&self) -> usize {
        self.sending.bytes
    }

    /// Bytes with SCTP.
    pub(crate) fn bytes_unacknowledged(&self) -> usize {
        self.sending.unacknowledged
    }

    /// Sees what SCTP has delivered and what has waited too long: once before packets are made.
    pub(crate) fn review(&mut self, now: Timestamp, sctp: &mut Sctp) {
        if matches!(self.link, Link::Up { .. }) {
            self.refresh_window(sctp);
            self.drop_expired(now);
        }
    }

    /// Hands to SCTP what the window permits: messages in turns by priority, then resets.
    pub(crate) fn flush(&mut self, now: Timestamp, sctp: &mut Sctp, sctp_events: &mut Vec<SctpEvent>) {
        if !matches!(self.link, Link::Up { .. }) {
            return;
        }
        if sctp.is_shutting_down() {
            // No stream is reset any more: the end of the association closes all channels.
            self.resets.clear();
            return;
        }
        while self.sending.window_used < self.limits.send_window {
            let Some(key) = self.sending.turns.pop_front() else { break };
            self.take_turn(now, key, sctp);
        }
        self.pump_resets(now, sctp, sctp_events);
    }

    /// Looks at the streams on which something was acknowledged.
    fn refresh_window(&mut self, sctp: &mut Sctp) {
        let sending = &mut self.sending;
        sctp.take_settled(&mut sending.settled);
        for stream in sending.settled.drain(..) {
            let Entry::Occupied(mut entry) = sending.handed_over.entry(stream) else { continue };
            let handed_over = entry.get_mut();
            sending.unacknowledged = sending.unacknowledged.saturating_sub(handed_over.unacknowledged);
            sending.window_used = sending.window_used.saturating_sub(handed_over.cost());
            handed_over.settle(sctp.buffered(stream));
            if handed_over.unacknowledged > 0 {
                sending.unacknowledged += handed_over.unacknowledged;
                sending.window_used += handed_over.cost();
            } else {
                entry.remove();
            }
        }
    }

    /// Lets a channel hand over messages for its credit, or without regard to it if it is alone.
    fn take_turn(&mut self, now: Timestamp, key: ChannelKey, sctp: &mut Sctp) {
        let alone = self.sending.turns.is_empty();
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.credit += usize::from(channel.options.priority.value()) * CREDIT_UNIT;
        }
        while self.sending.window_used < self.limits.send_window {
            let Some(channel) = self.channels.get_mut(&key) else { return };
            let Some(next) = channel.waiting.front() else { break };
            let length = next.payload.len().max(1);
            if !alone && channel.credit < length {
                break;
            }
            channel.credit = channel.credit.saturating_sub(length);
            let Some(message) = self.take_waiting(key) else { break };
            self.hand_over(now, key, message, sctp);
        }
        self.end_turn(key);
    }

    fn end_turn(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(&key) else { return };
        if !channel.waiting.is_empty() {
            self.sending.turns.push_back(key);
            return;
        }
        channel.in_turn = false;
        channel.credit = 0;
        if matches!(channel.state, ChannelState::Flushing { .. }) {
            self.begin_reset(key);
        }
    }

    fn hand_over(&mut self, now: Timestamp, key: ChannelKey, waiting: Waiting, sctp: &mut Sctp) {
        let Some(channel) = self.channels.get(&key) else { return };
        let (Some(stream), ChannelState::Open { acknowledged } | ChannelState::Flushing { acknowledged }) =
            (channel.id, channel.state)
        else {
            return;
        };
        // RFC 8831 §6.6: an empty message is one zero byte with an identifier of its own.
        let payload = if waiting.payload.is_empty() { Bytes::from_static(&[0]) } else { waiting.payload };
        let length = payload.len();
        let reliability = match channel.options.reliability {
            Reliability::MaxPacketLifetime(lifetime) => Reliability::MaxPacketLifetime(
                lifetime.saturating_sub(now - waiting.since).max(Duration::from_millis(1)),
            ),
            reliability => reliability,
        };
        let message = OutgoingMessage {
            stream,
            protocol: waiting.protocol,
            payload,
            ordered: channel.options.ordered || !acknowledged,
            reliability,
        };
        let taken = sctp.write(now, message);
        if taken {
            self.sending.handed_over.entry(stream).or_default().push(length);
            self.sending.unacknowledged += length;
            self.sending.window_used += length + MESSAGE_COST;
        }
    }

    /// RFC 3758 §4.1: a message whose lifetime is over is not sent any more.
    fn drop_expired(&mut self, now: Timestamp) {
        while let Some(&(expiry, key)) = self.sending.expiries.first()
            && expiry < now
        {
            self.sending.expiries.pop_first();
            // The message that it was for may be gone.
            while self.channels.get(&key).and_then(Channel::next_expiry).is_some_and(|expiry| expiry < now) {
                let _ = self.take_waiting(key);
                self.counters.expired_messages += 1;
            }
            if let Some(channel) = self.channels.get_mut(&key) {
                channel.expiry = channel.next_expiry();
                self.sending.expiries.extend(channel.expiry.map(|expiry| (expiry, key)));
            }
        }
    }

    /// Takes the next waiting message, and tells what follows from the room that it leaves.
    fn take_waiting(&mut self, key: ChannelKey) -> Option<Waiting> {
        let channel = self.channels.get_mut(&key)?;
        let waiting = channel.waiting.pop_front()?;
        release_if_empty(&mut channel.waiting);
        let before = channel.buffered;
        channel.buffered = before.saturating_sub(waiting.payload.len());
        self.sending.bytes = self.sending.bytes.saturating_sub(waiting.payload.len());
        self.sending.cost = self.sending.cost.saturating_sub(cost(&waiting));
        let threshold = channel.buffered_amount_low_threshold;
        if before > threshold && channel.buffered <= threshold {
            self.events.push(SecureEvent::BufferedAmountLow { channel: key });
        }
        self.tell_writable();
        Some(waiting)
    }

    /// Forgets what waits on a channel that will neither send nor receive any more.
    pub(super) fn discard_waiting(&mut self, key: ChannelKey) {
        self.take_pieces(key);
        if let Some(channel) = self.channels.get_mut(&key) {
            let discarded: usize = std::mem::take(&mut channel.waiting).into_iter().map(|waiting| cost(&waiting)).sum();
            self.sending.cost = self.sending.cost.saturating_sub(discarded);
            self.sending.bytes = self.sending.bytes.saturating_sub(channel.buffered);
            if let Some(expiry) = channel.expiry.take() {
                self.sending.expiries.remove(&(expiry, key));
            }
            channel.buffered = 0;
            channel.credit = 0;
            self.sending.blocked.remove(&key);
            self.tell_writable();
        }
    }

    /// Tells blocked channels when their buffer and that of all are half empty. Those that stay blocked hold more than half a buffer each, so that there are few of them.
    fn tell_writable(&mut self) {
        if self.sending.blocked.is_empty() || self.sending.cost > self.limits.total_send_buffer / 2 {
            return;
        }
        let bound = self.limits.send_buffer / 2;
        let is_half_empty = |key: &ChannelKey| self.channels.get(key).is_none_or(|channel| channel.cost() <= bound);
        let writable: Vec<_> = self.sending.blocked.iter().copied().filter(is_half_empty).collect();
        for channel in writable {
            self.sending.blocked.remove(&channel);
            self.events.push(SecureEvent::Writable { channel });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_sctp_cost_until_their_bytes_are_acknowledged() {
        let mut stream = HandedOver::default();
        for length in [100, 1, 1, 50] {
            stream.push(length);
        }
        assert_eq!(stream.cost(), 152 + 4 * MESSAGE_COST);
        for (unacknowledged, messages) in [(152, 4), (53, 4), (52, 3), (51, 2), (50, 1), (1, 1), (0, 0)] {
            stream.settle(unacknowledged);
            assert_eq!(stream.cost(), unacknowledged + messages * MESSAGE_COST, "{unacknowledged}");
        }
    }
}
