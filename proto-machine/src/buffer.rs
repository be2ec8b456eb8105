//! The buffer that datagrams are written into, once.

use std::num::NonZeroUsize;

use crate::Segments;

/// Bytes that a layer needs around what the layer above it writes: headers in front, tags and padding behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// Bytes in front of the payload.
    pub head: usize,
    /// Bytes behind the payload.
    pub tail: usize,
}

/// A batch of datagrams for one path, contiguous in memory, each written once.
///
/// The outermost layer owns the wire. Each layer calls [`with_room`](Self::with_room) around the layer above it, and then finishes its own headers and tags in place
/// with [`segments_mut`](Self::segments_mut). The innermost layer opens datagrams with [`segment`](Self::segment):
///
/// ```
/// use proto_machine::{Room, TransmitBuffer};
///
/// let mut buffer = TransmitBuffer::new(1200);
/// buffer.with_room(Room { head: 1, tail: 2 }, |buffer| {
///     let mut segment = buffer.segment().expect("an empty buffer has room");
///     if segment.put(b"payload") {
///         segment.finish();
///     }
/// });
/// for segment in buffer.segments_mut() {
///     segment[0] = b'<';
///     let end = segment.len();
///     segment[end - 2..].copy_from_slice(b"/>");
/// }
/// assert_eq!(buffer.bytes(), b"<payload/>");
/// ```
///
/// All datagrams of a batch have the length of the first, but the last may be shorter; a shorter one closes the batch.
#[derive(Debug)]
pub struct TransmitBuffer {
    bytes: Vec<u8>,
    /// The largest datagram the path takes, in bytes.
    datagram_capacity: usize,
    /// What the layers around the current one have asked for.
    room: Room,
    /// Length of the first datagram, all rooms included.
    stride: usize,
    count: usize,
    /// A datagram shorter than the stride has been written: nothing may follow it.
    closed: bool,
}

impl TransmitBuffer {
    /// The most datagrams in one batch: what Linux takes in one segmented send.
    pub const MAX_SEGMENTS: usize = 64;

    /// A buffer for datagrams of at most `datagram_capacity` bytes of UDP payload.
    #[must_use]
    pub fn new(datagram_capacity: usize) -> Self {
        Self { bytes: Vec::new(), datagram_capacity, room: Room::default(), stride: 0, count: 0, closed: false }
    }

    /// Forgets all datagrams; memory is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.room = Room::default();
        self.stride = 0;
        self.count = 0;
        self.closed = false;
    }

    /// The datagrams, one behind the other, as [`Segments`] divides them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The datagrams one by one, as they go on the wire.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        // An empty buffer has no stride; `chunks` wants one all the same.
        self.bytes.chunks(self.stride.max(1))
    }

    /// How the bytes divide into datagrams; `None` if there are none.
    #[must_use]
    pub fn segments(&self) -> Option<Segments> {
        Some(Segments { size: NonZeroUsize::new(self.stride)?, count: NonZeroUsize::new(self.count)? })
    }

    /// The largest datagram of the path, in bytes of UDP payload.
    #[must_use]
    pub fn datagram_capacity(&self) -> usize {
        self.datagram_capacity
    }

    /// The most bytes that the current layer can write into one datagram: what the path takes, less the room that the layers around it need.
    #[must_use]
    pub fn payload_capacity(&self) -> usize {
        self.datagram_capacity.saturating_sub(self.room.head + self.room.tail)
    }

    /// Leaves `room` around every datagram that `write` opens. Nested calls add up.
    pub fn with_room<R>(&mut self, room: Room, write: impl FnOnce(&mut Self) -> R) -> R {
        let outer = self.room;
        self.room = Room { head: outer.head + room.head, tail: outer.tail + room.tail };
        let result = write(self);
        self.room = outer;
        result
    }

    /// Opens the next datagram. `None` if the batch is closed or full: send it, then ask again.
    ///
    /// A datagram that is dropped without [`SegmentWriter::finish`] leaves no trace.
    pub fn segment(&mut self) -> Option<SegmentWriter<'_>> {
        if self.closed || self.count == Self::MAX_SEGMENTS {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.resize(start + self.room.head, 0);
        let capacity = if self.count == 0 { self.datagram_capacity } else { self.stride };
        let limit = capacity.saturating_sub(self.room.tail);
        Some(SegmentWriter { start, limit: start + limit, finished: false, buffer: self })
    }

    /// Writes a datagram that is ready. `false`, and nothing written, if it is empty, does not fit, or the batch is closed or full.
    #[must_use = "a datagram that does not fit is not written"]
    pub fn push(&mut self, payload: &[u8]) -> bool {
        let Some(mut segment) = self.segment() else { return false };
        let fits = !payload.is_empty() && segment.put(payload);
        if fits {
            segment.finish();
        }
        fits
    }

    /// Each datagram as the current layer sees it: its own room and what was written inside, without the room of the layers around it.
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let Room { head, tail } = self.room;
        self.bytes.chunks_mut(self.stride.max(1)).filter_map(move |datagram| {
            let end = datagram.len().checked_sub(tail)?;
            datagram.get_mut(head..end)
        })
    }
}

/// A datagram that is being written. Made by [`TransmitBuffer::segment`].
#[derive(Debug)]
pub struct SegmentWriter<'a> {
    buffer: &'a mut TransmitBuffer,
    /// Where the datagram begins in the buffer, the head room included.
    start: usize,
    /// Where the payload must end at the latest.
    limit: usize,
    finished: bool,
}

impl SegmentWriter<'_> {
    /// How many more bytes fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.limit.saturating_sub(self.buffer.bytes.len())
    }

    /// Appends `bytes` if they fit whole, and says whether they did.
    #[must_use = "bytes that do not fit are not written"]
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.remaining();
        if fits {
            self.buffer.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// What has been written so far, without the head room.
    #[must_use]
    pub fn written(&mut self) -> &mut [u8] {
        let start = self.start + self.buffer.room.head;
        self.buffer.bytes.get_mut(start..).unwrap_or_default()
    }

    /// Completes the datagram. One without payload is discarded.
    pub fn finish(mut self) {
        if self.written().is_empty() {
            return;
        }
        self.finished = true;
        let buffer = &mut *self.buffer;
        let end = buffer.bytes.len() + buffer.room.tail;
        buffer.bytes.resize(end, 0);
        let length = end - self.start;
        if buffer.count == 0 {
            buffer.stride = length;
        }
        buffer.closed = length < buffer.stride;
        buffer.count += 1;
    }
}

impl Drop for SegmentWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.buffer.bytes.truncate(self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_nested_layers_add_up_and_each_layer_sees_its_own() {
        let mut buffer = TransmitBuffer::new(20);
        buffer.with_room(Room { head: 2, tail: 1 }, |buffer| {
            buffer.with_room(Room { head: 3, tail: 4 }, |buffer| {
                assert_eq!(buffer.payload_capacity(), 10);
                assert!(buffer.push(b"abcdefghij"));
                assert!(buffer.push(b"xyz"));
            });
            for segment in buffer.segments_mut() {
                segment[..3].fill(b'i');
                let end = segment.len();
                segment[end - 4..].fill(b'I');
            }
        });
        for segment in buffer.segments_mut() {
            segment[..2].fill(b'o');
            let end = segment.len();
            segment[end - 1] = b'O';
        }
        let datagrams: Vec<_> = buffer.datagrams().collect();
        assert_eq!(datagrams, [&b"ooiiiabcdefghijIIIIO"[..], &b"ooiiixyzIIIIO"[..]]);
        assert_eq!(buffer.segments().map(|segments| (segments.size.get(), segments.count.get())), Some((20, 2)));
    }

    #[test]
    fn a_datagram_shorter_than_the_first_closes_the_batch() {
        let mut buffer = TransmitBuffer::new(10);
        assert!(buffer.push(b"12345"));
        assert!(buffer.push(b"12345"));
        assert!(buffer.push(b"123"));
        assert!(buffer.segment().is_none());
        buffer.clear();
        assert!(buffer.is_empty() && buffer.push(b"1"));
    }

    #[test]
    fn a_datagram_never_exceeds_the_first_nor_the_path() {
        let mut buffer = TransmitBuffer::new(10);
        assert!(!buffer.push(b"12345678901"));
        assert!(buffer.is_empty() && buffer.bytes().is_empty());
        assert!(buffer.push(b"12345"));
        assert!(!buffer.push(b"123456"));
        assert_eq!(buffer.bytes(), b"12345");
    }

    #[test]
    fn an_unfinished_or_empty_datagram_leaves_no_trace() {
        let mut buffer = TransmitBuffer::new(10);
        buffer.with_room(Room { head: 2, tail: 2 }, |buffer| {
            drop(buffer.segment());
            buffer.segment().unwrap().finish();
        });
        assert!(buffer.is_empty() && buffer.bytes().is_empty() && buffer.segments().is_none());
    }

    #[test]
    fn a_batch_is_bounded() {
        let mut buffer = TransmitBuffer::new(10);
        let written = (0..1_000).take_while(|_| buffer.push(b"x")).count();
        assert_eq!(written, TransmitBuffer::MAX_SEGMENTS);
    }
}
