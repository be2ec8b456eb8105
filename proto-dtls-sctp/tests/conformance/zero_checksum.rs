//! Packets without a checksum (RFC 9653), since DTLS protects them.

use proto_dtls_sctp::bare::BareConfig;

use crate::tester::{PLAIN, Tester, init_ack, message, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, Init, Packet, chunk,
    heartbeat, parameter,
};

const ACCEPTS: BareConfig = BareConfig { zero_checksum: true, ..PLAIN };
/// §6.1: the error detection method is SCTP over DTLS.
const OVER_DTLS: [u8; 4] = [0, 0, 0, 1];

fn accepting() -> Init {
    offer().with(parameter::ZERO_CHECKSUM, &OVER_DTLS)
}

fn without_checksum(peer: &mut Tester, tag: u32, chunks: &[Chunk]) {
    let mut packet = Packet::write(tag, chunks);
    packet[8..12].fill(0);
    peer.sends_bytes(&packet);
}

#[test]
fn what_is_accepted_is_said_in_init_and_init_ack_and_only_if_it_is() {
    for (config, expected) in [(ACCEPTS, Some(&OVER_DTLS[..])), (PLAIN, None)] {
        let mut peer = Tester::cookie_wait(config);
        assert_eq!(peer.init.find(parameter::ZERO_CHECKSUM), expected);
        peer.sends_with_tag(0, &[offer().chunk(INIT)]);
        assert_eq!(peer.expect_only(INIT_ACK).init().find(parameter::ZERO_CHECKSUM), expected);
    }
}

/// §5.2: only if the peer has said that it accepts it; but then it should be left out.
#[test]
fn the_checksum_is_left_out_if_both_sides_accept_that_and_never_else() {
    for (config, theirs, expected) in
        [(ACCEPTS, accepting(), false), (ACCEPTS, offer(), true), (PLAIN, accepting(), true), (PLAIN, offer(), true)]
    {
        let mut peer = Tester::established(config, &theirs);
        peer.writes(1, b"message");
        assert_eq!(peer.expect().has_checksum, expected);
        peer.sends(&[heartbeat(HEARTBEAT, b"there?")]);
        assert_eq!(peer.expect().has_checksum, expected);
    }
}

#[test]
fn another_method_of_error_detection_is_not_agreed_on() {
    for method in [&[0, 0, 0, 2][..], &[0, 0, 0, 0], &[0, 0, 0], &[]] {
        let mut peer = Tester::established(ACCEPTS, &offer().with(parameter::ZERO_CHECKSUM, method));
        peer.writes(1, b"message");
        assert!(peer.expect().has_checksum, "{method:?}");
    }
}

/// §5.2, 1a and 2. The tester insists on a checksum unless a test says otherwise; here on every packet of the set-up.
#[test]
fn packets_of_the_set_up_have_their_checksum() {
    let mut peer = Tester::cookie_wait(ACCEPTS);
    peer.wait();
    assert!(peer.poll().unwrap().has_checksum);
    peer.sends(&[init_ack(&accepting())]);
    peer.writes(1, b"rides along");
    let packet = peer.expect();
    assert_eq!(packet.kinds(), [COOKIE_ECHO, DATA]);
    assert!(packet.has_checksum);
}

/// §5.3
#[test]
fn packets_without_checksum_are_taken_where_that_was_offered_and_nowhere_else() {
    for (config, is_taken) in [(ACCEPTS, true), (PLAIN, false)] {
        // Whether the peer takes them itself does not matter.
        let mut peer = Tester::established(config, &offer());
        let tag = peer.init.tag;
        without_checksum(&mut peer, tag, &[heartbeat(HEARTBEAT, b"there?")]);
        assert_eq!(peer.poll().is_some_and(|packet| packet.kinds() == [HEARTBEAT_ACK]), is_taken);
        without_checksum(&mut peer, tag, &[message(0, 1, 0, b"data").chunk()]);
        assert_eq!(peer.reads(1).is_some(), is_taken);
    }
}

#[test]
fn packets_with_a_right_checksum_are_taken_all_the_same_and_with_a_wrong_one_never() {
    let mut peer = Tester::established(ACCEPTS, &accepting());
    peer.expect_alive();
    for wrong in [[1, 0, 0, 0], [0, 0, 0, 0x80], [0xFF; 4]] {
        let mut packet = Packet::write(peer.init.tag, &[chunk(ABORT, &[])]);
        packet[8..12].copy_from_slice(&wrong);
        peer.sends_bytes(&packet);
    }
    peer.expect_alive();
}

/// §5.2: what a sender must not leave the checksum out of is not taken without.
#[test]
fn an_init_or_cookie_echo_without_checksum_is_dropped() {
    let mut peer = Tester::cookie_wait(ACCEPTS);
    without_checksum(&mut peer, 0, &[accepting().chunk(INIT)]);
    peer.expect_nothing();
    peer.sends_with_tag(0, &[accepting().chunk(INIT)]);
    let answer = peer.expect_only(INIT_ACK).init();
    let cookie = chunk(COOKIE_ECHO, answer.find(parameter::STATE_COOKIE).unwrap());
    let tag = peer.init.tag;
    without_checksum(&mut peer, tag, std::slice::from_ref(&cookie));
    peer.expect_nothing();
    peer.sends(&[cookie]);
    assert_eq!(peer.expect().kinds(), [COOKIE_ACK]);
}

#[test]
fn an_init_ack_or_cookie_ack_without_checksum_is_taken_where_that_was_offered() {
    for (config, is_taken) in [(ACCEPTS, true), (PLAIN, false)] {
        let mut peer = Tester::cookie_wait(config);
        let tag = peer.init.tag;
        without_checksum(&mut peer, tag, &[init_ack(&accepting())]);
        assert_eq!(peer.poll().is_some(), is_taken);
        let mut peer = Tester::cookie_echoed(config, &accepting());
        without_checksum(&mut peer, tag, &[chunk(COOKIE_ACK, &[])]);
        assert_eq!(peer.is_established(), is_taken);
    }
}

/// §5.2, 1b
#[test]
fn an_answer_out_of_the_blue_has_its_checksum() {
    let mut peer = Tester::established(ACCEPTS, &accepting());
    peer.end.abort();
    peer.flight();
    peer.sends(&[message(0, 1, 0, b"late").chunk()]);
    let packet = peer.poll().unwrap();
    assert_eq!(packet.kinds(), [ABORT]);
    assert!(packet.has_checksum);
}
