//! Messages that wait to be sent, and whose turn it is.
//!
//! Streams with waiting messages take turns. A turn is worth bytes in proportion to the weight of the stream, and what it takes more than that it pays back later (deficit
//! round robin), so that every choice costs the same whatever the number of streams. With DATA a message that was begun is finished first; with I-DATA turns end anywhere
//! (RFC 8260 §3).

use std::collections::VecDeque;

use bytes::Bytes;
use proto_machine::Timestamp;

use super::queues::{Entries, Queue};
use super::stream_map::StreamMap;
use crate::sctp::chunk::data::{Framing, Label, Place};

/// What a stream of weight 1 may send in a turn, in bytes: a packet for the default weight of 256.
const QUANTUM: i64 = 4;
/// The weight of a stream that nobody gave one.
const DEFAULT_WEIGHT: u16 = 256;
/// The least payload for which a message is cut to fill a packet, in bytes.
const MIN_CUT: usize = 256;

/// How long it is tried to deliver a message (RFC 3758).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    Never,
    Retransmissions(u16),
    Until(Timestamp),
}

impl Limit {
    /// Whether a message that has been sent so often is to be given up.
    pub(super) fn is_exceeded(self, now: Timestamp, transmissions: u16) -> bool {
        match self {
            Self::Never => false,
            Self::Retransmissions(count) => transmissions > count,
            Self::Until(end) => now > end,
        }
    }
}

/// Which message a fragment belongs to. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct MessageId(u64);

/// A message, or what is left of it.
#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    protocol: u32,
    unordered: bool,
    limit: Limit,
    /// Once it was begun.
    begun: Option<Begun>,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    id: MessageId,
    sequence: u32,
    next_fragment: u32,
    /// The size of the whole message, in bytes.
    size: usize,
}

/// The outgoing side of a stream.
#[derive(Debug)]
struct Stream {
    waiting: Queue,
    /// Bytes that wait or are not yet acknowledged.
    buffered: usize,
    next_ordered: u32,
    next_unordered: u32,
    weight: u16,
    /// What is left of the turn, in bytes. Below 0 it is paid back.
    credit: i64,
    /// A weight was set or a message handed over since it was reset last. If not, all that is left of it is what the peer has not acknowledged.
    is_owned: bool,
    /// Whether it takes turns.
    active: bool,
    /// Whether it is among those of which something was acknowledged or given up.
    is_settled: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            waiting: Queue::default(),
            buffered: 0,
            next_ordered: 0,
            next_unordered: 0,
            weight: DEFAULT_WEIGHT,
            credit: 0,
            is_owned: false,
            active: false,
            is_settled: false,
        }
    }
}

impl Stream {
    /// So many bytes were acknowledged or given up. Whether that is the first news of the stream.
    fn settle(&mut self, bytes: usize) -> bool {
        self.buffered = self.buffered.saturating_sub(bytes);
        !std::mem::replace(&mut self.is_settled, true)
    }
}

/// A fragment to be sent.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    pub(super) message: MessageId,
    pub(super) label: Label,
    pub(super) limit: Limit,
    pub(super) payload: Bytes,
}

/// All messages that wait.
#[derive(Debug)]
pub(super) struct Outbound {
    framing: Framing,
    /// The payload of a chunk that fills a packet, in bytes.
    max_payload: usize,
    streams: StreamMap<Stream>,
    /// What waits, of all streams.
    messages: Entries<Waiting>,
    turns: VecDeque<u16>,
    next_message: u64,
    /// The stream whose message was begun and must be finished first.
    unfinished: Option<u16>,
    /// What messages of several fragments may add up to that are begun and not finished, in bytes: the peer must have room to complete one of them.
    interleaving_budget: usize,
    /// What they add up to.
    interleaved: usize,
    /// Streams whose next message must wait for that to become less.
    parked: VecDeque<u16>,
    /// Streams of which something was acknowledged or given up since this was asked last, each once.
    settled: Vec<u16>,
}

impl Outbound {
    /// `peer_window` is the receive window of the peer while it is empty.
    pub(super) fn new(framing: Framing, max_payload: usize, peer_window: usize) -> Self {
        Self {
            framing,
            max_payload,
            interleaving_budget: peer_window / 2,
            interleaved: 0,
            parked: VecDeque::new(),
            streams: StreamMap::default(),
            messages: Entries::default(),
            turns: VecDeque::new(),
            next_message: 0,
            unfinished: None,
            settled: Vec::new(),
        }
    }

    pub(super) fn set_weight(&mut self, stream: u16, weight: u16) {
        let entry = self.streams.entry(stream);
        entry.weight = weight.max(1);
        entry.is_owned = true;
    }

    /// Whether the stream is used since it was reset last.
    pub(super) fn knows(&self, stream: u16) -> bool {
        self.streams.get(stream).is_some_and(|entry| entry.is_owned)
    }

    pub(super) fn known_streams(&self) -> impl Iterator<Item = u16> {
        self.streams.streams().filter(|&stream| self.knows(stream))
    }

    /// Whether anything waits.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether anything waits on a stream.
    pub(super) fn is_waiting(&self, stream: u16) -> bool {
        self.streams.get(stream).is_some_and(|stream| !stream.waiting.is_empty())
    }

    /// Bytes handed over for a stream and not yet acknowledged or given up.
    pub(super) fn buffered(&self, stream: u16) -> usize {
        self.streams.get(stream).map_or(0, |stream| stream.buffered)
    }

    /// Bytes were acknowledged or given up.
    pub(super) fn settle(&mut self, stream: u16, bytes: usize) {
        if let Some(entry) = self.streams.get_mut(stream)
            && entry.settle(bytes)
        {
            self.settled.push(stream);
        }
    }

    /// Appends the streams of which something was acknowledged or given up since this was asked last.
    pub(super) fn take_settled(&mut self, streams: &mut Vec<u16>) {
        for &stream in &self.settled {
            if let Some(entry) = self.streams.get_mut(stream) {
                entry.is_settled = false;
            }
        }
        streams.append(&mut self.settled);
    }

    /// Lets the numbers of messages go on from this one.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, stream: u16, sequence: u32) {
        let entry = self.streams.entry(stream);
        (entry.next_ordered, entry.next_unordered) = (sequence, sequence);
    }

    /// Takes a message, which is not empty.
    pub(super) fn push(&mut self, stream: u16, protocol: u32, payload: Bytes, unordered: bool, limit: Limit) {
        let entry = self.streams.entry(stream);
        entry.is_owned = true;
        entry.buffered += payload.len();
        let waiting = Waiting { payload, protocol, unordered, limit, begun: None };
        self.messages.push_back(&mut entry.waiting, waiting);
        if !std::mem::replace(&mut entry.active, true) {
            self.turns.push_back(stream);
        }
    }

    /// The next fragment, if there is one that fits into so much room, header counted, and into so many bytes of the peer's window.
    pub(super) fn next(&mut self, now: Timestamp, room: usize, window: usize) -> Option<Fragment> {
        let stream = self.choose(now)?;
        let framing = self.framing;
        let max_payload = self.max_payload;
        let entry = self.streams.get_mut(stream)?;
        let waiting = self.messages.front_mut(&entry.waiting)?;
        let room = room.checked_sub(framing.overhead())? / 4 * 4;
        let length = fragment_length(waiting.payload.len(), max_payload, room, waiting.begun.is_some())?;
        if length > window {
            return None;
        }
        let begun = *waiting.begun.get_or_insert_with(|| {
            let counter = if waiting.unordered { &mut entry.next_unordered } else { &mut entry.next_ordered };
            let sequence = *counter;
            // RFC 9260 §3.3.1: the number of an unordered message in DATA means nothing.
            let counts = framing == Framing::Interleaved || !waiting.unordered;
            *counter = counter.wrapping_add(counts.into());
            self.next_message += 1;
            let size = waiting.payload.len();
            if framing == Framing::Interleaved {
                self.interleaved += size;
            }
            Begun { id: MessageId(self.next_message), sequence, next_fragment: 0, size }
        });
        let ending = length == waiting.payload.len();
        let payload = if ending { std::mem::take(&mut waiting.payload) } else { waiting.payload.split_to(length) };
        let label = Label {
            stream,
            unordered: waiting.unordered,
            place: Place { beginning: begun.next_fragment == 0, ending },
            sequence: begun.sequence,
            protocol: waiting.protocol,
            fragment: begun.next_fragment,
        };
        let fragment = Fragment { message: begun.id, label, limit: waiting.limit, payload };
        waiting.begun = Some(Begun { next_fragment: begun.next_fragment.wrapping_add(1), ..begun });
        entry.credit -= i64::try_from(length + framing.overhead()).unwrap_or(i64::MAX);
        if ending {
            self.messages.pop_front(&mut entry.waiting);
            self.finish(begun);
        }
        self.unfinished = (!ending && framing == Framing::Plain).then_some(stream);
        self.end_turn_if_over(stream);
        Some(fragment)
    }

    /// The stream whose turn it is, in front of the others. Messages whose time is over are dropped on the way.
    fn choose(&mut self, now: Timestamp) -> Option<u16> {
        loop {
            if self.interleaved == 0 {
                self.turns.append(&mut self.parked);
            }
            let stream = *self.turns.front()?;
            let alone = self.turns.len() == 1;
            let entry = self.streams.get_mut(stream)?;
            while let Some(waiting) = self.messages.front(&entry.waiting)
                && waiting.begun.is_none()
                && waiting.limit.is_exceeded(now, 0)
            {
                let length = waiting.payload.len();
                if entry.settle(length) {
                    self.settled.push(stream);
                }
                self.messages.pop_front(&mut entry.waiting);
            }
            if entry.waiting.is_empty() {
                self.leave(stream);
                continue;
            }
            let is_large = |waiting: &Waiting| waiting.begun.is_none() && waiting.payload.len() > self.max_payload;
            if self.interleaved > 0
                && let Some(next) = self.messages.front(&entry.waiting).filter(|next| is_large(next))
                && let size = next.payload.len()
                && self.interleaved + size > self.interleaving_budget
            {
                self.turns.pop_front();
                self.parked.push_back(stream);
                continue;
            }
            if self.unfinished == Some(stream) || alone || entry.credit > 0 {
                return Some(stream);
            }
            entry.credit += i64::from(entry.weight) * QUANTUM;
            if entry.credit <= 0 {
                self.turns.rotate_left(1);
            }
        }
    }

    /// A message was sent whole, or is given up: another one may begin in its place.
    fn finish(&mut self, begun: Begun) {
        if self.framing == Framing::Interleaved {
            self.interleaved = self.interleaved.saturating_sub(begun.size);
            self.turns.extend(self.parked.pop_front());
        }
    }

    /// The turn of the stream in front ends when nothing waits any more, or when it has taken its share.
    fn end_turn_if_over(&mut self, stream: u16) {
        let alone = self.turns.len() == 1;
        let Some(entry) = self.streams.get_mut(stream) else { return };
        if entry.waiting.is_empty() {
            self.leave(stream);
        } else if alone {
            entry.credit = 0;
        } else if entry.credit <= 0 && self.unfinished.is_none() {
            self.turns.rotate_left(1);
        }
    }

    /// The stream in front has nothing to send.
    fn leave(&mut self, stream: u16) {
        self.turns.pop_front();
        if let Some(entry) = self.streams.get_mut(stream) {
            entry.active = false;
            entry.credit = 0;
        }
        if self.unfinished == Some(stream) {
            self.unfinished = None;
        }
    }

    /// Gives up what is left of a message that was begun. Returns a fragment without payload that stands for it.
    pub(super) fn abandon(&mut self, stream: u16, message: MessageId) -> Option<Fragment> {
        let entry = self.streams.get_mut(stream)?;
        let begun = self.messages.front(&entry.waiting)?.begun.filter(|begun| begun.id == message)?;
        let waiting = self.messages.pop_front(&mut entry.waiting)?;
        if entry.settle(waiting.payload.len()) {
            self.settled.push(stream);
        }
        if self.unfinished == Some(stream) {
            self.unfinished = None;
        }
        self.finish(begun);
        let label = Label {
            stream,
            unordered: waiting.unordered,
            place: Place { beginning: false, ending: true },
            sequence: begun.sequence,
            protocol: waiting.protocol,
            fragment: begun.next_fragment,
        };
        Some(Fragment { message, label, limit: waiting.limit, payload: Bytes::new() })
    }

    /// Both sides of a stream are reset (RFC 6525 §5.2.7 H4).
    pub(super) fn restart(&mut self, stream: u16) {
        if let Some(entry) = self.streams.get_mut(stream) {
            (entry.next_ordered, entry.next_unordered) = (0, 0);
            entry.weight = DEFAULT_WEIGHT;
            entry.is_owned = false;
        }
    }

    /// Forgets a stream that has nothing left to say.
    pub(super) fn forget(&mut self, stream: u16) {
        let Some(entry) = self.streams.get(stream) else { return };
        if entry.waiting.is_empty() && !entry.active && entry.buffered == 0 {
            if entry.is_settled {
                self.settled.retain(|&settled| settled != stream);
            }
            self.streams.remove(stream);
        }
    }
}

/// How much of a message with so many bytes left goes into so much room. A message that fits one chunk is not cut, and no chunk is made smaller than need be but for the last.
fn fragment_length(left: usize, max_payload: usize, room: usize, begun: bool) -> Option<usize> {
    if left <= room {
        return Some(left);
    }
    let may_be_cut = begun || left > max_payload;
    (may_be_cut && room >= max_payload.min(MIN_CUT)).then_some(room.min(max_payload))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1000);
    const OVERHEAD: usize = Framing::Plain.overhead();

    fn outbound(framing: Framing, messages: &[(u16, usize)]) -> Outbound {
        let mut outbound = Outbound::new(framing, 1000, 1 << 30);
        for &(stream, length) in messages {
            outbound.push(stream, 53, vec![7; length].into(), false, Limit::Never);
        }
        outbound
    }

    fn take(outbound: &mut Outbound, count: usize) -> Vec<(u16, usize)> {
        let fragments = std::iter::from_fn(|| outbound.next(NOW, 1020, usize::MAX));
        fragments.take(count).map(|fragment| (fragment.label.stream, fragment.payload.len())).collect()
    }

    #[test]
    fn a_message_that_was_begun_is_finished_first_unless_interleaved() {
        let messages = [(1, 3000), (2, 10)];
        assert_eq!(take(&mut outbound(Framing::Plain, &messages), 9), [(1, 1000), (1, 1000), (1, 1000), (2, 10)]);
        assert_eq!(take(&mut outbound(Framing::Interleaved, &messages), 9), [(1, 1000), (1, 1000), (2, 10), (1, 1000)]);
    }

    #[test]
    fn streams_share_by_their_weights_in_either_framing() {
        for (framing, size) in [(Framing::Plain, 900), (Framing::Plain, 5000), (Framing::Interleaved, 100_000)] {
            let mut outbound = Outbound::new(framing, 1000, 1 << 30);
            for (stream, weight) in [(1, 128), (2, 256), (3, 1024)] {
                outbound.set_weight(stream, weight);
                for _ in 0..7_000_000 / size {
                    outbound.push(stream, 53, vec![7; size].into(), false, Limit::Never);
                }
            }
            let taken = take(&mut outbound, 7000);
            let share = |stream| taken.iter().filter(|(of, _)| *of == stream).map(|(_, length)| length).sum::<usize>();
            let unit = share(1) as f64;
            for (stream, factor) in [(2, 2.0), (3, 8.0)] {
                let measured = share(stream) as f64 / unit;
                assert!((measured / factor - 1.0).abs() < 0.05, "{framing:?} {size}: {measured} for {factor}");
            }
        }
    }

    #[test]
    fn a_small_message_waits_for_a_turn_of_each_other_stream_and_no_longer() {
        let mut messages: Vec<_> = (0..50).map(|stream| (stream, 1_000_000)).collect();
        messages.push((50, 5));
        let taken = take(&mut outbound(Framing::Interleaved, &messages), 1000);
        assert!(taken.iter().position(|&taken| taken == (50, 5)).unwrap() <= 100);
    }

    #[test]
    fn no_more_messages_are_begun_than_the_peer_has_room_to_complete() {
        let mut outbound = Outbound::new(Framing::Interleaved, 1000, 20_000);
        for stream in 0..10 {
            outbound.push(stream, 53, vec![7; 4000].into(), false, Limit::Never);
            outbound.push(stream, 53, vec![7; 100].into(), false, Limit::Never);
        }
        let mut open = std::collections::BTreeSet::new();
        let mut sent = 0;
        while let Some(fragment) = outbound.next(NOW, 1020, usize::MAX) {
            sent += fragment.payload.len();
            if fragment.label.place.ending {
                open.remove(&fragment.message);
            } else {
                open.insert(fragment.message);
            }
            assert!(open.len() <= 2, "{open:?}");
        }
        assert_eq!(sent, 41_000);
        assert!(outbound.is_empty());
    }

    #[test]
    fn a_message_is_cut_to_fill_a_packet_only_if_it_must_be_cut_anyway() {
        assert_eq!(fragment_length(900, 1000, 800, false), None);
        assert_eq!(fragment_length(900, 1000, 800, true), Some(800));
        assert_eq!(fragment_length(1001, 1000, 800, false), Some(800));
        assert_eq!(fragment_length(1001, 1000, 252, false), None);
        assert_eq!(fragment_length(5, 1000, 8, false), Some(5));
        assert_eq!(fragment_length(500, 100, 100, false), Some(100));
    }

    #[test]
    fn nothing_goes_beyond_the_window_of_the_peer() {
        let mut outbound = outbound(Framing::Plain, &[(1, 500)]);
        assert!(outbound.next(NOW, 1020, 499).is_none());
        assert!(outbound.next(NOW, OVERHEAD + 500, 500).is_some());
    }

    #[test]
    fn a_message_whose_time_is_over_is_dropped_and_leaves_no_gap() {
        let mut outbound = Outbound::new(Framing::Plain, 1000, 1 << 30);
        let ends = [NOW, Timestamp::from_nanos(NOW.as_nanos() - 1), NOW + Duration::from_secs(1)];
        for (end, byte) in ends.into_iter().zip(0..) {
            outbound.push(1, 53, vec![byte; 10].into(), false, Limit::Until(end));
        }
        assert_eq!(outbound.buffered(1), 30);
        let sent: Vec<_> = std::iter::from_fn(|| outbound.next(NOW, 1020, 2000))
            .map(|fragment| (fragment.label.sequence, fragment.payload[0]))
            .collect();
        assert_eq!(sent, [(0, 0), (1, 2)]);
        assert_eq!(outbound.buffered(1), 20);
    }

    #[test]
    fn what_is_left_of_a_message_that_was_given_up_is_not_sent() {
        for framing in [Framing::Plain, Framing::Interleaved] {
            let mut outbound = outbound(framing, &[(1, 3000), (1, 10), (2, 20)]);
            let first = outbound.next(NOW, 1020, 2000).unwrap();
            assert_eq!(outbound.abandon(1, first.message).map(|rest| rest.label.fragment), Some(1));
            assert!(outbound.abandon(1, first.message).is_none());
            assert_eq!(outbound.buffered(1), 1010);
            let mut rest = take(&mut outbound, 9);
            rest.sort_unstable();
            assert_eq!(rest, [(1, 10), (2, 20)]);
            assert!(outbound.is_empty());
        }
    }
}
