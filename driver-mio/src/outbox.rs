//! The way out of one socket: segmented sends, what waits while the socket is blocked, and what is dropped.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::DriverStatistics;
use crate::statistics::DroppedDatagrams;
use crate::wire::Wire;

/// The most bytes in one segmented send: what fits into one IPv4 packet, as the system sees it before it divides it.
pub(crate) const MAX_SEND_BYTES: usize = 65_507;

/// Datagrams for one destination, contiguous, all of the same size but the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) destination: SocketAddr,
    /// The address to send from, if the socket has several.
    pub(crate) source: Option<IpAddr>,
    /// Bytes in each datagram but the last, at least 1.
    pub(crate) size: usize,
    pub(crate) bytes: &'a [u8],
}

impl Batch<'_> {
    pub(crate) fn count(&self) -> u64 {
        self.bytes.len().div_ceil(self.size.max(1)) as u64
    }
}

/// A batch, or its rest, that waits until the socket has room.
#[derive(Debug)]
struct Pending {
    destination: SocketAddr,
    source: Option<IpAddr>,
    size: usize,
    bytes: Vec<u8>,
    /// How many bytes have gone already.
    done: usize,
}

impl Pending {
    fn batch(&self) -> Batch<'_> {
        let bytes = self.bytes.get(self.done..).unwrap_or_default();
        Batch { destination: self.destination, source: self.source, size: self.size, bytes }
    }
}

/// What waits for one socket, oldest first.
#[derive(Debug)]
pub(crate) struct Outbox {
    pending: VecDeque<Pending>,
    limit: usize,
}

impl Outbox {
    /// An outbox in which at most `limit` batches wait; one always may, since the socket has been asked before it is known to be blocked.
    pub(crate) fn new(limit: usize) -> Self {
        Self { pending: VecDeque::new(), limit: limit.max(1) }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends a batch, or keeps what the socket does not take, or drops and counts it.
    pub(crate) fn send(&mut self, wire: &mut dyn Wire, batch: Batch<'_>, statistics: &mut DriverStatistics) {
        // Behind others, so that datagrams stay in order.
        let done = if self.is_blocked() { 0 } else { send_batch(wire, batch, statistics) };
        let rest = batch.bytes.get(done..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let rest = Batch { bytes: rest, ..batch };
        if self.pending.len() == self.limit {
            statistics.dropped.queue_full += rest.count();
            return;
        }
        let Batch { destination, source, size, bytes } = rest;
        self.pending.push_back(Pending { destination, source, size, bytes: bytes.to_vec(), done: 0 });
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self, wire: &mut dyn Wire, statistics: &mut DriverStatistics) {
        while let Some(front) = self.pending.front_mut() {
            front.done += send_batch(wire, front.batch(), statistics);
            if front.done < front.bytes.len() {
                return;
            }
            self.pending.pop_front();
        }
    }

    /// How many datagrams wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.pending.iter().map(|pending| pending.batch().count()).sum()
    }
}

/// Sends datagrams until all are sent or dropped, or the socket has no room. Returns how many bytes are done with.
fn send_batch(wire: &mut dyn Wire, batch: Batch<'_>, statistics: &mut DriverStatistics) -> usize {
    let size = batch.size.max(1);
    let mut done = 0;
    while let Some(rest) = batch.bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let segments = (MAX_SEND_BYTES / size).min(wire.max_segments()).max(1);
        let bytes = rest.get(..segments.saturating_mul(size)).unwrap_or(rest);
        match send_call(wire, Batch { bytes, ..batch }, statistics) {
            Progress::Done(bytes) => done += bytes,
            Progress::Blocked => {
                statistics.would_block += 1;
                break;
            }
        }
    }
    done
}

enum Progress {
    /// So many bytes are sent or dropped.
    Done(usize),
    Blocked,
}

/// Sends a batch in one call; if segmentation is suspected of a failure, its first datagram alone.
fn send_call(wire: &mut dyn Wire, batch: Batch<'_>, statistics: &mut DriverStatistics) -> Progress {
    let segments_before = wire.max_segments();
    let mut attempt = batch;
    let mut result = attempt_send(wire, attempt);
    if is_failure(&result) && batch.bytes.len() > batch.size && wire.max_segments() == 1 {
        attempt.bytes = batch.bytes.get(..batch.size).unwrap_or(batch.bytes);
        result = attempt_send(wire, attempt);
        if result.is_ok() {
            statistics.segmentation_fallbacks += 1;
        }
    }
    match result {
        Ok(()) => {
            statistics.send_calls += 1;
            statistics.datagrams_sent += attempt.count();
            statistics.bytes_sent += attempt.bytes.len() as u64;
            Progress::Done(attempt.bytes.len())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Progress::Blocked,
        Err(error) => {
            // A single datagram fails as well, so it was not segmentation; a bad destination must not cost all others their speed.
            if wire.max_segments() < segments_before {
                wire.restore_segmentation();
            }
            *reason(&mut statistics.dropped, &error) += batch.count();
            Progress::Done(batch.bytes.len())
        }
    }
}

fn attempt_send(wire: &dyn Wire, batch: Batch<'_>) -> io::Result<()> {
    wire.send(&quinn_udp::Transmit {
        destination: batch.destination,
        ecn: None,
        contents: batch.bytes,
        segment_size: (batch.bytes.len() > batch.size).then_some(batch.size),
        src_ip: batch.source,
    })
}

fn is_failure(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

/// The counter for an error of sending.
fn reason<'a>(dropped: &'a mut DroppedDatagrams, error: &io::Error) -> &'a mut u64 {
    if quinn_udp::is_msg_size_err(error) {
        return &mut dropped.too_long;
    }
    match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkDown => {
            &mut dropped.unreachable
        }
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => &mut dropped.refused,
        io::ErrorKind::PermissionDenied => &mut dropped.not_permitted,
        _ => &mut dropped.other,
    }
}

#[cfg(test)]
mod tests;
