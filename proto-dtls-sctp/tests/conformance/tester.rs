//! The peer of the association under test: it sends what the test says and looks at what comes back, in virtual time.

use std::time::Duration;

use bytes::Bytes;
use proto_dtls_sctp::bare::{BareAssociation, BareConfig, BareEvent};
use proto_dtls_sctp::{Reliability, SctpFailure, SctpFailureReason};
use proto_machine::{Seed, Timestamp};

use crate::wire::{
    COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, Data, INIT, INIT_ACK, Init, Packet, SACK, Sack, WHOLE, chunk, parameter,
};

/// The tag of the tester.
pub(crate) const TAG: u32 = 0x7E57_7E57;
/// The first TSN of the tester.
pub(crate) const TSN: u32 = 1000;
/// The cookie of the tester, as another stack might make it: of any length.
pub(crate) const COOKIE: &[u8] = b"a cookie that says nothing";
/// The payload protocol identifier that the association under test sends.
pub(crate) const BINARY: u32 = 53;
/// The window that the tester tells, unless a test says another.
pub(crate) const WINDOW: u32 = 1 << 20;

/// No extensions, 16 streams, a window of 64 KiB.
pub(crate) const PLAIN: BareConfig = BareConfig {
    packet_size: 1200,
    receive_window: 64 * 1024,
    max_message_size: 32 * 1024,
    streams: 16,
    backend: proto_dtls_sctp::SctpBackend::Own,
    interleaving: false,
    zero_checksum: false,
    round_trip_time: None,
    heartbeat_interval: None,
    set_up_time_limit: None,
    max_retransmissions: None,
};

/// What the tester says in INIT and INIT ACK, unless a test says otherwise.
pub(crate) fn offer() -> Init {
    Init {
        tag: TAG,
        window: WINDOW,
        outbound_streams: 16,
        inbound_streams: 16,
        tsn: TSN,
        parameters: vec![(parameter::FORWARD_TSN_SUPPORTED, Vec::new())],
    }
}

/// An INIT ACK with a cookie.
pub(crate) fn init_ack(offer: &Init) -> Chunk {
    offer.clone().with(parameter::STATE_COOKIE, COOKIE).chunk(INIT_ACK)
}

pub(crate) const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The two ends.
pub(crate) struct Tester {
    pub(crate) now: Timestamp,
    pub(crate) end: BareAssociation,
    /// What the association under test said in its INIT.
    pub(crate) init: Init,
    /// The tag that its packets carry once it knows it.
    tag: u32,
    /// All of its packets may come without checksum.
    zero_checksum: bool,
    packet_size: usize,
    events: Vec<BareEvent>,
}

impl Tester {
    /// COOKIE-WAIT: the INIT has come and is not answered.
    pub(crate) fn cookie_wait(config: BareConfig) -> Self {
        let now = Timestamp::from_millis(1_000);
        let mut end = BareAssociation::new(now, config, Seed::from_number(1));
        let mut bytes = Vec::new();
        assert!(end.write_packet(now, &mut bytes));
        let packet = Packet::read(&bytes);
        assert!(packet.has_checksum && packet.kinds() == [INIT]);
        assert_eq!(packet.tag, 0, "RFC 9260 §8.5.1 A");
        let init = packet.chunks[0].init();
        let packet_size = config.packet_size;
        Self { now, end, init, tag: TAG, zero_checksum: false, packet_size, events: Vec::new() }
    }

    /// COOKIE-ECHOED: the COOKIE ECHO has come and is not answered.
    pub(crate) fn cookie_echoed(config: BareConfig, offer: &Init) -> Self {
        let mut peer = Self::cookie_wait(config);
        peer.sends(&[init_ack(offer)]);
        let packet = peer.expect();
        assert_eq!(packet.chunks[0], chunk(COOKIE_ECHO, COOKIE));
        peer
    }

    /// ESTABLISHED
    pub(crate) fn established(config: BareConfig, offer: &Init) -> Self {
        let mut peer = Self::cookie_echoed(config, offer);
        peer.sends(&[chunk(COOKIE_ACK, &[])]);
        peer.zero_checksum = config.zero_checksum && offer.find(parameter::ZERO_CHECKSUM).is_some();
        peer.expect_established();
        peer
    }

    /// ESTABLISHED without extensions.
    pub(crate) fn plain() -> Self {
        Self::established(PLAIN, &offer())
    }

    /// An association that the descriptions have set up.
    pub(crate) fn described(now: Timestamp, end: BareAssociation, init: Init, packet_size: usize) -> Self {
        Self { now, end, init, tag: TAG, zero_checksum: false, packet_size, events: Vec::new() }
    }

    /// From here on packets are to carry this tag.
    pub(crate) fn expect_tag(&mut self, tag: u32) {
        self.tag = tag;
    }

    /// Gives a packet with the tag of the association under test.
    pub(crate) fn sends(&mut self, chunks: &[Chunk]) {
        self.sends_with_tag(self.init.tag, chunks);
    }

    pub(crate) fn sends_with_tag(&mut self, tag: u32, chunks: &[Chunk]) {
        self.sends_bytes(&Packet::write(tag, chunks));
    }

    pub(crate) fn sends_bytes(&mut self, bytes: &[u8]) {
        self.end.handle_packet(self.now, bytes);
    }

    /// The next packet, if there is one.
    pub(crate) fn poll(&mut self) -> Option<Packet> {
        let mut bytes = Vec::new();
        let written = self.end.write_packet(self.now, &mut bytes);
        let packet = written.then(|| Packet::read(&bytes))?;
        assert!(packet.length <= self.packet_size, "{} bytes", packet.length);
        assert!(packet.has_checksum || self.zero_checksum, "RFC 9653 §5.2");
        Some(packet)
    }

    /// The next packet.
    pub(crate) fn expect(&mut self) -> Packet {
        let packet = self.poll().expect("a packet");
        assert_eq!(packet.tag, self.tag, "{packet:?}");
        packet
    }

    /// The next packet, which has these chunks.
    pub(crate) fn expect_chunks(&mut self, kinds: &[u8]) -> Vec<Chunk> {
        let packet = self.expect();
        assert_eq!(packet.kinds(), kinds, "{packet:?}");
        packet.chunks
    }

    /// The next packet, which has this chunk alone, and none behind it.
    pub(crate) fn expect_only(&mut self, kind: u8) -> Chunk {
        let chunk = self.expect_chunks(&[kind]).remove(0);
        self.expect_nothing();
        chunk
    }

    pub(crate) fn expect_nothing(&mut self) {
        assert_eq!(self.poll(), None);
    }

    /// All packets that are due now.
    pub(crate) fn flight(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.poll()).collect()
    }

    /// The payload chunks among them.
    pub(crate) fn data(&mut self) -> Vec<Data> {
        let chunks = self.flight().into_iter().flat_map(|packet| packet.chunks);
        chunks.filter(|chunk| matches!(chunk.kind, DATA | crate::wire::I_DATA)).map(|chunk| chunk.data()).collect()
    }

    /// The only chunk of the next packet, a SACK.
    pub(crate) fn expect_sack(&mut self) -> Sack {
        self.expect_only(SACK).sack()
    }

    pub(crate) fn events(&mut self) -> &mut Vec<BareEvent> {
        while let Some(event) = self.end.poll_event() {
            self.events.push(event);
        }
        &mut self.events
    }

    pub(crate) fn is_established(&mut self) -> bool {
        self.events().iter().any(|event| matches!(event, BareEvent::Established { .. }))
    }

    /// Established, and nothing is left to be sent.
    pub(crate) fn expect_established(&mut self) {
        self.expect_nothing();
        assert!(self.is_established() && self.lost().is_none());
    }

    pub(crate) fn lost(&mut self) -> Option<SctpFailure> {
        let lost = |event: &BareEvent| if let BareEvent::Lost(failure) = event { Some(*failure) } else { None };
        self.events().iter().find_map(lost)
    }

    pub(crate) fn expect_lost(&mut self, reason: SctpFailureReason, cause_code: Option<u16>) {
        assert_eq!(self.lost(), Some(SctpFailure { cause_code, reason }));
        assert_eq!(self.end.poll_timeout(), None, "nothing goes on");
    }

    /// The association is lost because of the tester, who is told so by an ABORT with this cause.
    pub(crate) fn expect_violation(&mut self, code: u16) -> Chunk {
        let abort = self.expect_only(crate::wire::ABORT);
        assert_eq!((abort.flags, abort.cause()), (0, code));
        self.expect_lost(SctpFailureReason::PeerMisbehaved, Some(code));
        abort
    }

    /// Still there: it answers.
    pub(crate) fn expect_alive(&mut self) {
        self.expect_nothing();
        assert_eq!(self.lost(), None);
        let probe = crate::wire::heartbeat(crate::wire::HEARTBEAT, b"alive?");
        self.sends(std::slice::from_ref(&probe));
        let answer = self.expect_only(crate::wire::HEARTBEAT_ACK);
        assert_eq!(answer.value, probe.value);
    }

    /// Lets time pass to the next timer, and says how long that was.
    pub(crate) fn wait(&mut self) -> Duration {
        let due = self.end.poll_timeout().expect("a timer").at;
        let pause = due - self.now;
        if pause > Duration::ZERO {
            // Not a moment before.
            self.end.handle_timeout(Timestamp::from_nanos(due.as_nanos() - 1));
            self.expect_nothing();
        }
        self.now = self.now.max(due);
        self.end.handle_timeout(self.now);
        pause
    }

    /// Lets so much time pass, with the timers that are due meanwhile. What is sent is returned with its moment from now on.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(Duration, Packet)> {
        let (start, end) = (self.now, self.now + time);
        let mut sent = Vec::new();
        loop {
            sent.extend(self.flight().into_iter().map(|packet| (self.now - start, packet)));
            match self.end.poll_timeout().filter(|deadline| deadline.at <= end) {
                Some(deadline) => {
                    self.now = self.now.max(deadline.at);
                    self.end.handle_timeout(self.now);
                }
                None => break,
            }
            assert!(sent.len() < 10_000, "it never comes to rest");
        }
        self.now = end;
        sent
    }

    /// Hands over a reliable, ordered message.
    pub(crate) fn writes(&mut self, stream: u16, payload: &[u8]) {
        assert!(self.end.send(self.now, stream, Bytes::copy_from_slice(payload), true, Reliability::Reliable));
    }

    pub(crate) fn reads(&mut self, stream: u16) -> Option<Vec<u8>> {
        self.end.receive(stream).map(|message| message.to_vec())
    }

    /// The TSN of the tester that is so many behind the first.
    pub(crate) fn tsn(offset: u32) -> u32 {
        TSN.wrapping_add(offset)
    }

    /// The TSN of the association under test that is so many behind the first.
    pub(crate) fn its_tsn(&self, offset: u32) -> u32 {
        self.init.tsn.wrapping_add(offset)
    }

    /// Sends a SACK for everything up to the TSN with this offset, and for blocks behind it.
    pub(crate) fn acknowledges(&mut self, offset: u32, gaps: &[(u16, u16)]) {
        let sack = self.sack(offset, gaps);
        self.sends(&[sack.chunk()]);
    }

    pub(crate) fn sack(&self, offset: u32, gaps: &[(u16, u16)]) -> Sack {
        Sack { cumulative: self.its_tsn(offset), window: WINDOW, gaps: gaps.to_vec(), duplicates: Vec::new() }
    }
}

/// A message of the tester in one chunk, ordered, whose TSN is so many behind the first.
pub(crate) fn message(offset: u32, stream: u16, sequence: u32, payload: &[u8]) -> Data {
    let tsn = Tester::tsn(offset);
    Data { tsn, flags: WHOLE, stream, sequence, protocol: BINARY, payload: payload.to_vec() }
}

/// The first messages of stream 1.
pub(crate) fn messages(offsets: impl IntoIterator<Item = u32>) -> Vec<Chunk> {
    offsets.into_iter().map(|offset| message(offset, 1, offset, b"data").chunk()).collect()
}
