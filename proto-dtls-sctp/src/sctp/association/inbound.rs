//! From fragments to what the application reads.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::queues::{Entries, Queue};
use super::reassembly::{Inserted, Message, Reassembly, cost};
use super::stream_map::StreamMap;
use super::tracker::{Arrival, Tracker};
use crate::sctp::chunk::data::{Data, Framing, Label};
use crate::sctp::chunk::forward_tsn::ForwardTsn;
use crate::sctp::chunk::tsn::Tsn;

/// How far a message may be ahead of the one that is next, in a space of so many numbers: half of it (RFC 9260 §1.6).
const HALF_OF_16_BITS: u32 = 1 << 15;
const HALF_OF_32_BITS: u32 = 1 << 31;
/// How many messages of a stream may be under way at most: each has a TSN that a gap block can name (RFC 9260 §3.3.4).
const MAX_UNDER_WAY: u32 = 1 << 16;

/// What a chunk with data has led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// It was taken in.
    New,
    /// It has come before.
    Duplicate,
    /// There is no room for it: it was not taken in, and comes again.
    Refused,
    /// The peer breaks a rule.
    Violation,
}

/// The incoming side of a stream.
#[derive(Debug, Default)]
struct Stream {
    /// The number of the ordered message that is next, continued beyond the bits of the wire.
    next: u64,
    /// Whole ordered messages that wait for one before them.
    waiting: BTreeMap<u64, Message>,
    readable: Queue,
    /// The last unordered message that the peer has given up. Only I-FORWARD-TSN tells.
    given_up: Option<u32>,
    /// The peer has reset its side.
    reset: Option<Reset>,
    /// Nobody reads what comes until the peer resets its side.
    discards: bool,
}

/// A reset of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reset {
    /// Messages from before it that are not read yet.
    unread: usize,
}

impl Stream {
    /// The number of a message, if it is the next one or after that.
    fn ahead(&self, sequence: u32, framing: Framing) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are what goes on the wire")]
        let next = self.next as u32;
        let (distance, half) = match framing {
            Framing::Plain => (sequence.wrapping_sub(next) & 0xFFFF, HALF_OF_16_BITS),
            Framing::Interleaved => (sequence.wrapping_sub(next), HALF_OF_32_BITS),
        };
        (distance <= half).then(|| self.next + u64::from(distance))
    }

    /// Whether a fragment belongs to a message that is over already: it was overtaken by the I-FORWARD-TSN that says so, and nothing will ever come to complete it (RFC 8260 §2.3.1).
    fn is_over(&self, label: &Label, framing: Framing) -> bool {
        match framing {
            Framing::Plain => false,
            Framing::Interleaved if label.unordered => {
                self.given_up.is_some_and(|last| last.wrapping_sub(label.sequence) < MAX_UNDER_WAY)
            }
            Framing::Interleaved => self.ahead(label.sequence, framing).is_none(),
        }
    }

    /// Makes readable what is next.
    fn advance(&mut self, messages: &mut Entries<Message>) {
        while let Some(message) = self.waiting.remove(&self.next) {
            messages.push_back(&mut self.readable, message);
            self.next += 1;
        }
    }

    fn drain_cost(&mut self, messages: &mut Entries<Message>) -> usize {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let readable = std::iter::from_fn(|| messages.pop_front(&mut self.readable));
        waiting.chain(readable).map(|message| cost(message.payload.len())).sum()
    }

    /// Whether what is readable is for the present owner.
    fn is_readable(&self) -> bool {
        self.reset.is_none_or(|reset| reset.unread > 0) && !self.readable.is_empty()
    }
}

/// Everything that is received and not yet read.
#[derive(Debug)]
pub(super) struct Inbound {
    framing: Framing,
    /// Streams of the peer: the numbers are below it.
    stream_count: u16,
    tracker: Tracker,
    reassembly: Reassembly,
    streams: StreamMap<Stream>,
    /// What can be read, of all streams.
    messages: Entries<Message>,
    /// The receive window, in bytes.
    window: usize,
    /// What whole messages cost.
    held: usize,
    /// Whole messages that can be read.
    readable: usize,
    /// Streams on which there is something to read since this was asked last.
    news: Vec<u16>,
}

impl Inbound {
    pub(super) fn new(
        framing: Framing,
        stream_count: u16,
        initial_tsn: u32,
        window: usize,
        max_message_size: usize,
    ) -> Self {
        Self {
            framing,
            stream_count,
            tracker: Tracker::new(initial_tsn),
            reassembly: Reassembly::new(framing, max_message_size),
            streams: StreamMap::default(),
            messages: Entries::default(),
            window,
            held: 0,
            readable: 0,
            news: Vec::new(),
        }
    }

    pub(super) fn tracker(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// Streams on which there is something to read.
    pub(super) fn news(&mut self) -> impl Iterator<Item = u16> {
        self.news.drain(..)
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Bytes of the receive window that are free.
    pub(super) fn free_window(&self) -> usize {
        self.window.saturating_sub(self.used())
    }

    fn used(&self) -> usize {
        self.held + self.reassembly.held()
    }

    pub(super) fn knows(&self, stream: u16) -> bool {
        self.streams.contains(stream)
    }

    pub(super) fn known_streams(&self) -> impl Iterator<Item = u16> {
        self.streams.streams()
    }

    /// Expects the messages from this number on.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, stream: u16, sequence: u32) {
        self.streams.entry(stream).next = sequence.into();
    }

    /// A chunk counts as come, and nobody reads it.
    pub(super) fn pass_over(&mut self, tsn: Tsn) -> Taken {
        match self.tracker.judge(tsn) {
            Arrival::Duplicate => Taken::Duplicate,
            Arrival::Refused => Taken::Refused,
            Arrival::New => {
                self.tracker.insert(tsn);
                Taken::New
            }
        }
    }

    /// Takes in a fragment.
    pub(super) fn insert(&mut self, tsn: Tsn, data: &Data<'_>) -> Taken {
        match self.tracker.judge(tsn) {
            Arrival::Duplicate => return Taken::Duplicate,
            Arrival::Refused => return Taken::Refused,
            Arrival::New => {}
        }
        let stream = self.streams.get(data.label.stream);
        let discards = stream.is_some_and(|stream| stream.discards || stream.is_over(&data.label, self.framing));
        if !discards && self.used() + cost(data.payload.len()) > self.window {
            // RFC 9260 §6.2: what fills a gap may make room. All else comes again, unless nothing that is here can ever be read.
            let fills = tsn <= self.tracker.highest();
            if !fills || self.used() > self.window + self.window / 2 {
                let stuck = self.readable == 0 && tsn == self.tracker.cumulative().next();
                return if stuck { Taken::Violation } else { Taken::Refused };
            }
        }
        if discards {
            self.tracker.insert(tsn);
            return Taken::New;
        }
        let inserted = self.reassembly.insert(tsn, data, |tsn| self.tracker.contains(tsn));
        self.tracker.insert(tsn);
        match inserted {
            Inserted::Waits => {
                self.streams.entry(data.label.stream);
                Taken::New
            }
            Inserted::Violation => Taken::Violation,
            Inserted::Complete(message) => {
                self.deliver(data, message);
                Taken::New
            }
        }
    }

    fn deliver(&mut self, data: &Data<'_>, message: Message) {
        let cost = cost(message.payload.len());
        let stream = self.streams.entry(data.label.stream);
        let (was_readable, count) = (stream.is_readable(), stream.readable.len());
        if data.label.unordered {
            self.messages.push_back(&mut stream.readable, message);
        } else {
            // A message from before a reset or a FORWARD TSN is not for anybody.
            let Some(number) = stream.ahead(data.label.sequence, self.framing) else { return };
            if number == stream.next {
                self.messages.push_back(&mut stream.readable, message);
                stream.next += 1;
                stream.advance(&mut self.messages);
            } else if let Entry::Vacant(place) = stream.waiting.entry(number) {
                place.insert(message);
            } else {
                return;
            }
        }
        self.held += cost;
        self.readable += stream.readable.len() - count;
        if !was_readable && stream.is_readable() {
            self.news.push(data.label.stream);
        }
    }

    /// RFC 3758 §3.6: the peer has given up what is missing. Whether that is news.
    pub(super) fn forward(&mut self, chunk: &ForwardTsn<'_>) -> bool {
        let tsn = self.tracker.cumulative().nearest(chunk.cumulative_tsn);
        if tsn <= self.tracker.cumulative() {
            return false;
        }
        self.tracker.forward(tsn);
        self.reassembly.forward(tsn);
        let stream_count = self.stream_count;
        for skipped in chunk.skipped().filter(|skipped| skipped.stream < stream_count) {
            if self.framing == Framing::Interleaved {
                self.reassembly.skip(skipped.stream, skipped.unordered, skipped.sequence);
            }
            if skipped.unordered {
                self.streams.entry(skipped.stream).given_up = Some(skipped.sequence);
            }
            // A stream without a message has nothing that waits; what it has to skip is known when one comes.
            if !skipped.unordered {
                self.skip(skipped.stream, skipped.sequence);
            }
        }
        true
    }

    /// Ordered messages up to this one will not come any more: those that wait behind them go on.
    fn skip(&mut self, id: u16, sequence: u32) {
        let stream = self.streams.entry(id);
        let (was_readable, count) = (stream.is_readable(), stream.readable.len());
        let Some(last) = stream.ahead(sequence, self.framing) else { return };
        let behind = stream.waiting.split_off(&(last + 1));
        let before = std::mem::replace(&mut stream.waiting, behind);
        before.into_values().for_each(|message| self.messages.push_back(&mut stream.readable, message));
        stream.next = last + 1;
        stream.advance(&mut self.messages);
        self.readable += stream.readable.len() - count;
        if !was_readable && stream.is_readable() {
            self.news.push(id);
        }
    }

    /// The next message of a stream, for its present owner. `true` beside it if it was the last before a reset of the peer.
    pub(super) fn read(&mut self, stream: u16) -> Option<(Message, bool)> {
        let entry = self.streams.get_mut(stream).filter(|entry| entry.is_readable())?;
        let message = self.messages.pop_front(&mut entry.readable)?;
        self.held = self.held.saturating_sub(cost(message.payload.len()));
        self.readable -= 1;
        let finished = entry.reset.as_mut().is_some_and(|reset| {
            reset.unread -= 1;
            reset.unread == 0
        });
        Some((message, finished))
    }

    /// Nobody reads the stream any more, until the peer resets its side. `true` if it has.
    pub(super) fn discard(&mut self, stream: u16) -> bool {
        let entry = self.streams.entry(stream);
        let Some(reset) = &mut entry.reset else {
            entry.discards = true;
            self.readable -= entry.readable.len();
            self.held = self.held.saturating_sub(entry.drain_cost(&mut self.messages));
            self.reassembly.forget_stream(stream);
            return false;
        };
        // What comes after the reset is for the next owner.
        let unread = std::mem::take(&mut reset.unread);
        let discarded = std::iter::from_fn(|| self.messages.pop_front(&mut entry.readable)).take(unread);
        let freed: usize = discarded.map(|message| cost(message.payload.len())).sum();
        self.readable -= unread;
        self.held = self.held.saturating_sub(freed);
        true
    }

    /// The peer resets its side of a stream (RFC 6525 §5.2.2 E3). `true` if everything before that has been read.
    pub(super) fn reset(&mut self, stream: u16) -> bool {
        let entry = self.streams.entry(stream);
        entry.next = 0;
        entry.given_up = None;
        entry.discards = false;
        let waiting: usize =
            std::mem::take(&mut entry.waiting).into_values().map(|message| cost(message.payload.len())).sum();
        self.held = self.held.saturating_sub(waiting);
        let unread = entry.readable.len();
        entry.reset = Some(Reset { unread });
        self.reassembly.forget_stream(stream);
        unread == 0
    }

    /// Both sides of a stream are reset: what comes is for the next owner.
    pub(super) fn release(&mut self, stream: u16) {
        let Some(entry) = self.streams.get_mut(stream) else { return };
        entry.reset = None;
        if entry.next == 0 && entry.readable.is_empty() && entry.waiting.is_empty() {
            self.streams.remove(stream);
        } else if entry.is_readable() {
            self.news.push(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::chunk::data::Place;
    use crate::sctp::chunk::forward_tsn;
    use crate::sctp::packet::{Chunk, chunk_type};

    const STREAM: u16 = 3;

    fn inbound() -> Inbound {
        Inbound::new(Framing::Interleaved, 16, 1, 1 << 20, 1 << 16)
    }

    fn give(inbound: &mut Inbound, tsn: u32, label: Label) -> Taken {
        let number = inbound.tracker().cumulative().nearest(tsn);
        inbound.insert(number, &Data { tsn, label, immediate: false, payload: &[7; 1000] })
    }

    /// Gives up a message and all before it, up to a TSN.
    fn give_up(inbound: &mut Inbound, tsn: u32, unordered: bool, sequence: u32) {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend_from_slice(&STREAM.to_be_bytes());
        value.extend_from_slice(&[0, unordered.into()]);
        value.extend_from_slice(&sequence.to_be_bytes());
        let chunk = Chunk { kind: chunk_type::I_FORWARD_TSN, flags: 0, value: &value };
        assert!(inbound.forward(&forward_tsn::read(Framing::Interleaved, &chunk).unwrap()));
    }

    fn label(unordered: bool, sequence: u32, fragment: u32) -> Label {
        let place = Place { beginning: fragment == 0, ending: fragment == 1 };
        Label { stream: STREAM, unordered, place, sequence, protocol: 53, fragment }
    }

    #[test]
    fn a_fragment_that_comes_behind_the_end_of_its_message_is_not_kept() {
        for unordered in [false, true] {
            let mut inbound = inbound();
            give_up(&mut inbound, 1, unordered, 5);
            for sequence in [5, 4] {
                assert_eq!(give(&mut inbound, 10 - sequence, label(unordered, sequence, 1)), Taken::New);
            }
            assert_eq!((inbound.used(), inbound.tracker().contains(Tsn::first(5))), (0, true));
            for (tsn, fragment) in [(7, 0), (8, 1)] {
                assert_eq!(give(&mut inbound, tsn, label(unordered, 6, fragment)), Taken::New);
            }
            assert_eq!(inbound.read(STREAM).map(|(message, _)| message.payload.len()), Some(2000));
        }
    }

    #[test]
    fn what_was_given_up_before_a_reset_says_nothing_about_the_messages_behind_it() {
        let mut inbound = inbound();
        give_up(&mut inbound, 1, true, 5);
        assert!(inbound.reset(STREAM));
        inbound.release(STREAM);
        for (tsn, fragment) in [(2, 0), (3, 1)] {
            assert_eq!(give(&mut inbound, tsn, label(true, 5, fragment)), Taken::New);
        }
        assert_eq!(inbound.read(STREAM).map(|(message, _)| message.payload.len()), Some(2000));
    }
}
