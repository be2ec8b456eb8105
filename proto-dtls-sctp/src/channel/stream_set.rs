//! Sets of streams.

/// Streams in a word.
const WORD: u16 = 64;

/// A set of streams with a cost of access that does not depend on how many there are: a bit for each up to the highest that was ever in it.
#[derive(Debug, Default)]
pub(super) struct StreamSet {
    words: Vec<u64>,
}

fn split(stream: u16) -> (usize, u64) {
    (usize::from(stream / WORD), 1 << (stream % WORD))
}

impl StreamSet {
    /// Whether it was not in there.
    pub(super) fn insert(&mut self, stream: u16) -> bool {
        let (index, bit) = split(stream);
        if self.words.len() <= index {
            self.words.resize(index + 1, 0);
        }
        let Some(word) = self.words.get_mut(index) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(super) fn remove(&mut self, stream: u16) {
        let (index, bit) = split(stream);
        if let Some(word) = self.words.get_mut(index) {
            *word &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto_machine::Seed;

    use super::*;

    #[test]
    fn it_behaves_as_any_other_set() {
        let mut rng = Seed::from_number(1).into_rng();
        let (mut set, mut model) = (StreamSet::default(), BTreeSet::new());
        let streams = [0, 1, 63, 64, 65, 1000, u16::MAX - 1, u16::MAX];
        for _ in 0..10_000 {
            let stream = streams[usize::try_from(rng.below(streams.len() as u64)).unwrap()];
            if rng.below(2) == 0 {
                assert_eq!(set.insert(stream), model.insert(stream));
            } else {
                set.remove(stream);
                model.remove(&stream);
            }
        }
    }
}
