//! W3: setting up a connection.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Party, short_path};
use crate::link::LinkConfig;
use crate::message::Source;
use crate::meter::Meter;
use crate::pair::{ANSWERER, Arrangement, OFFERER, Pair};
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::stack::Stack;

/// One way, of packets and of descriptions.
const ONE_WAY: Duration = Duration::from_millis(50);
/// How long the first message may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The CPU time of both ends, from nothing to an open channel.
pub(super) fn cpu<S: Stack>(connections: u64) -> Result<Outcome> {
    // What is made once, tables of the cryptography say, is of no connection.
    Pair::<S>::connected(None, short_path())?;
    let mut sizes = Sizes::default();
    let mut in_virtual_time = Duration::ZERO;
    let meter = Meter::start();
    for _ in 0..connections {
        let mut pair = Pair::<S>::new(None, short_path(), Arrangement::default())?;
        let began = pair.now;
        pair.signal()?;
        pair.run_until_open()?;
        in_virtual_time += pair.now - began;
        sizes.add(&pair.sizes());
    }
    let count = connections.max(1) as f64;
    Ok(Outcome::new(
        &sizes,
        [
            ("CPU ms per connection", meter.cpu().as_secs_f64() * 1e3 / count),
            ("datagrams per connection", sizes.count as f64 / count),
            ("ms until open, 0.2 ms round trip", in_virtual_time.as_secs_f64() * 1e3 / count),
        ],
    ))
}

/// The round trips between the answer and the open channel, and those from the offer on. Signalling takes half a round trip each way.
pub(super) fn round_trips<S: Stack>(creator: Party, dtls_client: Party) -> Result<Outcome> {
    let end = |party| if party == Party::Offerer { OFFERER } else { ANSWERER };
    let arrangement = Arrangement { creator: end(creator), dtls_client: Some(end(dtls_client)), signalling: ONE_WAY };
    let path = LinkConfig { delay: ONE_WAY, ..LinkConfig::default() };
    let mut pair = Pair::<S>::new(None, path, arrangement)?;
    let offered = pair.now;
    pair.signal()?;
    let answered = pair.now;
    pair.run_until_open()?;
    pair.transfer(&mut Source::new(64, 64, 0), Some(answered + LIMIT), LIMIT)?;
    ensure!(pair.ends[ANSWERER].sink.messages == 1, "no message after {} s", LIMIT.as_secs());
    let round_trips = |from: Instant, to: Instant| {
        let sign = if to < from { -1.0 } else { 1.0 };
        let time = to.saturating_duration_since(from) + from.saturating_duration_since(to);
        sign * time.as_secs_f64() / (2 * ONE_WAY).as_secs_f64()
    };
    let opened = |index: usize| pair.ends[index].opened.context("it is open");
    let (at_offerer, at_answerer) = (opened(OFFERER)?, opened(ANSWERER)?);
    Ok(Outcome::new(
        &pair.sizes(),
        [
            ("round trips, answer → open at the offerer", round_trips(answered, at_offerer)),
            ("round trips, answer → open at the answerer", round_trips(answered, at_answerer)),
            ("round trips, offer → open at both", round_trips(offered, at_offerer.max(at_answerer))),
            ("datagrams until then", pair.sizes().count as f64),
        ],
    ))
}
