//! The queues of all streams, in one table.
//!
//! A queue that is empty takes no memory, however long it was once. And what comes into a queue lies where something was taken out last, which is still in the cache: queues with memory of
//! their own would be spread over that of ten thousand streams.

/// Entries for which an empty table keeps its memory.
const KEPT: usize = 64;

/// The entries of all queues.
#[derive(Debug)]
pub(super) struct Entries<T> {
    slots: Vec<Slot<T>>,
    /// The first of the free slots, each of which names the next.
    free: Option<usize>,
    used: usize,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    /// The slot behind this one, in its queue or among the free ones.
    next: Option<usize>,
}

/// A queue. What is in it stands in the [`Entries`] that it was put in by.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ends: Option<Ends>,
    length: usize,
}

/// The first slot and the last.
#[derive(Clone, Copy, Debug)]
struct Ends {
    first: usize,
    last: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: None, used: 0 }
    }
}

impl<T> Entries<T> {
    pub(super) fn push_back(&mut self, queue: &mut Queue, value: T) {
        let index = self.occupy(value);
        match &mut queue.ends {
            Some(ends) => {
                if let Some(last) = self.slots.get_mut(ends.last) {
                    last.next = Some(index);
                }
                ends.last = index;
            }
            None => queue.ends = Some(Ends { first: index, last: index }),
        }
        queue.length += 1;
    }

    pub(super) fn pop_front(&mut self, queue: &mut Queue) -> Option<T> {
        let Ends { first, last } = queue.ends?;
        let slot = self.slots.get_mut(first)?;
        let value = slot.value.take();
        let next = std::mem::replace(&mut slot.next, self.free.replace(first));
        queue.ends = next.map(|first| Ends { first, last });
        queue.length -= 1;
        self.used -= 1;
        if self.used == 0 {
            self.release();
        }
        value
    }

    pub(super) fn front(&self, queue: &Queue) -> Option<&T> {
        self.slots.get(queue.ends?.first)?.value.as_ref()
    }

    pub(super) fn front_mut(&mut self, queue: &Queue) -> Option<&mut T> {
        self.slots.get_mut(queue.ends?.first)?.value.as_mut()
    }

    /// Puts a value into a free slot, or into a new one.
    fn occupy(&mut self, value: T) -> usize {
        self.used += 1;
        let occupied = Slot { value: Some(value), next: None };
        if let Some(index) = self.free
            && let Some(slot) = self.slots.get_mut(index)
        {
            self.free = std::mem::replace(slot, occupied).next;
            return index;
        }
        self.slots.push(occupied);
        self.slots.len() - 1
    }

    /// All queues are empty.
    fn release(&mut self) {
        self.free = None;
        self.slots.clear();
        self.slots.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proto_machine::Seed;

    use super::*;

    #[test]
    fn queues_in_one_table_behave_as_queues_of_their_own() {
        let mut rng = Seed::from_number(3).into_rng();
        let mut entries = Entries::default();
        let mut queues: [(Queue, VecDeque<u64>); 5] = Default::default();
        for round in 0..20_000 {
            // Longer and shorter in turn, down to nothing.
            let grows = round / 1_000 % 2 == 0;
            let (queue, model) = &mut queues[usize::try_from(rng.below(5)).unwrap()];
            if rng.below(10) < if grows { 7 } else { 2 } {
                entries.push_back(queue, round);
                model.push_back(round);
            } else {
                assert_eq!(entries.front(queue), model.front());
                if let (Some(front), Some(expected)) = (entries.front_mut(queue), model.front_mut()) {
                    (*front, *expected) = (*front + 1, *expected + 1);
                }
                assert_eq!(entries.pop_front(queue), model.pop_front());
            }
            assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            assert_eq!(entries.used, queues.iter().map(|(_, model)| model.len()).sum::<usize>());
        }
    }

    #[test]
    fn a_table_takes_as_many_slots_as_were_ever_used_at_a_time_and_gives_them_back_when_it_is_empty() {
        let mut entries = Entries::default();
        let mut queues: Vec<Queue> = (0..1_000).map(|_| Queue::default()).collect();
        for queue in &mut queues {
            (0..50).for_each(|value| entries.push_back(queue, value));
            (0..49).for_each(|value| assert_eq!(entries.pop_front(queue), Some(value)));
        }
        assert_eq!(entries.slots.len(), 999 + 50);
        for queue in &mut queues {
            assert_eq!(entries.pop_front(queue), Some(49));
        }
        assert!(entries.slots.is_empty() && entries.slots.capacity() <= KEPT);
    }
}
