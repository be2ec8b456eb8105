//! Losses, and how much may be in flight (RFC 9260 §6.3.3, §7.2).

use std::time::Duration;

use crate::tester::{PLAIN, Tester, offer};
use crate::wire::{Data, I_BIT, Init, Sack};

/// Packets that go out at once: RFC 6928 §2 in place of the four of RFC 9260 §7.2.1.
const INITIAL_PACKETS: usize = 10;

/// A window so large that it never matters.
fn wide() -> Tester {
    Tester::established(PLAIN, &Init { window: 100 << 20, ..offer() })
}

fn tsns(peer: &Tester, data: &[Data]) -> Vec<u32> {
    data.iter().map(|data| data.tsn.wrapping_sub(peer.init.tsn)).collect()
}

/// Messages that fill a packet each.
fn fill(peer: &mut Tester, packets: usize) {
    (0..packets).for_each(|_| peer.writes(1, &[7; 1172]));
}

/// Acknowledges a flight packet for packet, and counts what goes out meanwhile.
fn acknowledge_each(peer: &mut Tester, from: usize, count: usize) -> usize {
    let mut sent = 0;
    for offset in from..from + count {
        let sack = Sack { window: 100 << 20, ..peer.sack(u32::try_from(offset).unwrap(), &[]) };
        peer.sends(&[sack.chunk()]);
        sent += peer.data().len();
    }
    sent
}

#[test]
fn a_chunk_that_is_lost_is_sent_again_when_the_timer_expires_and_before_anything_new() {
    let mut peer = Tester::plain();
    peer.writes(1, b"lost");
    peer.data();
    peer.wait();
    peer.writes(1, b"new");
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [0, 1]);
}

/// §6.3.3 E3: "only one packet is allowed to be in flight".
#[test]
fn after_a_timeout_one_packet_goes_out_with_the_oldest_chunks() {
    let mut peer = Tester::plain();
    fill(&mut peer, 5);
    assert_eq!(peer.data().len(), 5);
    peer.wait();
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [0]);
    assert_eq!(sent[0].flags & I_BIT, I_BIT, "it is to be acknowledged at once");
    peer.acknowledges(0, &[]);
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [1, 2], "slow start");
}

#[test]
fn small_chunks_that_are_lost_share_one_packet() {
    let mut peer = Tester::plain();
    for _ in 0..5 {
        peer.writes(1, b"small");
        peer.data();
    }
    peer.wait();
    let packets = peer.flight();
    assert_eq!((packets.len(), packets[0].chunks.len()), (1, 5));
}

#[test]
fn what_a_gap_block_has_acknowledged_is_not_sent_again_when_the_timer_expires() {
    let mut peer = Tester::plain();
    fill(&mut peer, 3);
    peer.data();
    peer.acknowledges(0, &[(2, 2)]);
    assert!(peer.data().is_empty());
    peer.wait();
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [1]);
    peer.acknowledges(2, &[]);
    assert!(peer.pass(Duration::from_secs(10)).is_empty());
}

/// §7.2.4. A chunk counts as lost when one was acknowledged that was sent three packets later.
#[test]
fn a_chunk_is_sent_again_when_a_packet_three_behind_it_has_come() {
    let mut peer = Tester::plain();
    fill(&mut peer, 6);
    peer.data();
    peer.acknowledges(u32::MAX, &[(2, 2)]);
    peer.acknowledges(u32::MAX, &[(2, 3)]);
    assert!(peer.data().is_empty(), "two misses are reordering");
    peer.acknowledges(u32::MAX, &[(2, 4)]);
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [0]);
}

/// However often it is asked for packets in between, and whatever else it sends.
#[test]
fn packets_without_data_are_no_misses() {
    let mut peer = Tester::plain();
    for _ in 0..3 {
        fill(&mut peer, 1);
        assert_eq!(peer.data().len(), 1);
        for _ in 0..5 {
            peer.expect_alive();
        }
    }
    peer.acknowledges(u32::MAX, &[(2, 2)]);
    peer.acknowledges(u32::MAX, &[(2, 3)]);
    assert!(peer.data().is_empty());
}

/// §7.2.4, 5
#[test]
fn a_chunk_is_fast_retransmitted_once_for_the_same_reports() {
    let mut peer = Tester::plain();
    fill(&mut peer, 8);
    peer.data();
    for end in 2..=4 {
        peer.acknowledges(u32::MAX, &[(2, end)]);
    }
    assert_eq!(peer.data().len(), 1);
    for end in 5..=8 {
        peer.acknowledges(u32::MAX, &[(2, end)]);
    }
    assert!(peer.data().is_empty());
    assert!(peer.wait() > Duration::ZERO);
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [0], "then the timer");
}

/// §7.2.4, 3: the one packet goes out although the window is full.
#[test]
fn a_fast_retransmission_does_not_wait_for_the_congestion_window() {
    let mut peer = wide();
    fill(&mut peer, 40);
    assert_eq!(peer.data().len(), INITIAL_PACKETS);
    // Three of ten have come; the window is halved to five, and seven are still thought to be on their way.
    peer.acknowledges(u32::MAX, &[(2, 4)]);
    let sent = peer.data();
    assert_eq!(tsns(&peer, &sent), [0]);
}

/// §7.2.3 and §7.2.4, 6: half, and not less for another loss of the same flight.
#[test]
fn the_congestion_window_is_halved_once_for_the_losses_of_a_flight() {
    let mut peer = wide();
    fill(&mut peer, 10);
    assert_eq!(peer.data().len(), 10);
    peer.acknowledges(u32::MAX, &[(2, 4)]);
    assert_eq!(peer.data().len(), 1);
    peer.acknowledges(u32::MAX, &[(2, 4), (6, 10)]);
    assert_eq!(peer.data().len(), 1);
    acknowledge_each(&mut peer, 9, 1);
    fill(&mut peer, 60);
    assert_eq!(peer.data().len(), 5, "half of ten");
}

/// The acknowledgement that ends fast recovery is for what was sent before and in it.
#[test]
fn what_ends_a_recovery_does_not_let_the_congestion_window_grow() {
    let mut peer = wide();
    fill(&mut peer, 60);
    assert_eq!(peer.data().len(), 10);
    peer.acknowledges(u32::MAX, &[(2, 4)]);
    assert_eq!(peer.data().len(), 1);
    // Seven packets are acknowledged at once.
    assert_eq!(acknowledge_each(&mut peer, 9, 1), 5);
}

#[test]
fn a_lost_repair_is_repaired_too() {
    let mut peer = wide();
    fill(&mut peer, 60);
    peer.data();
    peer.now = peer.now + Duration::from_millis(10);
    let gaps = |end| [(2, end)];
    peer.acknowledges(u32::MAX, &gaps(10));
    let sent = peer.data();
    assert_eq!(sent[0].tsn, peer.init.tsn);
    let later = u16::try_from(sent.len() - 1).unwrap();
    assert!(later >= 3, "others are sent behind it");
    peer.now = peer.now + Duration::from_millis(10);
    peer.acknowledges(u32::MAX, &gaps(10 + later));
    let again = peer.data();
    assert_eq!(again[0].tsn, peer.init.tsn, "without the timer");
}

#[test]
fn a_flight_doubles_in_slow_start() {
    let mut peer = wide();
    fill(&mut peer, 400);
    let mut flight = peer.data().len();
    assert_eq!(flight, INITIAL_PACKETS);
    let mut offset = 0;
    // Up to the first threshold, 64 KiB where a round trip takes no time.
    for _ in 0..2 {
        let next = acknowledge_each(&mut peer, offset, flight);
        offset += flight;
        assert_eq!(next, 2 * flight);
        flight = next;
    }
}

/// §7.2.2: a packet for each round trip.
#[test]
fn a_flight_grows_by_a_packet_in_congestion_avoidance() {
    let mut peer = wide();
    fill(&mut peer, 400);
    peer.data();
    peer.acknowledges(u32::MAX, &[(2, 4)]);
    peer.data();
    let mut offset = 9;
    let mut flight = acknowledge_each(&mut peer, 9, 1);
    assert_eq!(flight, 5);
    for _ in 0..5 {
        let next = acknowledge_each(&mut peer, offset + 1, flight);
        offset += flight;
        assert!((flight..=flight + 1).contains(&next), "{flight} {next}");
        flight = next;
    }
    assert!(flight > 5 && flight <= 10, "{flight}");
}

/// §7.2.1: "only if the current congestion window is being fully utilized".
#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut peer = wide();
    for offset in 0..50 {
        fill(&mut peer, 1);
        assert_eq!(peer.data().len(), 1);
        peer.acknowledges(offset, &[]);
    }
    fill(&mut peer, 100);
    assert_eq!(peer.data().len(), INITIAL_PACKETS);
}

/// §6.2.1: what the peer had acknowledged in a gap block and has dropped again.
#[test]
fn what_the_peer_has_dropped_again_is_sent_again() {
    let mut peer = Tester::plain();
    fill(&mut peer, 3);
    peer.data();
    peer.acknowledges(0, &[(2, 2)]);
    assert!(peer.data().is_empty());
    peer.acknowledges(1, &[]);
    let mut again = peer.data();
    if again.is_empty() {
        peer.wait();
        again = peer.data();
    }
    assert_eq!(tsns(&peer, &again), [2]);
    peer.acknowledges(2, &[]);
    assert_eq!(peer.end.buffered(1), 0);
    assert!(peer.pass(Duration::from_secs(10)).is_empty());
}

#[test]
fn what_the_peer_has_dropped_again_behind_a_gap_is_sent_again_in_the_end() {
    let mut peer = Tester::plain();
    fill(&mut peer, 4);
    peer.data();
    peer.acknowledges(0, &[(2, 3)]);
    peer.acknowledges(0, &[]);
    let mut arrived: Vec<u32> = Vec::new();
    let mut cumulative = 0;
    while cumulative < 3 {
        peer.wait();
        let sent = peer.data();
        arrived.extend(tsns(&peer, &sent));
        while arrived.contains(&(cumulative + 1)) {
            cumulative += 1;
        }
        peer.acknowledges(cumulative, &[]);
        let sent = peer.data();
        arrived.extend(tsns(&peer, &sent));
        assert!(arrived.len() < 20, "{arrived:?}");
    }
    assert_eq!(peer.end.buffered(1), 0);
}
