//! What holds for every backend.

#[cfg(feature = "sctp-proto")]
mod interop;
mod load;
mod resets;

use bytes::Bytes;
use proto_machine::Seed;
use quickcheck::{Arbitrary, Gen};

use super::BACKEND;
use crate::sctp::packet::Header;
use crate::sctp::*;

pub(super) const SETTINGS: SctpSettings = SctpSettings {
    local_port: 5000,
    remote_port: 5000,
    packet_size: 1160,
    receive_window: 256 * 1024,
    max_receive_message_size: 64 * 1024,
    streams: 16,
    retransmission_timeout: Duration::from_millis(200),
    set_up_time_limit: None,
    round_trip_time: None,
    backend: BACKEND,
    interleaving: false,
    zero_checksum: false,
    heartbeat_interval: None,
    max_retransmissions: None,
};

pub(super) struct Ends {
    pub(super) now: Timestamp,
    pub(super) ends: [Sctp; 2],
    pub(super) events: [Vec<SctpEvent>; 2],
    /// Everything that was sent, by end.
    pub(super) log: [Vec<Bytes>; 2],
}

impl Ends {
    pub(super) fn new(settings: SctpSettings) -> Self {
        Self::with_each([settings; 2])
    }

    pub(super) fn with_each(settings: [SctpSettings; 2]) -> Self {
        let now = Timestamp::from_millis(1);
        let ends = [0, 1].map(|index| {
            let rng = Seed::from_number(index as u64 + 1).into_rng();
            Sctp::start(now, settings[index], rng)
        });
        Self { now, ends, events: Default::default(), log: Default::default() }
    }

    pub(super) fn established(settings: SctpSettings) -> Self {
        let mut ends = Self::new(settings);
        ends.exchange();
        assert!(
            ends.events.iter().all(|events| events.contains(&SctpEvent::Established { streams: settings.streams }))
        );
        ends
    }

    /// Carries everything both ways until nothing is left.
    pub(super) fn exchange(&mut self) {
        loop {
            let mut idle = true;
            for from in 0..2 {
                while let Some(packet) = self.ends[from].poll_packet(self.now, &mut self.events[from]) {
                    idle = false;
                    assert!(packet.len() <= SETTINGS.packet_size);
                    self.log[from].push(packet.clone());
                    self.ends[1 - from].handle_packet(self.now, &packet, &mut self.events[1 - from]);
                }
            }
            if idle {
                return;
            }
        }
    }

    /// Carries everything both ways until nothing is left, but for packets that begin with a chunk of these kinds.
    fn exchange_without(&mut self, from: usize, kinds: &[u8]) {
        loop {
            let mut idle = true;
            for end in 0..2 {
                while let Some(packet) = self.ends[end].poll_packet(self.now, &mut self.events[end]) {
                    idle = false;
                    if end != from || !kinds.contains(&packet[packet::HEADER_SIZE]) {
                        self.ends[1 - end].handle_packet(self.now, &packet, &mut self.events[1 - end]);
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn is_established(&self, end: usize) -> bool {
        self.events[end].iter().any(|event| matches!(event, SctpEvent::Established { .. }))
    }

    /// Carries everything for so long.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.exchange();
            let next = self.ends.iter().filter_map(Sctp::poll_timeout).map(|deadline| deadline.at).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            assert!(next > self.now, "a deadline does not pass");
            self.now = next;
            for index in 0..2 {
                self.ends[index].handle_timeout(self.now, &mut self.events[index]);
            }
        }
        self.now = end;
    }

    pub(super) fn write(&mut self, end: usize, stream: u16, payload: &'static [u8]) -> bool {
        self.ends[end].open_stream(stream, 256);
        let payload = Bytes::from_static(payload);
        let (protocol, reliability) = (PayloadProtocol::Binary, Reliability::Reliable);
        let message = OutgoingMessage { stream, protocol, payload, ordered: true, reliability };
        self.ends[end].write(self.now, message)
    }

    pub(super) fn read(&mut self, end: usize, stream: u16) -> Option<Bytes> {
        self.ends[end].read(stream, &mut self.events[end]).map(|(_, payload)| payload)
    }

    pub(super) fn header_to(&self, end: usize) -> Header {
        self.ends[1 - end].handshake.header().unwrap()
    }

    pub(super) fn give(&mut self, end: usize, packet: &Bytes) {
        self.ends[end].handle_packet(self.now, packet, &mut self.events[end]);
    }

    pub(super) fn lost(&self, end: usize) -> Option<SctpFailure> {
        self.events[end]
            .iter()
            .find_map(|event| if let SctpEvent::Lost(failure) = event { Some(*failure) } else { None })
    }
}

#[test]
fn two_ends_that_both_send_init_carry_data() {
    let mut ends = Ends::established(SETTINGS);
    assert!(ends.write(0, 3, b"data"));
    ends.exchange();
    assert!(ends.events[1].contains(&SctpEvent::Readable(3)));
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"data"[..]));
    assert_eq!(ends.read(1, 3), None);
}

/// RFC 9260 §5.1: the other side sends data as soon as it has the COOKIE ECHO, so that data tells what the COOKIE ACK does.
#[test]
fn data_of_the_peer_establishes_an_association_whose_cookie_ack_is_lost() {
    let mut ends = Ends::new(SETTINGS);
    ends.exchange_without(0, &[chunk_type::COOKIE_ECHO, chunk_type::COOKIE_ACK]);
    assert!(ends.is_established(0) && !ends.is_established(1));
    assert!(ends.write(0, 3, b"data"));
    let mut data = ends.ends[0].poll_packet(ends.now, &mut ends.events[0]).unwrap().to_vec();
    *data.last_mut().unwrap() ^= 1;
    ends.give(1, &data.clone().into());
    assert!(!ends.is_established(1), "the checksum is wrong");
    *data.last_mut().unwrap() ^= 1;
    ends.give(1, &data.into());
    assert!(ends.is_established(1));
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"data"[..]));
    assert!(ends.write(1, 3, b"answer"));
    ends.exchange();
    assert_eq!(ends.read(0, 3).as_deref(), Some(&b"answer"[..]));
}

#[test]
fn data_of_the_peer_establishes_nothing_before_a_cookie_echo_was_sent() {
    let mut ends = Ends::new(SETTINGS);
    ends.exchange_without(0, &[chunk_type::INIT_ACK, chunk_type::COOKIE_ECHO, chunk_type::COOKIE_ACK]);
    let header =
        Header { source_port: 5000, destination_port: 5000, verification_tag: ends.ends[1].handshake.local().tag };
    ends.give(1, &packet::single(header, chunk_type::SACK, 0, &[0; 12]));
    assert!(!ends.is_established(1));
}

#[test]
fn an_empty_write_is_refused_and_the_stream_goes_on() {
    let mut ends = Ends::established(SETTINGS);
    assert!(!ends.write(0, 3, b""));
    assert!(ends.write(0, 3, b"after"));
    ends.exchange();
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"after"[..]));
}

#[test]
fn a_late_replay_of_everything_disturbs_nothing() {
    let mut ends = Ends::established(SETTINGS);
    for _ in 0..3 {
        assert!(ends.write(0, 3, b"to the right") && ends.write(1, 3, b"to the left"));
        ends.run(Duration::from_secs(1));
    }
    let log = ends.log.clone();
    ends.run(Duration::from_secs(300));
    for (from, packets) in log.iter().enumerate() {
        for packet in packets {
            ends.give(1 - from, packet);
        }
    }
    ends.exchange();
    assert_eq!((ends.lost(0), ends.lost(1)), (None, None));
    for (end, text) in [(0, &b"to the left"[..]), (1, &b"to the right"[..])] {
        for _ in 0..3 {
            assert_eq!(ends.read(end, 3).as_deref(), Some(text));
        }
        assert_eq!(ends.read(end, 3), None);
    }
    assert!(ends.write(0, 3, b"alive"));
    ends.exchange();
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"alive"[..]));
}

#[test]
fn an_abort_tells_its_cause_and_is_not_answered() {
    let mut ends = Ends::established(SETTINGS);
    let abort = packet::abort(ends.header_to(0), 12);
    ends.give(0, &abort);
    assert_eq!(ends.lost(0), Some(SctpFailure { cause_code: Some(12), reason: SctpFailureReason::AbortedByPeer }));
    assert_eq!(ends.ends[0].poll_packet(ends.now, &mut ends.events[0]), None);
    assert_eq!(ends.ends[0].poll_timeout(), None);
}

#[test]
fn an_abort_with_a_reflected_tag_counts_and_one_with_a_wrong_tag_does_not() {
    let mut ends = Ends::established(SETTINGS);
    let wrong = Header { verification_tag: 1, ..ends.header_to(0) };
    ends.give(0, &packet::single(wrong, chunk_type::ABORT, 0, &[]));
    ends.give(0, &packet::single(wrong, chunk_type::ABORT, TAG_REFLECTED, &[]));
    assert_eq!(ends.lost(0), None);
    let reflected = ends.ends[0].handshake.header().unwrap();
    ends.give(0, &packet::single(reflected, chunk_type::ABORT, TAG_REFLECTED, &[]));
    assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::AbortedByPeer));
}

#[test]
fn an_own_abort_is_the_last_packet() {
    let mut ends = Ends::established(SETTINGS);
    assert!(ends.write(0, 3, b"lost"));
    ends.ends[0].abort();
    ends.exchange();
    assert_eq!(ends.lost(1).map(|failure| failure.cause_code), Some(Some(cause::USER_INITIATED_ABORT)));
    ends.run(Duration::from_secs(100));
    assert!(!ends.write(0, 3, b"more"));
}

#[test]
fn an_abort_during_the_set_up_has_nobody_to_go_to_or_is_understood() {
    let mut ends = Ends::new(SETTINGS);
    ends.ends[0].abort();
    assert_eq!(ends.ends[0].poll_packet(ends.now, &mut ends.events[0]), None);
    assert_eq!(ends.ends[0].poll_timeout(), None);
}

#[test]
fn a_packet_for_another_port_or_with_another_tag_is_dropped() {
    let mut ends = Ends::established(SETTINGS);
    let right = ends.header_to(0);
    let wrong = [
        Header { source_port: 1, ..right },
        Header { destination_port: 1, ..right },
        Header { verification_tag: right.verification_tag ^ 1, ..right },
        Header { verification_tag: 0, ..right },
    ];
    for header in wrong {
        ends.give(0, &packet::single(header, chunk_type::SHUTDOWN, 0, &[0; 4]));
    }
    assert_eq!(ends.ends[0].counters().packets_dropped, 4);
    // An INIT has tag 0 and stands alone.
    ends.give(0, &packet::single(right, chunk_type::INIT, 0, &[1; 16]));
    assert_eq!(ends.ends[0].counters().packets_dropped, 5);
}

#[test]
fn a_restarted_peer_ends_the_old_association_and_is_told_so() {
    let mut ends = Ends::established(SETTINGS);
    ends.ends[1] = Sctp::start(ends.now, SETTINGS, Seed::from_number(77).into_rng());
    ends.events[1].clear();
    ends.run(Duration::from_secs(5));
    assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::PeerRestarted));
    assert_eq!(ends.lost(1).map(|failure| failure.reason), Some(SctpFailureReason::AbortedByPeer));
}

#[test]
fn a_peer_that_shuts_down_in_order_is_let_go() {
    let mut ends = Ends::established(SETTINGS);
    let header = ends.header_to(0);
    ends.give(0, &packet::single(header, chunk_type::SHUTDOWN, 0, &[0; 4]));
    let answer = ends.ends[0].poll_packet(ends.now, &mut ends.events[0]).unwrap();
    assert_eq!(packet::parse(&answer).unwrap().1[0].kind, chunk_type::SHUTDOWN_ACK);
    ends.give(0, &packet::single(header, chunk_type::SHUTDOWN_COMPLETE, 0, &[]));
    assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::ShutDownByPeer));
}

#[test]
fn a_violation_is_answered_with_an_abort_that_names_it() {
    let mut ends = Ends::established(SETTINGS);
    let header = ends.header_to(0);
    // Without user data.
    ends.give(0, &packet::single(header, chunk_type::DATA, 3, &[0; 12]));
    let expected = SctpFailure { cause_code: Some(cause::NO_USER_DATA), reason: SctpFailureReason::PeerMisbehaved };
    assert_eq!(ends.lost(0), Some(expected));
    let abort = ends.ends[0].poll_packet(ends.now, &mut ends.events[0]).unwrap();
    let (_, chunks) = packet::parse(&abort).unwrap();
    assert_eq!((chunks[0].kind, packet::first_cause(chunks[0].value)), (chunk_type::ABORT, Some(cause::NO_USER_DATA)));
}

#[test]
fn a_message_larger_than_permitted_ends_the_association_and_the_largest_does_not() {
    for (excess, survives) in [(0, true), (1, false)] {
        let mut ends = Ends::established(SETTINGS);
        let payload = Bytes::from(vec![7; SETTINGS.max_receive_message_size as usize + excess]);
        ends.ends[0].open_stream(3, 256);
        let (protocol, reliability) = (PayloadProtocol::Binary, Reliability::Reliable);
        let message = OutgoingMessage { stream: 3, protocol, payload: payload.clone(), ordered: true, reliability };
        ends.ends[0].write(ends.now, message);
        ends.run(Duration::from_secs(5));
        assert_eq!(ends.lost(1).is_none(), survives);
        if survives {
            assert_eq!(ends.read(1, 3), Some(payload));
        } else {
            assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::AbortedByPeer));
        }
    }
}

#[test]
fn messages_of_one_byte_are_bundled_into_packets_that_fit() {
    let mut ends = Ends::established(SETTINGS);
    for _ in 0..2000 {
        assert!(ends.write(0, 3, b"x"));
    }
    // The exchange checks every length.
    ends.run(Duration::from_secs(10));
    assert_eq!((0..2000).filter(|_| ends.read(1, 3).is_some()).count(), 2000);
}

/// The left end sends more than the window takes, the right end pauses before it reads. How long until something more arrives?
fn resumption_after(pause: Duration) -> Duration {
    static PAYLOAD: [u8; 16_384] = [7; 16_384];
    let mut ends = Ends::established(SETTINGS);
    for _ in 0..40 {
        assert!(ends.write(0, 3, &PAYLOAD));
    }
    ends.run(pause);
    let window = ends.ends[1].settings.receive_window as usize;
    let first = std::iter::from_fn(|| ends.read(1, 3)).count();
    assert!(first <= window / PAYLOAD.len(), "{first} messages in a window of {window}");
    let before = ends.now;
    loop {
        ends.run(Duration::from_millis(10));
        if ends.read(1, 3).is_some() {
            return ends.now - before;
        }
    }
}

#[test]
fn a_reader_that_was_slow_lets_the_sender_go_on_at_once() {
    assert_eq!(resumption_after(Duration::from_millis(100)), Duration::from_millis(10));
}

#[test]
fn a_reader_that_slept_lets_the_sender_go_on_within_the_longest_retransmission_timeout() {
    assert!(resumption_after(Duration::from_secs(60)) <= Duration::from_secs(3));
}

#[test]
fn a_stream_is_free_only_after_both_resets() {
    let mut ends = Ends::established(SETTINGS);
    assert!(ends.write(0, 3, b"last"));
    ends.exchange();
    ends.ends[0].reset_stream(3, &mut Vec::new());
    ends.run(Duration::from_secs(2));
    // The right end has not read what came before.
    assert!(!ends.events[1].contains(&SctpEvent::IncomingReset(3)));
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"last"[..]));
    ends.run(Duration::from_secs(5));
    for events in &ends.events {
        let position = |event| events.iter().position(|seen| *seen == event);
        let (reset, free) = (position(SctpEvent::IncomingReset(3)), position(SctpEvent::ResetComplete(3)));
        assert!(reset.is_some() && reset < free, "{events:?}");
    }
    assert!(ends.write(1, 3, b"again"));
    ends.exchange();
    assert_eq!(ends.read(0, 3).as_deref(), Some(&b"again"[..]));
}

#[test]
fn hostile_packets_of_an_authenticated_peer_never_panic() {
    let template = {
        let mut ends = Ends::established(SETTINGS);
        assert!(ends.write(0, 3, b"data") && ends.write(1, 4, b"data"));
        ends.exchange();
        ends.ends[0].reset_stream(3, &mut Vec::new());
        ends.run(Duration::from_secs(5));
        ends.log[1].clone()
    };
    // Same seeds: tags and sequence numbers of the template are right here too.
    for packet in &template {
        for length in 0..packet.len() {
            with_checksum(&packet[..length]);
        }
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            with_checksum(&changed);
        }
    }
    let seed = 20_260_501;
    println!("seed {seed}");
    let mut random = Gen::from_size_and_seed(64, seed);
    for _ in 0..2_000 {
        let mut packet = template[usize::arbitrary(&mut random) % template.len()][..packet::HEADER_SIZE].to_vec();
        for _ in 0..3 {
            let value = Vec::<u8>::arbitrary(&mut random);
            let kinds = [
                0,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                9,
                10,
                11,
                14,
                15,
                64,
                128,
                130,
                132,
                192,
                193,
                194,
                u8::arbitrary(&mut random),
            ];
            let kind = *random.choose(&kinds).unwrap();
            packet.extend_from_slice(&[kind, u8::arbitrary(&mut random)]);
            packet.extend_from_slice(&u16::try_from(value.len() + 4).unwrap().to_be_bytes());
            packet.extend_from_slice(&value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        with_checksum(&packet);
    }
}

/// Gives the left end of an established association a packet, its checksum mended, and lets both go on.
fn with_checksum(packet: &[u8]) {
    let mut packet = packet.to_vec();
    if packet.len() >= packet::HEADER_SIZE {
        let checksum = checksum::packet_checksum(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
    }
    let mut ends = Ends::established(SETTINGS);
    ends.give(0, &packet.into());
    for stream in 0..SETTINGS.streams {
        while ends.read(0, stream).is_some() {}
    }
    ends.exchange();
}
