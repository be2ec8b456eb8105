//! What is malformed, forged, unknown or out of place (RFC 9260 §3.2, §6.10, §8.5): the purposes IMH, M, and those of E and BDC that belong to it.

use proto_dtls_sctp::SctpFailureReason;
use proto_dtls_sctp::bare::BareConfig;

use crate::tester::{PLAIN, TAG, TSN, Tester, init_ack, message, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, ERROR, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, Init, PAD, Packet,
    RE_CONFIG, SACK, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, T_BIT, cause, chunk, heartbeat, parameter,
    put_checksum, with_cause,
};

/// A chunk type of each class, which nobody has given a meaning.
const CLASS_00: u8 = 0x3A;
const CLASS_01: u8 = 0x7A;
const CLASS_10: u8 = 0xBA;
const CLASS_11: u8 = 0xFA;

/// The cookie that answers the INIT of the tester.
fn cookie(peer: &mut Tester) -> Chunk {
    peer.sends_with_tag(0, &[offer().chunk(INIT)]);
    let answer = peer.expect_only(INIT_ACK).init();
    chunk(COOKIE_ECHO, answer.find(parameter::STATE_COOKIE).unwrap())
}

fn shutdown_ack_sent() -> Tester {
    let mut peer = Tester::plain();
    peer.sends(&[chunk(SHUTDOWN, &peer.its_tsn(0).wrapping_sub(1).to_be_bytes())]);
    peer.expect_only(SHUTDOWN_ACK);
    peer
}

fn data() -> Chunk {
    message(0, 1, 0, b"data").chunk()
}

#[test]
fn an_init_that_is_too_short_for_its_fields_is_dropped() {
    let whole = Init { parameters: Vec::new(), ..offer() }.chunk(INIT);
    for length in 0..whole.value.len() {
        let mut peer = Tester::cookie_wait(PLAIN);
        peer.sends_with_tag(0, &[chunk(INIT, &whole.value[..length])]);
        peer.expect_nothing();
    }
}

#[test]
fn an_init_ack_that_is_too_short_for_its_fields_is_dropped() {
    let whole = Init { parameters: Vec::new(), ..offer() }.chunk(INIT_ACK);
    let mut peer = Tester::cookie_wait(PLAIN);
    for length in 0..whole.value.len() {
        peer.sends(&[chunk(INIT_ACK, &whole.value[..length])]);
        peer.expect_nothing();
    }
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn a_parameter_that_is_longer_than_its_chunk_makes_init_and_init_ack_malformed() {
    let mut init = offer().chunk(INIT);
    init.value.extend([0xC0, 0xCC, 0, 40, 1, 2, 3, 4]);
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends_with_tag(0, std::slice::from_ref(&init));
    peer.sends(&[Chunk { kind: INIT_ACK, ..init }]);
    peer.expect_nothing();
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn a_cookie_echo_with_a_wrong_tag_is_dropped() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let cookie = cookie(&mut peer);
    for tag in [0, peer.init.tag ^ 1, TAG] {
        peer.sends_with_tag(tag, std::slice::from_ref(&cookie));
    }
    peer.expect_nothing();
    assert!(!peer.is_established());
    peer.sends(&[cookie]);
    peer.expect_only(COOKIE_ACK);
}

#[test]
fn a_packet_with_a_wrong_checksum_is_dropped_whatever_is_in_it() {
    let mut peer = Tester::cookie_wait(PLAIN);
    for bit in [0, 7, 31] {
        let mut packet = Packet::write(0, &[offer().chunk(INIT)]);
        packet[8 + bit / 8] ^= 1 << (bit % 8);
        peer.sends_bytes(&packet);
    }
    let mut packet = Packet::write(peer.init.tag, &[init_ack(&offer())]);
    *packet.last_mut().unwrap() ^= 1;
    peer.sends_bytes(&packet);
    peer.expect_nothing();
    let mut peer = Tester::plain();
    for chunk in [data(), chunk(ABORT, &[]), heartbeat(HEARTBEAT, b"x")] {
        let mut packet = Packet::write(peer.init.tag, &[chunk]);
        packet[8] ^= 1;
        peer.sends_bytes(&packet);
    }
    peer.expect_alive();
}

#[test]
fn an_expired_cookie_is_answered_with_a_report_of_a_stale_cookie() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let cookie = cookie(&mut peer);
    // Its life is 60 s; it is 250 µs too late.
    peer.pass(std::time::Duration::from_micros(60_000_250));
    peer.sends(&[cookie, data()]);
    let report = peer.expect_only(ERROR);
    assert_eq!(report.causes(), [(cause::STALE_COOKIE, vec![0, 0, 0, 250])], "by how many microseconds");
    assert!(!peer.is_established());
    assert_eq!(peer.reads(1), None);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn a_cookie_at_the_end_of_its_life_is_taken() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let cookie = cookie(&mut peer);
    peer.pass(std::time::Duration::from_secs(60));
    peer.sends(&[cookie]);
    peer.expect_only(COOKIE_ACK);
}

/// §5.2.4 step 3: tags that do not match, and too old.
#[test]
fn an_expired_cookie_of_a_restart_is_answered_with_a_report_and_changes_nothing() {
    let mut peer = Tester::plain();
    let restarted = Init { tag: TAG + 1, ..offer() };
    peer.sends_with_tag(0, &[restarted.chunk(INIT)]);
    peer.expect_tag(restarted.tag);
    let answer = peer.expect_only(INIT_ACK).init();
    peer.pass(std::time::Duration::from_secs(61));
    peer.sends_with_tag(answer.tag, &[chunk(COOKIE_ECHO, answer.find(parameter::STATE_COOKIE).unwrap())]);
    assert_eq!(peer.expect_only(ERROR).cause(), cause::STALE_COOKIE);
    peer.expect_tag(TAG);
    peer.expect_alive();
}

#[test]
fn a_packet_with_a_wrong_tag_is_dropped_in_silence_whatever_is_in_it() {
    let mut peer = Tester::plain();
    let chunks = [
        data(),
        chunk(ABORT, &[]),
        chunk(SHUTDOWN, &[0; 4]),
        chunk(SHUTDOWN_ACK, &[]),
        heartbeat(HEARTBEAT, b"x"),
        peer.sack(0, &[]).chunk(),
    ];
    for chunk in chunks {
        for tag in [0, TAG, peer.init.tag ^ 1] {
            peer.sends_with_tag(tag, std::slice::from_ref(&chunk));
        }
    }
    peer.expect_alive();
}

#[test]
fn a_packet_for_other_ports_is_dropped() {
    let mut peer = Tester::plain();
    for at in [1, 3] {
        let mut packet = Packet::write(peer.init.tag, &[chunk(ABORT, &[])]);
        packet[at] ^= 1;
        put_checksum(&mut packet);
        peer.sends_bytes(&packet);
    }
    peer.expect_alive();
}

/// §8.5.1 B
#[test]
fn an_abort_counts_with_our_tag_or_with_the_reflected_tag_of_the_peer_and_not_the_other_way_round() {
    let abort = |flags| with_cause(ABORT, cause::USER_ABORT, b"why").with_flags(flags);
    let mut peer = Tester::plain();
    peer.sends_with_tag(TAG, &[abort(0)]);
    peer.sends(&[abort(T_BIT)]);
    peer.sends_with_tag(TAG ^ 1, &[abort(T_BIT)]);
    peer.expect_alive();
    peer.sends_with_tag(TAG, &[abort(T_BIT)]);
    peer.expect_nothing();
    peer.expect_lost(SctpFailureReason::AbortedByPeer, Some(cause::USER_ABORT));
    let mut peer = Tester::plain();
    peer.sends(&[abort(0)]);
    peer.expect_nothing();
    peer.expect_lost(SctpFailureReason::AbortedByPeer, Some(cause::USER_ABORT));
}

/// §8.5.1 C
#[test]
fn a_shutdown_complete_counts_with_our_tag_or_with_the_reflected_tag_of_the_peer_and_not_the_other_way_round() {
    let complete = |flags| chunk(SHUTDOWN_COMPLETE, &[]).with_flags(flags);
    for (reflected, flags) in [(false, 0), (true, T_BIT)] {
        let mut peer = shutdown_ack_sent();
        peer.sends_with_tag(TAG, &[complete(0)]);
        peer.sends(&[complete(T_BIT)]);
        peer.sends_with_tag(TAG ^ 1, &[complete(T_BIT)]);
        peer.sends_with_tag(peer.init.tag ^ 1, &[complete(0)]);
        assert_eq!(peer.lost(), None);
        peer.sends_with_tag(if reflected { TAG } else { peer.init.tag }, &[complete(flags)]);
        peer.expect_nothing();
        peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
    }
}

/// §3.3.7
#[test]
fn a_malformed_abort_is_dropped() {
    let mut peer = Tester::plain();
    for value in [&[0][..], &[0, 12, 0, 3], &[0, 12, 0, 40, 1]] {
        peer.sends(&[chunk(ABORT, value)]);
    }
    peer.expect_alive();
}

#[test]
fn a_packet_that_ends_within_a_chunk_is_dropped_with_all_that_is_in_it() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let whole = Packet::write(0, &[offer().chunk(INIT)]);
    for length in 0..whole.len() {
        let mut cut = whole[..length].to_vec();
        if length >= 12 {
            put_checksum(&mut cut);
        }
        peer.sends_bytes(&cut);
        peer.expect_nothing();
    }
    let mut peer = Tester::plain();
    let mut packet = Packet::write(peer.init.tag, &[heartbeat(HEARTBEAT, b"first"), data()]);
    packet.truncate(packet.len() - 4);
    put_checksum(&mut packet);
    peer.sends_bytes(&packet);
    peer.expect_alive();
}

#[test]
fn a_chunk_shorter_than_its_header_makes_the_packet_malformed() {
    let mut peer = Tester::plain();
    for length in 0..4 {
        let mut packet = Packet::write(peer.init.tag, &[heartbeat(HEARTBEAT, b"info")]);
        packet[15] = length;
        put_checksum(&mut packet);
        peer.sends_bytes(&packet);
    }
    peer.expect_alive();
}

/// §6.10
#[test]
fn a_shutdown_complete_with_data_beside_it_is_dropped() {
    let mut peer = shutdown_ack_sent();
    let complete = chunk(SHUTDOWN_COMPLETE, &[]);
    peer.sends(&[complete.clone(), data()]);
    peer.sends(&[data(), complete.clone()]);
    assert_eq!(peer.lost(), None);
    let mut established = Tester::plain();
    established.sends_with_tag(TAG, &[complete.clone().with_flags(T_BIT), data()]);
    established.expect_alive();
    peer.sends(&[complete]);
    peer.expect_lost(SctpFailureReason::ShutDownByPeer, None);
}

#[test]
fn an_unknown_chunk_of_class_11_is_skipped_and_reported() {
    let mut peer = Tester::plain();
    let unknown = chunk(CLASS_11, b"odd").with_flags(5);
    peer.sends(&[unknown, data()]);
    let chunks = peer.expect_chunks(&[ERROR, SACK]);
    let returned = [&[CLASS_11, 5, 0, 7][..], b"odd"].concat();
    assert_eq!(chunks[0].causes(), [(cause::UNRECOGNIZED_CHUNK, returned)]);
    assert_eq!(chunks[1].sack().cumulative, TSN);
    peer.expect_alive();
}

#[test]
fn an_unknown_chunk_of_class_10_is_skipped_in_silence() {
    let mut peer = Tester::plain();
    peer.sends(&[chunk(CLASS_10, b"odd"), data()]);
    assert_eq!(peer.expect_sack().cumulative, TSN);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"data"[..]));
}

#[test]
fn an_unknown_chunk_of_class_00_ends_the_reading_of_the_packet_in_silence() {
    let mut peer = Tester::plain();
    peer.sends(&[heartbeat(HEARTBEAT, b"before"), chunk(CLASS_00, b"odd"), data()]);
    peer.expect_only(HEARTBEAT_ACK);
    assert_eq!(peer.reads(1), None);
    peer.sends(&[chunk(CLASS_00, b"odd"), chunk(ABORT, &[])]);
    peer.expect_alive();
}

#[test]
fn an_unknown_chunk_of_class_01_ends_the_reading_of_the_packet_and_is_reported() {
    let mut peer = Tester::plain();
    peer.sends(&[heartbeat(HEARTBEAT, b"before"), chunk(CLASS_01, b"odd!"), data()]);
    let chunks = peer.expect_chunks(&[HEARTBEAT_ACK, ERROR]);
    let returned = [&[CLASS_01, 0, 0, 8][..], b"odd!"].concat();
    assert_eq!(chunks[1].causes(), [(cause::UNRECOGNIZED_CHUNK, returned)]);
    assert_eq!(peer.reads(1), None);
    peer.sends(&[chunk(CLASS_01, b"odd"), chunk(ABORT, &[])]);
    peer.expect_only(ERROR);
    peer.expect_alive();
}

/// INIT and INIT ACK stand alone, whatever stands beside them.
#[test]
fn an_unknown_chunk_beside_init_or_init_ack_has_the_packet_dropped() {
    for class in [CLASS_00, CLASS_01, CLASS_10, CLASS_11] {
        let mut peer = Tester::cookie_wait(PLAIN);
        peer.sends_with_tag(0, &[offer().chunk(INIT), chunk(class, b"odd")]);
        peer.sends_with_tag(0, &[chunk(class, b"odd"), offer().chunk(INIT)]);
        peer.sends(&[init_ack(&offer()), chunk(class, b"odd")]);
        peer.expect_nothing();
        peer.sends(&[init_ack(&offer())]);
        peer.expect_only(COOKIE_ECHO);
    }
}

#[test]
fn an_unknown_chunk_behind_cookie_echo_or_cookie_ack_is_treated_by_its_class() {
    for (class, reports) in [(CLASS_00, false), (CLASS_01, true), (CLASS_10, false), (CLASS_11, true)] {
        let mut peer = Tester::cookie_wait(PLAIN);
        let cookie = cookie(&mut peer);
        peer.sends(&[cookie, chunk(class, b"odd"), data()]);
        assert_eq!(peer.expect().kinds(), [COOKIE_ACK]);
        let rest: Vec<u8> = peer.flight().iter().flat_map(Packet::kinds).collect();
        assert_eq!(rest.contains(&ERROR), reports, "{class:x}");
        assert_eq!(peer.reads(1).is_some(), class & 0x80 != 0, "{class:x}");
        let mut peer = Tester::cookie_echoed(PLAIN, &offer());
        peer.sends(&[chunk(COOKIE_ACK, &[]), chunk(class, b"odd"), data()]);
        let sent: Vec<u8> = peer.flight().iter().flat_map(Packet::kinds).collect();
        assert_eq!(sent.contains(&ERROR), reports, "{class:x}");
        assert_eq!(peer.reads(1).is_some(), class & 0x80 != 0, "{class:x}");
        assert!(peer.is_established());
    }
}

#[test]
fn padding_chunks_are_skipped() {
    let mut peer = Tester::plain();
    peer.sends(&[chunk(PAD, &[0; 500]), heartbeat(HEARTBEAT, b"probe")]);
    peer.expect_only(HEARTBEAT_ACK);
    peer.sends(&[heartbeat(HEARTBEAT, b"probe"), chunk(PAD, &[0; 500])]);
    peer.expect_only(HEARTBEAT_ACK);
}

#[test]
fn reports_of_unknown_chunks_are_bounded_in_number_and_size() {
    let mut peer = Tester::plain();
    for _ in 0..100 {
        peer.sends(&[chunk(CLASS_11, &[7; 1000])]);
    }
    let sent = peer.flight();
    let size: usize = sent.iter().map(|packet| packet.length).sum();
    assert!((1..=2).contains(&sent.len()) && size < 2000, "{size} bytes");
    peer.expect_alive();
}

/// §6.5
#[test]
fn data_on_a_stream_that_does_not_exist_is_acknowledged_reported_and_dropped() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 16, 0, b"nowhere").chunk(), message(1, 15, 0, b"last stream").chunk()]);
    let chunks = peer.expect_chunks(&[ERROR, SACK]);
    assert_eq!(chunks[0].causes(), [(cause::INVALID_STREAM, vec![0, 16, 0, 0])]);
    assert_eq!(chunks[1].sack().cumulative, Tester::tsn(1));
    assert_eq!(chunks[1].sack().window, 64 * 1024 - 128, "what was dropped takes no room");
    assert_eq!(peer.reads(16), None);
    assert_eq!(peer.reads(15).as_deref(), Some(&b"last stream"[..]));
    // It comes again: it is a duplicate.
    peer.sends(&[message(0, 16, 0, b"nowhere").chunk()]);
    peer.pass(std::time::Duration::from_secs(1));
    peer.expect_alive();
}

/// §3.3.10.9
#[test]
fn data_without_user_data_ends_the_association_and_is_named() {
    let mut peer = Tester::plain();
    peer.sends(&[message(0, 1, 0, b"").chunk()]);
    let abort = peer.expect_violation(cause::NO_USER_DATA);
    assert_eq!(abort.causes()[0].1, TSN.to_be_bytes());
}

#[test]
fn data_too_short_for_its_fields_ends_the_association() {
    for length in 0..12 {
        let mut peer = Tester::plain();
        peer.sends(&[chunk(DATA, &data().value[..length])]);
        peer.expect_violation(cause::PROTOCOL_VIOLATION);
    }
}

#[test]
fn control_chunks_that_are_malformed_are_skipped() {
    let mut peer = Tester::plain();
    let mut sack = peer.sack(0, &[(2, 3)]).chunk();
    sack.value.truncate(14);
    let malformed = [
        sack,
        chunk(SACK, &[0; 11]),
        chunk(HEARTBEAT, &[]),
        chunk(HEARTBEAT, &[0, 1, 0, 3]),
        chunk(HEARTBEAT, &[0, 1, 0, 40, 1]),
        chunk(SHUTDOWN, &[0; 3]),
        chunk(SHUTDOWN, &[0; 5]),
        chunk(crate::wire::FORWARD_TSN, &[0; 3]),
        chunk(RE_CONFIG, &[]),
        chunk(RE_CONFIG, &[0, 13, 0, 200]),
    ];
    for chunk in malformed {
        peer.sends(&[chunk]);
    }
    peer.expect_alive();
}

/// The channels above never find out how long a cookie may be.
#[test]
fn a_cookie_of_any_length_is_returned_as_it_was() {
    for length in [1, 2, 3, 4, 500, 1100] {
        let mut peer = Tester::cookie_wait(PLAIN);
        let cookie: Vec<u8> = (0..length).map(|index: u32| u8::try_from(index % 251).unwrap()).collect();
        peer.sends(&[offer().with(parameter::STATE_COOKIE, &cookie).chunk(INIT_ACK)]);
        assert_eq!(peer.expect_only(COOKIE_ECHO).value, cookie);
    }
}

#[test]
fn the_association_under_test_counts_no_padding_of_its_last_parameter() {
    for config in [PLAIN, BareConfig { interleaving: true, ..PLAIN }, BareConfig { zero_checksum: true, ..PLAIN }] {
        // The tester reads strictly.
        let peer = Tester::cookie_wait(config);
        let extensions = peer.init.find(parameter::SUPPORTED_EXTENSIONS).unwrap();
        assert!(extensions.contains(&RE_CONFIG) && extensions.iter().all(|&kind| kind != 0));
    }
}
