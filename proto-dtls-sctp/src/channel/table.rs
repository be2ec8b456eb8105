//! All channels of a transport: their ids, how they open and how they close.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proto_machine::{Deadline, Timestamp};

use super::{Channel, ChannelKey, ChannelState, ChannelView, DataChannelOptions, Reliability};
use crate::event::EventQueue;
use crate::sctp::{OutgoingMessage, PayloadProtocol, Sctp, SctpEvent};
use crate::{ChannelFailure, CreateDataChannelError, DtlsRole, SctpFailure, SecureEvent, UnknownChannel, dcep};

/// 65535 is not permitted as an id (RFC 8832 §5.1 leaves it out, RFC 8831 §6.2).
const INVALID_ID: u16 = u16::MAX;
/// Pause between two batches of resets.
const RESET_PAUSE: Duration = Duration::from_millis(500);

/// The bounds of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelLimits {
    pub(crate) max_channels: u16,
    pub(crate) max_receive_message_size: usize,
    pub(crate) receive_window: usize,
    pub(crate) send_buffer: usize,
    pub(crate) total_send_buffer: usize,
    pub(crate) send_window: usize,
    pub(crate) undeclared_stream_lifetime: Duration,
    /// Streams to reset in one go: what fits one packet, twice.
    pub(crate) reset_batch: usize,
}

/// What was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ChannelCounters {
    pub(crate) unknown_protocol_messages: u64,
    pub(crate) dcep_violations: u64,
    pub(crate) undeclared_messages_dropped: u64,
    pub(crate) expired_messages: u64,
    pub(crate) channels_opened: u64,
    pub(crate) channels_closed: u64,
}

/// The association as the channels see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    Awaited,
    /// It takes messages, and nobody knows yet whether the peer is there.
    Prepared {
        streams: u16,
    },
    Up {
        streams: u16,
    },
    Down,
}

/// The channels.
pub(crate) struct DataChannels {
    pub(super) limits: ChannelLimits,
    pub(super) link: Link,
    pub(super) channels: BTreeMap<ChannelKey, Channel>,
    pub(super) by_stream: BTreeMap<u16, ChannelKey>,
    /// Streams that are being reset without a channel, or whose reset has failed: nobody can have them.
    pub(super) quarantined: BTreeSet<u16>,
    /// Streams to be reset.
    pub(super) resets: BTreeSet<u16>,
    pub(super) next_reset: Timestamp,
    next_key: u64,
    role: Option<DtlsRole>,
    /// Channels that are closed and whose event waits to be polled.
    closed: usize,
    /// No id below this one is free to be given by this side.
    least_free: u16,
    /// Bytes that labels and protocols of the channels that the peer has opened take.
    pub(super) name_bytes_of_peer: usize,
    pub(super) sending: super::sending::Sending,
    pub(super) receiving: super::receiving::Receiving,
    pub(super) counters: ChannelCounters,
    pub(crate) events: EventQueue,
}

impl DataChannels {
    pub(crate) fn new(limits: ChannelLimits) -> Self {
        Self {
            limits,
            link: Link::Awaited,
            channels: BTreeMap::new(),
            by_stream: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            resets: BTreeSet::new(),
            next_reset: Timestamp::ZERO,
            next_key: 0,
            role: None,
            closed: 0,
            least_free: 0,
            name_bytes_of_peer: 0,
            sending: super::sending::Sending::default(),
            receiving: super::receiving::Receiving::default(),
            counters: ChannelCounters::default(),
            events: EventQueue::default(),
        }
    }

    pub(crate) fn counters(&self) -> ChannelCounters {
        self.counters
    }

    pub(crate) fn view(&self, key: ChannelKey) -> Option<ChannelView<'_>> {
        self.channels.get(&key).map(Channel::view)
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = (ChannelKey, ChannelView<'_>)> {
        self.channels.iter().map(|(&key, channel)| (key, channel.view()))
    }

    /// The streams of the association, once it is established.
    pub(crate) fn streams(&self) -> Option<u16> {
        match self.link {
            Link::Up { streams } => Some(streams),
            Link::Awaited | Link::Prepared { .. } | Link::Down => None,
        }
    }

    /// Creates a channel; opens it at once if the association is there.
    pub(crate) fn create(
        &mut self,
        now: Timestamp,
        options: DataChannelOptions,
        sctp: Option<&mut Sctp>,
    ) -> Result<ChannelKey, CreateDataChannelError> {
        validate(&options)?;
        if self.link == Link::Down {
            return Err(CreateDataChannelError::Closed);
        }
        if self.live_channels() >= usize::from(self.limits.max_channels) {
            return Err(CreateDataChannelError::TooManyChannels);
        }
        let id = match (options.negotiated, self.role) {
            (Some(id), _) if !self.is_free(id) => return Err(CreateDataChannelError::IdInUse),
            (Some(id), _) if self.streams().is_some_and(|streams| id >= streams) => {
                return Err(CreateDataChannelError::TooManyChannels);
            }
            (Some(id), _) => Some(id),
            (None, None) => None,
            (None, Some(role)) => Some(self.free_id(role).ok_or(CreateDataChannelError::TooManyChannels)?),
        };
        let key = self.insert(Channel::new(options, id));
        if let Some(sctp) = sctp {
            self.announce(now, key, sctp);
        }
        if matches!(self.link, Link::Up { .. }) {
            self.open(key);
            self.adopt_undeclared(key);
        }
        Ok(key)
    }

    pub(super) fn insert(&mut self, channel: Channel) -> ChannelKey {
        let key = ChannelKey(self.next_key);
        self.next_key += 1;
        if let Some(id) = channel.id {
            self.by_stream.insert(id, key);
        }
        self.channels.insert(key, channel);
        key
    }

    pub(super) fn live_channels(&self) -> usize {
        self.channels.len().saturating_sub(self.closed)
    }

    pub(super) fn is_free(&self, id: u16) -> bool {
        !self.by_stream.contains_key(&id) && !self.quarantined.contains(&id)
    }

    /// The least free id for a channel of this side: even for the client, odd for the server (RFC 8832 §6).
    fn free_id(&mut self, role: DtlsRole) -> Option<u16> {
        let first = match role {
            DtlsRole::Client => 0,
            DtlsRole::Server => 1,
        };
        let limit = self.streams().unwrap_or(self.limits.max_channels);
        let mut candidates = (first.max(self.least_free)..limit).step_by(2);
        let id = candidates.find(|&id| id != INVALID_ID && self.is_free(id))?;
        self.least_free = id;
        Some(id)
    }

    /// An id may be free again.
    fn note_free(&mut self, id: u16) {
        if !self.is_id_of_peer(id) {
            self.least_free = self.least_free.min(id);
        }
    }

    /// Whether an id is one that the peer gives.
    pub(super) fn is_id_of_peer(&self, id: u16) -> bool {
        match self.role {
            Some(DtlsRole::Client) => id % 2 == 1,
            Some(DtlsRole::Server) => id.is_multiple_of(2),
            None => false,
        }
    }

    /// Gives ids to the channels that were created before the role was known.
    pub(crate) fn set_role(&mut self, role: DtlsRole) {
        self.role = Some(role);
        let waiting: Vec<_> =
            self.channels.iter().filter(|(_, channel)| channel.id.is_none()).map(|(&key, _)| key).collect();
        for key in waiting {
            match self.free_id(role) {
                Some(id) => {
                    if let Some(channel) = self.channels.get_mut(&key)
                        && channel.state != ChannelState::Closed
                    {
                        channel.id = Some(id);
                        self.by_stream.insert(id, key);
                    }
                }
                None => self.fail(key, ChannelFailure::NoIdLeft),
            }
        }
    }

    /// The association takes messages: channels are announced ahead of its being established.
    pub(crate) fn association_prepared(&mut self, now: Timestamp, streams: u16, sctp: &mut Sctp) {
        self.link = Link::Prepared { streams };
        let keys: Vec<_> = self.channels.keys().copied().collect();
        for key in keys {
            self.announce(now, key, sctp);
        }
    }

    /// The association is established: channels open.
    pub(crate) fn association_up(&mut self, streams: u16) {
        self.link = Link::Up { streams };
        let keys: Vec<_> = self.channels.keys().copied().collect();
        for key in keys {
            self.open(key);
        }
    }

    /// Tells the peer of a channel of this side.
    fn announce(&mut self, now: Timestamp, key: ChannelKey, sctp: &mut Sctp) {
        let waiting = self.channels.get(&key).filter(|channel| channel.state == ChannelState::AwaitAssociation);
        let (Link::Prepared { streams } | Link::Up { streams }, Some(channel)) = (self.link, waiting) else {
            return;
        };
        let Some(id) = channel.id.filter(|&id| id < streams) else {
            return;
        };
        sctp.open_stream(id, channel.options.priority.value());
        if channel.options.negotiated.is_none() {
            // RFC 8832 §6: ordered and reliable, ahead of all data.
            let message = OutgoingMessage {
                stream: id,
                protocol: PayloadProtocol::Dcep,
                payload: dcep::open(&channel.options),
                ordered: true,
                reliability: Reliability::Reliable,
            };
            sctp.write(now, message);
        }
    }

    /// Opens a channel of this side, which has been announced.
    fn open(&mut self, key: ChannelKey) {
        let Some(channel) =
            self.channels.get_mut(&key).filter(|channel| channel.state == ChannelState::AwaitAssociation)
        else {
            return;
        };
        let (Link::Up { streams }, Some(id)) = (self.link, channel.id) else {
            return;
        };
        if id >= streams {
            return self.fail(key, ChannelFailure::IdBeyondNegotiatedStreams);
        }
        channel.state = ChannelState::Open { acknowledged: channel.options.negotiated.is_some() };
        channel.was_open = true;
        self.counters.channels_opened += 1;
        self.events.push(SecureEvent::ChannelOpen { channel: key });
    }

    /// Begins to close a channel.
    pub(crate) fn close(&mut self, key: ChannelKey) -> Result<(), UnknownChannel> {
        let channel = self.channels.get_mut(&key).ok_or(UnknownChannel)?;
        match channel.state {
            // The peer may have learned of it.
            ChannelState::AwaitAssociation
                if matches!(self.link, Link::Prepared { .. }) && channel.options.negotiated.is_none() =>
            {
                self.begin_reset(key);
            }
            ChannelState::AwaitAssociation => self.finish(key),
            ChannelState::Open { acknowledged } => {
                channel.state = ChannelState::Flushing { acknowledged };
                if channel.waiting.is_empty() {
                    self.begin_reset(key);
                }
                self.take_pieces(key);
            }
            ChannelState::Flushing { .. }
            | ChannelState::AwaitResets
            | ChannelState::AwaitOwnReset
            | ChannelState::Closed => {}
        }
        Ok(())
    }

    /// RFC 8831 §6.7: a channel is closed by resetting its outgoing stream.
    pub(super) fn begin_reset(&mut self, key: ChannelKey) {
        self.discard_waiting(key);
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.state = ChannelState::AwaitResets;
            self.resets.extend(channel.id);
        }
    }

    /// Resets a stream that has no channel.
    pub(super) fn reset_undeclared(&mut self, stream: u16) {
        self.quarantined.insert(stream);
        self.resets.insert(stream);
    }

    /// Hands the resets that are due to SCTP.
    pub(super) fn pump_resets(&mut self, now: Timestamp, sctp: &mut Sctp, sctp_events: &mut Vec<SctpEvent>) {
        if self.resets.is_empty() || now < self.next_reset {
            return;
        }
        for _ in 0..self.limits.reset_batch {
            let Some(stream) = self.resets.pop_first() else { break };
            sctp.reset_stream(stream, sctp_events);
        }
        if !self.resets.is_empty() {
            self.next_reset = now + RESET_PAUSE;
        }
    }

    /// The peer has reset its side, and everything before that has been read.
    pub(crate) fn incoming_reset(&mut self, stream: u16) {
        self.forget_undeclared(stream);
        let Some(&key) = self.by_stream.get(&stream) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(&key) else { return };
        match channel.state {
            ChannelState::Open { .. } | ChannelState::Flushing { .. } => {
                // The own side of the stream is being reset by SCTP in answer.
                channel.state = ChannelState::AwaitOwnReset;
                self.discard_waiting(key);
                self.events.push(SecureEvent::ChannelClosing { channel: key });
            }
            ChannelState::AwaitResets => channel.state = ChannelState::AwaitOwnReset,
            ChannelState::AwaitAssociation | ChannelState::AwaitOwnReset | ChannelState::Closed => {}
        }
    }

    /// Both sides of a stream are reset.
    pub(crate) fn stream_is_free(&mut self, stream: u16) {
        self.quarantined.remove(&stream);
        self.resets.remove(&stream);
        self.note_free(stream);
        if let Some(&key) = self.by_stream.get(&stream) {
            self.finish(key);
        }
        // The peer may have been faster to see that, and have used it again.
        self.mark_readable(stream);
    }

    /// Whether what can be read on a stream is not for its present owner: it waits until both sides of the stream are reset.
    pub(super) fn is_between_owners(&self, stream: u16) -> bool {
        let state = self.by_stream.get(&stream).and_then(|key| self.channels.get(key)).map(|channel| channel.state);
        state == Some(ChannelState::AwaitOwnReset) || self.quarantined.contains(&stream)
    }

    /// A reset has failed: the channel is as closed as it can be, and the id is lost.
    pub(crate) fn stream_is_lost(&mut self, stream: u16) {
        self.quarantined.insert(stream);
        if let Some(&key) = self.by_stream.get(&stream) {
            self.finish(key);
        }
    }

    /// The association is gone, and every channel with it.
    pub(crate) fn association_down(&mut self, failure: SctpFailure) {
        self.link = Link::Down;
        let keys: Vec<_> = self.channels.keys().copied().collect();
        for key in keys {
            self.fail(key, ChannelFailure::Sctp(failure));
        }
        self.forget_streams();
    }

    /// Closes all channels without a word.
    pub(crate) fn close_all(&mut self) {
        self.link = Link::Down;
        for channel in self.channels.values_mut() {
            channel.state = ChannelState::Closed;
            channel.waiting = VecDeque::new();
            channel.pieces = Vec::new();
            channel.buffered = 0;
            self.counters.channels_closed += u64::from(std::mem::take(&mut channel.was_open));
        }
        self.closed = self.channels.len();
        self.forget_streams();
        self.events.clear();
    }

    fn forget_streams(&mut self) {
        self.by_stream.clear();
        self.least_free = 0;
        self.quarantined.clear();
        self.resets.clear();
        self.sending = super::sending::Sending::default();
        self.receiving = super::receiving::Receiving::default();
    }

    /// Closes a channel that has failed, at once.
    fn fail(&mut self, key: ChannelKey, error: ChannelFailure) {
        if self.channels.get(&key).is_some_and(|channel| channel.state != ChannelState::Closed) {
            self.discard_waiting(key);
            self.events.push(SecureEvent::ChannelError { channel: key, error });
            self.finish(key);
        }
    }

    /// Closes a channel that has failed, by resetting its stream.
    pub(super) fn fail_by_reset(&mut self, key: ChannelKey, error: ChannelFailure) {
        self.events.push(SecureEvent::ChannelError { channel: key, error });
        self.begin_reset(key);
    }

    fn finish(&mut self, key: ChannelKey) {
        self.discard_waiting(key);
        let Some(channel) = self.channels.get_mut(&key).filter(|channel| channel.state != ChannelState::Closed) else {
            return;
        };
        channel.state = ChannelState::Closed;
        self.closed += 1;
        self.counters.channels_closed += u64::from(std::mem::take(&mut channel.was_open));
        if let Some(id) = channel.id {
            self.by_stream.remove(&id);
            self.note_free(id);
        }
        self.events.push(SecureEvent::ChannelClosed { channel: key });
    }

    pub(crate) fn poll_event(&mut self) -> Option<SecureEvent> {
        let event = self.events.pop()?;
        match &event {
            SecureEvent::ChannelClosed { channel } => self.forget(*channel),
            SecureEvent::Message { channel, message } => {
                if let Some(channel) = self.channels.get_mut(channel) {
                    channel.statistics.messages_received += 1;
                    channel.statistics.bytes_received += message.payload.len() as u64;
                }
            }
            _ => {}
        }
        Some(event)
    }

    /// Forgets a closed channel.
    fn forget(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.remove(&key) else { return };
        self.closed = self.closed.saturating_sub(1);
        if self.is_named_by_peer(&channel) {
            self.name_bytes_of_peer = self.name_bytes_of_peer.saturating_sub(channel.options.name_length());
        }
    }

    /// Whether the peer has opened a channel, and has chosen its label and protocol.
    fn is_named_by_peer(&self, channel: &Channel) -> bool {
        channel.options.negotiated.is_none() && channel.id.is_some_and(|id| self.is_id_of_peer(id))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Deadline> {
        let may_reset = matches!(self.link, Link::Up { .. }) && !self.resets.is_empty();
        let reset = may_reset.then_some(Deadline { at: self.next_reset, reason: "stream resets" });
        let undeclared = self.undeclared_deadline().map(|at| Deadline { at, reason: "undeclared stream" });
        Deadline::earliest(reset, undeclared)
    }
}

fn validate(options: &DataChannelOptions) -> Result<(), CreateDataChannelError> {
    let limit = usize::from(u16::MAX);
    if options.label.len() > limit {
        return Err(CreateDataChannelError::LabelTooLong);
    }
    if options.protocol.len() > limit {
        return Err(CreateDataChannelError::ProtocolTooLong);
    }
    if options.negotiated == Some(INVALID_ID) {
        return Err(CreateDataChannelError::InvalidId);
    }
    match options.reliability {
        Reliability::MaxPacketLifetime(lifetime) if u32::try_from(lifetime.as_millis()).is_err() => {
            Err(CreateDataChannelError::LifetimeTooLong)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proto_machine::Seed;

    use super::*;

    const STREAMS: u16 = 300;

    fn channels(role: DtlsRole) -> DataChannels {
        let mut channels = DataChannels::new(ChannelLimits {
            max_channels: STREAMS,
            max_receive_message_size: 1 << 10,
            send_buffer: 1 << 20,
            total_send_buffer: 1 << 20,
            send_window: 1 << 20,
            receive_window: 1 << 20,
            undeclared_stream_lifetime: Duration::from_secs(1),
            reset_batch: 1,
        });
        channels.set_role(role);
        channels.association_up(STREAMS);
        channels
    }

    #[test]
    fn a_channel_has_the_least_free_id_of_its_side_whatever_was_closed_before() {
        for (role, first) in [(DtlsRole::Client, 0), (DtlsRole::Server, 1)] {
            let mut rng = Seed::from_number(7).into_rng();
            let mut channels = channels(role);
            let mut open: BTreeMap<u16, ChannelKey> = BTreeMap::new();
            for _ in 0..5_000 {
                let any = u16::try_from(rng.below(STREAMS.into())).unwrap();
                let negotiated = (rng.below(4) == 0).then_some(any);
                let least = (first..STREAMS).step_by(2).find(|id| !open.contains_key(id));
                if rng.below(100) < 55 {
                    let expected = negotiated.map_or(least, |id| (!open.contains_key(&id)).then_some(id));
                    let options = DataChannelOptions { negotiated, ..DataChannelOptions::new("") };
                    let created = channels.create(Timestamp::ZERO, options, None);
                    assert_eq!(created.ok().and_then(|key| channels.view(key)?.id), expected);
                    open.extend(expected.zip(created.ok()));
                } else if let Some((_, key)) = open.range(any..).next().map(|(&id, &key)| (id, key)) {
                    channels.finish(key);
                    open.retain(|_, other| *other != key);
                }
                assert_eq!(channels.live_channels(), open.len());
                if rng.below(2) == 0 {
                    while channels.poll_event().is_some() {}
                    assert_eq!(channels.channels.len(), open.len());
                }
            }
        }
    }
}
