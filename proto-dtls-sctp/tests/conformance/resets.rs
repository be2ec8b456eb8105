//! Streams that are reset (RFC 6525).

use std::time::Duration;

use proto_dtls_sctp::bare::{BareConfig, BareEvent};

use crate::tester::{PLAIN, TSN, Tester, message, milliseconds, offer};
use crate::wire::{Chunk, DATA, Data, Init, Packet, RE_CONFIG, chunk, parameters, read_parameters, u16_at, u32_at};

const OUTGOING_RESET: u16 = 13;
const INCOMING_RESET: u16 = 14;
const TSN_RESET: u16 = 15;
const RESPONSE: u16 = 16;
const ADD_OUTGOING: u16 = 17;
const ADD_INCOMING: u16 = 18;

const PERFORMED: u32 = 1;
const DENIED: u32 = 2;
const WRONG_STREAM: u32 = 3;
const ALREADY_IN_PROGRESS: u32 = 4;
const BAD_NUMBER: u32 = 5;
const IN_PROGRESS: u32 = 6;

/// What the association under test asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    number: u32,
    answered: u32,
    last_tsn: u32,
    streams: Vec<u16>,
}

/// The parameters of the RE-CONFIG chunks in packets.
fn parameters_of(packets: &[Packet]) -> Vec<(u16, Vec<u8>)> {
    let chunks = packets.iter().flat_map(|packet| &packet.chunks).filter(|chunk| chunk.kind == RE_CONFIG);
    chunks.flat_map(|chunk| read_parameters(&chunk.value)).collect()
}

fn request_of(packets: &[Packet]) -> Option<Request> {
    let (_, value) = parameters_of(packets).into_iter().find(|(kind, _)| *kind == OUTGOING_RESET)?;
    Some(Request {
        number: u32_at(&value, 0),
        answered: u32_at(&value, 4),
        last_tsn: u32_at(&value, 8),
        streams: value[12..].chunks(2).map(|stream| u16_at(stream, 0)).collect(),
    })
}

fn responses_of(packets: &[Packet]) -> Vec<(u32, u32)> {
    let responses = parameters_of(packets).into_iter().filter(|(kind, _)| *kind == RESPONSE);
    responses.map(|(_, value)| (u32_at(&value, 0), u32_at(&value, 4))).collect()
}

/// A request of the tester: its number and last TSN are so many behind the first.
fn request(peer: &Tester, number: u32, last: u32, streams: &[u16]) -> Chunk {
    let words = [Tester::tsn(number), peer.init.tsn.wrapping_sub(1), Tester::tsn(last)];
    let mut value: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    value.extend(streams.iter().flat_map(|stream| stream.to_be_bytes()));
    chunk(RE_CONFIG, &parameters(&[(OUTGOING_RESET, value)]))
}

fn response(number: u32, result: u32) -> Chunk {
    let value = [number.to_be_bytes(), result.to_be_bytes()].concat();
    chunk(RE_CONFIG, &parameters(&[(RESPONSE, value)]))
}

/// What the request of the tester is answered with, and nothing else.
fn answer_to(peer: &mut Tester, request: &Chunk) -> Vec<(u32, u32)> {
    peer.sends(std::slice::from_ref(request));
    let sent = peer.flight();
    responses_of(&sent)
}

/// One message has come on streams 1 and 2 each, and was read.
fn used() -> Tester {
    used_with(PLAIN)
}

fn used_with(config: BareConfig) -> Tester {
    let mut peer = Tester::established(config, &offer());
    peer.sends(&[message(0, 1, 0, b"one").chunk(), message(1, 2, 0, b"two").chunk()]);
    peer.flight();
    assert!(peer.reads(1).is_some() && peer.reads(2).is_some());
    peer
}

fn resets(peer: &mut Tester) -> Vec<BareEvent> {
    let is_reset = |event: &BareEvent| {
        matches!(event, BareEvent::IncomingReset(_) | BareEvent::ResetComplete(_) | BareEvent::ResetFailed(_))
    };
    peer.events().iter().copied().filter(is_reset).collect()
}

#[test]
fn a_request_is_performed_and_sequence_numbers_start_again() {
    let mut peer = used();
    let request = request(&peer, 0, 1, &[1]);
    assert_eq!(answer_to(&mut peer, &request), [(TSN, PERFORMED)]);
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1)]);
    // The next owner of the stream has it once both sides are reset.
    let own = peer.init.tsn;
    peer.sends(&[response(own, PERFORMED)]);
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1), BareEvent::ResetComplete(1)]);
    peer.sends(&[message(2, 1, 0, b"again").chunk(), message(3, 2, 1, b"goes on").chunk()]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"again"[..]));
    assert_eq!(peer.reads(2).as_deref(), Some(&b"goes on"[..]), "the other stream is as it was");
}

/// W3C: a channel is closed on both sides.
#[test]
fn a_request_of_the_peer_is_followed_by_one_for_the_own_side() {
    let mut peer = used();
    let request = request(&peer, 0, 1, &[1, 2]);
    peer.sends(&[request]);
    let sent = peer.flight();
    assert_eq!(responses_of(&sent), [(TSN, PERFORMED)]);
    let own = request_of(&sent).unwrap();
    let expected =
        Request { number: peer.init.tsn, answered: TSN, last_tsn: peer.init.tsn.wrapping_sub(1), streams: vec![1, 2] };
    assert_eq!(own, expected, "§4.1: the first number is that of the first TSN");
}

#[test]
fn a_request_names_the_last_tsn_and_waits_for_what_was_handed_over_before_it() {
    let mut peer = Tester::established(PLAIN, &Init { window: 1500, ..offer() });
    peer.writes(1, &[7; 2000]);
    assert_eq!(peer.data().len(), 1);
    peer.end.reset_stream(1);
    peer.expect_nothing();
    let all = crate::wire::Sack { window: 1500, ..peer.sack(0, &[]) };
    peer.sends(&[all.chunk()]);
    let sent = peer.flight();
    assert!(sent.iter().any(|packet| packet.kinds().contains(&DATA)));
    let own = request_of(&sent).unwrap();
    assert_eq!((own.last_tsn, own.streams), (peer.its_tsn(1), vec![1]));
    assert!(!peer.end.send(peer.now, 1, "late".into(), true, proto_dtls_sctp::Reliability::Reliable));
}

#[test]
fn a_request_is_sent_again_unchanged_after_pauses_that_double() {
    let mut peer = used();
    peer.end.reset_stream(1);
    let first = request_of(&peer.flight()).unwrap();
    for pause in [250, 500, 1000] {
        assert_eq!(peer.wait(), milliseconds(pause));
        assert_eq!(request_of(&peer.flight()).as_ref(), Some(&first));
    }
    peer.sends(&[response(first.number, PERFORMED)]);
    assert!(peer.pass(Duration::from_secs(60)).is_empty());
}

/// §5.1.1: one at a time.
#[test]
fn a_second_request_waits_for_the_response_to_the_first() {
    let mut peer = used();
    peer.end.reset_stream(1);
    let first = request_of(&peer.flight()).unwrap();
    peer.end.reset_stream(2);
    peer.expect_nothing();
    peer.sends(&[response(first.number, PERFORMED)]);
    let second = request_of(&peer.flight()).unwrap();
    assert_eq!((second.number, second.streams), (first.number.wrapping_add(1), vec![2]));
}

#[test]
fn streams_that_are_reset_together_share_a_request() {
    let mut peer = used();
    for stream in [2, 1, 5] {
        peer.end.reset_stream(stream);
    }
    assert_eq!(request_of(&peer.flight()).unwrap().streams, [1, 2, 5]);
}

#[test]
fn a_request_that_comes_again_is_answered_the_same_and_not_performed_again() {
    let mut peer = used();
    let request = request(&peer, 0, 1, &[1]);
    for _ in 0..3 {
        assert_eq!(answer_to(&mut peer, &request), [(TSN, PERFORMED)]);
    }
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1)]);
}

#[test]
fn a_request_with_a_wrong_number_is_refused_and_changes_nothing() {
    let mut peer = used();
    for number in [1, 5, u32::MAX, 1 << 31] {
        let wrong = request(&peer, number, 1, &[1]);
        assert_eq!(answer_to(&mut peer, &wrong), [(Tester::tsn(number), BAD_NUMBER)]);
    }
    assert_eq!(resets(&mut peer), []);
    let right = request(&peer, 0, 1, &[1]);
    assert_eq!(answer_to(&mut peer, &right), [(TSN, PERFORMED)]);
}

/// §5.2.2 E2
#[test]
fn a_request_in_front_of_its_data_is_in_progress_until_the_data_has_come() {
    let mut peer = used();
    let early = request(&peer, 0, 3, &[1]);
    assert_eq!(answer_to(&mut peer, &early), [(TSN, IN_PROGRESS)]);
    assert_eq!(answer_to(&mut peer, &early), [(TSN, IN_PROGRESS)], "asked again");
    peer.sends(&[message(2, 1, 1, b"late").chunk()]);
    peer.flight();
    assert_eq!(resets(&mut peer), []);
    peer.sends(&[message(3, 2, 1, b"later").chunk()]);
    let sent = peer.flight();
    assert_eq!(responses_of(&sent), [(TSN, PERFORMED)], "without being asked");
    assert_eq!(peer.reads(1).as_deref(), Some(&b"late"[..]));
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1)]);
    assert_eq!(answer_to(&mut peer, &early), [(TSN, PERFORMED)]);
}

/// §5.2.2 E2: what lies behind the reset is for the next owner. It may be held, or not be acknowledged and come again.
#[test]
fn data_behind_a_reset_that_is_in_progress_does_not_reach_the_last_owner() {
    let mut peer = used();
    let early = request(&peer, 0, 2, &[1]);
    assert_eq!(answer_to(&mut peer, &early), [(TSN, IN_PROGRESS)]);
    let behind = message(3, 1, 0, b"for the next owner").chunk();
    peer.sends(std::slice::from_ref(&behind));
    peer.flight();
    assert_eq!(peer.reads(1), None);
    peer.sends(&[message(2, 1, 1, b"last").chunk()]);
    peer.flight();
    assert_eq!(peer.reads(1).as_deref(), Some(&b"last"[..]));
    let own = request_of(&peer.flight()).unwrap().number;
    peer.sends(&[response(own, PERFORMED)]);
    peer.sends(&[behind]);
    peer.flight();
    assert_eq!(peer.reads(1).as_deref(), Some(&b"for the next owner"[..]));
}

/// §5.2.7 H2
#[test]
fn an_own_request_that_is_in_progress_is_sent_again_and_does_not_count_towards_the_limit() {
    let mut peer = used_with(BareConfig { max_retransmissions: Some(3), ..PLAIN });
    peer.writes(1, b"outstanding later");
    peer.expect_only(DATA);
    peer.acknowledges(0, &[]);
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    for _ in 0..10 {
        peer.sends(&[response(own.number, IN_PROGRESS)]);
        peer.expect_nothing();
        peer.wait();
        assert_eq!(request_of(&peer.flight()).as_ref(), Some(&own));
    }
    peer.writes(2, b"data");
    peer.expect_only(DATA);
    peer.sends(&[response(own.number, PERFORMED)]);
    peer.wait();
    peer.expect_only(DATA);
    assert_eq!(peer.lost(), None);
    let request = request(&peer, 0, 1, &[1]);
    peer.sends(&[request]);
    peer.flight();
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1), BareEvent::ResetComplete(1)]);
}

#[test]
fn an_own_request_that_is_already_in_progress_is_sent_again() {
    let mut peer = used();
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    peer.sends(&[response(own.number, ALREADY_IN_PROGRESS)]);
    peer.wait();
    assert_eq!(request_of(&peer.flight()), Some(own));
}

#[test]
fn an_own_request_that_is_refused_has_failed() {
    for result in [DENIED, WRONG_STREAM, BAD_NUMBER, 99] {
        let mut peer = used();
        peer.end.reset_stream(1);
        let own = request_of(&peer.flight()).unwrap();
        peer.sends(&[response(own.number, result)]);
        assert_eq!(resets(&mut peer), [BareEvent::ResetFailed(1)], "{result}");
        assert!(peer.pass(Duration::from_secs(60)).is_empty());
    }
}

#[test]
fn a_response_to_nothing_is_dropped() {
    let mut peer = used();
    peer.sends(&[response(peer.init.tsn, PERFORMED)]);
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    for number in [own.number.wrapping_add(1), own.number.wrapping_sub(1), 0] {
        peer.sends(&[response(number, PERFORMED)]);
    }
    assert_eq!(resets(&mut peer), []);
    peer.wait();
    assert_eq!(request_of(&peer.flight()), Some(own));
}

/// §5.2.2 E3: no stream named is all of them.
#[test]
fn a_request_without_streams_resets_all() {
    let mut peer = used();
    let request = request(&peer, 0, 1, &[]);
    peer.sends(&[request]);
    let sent = peer.flight();
    assert_eq!(responses_of(&sent), [(TSN, PERFORMED)]);
    assert_eq!(request_of(&sent).unwrap().streams, [1, 2]);
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1), BareEvent::IncomingReset(2)]);
}

/// A stream of the association on which nothing has come is as it is behind a reset.
#[test]
fn a_request_for_a_stream_that_was_never_used_is_performed() {
    let mut peer = used();
    let request = request(&peer, 0, 1, &[9]);
    assert_eq!(answer_to(&mut peer, &request), [(TSN, PERFORMED)]);
    assert_eq!(resets(&mut peer), []);
}

#[test]
fn a_request_for_a_stream_that_does_not_exist_is_refused_and_changes_nothing() {
    let mut peer = used();
    let wrong = request(&peer, 0, 1, &[1, 16]);
    for _ in 0..2 {
        assert_eq!(answer_to(&mut peer, &wrong), [(TSN, WRONG_STREAM)]);
    }
    assert_eq!(resets(&mut peer), []);
    let right = request(&peer, 1, 1, &[1]);
    assert_eq!(answer_to(&mut peer, &right), [(Tester::tsn(1), PERFORMED)]);
}

#[test]
fn both_sides_may_reset_a_stream_at_once() {
    let mut peer = used();
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    let theirs = request(&peer, 0, 1, &[1]);
    assert_eq!(answer_to(&mut peer, &theirs), [(TSN, PERFORMED)]);
    peer.sends(&[response(own.number, PERFORMED)]);
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1), BareEvent::ResetComplete(1)]);
    assert!(peer.pass(Duration::from_secs(60)).is_empty());
}

/// §5.2.2 E1: the number of the last answered request stands for a response that was lost.
#[test]
fn a_request_of_the_peer_acknowledges_ours() {
    let mut peer = used();
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    let words = [TSN, own.number, Tester::tsn(1)];
    let mut value: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    value.extend([0, 1]);
    peer.sends(&[chunk(RE_CONFIG, &parameters(&[(OUTGOING_RESET, value)]))]);
    assert_eq!(responses_of(&peer.flight()), [(TSN, PERFORMED)]);
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1), BareEvent::ResetComplete(1)]);
}

#[test]
fn a_request_and_a_response_may_share_a_chunk() {
    let mut peer = used();
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    let list =
        [read_parameters(&request(&peer, 0, 1, &[1]).value), read_parameters(&response(own.number, PERFORMED).value)];
    peer.sends(&[chunk(RE_CONFIG, &parameters(&list.concat()))]);
    assert_eq!(responses_of(&peer.flight()), [(TSN, PERFORMED)]);
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1), BareEvent::ResetComplete(1)]);
}

/// What data channels have no use for is denied, each with its own number.
#[test]
fn requests_for_anything_else_are_denied_and_denied_again() {
    for kind in [INCOMING_RESET, TSN_RESET, ADD_OUTGOING, ADD_INCOMING] {
        let mut peer = used();
        let ask = |number: u32| {
            let value = [Tester::tsn(number).to_be_bytes(), [0, 1, 0, 0]].concat();
            chunk(RE_CONFIG, &parameters(&[(kind, if kind == TSN_RESET { value[..4].to_vec() } else { value })]))
        };
        for _ in 0..2 {
            assert_eq!(answer_to(&mut peer, &ask(0)), [(TSN, DENIED)], "{kind}");
        }
        assert_eq!(answer_to(&mut peer, &ask(7)), [(Tester::tsn(7), BAD_NUMBER)], "{kind}");
        let next = request(&peer, 1, 1, &[1]);
        assert_eq!(answer_to(&mut peer, &next), [(Tester::tsn(1), PERFORMED)], "{kind}");
    }
}

#[test]
fn numbers_of_requests_go_on_behind_their_wrap() {
    let mut peer = Tester::established(PLAIN, &Init { tsn: u32::MAX, ..offer() });
    peer.sends(&[Data { tsn: u32::MAX, ..message(0, 1, 0, b"one") }.chunk()]);
    peer.flight();
    assert!(peer.reads(1).is_some());
    for (number, stream) in [(u32::MAX, 1_u8), (0, 2)] {
        let words = [number, peer.init.tsn.wrapping_sub(1), u32::MAX];
        let mut value: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        value.extend([0, stream]);
        let ask = chunk(RE_CONFIG, &parameters(&[(OUTGOING_RESET, value)]));
        assert_eq!(answer_to(&mut peer, &ask), [(number, PERFORMED)]);
    }
    assert_eq!(resets(&mut peer), [BareEvent::IncomingReset(1)]);
}

#[test]
fn own_sequence_numbers_start_again_behind_a_reset() {
    let mut peer = used();
    for _ in 0..3 {
        peer.writes(1, b"before");
    }
    assert_eq!(peer.data().len(), 3);
    peer.acknowledges(2, &[]);
    peer.end.reset_stream(1);
    let own = request_of(&peer.flight()).unwrap();
    peer.sends(&[response(own.number, PERFORMED)]);
    let theirs = request(&peer, 0, 1, &[1]);
    peer.sends(&[theirs]);
    peer.flight();
    peer.writes(1, b"behind");
    assert_eq!(peer.expect_only(DATA).data().sequence, 0);
}
