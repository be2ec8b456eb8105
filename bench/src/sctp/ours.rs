//! This stack's.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use proto_dtls_sctp::Reliability;
use proto_dtls_sctp::bare::{BareAssociation, BareConfig, BareEvent};
use proto_machine::{Seed, Timestamp};

use super::{Engine, EngineConfig, PACKET_SIZE, copied};

pub(super) struct Ours {
    association: BareAssociation,
    up: bool,
    readable: Vec<u16>,
    buffer: Vec<u8>,
}

fn moment(now: Duration) -> Timestamp {
    Timestamp::ZERO + now
}

impl Ours {
    fn take_events(&mut self) {
        while let Some(event) = self.association.poll_event() {
            match event {
                BareEvent::Established { .. } => self.up = true,
                BareEvent::Readable(stream) => self.readable.push(stream),
                _ => {}
            }
        }
    }
}

impl Engine for Ours {
    fn new(config: EngineConfig) -> Result<Self> {
        let bare = BareConfig {
            packet_size: PACKET_SIZE,
            receive_window: config.window,
            zero_checksum: !config.with_checksum,
            ..BareConfig::default()
        };
        let seed = Seed::from_number(u64::from(config.passive));
        let association = BareAssociation::new(Timestamp::ZERO, bare, seed);
        Ok(Self { association, up: false, readable: Vec::new(), buffer: Vec::new() })
    }

    fn is_up(&mut self) -> bool {
        self.take_events();
        self.up
    }

    fn handle_packet(&mut self, now: Duration, packet: &[u8]) {
        self.association.handle_packet(moment(now), packet);
    }

    fn handle_timeout(&mut self, now: Duration) {
        if self.association.poll_timeout().is_some_and(|deadline| deadline.at <= moment(now)) {
            self.association.handle_timeout(moment(now));
        }
    }

    fn take_packets(&mut self, now: Duration, limit: usize, packets: &mut Vec<Vec<u8>>, spare: &mut Vec<Vec<u8>>) {
        while packets.len() < limit && self.association.write_packet(moment(now), &mut self.buffer) {
            packets.push(copied(&self.buffer, spare));
        }
    }

    fn open(&mut self, stream: u16) -> Result<()> {
        self.association.set_weight(stream, 256);
        Ok(())
    }

    fn send(&mut self, now: Duration, stream: u16, message: &Bytes) -> Result<()> {
        ensure!(self.association.send(moment(now), stream, message.clone(), true, Reliability::Reliable), "refused");
        Ok(())
    }

    fn receive(&mut self, take: &mut dyn FnMut(u16, &[u8])) {
        self.take_events();
        for stream in self.readable.drain(..) {
            while let Some(message) = self.association.receive(stream) {
                take(stream, &message);
            }
        }
    }
}
