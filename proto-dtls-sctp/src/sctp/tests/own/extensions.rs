//! What only the engine of this crate can do.

use std::time::Duration;

use bytes::Bytes;

use super::suite::{Ends, SETTINGS};
use crate::sctp::chunk::data::{self, Data, Framing, Label, Place};
use crate::sctp::packet::Builder;
use crate::sctp::*;

const EXTENDED: SctpSettings = SctpSettings { interleaving: true, zero_checksum: true, ..SETTINGS };

/// Everything that an end sends at once.
fn flight(ends: &mut Ends, from: usize) -> Vec<Bytes> {
    std::iter::from_fn(|| ends.ends[from].poll_packet(ends.now, &mut ends.events[from])).collect()
}

fn kinds(packets: &[Bytes]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet::parse(packet).unwrap().1).map(|chunk| chunk.kind).collect()
}

fn has_checksum(packet: &[u8]) -> bool {
    packet[8..12] != [0; 4]
}

#[test]
fn the_checksum_is_left_out_if_both_sides_take_that_and_never_from_init_and_cookie_echo() {
    for accepts in [[true, true], [true, false], [false, true], [false, false]] {
        let mut ends = Ends::with_each(accepts.map(|zero_checksum| SctpSettings { zero_checksum, ..SETTINGS }));
        ends.exchange();
        assert!(ends.write(0, 3, b"there") && ends.write(1, 3, b"back"));
        ends.exchange();
        assert_eq!((ends.read(1, 3).is_some(), ends.read(0, 3).is_some()), (true, true), "{accepts:?}");
        for packet in ends.log.iter().flatten() {
            let sets_up = kinds(std::slice::from_ref(packet)).iter().any(|&kind| is_control(kind));
            assert_eq!(has_checksum(packet), sets_up || accepts != [true; 2], "{accepts:?}");
        }
    }
}

#[test]
fn a_checksum_of_zero_is_taken_only_where_it_was_offered_and_a_wrong_one_never() {
    for (zero_checksum, dropped) in [(true, 0), (false, 1)] {
        let mut ends = Ends::established(SctpSettings { zero_checksum, ..SETTINGS });
        let mut packet =
            packet::single(ends.header_to(0), chunk_type::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4]).to_vec();
        packet[8..12].fill(0);
        ends.give(0, &packet.clone().into());
        assert_eq!(ends.ends[0].counters().packets_dropped, dropped);
        packet[8] = 1;
        ends.give(0, &packet.into());
        assert_eq!(ends.ends[0].counters().packets_dropped, dropped + 1);
    }
}

#[test]
fn an_idle_path_is_probed_if_that_is_asked_for() {
    let mut ends = Ends::established(SctpSettings { heartbeat_interval: Some(Duration::from_secs(10)), ..SETTINGS });
    ends.run(Duration::from_secs(35));
    let probes = kinds(&ends.log.concat());
    let count = |kind| probes.iter().filter(|&&seen| seen == kind).count();
    assert_eq!((count(chunk_type::HEARTBEAT), count(chunk_type::HEARTBEAT_ACK)), (6, 6));
    assert_eq!(ends.ends[0].round_trip_time(), Some(Duration::ZERO));
}

#[test]
fn a_peer_that_acknowledges_nothing_is_unreachable_after_the_limit_that_was_set() {
    for (max_retransmissions, lost) in [(Some(5), true), (None, false)] {
        let mut ends = Ends::established(SctpSettings { max_retransmissions, ..SETTINGS });
        assert!(ends.write(0, 3, b"into the void"));
        for _ in 0..20 {
            flight(&mut ends, 0);
            let Some(deadline) = ends.ends[0].poll_timeout() else { break };
            ends.now = deadline.at;
            ends.ends[0].handle_timeout(ends.now, &mut ends.events[0]);
        }
        let expected = lost.then_some(SctpFailureReason::PeerUnreachable);
        assert_eq!(ends.lost(0).map(|failure| failure.reason), expected);
    }
}

/// An I-DATA chunk to the left end.
fn fragment(ends: &Ends, offset: u32, label: Label, payload: &[u8]) -> Bytes {
    let tsn = ends.ends[1].handshake.local().initial_tsn.wrapping_add(offset);
    let mut bytes = Vec::new();
    let mut builder = Builder::new(&mut bytes, ends.header_to(0), 1200);
    assert!(data::put(&mut builder, Framing::Interleaved, Data { tsn, label, immediate: false, payload }));
    assert!(builder.finish(true));
    bytes.into()
}

fn beginning(stream: u16, sequence: u32) -> Label {
    let place = Place { beginning: true, ending: false };
    Label { stream, unordered: true, place, sequence, protocol: 53, fragment: 0 }
}

#[test]
fn beginnings_of_messages_without_end_fill_the_window_by_their_number_and_end_the_association() {
    let mut ends = Ends::established(EXTENDED);
    let mut taken = 0;
    while ends.lost(0).is_none() {
        let label = beginning(u16::try_from(taken % 16).unwrap(), taken);
        let packet = fragment(&ends, taken, label, b"x");
        ends.give(0, &packet);
        flight(&mut ends, 0);
        taken += 1;
    }
    assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::PeerMisbehaved));
    // Each counts 256 bytes of the window.
    assert_eq!(taken, SETTINGS.receive_window / 256 + 1);
}

#[test]
fn data_that_is_not_interleaved_ends_an_interleaved_association() {
    let mut ends = Ends::established(EXTENDED);
    let mut value = ends.ends[1].handshake.local().initial_tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 53, 9]);
    let packet = packet::single(ends.header_to(0), chunk_type::DATA, 3, &value);
    ends.give(0, &packet);
    assert_eq!(ends.lost(0).and_then(|failure| failure.cause_code), Some(cause::PROTOCOL_VIOLATION));
}

#[test]
fn interleaved_data_that_was_not_negotiated_ends_the_association() {
    let mut ends = Ends::established(SETTINGS);
    let packet = fragment(&ends, 0, beginning(3, 0), b"x");
    ends.give(0, &packet);
    assert_eq!(kinds(&flight(&mut ends, 0)), [chunk_type::ABORT]);
    assert_eq!(ends.lost(0).and_then(|failure| failure.cause_code), Some(cause::PROTOCOL_VIOLATION));
}

#[test]
fn a_reset_that_overtakes_its_data_is_in_progress_until_the_data_has_come_and_then_performed_without_being_asked() {
    let mut ends = Ends::established(EXTENDED);
    assert!(ends.write(0, 3, b"first"));
    ends.exchange();
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"first"[..]));
    assert!(ends.write(0, 3, b"last"));
    let data = flight(&mut ends, 0);
    ends.ends[0].reset_stream(3, &mut Vec::new());
    let request = flight(&mut ends, 0);
    let outcome = |packets: &[Bytes]| {
        let chunks: Vec<_> = packets.iter().flat_map(|packet| packet::parse(packet).unwrap().1).collect();
        let response = chunks.iter().find(|chunk| chunk.kind == chunk_type::RE_CONFIG && chunk.value[..2] == [0, 16]);
        response.map(|chunk| packet::u32_at(chunk.value, 8).unwrap())
    };
    request.iter().for_each(|packet| ends.give(1, packet));
    assert_eq!(outcome(&flight(&mut ends, 1)), Some(6));
    data.iter().for_each(|packet| ends.give(1, packet));
    assert_eq!(outcome(&flight(&mut ends, 1)), Some(1));
    assert!(!ends.events[1].contains(&SctpEvent::IncomingReset(3)));
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"last"[..]));
    assert!(ends.events[1].contains(&SctpEvent::IncomingReset(3)));
}

#[test]
fn a_storm_of_requests_is_answered_up_to_a_bound() {
    let mut ends = Ends::established(EXTENDED);
    let header = ends.header_to(0);
    let first = ends.ends[1].handshake.local().initial_tsn;
    for number in 0..1000_u32 {
        let mut request = vec![0, 13, 0, 16];
        for field in [first.wrapping_add(number), 0, first.wrapping_sub(1)] {
            request.extend_from_slice(&field.to_be_bytes());
        }
        ends.give(0, &packet::single(header, chunk_type::RE_CONFIG, 0, &request));
    }
    assert_eq!(kinds(&flight(&mut ends, 0)), [chunk_type::RE_CONFIG; 8]);
    assert_eq!(ends.lost(0), None);
}
