//! A table by stream number, with a cost of access that does not depend on how many streams there are.

/// Streams in a page: few connections have more channels, and an entry takes a hundred bytes whether it is used or not.
const PAGE: usize = 16;

/// At most one entry for each of the 65,536 streams. Memory is taken by pages, where entries are.
#[derive(Debug)]
pub(super) struct StreamMap<T> {
    pages: Vec<Option<Box<[Option<T>; PAGE]>>>,
}

impl<T> Default for StreamMap<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

fn split(stream: u16) -> (usize, usize) {
    (usize::from(stream) / PAGE, usize::from(stream) % PAGE)
}

impl<T> StreamMap<T> {
    pub(super) fn get(&self, stream: u16) -> Option<&T> {
        let (page, index) = split(stream);
        self.pages.get(page)?.as_ref()?.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, stream: u16) -> Option<&mut T> {
        let (page, index) = split(stream);
        self.pages.get_mut(page)?.as_mut()?.get_mut(index)?.as_mut()
    }

    pub(super) fn contains(&self, stream: u16) -> bool {
        self.get(stream).is_some()
    }

    /// The entry of a stream, made if there is none.
    pub(super) fn entry(&mut self, stream: u16) -> &mut T
    where
        T: Default,
    {
        let (page, index) = split(stream);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        #[expect(clippy::indexing_slicing, reason = "the page was just made, and the index is below its length")]
        let slot = &mut self.pages[page].get_or_insert_with(|| Box::new([const { None }; PAGE]))[index];
        slot.get_or_insert_default()
    }

    pub(super) fn remove(&mut self, stream: u16) -> Option<T> {
        let (page, index) = split(stream);
        let slot = self.pages.get_mut(page)?;
        let removed = slot.as_mut()?.get_mut(index)?.take();
        if slot.as_ref().is_some_and(|page| page.iter().all(Option::is_none)) {
            *slot = None;
        }
        removed
    }

    /// The streams that have an entry, in order.
    pub(super) fn streams(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).take(self.pages.len() * PAGE).filter(|&stream| self.contains(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_under_their_stream_and_nowhere_else() {
        let mut map = StreamMap::default();
        for stream in [0, 63, 64, 1000, u16::MAX] {
            *map.entry(stream) = u32::from(stream) + 1;
        }
        assert_eq!(map.streams().collect::<Vec<_>>(), [0, 63, 64, 1000, u16::MAX]);
        assert_eq!(map.get(64), Some(&65));
        assert_eq!(map.get(65), None);
        assert_eq!(map.remove(64), Some(65));
        assert!(!map.contains(64) && map.contains(63));
        assert_eq!(map.remove(64), None);
    }

    #[test]
    fn a_page_without_entries_takes_no_memory() {
        let mut map: StreamMap<u8> = StreamMap::default();
        map.entry(500);
        map.remove(500);
        assert!(map.pages.iter().all(Option::is_none));
    }
}
