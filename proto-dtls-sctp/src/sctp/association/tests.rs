//! Two associations at the ends of their number spaces, over a path that loses, duplicates and reorders.

use std::sync::Arc;

use proto_machine::{Rng, Seed};

use super::*;
use crate::SctpBackend;

const STREAM: u16 = 3;
/// Messages in front of and behind the wraps.
const MESSAGES: u32 = 2_000;

fn settings(interleaving: bool) -> SctpSettings {
    SctpSettings {
        local_port: 5000,
        remote_port: 5000,
        packet_size: 1160,
        receive_window: 256 * 1024,
        max_receive_message_size: 64 * 1024,
        streams: 16,
        retransmission_timeout: Duration::from_millis(200),
        set_up_time_limit: None,
        round_trip_time: None,
        backend: SctpBackend::Own,
        interleaving,
        zero_checksum: true,
        heartbeat_interval: None,
        max_retransmissions: None,
    }
}

fn parameters(tag: u32, interleaving: bool, initial_tsn: u32) -> Parameters {
    Parameters {
        tag,
        window: 256 * 1024,
        outbound_streams: 16,
        inbound_streams: 16,
        initial_tsn,
        forward_tsn: true,
        reconfiguration: true,
        interleaving,
        interleaved_forward_tsn: interleaving,
        zero_checksum: true,
    }
}

struct Pair {
    now: Timestamp,
    ends: [Association; 2],
    rng: Rng,
    wire: Vec<(Timestamp, usize, Vec<u8>)>,
}

impl Pair {
    /// The TSNs of the left end, and the numbers of messages on its stream, are about to wrap.
    fn at_the_wrap(interleaving: bool, seed: u64) -> Self {
        let now = Timestamp::from_millis(1);
        let described = [parameters(1, interleaving, u32::MAX - 500), parameters(2, interleaving, 7)];
        let mut ends =
            [0, 1].map(|end| Association::new(now, settings(interleaving), described[end], described[1 - end]));
        let sequence = if interleaving { u32::MAX - MESSAGES / 2 } else { u32::from(u16::MAX) - MESSAGES / 2 };
        ends[0].outbound.skip_to(STREAM, sequence);
        ends[1].inbound.skip_to(STREAM, sequence);
        Self { now, ends, rng: Seed::from_number(seed).into_rng(), wire: Vec::new() }
    }

    /// Carries everything that is due now, and lets time pass to what comes next.
    fn step(&mut self) {
        for from in 0..2 {
            let mut packet = Vec::new();
            while self.ends[from].write_packet(self.now, &mut packet) {
                let copies = [0, 1, 1, 1, 1, 1, 1, 1, 1, 2][usize::try_from(self.rng.below(10)).unwrap()];
                for _ in 0..copies {
                    let arrival = self.now + Duration::from_millis(10 + self.rng.below(10));
                    self.wire.push((arrival, 1 - from, packet.clone()));
                }
            }
        }
        let arrivals = self.wire.iter().map(|(arrival, ..)| *arrival);
        let deadlines = self.ends.iter().filter_map(Engine::poll_timeout).map(|deadline| deadline.at);
        let Some(next) = arrivals.chain(deadlines).min() else { return };
        self.now = self.now.max(next);
        for (_, end, packet) in self.wire.extract_if(.., |(arrival, ..)| *arrival <= self.now) {
            self.ends[end].handle_packet(self.now, &Packet::parse(&packet).unwrap());
        }
        self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
    }

    fn send(&mut self, number: u32, ordered: bool, reliability: Reliability) {
        // Every tenth is one of several fragments.
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(if number.is_multiple_of(10) { 3_000 } else { 100 }, 7);
        let protocol = PayloadProtocol::Binary;
        let message = OutgoingMessage { stream: STREAM, protocol, payload: payload.into(), ordered, reliability };
        assert!(self.ends[0].write(self.now, message));
    }

    /// What arrives until the last message is acknowledged or given up.
    fn receive(&mut self) -> Vec<u32> {
        let mut numbers = Vec::new();
        let limit = self.now + Duration::from_secs(600);
        while self.ends[0].buffered(STREAM) > 0 || !self.wire.is_empty() {
            assert!(self.now < limit, "stuck behind {numbers:?}");
            self.step();
            while let Some((_, payload)) = self.ends[1].read(STREAM) {
                let number = u32::from_be_bytes(*payload.first_chunk().unwrap());
                assert_eq!(payload.len(), if number.is_multiple_of(10) { 3_000 } else { 100 });
                numbers.push(number);
            }
        }
        assert_eq!(self.ends.each_ref().map(Engine::ended), [None; 2]);
        assert!(self.ends[0].transmission.cumulative().wire() < u32::MAX / 2, "the TSNs have wrapped");
        numbers
    }
}

#[test]
fn ordered_messages_go_on_where_tsn_and_ssn_or_mid_wrap() {
    for interleaving in [false, true] {
        for seed in 0..5 {
            let mut pair = Pair::at_the_wrap(interleaving, seed);
            (0..MESSAGES).for_each(|number| pair.send(number, true, Reliability::Reliable));
            assert_eq!(pair.receive(), (0..MESSAGES).collect::<Vec<_>>(), "interleaving {interleaving}, seed {seed}");
        }
    }
}

#[test]
fn unordered_messages_go_on_where_tsn_and_mid_wrap() {
    for interleaving in [false, true] {
        for seed in 0..5 {
            let mut pair = Pair::at_the_wrap(interleaving, seed);
            (0..MESSAGES).for_each(|number| pair.send(number, false, Reliability::Reliable));
            let mut numbers = pair.receive();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "interleaving {interleaving}, seed {seed}");
        }
    }
}

/// FORWARD-TSN and I-FORWARD-TSN name numbers on both sides of the wrap.
#[test]
fn messages_that_are_given_up_where_numbers_wrap_hold_up_none_behind_them() {
    for interleaving in [false, true] {
        for seed in 0..5 {
            let mut pair = Pair::at_the_wrap(interleaving, seed);
            for number in 0..MESSAGES {
                let reliability =
                    if number.is_multiple_of(3) { Reliability::Reliable } else { Reliability::MaxRetransmits(0) };
                pair.send(number, true, reliability);
            }
            let numbers = pair.receive();
            assert!(numbers.is_sorted_by(|before, after| before < after), "seed {seed}");
            let reliable = numbers.iter().filter(|&number| number.is_multiple_of(3)).count();
            assert_eq!(reliable, MESSAGES.div_ceil(3) as usize, "interleaving {interleaving}, seed {seed}");
            let count = u32::try_from(numbers.len()).unwrap();
            assert!((MESSAGES / 2..MESSAGES).contains(&count), "{count} have come");
        }
    }
}

/// Whether an end has nothing to send, and goes on having nothing: not by saying so once.
fn comes_to_rest(end: &mut Association, now: Timestamp) -> bool {
    let mut packet = Vec::new();
    let sent = (0..1_000).take_while(|_| end.write_packet(now, &mut packet)).count();
    sent < 1_000 && !end.write_packet(now, &mut packet)
}

#[test]
fn what_was_given_up_is_told_once_at_a_time_even_if_a_round_trip_takes_no_time() {
    for interleaving in [false, true] {
        let mut pair = Pair::at_the_wrap(interleaving, 1);
        pair.ends[0].round_trip.measure(Duration::ZERO);
        pair.send(1, true, Reliability::MaxRetransmits(0));
        for _ in 0..5 {
            assert!(comes_to_rest(&mut pair.ends[0], pair.now), "interleaving {interleaving}");
            pair.now = pair.ends[0].poll_timeout().unwrap().at;
            pair.ends[0].handle_timeout(pair.now);
        }
    }
}

#[test]
fn giving_up_what_was_to_be_sent_again_is_told_at_once() {
    for interleaving in [false, true] {
        let mut pair = Pair::at_the_wrap(interleaving, 1);
        for number in 1..6 {
            pair.send(number, true, Reliability::MaxPacketLifetime(Duration::from_millis(260)));
        }
        assert!(comes_to_rest(&mut pair.ends[0], pair.now));
        // The timer finds them lost in time, and what makes packets too late.
        pair.now = pair.now + Duration::from_millis(255);
        pair.ends[0].handle_timeout(pair.now);
        pair.now = pair.now + Duration::from_millis(10);
        let mut packet = Vec::new();
        assert!(pair.ends[0].write_packet(pair.now, &mut packet));
        let kind = if interleaving { chunk_type::I_FORWARD_TSN } else { chunk_type::FORWARD_TSN };
        assert_eq!(Packet::parse(&packet).unwrap().chunks().next().unwrap().kind, kind);
        assert!(comes_to_rest(&mut pair.ends[0], pair.now));
    }
}

/// A payload that tells when the last of it is forgotten.
struct Watched {
    bytes: Vec<u8>,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[test]
fn of_a_message_that_was_given_up_nothing_is_kept_while_the_peer_does_not_know() {
    for interleaving in [false, true] {
        let mut pair = Pair::at_the_wrap(interleaving, 1);
        let alive = Arc::new(());
        let message = OutgoingMessage {
            stream: STREAM,
            protocol: PayloadProtocol::Binary,
            payload: Bytes::from_owner(Watched { bytes: vec![7; 60_000], _alive: alive.clone() }),
            ordered: true,
            reliability: Reliability::MaxRetransmits(0),
        };
        let end = &mut pair.ends[0];
        assert!(end.write(pair.now, message));
        assert!(comes_to_rest(end, pair.now));
        assert_eq!(Arc::strong_count(&alive), 2);
        let timeout = end.poll_timeout().unwrap().at;
        end.handle_timeout(timeout);
        assert!(comes_to_rest(end, timeout));
        assert_eq!(Arc::strong_count(&alive), 1);
        assert!(end.buffered(STREAM) > 0, "what was sent of it still counts");
    }
}
