//! Messages that wait for room in the buffer of their channel.

use std::collections::{BTreeMap, VecDeque};

use peer_core::{ChannelKey, DataChannelState, Message, Peer, SendError};
use proto_machine::Timestamp;

use crate::DataChannel;
use crate::command::WaitingSend;

/// Sends that wait, in order, for each channel on which any does; at most [`DataChannel::MAX_WAITING_SENDS`] each.
///
/// Room is looked for after whatever may have made some, rather than waited for with an event: the event could stand behind messages that the application does not take
/// before its own are sent.
pub(crate) struct WaitingSends {
    by_channel: BTreeMap<ChannelKey, VecDeque<WaitingSend>>,
    /// The buffered amount, in bytes, up to which a channel takes messages.
    send_buffer: usize,
}

impl WaitingSends {
    pub(crate) fn new(send_buffer: usize) -> Self {
        Self { by_channel: BTreeMap::new(), send_buffer }
    }

    /// Sends a message, or keeps it until there is room, or refuses it.
    pub(crate) fn send(&mut self, peer: &mut Peer, now: Timestamp, key: ChannelKey, send: WaitingSend) {
        if send.reply.is_closed() {
            return;
        }
        // Behind others, so that messages stay in order.
        if !self.by_channel.contains_key(&key)
            && let Some(result) = self.attempt(peer, now, key, &send.message)
        {
            return answer(&send, result);
        }
        let waiting = self.by_channel.entry(key).or_default();
        if waiting.len() >= DataChannel::MAX_WAITING_SENDS {
            waiting.retain(|other| !other.reply.is_closed());
        }
        if waiting.len() >= DataChannel::MAX_WAITING_SENDS {
            return answer(&send, Err(SendError::BufferFull));
        }
        waiting.push_back(send);
    }

    /// Sends what there is room for now. Returns whether anything was answered.
    pub(crate) fn flush(&mut self, peer: &mut Peer, now: Timestamp) -> bool {
        let mut progress = false;
        let keys: Vec<ChannelKey> = self.by_channel.keys().copied().collect();
        for key in keys {
            progress |= self.flush_channel(peer, now, key);
        }
        progress
    }

    fn flush_channel(&mut self, peer: &mut Peer, now: Timestamp, key: ChannelKey) -> bool {
        let Some(mut waiting) = self.by_channel.remove(&key) else { return false };
        let before = waiting.len();
        while let Some(next) = waiting.front() {
            if !next.reply.is_closed() {
                let Some(result) = self.attempt(peer, now, key, &next.message) else { break };
                answer(next, result);
            }
            waiting.pop_front();
        }
        let progress = waiting.len() < before;
        if !waiting.is_empty() {
            self.by_channel.insert(key, waiting);
        }
        progress
    }

    /// `None` if the message has to wait.
    fn attempt(
        &self,
        peer: &mut Peer,
        now: Timestamp,
        key: ChannelKey,
        message: &Message,
    ) -> Option<Result<(), SendError>> {
        let Some(mut channel) = peer.channel(key) else { return Some(Err(SendError::UnknownChannel)) };
        let is_full = channel.view().is_some_and(|view| {
            view.ready_state == DataChannelState::Open
                && view.buffered_amount > 0
                && view.buffered_amount.saturating_add(message.payload.len()) > self.send_buffer
        });
        if is_full {
            return None;
        }
        match channel.send(now, message.clone()) {
            Err(SendError::BufferFull) => None,
            result => Some(result),
        }
    }
}

fn answer(send: &WaitingSend, result: Result<(), SendError>) {
    // Whoever sent it may have gone.
    let _gone = send.reply.try_send(result);
}
