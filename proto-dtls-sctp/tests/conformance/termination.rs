//! How an association ends (RFC 9260 §9): the purposes AT, and those of DM, IMH and BDC that begin in a state of shutting down.
//!
//! The association under test never sends SHUTDOWN: channels are closed by resetting their streams, and everything at once by an ABORT (RFC 8831 §6.7, W3C `close()`).
//! So it knows ESTABLISHED, SHUTDOWN-RECEIVED and SHUTDOWN-ACK-SENT.

use std::time::Duration;

use proto_dtls_sctp::bare::BareConfig;
use proto_dtls_sctp::{Reliability, SctpFailureReason};

use crate::tester::{PLAIN, TAG, Tester, message, milliseconds, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, ERROR, HEARTBEAT, INIT, INIT_ACK, Init, SACK, SHUTDOWN, SHUTDOWN_ACK,
    SHUTDOWN_COMPLETE, cause, chunk, heartbeat, parameter, with_cause,
};

/// A SHUTDOWN that acknowledges up to the TSN with this offset; -1 is none.
fn shutdown(peer: &Tester, offset: i32) -> Chunk {
    chunk(SHUTDOWN, &peer.init.tsn.wrapping_add_signed(offset).to_be_bytes())
}

/// SHUTDOWN-RECEIVED: a message of it is on its way.
fn shutdown_received() -> Tester {
    let mut peer = Tester::plain();
    peer.writes(1, b"on its way");
    peer.expect_only(DATA);
    let shutdown = shutdown(&peer, -1);
    peer.sends(&[shutdown]);
    peer.expect_nothing();
    peer
}

fn shutdown_ack_sent_with(config: BareConfig) -> Tester {
    let mut peer = Tester::established(config, &offer());
    let shutdown = shutdown(&peer, -1);
    peer.sends(&[shutdown]);
    peer.expect_only(SHUTDOWN_ACK);
    assert_eq!(peer.lost(), None);
    peer
}

/// SHUTDOWN-ACK-SENT
fn shutdown_ack_sent() -> Tester {
    shutdown_ack_sent_with(PLAIN)
}

fn refuses_messages(peer: &mut Tester) {
    assert!(!peer.end.send(peer.now, 1, "late".into(), true, Reliability::Reliable));
    peer.expect_nothing();
}

#[test]
fn an_abort_ends_the_association_in_every_state_without_an_answer() {
    let states = [
        Tester::cookie_wait(PLAIN),
        Tester::cookie_echoed(PLAIN, &offer()),
        Tester::plain(),
        shutdown_received(),
        shutdown_ack_sent(),
    ];
    for mut peer in states {
        peer.sends(&[with_cause(ABORT, cause::USER_ABORT, b"enough")]);
        peer.expect_nothing();
        peer.expect_lost(SctpFailureReason::AbortedByPeer, Some(cause::USER_ABORT));
    }
}

#[test]
fn the_cause_of_an_abort_can_be_read_whatever_it_is() {
    for code in [1, 2, 4, 5, 7, 9, 11, 12, 13, 0x7FFF] {
        let mut peer = Tester::plain();
        peer.sends(&[with_cause(ABORT, code, b"details")]);
        peer.expect_lost(SctpFailureReason::AbortedByPeer, Some(code));
    }
    let mut peer = Tester::plain();
    peer.sends(&[chunk(ABORT, &[])]);
    peer.expect_lost(SctpFailureReason::AbortedByPeer, None);
}

#[test]
fn data_behind_an_abort_is_not_delivered_and_data_from_before_it_is() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 1, 0, b"before").chunk()]);
    peer.flight();
    peer.sends(&[chunk(ABORT, &[]), message(1, 1, 1, b"behind").chunk()]);
    peer.expect_lost(SctpFailureReason::AbortedByPeer, None);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"before"[..]));
    assert_eq!(peer.reads(1), None);
}

#[test]
fn its_own_end_is_an_abort_with_the_tag_of_the_peer_and_nothing_behind_it() {
    let mut peer = Tester::plain();
    peer.writes(1, b"lost");
    peer.end.abort();
    let abort = peer.expect_only(ABORT);
    assert_eq!((abort.flags, abort.cause()), (0, cause::USER_ABORT));
    assert_eq!(peer.end.poll_timeout(), None);
    refuses_messages(&mut peer);
    let mut early = Tester::cookie_wait(PLAIN);
    early.end.abort();
    early.expect_nothing();
    let mut echoed = Tester::cookie_echoed(PLAIN, &offer());
    echoed.end.abort();
    echoed.expect_only(ABORT);
}

#[test]
fn no_message_is_taken_in_shutdown_received_or_shutdown_ack_sent() {
    refuses_messages(&mut shutdown_received());
    refuses_messages(&mut shutdown_ack_sent());
}

#[test]
fn what_was_handed_over_before_a_shutdown_is_sent_and_acknowledged_first() {
    let mut peer = Tester::plain();
    peer.writes(1, &[7; 3000]);
    assert_eq!(peer.data().len(), 3);
    peer.acknowledges(0, &[]);
    peer.flight();
    let first = shutdown(&peer, 0);
    peer.sends(&[first]);
    peer.expect_nothing();
    peer.wait();
    let again: Vec<u32> = peer.data().iter().map(|data| data.tsn).collect();
    assert_eq!(again[0], peer.its_tsn(1), "it is sent again as ever");
    peer.acknowledges(2, &[]);
    peer.expect_only(SHUTDOWN_ACK);
}

#[test]
fn what_waits_for_the_window_when_a_shutdown_comes_is_sent_first() {
    let mut peer = Tester::established(PLAIN, &Init { window: 1500, ..offer() });
    peer.writes(1, &[7; 4000]);
    let mut sent = peer.data().len();
    let shutdown = shutdown(&peer, -1);
    peer.sends(&[shutdown]);
    let mut received = 0;
    while received < 4 {
        received += 1;
        let sack = crate::wire::Sack { window: 1500, ..peer.sack(received - 1, &[]) };
        peer.sends(&[sack.chunk()]);
        let packets = peer.flight();
        let kinds: Vec<u8> = packets.iter().flat_map(crate::wire::Packet::kinds).collect();
        sent += kinds.iter().filter(|&&kind| kind == DATA).count();
        assert_eq!(kinds.contains(&SHUTDOWN_ACK), received == 4, "{kinds:?}");
    }
    assert_eq!(sent, 4);
}

#[test]
fn the_tsn_in_a_shutdown_acknowledges() {
    let mut peer = Tester::plain();
    peer.writes(1, b"one");
    peer.writes(1, b"two");
    peer.expect_chunks(&[DATA, DATA]);
    let shutdown = shutdown(&peer, 1);
    peer.sends(&[shutdown]);
    peer.expect_only(SHUTDOWN_ACK);
    assert_eq!(peer.end.buffered(1), 0);
}

#[test]
fn data_that_comes_after_a_shutdown_is_dropped() {
    for mut peer in [shutdown_received(), shutdown_ack_sent()] {
        peer.sends(&[message(0, 1, 0, b"too late").chunk()]);
        let sent: Vec<u8> = peer.flight().iter().flat_map(crate::wire::Packet::kinds).collect();
        assert!(!sent.contains(&SACK), "{sent:?}");
        assert_eq!(peer.reads(1), None);
        assert_eq!(peer.lost(), None);
    }
}

#[test]
fn a_shutdown_ack_is_sent_again_after_pauses_that_double() {
    let mut peer = shutdown_ack_sent();
    for pause in [250, 500, 1000, 2000] {
        assert_eq!(peer.wait(), milliseconds(pause));
        peer.expect_only(SHUTDOWN_ACK);
    }
    peer.sends(&[chunk(SHUTDOWN_COMPLETE, &[])]);
    peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
}

#[test]
fn a_shutdown_ack_that_is_never_answered_is_given_up_after_the_limit() {
    let mut peer = shutdown_ack_sent_with(BareConfig { max_retransmissions: Some(2), ..PLAIN });
    for _ in 0..2 {
        peer.wait();
        peer.expect_only(SHUTDOWN_ACK);
    }
    peer.wait();
    peer.expect_nothing();
    peer.expect_lost(SctpFailureReason::PeerUnreachable, None);
}

/// Without a limit of its own: five times the longest retransmission timeout (T5-shutdown-guard).
#[test]
fn a_shutdown_that_does_not_come_to_its_end_is_ended_by_the_guard() {
    for mut peer in [shutdown_received(), shutdown_ack_sent()] {
        peer.pass(Duration::from_millis(14_999));
        assert_eq!(peer.lost(), None);
        peer.pass(Duration::from_millis(1));
        peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
    }
}

#[test]
fn a_shutdown_complete_in_shutdown_ack_sent_ends_the_association() {
    let mut peer = shutdown_ack_sent();
    peer.sends(&[chunk(SHUTDOWN_COMPLETE, &[])]);
    peer.expect_nothing();
    peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
}

/// §8.5.1 C: "MUST ignore [it] if it is not in the SHUTDOWN-ACK-SENT state".
#[test]
fn a_shutdown_complete_in_shutdown_received_is_dropped() {
    let mut peer = shutdown_received();
    peer.sends(&[chunk(SHUTDOWN_COMPLETE, &[])]);
    assert_eq!(peer.lost(), None);
    peer.acknowledges(0, &[]);
    peer.expect_only(SHUTDOWN_ACK);
}

#[test]
fn a_shutdown_that_comes_again_is_answered_again() {
    let mut peer = shutdown_ack_sent();
    for _ in 0..3 {
        let shutdown = shutdown(&peer, -1);
        peer.sends(&[shutdown]);
        peer.expect_only(SHUTDOWN_ACK);
    }
}

/// §9.2: both have sent it, and neither COMPLETE has come.
#[test]
fn a_shutdown_ack_in_shutdown_ack_sent_is_answered_with_shutdown_complete_and_that_is_the_end() {
    let mut peer = shutdown_ack_sent();
    peer.sends(&[chunk(SHUTDOWN_ACK, &[])]);
    assert_eq!(peer.expect_only(SHUTDOWN_COMPLETE), chunk(SHUTDOWN_COMPLETE, &[]));
    peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
}

#[test]
fn a_shutdown_ack_in_shutdown_received_is_dropped() {
    let mut peer = shutdown_received();
    peer.sends(&[chunk(SHUTDOWN_ACK, &[])]);
    peer.expect_nothing();
    assert_eq!(peer.lost(), None);
}

#[test]
fn an_init_in_shutdown_ack_sent_is_dropped_and_the_shutdown_ack_sent_again() {
    let mut peer = shutdown_ack_sent();
    peer.sends_with_tag(0, &[Init { tag: TAG + 1, ..offer() }.chunk(INIT)]);
    peer.expect_only(SHUTDOWN_ACK);
    assert_eq!(peer.lost(), None);
}

#[test]
fn an_init_in_shutdown_received_is_answered_and_changes_nothing() {
    let mut peer = shutdown_received();
    peer.sends_with_tag(0, &[offer().chunk(INIT)]);
    peer.expect_only(INIT_ACK);
    peer.acknowledges(0, &[]);
    peer.expect_only(SHUTDOWN_ACK);
}

/// §5.2.4 A
#[test]
fn the_cookie_of_a_restart_in_shutdown_ack_sent_is_answered_with_shutdown_ack_and_a_report() {
    let mut peer = Tester::plain();
    let restarted = Init { tag: TAG + 1, ..offer() };
    peer.sends_with_tag(0, &[restarted.chunk(INIT)]);
    peer.expect_tag(restarted.tag);
    let answer = peer.expect_only(INIT_ACK).init();
    peer.expect_tag(TAG);
    let shutdown = shutdown(&peer, -1);
    peer.sends(&[shutdown]);
    peer.expect_only(SHUTDOWN_ACK);
    let cookie = chunk(COOKIE_ECHO, answer.find(parameter::STATE_COOKIE).unwrap());
    peer.sends_with_tag(answer.tag, &[cookie]);
    let chunks: Vec<Chunk> = peer.flight().into_iter().flat_map(|packet| packet.chunks).collect();
    assert!(chunks.contains(&chunk(SHUTDOWN_ACK, &[])), "{chunks:?}");
    let report = chunks.iter().find(|chunk| chunk.kind == ERROR).unwrap();
    assert_eq!(report.cause(), cause::COOKIE_WHILE_SHUTTING_DOWN);
    assert!(chunks.iter().all(|chunk| chunk.kind != COOKIE_ACK));
    assert_eq!(peer.lost(), None);
}

#[test]
fn a_sack_beside_a_shutdown_counts() {
    let mut peer = Tester::plain();
    for message in [b"one", b"two"] {
        peer.writes(1, message);
        peer.expect_only(DATA);
    }
    let chunks = [peer.sack(0, &[]).chunk(), shutdown(&peer, 1)];
    peer.sends(&chunks);
    peer.expect_only(SHUTDOWN_ACK);
}

/// A lost SHUTDOWN leaves nothing to be done here; a SHUTDOWN ACK that is lost is asked for.
#[test]
fn each_message_of_a_shutdown_may_be_lost_once() {
    let mut peer = shutdown_ack_sent();
    // The SHUTDOWN ACK was lost.
    let shutdown = shutdown(&peer, -1);
    peer.sends(&[shutdown]);
    peer.expect_only(SHUTDOWN_ACK);
    // The SHUTDOWN COMPLETE was lost.
    peer.wait();
    peer.expect_only(SHUTDOWN_ACK);
    peer.sends_with_tag(TAG, &[chunk(SHUTDOWN_COMPLETE, &[]).with_flags(crate::wire::T_BIT)]);
    peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
}

#[test]
fn heartbeats_are_answered_while_data_is_still_sent_before_the_shutdown_ack() {
    let mut peer = shutdown_received();
    peer.sends(&[heartbeat(HEARTBEAT, b"there?")]);
    peer.expect_only(crate::wire::HEARTBEAT_ACK);
}

#[test]
fn messages_that_arrived_before_a_shutdown_are_read_after_it() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 1, 0, b"before").chunk()]);
    peer.flight();
    let shutdown = shutdown(&peer, -1);
    peer.sends(&[shutdown]);
    peer.expect_only(SHUTDOWN_ACK);
    peer.sends(&[chunk(SHUTDOWN_COMPLETE, &[])]);
    peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"before"[..]));
}
