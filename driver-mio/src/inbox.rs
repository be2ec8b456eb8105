//! The buffers that datagrams arrive in.

use std::array;
use std::io::{self, IoSliceMut};

use quinn_udp::{BATCH_SIZE, RecvMeta};

use crate::wire::Wire;

/// Room for what one system call can return: [`BATCH_SIZE`] buffers, each of which may hold many datagrams of one source that the system has joined.
///
/// A buffer takes the largest UDP payload there is, so nothing is ever cut short. Memory that no datagram has touched costs nothing.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Inbox {
    /// 64 KiB, and a little more: buffers at multiples of a power of two would fight for the same lines of the cache.
    const STRIDE: usize = 65_536 + 1_280;

    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; Self::STRIDE * BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE] }
    }

    /// Reads from a socket, and returns how many buffers are filled.
    pub(crate) fn receive(&mut self, wire: &dyn Wire) -> io::Result<usize> {
        let mut buffers = self.bytes.chunks_exact_mut(Self::STRIDE);
        let mut slices: [_; BATCH_SIZE] = array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        wire.receive(&mut slices, &mut self.metas)
    }

    /// Calls `take` with each datagram of the first `filled` buffers.
    pub(crate) fn for_each(&mut self, filled: usize, mut take: impl FnMut(&RecvMeta, &mut [u8])) {
        for (meta, buffer) in self.metas.iter().zip(self.bytes.chunks_exact_mut(Self::STRIDE)).take(filled) {
            let bytes = buffer.get_mut(..meta.len).unwrap_or_default();
            if bytes.is_empty() {
                take(meta, bytes);
                continue;
            }
            for datagram in bytes.chunks_mut(meta.stride.max(1)) {
                take(meta, datagram);
            }
        }
    }
}
