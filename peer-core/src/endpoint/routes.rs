//! Which peer a datagram on a shared socket belongs to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proto_machine::{Path, Timestamp};

use super::PeerId;
use super::peek::TransactionId;

/// How long the answer to a request is waited for: the 7 requests of RFC 8489 §6.2.1 with their last wait take 39.5 s.
const TRANSACTION_LIFETIME: Duration = Duration::from_millis(39_500);

/// Three indexes. Nothing in here moves on the word of a datagram alone: a path is only given to a peer that has authenticated it.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_path: BTreeMap<Path, PeerId>,
    by_fragment: BTreeMap<String, PeerId>,
    by_transaction: BTreeMap<TransactionId, PeerId>,
    /// When to forget transactions, oldest first.
    transactions: VecDeque<(Timestamp, TransactionId)>,
}

impl Routes {
    pub(super) fn add_fragment(&mut self, fragment: &str, peer: PeerId) {
        self.by_fragment.insert(fragment.to_owned(), peer);
    }

    pub(super) fn by_fragment(&self, fragment: &str) -> Option<PeerId> {
        self.by_fragment.get(fragment).copied()
    }

    pub(super) fn by_path(&self, path: &Path) -> Option<PeerId> {
        self.by_path.get(path).copied()
    }

    pub(super) fn by_transaction(&self, transaction: &TransactionId) -> Option<PeerId> {
        self.by_transaction.get(transaction).copied()
    }

    /// Gives a path to a peer, from whoever has it.
    pub(super) fn set_path(&mut self, path: Path, peer: PeerId) {
        self.by_path.insert(path, peer);
    }

    /// Remembers who sent a request, at most `bound` of them; the oldest is forgotten.
    pub(super) fn learn_transaction(&mut self, now: Timestamp, id: TransactionId, peer: PeerId, bound: usize) {
        while let Some(&(at, oldest)) = self.transactions.front() {
            if now - at < TRANSACTION_LIFETIME && self.transactions.len() < bound {
                break;
            }
            self.transactions.pop_front();
            self.by_transaction.remove(&oldest);
        }
        // A retransmission keeps the id and the age of its first transmission.
        if self.by_transaction.insert(id, peer).is_none() {
            self.transactions.push_back((now, id));
        }
    }

    /// Forgets the fragment and the paths of a peer. Its transactions age out: their answers find nobody.
    pub(super) fn remove(&mut self, peer: PeerId, fragment: &str, paths: &[Path]) {
        self.by_fragment.remove(fragment);
        for path in paths {
            if self.by_path(path) == Some(peer) {
                self.by_path.remove(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_peer_takes_only_its_own_paths_with_it() {
        let path = |port: u16| Path::udp("127.0.0.1:1".parse().unwrap(), ([127, 0, 0, 1], port).into());
        let mut routes = Routes::default();
        routes.add_fragment("one", PeerId(1));
        routes.set_path(path(5), PeerId(1));
        routes.set_path(path(6), PeerId(1));
        routes.set_path(path(6), PeerId(2));
        routes.remove(PeerId(1), "one", &[path(5), path(6)]);
        assert_eq!(routes.by_fragment("one"), None);
        assert_eq!(routes.by_path(&path(5)), None);
        assert_eq!(routes.by_path(&path(6)), Some(PeerId(2)));
    }

    #[test]
    fn transactions_are_bounded_in_number_and_age() {
        let mut routes = Routes::default();
        for number in 0..100u8 {
            routes.learn_transaction(Timestamp::ZERO, [number; 12], PeerId(1), 10);
        }
        assert_eq!((routes.by_transaction.len(), routes.transactions.len()), (10, 10));
        assert_eq!(routes.by_transaction(&[99; 12]), Some(PeerId(1)));
        assert_eq!(routes.by_transaction(&[0; 12]), None);
        routes.learn_transaction(Timestamp::ZERO + TRANSACTION_LIFETIME, [200; 12], PeerId(1), 10);
        assert_eq!((routes.by_transaction.len(), routes.transactions.len()), (1, 1));
    }
}
