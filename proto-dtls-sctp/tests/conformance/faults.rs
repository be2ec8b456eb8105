//! Peers that do not answer, heartbeats, and packets of no association (RFC 9260 §8): the purposes FH, and RT.

use std::time::Duration;

use proto_dtls_sctp::SctpFailureReason;
use proto_dtls_sctp::bare::BareConfig;

use crate::tester::{PLAIN, Tester, init_ack, message, milliseconds, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, ERROR, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, Packet, SHUTDOWN,
    SHUTDOWN_ACK, SHUTDOWN_COMPLETE, T_BIT, cause, chunk, heartbeat, parameters, with_cause,
};

const LIMITED: BareConfig = BareConfig { max_retransmissions: Some(4), ..PLAIN };
const PROBING: BareConfig = BareConfig { heartbeat_interval: Some(Duration::from_secs(10)), ..LIMITED };

/// §6.3.3 E2. The least timeout is 250 ms and the longest 3 s, not 1 s and 60 s: nobody waits for so long in a call.
#[test]
fn the_retransmission_timeout_doubles_with_every_expiry_up_to_its_bound() {
    let mut peer = Tester::plain();
    peer.writes(1, b"unheard");
    let first = peer.expect_only(DATA).data();
    for pause in [250, 500, 1000, 2000, 3000, 3000] {
        assert_eq!(peer.wait(), milliseconds(pause));
        let again = peer.expect_only(DATA).data();
        assert_eq!((again.tsn, &again.payload), (first.tsn, &first.payload));
    }
}

/// §6.3.1 C2, C3: INIT to INIT ACK takes 100 ms, which makes 100 + 4 * 50; another 260 ms make 120 + 4 * 77.5.
#[test]
fn the_retransmission_timeout_follows_what_was_measured() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.now = peer.now + milliseconds(100);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.writes(1, b"first");
    peer.expect_only(DATA);
    assert_eq!(peer.end.poll_timeout().unwrap().at - peer.now, milliseconds(300));
    peer.now = peer.now + milliseconds(260);
    peer.acknowledges(0, &[]);
    peer.writes(1, b"second");
    peer.expect_only(DATA);
    assert_eq!(peer.wait(), milliseconds(430));
}

/// §6.3.1 C5. That something was acknowledged ends the doubling, which RFC 9260 would keep up to the next measurement: the path is alive.
#[test]
fn what_was_sent_again_is_not_measured() {
    let mut peer = Tester::plain();
    peer.writes(1, b"first");
    peer.expect_only(DATA);
    peer.wait();
    peer.expect_only(DATA);
    peer.now = peer.now + milliseconds(490);
    peer.acknowledges(0, &[]);
    peer.writes(1, b"second");
    peer.expect_only(DATA);
    assert_eq!(peer.wait(), milliseconds(250));
}

/// §6.3.2 R2, R3
#[test]
fn the_timer_begins_anew_with_what_the_oldest_chunk_brings_and_stops_when_nothing_is_outstanding() {
    let mut peer = Tester::plain();
    for _ in 0..3 {
        peer.writes(1, b"data");
        peer.expect_only(DATA);
    }
    peer.now = peer.now + milliseconds(200);
    // Behind a gap: the oldest one still waits.
    peer.acknowledges(u32::MAX, &[(2, 2)]);
    assert_eq!(peer.end.poll_timeout().unwrap().at - peer.now, milliseconds(50));
    peer.acknowledges(1, &[]);
    assert!(peer.end.poll_timeout().unwrap().at - peer.now >= milliseconds(250));
    peer.acknowledges(2, &[]);
    peer.expect_nothing();
    assert_eq!(peer.end.poll_timeout(), None);
}

#[test]
fn a_peer_that_acknowledges_nothing_is_unreachable_after_the_limit() {
    let mut peer = Tester::established(LIMITED, &offer());
    peer.writes(1, b"unheard");
    peer.expect_only(DATA);
    for _ in 0..4 {
        peer.wait();
        peer.expect_only(DATA);
    }
    peer.wait();
    peer.expect_nothing();
    peer.expect_lost(SctpFailureReason::PeerUnreachable, None);
}

/// §8.1
#[test]
fn an_acknowledgement_sets_the_count_of_retransmissions_to_zero() {
    let mut peer = Tester::established(LIMITED, &offer());
    for offset in 0..3 {
        peer.writes(1, b"heard late");
        peer.expect_only(DATA);
        for _ in 0..4 {
            peer.wait();
            peer.expect_only(DATA);
        }
        peer.acknowledges(offset, &[]);
        peer.expect_nothing();
    }
    assert_eq!(peer.lost(), None);
}

/// §6.1 A: as long as the peer says that it has no room, it is there.
#[test]
fn probes_of_a_closed_window_that_are_answered_do_not_count_towards_the_limit() {
    let mut peer = Tester::established(LIMITED, &offer());
    peer.writes(1, b"first");
    peer.expect_only(DATA);
    let closed = crate::wire::Sack { window: 0, ..peer.sack(0, &[]) };
    peer.sends(&[closed.chunk()]);
    peer.writes(1, b"second");
    peer.expect_only(DATA);
    for _ in 0..20 {
        peer.wait();
        peer.expect_only(DATA);
        peer.sends(&[closed.chunk()]);
    }
    assert_eq!(peer.lost(), None);
}

#[test]
fn a_heartbeat_is_answered_with_all_that_it_carries() {
    let mut peer = Tester::plain();
    for info in [&b""[..], b"x", b"some info", &[0xA5; 1000]] {
        peer.sends(&[heartbeat(HEARTBEAT, info)]);
        assert_eq!(peer.expect_only(HEARTBEAT_ACK), heartbeat(HEARTBEAT_ACK, info));
    }
    let more = parameters(&[(1, b"info".to_vec()), (0x8123, b"more".to_vec())]);
    peer.sends(&[chunk(HEARTBEAT, &more)]);
    assert_eq!(peer.expect_only(HEARTBEAT_ACK).value, more);
}

#[test]
fn an_idle_path_is_probed_once_an_interval_and_a_busy_one_is_not() {
    let mut peer = Tester::established(PROBING, &offer());
    assert_eq!(peer.wait(), Duration::from_secs(10));
    let probe = peer.expect_only(HEARTBEAT);
    peer.sends(&[Chunk { kind: HEARTBEAT_ACK, ..probe }]);
    peer.expect_alive();
    peer.pass(Duration::from_millis(9_900));
    peer.writes(1, b"busy");
    peer.expect_only(DATA);
    let sent: Vec<u8> = peer.pass(Duration::from_millis(200)).iter().flat_map(|(_, packet)| packet.kinds()).collect();
    assert!(!sent.contains(&HEARTBEAT), "{sent:?}");
}

#[test]
fn nothing_is_probed_unless_that_is_asked_for() {
    let mut peer = Tester::plain();
    assert!(peer.pass(Duration::from_secs(3600)).is_empty());
}

/// §8.3: a heartbeat that is not answered counts like a retransmission.
#[test]
fn heartbeats_that_are_never_answered_lead_to_an_unreachable_peer() {
    let mut peer = Tester::established(PROBING, &offer());
    let sent = peer.pass(Duration::from_secs(120));
    assert_eq!(sent.iter().filter(|(_, packet)| packet.kinds() == [HEARTBEAT]).count(), 5);
    peer.expect_lost(SctpFailureReason::PeerUnreachable, None);
}

#[test]
fn heartbeats_that_are_answered_keep_an_idle_peer() {
    let mut peer = Tester::established(PROBING, &offer());
    for _ in 0..50 {
        peer.wait();
        let probe = peer.expect_only(HEARTBEAT);
        peer.sends(&[Chunk { kind: HEARTBEAT_ACK, ..probe }]);
        peer.expect_nothing();
    }
    assert_eq!(peer.lost(), None);
}

#[test]
fn answers_to_heartbeats_that_were_not_sent_say_nothing() {
    let mut peer = Tester::established(PROBING, &offer());
    let forgeries = |peer: &mut Tester| {
        for info in [&b""[..], b"x", &[0; 8], &[0xFF; 8], &[7; 40]] {
            peer.sends(&[heartbeat(HEARTBEAT_ACK, info)]);
        }
        peer.sends(&[chunk(HEARTBEAT_ACK, &[])]);
        peer.expect_nothing();
    };
    forgeries(&mut peer);
    for _ in 0..5 {
        peer.wait();
        let mut probe = peer.expect_only(HEARTBEAT);
        forgeries(&mut peer);
        *probe.value.last_mut().unwrap() ^= 1;
        peer.sends(&[Chunk { kind: HEARTBEAT_ACK, ..probe }]);
    }
    peer.wait();
    peer.expect_lost(SctpFailureReason::PeerUnreachable, None);
}

#[test]
fn an_answer_to_a_heartbeat_counts_once() {
    let mut peer = Tester::established(PROBING, &offer());
    peer.wait();
    let answer = Chunk { kind: HEARTBEAT_ACK, ..peer.expect_only(HEARTBEAT) };
    peer.sends(std::slice::from_ref(&answer));
    for _ in 0..5 {
        peer.wait();
        peer.expect_only(HEARTBEAT);
        peer.sends(std::slice::from_ref(&answer));
    }
    peer.wait();
    peer.expect_lost(SctpFailureReason::PeerUnreachable, None);
}

/// An association that has ended with an ABORT of its own, which was lost.
fn ended() -> Tester {
    let mut peer = Tester::plain();
    peer.end.abort();
    peer.expect_only(ABORT);
    peer
}

/// §8.4, rule 8: the peer is told again.
#[test]
fn what_comes_for_an_association_that_has_ended_is_answered_with_an_abort_that_reflects_the_tag() {
    let mut peer = ended();
    let tag = peer.init.tag;
    let chunks = [
        message(0, 1, 0, b"late").chunk(),
        peer.sack(0, &[]).chunk(),
        heartbeat(HEARTBEAT, b"there?"),
        chunk(SHUTDOWN, &[0; 4]),
    ];
    peer.expect_tag(tag);
    for late in chunks {
        peer.sends(&[late]);
        assert_eq!(peer.expect_only(ABORT).flags, T_BIT);
    }
}

#[test]
fn aborts_are_never_answered() {
    let mut peer = ended();
    peer.sends(&[chunk(ABORT, &[])]);
    peer.sends(&[message(0, 1, 0, b"late").chunk(), chunk(ABORT, &[])]);
    peer.sends(&[chunk(ABORT, &[]).with_flags(T_BIT)]);
    peer.expect_nothing();
}

#[test]
fn a_shutdown_ack_for_an_association_that_has_ended_is_answered_with_shutdown_complete() {
    let mut peer = ended();
    let tag = peer.init.tag;
    peer.sends(&[chunk(SHUTDOWN_ACK, &[])]);
    peer.expect_tag(tag);
    assert_eq!(peer.expect_only(SHUTDOWN_COMPLETE), chunk(SHUTDOWN_COMPLETE, &[]).with_flags(T_BIT));
}

#[test]
fn what_ends_a_set_up_or_a_shutdown_is_not_answered_out_of_the_blue() {
    let mut peer = ended();
    for late in [
        chunk(SHUTDOWN_COMPLETE, &[]),
        chunk(COOKIE_ACK, &[]),
        chunk(COOKIE_ECHO, b"unknown"),
        with_cause(ERROR, cause::STALE_COOKIE, &[0; 4]),
    ] {
        peer.sends(&[late]);
        peer.expect_nothing();
    }
}

/// §8.4, rule 3: there is no association any more to be had.
#[test]
fn an_init_for_an_association_that_has_ended_is_refused_with_its_own_tag() {
    let mut peer = ended();
    peer.sends_with_tag(0, &[offer().chunk(INIT)]);
    assert_eq!(peer.expect_only(ABORT).flags, 0);
    peer.sends(&[offer().chunk(INIT_ACK)]);
    peer.flight();
    assert_eq!(peer.end.poll_timeout(), None);
}

#[test]
fn garbage_for_an_association_that_has_ended_is_dropped() {
    let mut peer = ended();
    let mut packet = Packet::write(peer.init.tag, &[message(0, 1, 0, b"late").chunk()]);
    packet[8] ^= 1;
    peer.sends_bytes(&packet);
    peer.sends_bytes(&packet[..11]);
    peer.sends_bytes(&[]);
    peer.sends_with_tag(0, &[offer().chunk(INIT), chunk(INIT_ACK, &[])]);
    peer.expect_nothing();
}
