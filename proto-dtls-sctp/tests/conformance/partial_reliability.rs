//! Messages that are given up (RFC 3758).

use std::time::Duration;

use proto_dtls_sctp::Reliability::{self, MaxPacketLifetime, MaxRetransmits};

use crate::tester::{PLAIN, TSN, Tester, message, milliseconds, offer};
use crate::wire::{B_BIT, Chunk, DATA, Data, E_BIT, FORWARD_TSN, Init, Packet, SACK, chunk, u16_at, u32_at};

/// A FORWARD TSN of the tester, up to the TSN with this offset.
fn forward(offset: u32, skipped: &[(u16, u16)]) -> Chunk {
    let mut value = Tester::tsn(offset).to_be_bytes().to_vec();
    for (stream, sequence) in skipped {
        value.extend([stream.to_be_bytes(), sequence.to_be_bytes()].concat());
    }
    chunk(FORWARD_TSN, &value)
}

/// What a FORWARD TSN of the association under test says.
fn forwarded(peer: &Tester, chunk: &Chunk) -> (u32, Vec<(u16, u16)>) {
    assert_eq!(chunk.kind, FORWARD_TSN, "{chunk:?}");
    let entries = chunk.value[4..].chunks(4).map(|entry| (u16_at(entry, 0), u16_at(entry, 2))).collect();
    (u32_at(&chunk.value, 0).wrapping_sub(peer.init.tsn), entries)
}

fn sends(peer: &mut Tester, stream: u16, payload: &[u8], ordered: bool, reliability: Reliability) {
    assert!(peer.end.send(peer.now, stream, payload.to_vec().into(), ordered, reliability));
}

/// Everything that is sent until nothing is due any more for a minute.
fn chunks_of_a_minute(peer: &mut Tester) -> Vec<Chunk> {
    peer.pass(Duration::from_secs(60)).into_iter().flat_map(|(_, packet)| packet.chunks).collect()
}

#[test]
fn a_message_is_given_up_after_as_many_retransmissions_as_permitted() {
    for count in 0..4 {
        let mut peer = Tester::plain();
        sends(&mut peer, 1, b"brief", true, MaxRetransmits(count));
        peer.expect_only(DATA);
        for _ in 0..count {
            peer.wait();
            peer.expect_only(DATA);
        }
        peer.wait();
        let told = peer.expect_only(FORWARD_TSN);
        assert_eq!(forwarded(&peer, &told), (0, vec![(1, 0)]));
        peer.acknowledges(0, &[]);
        assert_eq!(peer.end.buffered(1), 0);
    }
}

#[test]
fn a_message_is_given_up_at_the_end_of_its_lifetime_and_not_before() {
    let mut peer = Tester::plain();
    sends(&mut peer, 1, b"brief", true, MaxPacketLifetime(milliseconds(800)));
    peer.expect_only(DATA);
    // After 250 and 750 ms in time, after 1750 ms not.
    for _ in 0..2 {
        peer.wait();
        peer.expect_only(DATA);
    }
    peer.wait();
    assert_eq!(peer.expect().kinds(), [FORWARD_TSN]);
}

#[test]
fn a_lifetime_counts_from_the_moment_the_message_was_handed_over() {
    let mut peer = Tester::established(PLAIN, &Init { window: 1500, ..offer() });
    peer.writes(1, &[7; 1000]);
    peer.expect_only(DATA);
    sends(&mut peer, 2, &[8; 1000], true, MaxPacketLifetime(milliseconds(100)));
    peer.now = peer.now + milliseconds(200);
    let full = crate::wire::Sack { window: 1500, ..peer.sack(0, &[]) };
    peer.sends(&[full.chunk()]);
    peer.expect_nothing();
    assert_eq!(peer.end.buffered(2), 0);
}

/// Nothing was sent of it, so that there is nothing to be told.
#[test]
fn a_message_that_was_never_sent_takes_no_number_and_no_tsn() {
    let mut peer = Tester::established(PLAIN, &Init { window: 1500, ..offer() });
    peer.writes(1, &[7; 1000]);
    peer.expect_only(DATA);
    sends(&mut peer, 1, &[8; 1000], true, MaxPacketLifetime(milliseconds(1)));
    peer.now = peer.now + milliseconds(2);
    peer.writes(1, b"next");
    peer.acknowledges(0, &[]);
    let next = peer.expect_only(DATA).data();
    assert_eq!((next.tsn, next.sequence, next.payload.as_slice()), (peer.its_tsn(1), 1, &b"next"[..]));
}

#[test]
fn a_lifetime_of_no_time_at_all_is_a_message_that_is_sent_once_or_never() {
    let mut peer = Tester::plain();
    sends(&mut peer, 1, b"now", true, MaxPacketLifetime(Duration::ZERO));
    peer.expect_only(DATA);
    peer.wait();
    peer.expect_only(FORWARD_TSN);
}

/// §3.5 A3: all of it, and what is left of it is not sent at all.
#[test]
fn all_fragments_of_a_message_are_given_up_together() {
    let mut peer = Tester::plain();
    sends(&mut peer, 1, &[7; 4000], true, MaxRetransmits(0));
    assert_eq!(peer.data().len(), 4);
    // Three of four have come.
    peer.acknowledges(0, &[(2, 3)]);
    peer.flight();
    peer.wait();
    let packet = peer.expect();
    assert_eq!(forwarded(&peer, &packet.chunks[0]), (3, vec![(1, 0)]));
    assert!(packet.chunks.iter().all(|chunk| chunk.kind != DATA));
}

#[test]
fn the_rest_of_a_message_that_was_given_up_midway_is_not_sent() {
    let mut peer = Tester::established(PLAIN, &Init { window: 3000, ..offer() });
    sends(&mut peer, 1, &[7; 10_000], true, MaxRetransmits(0));
    let sent = u32::try_from(peer.data().len()).unwrap();
    assert!(sent <= 3);
    peer.writes(2, b"behind it");
    peer.wait();
    let chunks: Vec<Chunk> = peer.flight().into_iter().flat_map(|packet| packet.chunks).collect();
    let (point, skipped) = forwarded(&peer, &chunks[0]);
    assert_eq!((point, skipped), (sent, vec![(1, 0)]), "a TSN stands for what was not sent");
    let data: Vec<Data> = chunks.iter().filter(|chunk| chunk.kind == DATA).map(Chunk::data).collect();
    assert_eq!(data.len(), 1);
    assert_eq!((data[0].stream, data[0].payload.as_slice()), (2, &b"behind it"[..]));
}

/// §3.5 C1, C2: only as far as nothing else is missing.
#[test]
fn the_peer_is_told_up_to_the_first_message_that_was_not_given_up() {
    let mut peer = Tester::plain();
    let modes = [MaxRetransmits(0), MaxRetransmits(0), Reliability::Reliable, MaxRetransmits(0)];
    for mode in modes {
        sends(&mut peer, 1, &[7; 1000], true, mode);
    }
    assert_eq!(peer.data().len(), 4);
    peer.wait();
    let packets = peer.flight();
    assert_eq!(forwarded(&peer, &packets[0].chunks[0]), (1, vec![(1, 1)]));
    let again: Vec<u32> = packets
        .iter()
        .flat_map(|packet| &packet.chunks)
        .filter(|chunk| chunk.kind == DATA)
        .map(|chunk| chunk.data().tsn)
        .collect();
    assert_eq!(again, [peer.its_tsn(2)]);
    peer.acknowledges(2, &[]);
    peer.pass(milliseconds(200));
    peer.acknowledges(2, &[]);
    let told = peer.flight();
    let told: Vec<&Chunk> = told.iter().flat_map(|packet| &packet.chunks).collect();
    assert!(told.iter().all(|chunk| chunk.kind == FORWARD_TSN && forwarded(&peer, chunk) == (3, vec![(1, 3)])));
}

/// §3.5 C4: once for each stream, the highest; and unordered messages not at all.
#[test]
fn each_stream_is_named_once_and_unordered_messages_never() {
    let mut peer = Tester::plain();
    for (stream, ordered) in [(1, true), (2, true), (1, true), (3, false), (1, true)] {
        sends(&mut peer, stream, b"brief", ordered, MaxRetransmits(0));
    }
    let sent = peer.data();
    let highest = |stream| sent.iter().filter(|data| data.stream == stream).map(|data| data.sequence).max().unwrap();
    assert_eq!((highest(1), highest(2)), (2, 0));
    peer.wait();
    let told = peer.expect_only(FORWARD_TSN);
    assert_eq!(forwarded(&peer, &told), (4, vec![(1, 2), (2, 0)]));
}

/// §3.5 F2, C5, A5
#[test]
fn it_is_told_again_until_it_is_acknowledged() {
    let mut peer = Tester::plain();
    sends(&mut peer, 1, b"brief", true, MaxRetransmits(0));
    peer.expect_only(DATA);
    for _ in 0..3 {
        peer.wait();
        let told = peer.expect_only(FORWARD_TSN);
        assert_eq!(forwarded(&peer, &told).0, 0);
    }
    peer.acknowledges(0, &[]);
    assert_eq!(chunks_of_a_minute(&mut peer), []);
}

#[test]
fn a_message_that_arrives_in_time_is_not_given_up() {
    for mode in [MaxRetransmits(0), MaxPacketLifetime(milliseconds(100))] {
        let mut peer = Tester::plain();
        sends(&mut peer, 1, b"brief", true, mode);
        peer.expect_only(DATA);
        peer.acknowledges(0, &[]);
        assert_eq!(chunks_of_a_minute(&mut peer), []);
    }
}

/// §3.3.2, §3.3.3
#[test]
fn messages_to_a_peer_without_the_extension_are_reliable() {
    let mut peer = Tester::established(PLAIN, &Init { parameters: Vec::new(), ..offer() });
    for mode in [MaxRetransmits(0), MaxPacketLifetime(milliseconds(1))] {
        sends(&mut peer, 1, b"brief", true, mode);
    }
    peer.flight();
    for _ in 0..5 {
        peer.wait();
        assert_eq!(peer.expect().kinds(), [DATA, DATA]);
    }
}

/// §3.5 F5
#[test]
fn giving_up_a_lost_message_counts_as_congestion() {
    let mut peer = Tester::established(PLAIN, &Init { window: 100 << 20, ..offer() });
    for _ in 0..30 {
        sends(&mut peer, 1, &[7; 1172], true, MaxRetransmits(0));
    }
    assert_eq!(peer.data().len(), 10);
    peer.wait();
    let sent: usize = peer.flight().iter().flat_map(Packet::kinds).filter(|&kind| kind == DATA).count();
    assert!(sent <= 1, "one packet after a timeout: {sent}");
}

#[test]
fn a_forward_tsn_moves_the_cumulative_tsn_and_what_comes_behind_it_joins() {
    let mut peer = Tester::plain();
    peer.sends(&[message(2, 1, 2, b"third").chunk(), message(4, 1, 4, b"fifth").chunk()]);
    peer.expect_sack();
    peer.sends(&[forward(1, &[(1, 1)])]);
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.gaps), (Tester::tsn(2), vec![(2, 2)]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"third"[..]));
    assert_eq!(peer.reads(1), None, "the fourth may still come");
}

#[test]
fn a_forward_tsn_delivers_what_waited_behind_the_skipped_messages() {
    let mut peer = Tester::plain();
    peer.sends(&[message(1, 1, 1, b"second").chunk(), message(2, 2, 1, b"other").chunk()]);
    peer.flight();
    assert_eq!((peer.reads(1), peer.reads(2)), (None, None));
    peer.sends(&[forward(0, &[(1, 0)])]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"second"[..]));
    assert_eq!(peer.reads(2), None, "of that stream none was skipped");
}

#[test]
fn a_forward_tsn_skips_messages_that_never_came_at_all() {
    let mut peer = Tester::plain();
    peer.sends(&[forward(9, &[(1, 4), (2, 4)])]);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(9));
    peer.sends(&[message(10, 1, 5, b"next").chunk(), message(11, 2, 5, b"next").chunk()]);
    for stream in [1, 2] {
        assert_eq!(peer.reads(stream).as_deref(), Some(&b"next"[..]));
    }
}

/// §3.6
#[test]
fn a_forward_tsn_that_brings_nothing_new_is_acknowledged() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 1, 0, b"first").chunk()]);
    peer.expect_sack();
    for offset in [0, u32::MAX, 0] {
        peer.sends(&[forward(offset, &[(1, 9)])]);
        assert_eq!(peer.expect_sack().cumulative, TSN);
    }
    peer.sends(&[message(1, 1, 1, b"second").chunk()]);
    peer.flight();
    assert_eq!(peer.reads(1).as_deref(), Some(&b"first"[..]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"second"[..]), "nothing was skipped");
}

#[test]
fn a_skipped_message_that_comes_late_is_a_duplicate() {
    let mut peer = Tester::plain();
    peer.sends(&[forward(0, &[(1, 0)])]);
    peer.expect_sack();
    peer.sends(&[message(0, 1, 0, b"late").chunk()]);
    assert_eq!(peer.expect_sack().duplicates, [TSN]);
    assert_eq!(peer.reads(1), None);
}

/// §3.6: what is partially there and cannot become whole any more.
#[test]
fn a_forward_tsn_removes_what_is_there_of_the_skipped_messages() {
    let mut peer = Tester::plain();
    peer.sends(&[Data { flags: B_BIT, ..message(0, 1, 0, &[7; 1000]) }.chunk()]);
    assert_eq!(peer.expect_sack().window, 64 * 1024 - 1000);
    peer.sends(&[forward(2, &[(1, 0)])]);
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.window), (Tester::tsn(2), 64 * 1024));
    peer.sends(&[Data { flags: E_BIT, ..message(3, 1, 0, b"end of nothing") }.chunk()]);
    peer.flight();
    assert_eq!(peer.reads(1), None);
    peer.sends(&[message(4, 1, 1, b"next").chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"next"[..]));
}

#[test]
fn a_whole_message_behind_the_skipped_ones_stays() {
    let mut peer = Tester::plain();
    peer.sends(&[
        Data { flags: B_BIT, ..message(1, 1, 1, b"who") }.chunk(),
        Data { flags: E_BIT, ..message(2, 1, 1, b"le") }.chunk(),
    ]);
    peer.flight();
    peer.sends(&[forward(0, &[(1, 0)])]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"whole"[..]));
}

#[test]
fn a_forward_tsn_goes_on_behind_the_wrap_of_the_numbers() {
    let first = u32::MAX - 1;
    let mut peer = Tester::established(PLAIN, &Init { tsn: first, ..offer() });
    let skip = [first.wrapping_add(3).to_be_bytes().as_slice(), &[0, 1, 0, 0]].concat();
    peer.sends(&[chunk(FORWARD_TSN, &skip)]);
    assert_eq!(peer.expect_sack().cumulative, 1);
    peer.sends(&[Data { tsn: 2, ..message(0, 1, 1, b"next") }.chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"next"[..]));
}

#[test]
fn data_and_forward_tsn_in_a_packet_are_acknowledged_by_one_sack() {
    let mut peer = Tester::plain();
    peer.sends(&[forward(0, &[(1, 0)]), message(1, 1, 1, b"next").chunk()]);
    let chunks = peer.expect_chunks(&[SACK]);
    assert_eq!(chunks[0].sack().cumulative, Tester::tsn(1));
    peer.expect_nothing();
}
