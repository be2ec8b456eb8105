//! Transmission sequence numbers.

/// A TSN, continued beyond the 32 bits of the wire: numbers of one direction compare as plain numbers (RFC 9260 §1.6 without the wrap).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Tsn(u64);

impl Tsn {
    /// The first one of a direction. What lies before it has room below.
    pub(crate) fn first(wire: u32) -> Self {
        Self((1 << 32) + u64::from(wire))
    }

    /// The number nearest to `self` that looks like this on the wire. One exactly between two is taken to be the earlier.
    pub(crate) fn nearest(self, wire: u32) -> Self {
        let ahead = wire.wrapping_sub(self.wire());
        let behind = ahead.wrapping_neg();
        if ahead < behind { Self(self.0 + u64::from(ahead)) } else { Self(self.0.saturating_sub(behind.into())) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are what goes on the wire")]
    pub(crate) fn wire(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How far `self` is behind `earlier`; 0 if it is before it.
    pub(crate) fn distance_from(self, earlier: Self) -> usize {
        usize::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(usize::MAX)
    }

    pub(crate) fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(count as u64))
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_across_the_wrap() {
        let last = Tsn::first(u32::MAX);
        assert_eq!(last.next().wire(), 0);
        assert!(last.nearest(5) > last && last.nearest(5).distance_from(last) == 6);
        assert_eq!(last.nearest(5).nearest(u32::MAX), last);
        assert_eq!(last.nearest(u32::MAX), last);
    }

    #[test]
    fn what_lies_half_the_space_ahead_is_taken_to_be_old() {
        let zero = Tsn::first(0);
        assert!(zero.nearest(1 << 31) < zero);
        assert!(zero.nearest((1 << 31) - 1) > zero);
        assert!(zero.nearest(u32::MAX) < zero);
    }
}
