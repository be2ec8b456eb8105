//! Which TSNs of the peer have come.

use crate::sctp::chunk::sack::GapBlock;
use crate::sctp::chunk::tsn::Tsn;

/// Blocks behind the cumulative TSN that are kept. A chunk that would begin one more is dropped, and comes again.
pub(super) const MAX_BLOCKS: usize = 2048;
/// How far a TSN may lie behind the cumulative one: what a gap block can name (RFC 9260 §3.3.4).
const MAX_AHEAD: usize = u16::MAX as usize;
/// Duplicates that are reported in a SACK. They are only a hint.
const MAX_DUPLICATES: usize = 16;

/// What a TSN means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    New,
    Duplicate,
    /// It lies too far ahead, or there are too many gaps already.
    Refused,
}

/// TSNs that have come, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Block {
    start: Tsn,
    end: Tsn,
}

/// The TSNs of the peer: all up to a cumulative one, and blocks behind it.
#[derive(Debug)]
pub(super) struct Tracker {
    cumulative: Tsn,
    /// Sorted, with at least one TSN missing before each.
    blocks: Vec<Block>,
    duplicates: Vec<u32>,
}

impl Tracker {
    pub(super) fn new(initial_tsn: u32) -> Self {
        Self { cumulative: Tsn::first(initial_tsn).previous(), blocks: Vec::new(), duplicates: Vec::new() }
    }

    pub(super) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// The last TSN that has come.
    pub(super) fn highest(&self) -> Tsn {
        self.blocks.last().map_or(self.cumulative, |block| block.end)
    }

    pub(super) fn has_gaps(&self) -> bool {
        !self.blocks.is_empty()
    }

    pub(super) fn contains(&self, tsn: Tsn) -> bool {
        tsn <= self.cumulative || self.position(tsn).is_ok()
    }

    /// The block that holds a TSN, or where one that begins with it would stand.
    fn position(&self, tsn: Tsn) -> Result<usize, usize> {
        let index = self.blocks.partition_point(|block| block.end < tsn);
        match self.blocks.get(index) {
            Some(block) if block.start <= tsn => Ok(index),
            _ => Err(index),
        }
    }

    /// What becomes of a chunk with this TSN. Nothing is changed but the report of duplicates.
    pub(super) fn judge(&mut self, tsn: Tsn) -> Arrival {
        if tsn == self.cumulative.next() && self.blocks.is_empty() {
            return Arrival::New;
        }
        if self.contains(tsn) {
            if self.duplicates.len() < MAX_DUPLICATES {
                self.duplicates.push(tsn.wire());
            }
            return Arrival::Duplicate;
        }
        let extends = tsn == self.cumulative.next() || self.contains(tsn.previous()) || self.contains(tsn.next());
        let fits = extends || self.blocks.len() < MAX_BLOCKS;
        if fits && tsn.distance_from(self.cumulative) <= MAX_AHEAD { Arrival::New } else { Arrival::Refused }
    }

    /// A chunk was taken in.
    pub(super) fn insert(&mut self, tsn: Tsn) {
        if tsn == self.cumulative.next() {
            self.cumulative = tsn;
            return self.absorb();
        }
        if tsn <= self.cumulative {
            return;
        }
        let Err(index) = self.position(tsn) else { return };
        let joins_before = index.checked_sub(1).is_some_and(|before| {
            self.blocks.get_mut(before).filter(|block| block.end.next() == tsn).is_some_and(|block| {
                block.end = tsn;
                true
            })
        });
        let joins_after = self.blocks.get(index).is_some_and(|block| block.start == tsn.next());
        match (joins_before, joins_after) {
            (true, true) => {
                let after = self.blocks.remove(index);
                if let Some(before) = self.blocks.get_mut(index - 1) {
                    before.end = after.end;
                }
            }
            (false, true) => {
                if let Some(after) = self.blocks.get_mut(index) {
                    after.start = tsn;
                }
            }
            (true, false) => {}
            (false, false) => self.blocks.insert(index, Block { start: tsn, end: tsn }),
        }
    }

    /// RFC 3758 §3.6: everything up to here counts as come.
    pub(super) fn forward(&mut self, tsn: Tsn) {
        self.cumulative = self.cumulative.max(tsn);
        self.absorb();
    }

    /// Takes blocks that the cumulative TSN has reached into it.
    fn absorb(&mut self) {
        let reached = self.blocks.partition_point(|block| block.start <= self.cumulative.next());
        if reached > 0 {
            let end = self.blocks.drain(..reached).next_back().map(|block| block.end);
            self.cumulative = self.cumulative.max(end.unwrap_or(self.cumulative));
        }
    }

    pub(super) fn gap_blocks(&self) -> impl Iterator<Item = GapBlock> {
        let offset = |tsn: Tsn| u16::try_from(tsn.distance_from(self.cumulative)).unwrap_or(u16::MAX);
        self.blocks.iter().map(move |block| GapBlock { start: offset(block.start), end: offset(block.end) })
    }

    pub(super) fn duplicates(&self) -> &[u32] {
        &self.duplicates
    }

    /// A SACK has reported them.
    pub(super) fn forget_duplicates(&mut self) {
        self.duplicates.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto_machine::Seed;

    use super::*;

    #[test]
    fn blocks_and_cumulative_tsn_are_those_of_a_plain_set() {
        for seed in 0..50 {
            let mut rng = Seed::from_number(seed).into_rng();
            let first = Tsn::first(u32::MAX - 100);
            let mut tracker = Tracker::new(first.wire());
            let mut set = BTreeSet::new();
            for _ in 0..300 {
                let tsn = first.plus(usize::try_from(rng.below(200)).unwrap());
                let expected = if set.insert(tsn) { Arrival::New } else { Arrival::Duplicate };
                assert_eq!(tracker.judge(tsn), expected, "seed {seed}");
                tracker.insert(tsn);
                if rng.below(50) == 0 {
                    let to = first.plus(usize::try_from(rng.below(60)).unwrap());
                    tracker.forward(to);
                    set.extend((0..=to.distance_from(first)).map(|offset| first.plus(offset)));
                }
                let cumulative = (0..).map(|offset| first.plus(offset)).find(|tsn| !set.contains(tsn)).unwrap();
                assert_eq!(tracker.cumulative().next(), cumulative, "seed {seed}");
                let named: BTreeSet<Tsn> = tracker
                    .gap_blocks()
                    .flat_map(|gap| gap.start..=gap.end)
                    .map(|offset| tracker.cumulative().plus(offset.into()))
                    .collect();
                assert_eq!(named, set.iter().copied().filter(|&tsn| tsn > cumulative).collect(), "seed {seed}");
            }
        }
    }

    #[test]
    fn gaps_are_kept_up_to_a_bound_and_what_fills_them_is_always_taken() {
        let mut tracker = Tracker::new(0);
        let first = Tsn::first(0);
        let taken = (1..10_000).step_by(2).map(|offset| first.plus(offset)).filter(|&tsn| {
            let new = tracker.judge(tsn) == Arrival::New;
            if new {
                tracker.insert(tsn);
            }
            new
        });
        assert_eq!(taken.count(), MAX_BLOCKS);
        assert_eq!(tracker.judge(first), Arrival::New);
        assert_eq!(tracker.judge(first.plus(2)), Arrival::New);
        assert_eq!(tracker.judge(first.plus(MAX_BLOCKS * 2)), Arrival::New);
        assert_eq!(tracker.judge(first.plus(MAX_BLOCKS * 2 + 1)), Arrival::Refused);
    }

    #[test]
    fn what_no_gap_block_can_name_is_refused() {
        let mut tracker = Tracker::new(7);
        assert_eq!(tracker.judge(tracker.cumulative().plus(MAX_AHEAD)), Arrival::New);
        assert_eq!(tracker.judge(tracker.cumulative().plus(MAX_AHEAD + 1)), Arrival::Refused);
    }

    #[test]
    fn duplicates_are_reported_up_to_a_bound() {
        let mut tracker = Tracker::new(7);
        tracker.insert(Tsn::first(7));
        for _ in 0..100 {
            assert_eq!(tracker.judge(Tsn::first(7)), Arrival::Duplicate);
        }
        assert_eq!(tracker.duplicates(), [7; MAX_DUPLICATES]);
    }
}
