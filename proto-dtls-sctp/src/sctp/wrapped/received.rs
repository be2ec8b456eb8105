//! Which TSNs have come, to bound what the wrapped association keeps of them.
//!
//! It sorts its queues anew for every DATA chunk, so that what waits in them must be few: chunks behind a gap, and fragments of messages that are not complete.

use std::collections::VecDeque;

/// TSNs behind the first gap that are taken in. A sender that is ahead by more sends again.
pub(super) const MAX_AHEAD: usize = 4096;
/// Chunks without gap that may come before the association has acknowledged them.
const MAX_UNACKNOWLEDGED: usize = 65_536;
/// Fragments of incomplete messages that are taken in, beside those of a message of the largest size.
const MAX_LOOSE_FRAGMENTS: usize = 64;
/// What a fragment carries at the least, on average. RFC 9260 §6.9: a sender fills its packets.
const MIN_FRAGMENT: usize = 128;

/// The flags of a DATA chunk that begins or ends a message (RFC 9260 §3.3.1).
const BEGINNING: u8 = 2;
const ENDING: u8 = 1;

/// The TSNs of the peer.
#[derive(Debug)]
pub(super) struct Received {
    /// What the association has acknowledged last.
    cumulative_tsn: u32,
    /// The flags of the chunks behind it, `None` for those that have not come.
    flags: VecDeque<Option<u8>>,
    /// How many of them there are before the first gap.
    contiguous: usize,
    /// Whether a message has begun and not ended, at the cumulative TSN.
    open: bool,
    /// Fragments that have been acknowledged, of messages that are not complete.
    incomplete: usize,
    /// Those of the message that is open.
    run: usize,
    max_incomplete: usize,
}

impl Received {
    pub(super) fn new(cumulative_tsn: u32, max_message_size: u32) -> Self {
        let max_message_size = usize::try_from(max_message_size).unwrap_or(usize::MAX);
        Self {
            cumulative_tsn,
            flags: VecDeque::new(),
            contiguous: 0,
            open: false,
            incomplete: 0,
            run: 0,
            max_incomplete: max_message_size / MIN_FRAGMENT + MAX_LOOSE_FRAGMENTS,
        }
    }

    /// Whether a TSN is near enough to be taken in. What is old or a duplicate is.
    pub(super) fn is_near(&self, tsn: u32) -> bool {
        self.index(tsn).is_none_or(|index| index < self.contiguous + MAX_AHEAD && index < MAX_UNACKNOWLEDGED)
    }

    /// A DATA chunk has been given to the association.
    pub(super) fn insert(&mut self, tsn: u32, flags: u8) {
        let Some(index) = self.index(tsn).filter(|_| self.is_near(tsn)) else { return };
        if self.flags.len() <= index {
            self.flags.resize(index + 1, None);
        }
        if let Some(entry) = self.flags.get_mut(index) {
            // Of two chunks that claim one TSN, neither is believed to begin or end a message alone.
            *entry = Some(entry.map_or(flags, |before| before & flags));
        }
        while self.flags.get(self.contiguous).is_some_and(Option::is_some) {
            self.contiguous += 1;
        }
    }

    /// The association has acknowledged everything up to here.
    pub(super) fn acknowledge(&mut self, cumulative_tsn: u32) {
        let Some(count) = forward_distance(self.cumulative_tsn, cumulative_tsn) else { return };
        for _ in 0..count.min(self.flags.len()) {
            let flags = self.flags.pop_front().flatten();
            self.count(flags);
        }
        self.cumulative_tsn = cumulative_tsn;
        // The next one is missing, whatever has been given: the association drops what it has no room for.
        self.contiguous = 0;
        if let Some(next) = self.flags.front_mut() {
            *next = None;
        }
    }

    /// RFC 3758 §3.6: the peer has given up messages, and the association has thrown their fragments away.
    pub(super) fn forward(&mut self) {
        self.incomplete = 0;
        self.run = 0;
        self.open = false;
    }

    /// Whether more fragments wait for the rest of their messages than an honest peer sends.
    pub(super) fn is_excessive(&self) -> bool {
        self.incomplete + self.run > self.max_incomplete
    }

    /// Follows the messages through their fragments, whose TSNs are sequential (RFC 9260 §6.9).
    fn count(&mut self, flags: Option<u8>) {
        let Some(flags) = flags else {
            self.open = false;
            self.run = 0;
            return;
        };
        match (flags & BEGINNING != 0, self.open) {
            (true, _) => {
                self.incomplete += self.run;
                self.run = 1;
                self.open = true;
            }
            (false, true) => self.run += 1,
            (false, false) => self.incomplete += 1,
        }
        if flags & ENDING != 0 {
            self.run = 0;
            self.open = false;
        }
    }

    /// Where the flags of a TSN belong; `None` if it has been acknowledged.
    fn index(&self, tsn: u32) -> Option<usize> {
        forward_distance(self.cumulative_tsn.wrapping_add(1), tsn)
    }
}

/// How far `to` is behind `from`; `None` if it is before it (RFC 9260 §1.6).
fn forward_distance(from: u32, to: u32) -> Option<usize> {
    let distance = to.wrapping_sub(from);
    (distance < 1 << 31).then(|| usize::try_from(distance).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u8 = BEGINNING | ENDING;

    fn acknowledged(flags: impl IntoIterator<Item = u8>) -> Received {
        let mut received = Received::new(u32::MAX, 1024);
        for (tsn, flags) in (0..).zip(flags) {
            received.insert(tsn, flags);
            received.acknowledge(tsn);
        }
        received
    }

    #[test]
    fn a_tsn_is_near_up_to_a_bound_behind_the_first_gap() {
        let mut received = Received::new(u32::MAX - 1, 1024);
        let bound = u32::try_from(MAX_AHEAD).unwrap();
        assert!(received.is_near(u32::MAX - 1) && received.is_near(u32::MAX) && received.is_near(bound - 2));
        assert!(!received.is_near(bound - 1) && !received.is_near(1 << 30));
        for tsn in [u32::MAX, 0, 1, 3] {
            received.insert(tsn, WHOLE);
        }
        assert!(received.is_near(bound + 1) && !received.is_near(bound + 2));
    }

    #[test]
    fn chunks_that_nobody_acknowledges_are_near_up_to_a_bound() {
        let mut received = Received::new(u32::MAX, 1024);
        let taken = (0..).take_while(|&tsn| {
            received.insert(tsn, WHOLE);
            received.is_near(tsn)
        });
        assert_eq!(taken.count(), MAX_UNACKNOWLEDGED);
    }

    #[test]
    fn what_the_association_has_not_acknowledged_is_missing() {
        let mut received = Received::new(u32::MAX, 1024);
        let bound = u32::try_from(MAX_AHEAD).unwrap();
        (0..100).for_each(|tsn| received.insert(tsn, WHOLE));
        assert!(received.is_near(bound + 99));
        received.acknowledge(u32::MAX);
        assert!(!received.is_near(bound));
        received.acknowledge(50);
        assert!(received.is_near(bound + 50) && !received.is_near(bound + 51));
    }

    #[test]
    fn complete_messages_are_never_too_many() {
        assert!(!acknowledged([WHOLE; 1000]).is_excessive());
        assert!(!acknowledged([BEGINNING, 0, 0, ENDING].into_iter().cycle().take(1000)).is_excessive());
    }

    #[test]
    fn fragments_whose_message_is_not_complete_are_counted() {
        let bound = 1024 / MIN_FRAGMENT + MAX_LOOSE_FRAGMENTS;
        for flags in [0, BEGINNING, ENDING] {
            assert!(!acknowledged(vec![flags; bound]).is_excessive(), "{flags}");
            assert!(acknowledged(vec![flags; bound + 1]).is_excessive(), "{flags}");
        }
        let mut one = acknowledged(std::iter::once(BEGINNING).chain(vec![0; bound]));
        assert!(one.is_excessive());
        one.forward();
        assert!(!one.is_excessive());
    }

    #[test]
    fn a_tsn_that_comes_again_with_other_flags_completes_nothing() {
        let mut received = Received::new(u32::MAX, 1024);
        for tsn in 0..1000 {
            received.insert(tsn, 0);
            received.insert(tsn, WHOLE);
            received.acknowledge(tsn);
        }
        assert!(received.is_excessive());
    }
}
