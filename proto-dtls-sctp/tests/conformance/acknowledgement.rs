//! What is said about what has come (RFC 9260 §6.2, §6.7): the purposes A, and those of D about duplicates.

use std::time::Duration;

use proto_dtls_sctp::bare::BareConfig;

use crate::tester::{PLAIN, TSN, Tester, message, messages, milliseconds, offer};
use crate::wire::{B_BIT, Chunk, DATA, Data, I_BIT, SACK, Sack, cause};

/// What may be held back: 20 ms, where RFC 9260 permits 500.
const SACK_DELAY: Duration = Duration::from_millis(20);

/// The first message has come and is acknowledged.
fn begun() -> Tester {
    let mut peer = Tester::plain();
    peer.sends(&messages([0]));
    peer.expect_sack();
    peer
}

/// A large message, of which 32 make the window.
fn large(offset: u32) -> Chunk {
    message(offset, 1, offset, &[7; 1024]).chunk()
}

/// All of the window is taken, and nothing read.
fn full() -> Tester {
    let config = BareConfig { receive_window: 32 * 1024, ..PLAIN };
    let mut peer = Tester::established(config, &offer());
    for offset in 0..32 {
        peer.sends(&[large(offset)]);
    }
    assert_eq!(peer.expect_sack().window, 0);
    peer
}

/// §5.1
#[test]
fn the_first_data_is_acknowledged_at_once() {
    let mut peer = Tester::plain();
    peer.sends(&messages([0]));
    let sack = peer.expect_sack();
    assert_eq!(sack, Sack { cumulative: TSN, window: 64 * 1024 - 128, gaps: Vec::new(), duplicates: Vec::new() });
}

#[test]
fn every_second_packet_is_acknowledged_at_once() {
    let mut peer = begun();
    for offset in [1, 3, 5] {
        peer.sends(&messages([offset]));
        peer.expect_nothing();
        peer.sends(&messages([offset + 1]));
        assert_eq!(peer.expect_sack().cumulative, Tester::tsn(offset + 1));
    }
}

#[test]
fn a_packet_alone_is_acknowledged_after_the_delay() {
    let mut peer = begun();
    peer.sends(&messages([1]));
    peer.expect_nothing();
    assert_eq!(peer.wait(), SACK_DELAY);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(1));
    assert_eq!(peer.end.poll_timeout(), None);
}

#[test]
fn many_chunks_in_a_packet_count_as_one_and_share_a_sack() {
    let mut peer = begun();
    peer.sends(&messages(1..6));
    peer.expect_nothing();
    peer.sends(&messages(6..9));
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(8));
}

/// §6.2, the I bit
#[test]
fn data_that_asks_for_it_is_acknowledged_at_once() {
    let mut peer = begun();
    let data = message(1, 1, 1, b"soon");
    peer.sends(&[Data { flags: data.flags | I_BIT, ..data }.chunk()]);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(1));
}

#[test]
fn an_acknowledgement_that_waits_goes_along_with_data() {
    let mut peer = begun();
    peer.sends(&messages([1]));
    peer.writes(1, b"back");
    let chunks = peer.expect_chunks(&[SACK, DATA]);
    assert_eq!(chunks[0].sack().cumulative, Tester::tsn(1));
    peer.expect_nothing();
    peer.acknowledges(0, &[]);
    assert_eq!(peer.end.poll_timeout(), None, "nothing is left to be said");
}

/// §6.7: at once for every packet, as long as there is a gap, and for the one that closes it.
#[test]
fn a_gap_is_reported_at_once_and_so_is_every_packet_until_it_is_closed() {
    let mut peer = begun();
    for (offset, gaps) in [(2, vec![(2, 2)]), (3, vec![(2, 3)]), (5, vec![(2, 3), (5, 5)])] {
        peer.sends(&messages([offset]));
        let sack = peer.expect_sack();
        assert_eq!((sack.cumulative, sack.gaps), (TSN, gaps));
    }
    peer.sends(&messages([1]));
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.gaps), (Tester::tsn(3), vec![(2, 2)]));
    peer.sends(&messages([4]));
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.gaps), (Tester::tsn(5), vec![]));
    peer.sends(&messages([6]));
    peer.expect_nothing();
}

#[test]
fn as_many_gaps_are_reported_as_fit_the_packet() {
    let mut peer = begun();
    for offset in 1..400 {
        peer.sends(&messages([2 * offset]));
    }
    let gaps = peer.expect_sack().gaps;
    assert_eq!(gaps.len(), (1200 - 12 - 16) / 4);
    assert_eq!(gaps[..2], [(2, 2), (4, 4)], "the first ones");
}

#[test]
fn duplicates_are_reported_at_once_and_not_delivered_again() {
    let mut peer = begun();
    peer.sends(&messages([0]));
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.duplicates), (TSN, vec![TSN]));
    peer.sends(&messages([2]));
    peer.expect_sack();
    peer.sends(&messages([2, 0, 2]));
    let sack = peer.expect_sack();
    assert_eq!(sack.gaps, [(2, 2)]);
    assert_eq!(sack.duplicates, [Tester::tsn(2), TSN, Tester::tsn(2)], "as often as they came");
    peer.sends(&messages([1]));
    assert_eq!(peer.expect_sack().duplicates, [], "once told");
    assert_eq!(std::iter::from_fn(|| peer.reads(1)).count(), 3);
}

#[test]
fn a_fragment_that_comes_twice_is_a_duplicate() {
    let mut peer = begun();
    let first = Data { flags: B_BIT, ..message(1, 1, 1, b"part") }.chunk();
    peer.sends(std::slice::from_ref(&first));
    peer.sends(&[first]);
    assert_eq!(peer.expect_sack().duplicates, [Tester::tsn(1)]);
}

#[test]
fn data_from_far_away_is_not_acknowledged() {
    let mut peer = begun();
    for offset in [70_000, 1 << 30, 1 << 31] {
        peer.sends(&[message(offset, 1, 1, b"far").chunk()]);
        let sack = peer.expect_sack();
        assert_eq!((sack.cumulative, sack.gaps), (TSN, vec![]));
    }
    peer.expect_alive();
}

#[test]
fn the_window_shrinks_with_what_is_not_read_and_grows_with_what_is() {
    let mut peer = Tester::plain();
    let mut expected = 64 * 1024;
    for offset in 0..4 {
        peer.sends(&[large(offset)]);
        expected -= 1024;
        if let Some(packet) = peer.poll() {
            assert_eq!(packet.chunks[0].sack().window, expected);
        }
    }
    peer.flight();
    assert!(peer.reads(1).is_some() && peer.reads(1).is_some());
    peer.sends(&[large(0)]);
    assert_eq!(peer.expect_sack().window, expected + 2048);
}

#[test]
fn data_behind_a_full_window_is_dropped_and_told_at_once() {
    let mut peer = full();
    peer.sends(&[large(32)]);
    let sack = peer.expect_sack();
    assert_eq!((sack.cumulative, sack.window, sack.gaps), (Tester::tsn(31), 0, vec![]));
    assert!(peer.reads(1).is_some());
    peer.sends(&[large(32)]);
    peer.pass(SACK_DELAY);
    assert_eq!(std::iter::from_fn(|| peer.reads(1)).count(), 32);
}

/// §6.2: what fills a gap is taken although there is no room.
#[test]
fn data_that_fills_a_gap_is_taken_into_a_full_window() {
    let config = BareConfig { receive_window: 32 * 1024, ..PLAIN };
    let mut peer = Tester::established(config, &offer());
    for offset in 1..33 {
        peer.sends(&[large(offset)]);
    }
    assert_eq!(peer.expect_sack().window, 0);
    peer.sends(&[large(0)]);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(32));
    assert_eq!(std::iter::from_fn(|| peer.reads(1)).count(), 33);
}

/// §6.2: "additional SACK chunks to update the window", by a quarter of it at least.
#[test]
fn a_window_that_opens_is_told_once_and_not_for_every_message() {
    let mut peer = full();
    let mut told = Vec::new();
    for _ in 0..32 {
        assert!(peer.reads(1).is_some());
        told.extend(peer.flight().iter().map(|packet| packet.chunks[0].sack().window));
    }
    assert!((1..=3).contains(&told.len()) && told[0] >= 8 * 1024, "{told:?}");
}

/// §6.2.1, and §11 "MUST abort the association if it receives a SACK chunk acknowledging a TSN that has not been sent".
#[test]
fn an_acknowledgement_of_what_was_never_sent_ends_the_association() {
    let mut peer = Tester::plain();
    peer.acknowledges(0, &[]);
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
    let mut peer = Tester::plain();
    peer.writes(1, b"first");
    peer.expect_only(DATA);
    peer.acknowledges(1, &[]);
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
    let mut peer = Tester::plain();
    peer.writes(1, b"first");
    peer.writes(1, b"second");
    peer.expect_chunks(&[DATA, DATA]);
    peer.acknowledges(u32::MAX, &[(2, 3)]);
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
}

#[test]
fn gap_blocks_that_cannot_be_are_not_believed() {
    let mut peer = Tester::plain();
    for _ in 0..4 {
        peer.writes(1, b"data");
    }
    peer.expect_chunks(&[DATA; 4]);
    // A block begins at least two behind the cumulative TSN, and ends behind its start.
    peer.acknowledges(0, &[(0, 1), (3, 2), (1, 1)]);
    peer.wait();
    let again: Vec<u32> = peer.data().iter().map(|data| data.tsn).collect();
    assert_eq!(again, [1, 2, 3].map(|offset| peer.its_tsn(offset)));
}

#[test]
fn sacks_alone_are_never_acknowledged() {
    let mut peer = begun();
    peer.writes(1, b"data");
    peer.flight();
    for _ in 0..10 {
        peer.acknowledges(0, &[]);
    }
    peer.expect_nothing();
    assert!(peer.pass(milliseconds(60_000)).is_empty());
}
