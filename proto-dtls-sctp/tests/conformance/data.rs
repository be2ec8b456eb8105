//! User messages (RFC 9260 §6.1, §6.5, §6.6, §6.9): the purposes D, but those about losses.

use std::time::Duration;

use proto_dtls_sctp::Reliability;

use crate::tester::{BINARY, PLAIN, Tester, message, offer};
use crate::wire::{B_BIT, Chunk, DATA, Data, E_BIT, Init, SACK, Sack, U_BIT, WHOLE, cause};

/// A fragment, ordered, of stream 1.
fn fragment(offset: u32, sequence: u32, flags: u8, payload: &[u8]) -> Chunk {
    Data { flags, ..message(offset, 1, sequence, payload) }.chunk()
}

#[test]
fn a_message_that_fits_a_packet_is_one_chunk() {
    let mut peer = Tester::plain();
    peer.writes(3, b"small");
    let data = peer.expect_only(DATA).data();
    let expected =
        Data { tsn: peer.init.tsn, flags: WHOLE, stream: 3, sequence: 0, protocol: BINARY, payload: b"small".to_vec() };
    assert_eq!(data, expected);
    peer.writes(3, &[7; 1200 - 12 - 16]);
    let packet = peer.expect();
    assert_eq!((packet.length, packet.chunks[0].flags), (1200, WHOLE), "the largest one");
}

#[test]
fn a_message_that_does_not_fit_is_cut_into_chunks_with_consecutive_tsns() {
    let mut peer = Tester::plain();
    let payload: Vec<u8> = (0..4000_u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
    peer.writes(3, &payload);
    let sent = peer.data();
    assert_eq!(sent.iter().map(|data| data.flags).collect::<Vec<_>>(), [B_BIT, 0, 0, E_BIT]);
    for (offset, data) in (0..).zip(&sent) {
        assert_eq!((data.tsn, data.stream, data.sequence, data.protocol), (peer.its_tsn(offset), 3, 0, BINARY));
    }
    assert_eq!(sent.iter().flat_map(|data| data.payload.clone()).collect::<Vec<_>>(), payload);
}

#[test]
fn sequence_numbers_count_the_ordered_messages_of_each_stream() {
    let mut peer = Tester::plain();
    for stream in [1, 2, 1, 1, 2] {
        peer.writes(stream, b"x");
    }
    let mut sent: Vec<(u16, u32)> = peer.data().iter().map(|data| (data.stream, data.sequence)).collect();
    sent.sort_unstable();
    assert_eq!(sent, [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]);
}

#[test]
fn an_unordered_message_says_so_and_takes_no_sequence_number() {
    let mut peer = Tester::plain();
    assert!(peer.end.send(peer.now, 1, "free".into(), false, Reliability::Reliable));
    peer.writes(1, b"bound");
    let sent: Vec<(u8, u32)> = peer.data().iter().map(|data| (data.flags, data.sequence)).collect();
    assert_eq!(sent[0].0, WHOLE | U_BIT);
    assert_eq!(sent[1], (WHOLE, 0));
}

#[test]
fn fragments_in_order_become_a_message_when_the_last_has_come() {
    let mut peer = Tester::plain();
    for (offset, flags, part) in [(0, B_BIT, &b"one "[..]), (1, 0, b"two "), (2, 0, b"three "), (3, E_BIT, b"four")] {
        assert_eq!(peer.reads(1), None);
        peer.sends(&[fragment(offset, 0, flags, part)]);
        peer.flight();
    }
    assert_eq!(peer.reads(1).as_deref(), Some(&b"one two three four"[..]));
}

#[test]
fn fragments_in_any_order_become_the_same_message() {
    let parts = [(0, B_BIT, &b"a"[..]), (1, 0, b"b"), (2, 0, b"c"), (3, E_BIT, b"d")];
    let orders = [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [0, 3, 2, 1]];
    for order in orders {
        let mut peer = Tester::plain();
        for index in order {
            let (offset, flags, part) = parts[index];
            peer.sends(&[fragment(offset, 0, flags, part)]);
            peer.flight();
        }
        assert_eq!(peer.reads(1).as_deref(), Some(&b"abcd"[..]), "{order:?}");
    }
}

#[test]
fn ordered_messages_wait_for_those_before_them_and_other_streams_do_not() {
    let mut peer = Tester::plain();
    peer.sends(&[message(1, 1, 1, b"second").chunk(), message(2, 2, 0, b"elsewhere").chunk()]);
    assert_eq!(peer.reads(1), None);
    assert_eq!(peer.reads(2).as_deref(), Some(&b"elsewhere"[..]));
    peer.sends(&[message(0, 1, 0, b"first").chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"first"[..]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"second"[..]));
}

#[test]
fn an_unordered_message_waits_for_nothing() {
    let mut peer = Tester::plain();
    peer.sends(&[Data { flags: WHOLE | U_BIT, ..message(5, 1, 0, b"free") }.chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"free"[..]));
}

#[test]
fn an_unordered_message_in_fragments_arrives_amid_ordered_ones() {
    let mut peer = Tester::plain();
    peer.sends(&[
        message(0, 1, 0, b"ordered").chunk(),
        Data { flags: B_BIT | U_BIT, ..message(1, 1, 0, b"un") }.chunk(),
        Data { flags: E_BIT | U_BIT, ..message(2, 1, 0, b"ordered") }.chunk(),
        message(3, 1, 1, b"again").chunk(),
    ]);
    for expected in ["ordered", "unordered", "again"] {
        assert_eq!(peer.reads(1).as_deref(), Some(expected.as_bytes()));
    }
}

/// §6.9: what belongs to no message is dropped, and counted as received.
#[test]
fn fragments_without_a_beginning_or_of_another_stream_make_no_message() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 1, 0, b"whole").chunk(), fragment(1, 1, 0, b"middle"), fragment(2, 1, E_BIT, b"end")]);
    peer.sends(&[fragment(3, 1, B_BIT, b"beginning")]);
    peer.sends(&[Data { flags: E_BIT, ..message(4, 2, 1, b"end of another") }.chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"whole"[..]));
    assert_eq!((peer.reads(1), peer.reads(2)), (None, None));
    peer.flight();
    assert_eq!(peer.lost(), None);
}

#[test]
fn an_acknowledgement_frees_what_it_covers() {
    let mut peer = Tester::plain();
    peer.writes(1, b"first");
    peer.writes(1, b"second");
    peer.expect_chunks(&[DATA, DATA]);
    assert_eq!(peer.end.buffered(1), 11);
    peer.acknowledges(0, &[]);
    assert_eq!(peer.end.buffered(1), 6);
    peer.acknowledges(1, &[]);
    assert_eq!(peer.end.buffered(1), 0);
    assert!(peer.pass(Duration::from_secs(60)).is_empty(), "nothing is sent again");
}

#[test]
fn an_overtaken_acknowledgement_is_dropped() {
    let mut peer = Tester::established(PLAIN, &Init { window: 4000, ..offer() });
    for _ in 0..3 {
        peer.writes(1, &[7; 1000]);
    }
    assert_eq!(peer.data().len(), 3);
    let late = Sack { window: 100_000, ..peer.sack(0, &[]) };
    let newer = Sack { window: 2000, ..peer.sack(1, &[]) };
    peer.sends(&[newer.chunk()]);
    peer.sends(&[late.chunk()]);
    for _ in 0..3 {
        peer.writes(1, &[7; 1000]);
    }
    assert_eq!(peer.data().len(), 1, "the window is that of the newer one: 2000 less 1000 in flight");
}

#[test]
fn nothing_but_one_chunk_is_sent_into_a_closed_window_and_again_after_pauses_that_double() {
    let mut peer = Tester::plain();
    peer.writes(1, &[7; 1000]);
    peer.expect_only(DATA);
    let closed = Sack { window: 0, ..peer.sack(0, &[]) };
    peer.sends(&[closed.chunk()]);
    peer.writes(1, &[8; 1000]);
    peer.writes(1, &[9; 1000]);
    let probe = peer.expect_only(DATA).data();
    for pause in [250, 500, 1000, 2000, 3000] {
        assert_eq!(peer.wait(), crate::tester::milliseconds(pause));
        assert_eq!(peer.expect_only(DATA).data().tsn, probe.tsn);
    }
    let open = Sack { window: 1500, ..peer.sack(1, &[]) };
    peer.sends(&[open.chunk()]);
    assert_eq!(peer.expect_only(DATA).data().payload, [9; 1000]);
}

#[test]
fn a_message_in_fragments_goes_into_a_closed_window_one_chunk_at_a_time() {
    let mut peer = Tester::plain();
    peer.writes(1, &[7; 1000]);
    peer.expect_only(DATA);
    let closed = Sack { window: 0, ..peer.sack(0, &[]) };
    peer.sends(&[closed.chunk()]);
    peer.writes(1, &[8; 3000]);
    for offset in 1..4 {
        let probe = peer.expect_only(DATA).data();
        assert_eq!(probe.tsn, peer.its_tsn(offset));
        peer.wait();
        assert_eq!(peer.expect_only(DATA).data().tsn, probe.tsn);
        let taken = Sack { window: 0, ..peer.sack(offset, &[]) };
        peer.sends(&[taken.chunk()]);
    }
    peer.expect_nothing();
    assert_eq!(peer.end.buffered(1), 0);
}

/// What the peer had no room for is sent again as soon as it has some.
#[test]
fn a_window_that_opens_lets_a_probe_that_was_dropped_go_out_again_at_once() {
    let mut peer = Tester::plain();
    peer.writes(1, &[7; 1000]);
    peer.expect_only(DATA);
    let closed = Sack { window: 0, ..peer.sack(0, &[]) };
    peer.sends(&[closed.chunk()]);
    peer.writes(1, &[8; 1000]);
    peer.expect_only(DATA);
    let open = Sack { window: 10_000, ..closed };
    peer.sends(&[open.chunk()]);
    assert_eq!(peer.expect_only(DATA).data().payload, [8; 1000]);
}

#[test]
fn no_more_is_in_flight_than_the_window_of_the_peer() {
    let mut peer = Tester::established(PLAIN, &Init { window: 5000, ..offer() });
    peer.writes(1, &[7; 20_000]);
    let sent: usize = peer.data().iter().map(|data| data.payload.len()).sum();
    assert!((4000..=5000).contains(&sent), "{sent}");
    peer.expect_nothing();
}

#[test]
fn a_message_as_large_as_permitted_is_taken() {
    let mut peer = Tester::plain();
    let count = PLAIN.max_message_size / 1024;
    for offset in 0..count {
        let flags = if offset == 0 { B_BIT } else { 0 } | if offset + 1 == count { E_BIT } else { 0 };
        peer.sends(&[fragment(offset, 0, flags, &[7; 1024])]);
        peer.flight();
    }
    assert_eq!(peer.reads(1).unwrap().len(), 32 * 1024);
    assert_eq!(peer.lost(), None);
}

#[test]
fn a_message_larger_than_permitted_ends_the_association() {
    let mut peer = Tester::plain();
    for offset in 0..33 {
        peer.sends(&[fragment(offset, 0, if offset == 0 { B_BIT } else { 0 }, &[7; 1024])]);
        if offset < 32 {
            peer.flight();
        }
    }
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
}

#[test]
fn a_message_of_many_packets_is_sent_whole() {
    let mut peer = Tester::plain();
    let payload: Vec<u8> = (0..200_000_u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
    peer.writes(1, &payload);
    let mut sent = Vec::new();
    loop {
        let flight = peer.data();
        let Some(last) = flight.last().map(|data| data.tsn) else { break };
        sent.extend(flight.into_iter().flat_map(|data| data.payload));
        peer.acknowledges(last.wrapping_sub(peer.init.tsn), &[]);
    }
    assert_eq!(sent, payload);
}

/// §6.10: control in front of data, as much in a packet as fits.
#[test]
fn small_messages_share_a_packet_behind_the_control_chunks() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 1, 0, b"there").chunk()]);
    peer.flight();
    peer.sends(&[message(1, 1, 1, b"there").chunk()]);
    (0..3).for_each(|_| peer.writes(1, b"back"));
    peer.expect_chunks(&[SACK, DATA, DATA, DATA]);
    peer.expect_nothing();
}

#[test]
fn several_messages_in_a_packet_are_all_taken() {
    let mut peer = Tester::plain();
    let chunks: Vec<Chunk> = (0..30).map(|offset| message(offset, 1, offset, &[7; 10]).chunk()).collect();
    peer.sends(&chunks);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(29));
    assert_eq!(std::iter::from_fn(|| peer.reads(1)).count(), 30);
}

/// §1.6: TSN, sequence numbers of the stream and their order go on behind their largest value.
#[test]
fn tsns_of_the_peer_go_on_behind_their_wrap() {
    let first = u32::MAX - 2;
    let mut peer = Tester::established(PLAIN, &Init { tsn: first, ..offer() });
    let at = |offset: u32| Data { tsn: first.wrapping_add(offset), ..message(0, 1, offset, &offset.to_be_bytes()) };
    for offset in [1, 0, 3, 2, 5, 4, 6] {
        peer.sends(&[at(offset).chunk()]);
        peer.flight();
    }
    peer.sends(&[at(2).chunk()]);
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.duplicates), (first.wrapping_add(6), vec![first.wrapping_add(2)]));
    for offset in 0..7_u32 {
        assert_eq!(peer.reads(1), Some(offset.to_be_bytes().to_vec()));
    }
}

#[test]
fn stream_sequence_numbers_of_the_peer_go_on_behind_their_wrap() {
    let mut peer = Tester::plain();
    for offset in 0..65_540_u32 {
        peer.sends(&[message(offset, 1, offset & 0xFFFF, b"x").chunk()]);
        assert!(peer.reads(1).is_some(), "{offset}");
        peer.flight();
    }
}
