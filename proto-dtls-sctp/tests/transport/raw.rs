//! A peer on the bare DTLS library, whose SCTP the test writes by hand: old, odd, or hostile, but authenticated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, ConfigBuilder, Dtls, DtlsCertificate, Output};
use proto_dtls_sctp::{
    Certificate, DtlsRole, Entropy, SecureEvent, SecureTransport, SecureTransportConfig, StartParameters,
};
use proto_machine::{Machine, Seed, Timestamp, TransmitBuffer};

use crate::common::WALL_TIME;

/// Which versions the library of the raw peer speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    Only12,
    Only13,
    Both,
}

pub(crate) struct RawPeer {
    pub(crate) dtls: Dtls,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) outgoing: Vec<Vec<u8>>,
    pub(crate) data: Vec<Vec<u8>>,
    pub(crate) connected: bool,
    pub(crate) closed: bool,
    epoch: Instant,
}

impl RawPeer {
    pub(crate) fn new(version: Version, role: DtlsRole, change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Self {
        let certificate = Certificate::generate(Seed::from_number(99), WALL_TIME, Entropy::System).unwrap();
        let config: Arc<Config> = change(Config::builder().use_server_cookie(false)).build().unwrap().into();
        let library_certificate = DtlsCertificate {
            certificate: certificate.der().to_vec(),
            private_key: certificate.private_key_der().to_vec(),
        };
        #[expect(clippy::disallowed_methods, reason = "the library wants an Instant, and only differences matter")]
        let epoch = Instant::now();
        let mut dtls = match version {
            Version::Only12 => Dtls::new_12(config, library_certificate, epoch),
            Version::Only13 => Dtls::new_13(config, library_certificate, epoch),
            Version::Both => Dtls::new_auto(config, library_certificate, epoch),
        };
        dtls.set_active(role == DtlsRole::Client);
        Self {
            dtls,
            fingerprint: certificate.fingerprint(),
            outgoing: Vec::new(),
            data: Vec::new(),
            connected: false,
            closed: false,
            epoch,
        }
    }

    pub(crate) fn handle(&mut self, now: Timestamp, datagram: &[u8]) {
        let _ = self.dtls.handle_timeout(self.epoch + now.since_epoch());
        let _ = self.dtls.handle_packet(datagram);
        self.poll();
    }

    pub(crate) fn timeout(&mut self, now: Timestamp) {
        let _ = self.dtls.handle_timeout(self.epoch + now.since_epoch());
        self.poll();
    }

    /// Sends application data, unless the session is over.
    pub(crate) fn send(&mut self, data: &[u8]) {
        let _ = self.dtls.send_application_data(data);
        self.poll();
    }

    pub(crate) fn poll(&mut self) {
        let mut buffer = vec![0; 70_000];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outgoing.push(packet.to_vec()),
                Output::ApplicationData(data) => self.data.push(data.to_vec()),
                Output::Connected => self.connected = true,
                Output::CloseNotify => self.closed = true,
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// A transport and a raw peer, without delay between them.
pub(crate) struct Duo {
    pub(crate) now: Timestamp,
    pub(crate) transport: SecureTransport,
    pub(crate) events: Vec<SecureEvent>,
    pub(crate) raw: RawPeer,
    /// Tags and the next TSN, once an association was set up by hand.
    pub(crate) sctp: RawSctp,
    /// Acknowledge data and resets of the transport as they come.
    pub(crate) answers: bool,
    answered: usize,
    buffer: TransmitBuffer,
}

/// The SCTP of the raw peer.
#[derive(Default)]
pub(crate) struct RawSctp {
    pub(crate) own_tag: u32,
    pub(crate) peer_tag: u32,
    pub(crate) tsn: u32,
}

impl Duo {
    pub(crate) fn new(version: Version, raw_role: DtlsRole) -> Self {
        Self::with(version, raw_role, |builder| builder, |_| {}, |parameters| parameters)
    }

    pub(crate) fn with(
        version: Version,
        raw_role: DtlsRole,
        raw: impl Fn(ConfigBuilder) -> ConfigBuilder,
        own: impl Fn(&mut SecureTransportConfig),
        parameters: impl Fn(StartParameters) -> StartParameters,
    ) -> Self {
        let raw = RawPeer::new(version, raw_role, raw);
        let mut config = crate::common::config(5);
        own(&mut config);
        let mut transport = SecureTransport::new(config, Seed::from_number(5));
        let role = if raw_role == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
        let now = Timestamp::from_millis(1);
        transport.start(now, parameters(StartParameters::new(role, vec![raw.fingerprint.into()]))).unwrap();
        Self {
            now,
            transport,
            events: Vec::new(),
            raw,
            sctp: RawSctp { own_tag: 0x0102_0304, peer_tag: 0, tsn: 1000 },
            answers: true,
            answered: 0,
            buffer: TransmitBuffer::new(1200),
        }
    }

    /// Datagrams that the transport wants to send.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        loop {
            self.buffer.clear();
            if self.transport.poll_transmit(self.now, usize::MAX, &mut self.buffer).is_none() {
                return datagrams;
            }
            datagrams.extend(self.buffer.datagrams().map(<[u8]>::to_vec));
        }
    }

    pub(crate) fn poll_events(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
    }

    /// Carries everything both ways until nothing is left.
    pub(crate) fn exchange(&mut self) {
        self.raw.timeout(self.now);
        loop {
            let there = self.sent();
            let back = std::mem::take(&mut self.raw.outgoing);
            if there.is_empty() && back.is_empty() {
                self.poll_events();
                return;
            }
            for datagram in there {
                self.raw.handle(self.now, &datagram);
            }
            self.answer();
            for mut datagram in back {
                self.transport.handle_datagram(self.now, &mut datagram);
            }
        }
    }

    fn answer(&mut self) {
        let new: Vec<_> = self.raw.data[self.answered..].iter().flat_map(|packet| chunks(packet)).collect();
        self.answered = self.raw.data.len();
        if !self.answers || self.sctp.peer_tag == 0 {
            return;
        }
        // Without loss, the last TSN is the cumulative one.
        if let Some((_, value)) = new.iter().rfind(|(kind, _)| *kind == 0) {
            let sack = [&value[..4], &1_000_000_u32.to_be_bytes(), &[0; 4]].concat();
            let packet = self.packet(&[(3, 0, &sack)]);
            self.raw.send(&packet);
        }
        for (_, value) in new.iter().filter(|(kind, value)| *kind == 130 && value[..2] == [0, 13]) {
            let response = [&[0, 16, 0, 12], &value[4..8], &[0, 0, 0, 1]].concat();
            let packet = self.packet(&[(130, 0, &response)]);
            self.raw.send(&packet);
        }
    }

    /// Lets time pass, in steps.
    pub(crate) fn rest(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = (self.now + Duration::from_millis(50)).min(end);
            self.transport.handle_timeout(self.now);
            self.exchange();
        }
    }

    pub(crate) fn packet(&self, chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
        self.packet_with_tag(self.sctp.peer_tag, chunks)
    }

    pub(crate) fn packet_with_tag(&self, tag: u32, chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut packet = [5000_u16.to_be_bytes(), 5000_u16.to_be_bytes()].concat();
        packet.extend_from_slice(&tag.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        for (kind, flags, value) in chunks {
            packet.extend_from_slice(&[*kind, *flags]);
            packet.extend_from_slice(&u16::try_from(value.len() + 4).unwrap().to_be_bytes());
            packet.extend_from_slice(value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        let checksum = crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
        packet
    }

    pub(crate) fn send_chunks(&mut self, chunks: &[(u8, u8, &[u8])]) {
        let packet = self.packet(chunks);
        self.raw.send(&packet);
        self.exchange();
    }

    /// One message in one DATA chunk.
    pub(crate) fn send_data(&mut self, stream: u16, sequence_number: u16, identifier: u32, payload: &[u8]) {
        let value = self.data_chunk(stream, sequence_number, identifier, payload);
        self.send_chunks(&[(0, 3, &value)]);
    }

    pub(crate) fn data_chunk(&mut self, stream: u16, sequence_number: u16, identifier: u32, payload: &[u8]) -> Vec<u8> {
        let mut value = self.sctp.tsn.to_be_bytes().to_vec();
        self.sctp.tsn += 1;
        value.extend_from_slice(&stream.to_be_bytes());
        value.extend_from_slice(&sequence_number.to_be_bytes());
        value.extend_from_slice(&identifier.to_be_bytes());
        value.extend_from_slice(payload);
        value
    }

    /// Chunks of a type that have come from the transport, oldest first.
    pub(crate) fn received(&self, kind: u8) -> Vec<Vec<u8>> {
        self.raw
            .data
            .iter()
            .flat_map(|packet| chunks(packet))
            .filter(|chunk| chunk.0 == kind)
            .map(|chunk| chunk.1)
            .collect()
    }

    /// Sets up an association from the side of the raw peer, with so many streams.
    pub(crate) fn associate(&mut self, streams: u16) {
        self.exchange();
        assert!(self.raw.connected);
        let init = self.init(self.sctp.own_tag, streams);
        let packet = self.packet_with_tag(0, &[(1, 0, &init)]);
        self.raw.send(&packet);
        self.exchange();
        let init_ack = self.received(2).pop().expect("an INIT ACK");
        self.sctp.peer_tag = u32::from_be_bytes(init_ack[..4].try_into().unwrap());
        let cookie = cookie(&init_ack);
        self.send_chunks(&[(10, 0, &cookie)]);
        assert_eq!(self.received(11).len(), 1, "no COOKIE ACK");
    }

    pub(crate) fn init(&self, tag: u32, streams: u16) -> Vec<u8> {
        let mut init = tag.to_be_bytes().to_vec();
        init.extend_from_slice(&1_000_000_u32.to_be_bytes());
        init.extend_from_slice(&streams.to_be_bytes());
        init.extend_from_slice(&streams.to_be_bytes());
        init.extend_from_slice(&self.sctp.tsn.to_be_bytes());
        init.extend_from_slice(&[0xC0, 0, 0, 4, 0x80, 8, 0, 6, 130, 192, 0, 0]);
        init
    }

    pub(crate) fn has(&self, event: &SecureEvent) -> bool {
        self.events.contains(event)
    }
}

/// The state cookie in an INIT ACK.
pub(crate) fn cookie(init_ack: &[u8]) -> Vec<u8> {
    let mut rest = &init_ack[16..];
    loop {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[..2] == [0, 7] {
            return rest[4..length].to_vec();
        }
        rest = &rest[length.next_multiple_of(4)..];
    }
}

/// Type and value of each chunk in a packet.
pub(crate) fn chunks(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut chunks = Vec::new();
    let mut rest = &packet[12..];
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        chunks.push((rest[0], rest[4..length].to_vec()));
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    chunks
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
        crc
    })
}

/// A DATA_CHANNEL_OPEN (RFC 8832 §5.1) of an ordered reliable channel.
pub(crate) fn open(label: &str) -> Vec<u8> {
    let mut open = vec![3, 0, 1, 0, 0, 0, 0, 0];
    open.extend_from_slice(&u16::try_from(label.len()).unwrap().to_be_bytes());
    open.extend_from_slice(&[0, 0]);
    open.extend_from_slice(label.as_bytes());
    open
}
