//! W1: throughput in memory.

use anyhow::Result;

use super::{UNLIMITED, short_path};
use crate::memory::count_allocations;
use crate::message::Source;
use crate::meter::Meter;
use crate::pair::{ANSWERER, OFFERER, Pair};
use crate::report::Outcome;
use crate::stack::Stack;

/// Sent before measuring, for slow start, the allocator and the caches.
const WARM_UP: u64 = 4 << 20;
/// Sent after measuring, to count allocations.
const COUNTED: u64 = 4 << 20;

pub(super) fn in_memory<S: Stack>(size: usize, total: u64, batch: usize, buffer: Option<usize>) -> Result<Outcome> {
    let mut pair = Pair::<S>::connected(buffer, short_path())?;
    pair.set_batch(batch);
    pair.transfer(&mut Source::new(size, WARM_UP, 0), None, UNLIMITED)?;

    let before = (pair.ends[ANSWERER].sink.bytes, pair.links[OFFERER].sizes.count, pair.links[ANSWERER].sizes.count);
    let mut source = Source::new(size, total, pair.ends[ANSWERER].sink.messages);
    let meter = Meter::start();
    pair.transfer(&mut source, None, UNLIMITED)?;
    let cpu = meter.cpu().as_secs_f64();
    let bytes = (pair.ends[ANSWERER].sink.bytes - before.0) as f64;
    let there = pair.links[OFFERER].sizes.count - before.1;
    let back = pair.links[ANSWERER].sizes.count - before.2;

    let before = pair.links[OFFERER].sizes.count;
    let mut source = Source::new(size, COUNTED, pair.ends[ANSWERER].sink.messages);
    let (sent, allocations) = count_allocations(|| pair.transfer(&mut source, None, UNLIMITED));
    sent?;
    let counted = pair.links[OFFERER].sizes.count - before;
    Ok(Outcome::new(
        &pair.sizes(),
        [
            ("MB per CPU second", bytes / 1e6 / cpu),
            ("allocations per datagram", allocations as f64 / counted as f64),
            ("µs CPU per datagram", cpu * 1e6 / there as f64),
            ("datagrams back per datagram", back as f64 / there as f64),
        ],
    ))
}
