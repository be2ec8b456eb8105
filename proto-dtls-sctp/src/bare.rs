//! SCTP alone, without DTLS around it and channels on top: for measurements, and to be tried against other implementations. Nothing here is protected from anyone, and
//! nothing is bounded that the channels bound: applications use [`SecureTransport`](crate::SecureTransport).
//!
//! ```
//! use proto_dtls_sctp::Reliability;
//! use proto_dtls_sctp::bare::{BareAssociation, BareConfig};
//! use proto_machine::{Seed, Timestamp};
//!
//! let now = Timestamp::ZERO;
//! let mut ends = [1, 2].map(|seed| BareAssociation::new(now, BareConfig::default(), Seed::from_number(seed)));
//! let mut packet = Vec::new();
//! let mut exchange = |ends: &mut [BareAssociation; 2]| {
//!     let mut idle = false;
//!     while !std::mem::replace(&mut idle, true) {
//!         for from in 0..2 {
//!             while ends[from].write_packet(now, &mut packet) {
//!                 ends[1 - from].handle_packet(now, &packet);
//!                 idle = false;
//!             }
//!         }
//!     }
//! };
//! exchange(&mut ends);
//! assert!(ends[0].send(now, 3, "hello".into(), true, Reliability::Reliable));
//! exchange(&mut ends);
//! assert_eq!(ends[1].receive(3).as_deref(), Some(&b"hello"[..]));
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Deadline, Seed, Timestamp};

use crate::sctp::{OutgoingMessage, PayloadProtocol, Sctp, SctpEvent, SctpSettings};
use crate::{InitChunk, Reliability, SctpBackend, SctpFailure};

/// Settings of one end.
#[derive(Clone, Copy, Debug)]
pub struct BareConfig {
    /// The largest packet to produce, in bytes. Default: 1200.
    pub packet_size: usize,
    /// Bytes received and not yet read. Default: 2 MiB.
    pub receive_window: u32,
    /// The largest message to accept, in bytes. Default: 256 KiB.
    pub max_message_size: u32,
    /// Streams in each direction. Default: 65,535.
    pub streams: u16,
    /// The implementation.
    pub backend: SctpBackend,
    /// Whether to offer interleaving (RFC 8260). Default: `true`.
    pub interleaving: bool,
    /// Whether to offer to leave out the checksum (RFC 9653). Default: `true`.
    pub zero_checksum: bool,
    /// What is known of the path. Default: nothing.
    pub round_trip_time: Option<Duration>,
    /// How often an idle path is probed (RFC 9260 §8.3). Default: never.
    pub heartbeat_interval: Option<Duration>,
    /// Timeouts in a row after which the peer counts as unreachable (RFC 9260 §8.1). Default: any number is borne.
    pub max_retransmissions: Option<u32>,
}

impl Default for BareConfig {
    fn default() -> Self {
        Self {
            packet_size: 1200,
            receive_window: 2 * 1024 * 1024,
            max_message_size: 256 * 1024,
            streams: u16::MAX,
            backend: SctpBackend::default(),
            interleaving: true,
            zero_checksum: true,
            round_trip_time: None,
            heartbeat_interval: None,
            max_retransmissions: None,
        }
    }
}

impl BareConfig {
    /// What an end that begins with this seed says about itself.
    #[must_use]
    pub fn init_chunk(&self, seed: Seed) -> InitChunk {
        self.settings().init_chunk(seed.into_rng())
    }

    fn settings(&self) -> SctpSettings {
        SctpSettings {
            local_port: 5000,
            remote_port: 5000,
            packet_size: self.packet_size.max(crate::SecureTransportConfig::MIN_DATAGRAM_SIZE),
            receive_window: self.receive_window,
            max_receive_message_size: self.max_message_size,
            streams: self.streams.max(1),
            retransmission_timeout: Duration::from_millis(500),
            set_up_time_limit: None,
            round_trip_time: self.round_trip_time,
            backend: self.backend,
            interleaving: self.interleaving,
            zero_checksum: self.zero_checksum,
            heartbeat_interval: self.heartbeat_interval,
            max_retransmissions: self.max_retransmissions,
        }
    }
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BareEvent {
    /// The association is established, with so many streams in each direction.
    Established {
        /// The smaller number.
        streams: u16,
    },
    /// There may be something to read on a stream.
    Readable(u16),
    /// The peer has reset its side of a stream, and all that came before has been read.
    IncomingReset(u16),
    /// Both sides of a stream are reset.
    ResetComplete(u16),
    /// A reset was refused.
    ResetFailed(u16),
    /// The association has ended.
    Lost(SctpFailure),
}

/// One end of an association. Both ends send INIT (RFC 9260 §5.2.1).
pub struct BareAssociation {
    sctp: Sctp,
    events: Vec<SctpEvent>,
    ready: VecDeque<BareEvent>,
}

impl BareAssociation {
    /// Begins to set up the association, on ports 5000.
    #[must_use]
    pub fn new(now: Timestamp, config: BareConfig, seed: Seed) -> Self {
        let sctp = Sctp::start(now, config.settings(), seed.into_rng());
        Self { sctp, events: Vec::new(), ready: VecDeque::new() }
    }

    /// An association that is established from the start (draft-hancke-tsvwg-snap-00 §6): the peer has what [`BareConfig::init_chunk`] says of the same seed, and this is the peer's.
    #[must_use]
    pub fn agreed(now: Timestamp, config: BareConfig, seed: Seed, peer: InitChunk) -> Self {
        let mut events = Vec::new();
        let sctp = Sctp::start_agreed(now, config.settings(), peer, seed.into_rng(), &mut events);
        Self { sctp, events, ready: VecDeque::new() }
    }

    /// Takes in a packet.
    pub fn handle_packet(&mut self, now: Timestamp, packet: &[u8]) {
        self.sctp.handle_packet(now, packet, &mut self.events);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.sctp.handle_timeout(now, &mut self.events);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.sctp.poll_timeout()
    }

    /// Writes the next packet in place of what is in the buffer, and says whether there was one.
    #[must_use]
    pub fn write_packet(&mut self, now: Timestamp, buffer: &mut Vec<u8>) -> bool {
        self.sctp.write_packet(now, buffer, &mut self.events)
    }

    /// What has happened, oldest first.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<BareEvent> {
        self.ready.extend(self.events.drain(..).filter_map(|event| {
            Some(match event {
                // Whoever waits for the next event loses nothing.
                SctpEvent::Prepared { .. } => return None,
                SctpEvent::Established { streams } => BareEvent::Established { streams },
                SctpEvent::Readable(stream) => BareEvent::Readable(stream),
                SctpEvent::IncomingReset(stream) => BareEvent::IncomingReset(stream),
                SctpEvent::ResetComplete(stream) => BareEvent::ResetComplete(stream),
                SctpEvent::ResetFailed(stream) => BareEvent::ResetFailed(stream),
                SctpEvent::Lost(failure) => BareEvent::Lost(failure),
            })
        }));
        self.ready.pop_front()
    }

    /// Sets the share of a stream in what is sent, relative to others: 256 is the default.
    pub fn set_weight(&mut self, stream: u16, weight: u16) {
        self.sctp.open_stream(stream, weight);
    }

    /// Hands over a message, which is not empty, and says whether it was taken.
    #[must_use]
    pub fn send(
        &mut self,
        now: Timestamp,
        stream: u16,
        payload: Bytes,
        ordered: bool,
        reliability: Reliability,
    ) -> bool {
        let protocol = PayloadProtocol::Binary;
        self.sctp.write(now, OutgoingMessage { stream, protocol, payload, ordered, reliability })
    }

    /// Bytes handed over for a stream and not yet acknowledged or given up.
    #[must_use]
    pub fn buffered(&mut self, stream: u16) -> usize {
        self.sctp.buffered(stream)
    }

    /// The next complete message of a stream.
    #[must_use]
    pub fn receive(&mut self, stream: u16) -> Option<Bytes> {
        self.sctp.read(stream, &mut self.events).map(|(_, payload)| payload)
    }

    /// Resets this side of a stream, after what was handed over for it. What the peer still sends on it is not read any more. Before the
    /// association is established nothing happens.
    pub fn reset_stream(&mut self, stream: u16) {
        self.sctp.reset_stream(stream, &mut self.events);
    }

    /// Ends the association with an ABORT, which is the last packet.
    pub fn abort(&mut self) {
        self.sctp.abort();
    }
}

impl std::fmt::Debug for BareAssociation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareAssociation").field("ready", &self.ready).finish_non_exhaustive()
    }
}
