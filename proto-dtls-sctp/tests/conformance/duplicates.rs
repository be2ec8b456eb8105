//! Chunks that come twice, late, or from both sides at once (RFC 9260 §5.2): the purposes DM, and every row of table 12.

use proto_dtls_sctp::SctpFailureReason;
use proto_dtls_sctp::bare::BareEvent;

use crate::tester::{COOKIE, PLAIN, TAG, Tester, init_ack, message, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, ERROR, INIT, INIT_ACK, Init, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE,
    T_BIT, cause, chunk, parameter, with_cause,
};

/// Sends INIT and returns the answer.
fn answer_to(peer: &mut Tester, init: &Init) -> Init {
    peer.expect_tag(init.tag);
    peer.sends_with_tag(0, &[init.chunk(INIT)]);
    let answer = peer.expect_only(INIT_ACK).init();
    peer.expect_tag(TAG);
    answer
}

fn cookie_of(init_ack: &Init) -> Chunk {
    chunk(COOKIE_ECHO, init_ack.find(parameter::STATE_COOKIE).unwrap())
}

fn established_events(peer: &mut Tester) -> usize {
    peer.events().iter().filter(|event| matches!(event, BareEvent::Established { .. })).count()
}

/// A tester that has restarted.
fn restarted() -> Init {
    Init { tag: TAG + 1, tsn: 77, ..offer() }
}

#[test]
fn an_init_in_cookie_wait_is_answered_with_the_own_parameters_and_the_timer_runs_on() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let timer = peer.end.poll_timeout();
    let answer = answer_to(&mut peer, &offer());
    assert_eq!((answer.tag, answer.tsn), (peer.init.tag, peer.init.tsn));
    assert!(answer.find(parameter::STATE_COOKIE).is_some());
    assert_eq!(peer.end.poll_timeout(), timer);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn an_init_in_cookie_echoed_is_answered_with_the_own_parameters_and_the_timer_runs_on() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    let timer = peer.end.poll_timeout();
    let answer = answer_to(&mut peer, &offer());
    assert_eq!((answer.tag, answer.tsn), (peer.init.tag, peer.init.tsn));
    assert_eq!(peer.end.poll_timeout(), timer);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
}

#[test]
fn an_init_in_established_is_answered_with_a_new_tag_and_changes_nothing() {
    let mut peer = Tester::plain();
    let answer = answer_to(&mut peer, &restarted());
    assert_ne!(answer.tag, peer.init.tag);
    assert_eq!((answer.outbound_streams, answer.inbound_streams), (16, 16));
    peer.expect_alive();
    peer.sends(&[message(0, 1, 0, b"goes on").chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"goes on"[..]));
}

/// Both sides have sent INIT, and both INIT ACKs and COOKIE ECHOs cross.
#[test]
fn a_collision_in_which_everything_crosses_leads_to_one_association() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let answer = answer_to(&mut peer, &offer());
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_nothing();
    assert_eq!(established_events(&mut peer), 1);
    peer.expect_alive();
}

#[test]
fn a_late_init_ack_is_dropped_in_every_other_state() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    let timer = peer.end.poll_timeout();
    let other = Init { tag: TAG + 9, ..offer() };
    peer.sends(&[init_ack(&other)]);
    peer.expect_nothing();
    assert_eq!(peer.end.poll_timeout(), timer);
    // Even one that says what would end a set-up.
    peer.sends(&[init_ack(&Init { tag: 0, ..offer() })]);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
    peer.sends(&[init_ack(&other)]);
    peer.sends(&[offer().chunk(INIT_ACK)]);
    peer.expect_alive();
}

#[test]
fn a_late_cookie_ack_is_dropped() {
    let mut peer = Tester::plain();
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_alive();
    assert_eq!(established_events(&mut peer), 1);
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_nothing();
    assert!(!peer.is_established());
}

/// Table 12: tags X X, tie-tags M M. W3C knows no restart of an association, and a peer behind DTLS has none: the old one is lost, the new one refused.
#[test]
fn table_12_row_a_a_peer_that_restarted_loses_the_association_and_is_told_so() {
    let mut peer = Tester::plain();
    let answer = answer_to(&mut peer, &restarted());
    peer.expect_alive();
    peer.expect_tag(restarted().tag);
    peer.sends_with_tag(answer.tag, &[cookie_of(&answer)]);
    assert_eq!(peer.expect_only(ABORT).cause(), cause::RESTART);
    peer.expect_lost(SctpFailureReason::PeerRestarted, None);
}

/// Table 12: local tag M, tag of the peer X: it has picked another since its INIT ACK.
#[test]
fn table_12_row_b_in_cookie_echoed_the_cookie_decides_about_the_tag_of_the_peer() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    let answer = answer_to(&mut peer, &restarted());
    peer.expect_tag(restarted().tag);
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
    peer.sends(&[crate::wire::Data { tsn: 77, ..message(0, 1, 0, b"new numbers") }.chunk()]);
    assert_eq!(peer.expect_sack().cumulative, 77);
}

/// Table 12: local tag M, tag of the peer not known yet.
#[test]
fn table_12_row_b_in_cookie_wait_the_cookie_establishes_the_association() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let answer = answer_to(&mut peer, &offer());
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
    assert_eq!(peer.end.poll_timeout(), None, "T1-init has stopped");
}

/// Table 12: local tag M, tag of the peer X, in an association that has been established since with the tag that the cookie does not have. Its TSNs are not those of the association either.
#[test]
fn table_12_row_b_in_established_is_a_restart() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let late = answer_to(&mut peer, &restarted());
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
    peer.expect_tag(restarted().tag);
    peer.sends(&[cookie_of(&late)]);
    assert_eq!(peer.expect_only(ABORT).cause(), cause::RESTART);
    peer.expect_lost(SctpFailureReason::PeerRestarted, None);
}

/// Table 12: local tag X, tag of the peer M. No cookie of this side lacks tie-tags there, so that it is a case that the table does not show; both are dropped.
#[test]
fn table_12_row_c_a_cookie_with_another_tag_of_ours_and_the_present_one_of_the_peer_is_dropped() {
    let mut peer = Tester::plain();
    let answer = answer_to(&mut peer, &offer());
    peer.sends_with_tag(answer.tag, &[cookie_of(&answer)]);
    peer.expect_nothing();
    peer.expect_alive();
}

/// Table 12: both tags M.
#[test]
fn table_12_row_d_in_cookie_echoed_the_cookie_establishes_and_is_acknowledged() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    let answer = answer_to(&mut peer, &offer());
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
    assert_eq!(peer.end.poll_timeout(), None, "T1-cookie has stopped");
}

/// Table 12: both tags M. §5.2.4 step 3: however old it is.
#[test]
fn table_12_row_d_in_established_the_cookie_is_acknowledged_again_however_late() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let answer = answer_to(&mut peer, &offer());
    for hours in [0, 0, 1, 100] {
        peer.pass(std::time::Duration::from_secs(3600 * hours));
        peer.sends(&[cookie_of(&answer)]);
        peer.expect_only(COOKIE_ACK);
        assert_eq!(established_events(&mut peer), 1);
    }
    peer.expect_alive();
}

#[test]
fn a_forged_cookie_is_dropped_in_every_state() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let answer = answer_to(&mut peer, &offer());
    let cookie = cookie_of(&answer);
    let forge = |peer: &mut Tester| {
        for index in [0, cookie.value.len() / 2, cookie.value.len() - 1] {
            let mut forged = cookie.clone();
            forged.value[index] ^= 1;
            peer.sends(&[forged, message(0, 1, 0, b"forged").chunk()]);
        }
        peer.sends(&[chunk(COOKIE_ECHO, &[])]);
        peer.sends(&[chunk(COOKIE_ECHO, COOKIE)]);
        peer.expect_nothing();
        assert_eq!(peer.reads(1), None);
    };
    forge(&mut peer);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
    forge(&mut peer);
    assert!(!peer.is_established());
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
    forge(&mut peer);
    peer.expect_alive();
}

#[test]
fn a_shutdown_before_the_association_is_established_is_dropped() {
    for mut peer in [Tester::cookie_wait(PLAIN), Tester::cookie_echoed(PLAIN, &offer())] {
        peer.sends(&[chunk(SHUTDOWN, &[0; 4])]);
        peer.expect_nothing();
        assert!(!peer.is_established() && peer.lost().is_none());
        peer.wait();
        assert_eq!(peer.flight().len(), 1, "the set-up goes on");
    }
}

/// §8.5.1 E: of an earlier association of the same ports, whose SHUTDOWN COMPLETE was lost.
#[test]
fn a_shutdown_ack_before_the_association_is_established_is_answered_as_out_of_the_blue() {
    for mut peer in [Tester::cookie_wait(PLAIN), Tester::cookie_echoed(PLAIN, &offer())] {
        let timer = peer.end.poll_timeout();
        peer.sends_with_tag(4711, &[chunk(SHUTDOWN_ACK, &[])]);
        peer.expect_tag(4711);
        assert_eq!(peer.expect_only(SHUTDOWN_COMPLETE), chunk(SHUTDOWN_COMPLETE, &[]).with_flags(T_BIT));
        assert_eq!(peer.end.poll_timeout(), timer);
        assert!(!peer.is_established() && peer.lost().is_none());
    }
}

#[test]
fn a_shutdown_ack_in_established_is_dropped() {
    let mut peer = Tester::plain();
    peer.sends(&[chunk(SHUTDOWN_ACK, &[])]);
    peer.expect_alive();
}

#[test]
fn a_shutdown_complete_anywhere_but_behind_a_shutdown_ack_is_dropped() {
    for mut peer in [Tester::cookie_wait(PLAIN), Tester::cookie_echoed(PLAIN, &offer())] {
        peer.sends(&[chunk(SHUTDOWN_COMPLETE, &[])]);
        peer.expect_nothing();
        assert!(!peer.is_established() && peer.lost().is_none());
    }
    let mut peer = Tester::plain();
    peer.sends(&[chunk(SHUTDOWN_COMPLETE, &[])]);
    peer.sends_with_tag(TAG, &[chunk(SHUTDOWN_COMPLETE, &[]).with_flags(T_BIT)]);
    peer.expect_alive();
}

/// §5.2.6, the first alternative.
#[test]
fn a_report_of_a_stale_cookie_in_cookie_echoed_has_the_set_up_begin_anew() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    peer.sends(&[with_cause(ERROR, cause::STALE_COOKIE, &[0, 0, 1, 0])]);
    peer.expect_tag(0);
    assert_eq!(peer.expect_only(INIT).init(), peer.init);
    assert!(!peer.is_established());
    peer.expect_tag(TAG);
    peer.sends(&[offer().with(parameter::STATE_COOKIE, b"fresh").chunk(INIT_ACK)]);
    assert_eq!(peer.expect_only(COOKIE_ECHO).value, b"fresh");
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
}

#[test]
fn a_report_of_a_stale_cookie_in_any_other_state_is_dropped() {
    let report = with_cause(ERROR, cause::STALE_COOKIE, &[0, 0, 1, 0]);
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(std::slice::from_ref(&report));
    peer.expect_nothing();
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
    let mut peer = Tester::plain();
    peer.sends(&[report]);
    peer.expect_alive();
}

#[test]
fn another_error_in_cookie_echoed_establishes_nothing() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    peer.sends(&[with_cause(ERROR, cause::UNRECOGNIZED_PARAMETERS, &[0xC0, 0, 0, 4])]);
    peer.sends(&[chunk(0x80, &[])]);
    peer.expect_nothing();
    assert!(!peer.is_established());
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
}
