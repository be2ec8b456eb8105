//! Tables whose entries expire.

use std::collections::{BTreeMap, BTreeSet};

use proto_machine::Timestamp;

/// Entries by key, and by when they expire: looking up, prolonging and forgetting cost the logarithm of their number.
///
/// An entry that has expired counts for nothing, whether or not it was [forgotten](Self::pop_expired) yet.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: BTreeMap<K, (Timestamp, V)>,
    ages: BTreeSet<(Timestamp, K)>,
}

impl<K: Copy + Ord, V> Expiring<K, V> {
    pub(super) const fn new() -> Self {
        Self { entries: BTreeMap::new(), ages: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, now: Timestamp, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|(expires, _)| *expires > now).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, now: Timestamp, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|(expires, _)| *expires > now).map(|(_, value)| value)
    }

    /// The entries that are alive, in the order of their keys from this one on.
    pub(super) fn range_from(&self, now: Timestamp, key: K) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.entries.range(key..);
        entries.filter(move |(_, (expires, _))| *expires > now).map(|(key, (_, value))| (key, value))
    }

    pub(super) fn iter(&self, now: Timestamp) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.entries.iter();
        entries.filter(move |(_, (expires, _))| *expires > now).map(|(key, (_, value))| (key, value))
    }

    pub(super) fn insert(&mut self, key: K, value: V, expires: Timestamp) {
        if let Some((old, _)) = self.entries.insert(key, (expires, value)) {
            self.ages.remove(&(old, key));
        }
        self.ages.insert((expires, key));
    }

    /// Lets an entry expire at another time.
    pub(super) fn prolong(&mut self, key: K, until: Timestamp) {
        if let Some((expires, _)) = self.entries.get_mut(&key) {
            let old = std::mem::replace(expires, until);
            self.ages.remove(&(old, key));
            self.ages.insert((until, key));
        }
    }

    /// Forgets the entry that has expired first, if one has.
    pub(super) fn pop_expired(&mut self, now: Timestamp) -> Option<(K, V)> {
        let &(_, key) = self.ages.first().filter(|(expires, _)| *expires <= now)?;
        self.ages.pop_first();
        self.entries.remove(&key).map(|(_, value)| (key, value))
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.ages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_millis(milliseconds)
    }

    #[test]
    fn an_entry_is_there_until_it_expires_and_longer_if_prolonged() {
        let mut table = Expiring::new();
        table.insert(1, "one", at(10));
        table.insert(2, "two", at(20));
        assert_eq!((table.get(at(9), &1), table.get(at(10), &1)), (Some(&"one"), None));
        table.prolong(1, at(30));
        assert_eq!(table.pop_expired(at(25)), Some((2, "two")));
        assert_eq!(table.pop_expired(at(25)), None);
        assert_eq!(table.iter(at(25)).collect::<Vec<_>>(), [(&1, &"one")]);
        assert_eq!(table.iter(at(30)).count(), 0);
        assert_eq!(table.pop_expired(at(30)), Some((1, "one")));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn an_entry_that_is_replaced_expires_once() {
        let mut table = Expiring::new();
        table.insert(1, "old", at(10));
        table.insert(1, "new", at(20));
        assert_eq!(table.pop_expired(at(15)), None);
        assert_eq!(table.pop_expired(at(20)), Some((1, "new")));
        assert_eq!(table.pop_expired(at(20)), None);
    }
}
