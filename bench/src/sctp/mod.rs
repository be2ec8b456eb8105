//! SCTP alone: no DTLS, no data channels, one core, a link in memory.

mod dcsctp;
mod ours;
mod rtc_sctp;
mod sctp_proto;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;

use crate::memory::count_allocations;
use crate::meter::Meter;
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::workloads::StackName;

/// The largest packet, in bytes.
const PACKET_SIZE: usize = 1200;
/// Packets that an end takes in before it is drained, as they come from a socket that hands over many at a time.
const BATCH: usize = 32;
/// Time that passes from one batch to the next.
const STEP: Duration = Duration::from_micros(100);
/// Sent before measuring, for slow start, the allocator and the caches.
const WARM_UP: u64 = 16 << 20;
/// Sent after measuring, to count allocations.
const COUNTED: u64 = 4 << 20;
/// Messages that differ.
const KINDS: usize = 16;
/// Rounds without progress after which a transfer counts as stuck.
const PATIENCE: usize = 100_000;

/// What one end is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineConfig {
    /// Whether this end waits to be connected to, where an engine knows the difference.
    passive: bool,
    window: u32,
    with_checksum: bool,
}

/// One end of an association.
pub(crate) trait Engine: Sized {
    fn new(config: EngineConfig) -> Result<Self>;
    fn is_up(&mut self) -> bool;
    fn handle_packet(&mut self, now: Duration, packet: &[u8]);
    fn handle_timeout(&mut self, now: Duration);
    /// Appends up to so many packets.
    fn take_packets(&mut self, now: Duration, limit: usize, packets: &mut Vec<Vec<u8>>, spare: &mut Vec<Vec<u8>>);
    /// Opens a stream, where that must be done.
    fn open(&mut self, stream: u16) -> Result<()>;
    fn send(&mut self, now: Duration, stream: u16, message: &Bytes) -> Result<()>;
    /// Hands every message that has come to `take`.
    fn receive(&mut self, take: &mut dyn FnMut(u16, &[u8]));
}

/// A copy of a packet, in memory that was used before if there is any.
fn copied(packet: &[u8], spare: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let mut copy = spare.pop().unwrap_or_default();
    copy.clear();
    copy.extend_from_slice(packet);
    copy
}

struct Pair<E> {
    now: Duration,
    ends: [E; 2],
    packets: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    sizes: Sizes,
}

impl<E: Engine> Pair<E> {
    fn connected(window: u32, with_checksum: bool, streams: u16) -> Result<Self> {
        let end = |passive| E::new(EngineConfig { passive, window, with_checksum });
        let ends = [end(false)?, end(true)?];
        let mut pair =
            Self { now: Duration::from_secs(1), ends, packets: Vec::new(), spare: Vec::new(), sizes: Sizes::default() };
        for _ in 0..PATIENCE {
            pair.carry(0);
            pair.carry(1);
            pair.advance();
            if pair.ends.iter_mut().all(E::is_up) {
                for stream in 0..streams {
                    pair.ends[0].open(stream)?;
                }
                return Ok(pair);
            }
        }
        bail!("not connected")
    }

    /// Carries a batch from one end to the other.
    fn carry(&mut self, from: usize) {
        self.ends[from].take_packets(self.now, BATCH, &mut self.packets, &mut self.spare);
        for packet in self.packets.drain(..) {
            self.sizes.note(packet.len());
            self.ends[1 - from].handle_packet(self.now, &packet);
            self.spare.push(packet);
        }
    }

    fn advance(&mut self) {
        self.now += STEP;
        self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
    }

    /// Sends so many bytes in messages, over the streams in turn, and sees that all arrive, in order on each.
    fn transfer(&mut self, traffic: &mut Traffic, total: u64, ahead: usize) -> Result<u64> {
        let size = traffic.size() as u64;
        let count = total.div_ceil(size);
        let (mut sent, mut come) = (0_u64, 0_u64);
        let mut rounds = 0;
        while come < count {
            while sent < count && (sent - come) * size <= ahead as u64 {
                let (stream, message) = traffic.next(sent)?;
                self.ends[0].send(self.now, stream, message)?;
                sent += 1;
            }
            let before = come;
            self.carry(0);
            self.ends[1].receive(&mut |stream, message| {
                traffic.take(stream, message);
                come += 1;
            });
            self.carry(1);
            self.advance();
            rounds = if come == before { rounds + 1 } else { 0 };
            traffic.check()?;
            ensure!(rounds < PATIENCE, "stuck: {come} of {count} messages have come");
        }
        Ok(count)
    }
}

/// Messages of a few kinds, each stream with all of them in turn.
struct Traffic {
    messages: Vec<Bytes>,
    /// Of each stream: the kind that is sent next, and the kind that has to come next.
    next: Vec<(usize, usize)>,
    /// The stream of a message that was damaged or out of order.
    damaged: Option<u16>,
}

impl Traffic {
    fn new(size: usize, streams: u16) -> Self {
        let messages = (0..KINDS).map(|kind| vec![u8::try_from(kind).unwrap_or(0); size].into()).collect();
        Self { messages, next: vec![(0, 0); usize::from(streams)], damaged: None }
    }

    fn size(&self) -> usize {
        self.messages[0].len()
    }

    /// The message that is sent in this turn, and its stream.
    fn next(&mut self, turn: u64) -> Result<(u16, &Bytes)> {
        let stream = u16::try_from(turn % self.next.len() as u64)?;
        let kind = &mut self.next[usize::from(stream)].0;
        let message = &self.messages[*kind];
        *kind = (*kind + 1) % KINDS;
        Ok((stream, message))
    }

    fn take(&mut self, stream: u16, message: &[u8]) {
        let kind = &mut self.next[usize::from(stream)].1;
        if message.len() != self.messages[0].len() || message.first().map(|&byte| usize::from(byte)) != Some(*kind) {
            self.damaged = Some(stream);
        }
        *kind = (*kind + 1) % KINDS;
    }

    fn check(&self) -> Result<()> {
        ensure!(self.damaged.is_none(), "a message on stream {:?} is damaged or out of order", self.damaged);
        Ok(())
    }
}

/// Throughput of an engine, per CPU second.
pub(crate) fn throughput(
    stack: StackName,
    message: usize,
    total: u64,
    window: usize,
    streams: u16,
    with_checksum: bool,
) -> Result<Outcome> {
    let run = match stack {
        StackName::Ours => measure::<ours::Ours>,
        StackName::SctpProto => measure::<sctp_proto::SctpProto>,
        StackName::RtcSctp => measure::<rtc_sctp::RtcSctp>,
        StackName::Dcsctp => measure::<dcsctp::Dcsctp>,
        StackName::Str0m | StackName::Rtc => bail!("its SCTP is measured under a name of its own"),
    };
    run(message, total, window, streams, with_checksum)
}

fn measure<E: Engine>(message: usize, total: u64, window: usize, streams: u16, with_checksum: bool) -> Result<Outcome> {
    let mut pair = Pair::<E>::connected(u32::try_from(window)?, with_checksum, streams)?;
    let mut traffic = Traffic::new(message, streams);
    pair.transfer(&mut traffic, WARM_UP.min(total), window)?;
    let before = pair.sizes.count;
    let meter = Meter::start();
    let count = pair.transfer(&mut traffic, total, window)?;
    let cpu = meter.cpu().as_secs_f64();
    let packets = pair.sizes.count - before;
    let (counted, allocations) = count_allocations(|| pair.transfer(&mut traffic, COUNTED, window));
    let counted = counted?;
    let bytes = (count * message as u64) as f64;
    Ok(Outcome::new(
        &pair.sizes,
        [
            ("MB per CPU second", bytes / 1e6 / cpu),
            ("allocations per message", allocations as f64 / counted as f64),
            ("µs CPU per packet", cpu * 1e6 / packets as f64),
        ],
    ))
}
