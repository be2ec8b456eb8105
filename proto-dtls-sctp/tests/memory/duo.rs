//! A transport whose heap is measured, and a peer that has the keys and no manners.

use std::time::Duration;

use proto_dtls_sctp::{
    ChannelKey, DtlsRole, MaxMessageSize, SctpTransportState, SecureEvent, SecureTransport, SecureTransportConfig,
    StartParameters,
};
use proto_machine::{Machine, Seed, Timestamp, TransmitBuffer};

use crate::common;
use crate::meter::{Meter, aside};
use crate::raw::{self, RawPeer, Version};
use crate::wire::{self, Chunk, Fragment};

/// The tag of the hostile peer.
const OWN_TAG: u32 = 0x0102_0304;
/// Its first TSN, and the number of its first request.
pub(crate) const FIRST_TSN: u32 = 1000;

/// How the two come together.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    /// Whether the peer offers I-DATA.
    pub(crate) interleaves: bool,
    /// The receive window of the peer.
    pub(crate) window: u32,
    pub(crate) change: fn(&mut SecureTransportConfig),
}

impl Default for Setting {
    fn default() -> Self {
        Self { interleaves: false, window: 1 << 30, change: |_| {} }
    }
}

impl Setting {
    pub(crate) fn interleaved() -> Self {
        Self { interleaves: true, ..Self::default() }
    }

    pub(crate) fn with(self, change: fn(&mut SecureTransportConfig)) -> Self {
        Self { change, ..self }
    }
}

/// A transport and its peer, without delay between them.
pub(crate) struct Duo {
    pub(crate) now: Timestamp,
    pub(crate) transport: SecureTransport,
    pub(crate) meter: Meter,
    pub(crate) config: SecureTransportConfig,
    pub(crate) interleaves: bool,
    /// The next one.
    pub(crate) tsn: u32,
    /// Whether the application looks at events.
    pub(crate) reads: bool,
    /// Whether the peer acknowledges data and resets.
    pub(crate) acknowledges: bool,
    pub(crate) channels: Vec<ChannelKey>,
    pub(crate) messages: u64,
    /// What the transport has sent since this was looked at last, if it is kept.
    pub(crate) kept: Vec<(u8, Vec<u8>)>,
    pub(crate) keeps: bool,
    /// The last TSN that the transport has sent.
    pub(crate) last_tsn: u32,
    raw: RawPeer,
    tag: u32,
    buffer: TransmitBuffer,
    /// Datagrams of the transport, and how often its time had come.
    answers: u64,
    timeouts: u64,
    /// How often the transport had allocated something when each packet of the peer came.
    work: Vec<u64>,
}

impl Duo {
    /// A transport whose association is established, with as many streams as it permits.
    pub(crate) fn new(setting: Setting) -> Self {
        let raw = RawPeer::new(Version::Only13, DtlsRole::Client, |builder| builder);
        let mut config = common::config(5);
        (setting.change)(&mut config);
        let mut parameters = StartParameters::new(DtlsRole::Server, vec![raw.fingerprint.into()]);
        parameters.remote_max_message_size = MaxMessageSize::Unlimited;
        let now = Timestamp::from_millis(1);
        let mut meter = Meter::default();
        let own = config.clone();
        let transport = meter.measure(|| {
            let mut transport = SecureTransport::new(own, Seed::from_number(5));
            transport.start(now, parameters).unwrap();
            transport
        });
        let mut this = Self {
            now,
            transport,
            meter,
            config,
            interleaves: setting.interleaves,
            tsn: FIRST_TSN,
            reads: true,
            acknowledges: true,
            channels: Vec::new(),
            messages: 0,
            kept: Vec::new(),
            keeps: true,
            last_tsn: 0,
            raw,
            tag: 0,
            buffer: TransmitBuffer::new(1200),
            answers: 0,
            timeouts: 0,
            work: Vec::new(),
        };
        this.associate(setting.window);
        this
    }

    fn associate(&mut self, window: u32) {
        self.raw.timeout(self.now);
        self.pump();
        assert!(self.raw.connected);
        self.send_init(window);
        self.pump();
        let init_ack = self.kept.iter().rfind(|(kind, _)| *kind == 2).expect("an INIT ACK").1.clone();
        self.tag = u32::from_be_bytes(init_ack[..4].try_into().unwrap());
        self.last_tsn = u32::from_be_bytes(init_ack[12..16].try_into().unwrap()).wrapping_sub(1);
        self.send_checked(&[(10, 0, raw::cookie(&init_ack))]);
        self.pump();
        assert_eq!(self.transport.sctp_state(), SctpTransportState::Connected);
        self.keeps = false;
        self.kept.clear();
        (self.answers, self.timeouts) = (0, 0);
        self.work.clear();
    }

    /// An INIT, which stands alone in a packet without tag.
    pub(crate) fn send_init(&mut self, window: u32) {
        let mut init = OWN_TAG.to_be_bytes().to_vec();
        init.extend_from_slice(&window.to_be_bytes());
        init.extend_from_slice(&[0xFF; 4]);
        init.extend_from_slice(&FIRST_TSN.to_be_bytes());
        // FORWARD TSN, zero checksum over DTLS, and the list of extensions.
        init.extend_from_slice(&[0xC0, 0, 0, 4, 0x80, 1, 0, 8, 0, 0, 0, 1]);
        let extensions: &[u8] =
            if self.interleaves { &[0x80, 8, 0, 8, 130, 192, 64, 194] } else { &[0x80, 8, 0, 6, 130, 192, 0, 0] };
        init.extend_from_slice(extensions);
        let packet = wire::with_checksum(wire::packet(0, &[(1, 0, init)]));
        self.give(&packet);
    }

    /// A packet with a checksum, as COOKIE ECHO needs it.
    pub(crate) fn send_checked(&mut self, chunks: &[Chunk]) {
        let packet = wire::with_checksum(wire::packet(self.tag, chunks));
        self.give(&packet);
    }

    /// A packet. The transport is not asked for its answer.
    pub(crate) fn send(&mut self, chunks: &[Chunk]) {
        let packet = wire::packet(self.tag, chunks);
        self.give(&packet);
    }

    fn give(&mut self, packet: &[u8]) {
        self.work.push(self.meter.allocations());
        self.raw.send(packet);
        self.give_records();
    }

    fn give_records(&mut self) {
        for mut datagram in std::mem::take(&mut self.raw.outgoing) {
            self.meter.measure(|| self.transport.handle_datagram(self.now, &mut datagram));
        }
    }

    /// Records of these packets in one datagram.
    pub(crate) fn send_in_one_datagram(&mut self, packets: usize, chunk: &Chunk) {
        let packet = wire::packet(self.tag, std::slice::from_ref(chunk));
        (0..packets).for_each(|_| self.raw.send(&packet));
        self.work.push(self.meter.allocations());
        let mut datagram = std::mem::take(&mut self.raw.outgoing).concat();
        self.meter.measure(|| self.transport.handle_datagram(self.now, &mut datagram));
    }

    /// A DATA or I-DATA chunk with the next TSN.
    pub(crate) fn next_chunk(&mut self, fragment: Fragment<'_>) -> Chunk {
        let tsn = self.tsn;
        self.tsn = tsn.wrapping_add(1);
        self.chunk(tsn, fragment)
    }

    pub(crate) fn chunk(&self, tsn: u32, fragment: Fragment<'_>) -> Chunk {
        if self.interleaves { wire::interleaved(tsn, fragment) } else { wire::data(tsn, fragment) }
    }

    /// Takes what the transport has to send and to say, until nothing is left.
    pub(crate) fn pump(&mut self) {
        self.raw.timeout(self.now);
        self.give_records();
        loop {
            self.read_events();
            self.buffer.clear();
            let transmit = self.meter.measure(|| self.transport.poll_transmit(self.now, 1, &mut self.buffer));
            if transmit.is_none() {
                return;
            }
            self.answers += 1;
            for datagram in self.buffer.datagrams() {
                self.raw.handle(self.now, datagram);
            }
            let packets = std::mem::take(&mut self.raw.data);
            for (kind, value) in packets.iter().flat_map(|packet| raw::chunks(packet)) {
                self.note(kind, value);
            }
            self.give_records();
        }
    }

    fn note(&mut self, kind: u8, value: Vec<u8>) {
        if matches!(kind, 0 | 64) {
            self.last_tsn = u32::from_be_bytes(value[..4].try_into().unwrap());
        }
        if self.acknowledges && matches!(kind, 0 | 64) {
            self.send(&[wire::sack(self.last_tsn, 1 << 30, &[])]);
        }
        if self.acknowledges && kind == 130 && value[..2] == [0, 13] {
            let response = [&[0, 16, 0, 12], &value[4..8], &[0, 0, 0, 1]].concat();
            self.send(&[(130, 0, response)]);
        }
        if self.keeps {
            self.kept.push((kind, value));
        }
    }

    fn read_events(&mut self) {
        while self.reads {
            let (channels, messages) = (&mut self.channels, &mut self.messages);
            let went_on = self.meter.measure(|| {
                let Some(event) = self.transport.poll_event() else { return false };
                match event {
                    SecureEvent::DataChannel { channel } => aside(|| channels.push(channel)),
                    SecureEvent::Message { .. } => *messages += 1,
                    _ => {}
                }
                true
            });
            if !went_on {
                return;
            }
        }
    }

    /// Lets time pass, from one deadline of the transport to the next.
    pub(crate) fn rest(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.pump();
        while let Some(deadline) = self.transport.poll_timeout().filter(|deadline| deadline.at <= end) {
            self.now = self.now.max(deadline.at);
            self.timeouts += 1;
            self.meter.measure(|| self.transport.handle_timeout(self.now));
            self.pump();
        }
        self.now = end;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.transport.sctp_state() == SctpTransportState::Connected
    }

    /// Prints what this attack has led to beside the bound, and compares them: memory, answers, and whether the work for a packet has grown.
    pub(crate) fn judge(&self, attack: &str) {
        self.judge_by(attack, self.config.receive_memory_bound());
        let packets = u64::try_from(self.work.len()).unwrap();
        // Streams that are reset take packets of their own, some hundred at a time.
        let resets = u64::from(self.config.max_channels) / 64;
        assert!(self.answers <= 3 * packets + 2 * self.timeouts + resets + 64, "{attack}: {} answers", self.answers);
    }

    /// The same where the application has sent something.
    pub(crate) fn judge_with_sending(&self, attack: &str) {
        self.judge_by(attack, self.config.receive_memory_bound() + self.config.send_memory_bound());
    }

    fn judge_by(&self, attack: &str, bound: usize) {
        let (peak, held) = (self.meter.peak(), self.meter.held());
        let quarter = self.work.len() / 4;
        let mean = |samples: &[u64]| {
            let steps = u64::try_from(samples.len().saturating_sub(1).max(1)).unwrap();
            samples.last().zip(samples.first()).map_or(0, |(last, first)| last - first) / steps
        };
        let early = mean(&self.work[..quarter.min(self.work.len())]);
        let late = mean(&self.work[self.work.len() - quarter..]);
        let packets = u64::try_from(self.work.len()).unwrap();
        println!(
            "{attack:<72} | {peak:>11} | {bound:>11} | {held:>11} | {packets:>7} | {:>7} | {early:>6} | {late:>6}",
            self.answers
        );
        assert!(peak <= bound, "{attack}: {peak} of {bound}");
        assert!(late <= 2 * early + 64, "{attack}: {early} and {late} allocations for a packet");
        let seconds = (self.now - Timestamp::ZERO).as_secs();
        assert!(self.timeouts <= 20 * (seconds + 1), "{attack}: {} timeouts in {seconds} s", self.timeouts);
    }
}
