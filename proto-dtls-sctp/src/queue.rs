//! Queues of which there is one for each stream.

use std::collections::VecDeque;

/// Entries for which an empty queue keeps its memory.
const KEPT: usize = 16;

/// Gives most of the memory of a queue back once it is empty: there may be thousands, and each may have been long once.
pub(crate) fn release_if_empty<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > KEPT {
        queue.shrink_to(KEPT);
    }
}
