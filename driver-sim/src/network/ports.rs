//! The ports of one external address.

use std::ops::RangeInclusive;

/// Which ports of a range are given away: a bit for each of all 65,536, so that a search looks at 64 of them at a time.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    used: Box<[u64; 1_024]>,
    /// How many even and how many odd ones are free: a search that would find none is not begun.
    free: [usize; 2],
    /// The port after the one that was given away last, from which a sequential search begins.
    next: u16,
    /// How many words searches have looked at.
    #[cfg(test)]
    visited: std::cell::Cell<usize>,
}

/// Which ports are acceptable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parity {
    /// Those of the parity of this one.
    Of(u16),
    Any,
}

impl Ports {
    pub(super) fn new(range: RangeInclusive<u16>) -> Self {
        let count = |parity| range.clone().filter(|port| port % 2 == parity).count();
        Self {
            used: Box::new([0; 1_024]),
            free: [count(0), count(1)],
            next: *range.start(),
            range,
            #[cfg(test)]
            visited: std::cell::Cell::new(0),
        }
    }

    pub(super) fn next(&self) -> u16 {
        self.next
    }

    /// Gives away a port of the range.
    pub(super) fn take(&mut self, port: u16) {
        let (word, bit) = position(port);
        if self.used[word] & (1 << bit) == 0 {
            self.used[word] |= 1 << bit;
            self.free[usize::from(port % 2)] -= 1;
        }
        self.next = port.checked_add(1).unwrap_or(*self.range.start());
    }

    pub(super) fn give_back(&mut self, port: u16) {
        let (word, bit) = position(port);
        if self.used[word] & (1 << bit) != 0 {
            self.used[word] &= !(1 << bit);
            self.free[usize::from(port % 2)] += 1;
        }
    }

    /// All ports are free again; a sequential search goes on where it was.
    pub(super) fn give_back_all(&mut self) {
        *self = Self { next: self.next, ..Self::new(self.range.clone()) };
    }

    /// The first free port from `start` on, beginning again at the beginning of the range. A start outside of the range is its beginning.
    pub(super) fn first_free(&self, start: u16, parity: Parity) -> Option<u16> {
        let free = match parity {
            Parity::Of(port) => self.free[usize::from(port % 2)],
            Parity::Any => self.free[0] + self.free[1],
        };
        if free == 0 {
            return None;
        }
        let (first, last) = (*self.range.start(), *self.range.end());
        let start = if self.range.contains(&start) { start } else { first };
        let before = start.checked_sub(1).filter(|before| self.range.contains(before));
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
            #[cfg(test)]
            self.visited.update(|visited| visited + 1);
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
            let mut ports = Ports::new(range.clone());
            let share = u64::from(below(5)) + 1;
            let used: Vec<u16> = range.clone().filter(|_| below(share) != 0 || share == 1).collect();
            used.iter().for_each(|&port| ports.take(port));
            for parity in [Parity::Any, Parity::Of(0), Parity::Of(1)] {
                let start = first.saturating_add(below(310)).saturating_sub(5);
                let expected = reference(&used, &range, start, parity);
                assert_eq!(ports.first_free(start, parity), expected, "{range:?} {start} {parity:?} {used:?}");
            }
        }
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what it is about")]
    fn an_empty_range_has_no_free_port() {
        assert_eq!(Ports::new(5..=4).first_free(5, Parity::Any), None);
    }

    #[test]
    fn a_port_that_is_given_back_is_free_again() {
        let mut ports = Ports::new(7..=7);
        let find = |ports: &Ports| ports.first_free(7, Parity::Of(7));
        ports.take(7);
        assert_eq!(find(&ports), None);
        ports.give_back(7);
        assert_eq!(find(&ports), Some(7));
    }

    #[test]
    fn when_all_ports_are_given_away_a_refusal_costs_no_search() {
        let mut ports = Ports::new(1_024..=u16::MAX);
        let visited = |ports: &Ports, parity| {
            ports.visited.set(0);
            (ports.first_free(5_000, parity), ports.visited.get())
        };
        (1_024..=u16::MAX).filter(|port| port % 2 == 1).for_each(|port| ports.take(port));
        assert_eq!(visited(&ports, Parity::Of(1)), (None, 0));
        assert_eq!(visited(&ports, Parity::Any), (Some(5_000), 1));
        (1_024..=u16::MAX).filter(|port| port % 2 == 0).for_each(|port| ports.take(port));
        for parity in [Parity::Of(0), Parity::Of(1), Parity::Any] {
            assert_eq!(visited(&ports, parity), (None, 0), "{parity:?}");
        }
        // At worst, all words of the range, and that of the start twice.
        ports.give_back(4_998);
        assert_eq!(visited(&ports, Parity::Any), (Some(4_998), 1_024 - 5_000 / 64 + 4_998 / 64 - 16 + 1));
        ports.give_back_all();
        assert_eq!(ports.first_free(u16::MAX, Parity::Of(1)), Some(u16::MAX));
    }
}
