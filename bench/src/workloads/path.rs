//! W5: goodput over a simulated path.

use std::time::Duration;

use anyhow::Result;

use super::Queue;
use crate::link::{Bottleneck, LinkConfig};
use crate::message::Source;
use crate::meter::Meter;
use crate::pair::{ANSWERER, OFFERER, Pair};
use crate::report::Outcome;
use crate::stack::Stack;

/// As W5 is defined.
const MESSAGE: usize = 64 * 1024;
/// More than any path carries in the time.
const ENDLESS: u64 = 1 << 50;

pub(super) fn path(mbit: u64, round_trip_ms: u64, loss_percent: u64, queue: Queue, seed: u64) -> LinkConfig {
    let rate = mbit * 1_000_000;
    let product = rate / 8 * round_trip_ms / 1_000;
    LinkConfig {
        delay: Duration::from_millis(round_trip_ms) / 2,
        bottleneck: Some(Bottleneck { rate, queue: (queue == Queue::OneProduct).then_some(product) }),
        loss_per_million: loss_percent * 10_000,
        seed,
    }
}

pub(super) fn goodput<S: Stack>(
    path: LinkConfig,
    buffer: Option<usize>,
    seconds: u64,
    cpu_limit: Duration,
) -> Result<Outcome> {
    let mut pair = Pair::<S>::connected(buffer, path)?;
    pair.links.iter_mut().for_each(crate::link::Link::lose);
    let began = pair.now;
    let sent_before = pair.links[OFFERER].sizes.bytes;
    let mut source = Source::new(MESSAGE, ENDLESS, 0);
    let meter = Meter::start();
    // The half, to see what slow start has cost.
    let half = began + Duration::from_secs(seconds) / 2;
    let mut complete = pair.transfer(&mut source, Some(half), cpu_limit)?;
    let (bytes_at_half, half) = (pair.ends[ANSWERER].sink.bytes, pair.now);
    if complete {
        let end = began + Duration::from_secs(seconds);
        complete = pair.transfer(&mut source, Some(end), cpu_limit.saturating_sub(meter.cpu()))?;
    }
    let cpu = meter.cpu().as_secs_f64();
    let bytes = pair.ends[ANSWERER].sink.bytes;
    let time = (pair.now - began).as_secs_f64();
    let mbit = |bytes: u64, time: f64| bytes as f64 * 8.0 / 1e6 / time.max(f64::MIN_POSITIVE);
    let sent = pair.links[OFFERER].sizes.bytes - sent_before;
    Ok(Outcome::new(
        &pair.sizes(),
        [
            ("Mbit/s", mbit(bytes, time)),
            (
                "Mbit/s in the second half",
                if complete { mbit(bytes - bytes_at_half, (pair.now - half).as_secs_f64()) } else { f64::NAN },
            ),
            ("bytes sent per byte of goodput", sent as f64 / bytes as f64),
            ("CPU ms per virtual second", cpu * 1e3 / time),
            ("virtual seconds", time),
            ("datagrams dropped by the queue", pair.links[OFFERER].dropped as f64),
        ],
    ))
}
