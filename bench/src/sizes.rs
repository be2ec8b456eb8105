//! The lengths of datagrams: they decide a comparison if they differ.

use serde::Serialize;

/// How many datagrams there were of each length.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    counts: Vec<u64>,
    /// All of them.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The short of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SizesSeen {
    /// The longest datagram, in bytes.
    pub largest: usize,
    /// The length that came most often, in bytes.
    pub most_common: usize,
}

impl Sizes {
    /// Takes in the length of a datagram.
    pub fn note(&mut self, length: usize) {
        if self.counts.len() <= length {
            self.counts.resize((length + 1).next_multiple_of(2_048), 0);
        }
        self.counts[length] += 1;
        self.count += 1;
        self.bytes += length as u64;
    }

    /// Takes in those of another.
    pub fn add(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        self.count += other.count;
        self.bytes += other.bytes;
    }

    /// The longest and the most common.
    #[must_use]
    pub fn seen(&self) -> SizesSeen {
        let largest = self.counts.iter().rposition(|&count| count > 0).unwrap_or_default();
        let most_common = (0..self.counts.len()).max_by_key(|&length| self.counts[length]).unwrap_or_default();
        SizesSeen { largest, most_common }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_the_most_common_length_are_told() {
        let (mut one, mut other) = (Sizes::default(), Sizes::default());
        [100, 1_200, 1_200].into_iter().for_each(|length| one.note(length));
        [100, 100, 9_000].into_iter().for_each(|length| other.note(length));
        assert_eq!(one.seen(), SizesSeen { largest: 1_200, most_common: 1_200 });
        one.add(&other);
        assert_eq!(one.seen(), SizesSeen { largest: 9_000, most_common: 100 });
        assert_eq!((one.count, one.bytes), (6, 11_700));
    }
}
