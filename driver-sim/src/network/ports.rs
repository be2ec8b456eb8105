//! The ports of one external address.

use std::ops::RangeInclusive;

/// Which of all 65,536 ports are given away: a bit for each, so that a search looks at 64 of them at a time.
#[derive(Debug)]
pub(super) struct Ports {
    used: Box<[u64; 1_024]>,
}

/// Which ports are acceptable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parity {
    /// Those of the parity of this one.
    Of(u16),
    Any,
}

impl Ports {
    pub(super) fn new() -> Self {
        Self { used: Box::new([0; 1_024]) }
    }

    pub(super) fn take(&mut self, port: u16) {
        let (word, bit) = position(port);
        self.used[word] |= 1 << bit;
    }

    pub(super) fn give_back(&mut self, port: u16) {
        let (word, bit) = position(port);
        self.used[word] &= !(1 << bit);
    }

    /// The first free port of a range from `start` on, beginning again at its beginning. A start outside of the range is its beginning.
    pub(super) fn first_free(&self, range: &RangeInclusive<u16>, start: u16, parity: Parity) -> Option<u16> {
        let (first, last) = (*range.start(), *range.end());
        let start = if range.contains(&start) { start } else { first };
        let before = start.checked_sub(1).filter(|before| range.contains(before));
        self.search(start, last, parity).or_else(|| self.search(first, before?, parity))
    }

    fn search(&self, first: u16, last: u16, parity: Parity) -> Option<u16> {
        let acceptable = match parity {
            Parity::Any => u64::MAX,
            Parity::Of(port) if port % 2 == 0 => u64::MAX / 3,
            Parity::Of(_) => u64::MAX / 3 * 2,
        };
        let ((first_word, first_bit), (last_word, last_bit)) = (position(first), position(last));
        (first_word..=last_word).find_map(|word| {
            let from = if word == first_word { u64::MAX << first_bit } else { u64::MAX };
            let to = if word == last_word { u64::MAX >> (63 - last_bit) } else { u64::MAX };
            let free = !self.used[word] & acceptable & from & to;
            let port = u16::try_from(word * 64).ok()?.checked_add(u16::try_from(free.trailing_zeros()).ok()?)?;
            (free != 0).then_some(port)
        })
    }
}

const fn position(port: u16) -> (usize, u32) {
    ((port / 64) as usize, (port % 64) as u32)
}

#[cfg(test)]
mod tests {
    use proto_machine::Seed;

    use super::*;

    /// The same, one port after the other.
    fn reference(used: &[u16], range: &RangeInclusive<u16>, start: u16, parity: Parity) -> Option<u16> {
        let ports: Vec<u16> = range.clone().collect();
        let skipped = ports.iter().position(|&port| port == start).unwrap_or(0);
        let is_acceptable = |port: u16| match parity {
            Parity::Any => true,
            Parity::Of(other) => port % 2 == other % 2,
        };
        ports
            .iter()
            .cycle()
            .skip(skipped)
            .take(ports.len())
            .copied()
            .find(|port| is_acceptable(*port) && !used.contains(port))
    }

    #[test]
    fn the_search_finds_what_a_search_one_by_one_finds() {
        let mut rng = Seed::from_number(1).into_rng();
        let mut below = |bound: u64| u16::try_from(rng.below(bound)).unwrap();
        for round in 0..2_000_u32 {
            let first = if round % 4 == 0 { u16::MAX - below(200) } else { below(65_000) };
            let range = first..=first.saturating_add(below(300));
            let mut ports = Ports::new();
            let share = u64::from(below(5)) + 1;
            let used: Vec<u16> = range.clone().filter(|_| below(share) != 0 || share == 1).collect();
            used.iter().for_each(|&port| ports.take(port));
            for parity in [Parity::Any, Parity::Of(0), Parity::Of(1)] {
                let start = first.saturating_add(below(310)).saturating_sub(5);
                let expected = reference(&used, &range, start, parity);
                assert_eq!(ports.first_free(&range, start, parity), expected, "{range:?} {start} {parity:?} {used:?}");
            }
        }
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what it is about")]
    fn an_empty_range_has_no_free_port() {
        assert_eq!(Ports::new().first_free(&(5..=4), 5, Parity::Any), None);
    }

    #[test]
    fn a_port_that_is_given_back_is_free_again() {
        let mut ports = Ports::new();
        let find = |ports: &Ports| ports.first_free(&(7..=7), 7, Parity::Of(7));
        ports.take(7);
        assert_eq!(find(&ports), None);
        ports.give_back(7);
        assert_eq!(find(&ports), Some(7));
    }
}
