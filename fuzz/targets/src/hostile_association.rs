//! A peer on the bare DTLS library, whose SCTP the input writes: authenticated, and hostile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output};
use proto_dtls_sctp::{
    DtlsRole, Entropy, SctpTransportState, SecureEvent, SecureTransport, SecureTransportConfig, StartParameters,
};
use proto_machine::{Machine, Seed, Segments, Timestamp, TransmitBuffer};

use crate::bounded::{Wish, drain, expire};
use crate::peers::certificate;

/// Chunk types (RFC 9260 §3.2).
pub(crate) const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const COOKIE_ECHO: u8 = 10;
const RE_CONFIG: u8 = 130;

/// Parameters of RE-CONFIG (RFC 6525 §4): requests to reset outgoing streams, and responses.
const OUTGOING_RESET: u16 = 13;
const RESPONSE: u16 = 16;
/// Results in responses (RFC 6525 §4.4): "Success - Performed" and "In progress", after which the request is repeated.
const PERFORMED: u32 = 1;
const IN_PROGRESS: u32 = 6;

const PORT: u16 = 5_000;
const OWN_TAG: u32 = 0x0102_0304;
pub(crate) const FIRST_TSN: u32 = 1_000;
/// The streams that both sides offer.
pub(crate) const STREAMS: u16 = 64;
/// Rounds in which two sides that answer each other at once have to come to rest. One that does not acknowledge is sent to by timers only.
const MAX_ROUNDS: usize = 2_000;
/// The most deadlines that pass at a time.
const MAX_DEADLINES: usize = 100;

/// A transport and the hostile peer, without delay between them.
pub(crate) struct HostileAssociation {
    pub(crate) now: Timestamp,
    pub(crate) transport: SecureTransport,
    pub(crate) events: Vec<SecureEvent>,
    /// Whether the hostile peer acknowledges what it is sent.
    pub(crate) acknowledges: bool,
    /// Whether the application takes the events.
    pub(crate) polls: bool,
    pub(crate) next_tsn: u32,
    /// The result of every request of the transport to reset streams.
    pub(crate) reset_result: u32,
    /// The number of the next request of the hostile peer to reset streams.
    pub(crate) next_request: u32,
    /// The number of the last request of the transport.
    last_request_of_transport: u32,
    peer_tag: u32,
    hostile: Hostile,
    buffer: TransmitBuffer,
}

struct Hostile {
    dtls: Dtls,
    /// Differences to it are all that counts.
    epoch: Instant,
    outgoing: Vec<Vec<u8>>,
    /// SCTP packets that were received and not looked at yet.
    received: Vec<Vec<u8>>,
}

impl HostileAssociation {
    /// An established association; the hostile side is the DTLS client, whose channels have even ids.
    pub(crate) fn new() -> Self {
        let hostile = Hostile::new();
        let mut config = SecureTransportConfig::new(certificate(0));
        // The library on the other side is not simulated either, and this is several times as fast.
        config.entropy = Entropy::System;
        config.max_channels = STREAMS;
        config.max_receive_message_size = 64 * 1024;
        config.receive_buffer = 128 * 1024;
        let mut transport = SecureTransport::new(config, Seed::from_number(5));
        let now = Timestamp::from_millis(1);
        let fingerprint = certificate(1).fingerprint().into();
        transport.start(now, StartParameters::new(DtlsRole::Server, vec![fingerprint])).unwrap();
        let mut association = Self {
            now,
            transport,
            events: Vec::new(),
            acknowledges: true,
            polls: true,
            next_tsn: FIRST_TSN,
            reset_result: PERFORMED,
            next_request: FIRST_TSN,
            last_request_of_transport: 0,
            peer_tag: 0,
            hostile,
            buffer: TransmitBuffer::new(1_200),
        };
        association.associate();
        association
    }

    fn associate(&mut self) {
        self.exchange();
        let init = init(OWN_TAG, STREAMS);
        let packet = packet(0, &[(INIT, 0, &init)]);
        self.hostile.send(&packet);
        self.hostile.received.clear();
        // The INIT ACK is looked at before it is dropped as something that needs no answer.
        self.deliver_to_transport();
        self.deliver_to_hostile();
        let answers: Vec<_> = self.hostile.received.iter().flat_map(|packet| chunks(packet)).collect();
        let (_, init_ack) = answers.into_iter().find(|(kind, _)| *kind == INIT_ACK).unwrap();
        self.peer_tag = u32::from_be_bytes(init_ack[..4].try_into().unwrap());
        let cookie = cookie(&init_ack);
        self.send(&[(COOKIE_ECHO, 0, &cookie)]);
        assert_eq!(self.transport.sctp_state(), SctpTransportState::Connected);
    }

    /// Sends chunks in one packet with the right tag and checksum, and carries everything both ways.
    pub(crate) fn send(&mut self, chunks: &[(u8, u8, &[u8])]) {
        self.send_packet(&packet(self.peer_tag, chunks));
    }

    /// Asks to reset streams in the direction to the transport (RFC 6525 §4.1): all of them if none is named.
    pub(crate) fn request_reset(&mut self, number: u32, last_tsn: u32, streams: &[u16]) {
        let numbers = [number, self.last_request_of_transport, last_tsn];
        let mut value: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        value.extend(streams.iter().flat_map(|stream| stream.to_be_bytes()));
        self.send(&[(RE_CONFIG, 0, &parameter(OUTGOING_RESET, &value))]);
    }

    /// Sends bytes in the place of a packet.
    pub(crate) fn send_packet(&mut self, packet: &[u8]) {
        self.hostile.send(packet);
        self.exchange();
    }

    /// A packet whose bytes behind the ports are given; with the right tag and checksum if it is so wanted.
    pub(crate) fn raw_packet(&self, rest: &[u8], is_addressed: bool) -> Vec<u8> {
        let mut bytes = packet(self.peer_tag, &[]);
        bytes.extend_from_slice(rest);
        if !is_addressed {
            bytes[4..8].fill(0);
        }
        seal(&mut bytes);
        bytes
    }

    /// Hands a datagram to the transport that the hostile DTLS has not sealed.
    pub(crate) fn inject(&mut self, datagram: &mut [u8]) {
        self.transport.handle_datagram(self.now, datagram);
        self.exchange();
    }

    /// Lets time pass, in steps from one deadline to the next.
    pub(crate) fn pass_time(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..MAX_DEADLINES {
            let Some(deadline) = self.transport.poll_timeout().filter(|deadline| deadline.at <= end) else { break };
            self.now = self.now.max(deadline.at);
            self.expire();
        }
        self.now = end;
        self.expire();
    }

    fn expire(&mut self) {
        if self.polls {
            let wishes = expire(&mut self.transport, self.now, &mut self.buffer);
            self.carry_out(wishes);
        } else {
            self.transport.handle_timeout(self.now);
        }
        self.hostile.handle_timeout(self.now);
        self.exchange();
    }

    /// Carries everything both ways until nothing is left.
    pub(crate) fn exchange(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let is_quiet = !self.deliver_to_transport() & !self.deliver_to_hostile();
            self.answer();
            if is_quiet && self.hostile.outgoing.is_empty() {
                return;
            }
        }
        panic!("the two sides do not come to rest at {:?}", self.now);
    }

    fn deliver_to_transport(&mut self) -> bool {
        let datagrams = std::mem::take(&mut self.hostile.outgoing);
        let is_any = !datagrams.is_empty();
        for mut datagram in datagrams {
            self.transport.handle_datagram(self.now, &mut datagram);
        }
        is_any
    }

    fn deliver_to_hostile(&mut self) -> bool {
        let wishes =
            if self.polls { drain(&mut self.transport, self.now, &mut self.buffer) } else { self.drain_transmits() };
        let is_any = wishes.iter().any(|wish| matches!(wish, Wish::Send(..)));
        self.carry_out(wishes);
        is_any
    }

    fn drain_transmits(&mut self) -> Vec<Wish<Segments, SecureEvent>> {
        let mut wishes = Vec::new();
        loop {
            self.buffer.clear();
            let Some(segments) = self.transport.poll_transmit(self.now, 8, &mut self.buffer) else { return wishes };
            wishes.extend(self.buffer.datagrams().map(|datagram| Wish::Send(segments, datagram.to_vec())));
            assert!(wishes.len() < 20_000, "sends without end");
        }
    }

    fn carry_out(&mut self, wishes: Vec<Wish<Segments, SecureEvent>>) {
        for wish in wishes {
            match wish {
                Wish::Send(_, datagram) => self.hostile.handle(self.now, &datagram),
                Wish::Event(event) => self.events.push(event),
                Wish::Socket(_) => {}
            }
        }
    }

    /// Acknowledges data and answers requests to reset streams.
    fn answer(&mut self) {
        let received = std::mem::take(&mut self.hostile.received);
        if self.peer_tag == 0 {
            return;
        }
        let chunks: Vec<_> = received.iter().flat_map(|packet| chunks(packet)).collect();
        let re_configurations = chunks.iter().filter(|(kind, _)| *kind == RE_CONFIG);
        let parameters: Vec<_> = re_configurations.flat_map(|(_, value)| parameters(value)).collect();
        self.note_numbers(&parameters);
        if !self.acknowledges {
            return;
        }
        // Without loss, the last TSN is the cumulative one.
        if let Some((_, value)) = chunks.iter().rfind(|(kind, value)| *kind == DATA && value.len() >= 4) {
            let sack = [&value[..4], &1_000_000_u32.to_be_bytes(), &[0; 4]].concat();
            self.hostile.send(&packet(self.peer_tag, &[(SACK, 0, &sack)]));
        }
        for (_, request) in parameters.iter().filter(|(kind, _)| *kind == OUTGOING_RESET) {
            let response = [&request[..4], &self.reset_result.to_be_bytes()].concat();
            self.hostile.send(&packet(self.peer_tag, &[(RE_CONFIG, 0, &parameter(RESPONSE, &response))]));
        }
    }

    /// A request that has its final answer is followed by one with the next number (RFC 6525 §5.2.1).
    fn note_numbers(&mut self, parameters: &[(u16, Vec<u8>)]) {
        let number_at = |value: &[u8], at: usize| u32::from_be_bytes(value[at..at + 4].try_into().unwrap());
        for (kind, value) in parameters {
            match *kind {
                OUTGOING_RESET => self.last_request_of_transport = number_at(value, 0),
                RESPONSE if number_at(value, 0) == self.next_request && number_at(value, 4) != IN_PROGRESS => {
                    self.next_request = self.next_request.wrapping_add(1);
                }
                _ => {}
            }
        }
    }
}

impl Hostile {
    fn new() -> Self {
        let config: Arc<Config> = Config::builder().use_server_cookie(false).build().unwrap().into();
        let own = certificate(1);
        let certificate =
            DtlsCertificate { certificate: own.der().to_vec(), private_key: own.private_key_der().to_vec() };
        #[expect(clippy::disallowed_methods, reason = "the library wants an Instant, and only differences to it count")]
        let epoch = Instant::now();
        let mut dtls = Dtls::new_13(config, certificate, epoch);
        dtls.set_active(true);
        let mut hostile = Self { dtls, epoch, outgoing: Vec::new(), received: Vec::new() };
        hostile.handle_timeout(Timestamp::from_millis(1));
        hostile
    }

    fn handle(&mut self, now: Timestamp, datagram: &[u8]) {
        let _ = self.dtls.handle_timeout(self.epoch + now.since_epoch());
        let _ = self.dtls.handle_packet(datagram);
        self.poll();
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        let _ = self.dtls.handle_timeout(self.epoch + now.since_epoch());
        self.poll();
    }

    /// Sends application data, unless the session is over.
    fn send(&mut self, data: &[u8]) {
        let _ = self.dtls.send_application_data(data);
        self.poll();
    }

    fn poll(&mut self) {
        let mut buffer = vec![0; 70_000];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outgoing.push(packet.to_vec()),
                Output::ApplicationData(data) => self.received.push(data.to_vec()),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// The value of an INIT (RFC 9260 §3.3.2), with support of FORWARD TSN and RE-CONFIG.
pub(crate) fn init(tag: u32, streams: u16) -> Vec<u8> {
    let mut init = tag.to_be_bytes().to_vec();
    init.extend_from_slice(&1_000_000_u32.to_be_bytes());
    init.extend_from_slice(&streams.to_be_bytes());
    init.extend_from_slice(&streams.to_be_bytes());
    init.extend_from_slice(&FIRST_TSN.to_be_bytes());
    init.extend_from_slice(&[0xC0, 0, 0, 4, 0x80, 8, 0, 6, 130, 192, 0, 0]);
    init
}

fn packet(tag: u32, chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut packet = [PORT.to_be_bytes(), PORT.to_be_bytes()].concat();
    packet.extend_from_slice(&tag.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    for (kind, flags, value) in chunks {
        packet.extend_from_slice(&[*kind, *flags]);
        packet.extend_from_slice(&u16::try_from(value.len() + 4).unwrap_or(u16::MAX).to_be_bytes());
        packet.extend_from_slice(value);
        packet.resize(packet.len().next_multiple_of(4), 0);
    }
    seal(&mut packet);
    packet
}

fn seal(packet: &mut [u8]) {
    packet[8..12].fill(0);
    let checksum = crc32c(packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
}

/// The state cookie in an INIT ACK.
fn cookie(init_ack: &[u8]) -> Vec<u8> {
    let mut rest = &init_ack[16..];
    loop {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[..2] == [0, 7] {
            return rest[4..length].to_vec();
        }
        rest = &rest[length.next_multiple_of(4)..];
    }
}

/// Type and value of each chunk in a packet of the transport, which is well-formed.
fn chunks(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut chunks = Vec::new();
    let mut rest = &packet[12..];
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        chunks.push((rest[0], rest[4..length].to_vec()));
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    chunks
}

/// Type and value of each parameter in a RE-CONFIG chunk of the transport, which is well-formed.
fn parameters(value: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut parameters = Vec::new();
    let mut rest = value;
    while let Some(([kind, more, high, low], _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        parameters.push((u16::from_be_bytes([*kind, *more]), rest[4..length].to_vec()));
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    parameters
}

fn parameter(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
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
