//! Chunks that were sent and not yet acknowledged: a ring from the first of them to the last.
//!
//! An acknowledgement costs what it newly acknowledges, and what it has of gap blocks; never what is in flight. A chunk counts as lost when a packet that was sent three packets
//! after it has come. RFC 9260 §7.2.4 counts acknowledgements in place of packets; but a receiver that takes in packets by the batch answers the batch with one, and three would
//! never pass over anything. No chunk counts for itself: packets are numbered, and chunks are looked at in the order in which they were sent, those sent again in a queue of
//! their own, so that the loss of a repair is found as well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proto_machine::Timestamp;

use super::outbound::{Fragment, Limit, MessageId};
use crate::sctp::chunk::data::{Data, Framing, Label};
use crate::sctp::chunk::forward_tsn::Skipped;
use crate::sctp::chunk::sack::GapBlock;
use crate::sctp::chunk::tsn::Tsn;

/// Chunks that may be outstanding: what gap blocks can name (RFC 9260 §3.3.4).
const MAX_OUTSTANDING: usize = u16::MAX as usize;
/// How many packets later one must have been sent whose arrival shows that a chunk is lost.
const LOSS_THRESHOLD: u64 = 3;

/// Where a chunk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    InFlight,
    /// To be sent again.
    Lost,
    /// Acknowledged by a gap block: the peer may still drop it (RFC 9260 §6.2.1).
    Acknowledged,
    /// Given up, with its message. The payload is gone, of which there were so many bytes: the message may be large, and the peer slow to hear of that.
    Abandoned {
        length: u16,
    },
}

/// A chunk that was sent.
#[derive(Debug)]
struct Sent {
    label: Label,
    message: MessageId,
    payload: Bytes,
    limit: Limit,
    state: State,
    transmissions: u16,
    at: Timestamp,
    /// The packet that it was sent in last.
    packet: u64,
}

impl Sent {
    /// The size of the payload, in bytes.
    fn length(&self) -> usize {
        match self.state {
            State::Abandoned { length } => length.into(),
            State::InFlight | State::Lost | State::Acknowledged => self.payload.len(),
        }
    }

    fn abandon(&mut self) {
        self.state = State::Abandoned { length: u16::try_from(self.length()).unwrap_or(u16::MAX) };
        self.payload = Bytes::new();
    }
}

/// What there is to know of a chunk that has come.
struct Arrival {
    state: State,
    length: usize,
    transmissions: u16,
    at: Timestamp,
    packet: u64,
}

impl Arrival {
    fn of(sent: &Sent) -> Self {
        Self {
            state: sent.state,
            length: sent.length(),
            transmissions: sent.transmissions,
            at: sent.at,
            packet: sent.packet,
        }
    }
}

/// What an acknowledgement has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Acknowledged {
    /// Bytes of chunks that were not acknowledged before, headers counted.
    pub(super) bytes: usize,
    /// Bytes in flight before that.
    pub(super) in_flight: usize,
    pub(super) cumulative_advanced: bool,
    pub(super) round_trip_time: Option<Duration>,
    /// Chunks were found to be lost.
    pub(super) found_lost: bool,
}

/// The peer acknowledges what was never sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NeverSent;

/// Bytes of streams that were acknowledged or given up, to be told to the streams.
pub(super) type Settled<'a> = &'a mut dyn FnMut(u16, usize);

/// The ring.
#[derive(Debug)]
pub(super) struct Transmission {
    framing: Framing,
    /// The cumulative TSN that the peer has acknowledged; the ring begins behind it.
    cumulative: Tsn,
    chunks: VecDeque<Sent>,
    /// TSNs that gap blocks have acknowledged, both ends included; sorted.
    blocks: Vec<(Tsn, Tsn)>,
    lost: BTreeSet<Tsn>,
    /// Bytes in flight: of chunks, and of their payload.
    in_flight: usize,
    payload_in_flight: usize,
    /// The number of the packet that is being written.
    packet: u64,
    /// There is a chunk in it.
    packet_is_used: bool,
    /// The number of the last packet that is known to have come.
    highest_packet: u64,
    /// Up to here, chunks that were sent once were looked at for losses.
    examined: Tsn,
    /// Chunks that were sent again, in the order of that, with their packets.
    sent_again: VecDeque<(u64, Tsn)>,
    /// The least round-trip time that was measured.
    least_round_trip: Option<Duration>,
    /// The first TSN that is measured next: one measurement a round trip.
    measured: Tsn,
    /// Where messages with a limit begin and end, as far as they were sent.
    limited: BTreeMap<MessageId, (Tsn, Tsn)>,
    /// What the peer may take for its cumulative TSN, for all that was given up (RFC 3758 §3.5, Advanced.Peer.Ack.Point).
    advanced: Tsn,
    /// Messages that were given up and whose streams do not know yet.
    abandoned: Vec<(u16, MessageId)>,
}

impl Transmission {
    pub(super) fn new(framing: Framing, initial_tsn: u32) -> Self {
        let cumulative = Tsn::first(initial_tsn).previous();
        Self {
            framing,
            cumulative,
            chunks: VecDeque::new(),
            blocks: Vec::new(),
            lost: BTreeSet::new(),
            in_flight: 0,
            payload_in_flight: 0,
            packet: 0,
            packet_is_used: false,
            highest_packet: 0,
            examined: cumulative,
            sent_again: VecDeque::new(),
            least_round_trip: None,
            measured: cumulative.next(),
            limited: BTreeMap::new(),
            advanced: cumulative,
            abandoned: Vec::new(),
        }
    }

    /// Messages that were given up since this was asked last: what is left of them is not to be sent.
    pub(super) fn take_abandoned(&mut self) -> Vec<(u16, MessageId)> {
        std::mem::take(&mut self.abandoned)
    }

    pub(super) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// The last TSN that was sent.
    pub(super) fn last(&self) -> Tsn {
        self.cumulative.plus(self.chunks.len())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn payload_in_flight(&self) -> usize {
        self.payload_in_flight
    }

    /// Whether anything was sent that is not acknowledged.
    pub(super) fn is_outstanding(&self) -> bool {
        !self.chunks.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.chunks.len() >= MAX_OUTSTANDING
    }

    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    fn size(&self, payload: usize) -> usize {
        (self.framing.overhead() + payload).next_multiple_of(4)
    }

    fn index(&self, tsn: Tsn) -> Option<usize> {
        tsn.distance_from(self.cumulative).checked_sub(1)
    }

    fn get_mut(&mut self, tsn: Tsn) -> Option<&mut Sent> {
        let index = self.index(tsn)?;
        self.chunks.get_mut(index)
    }

    /// What is sent from here on is in another packet. Those without data are not counted: none of them is acknowledged, and none is a miss.
    pub(super) fn begin_packet(&mut self) {
        self.packet += u64::from(std::mem::take(&mut self.packet_is_used));
    }

    /// A fragment is sent for the first time.
    pub(super) fn push(&mut self, now: Timestamp, fragment: Fragment) -> Option<Data<'_>> {
        let tsn = self.last().next();
        self.in_flight += self.size(fragment.payload.len());
        self.payload_in_flight += fragment.payload.len();
        if fragment.limit != Limit::Never {
            self.limited.entry(fragment.message).or_insert((tsn, tsn)).1 = tsn;
        }
        self.chunks.push_back(Sent {
            label: fragment.label,
            message: fragment.message,
            payload: fragment.payload,
            limit: fragment.limit,
            state: State::InFlight,
            transmissions: 1,
            at: now,
            packet: self.packet,
        });
        self.packet_is_used = true;
        let sent = self.chunks.back()?;
        Some(Data { tsn: tsn.wire(), label: sent.label, immediate: false, payload: &sent.payload })
    }

    /// A fragment is not sent any more, nor what is left of its message; its TSN stands for them, so that the peer can be told.
    pub(super) fn push_abandoned(&mut self, now: Timestamp, fragment: Fragment) {
        let message = fragment.message;
        self.push(now, fragment);
        self.abandon(message);
    }

    /// The chunk that is to be sent again first, and the size of its payload. What has waited for that too long is given up.
    pub(super) fn next_lost(&mut self, now: Timestamp) -> Option<(Tsn, usize)> {
        loop {
            let &tsn = self.lost.first()?;
            let sent = self.chunks.get(self.index(tsn)?)?;
            if !sent.limit.is_exceeded(now, sent.transmissions) {
                return Some((tsn, sent.payload.len()));
            }
            let message = sent.message;
            if !self.abandon(message) {
                return None;
            }
        }
    }

    /// A lost chunk is sent again.
    pub(super) fn retransmit(&mut self, now: Timestamp, tsn: Tsn) -> Option<Data<'_>> {
        self.lost.remove(&tsn);
        let length = self.chunks.get(self.index(tsn)?)?.payload.len();
        self.in_flight += self.size(length);
        self.payload_in_flight += length;
        let packet = self.packet;
        self.packet_is_used = true;
        self.sent_again.push_back((packet, tsn));
        let sent = self.get_mut(tsn)?;
        sent.packet = packet;
        sent.state = State::InFlight;
        sent.transmissions = sent.transmissions.saturating_add(1);
        sent.at = now;
        Some(Data { tsn: tsn.wire(), label: sent.label, immediate: false, payload: &sent.payload })
    }

    /// Takes in an acknowledgement.
    pub(super) fn acknowledge(
        &mut self,
        now: Timestamp,
        cumulative: u32,
        gaps: impl Iterator<Item = GapBlock>,
        settled: Settled<'_>,
    ) -> Result<Option<Acknowledged>, NeverSent> {
        let cumulative = self.cumulative.nearest(cumulative);
        if cumulative > self.last() {
            return Err(NeverSent);
        }
        if cumulative < self.cumulative {
            // It was overtaken by a later one.
            return Ok(None);
        }
        let mut result = Acknowledged { in_flight: self.in_flight, ..Acknowledged::default() };
        self.advance(now, cumulative, &mut result, settled);
        let last = self.last();
        for gap in gaps {
            let (start, end) = (cumulative.plus(gap.start.into()), cumulative.plus(gap.end.into()));
            // What was never sent cannot have come.
            if end > last {
                return Err(NeverSent);
            }
            // RFC 9260 §3.3.4: a block begins at least two behind.
            if gap.start >= 2 && start <= end {
                self.acknowledge_block(now, start, end, &mut result);
            }
        }
        self.find_reneged();
        self.find_lost(now, &mut result);
        Ok(Some(result))
    }

    /// Forgets the chunks up to the cumulative TSN.
    fn advance(&mut self, now: Timestamp, cumulative: Tsn, result: &mut Acknowledged, settled: Settled<'_>) {
        let mut run: Option<(u16, usize)> = None;
        while self.cumulative < cumulative {
            let Some(sent) = self.chunks.pop_front() else { break };
            let tsn = self.cumulative.next();
            self.cumulative = tsn;
            result.cumulative_advanced = true;
            let length = sent.length();
            self.note_arrival(now, tsn, &Arrival::of(&sent), result);
            if sent.limit != Limit::Never && sent.label.place.ending {
                self.limited.remove(&sent.message);
            }
            run = match run {
                Some((stream, bytes)) if stream == sent.label.stream => Some((stream, bytes + length)),
                before => {
                    before.into_iter().for_each(|(stream, bytes)| settled(stream, bytes));
                    Some((sent.label.stream, length))
                }
            };
        }
        run.into_iter().for_each(|(stream, bytes)| settled(stream, bytes));
        let reached = self.blocks.partition_point(|&(_, end)| end <= self.cumulative);
        self.blocks.drain(..reached);
        if let Some(first) = self.blocks.first_mut() {
            first.0 = first.0.max(self.cumulative.next());
        }
        self.advanced = self.advanced.max(self.cumulative);
        self.examined = self.examined.max(self.cumulative);
    }

    /// What follows from the arrival of a chunk, if it is news.
    fn note_arrival(&mut self, now: Timestamp, tsn: Tsn, arrival: &Arrival, result: &mut Acknowledged) {
        match arrival.state {
            State::InFlight => self.leave_flight(arrival.length),
            State::Lost => drop(self.lost.remove(&tsn)),
            State::Acknowledged | State::Abandoned { .. } => return,
        }
        result.bytes += self.size(arrival.length);
        let since = now - arrival.at;
        let once = arrival.transmissions == 1;
        // RFC 9260 §6.3.1 C4, C5: one measurement a round trip, and none on what was sent again.
        if once && tsn >= self.measured {
            self.measured = self.last().next();
            self.least_round_trip = Some(self.least_round_trip.map_or(since, |least| least.min(since)));
            result.round_trip_time = Some(since);
        }
        // What comes too soon after it was sent again is the first one, and says nothing about the later packet.
        if once || self.least_round_trip.is_some_and(|least| since >= least) {
            self.highest_packet = self.highest_packet.max(arrival.packet);
        }
    }

    fn leave_flight(&mut self, payload: usize) {
        self.in_flight = self.in_flight.saturating_sub(self.size(payload));
        self.payload_in_flight = self.payload_in_flight.saturating_sub(payload);
    }

    /// Goes through the TSNs of a gap block that no block has named before.
    fn acknowledge_block(&mut self, now: Timestamp, start: Tsn, end: Tsn, result: &mut Acknowledged) {
        let first = self.blocks.partition_point(|&(_, known_end)| known_end.next() < start);
        let (mut joined_start, mut joined_end) = (start, end);
        let (mut from, mut last) = (start, first);
        while let Some(&(known_start, known_end)) = self.blocks.get(last)
            && known_start <= end.next()
        {
            self.acknowledge_range(now, from, known_start, result);
            from = from.max(known_end.next());
            (joined_start, joined_end) = (joined_start.min(known_start), joined_end.max(known_end));
            last += 1;
        }
        self.acknowledge_range(now, from, end.next(), result);
        if last == first + 1 {
            if let Some(block) = self.blocks.get_mut(first) {
                *block = (joined_start, joined_end);
            }
        } else {
            self.blocks.splice(first..last, [(joined_start, joined_end)]);
        }
    }

    /// From the first to in front of the second.
    fn acknowledge_range(&mut self, now: Timestamp, from: Tsn, to: Tsn, result: &mut Acknowledged) {
        let mut tsn = from;
        while tsn < to {
            let Some(sent) = self.get_mut(tsn) else { return };
            let arrival = Arrival::of(sent);
            if matches!(arrival.state, State::InFlight | State::Lost) {
                sent.state = State::Acknowledged;
                self.note_arrival(now, tsn, &arrival, result);
            }
            tsn = tsn.next();
        }
    }

    /// A cumulative TSN in front of a chunk that a gap block has named: the peer has dropped what it had acknowledged (RFC 9260 §6.2.1).
    fn find_reneged(&mut self) {
        if self.chunks.front().is_none_or(|sent| sent.state != State::Acknowledged) {
            return;
        }
        for (start, end) in std::mem::take(&mut self.blocks) {
            let mut tsn = start;
            while tsn <= end {
                if let Some(sent) = self.get_mut(tsn)
                    && sent.state == State::Acknowledged
                {
                    sent.state = State::Lost;
                    self.lost.insert(tsn);
                }
                tsn = tsn.next();
            }
        }
    }

    /// Every transmission of a chunk is looked at once.
    fn find_lost(&mut self, now: Timestamp, result: &mut Acknowledged) {
        let Some(passed) = self.highest_packet.checked_sub(LOSS_THRESHOLD) else { return };
        while let tsn = self.examined.next()
            && let Some(sent) = self.get_mut(tsn)
            && (sent.transmissions > 1 || sent.packet <= passed)
        {
            let is_lost = sent.state == State::InFlight && sent.transmissions == 1;
            self.examined = tsn;
            if is_lost {
                result.found_lost = true;
                self.lose(now, tsn);
            }
        }
        while let Some(&(packet, tsn)) = self.sent_again.front().filter(|(packet, _)| *packet <= passed) {
            self.sent_again.pop_front();
            if tsn > self.cumulative
                && self.get_mut(tsn).is_some_and(|sent| sent.state == State::InFlight && sent.packet == packet)
            {
                result.found_lost = true;
                self.lose(now, tsn);
            }
        }
    }

    /// A chunk in flight is lost: it is to be sent again, or given up.
    fn lose(&mut self, now: Timestamp, tsn: Tsn) {
        let Some(sent) = self.get_mut(tsn) else { return };
        sent.state = State::Lost;
        let (length, message) = (sent.payload.len(), sent.message);
        let is_over = sent.limit.is_exceeded(now, sent.transmissions);
        self.leave_flight(length);
        self.lost.insert(tsn);
        if is_over {
            self.abandon(message);
        }
    }

    /// The timer has expired: nothing that was sent is in flight any more.
    pub(super) fn lose_all(&mut self, now: Timestamp) {
        let first = self.cumulative.next();
        for offset in 0..self.chunks.len() {
            let tsn = first.plus(offset);
            if self.get_mut(tsn).is_some_and(|sent| sent.state == State::InFlight) {
                self.lose(now, tsn);
            }
        }
        self.examined = self.last();
        self.sent_again.clear();
    }

    /// A chunk in flight counts as lost from now on. Whether it is still to be acknowledged.
    pub(super) fn suspect(&mut self, now: Timestamp, tsn: Tsn) -> bool {
        match self.get_mut(tsn).map(|sent| sent.state) {
            Some(State::InFlight) => self.lose(now, tsn),
            Some(State::Lost) => {}
            Some(State::Acknowledged | State::Abandoned { .. }) | None => return false,
        }
        true
    }

    /// Gives up a message, as far as it was sent. Whether there was one.
    pub(super) fn abandon(&mut self, message: MessageId) -> bool {
        let Some((first, last)) = self.limited.remove(&message) else { return false };
        let mut stream = None;
        let mut tsn = first.max(self.cumulative.next());
        while tsn <= last {
            let Some(sent) = self.get_mut(tsn) else { break };
            if sent.message == message {
                let (state, length) = (sent.state, sent.length());
                sent.abandon();
                stream = Some(sent.label.stream);
                match state {
                    State::InFlight => self.leave_flight(length),
                    State::Lost => drop(self.lost.remove(&tsn)),
                    State::Acknowledged | State::Abandoned { .. } => {}
                }
            }
            tsn = tsn.next();
        }
        self.abandoned.extend(stream.map(|stream| (stream, message)));
        true
    }

    /// What the peer may take for its cumulative TSN, if that is beyond what it has acknowledged (RFC 3758 §3.5 C1, C2).
    pub(super) fn forward_point(&mut self) -> Option<Tsn> {
        while self.get_mut(self.advanced.next()).is_some_and(|sent| matches!(sent.state, State::Abandoned { .. })) {
            self.advanced = self.advanced.next();
        }
        (self.advanced > self.cumulative).then_some(self.advanced)
    }

    /// The streams of what was given up, and up to which TSN they are told, with at most so many entries.
    pub(super) fn skipped(&self, capacity: usize) -> (Tsn, Vec<Skipped>) {
        let mut entries: BTreeMap<(u16, bool), u32> = BTreeMap::new();
        let mut point = self.cumulative;
        for sent in self.chunks.iter().take(self.advanced.distance_from(self.cumulative)) {
            let Label { stream, unordered, sequence, .. } = sent.label;
            // RFC 3758 §3.2: unordered messages are not named. Those of I-DATA have numbers of their own.
            if !unordered || self.framing == Framing::Interleaved {
                if entries.len() == capacity && !entries.contains_key(&(stream, unordered)) {
                    break;
                }
                // Messages of a stream are sent in order: the last one is the highest.
                entries.insert((stream, unordered), sequence);
            }
            point = point.next();
        }
        let entries = entries.into_iter();
        (point, entries.map(|((stream, unordered), sequence)| Skipped { stream, unordered, sequence }).collect())
    }
}
