//! Fragments become messages.
//!
//! Fragments of one message that stand side by side form a *run*, in one buffer: a fragment is copied once, when it comes behind those before it. Only a gap that is filled
//! later joins two runs, and they are made one when the message is whole. Nothing is ever searched for but the neighbours of what comes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::sctp::chunk::data::{Data, Framing, Label};
use crate::sctp::chunk::tsn::Tsn;

/// The least that something held costs, in bytes: what is kept beside its payload.
const MIN_COST: usize = 128;
/// The same for each piece of a message that is not whole.
const MIN_PIECE_COST: usize = 256;
/// What a fragment carries at the least, on average. RFC 9260 §6.9: a sender fills its packets.
const MIN_FRAGMENT: usize = 128;
/// Fragments that may be smaller, or that belong to no message.
const MAX_LOOSE_FRAGMENTS: usize = 64;

/// What a message counts while it is held, in bytes.
pub(super) fn cost(length: usize) -> usize {
    length.max(MIN_COST)
}

/// A message that is whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    pub(super) protocol: u32,
    pub(super) payload: Bytes,
}

/// What has become of a fragment.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Inserted {
    Complete(Message),
    Waits,
    /// The peer breaks a rule: a message is too large, comes in crumbs, or its fragments do not belong together.
    Violation,
}

/// Which message a run belongs to, as far as that decides about its neighbours: with DATA the TSN says all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Owner {
    stream: u16,
    unordered: bool,
    sequence: u32,
}

impl Owner {
    const ANY: Self = Self { stream: 0, unordered: false, sequence: 0 };

    fn of(label: &Label) -> Self {
        Self { stream: label.stream, unordered: label.unordered, sequence: label.sequence }
    }
}

/// Owner and number of the first fragment: its TSN, or its number in the message (RFC 8260).
type Key = (Owner, u64);

/// Fragments side by side.
#[derive(Debug)]
struct Run {
    owner: Owner,
    /// The number behind the last fragment.
    end: u64,
    begins: bool,
    ends: bool,
    protocol: u32,
    fragments: usize,
    length: usize,
    /// What came in order from the first fragment on, and what followed after gaps that are filled by now.
    first: Vec<u8>,
    rest: VecDeque<Vec<u8>>,
}

impl Run {
    fn new(number: u64, data: &Data<'_>) -> Self {
        Self {
            owner: Owner::of(&data.label),
            end: number + 1,
            begins: data.label.place.beginning,
            ends: data.label.place.ending,
            protocol: data.label.protocol,
            fragments: 1,
            length: data.payload.len(),
            first: data.payload.to_vec(),
            rest: VecDeque::new(),
        }
    }

    /// Takes in the next fragment.
    fn push(&mut self, data: &Data<'_>) {
        self.end += 1;
        self.ends = data.label.place.ending;
        self.fragments += 1;
        self.length += data.payload.len();
        self.rest.back_mut().unwrap_or(&mut self.first).extend_from_slice(data.payload);
    }

    /// Takes in the run behind this one.
    fn append(&mut self, mut after: Self) {
        self.end = after.end;
        self.ends = after.ends;
        self.fragments += after.fragments;
        self.length += after.length;
        self.rest.push_back(after.first);
        self.rest.append(&mut after.rest);
    }

    /// Takes in the fragment in front of the first.
    fn prepend(&mut self, before: Self) {
        self.begins = before.begins;
        self.protocol = before.protocol;
        self.fragments += before.fragments;
        self.length += before.length;
        self.rest.push_front(std::mem::replace(&mut self.first, before.first));
    }

    fn cost(&self) -> usize {
        self.length.max((1 + self.rest.len()) * MIN_PIECE_COST)
    }

    fn into_message(self) -> Message {
        let mut bytes = self.first;
        bytes.reserve_exact(self.length.saturating_sub(bytes.len()));
        self.rest.iter().for_each(|piece| bytes.extend_from_slice(piece));
        // A buffer that grew by doubling may be twice as large as what is in it.
        if bytes.capacity() > bytes.len() / 4 * 5 {
            bytes.shrink_to_fit();
        }
        Message { protocol: self.protocol, payload: bytes.into() }
    }
}

/// Messages that are not whole.
#[derive(Debug)]
pub(super) struct Reassembly {
    framing: Framing,
    max_message_size: usize,
    runs: BTreeMap<Key, Run>,
    /// What they cost.
    held: usize,
    /// Fragments that belonged to no message.
    orphans: usize,
}

impl Reassembly {
    pub(super) fn new(framing: Framing, max_message_size: usize) -> Self {
        Self { framing, max_message_size, runs: BTreeMap::new(), held: 0, orphans: 0 }
    }

    /// The cost of all that is held, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes in a fragment that was not here before. `has_come` tells which TSNs have.
    pub(super) fn insert(&mut self, tsn: Tsn, data: &Data<'_>, has_come: impl Fn(Tsn) -> bool) -> Inserted {
        if data.payload.len() > self.max_message_size {
            return Inserted::Violation;
        }
        let place = data.label.place;
        if place.beginning && place.ending {
            if !self.runs.is_empty() && self.framing == Framing::Plain {
                self.part(tsn);
            }
            if self.is_excessive() {
                return Inserted::Violation;
            }
            let payload = Bytes::copy_from_slice(data.payload);
            return Inserted::Complete(Message { protocol: data.label.protocol, payload });
        }
        let key = match self.framing {
            Framing::Plain => (Owner::ANY, tsn.number()),
            Framing::Interleaved => (Owner::of(&data.label), data.label.fragment.into()),
        };
        let inserted = match self.framing {
            _ if self.goes_on_with(key, data) && !(self.framing == Framing::Plain && has_come(tsn.next())) => {
                self.push_behind(key, data)
            }
            Framing::Plain => self.insert_plain(tsn, data, has_come),
            Framing::Interleaved => self.insert_fragment(key, data),
        };
        if self.is_excessive() { Inserted::Violation } else { inserted }
    }

    /// Whether a fragment comes right behind those before it, with nothing behind it yet: nearly always.
    fn goes_on_with(&self, key: Key, data: &Data<'_>) -> bool {
        let before = self.runs.range(..key).next_back();
        let continues = before.is_some_and(|(before, run)| {
            before.0 == key.0 && run.end == key.1 && !run.ends && run.owner == Owner::of(&data.label)
        });
        let after = || self.runs.range(key..).next().is_some_and(|(after, _)| after.0 == key.0 && after.1 <= key.1 + 1);
        continues && !data.label.place.beginning && !after()
    }

    /// Takes in such a fragment.
    fn push_behind(&mut self, key: Key, data: &Data<'_>) -> Inserted {
        let Some((&first, run)) = self.runs.range_mut(..key).next_back() else { return Inserted::Waits };
        let before = run.cost();
        run.push(data);
        let (after, begins, ends) = (run.cost(), run.begins, run.ends);
        let is_excessive = Self::is_too_large(run, self.max_message_size);
        self.held = (self.held + after).saturating_sub(before);
        if is_excessive {
            return Inserted::Violation;
        }
        if begins && ends {
            return self.remove(first).map_or(Inserted::Waits, |run| Inserted::Complete(run.into_message()));
        }
        Inserted::Waits
    }

    fn is_too_large(run: &Run, max_message_size: usize) -> bool {
        run.length > max_message_size || run.fragments > max_message_size / MIN_FRAGMENT + MAX_LOOSE_FRAGMENTS
    }

    fn is_excessive(&self) -> bool {
        self.orphans > MAX_LOOSE_FRAGMENTS
    }

    /// RFC 9260 §6.9: the fragments of a message have consecutive TSNs, so that a neighbour that has come must be of the same message.
    fn insert_plain(&mut self, tsn: Tsn, data: &Data<'_>, has_come: impl Fn(Tsn) -> bool) -> Inserted {
        let owner = Owner::of(&data.label);
        let place = data.label.place;
        let number = tsn.number();
        let before = self.before((Owner::ANY, number)).and_then(|key| self.runs.get(&key));
        let follows = before.is_some_and(|run| run.end == number && !run.ends && run.owner == owner);
        let after = self.runs.get(&(Owner::ANY, number + 1));
        let precedes = after.is_some_and(|run| !run.begins && run.owner == owner);
        let is_orphan = !place.beginning && !follows && has_come(tsn.previous())
            || !place.ending && !precedes && has_come(tsn.next());
        // Neighbours that are not continued by this fragment never will be.
        if place.beginning || !follows {
            self.remove_open_before(number);
        }
        if place.ending || !precedes {
            self.remove_open_after(number);
        }
        if is_orphan {
            self.orphans += 1;
            return Inserted::Waits;
        }
        self.insert_fragment((Owner::ANY, number), data)
    }

    /// Drops the runs beside a TSN which would have to go on with it.
    fn part(&mut self, tsn: Tsn) {
        self.remove_open_before(tsn.number());
        self.remove_open_after(tsn.number());
    }

    fn remove_open_before(&mut self, number: u64) {
        if let Some(key) = self.before((Owner::ANY, number))
            && self.runs.get(&key).is_some_and(|run| run.end == number && !run.ends)
        {
            self.remove_orphan(key);
        }
    }

    fn remove_open_after(&mut self, number: u64) {
        let key = (Owner::ANY, number + 1);
        if self.runs.get(&key).is_some_and(|run| !run.begins) {
            self.remove_orphan(key);
        }
    }

    fn remove_orphan(&mut self, key: Key) {
        if let Some(run) = self.remove(key) {
            self.orphans += run.fragments;
        }
    }

    /// The run that begins last before a fragment.
    fn before(&self, key: Key) -> Option<Key> {
        self.runs.range(..key).next_back().map(|(&before, _)| before).filter(|before| before.0 == key.0)
    }

    /// Joins a fragment with the runs beside it.
    fn insert_fragment(&mut self, key: Key, data: &Data<'_>) -> Inserted {
        let (owner, number) = key;
        let before = self.before(key);
        let place = data.label.place;
        let overlaps = self.runs.contains_key(&key)
            || before.and_then(|before| self.runs.get(&before)).is_some_and(|run| run.end > number);
        let beside_before = before.filter(|before| self.runs.get(before).is_some_and(|run| run.end == number));
        let beside_after = Some((owner, number + 1)).filter(|after| self.runs.contains_key(after));
        let is_open = |key: &Key, ends: fn(&Run) -> bool| self.runs.get(key).is_some_and(|run| !ends(run));
        let follows = beside_before.filter(|before| !place.beginning && is_open(before, |run| run.ends));
        let precedes = beside_after.filter(|after| !place.ending && is_open(after, |run| run.begins));
        // The fragments of an interleaved message are numbered from its beginning to its end: there is nothing beyond either.
        let is_beyond = follows != beside_before || precedes != beside_after;
        if overlaps || self.framing == Framing::Interleaved && is_beyond {
            self.orphans += 1;
            return Inserted::Waits;
        }
        let after = precedes.and_then(|after| self.remove(after));
        let mut run = match follows.and_then(|before| self.remove(before)) {
            Some(mut run) => {
                run.push(data);
                run
            }
            None => Run::new(number, data),
        };
        let first = follows.map_or(number, |before| before.1);
        if let Some(mut after) = after {
            if follows.is_some() {
                run.append(after);
            } else {
                after.prepend(run);
                run = after;
            }
        }
        if Self::is_too_large(&run, self.max_message_size) {
            return Inserted::Violation;
        }
        if run.begins && run.ends {
            return Inserted::Complete(run.into_message());
        }
        self.held += run.cost();
        self.runs.insert((owner, first), run);
        Inserted::Waits
    }

    fn remove(&mut self, key: Key) -> Option<Run> {
        let run = self.runs.remove(&key)?;
        self.held = self.held.saturating_sub(run.cost());
        Some(run)
    }

    /// RFC 3758 §3.6: the peer has given up everything up to here.
    pub(super) fn forward(&mut self, tsn: Tsn) {
        if self.framing == Framing::Plain {
            while let Some((&key, _)) = self.runs.first_key_value()
                && key.1 <= tsn.number()
            {
                self.remove(key);
            }
        }
    }

    /// RFC 8260 §2.3.1: the peer has given up the messages of a stream up to this one.
    pub(super) fn skip(&mut self, stream: u16, unordered: bool, sequence: u32) {
        let is_skipped = |owner: &Owner| {
            owner.stream == stream && owner.unordered == unordered && sequence.wrapping_sub(owner.sequence) < 1 << 31
        };
        self.remove_where(stream, is_skipped);
    }

    /// Nobody waits for messages of this stream any more.
    pub(super) fn forget_stream(&mut self, stream: u16) {
        self.remove_where(stream, |owner| owner.stream == stream);
    }

    fn remove_where(&mut self, stream: u16, is_over: impl Fn(&Owner) -> bool) {
        let range = match self.framing {
            Framing::Plain => (Owner::ANY, 0)..=(Owner::ANY, u64::MAX),
            Framing::Interleaved => {
                let owner = |unordered, sequence| Owner { stream, unordered, sequence };
                (owner(false, 0), 0)..=(owner(true, u32::MAX), u64::MAX)
            }
        };
        let over: Vec<Key> =
            self.runs.range(range).filter(|(_, run)| is_over(&run.owner)).map(|(&key, _)| key).collect();
        for key in over {
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto_machine::Seed;

    use super::*;
    use crate::sctp::chunk::data::Place;

    const MAX: usize = 64 * 1024;

    struct Peer {
        reassembly: Reassembly,
        come: BTreeSet<Tsn>,
    }

    impl Peer {
        fn new(framing: Framing) -> Self {
            Self { reassembly: Reassembly::new(framing, MAX), come: BTreeSet::new() }
        }

        fn give(&mut self, offset: usize, label: Label, payload: &[u8]) -> Inserted {
            let tsn = Tsn::first(u32::MAX - 5).plus(offset);
            self.come.insert(tsn);
            let data = Data { tsn: tsn.wire(), label, immediate: false, payload };
            self.reassembly.insert(tsn, &data, |tsn| self.come.contains(&tsn))
        }
    }

    fn label(place: (bool, bool), sequence: u32, fragment: u32) -> Label {
        let place = Place { beginning: place.0, ending: place.1 };
        Label { stream: 3, unordered: false, place, sequence, protocol: 53, fragment }
    }

    /// The fragments of messages of 1 to 9 bytes, a byte each.
    fn fragments() -> Vec<(usize, Label, u8)> {
        let mut fragments = Vec::new();
        for sequence in 0..9_u32 {
            for fragment in 0..=sequence {
                let place = (fragment == 0, fragment == sequence);
                let byte = u8::try_from(16 * sequence + fragment).unwrap();
                fragments.push((fragments.len(), label(place, sequence, fragment), byte));
            }
        }
        fragments
    }

    #[test]
    fn messages_come_out_whole_in_whatever_order_their_fragments_come() {
        for framing in [Framing::Plain, Framing::Interleaved] {
            for seed in 0..200 {
                let mut rng = Seed::from_number(seed).into_rng();
                let mut fragments = fragments();
                for index in (1..fragments.len()).rev() {
                    fragments.swap(index, usize::try_from(rng.below(index as u64 + 1)).unwrap());
                }
                let mut peer = Peer::new(framing);
                let mut whole = BTreeSet::new();
                for (offset, label, byte) in fragments {
                    match peer.give(offset, label, &[byte]) {
                        Inserted::Complete(message) => assert!(whole.insert(message.payload.to_vec())),
                        Inserted::Waits => {}
                        Inserted::Violation => panic!("seed {seed}, {framing:?}"),
                    }
                }
                let expected: BTreeSet<Vec<u8>> =
                    (0..9).map(|sequence| (0..=sequence).map(|fragment| 16 * sequence + fragment).collect()).collect();
                assert_eq!(whole, expected, "seed {seed}, {framing:?}");
                assert_eq!((peer.reassembly.held(), peer.reassembly.orphans), (0, 0));
            }
        }
    }

    #[test]
    fn what_waits_costs_its_payload_or_a_least_amount() {
        let mut peer = Peer::new(Framing::Plain);
        peer.give(0, label((true, false), 0, 0), &[7; 1000]);
        assert_eq!(peer.reassembly.held(), 1000);
        peer.give(5, label((true, false), 1, 0), &[7; 1]);
        assert_eq!(peer.reassembly.held(), 1000 + MIN_PIECE_COST);
        peer.reassembly.forward(Tsn::first(u32::MAX - 5));
        assert_eq!(peer.reassembly.held(), MIN_PIECE_COST);
        peer.reassembly.forget_stream(3);
        assert_eq!(peer.reassembly.held(), 0);
    }

    #[test]
    fn fragments_that_can_never_be_completed_are_dropped_and_too_many_are_a_violation() {
        for place in [(true, false), (false, true), (false, false)] {
            let mut peer = Peer::new(Framing::Plain);
            peer.come.insert(Tsn::first(u32::MAX - 6));
            let taken = (0..).take_while(|&offset| {
                // Every message is another one.
                let sequence = u32::try_from(offset).unwrap();
                let waits = peer.give(offset, label(place, sequence, 0), &[7; 1000]) == Inserted::Waits;
                assert!(peer.reassembly.held() <= 1000);
                waits
            });
            assert!(taken.count() <= MAX_LOOSE_FRAGMENTS + 1, "{place:?}");
        }
    }

    #[test]
    fn a_message_too_large_or_in_crumbs_is_a_violation() {
        for (size, bound) in [(1000, MAX / 1000), (1, MAX / MIN_FRAGMENT + MAX_LOOSE_FRAGMENTS)] {
            for framing in [Framing::Plain, Framing::Interleaved] {
                let mut peer = Peer::new(framing);
                let taken = (0..).take_while(|&number| {
                    let fragment = u32::try_from(number).unwrap();
                    peer.give(number, label((number == 0, false), 0, fragment), &vec![7; size]) == Inserted::Waits
                });
                assert_eq!(taken.count(), bound, "{size}, {framing:?}");
            }
        }
    }

    #[test]
    fn an_interleaved_message_that_was_given_up_is_forgotten_and_later_ones_are_not() {
        let mut peer = Peer::new(Framing::Interleaved);
        for sequence in 0..4_u32 {
            let offset = usize::try_from(sequence).unwrap();
            peer.give(offset * 2, label((true, false), sequence.wrapping_sub(2), 0), &[7; 300]);
        }
        peer.reassembly.skip(3, true, 7);
        assert_eq!(peer.reassembly.held(), 1200);
        peer.reassembly.skip(3, false, 0);
        assert_eq!(peer.reassembly.held(), 300);
    }

    #[test]
    fn every_piece_of_a_message_that_waits_in_pieces_costs_a_least_amount() {
        let mut peer = Peer::new(Framing::Interleaved);
        let middle = |fragment| label((false, false), 0, fragment);
        for (offset, fragment) in [1, 3, 5, 7].into_iter().enumerate() {
            peer.give(offset, middle(fragment), b"x");
        }
        assert_eq!(peer.reassembly.held(), 4 * MIN_PIECE_COST);
        for (offset, fragment) in [(4, 2), (5, 4), (6, 6)] {
            peer.give(offset, middle(fragment), b"x");
        }
        assert_eq!((peer.reassembly.runs.len(), peer.reassembly.held()), (1, 4 * MIN_PIECE_COST));
    }
}
