//! Payload that arrives before its path is validated: ours is the slower of two checks that crossed.

use std::collections::VecDeque;

use proto_machine::Path;

/// The largest datagram that is held, in bytes: more than any path carries unfragmented.
const MAXIMUM_LENGTH: usize = 2048;

/// A handful of datagrams, in order of arrival.
#[derive(Debug)]
pub(crate) struct Held {
    waiting: VecDeque<(Path, Vec<u8>)>,
    ready: VecDeque<Vec<u8>>,
    limit: usize,
}

impl Held {
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: VecDeque::new(), ready: VecDeque::new(), limit }
    }

    /// Holds a datagram; says whether there was room.
    #[must_use]
    pub(crate) fn hold(&mut self, path: Path, datagram: &[u8]) -> bool {
        let has_room = self.waiting.len() + self.ready.len() < self.limit && datagram.len() <= MAXIMUM_LENGTH;
        if has_room {
            self.waiting.push_back((path, datagram.to_vec()));
        }
        has_room
    }

    /// The path is validated: what came over it may be handed up. Returned are the lengths.
    pub(crate) fn validated(&mut self, path: Path) -> Vec<usize> {
        let mut lengths = Vec::new();
        for (from, datagram) in std::mem::take(&mut self.waiting) {
            if from == path {
                lengths.push(datagram.len());
                self.ready.push_back(datagram);
            } else {
                self.waiting.push_back((from, datagram));
            }
        }
        lengths
    }

    /// The path will not be validated.
    pub(crate) fn discard(&mut self, path: Path) {
        self.retain(|from| *from != path);
    }

    /// The paths for which `may_be_validated` says no will not be validated.
    pub(crate) fn retain(&mut self, may_be_validated: impl Fn(&Path) -> bool) {
        self.waiting.retain(|(from, _)| may_be_validated(from));
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.ready.clear();
    }

    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }
}
