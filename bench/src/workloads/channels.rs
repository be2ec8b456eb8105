//! Many channels between two transports: DTLS, SCTP and data channels of this stack, without ICE.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use driver_mio::{system_seed, wall_clock};
use proto_dtls_sctp::{
    Certificate, ChannelKey, DataChannelOptions, DtlsRole, Entropy, Message, Reliability, SecureEvent, SecureTransport,
    SecureTransportConfig, SendError, StartParameters,
};
use proto_machine::{Machine, Timestamp, TransmitBuffer};

use crate::memory::count_allocations;
use crate::meter::Meter;
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::stack::DATAGRAM_SIZE;

/// The time that every datagram takes.
const STEP: Duration = Duration::from_micros(100);
/// Datagrams that an end takes in before it is drained, at most.
const BATCH: usize = 32;
/// Sent before measuring.
const WARM_UP: u64 = 4 << 20;
/// Sent after measuring, to count allocations.
const COUNTED: u64 = 4 << 20;
/// What waits to be sent, at least, in bytes.
const AHEAD: usize = 1 << 20;
/// Messages that wait on each channel, on average, if that is more.
const AHEAD_MESSAGES: usize = 2;
/// Rounds without progress after which a run counts as stuck.
const PATIENCE: usize = 100_000;
/// What no message waits for.
const LONG_LIFETIME: Duration = Duration::from_secs(3600);

struct Pair {
    now: Timestamp,
    ends: [SecureTransport; 2],
    buffer: TransmitBuffer,
    sizes: Sizes,
    /// By the order in which they were made, and what was sent and has come on each.
    channels: Vec<(ChannelKey, u64)>,
    /// What has come on the channels of the other end, which are announced in the same order.
    come: Vec<(ChannelKey, u64)>,
    open: usize,
    received: u64,
}

impl Pair {
    fn connected(channels: u16, lifetime: bool) -> Result<Self> {
        let certificate =
            || Certificate::generate(system_seed()?, wall_clock(), Entropy::System).map_err(anyhow::Error::from);
        let certificates = [Arc::new(certificate()?), Arc::new(certificate()?)];
        let end = |index: usize| -> Result<SecureTransport> {
            let max_channels = channels.max(1024).saturating_mul(2);
            let config =
                SecureTransportConfig { max_channels, ..SecureTransportConfig::new(certificates[index].clone()) };
            Ok(SecureTransport::new(config, system_seed()?))
        };
        let mut pair = Self {
            now: Timestamp::from_millis(1),
            ends: [end(0)?, end(1)?],
            buffer: TransmitBuffer::new(DATAGRAM_SIZE),
            sizes: Sizes::default(),
            channels: Vec::new(),
            come: Vec::new(),
            open: 0,
            received: 0,
        };
        for (index, role) in [DtlsRole::Client, DtlsRole::Server].into_iter().enumerate() {
            let fingerprint = certificates[1 - index].fingerprint().into();
            pair.ends[index].start(pair.now, StartParameters::new(role, vec![fingerprint]))?;
        }
        let options = DataChannelOptions {
            reliability: if lifetime { Reliability::MaxPacketLifetime(LONG_LIFETIME) } else { Reliability::Reliable },
            ..DataChannelOptions::new("bench")
        };
        for _ in 0..channels {
            pair.channels.push((pair.ends[0].create_channel(pair.now, options.clone())?, 0));
        }
        for _ in 0..PATIENCE {
            pair.step()?;
            if pair.open == usize::from(channels) && pair.come.len() == pair.open {
                pair.come.sort_unstable();
                return Ok(pair);
            }
        }
        anyhow::bail!("{} of {channels} channels have opened", pair.open)
    }

    /// Carries what is due both ways, and lets time pass.
    fn step(&mut self) -> Result<()> {
        for from in 0..2 {
            self.events()?;
            if self.ends[from].poll_transmit(self.now, BATCH, &mut self.buffer).is_some() {
                let mut batch: Vec<Vec<u8>> = self.buffer.datagrams().map(<[u8]>::to_vec).collect();
                self.buffer.clear();
                for datagram in &mut batch {
                    self.sizes.note(datagram.len());
                    self.ends[1 - from].handle_datagram(self.now, datagram);
                }
            }
        }
        self.events()?;
        self.now = self.now + STEP;
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        Ok(())
    }

    fn events(&mut self) -> Result<()> {
        while let Some(event) = self.ends[0].poll_event() {
            self.open += usize::from(matches!(event, SecureEvent::ChannelOpen { .. }));
        }
        while let Some(event) = self.ends[1].poll_event() {
            match event {
                SecureEvent::DataChannel { channel } => self.come.push((channel, 0)),
                SecureEvent::Message { channel, message } => {
                    let index =
                        self.come.binary_search_by_key(&channel, |(key, _)| *key).ok().context("not announced")?;
                    let count = &mut self.come[index].1;
                    let number = message.payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
                    ensure!(number == Some(*count), "a message is damaged, lost or out of order");
                    *count += 1;
                    self.received += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends so many bytes in messages of this size, over the channels in turn, and sees that all arrive, in order on each.
    fn transfer(&mut self, size: usize, total: u64) -> Result<u64> {
        let count = total.div_ceil(size as u64);
        let goal = self.received + count;
        let ahead = AHEAD.max(AHEAD_MESSAGES * size * self.channels.len()) / size;
        let (mut sent, mut rounds, mut turn) = (self.received, 0, 0);
        let mut payload = vec![7; size];
        while self.received < goal {
            while sent < goal && sent - self.received < ahead as u64 {
                let (channel, number) = &mut self.channels[turn];
                payload[..8].copy_from_slice(&number.to_be_bytes());
                match self.ends[0].send(self.now, *channel, Message::binary(Bytes::copy_from_slice(&payload))) {
                    Ok(()) => {}
                    Err(SendError::BufferFull) => break,
                    Err(error) => return Err(error.into()),
                }
                *number += 1;
                turn = (turn + 1) % self.channels.len();
                sent += 1;
            }
            let before = self.received;
            self.step()?;
            rounds = if self.received == before { rounds + 1 } else { 0 };
            ensure!(rounds < PATIENCE, "stuck");
        }
        Ok(count)
    }
}

/// Throughput over so many channels, per CPU second.
pub(super) fn throughput(channels: u16, message: usize, total: u64, lifetime: bool) -> Result<Outcome> {
    ensure!(message >= 8, "a message carries its number");
    let meter = Meter::start();
    let mut pair = Pair::connected(channels, lifetime)?;
    let opening = meter.cpu().as_secs_f64();
    pair.transfer(message, WARM_UP)?;
    let meter = Meter::start();
    let count = pair.transfer(message, total)?;
    let cpu = meter.cpu().as_secs_f64();
    let (counted, allocations) = count_allocations(|| pair.transfer(message, COUNTED));
    let counted = counted?;
    Ok(Outcome::new(
        &pair.sizes,
        [
            ("MB per CPU second", (count * message as u64) as f64 / 1e6 / cpu),
            ("allocations per message", allocations as f64 / counted as f64),
            ("µs CPU per message", cpu * 1e6 / count as f64),
            ("µs CPU per channel opened", opening * 1e6 / f64::from(channels)),
        ],
    ))
}
