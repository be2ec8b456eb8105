//! How an association comes about (RFC 9260 §5.1, §5.3): the purposes AS, and those of BDC and E that belong to it.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_dtls_sctp::SctpFailureReason;
use proto_dtls_sctp::bare::{BareAssociation, BareConfig, BareEvent};
use proto_machine::{Seed, Timestamp};

use crate::tester::{COOKIE, PLAIN, TAG, TSN, Tester, init_ack, message, milliseconds, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, ERROR, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, Init, Packet, SACK,
    T_BIT, cause, chunk, heartbeat, parameter, read_parameters, with_cause,
};

/// Gives up after ten seconds.
const IMPATIENT: BareConfig = BareConfig { set_up_time_limit: Some(Duration::from_secs(10)), ..PLAIN };

/// The tester sets the association up: its INIT is answered with these parameters.
fn passive(offer: &Init) -> (Tester, Init) {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends_with_tag(0, &[offer.chunk(INIT)]);
    let answer = peer.expect_only(INIT_ACK).init();
    (peer, answer)
}

fn cookie_of(init_ack: &Init) -> Chunk {
    chunk(COOKIE_ECHO, init_ack.find(parameter::STATE_COOKIE).unwrap())
}

fn with_parameters(list: &[(u16, &[u8])]) -> Init {
    list.iter().fold(offer(), |offer, (kind, value)| offer.with(*kind, value))
}

#[test]
fn its_own_init_leads_to_an_association_within_two_round_trips() {
    let mut peer = Tester::cookie_wait(PLAIN);
    assert_eq!((peer.init.window, peer.init.outbound_streams, peer.init.inbound_streams), (64 * 1024, 16, 16));
    peer.sends(&[init_ack(&offer())]);
    assert_eq!(peer.expect_only(COOKIE_ECHO).value, COOKIE);
    assert!(!peer.is_established());
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
    peer.writes(1, b"first");
    let data = peer.expect_only(DATA).data();
    assert_eq!((data.tsn, data.sequence, data.payload.as_slice()), (peer.init.tsn, 0, &b"first"[..]));
}

#[test]
fn the_init_of_the_peer_leads_to_an_association() {
    let (mut peer, answer) = passive(&offer());
    assert_eq!((answer.tag, answer.tsn), (peer.init.tag, peer.init.tsn), "§5.2.1: the parameters of its own INIT");
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
    peer.sends(&[message(0, 1, 0, b"first").chunk()]);
    assert_eq!(peer.expect_sack().cumulative, TSN);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"first"[..]));
}

#[test]
fn init_is_sent_again_unchanged_after_pauses_that_double_up_to_a_bound() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.expect_tag(0);
    let pauses: Vec<_> = (0..5)
        .map(|_| {
            let pause = peer.wait();
            assert_eq!(peer.expect_only(INIT).init(), peer.init);
            pause.as_millis()
        })
        .collect();
    // Not up to RTO.Max (60 s): somebody waits.
    assert_eq!(pauses, [500, 1000, 1000, 1000, 1000]);
    peer.expect_tag(TAG);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn cookie_echo_is_sent_again_unchanged_until_it_is_answered() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    for pause in [500, 1000, 1000] {
        assert_eq!(peer.wait(), milliseconds(pause));
        assert_eq!(peer.expect_only(COOKIE_ECHO).value, COOKIE);
    }
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.expect_established();
    assert_eq!(peer.end.poll_timeout(), None, "T1-cookie has stopped");
}

/// §5.1 A, C. The limit is a time, not a number of retransmissions: pauses are short here.
#[test]
fn init_that_is_never_answered_is_given_up_after_the_limit() {
    let mut peer = Tester::cookie_wait(IMPATIENT);
    let sent = peer.pass(Duration::from_millis(9_999));
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(_, packet)| packet.kinds() == [INIT]) && peer.lost().is_none());
    peer.wait();
    peer.expect_nothing();
    peer.expect_lost(SctpFailureReason::SetUpTimedOut, None);
}

/// §5.1 C: and the peer is told.
#[test]
fn cookie_echo_that_is_never_answered_is_given_up_after_the_limit() {
    let mut peer = Tester::cookie_echoed(IMPATIENT, &offer());
    let sent = peer.pass(Duration::from_millis(9_999));
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(_, packet)| packet.kinds() == [COOKIE_ECHO]) && peer.lost().is_none());
    peer.wait();
    peer.expect_only(ABORT);
    peer.expect_lost(SctpFailureReason::SetUpTimedOut, None);
}

#[test]
fn without_a_limit_the_set_up_goes_on_for_as_long_as_the_path_does() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let sent = peer.pass(Duration::from_secs(3600));
    assert!(sent.len() > 3000 && peer.lost().is_none());
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn an_init_changes_nothing_but_that_it_is_answered() {
    let (mut peer, _) = passive(&offer());
    for tag in 1..200 {
        peer.sends_with_tag(0, &[Init { tag, ..offer() }.chunk(INIT)]);
    }
    assert!(peer.flight().len() < 20, "answers to a flood are bounded");
    assert!(!peer.is_established());
    peer.expect_tag(TAG);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn the_tags_of_init_are_never_zero_and_different_for_every_association() {
    let now = Timestamp::from_millis(1);
    let tags: BTreeSet<u32> = (0..1000)
        .map(|seed| {
            let mut end = BareAssociation::new(now, PLAIN, Seed::from_number(seed));
            let mut bytes = Vec::new();
            assert!(end.write_packet(now, &mut bytes));
            Packet::read(&bytes).chunks[0].init().tag
        })
        .collect();
    assert_eq!(tags.len(), 1000);
    assert!(!tags.contains(&0));
    assert!(tags.iter().fold(0, |bits, tag| bits | tag) == u32::MAX, "all bits are used");
}

#[test]
fn the_tags_of_init_acks_to_an_established_association_are_never_zero_and_all_different() {
    let mut peer = Tester::plain();
    let tags: BTreeSet<u32> = (1..201)
        .map(|tag| {
            peer.expect_tag(tag);
            peer.sends_with_tag(0, &[Init { tag, ..offer() }.chunk(INIT)]);
            peer.expect_only(INIT_ACK).init().tag
        })
        .collect();
    assert_eq!(tags.len(), 200);
    assert!(!tags.contains(&0) && !tags.contains(&peer.init.tag));
}

/// RFC 8261 §6.1 forbids address parameters, and nobody needs them: they are no unknown parameters, which would end the reading.
#[test]
fn parameters_of_init_without_a_meaning_here_are_skipped_and_those_behind_them_count() {
    let offer = Init { parameters: Vec::new(), ..offer() }
        .with(parameter::COOKIE_PRESERVATIVE, &[0, 0, 0, 9])
        .with(parameter::SUPPORTED_ADDRESS_TYPES, &[0, 5, 0, 6])
        .with(parameter::IPV6_ADDRESS, &[0xFE; 16])
        .with(parameter::IPV4_ADDRESS, &[192, 0, 2, 1])
        .with(parameter::ECN_CAPABLE, &[])
        .with(parameter::FORWARD_TSN_SUPPORTED, &[]);
    let (mut peer, answer) = passive(&offer);
    assert_eq!(answer.find(parameter::UNRECOGNIZED), None);
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    expect_forward_tsn(&mut peer);
}

#[test]
fn parameters_of_init_ack_without_a_meaning_here_are_skipped_and_those_behind_them_count() {
    let offer = Init { parameters: Vec::new(), ..offer() }
        .with(parameter::IPV6_ADDRESS, &[0xFE; 16])
        .with(parameter::IPV4_ADDRESS, &[192, 0, 2, 1])
        .with(parameter::ECN_CAPABLE, &[])
        .with(parameter::FORWARD_TSN_SUPPORTED, &[]);
    let mut peer = Tester::established(PLAIN, &offer);
    expect_forward_tsn(&mut peer);
}

/// It has understood that the tester takes FORWARD TSN: a message that cannot be sent in time is given up.
fn expect_forward_tsn(peer: &mut Tester) {
    let lifetime = proto_dtls_sctp::Reliability::MaxRetransmits(0);
    assert!(peer.end.send(peer.now, 1, "brief".into(), true, lifetime));
    peer.expect_only(DATA);
    peer.wait();
    peer.expect_only(crate::wire::FORWARD_TSN);
}

#[test]
fn no_more_streams_are_used_than_the_init_of_the_peer_permits() {
    let (mut peer, answer) = passive(&Init { inbound_streams: 3, ..offer() });
    assert_eq!(answer.outbound_streams, 16);
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    expect_streams(&mut peer, 3);
}

#[test]
fn no_more_streams_are_used_than_the_init_ack_of_the_peer_permits() {
    let mut peer = Tester::established(PLAIN, &Init { inbound_streams: 3, ..offer() });
    expect_streams(&mut peer, 3);
}

#[test]
fn two_streams_in_each_direction_are_enough() {
    let mut peer = Tester::established(PLAIN, &Init { inbound_streams: 2, outbound_streams: 2, ..offer() });
    expect_streams(&mut peer, 2);
    peer.sends(&[message(0, 1, 0, b"there").chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"there"[..]));
}

fn expect_streams(peer: &mut Tester, streams: u16) {
    assert!(peer.events().contains(&BareEvent::Established { streams }));
    let reliable = proto_dtls_sctp::Reliability::Reliable;
    assert!(peer.end.send(peer.now, streams - 1, "there".into(), true, reliable));
    assert!(!peer.end.send(peer.now, streams, "nowhere".into(), true, reliable));
    assert_eq!(peer.expect_only(DATA).data().stream, streams - 1);
}

#[test]
fn an_init_without_streams_or_with_a_tiny_window_is_refused_with_an_abort_and_changes_nothing() {
    let bad = [
        Init { outbound_streams: 0, ..offer() },
        Init { inbound_streams: 0, ..offer() },
        Init { window: 1499, ..offer() },
    ];
    for init in bad {
        let mut peer = Tester::cookie_wait(PLAIN);
        peer.sends_with_tag(0, &[init.chunk(INIT)]);
        let abort = peer.expect_only(ABORT);
        assert_eq!((abort.flags, abort.cause()), (0, cause::INVALID_PARAMETER), "the tag is that of the INIT");
        assert_eq!(peer.lost(), None);
        peer.sends(&[init_ack(&offer())]);
        peer.expect_only(COOKIE_ECHO);
        // In the other states as well.
        peer.sends_with_tag(0, &[init.chunk(INIT)]);
        peer.expect_only(ABORT);
        peer.sends(&[chunk(COOKIE_ACK, &[])]);
        peer.expect_established();
        peer.sends_with_tag(0, &[init.chunk(INIT)]);
        peer.expect_only(ABORT);
        peer.expect_alive();
    }
}

#[test]
fn the_smallest_window_that_an_init_may_have_is_taken() {
    let (mut peer, answer) = passive(&Init { window: 1500, ..offer() });
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
}

#[test]
fn an_init_ack_without_streams_ends_the_set_up_with_an_abort() {
    for bad in [Init { outbound_streams: 0, ..offer() }, Init { inbound_streams: 0, ..offer() }] {
        let mut peer = Tester::cookie_wait(PLAIN);
        peer.sends(&[init_ack(&bad)]);
        peer.expect_violation(cause::INVALID_PARAMETER);
    }
}

#[test]
fn an_init_ack_with_a_tiny_window_is_refused_with_an_abort_and_changes_nothing() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[init_ack(&Init { window: 1499, ..offer() })]);
    assert_eq!(peer.expect_only(ABORT).cause(), cause::INVALID_PARAMETER);
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn an_init_with_tag_zero_is_dropped_in_silence() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends_with_tag(0, &[Init { tag: 0, ..offer() }.chunk(INIT)]);
    peer.expect_nothing();
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn an_init_ack_with_tag_zero_ends_the_set_up_with_an_abort_whose_tag_is_reflected() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[init_ack(&Init { tag: 0, ..offer() })]);
    peer.expect_tag(peer.init.tag);
    let abort = peer.expect_only(ABORT);
    assert_eq!((abort.flags, abort.cause()), (T_BIT, cause::INVALID_PARAMETER));
    peer.expect_lost(SctpFailureReason::PeerMisbehaved, Some(cause::INVALID_PARAMETER));
}

#[test]
fn an_init_ack_without_cookie_ends_the_set_up_with_an_abort_that_says_what_is_missing() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[offer().chunk(INIT_ACK)]);
    let abort = peer.expect_violation(cause::MISSING_PARAMETER);
    assert_eq!(abort.causes()[0].1, [0, 0, 0, 1, 0, 7], "one, the state cookie");
}

/// What an INIT with these unknown parameters gets reported.
fn reported(list: &[(u16, &[u8])]) -> Vec<Vec<(u16, Vec<u8>)>> {
    let (mut peer, answer) = passive(&with_parameters(list));
    let reports = answer.all(parameter::UNRECOGNIZED).map(read_parameters).collect();
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
    reports
}

const SKIPPED_IN_SILENCE: (u16, &[u8]) = (0x80CC, &[1; 4]);
const SKIPPED_AND_REPORTED: (u16, &[u8]) = (0xC0CC, &[2; 4]);
const STOPS: (u16, &[u8]) = (0x00CC, &[3; 4]);
const STOPS_AND_REPORTED: (u16, &[u8]) = (0x40CC, &[4; 4]);

fn owned(parameter: (u16, &[u8])) -> Vec<(u16, Vec<u8>)> {
    vec![(parameter.0, parameter.1.to_vec())]
}

#[test]
fn unknown_parameters_of_init_of_class_11_are_skipped_and_reported_each() {
    let list = [SKIPPED_AND_REPORTED, (0xC0CD, &[5; 3]), SKIPPED_AND_REPORTED];
    assert_eq!(reported(&list), list.map(owned));
}

#[test]
fn an_unknown_parameter_of_init_of_class_00_ends_the_reading_in_silence() {
    let list = [SKIPPED_AND_REPORTED, STOPS, SKIPPED_AND_REPORTED];
    assert_eq!(reported(&list), [owned(SKIPPED_AND_REPORTED)]);
}

#[test]
fn an_unknown_parameter_of_init_of_class_01_ends_the_reading_and_is_reported() {
    let list = [SKIPPED_AND_REPORTED, STOPS_AND_REPORTED, SKIPPED_AND_REPORTED];
    assert_eq!(reported(&list), [owned(SKIPPED_AND_REPORTED), owned(STOPS_AND_REPORTED)]);
}

#[test]
fn unknown_parameters_of_init_of_class_10_are_skipped_in_silence() {
    let list = [SKIPPED_IN_SILENCE, SKIPPED_AND_REPORTED, SKIPPED_IN_SILENCE];
    assert_eq!(reported(&list), [owned(SKIPPED_AND_REPORTED)]);
}

/// Types and values.
type ListOfParameters<'a> = &'a [(u16, &'a [u8])];

#[test]
fn unknown_parameters_of_init_ack_are_reported_behind_the_cookie_echo_by_their_class() {
    let cases: [[ListOfParameters<'_>; 2]; 5] = [
        [&[SKIPPED_IN_SILENCE], &[]],
        [&[STOPS, SKIPPED_AND_REPORTED], &[]],
        [&[SKIPPED_AND_REPORTED, SKIPPED_IN_SILENCE, SKIPPED_AND_REPORTED], &[SKIPPED_AND_REPORTED; 2]],
        [&[STOPS_AND_REPORTED, SKIPPED_AND_REPORTED], &[STOPS_AND_REPORTED]],
        [&[(0xC0CD, &[5; 3])], &[(0xC0CD, &[5; 3])]],
    ];
    for [parameters, expected] in cases {
        let mut peer = Tester::cookie_wait(PLAIN);
        let answer = parameters
            .iter()
            .fold(offer().with(parameter::STATE_COOKIE, COOKIE), |offer, (kind, value)| offer.with(*kind, value));
        peer.sends(&[answer.chunk(INIT_ACK)]);
        if expected.is_empty() {
            peer.expect_only(COOKIE_ECHO);
            continue;
        }
        let chunks = peer.expect_chunks(&[COOKIE_ECHO, ERROR]);
        let causes = chunks[1].causes();
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].0, cause::UNRECOGNIZED_PARAMETERS);
        let returned = read_parameters(&causes[0].1);
        assert_eq!(returned, expected.iter().map(|(kind, value)| (*kind, value.to_vec())).collect::<Vec<_>>());
    }
}

#[test]
fn a_cookie_echo_with_a_report_of_unrecognized_parameters_behind_it_is_acknowledged() {
    let (mut peer, answer) = passive(&offer());
    let report = with_cause(ERROR, cause::UNRECOGNIZED_PARAMETERS, &[0xC0, 0, 0, 4]);
    peer.sends(&[cookie_of(&answer), report]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
}

#[test]
fn an_init_or_init_ack_without_address_parameters_is_enough() {
    let (mut peer, answer) = passive(&Init { parameters: Vec::new(), ..offer() });
    assert!(answer.find(parameter::IPV4_ADDRESS).is_none() && answer.find(parameter::IPV6_ADDRESS).is_none());
    assert!(peer.init.find(parameter::SUPPORTED_ADDRESS_TYPES).is_none(), "RFC 8261 §6.1");
    peer.sends(&[cookie_of(&answer)]);
    peer.expect_only(COOKIE_ACK);
    peer.expect_established();
    let mut peer = Tester::established(PLAIN, &Init { parameters: Vec::new(), ..offer() });
    peer.expect_alive();
}

#[test]
fn a_host_name_in_init_is_refused_with_an_abort_and_changes_nothing() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends_with_tag(0, &[offer().with(parameter::HOST_NAME, b"example.org\0").chunk(INIT)]);
    let abort = peer.expect_only(ABORT);
    assert_eq!((abort.flags, abort.cause()), (0, cause::UNRESOLVABLE_ADDRESS));
    assert_eq!(peer.lost(), None);
}

#[test]
fn a_host_name_in_init_ack_ends_the_set_up_with_an_abort() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[init_ack(&offer().with(parameter::HOST_NAME, b"example.org\0"))]);
    peer.expect_violation(cause::UNRESOLVABLE_ADDRESS);
}

#[test]
fn an_init_with_data_behind_it_is_dropped() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends_with_tag(0, &[offer().chunk(INIT), message(0, 1, 0, b"early").chunk()]);
    peer.expect_nothing();
}

#[test]
fn an_init_ack_with_data_behind_it_is_dropped() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[init_ack(&offer()), message(0, 1, 0, b"early").chunk()]);
    peer.expect_nothing();
    peer.sends(&[init_ack(&offer())]);
    peer.expect_only(COOKIE_ECHO);
}

#[test]
fn data_behind_a_cookie_echo_is_taken_and_acknowledged_at_once_behind_the_cookie_ack() {
    let (mut peer, answer) = passive(&offer());
    peer.sends(&[cookie_of(&answer), message(0, 1, 0, b"early").chunk()]);
    let chunks: Vec<Chunk> = peer.flight().into_iter().flat_map(|packet| packet.chunks).collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.kind).collect::<Vec<_>>(), [COOKIE_ACK, SACK]);
    assert_eq!(chunks[1].sack().cumulative, TSN);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"early"[..]));
}

#[test]
fn data_behind_a_cookie_ack_is_taken() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    peer.sends(&[chunk(COOKIE_ACK, &[]), message(0, 1, 0, b"early").chunk()]);
    assert_eq!(peer.expect_sack().cumulative, TSN);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"early"[..]));
}

/// RFC 9260 §5.1 C: in the packet with the COOKIE ECHO, and again with each copy of it.
#[test]
fn data_may_ride_behind_the_cookie_echo() {
    let mut peer = Tester::cookie_wait(PLAIN);
    peer.sends(&[init_ack(&offer())]);
    peer.writes(1, b"early");
    for _ in 0..2 {
        let chunks = peer.expect_chunks(&[COOKIE_ECHO, DATA]);
        let data = chunks[1].data();
        assert_eq!((data.tsn, data.payload.as_slice()), (peer.init.tsn, &b"early"[..]));
        peer.expect_nothing();
        peer.wait();
    }
    peer.expect_chunks(&[COOKIE_ECHO, DATA]);
    peer.sends(&[chunk(COOKIE_ACK, &[]), peer.sack(0, &[]).chunk()]);
    peer.expect_established();
    assert_eq!(peer.end.buffered(1), 0);
}

/// The COOKIE ACK was lost: whatever only an established peer sends tells the same.
#[test]
fn data_in_place_of_a_lost_cookie_ack_establishes_the_association() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    peer.sends(&[message(0, 1, 0, b"early").chunk()]);
    assert_eq!(peer.expect_sack().cumulative, TSN);
    peer.expect_established();
    assert_eq!(peer.reads(1).as_deref(), Some(&b"early"[..]));
}

#[test]
fn a_lost_cookie_ack_is_sent_again_for_the_next_cookie_echo() {
    let (mut peer, answer) = passive(&offer());
    for _ in 0..3 {
        peer.sends(&[cookie_of(&answer)]);
        peer.expect_only(COOKIE_ACK);
    }
    assert_eq!(peer.events().iter().filter(|event| matches!(event, BareEvent::Established { .. })).count(), 1);
    peer.expect_alive();
}

/// §8.3: the sender of INIT answers HEARTBEAT from COOKIE-ECHOED on. It shows that the peer is established.
#[test]
fn a_heartbeat_in_place_of_a_lost_cookie_ack_is_answered() {
    let mut peer = Tester::cookie_echoed(PLAIN, &offer());
    peer.sends(&[heartbeat(HEARTBEAT, b"there?")]);
    peer.expect_only(HEARTBEAT_ACK);
}

#[test]
fn the_window_and_first_tsn_of_the_peer_are_taken_from_its_answer() {
    let mut peer = Tester::established(PLAIN, &Init { window: 1500, tsn: u32::MAX, ..offer() });
    peer.writes(1, &[7; 4000]);
    let sent: usize = peer.data().iter().map(|data| data.payload.len()).sum();
    assert!((1000..=1500).contains(&sent), "{sent}");
    let first = crate::wire::Data { tsn: u32::MAX, ..message(0, 1, 0, b"last number") };
    peer.sends(&[first.chunk()]);
    let packet = peer.expect();
    assert_eq!(packet.chunks[0].sack().cumulative, u32::MAX);
    let second = crate::wire::Data { tsn: 0, ..message(0, 1, 1, b"first number") };
    peer.sends(&[second.chunk(), second.chunk()]);
    assert_eq!(peer.expect_sack().cumulative, 0);
}

/// Stacks differ in where they put it: what was not recognized of the INIT may stand in front of the cookie.
#[test]
fn an_init_ack_that_returns_unrecognized_parameters_in_front_of_its_cookie_is_taken() {
    let mut peer = Tester::cookie_wait(PLAIN);
    let answer = offer()
        .with(parameter::UNRECOGNIZED, &[0xC0, 0, 0, 4])
        .with(parameter::STATE_COOKIE, COOKIE)
        .with(parameter::SUPPORTED_EXTENSIONS, &[HEARTBEAT]);
    peer.sends(&[answer.chunk(INIT_ACK)]);
    assert_eq!(peer.expect_only(COOKIE_ECHO).value, COOKIE);
}
