//! All channels of the peer.

use std::collections::BTreeMap;

use peer_core::{ChannelKey, Message, MessageKind, Peer, Reliability};
use proto_machine::Timestamp;

use super::channel::{Channel, ChannelStage, EndedFlood};
use super::options::Mode;
use super::protocol::{ChannelInit, Event, milliseconds};
use crate::behaviour::{MAX_WAITING_BYTES, Request};
use crate::pump::{self, close};

/// The most channels at a time, in both directions. A further one of the other side is closed as soon as it is open.
pub const MAX_CHANNELS: usize = 256;

/// The table of channels.
#[derive(Debug)]
pub(crate) struct Channels {
    table: BTreeMap<ChannelKey, Channel>,
    mode: Mode,
    /// Bytes buffered in a channel before its sender waits.
    high_water: usize,
}

impl Channels {
    pub(crate) fn new(mode: Mode, high_water: usize) -> Self {
        Self { table: BTreeMap::new(), mode, high_water: high_water.max(1) }
    }

    /// Creates a channel; it is reported once it is open.
    ///
    /// # Errors
    /// What to tell the script.
    pub(crate) fn create(&mut self, now: Timestamp, peer: &mut Peer, init: &ChannelInit) -> Result<(), String> {
        if self.table.len() >= MAX_CHANNELS {
            return Err(format!("there are {MAX_CHANNELS} channels already"));
        }
        let options = init.to_options()?;
        let (ordered, reliability) = (options.ordered, options.reliability);
        let key = peer.create_data_channel(now, options).map_err(|error| error.to_string())?;
        self.insert(peer, key, &init.label, ordered, reliability);
        Ok(())
    }

    /// A channel that the other side has opened.
    ///
    /// # Errors
    /// What to tell the script: it was closed again.
    pub(crate) fn accept(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey) -> Result<(), String> {
        if self.table.len() >= MAX_CHANNELS {
            close(now, peer, key);
            return Err(format!("closed: there are {MAX_CHANNELS} channels already"));
        }
        let view = peer.channels().find(|(known, _)| *known == key);
        let view = view.map(|(_, view)| (view.label.to_owned(), view.ordered, view.reliability));
        if let Some((label, ordered, reliability)) = view {
            self.insert(peer, key, &label, ordered, reliability);
        }
        Ok(())
    }

    fn insert(&mut self, peer: &mut Peer, key: ChannelKey, label: &str, ordered: bool, reliability: Reliability) {
        if let Some(mut channel) = peer.channel(key) {
            let _closed_already = channel.set_buffered_amount_low_threshold(self.high_water / 2);
        }
        self.table.insert(key, Channel::new(label, ordered, reliability, self.mode.echoes(label)));
    }

    /// Notes that a channel is open, and says so.
    pub(crate) fn open(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey, by_remote: bool) -> Option<Event> {
        let channel = self.table.get_mut(&key).filter(|channel| channel.stage == ChannelStage::Connecting)?;
        channel.stage = ChannelStage::Open;
        let mut channel = peer.channel(key);
        let view = channel.as_mut()?.view()?;
        Some(Event::Open {
            label: view.label.to_owned(),
            id: view.id,
            by_remote,
            protocol: view.protocol.to_owned(),
            ordered: view.ordered,
            ms: milliseconds(now),
        })
    }

    /// The open channel of this label; the oldest, if there are several.
    ///
    /// # Errors
    /// What to tell the script.
    pub(crate) fn find(&mut self, label: &str) -> Result<(ChannelKey, &mut Channel), String> {
        let mut matching =
            self.table.iter_mut().filter(|(_, channel)| channel.label == label && channel.stage == ChannelStage::Open);
        let found = matching.next().map(|(key, channel)| (*key, channel));
        found.ok_or_else(|| format!("there is no open channel {label:?}"))
    }

    /// The label of a channel.
    pub(crate) fn label(&self, key: ChannelKey) -> Option<&str> {
        self.table.get(&key).map(|channel| channel.label.as_str())
    }

    /// Takes in a message.
    pub(crate) fn handle_message(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        key: ChannelKey,
        message: Message,
        report: &mut impl FnMut(Event),
    ) {
        // One bound for all channels, or many would be a way around it.
        let elsewhere = self.table.iter().filter(|(other, _)| **other != key);
        let elsewhere: usize = elsewhere.map(|(_, channel)| channel.behaviour.waiting_bytes()).sum();
        let Some(channel) = self.table.get_mut(&key) else { return };
        // It was closed for what it had sent before.
        if channel.stage == ChannelStage::Closing {
            return;
        }
        let request = channel.handle_message(now, message, report);
        let label = channel.label.clone();
        let waiting = elsewhere + channel.behaviour.waiting_bytes();
        match request {
            Request::Pump if waiting <= MAX_WAITING_BYTES => self.pump(now, peer, key, report),
            Request::Close => close(now, peer, key),
            Request::Pump | Request::Overflow => {
                channel.stage = ChannelStage::Closing;
                close(now, peer, key);
                let message =
                    format!("closed: more than {MAX_WAITING_BYTES} bytes or too many messages wait to be sent");
                report(Event::ChannelError { label, message });
            }
        }
    }

    /// Sends what a channel has to say, as far as there is room.
    pub(crate) fn pump(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey, report: &mut impl FnMut(Event)) {
        let Some(entry) = self.table.get_mut(&key) else { return };
        if let Some(error) = pump::pump(now, peer, key, &mut entry.behaviour, self.high_water) {
            report(Event::ChannelError { label: entry.label.clone(), message: error.to_string() });
        }
        if entry.stage == ChannelStage::Draining && !entry.behaviour.has_waiting() {
            entry.stage = ChannelStage::Closing;
            close(now, peer, key);
        }
    }

    /// Closes a channel once all messages that wait are sent. What was begun on it ends.
    ///
    /// # Errors
    /// What to tell the script.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        label: &str,
        report: &mut impl FnMut(Event),
    ) -> Result<Option<EndedFlood>, String> {
        let closable = |stage| matches!(stage, ChannelStage::Open | ChannelStage::Connecting);
        let mut channels = self.table.iter_mut();
        let Some((&key, channel)) = channels.find(|(_, channel)| channel.label == label && closable(channel.stage))
        else {
            return Err(format!("there is no channel {label:?} to close"));
        };
        channel.stage = ChannelStage::Draining;
        // Or one that goes on sending would never let it end.
        channel.behaviour.stop_echoing();
        let ended = channel.give_up(report);
        self.pump(now, peer, key, report);
        Ok(ended)
    }

    /// Removes a channel that is closed, and says so.
    pub(crate) fn closed(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        report: &mut impl FnMut(Event),
    ) -> Option<EndedFlood> {
        let mut channel = self.table.remove(&key)?;
        let ended = channel.give_up(report);
        report(Event::Closed { label: channel.label, ms: milliseconds(now) });
        ended
    }

    /// Removes all, since the connection is closed.
    pub(crate) fn close_all(&mut self, now: Timestamp, report: &mut impl FnMut(Event)) -> Vec<EndedFlood> {
        let keys: Vec<ChannelKey> = self.table.keys().copied().collect();
        keys.into_iter().filter_map(|key| self.closed(now, key, report)).collect()
    }

    /// Ends tests and floods whose time is over, and floods that have reached their end.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        report: &mut impl FnMut(Event),
    ) -> Vec<(ChannelKey, EndedFlood)> {
        let mut ended = Vec::new();
        for (key, channel) in &mut self.table {
            channel.handle_timeout(now, report);
            let flood = channel.ended_flood(now, || is_delivered(peer, *key));
            ended.extend(flood.map(|flood| (*key, flood)));
        }
        ended
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do, if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.table.values().filter_map(Channel::deadline).min()
    }
}

/// Whether nothing that was sent on this channel is still on its way.
fn is_delivered(peer: &mut Peer, key: ChannelKey) -> bool {
    let buffered = peer.channel(key).and_then(|channel| channel.view().map(|view| view.buffered_amount));
    buffered == Some(0) && peer.statistics().secure.send_window_used == 0
}

/// The event that says that a message has come.
pub(crate) fn message_event(label: &str, kind: MessageKind, size: usize) -> Event {
    Event::Message { label: label.to_owned(), kind: kind.into(), size }
}

#[cfg(test)]
mod tests {
    use peer_core::DataChannelState;

    use super::*;
    use crate::browser::tests::{fourth, stuck_peer};

    const NOW: Timestamp = Timestamp::from_millis(5);

    #[test]
    fn more_echoes_than_may_wait_on_all_channels_together_end_the_channel_with_the_last_one() {
        let mut peer = stuck_peer();
        let mut channels = Channels::new(Mode::Echo, 1 << 20);
        for label in ["a", "b", "c", "d", "e"] {
            channels.create(NOW, &mut peer, &ChannelInit::new(label)).unwrap();
        }
        let keys: Vec<ChannelKey> = channels.table.keys().copied().collect();
        for &key in &keys {
            channels.open(NOW, &mut peer, key, false).unwrap();
        }
        let mut events = Vec::new();
        let (last, others) = keys.split_last().unwrap();
        for &key in others {
            channels.handle_message(NOW, &mut peer, key, fourth(), &mut |event| events.push(event));
        }
        assert_eq!(events, []);
        channels.handle_message(NOW, &mut peer, *last, Message::text(""), &mut |event| events.push(event));
        let [Event::ChannelError { label, message }] = &events[..] else { panic!("{events:?}") };
        assert!(label == "e" && message.contains(&MAX_WAITING_BYTES.to_string()), "{label}: {message}");
        let state =
            |key: &ChannelKey| peer.channels().find(|(known, _)| known == key).map(|(_, view)| view.ready_state);
        assert!(matches!(state(last), None | Some(DataChannelState::Closing | DataChannelState::Closed)));
        assert!(others.iter().all(|key| state(key) == Some(DataChannelState::Connecting)));
    }
}
