//! Interleaved messages (RFC 8260).

use proto_dtls_sctp::Reliability::{self, MaxRetransmits};
use proto_dtls_sctp::bare::BareConfig;

use crate::tester::{BINARY, PLAIN, TSN, Tester, message, offer};
use crate::wire::{
    B_BIT, Chunk, DATA, Data, E_BIT, FORWARD_TSN, I_DATA, I_FORWARD_TSN, Init, RE_CONFIG, U_BIT, WHOLE, cause, chunk,
    parameter, u16_at, u32_at,
};

const INTERLEAVING: BareConfig = BareConfig { interleaving: true, ..PLAIN };

fn with_extensions(extensions: &[u8]) -> Init {
    offer().with(parameter::SUPPORTED_EXTENSIONS, extensions)
}

fn interleaved() -> Tester {
    Tester::established(INTERLEAVING, &with_extensions(&[RE_CONFIG, FORWARD_TSN, I_DATA, I_FORWARD_TSN]))
}

/// A fragment of the tester: what stands where the protocol identifier is says that, or the number of the fragment.
fn fragment(offset: u32, stream: u16, mid: u32, flags: u8, number: u32, payload: &[u8]) -> Chunk {
    let protocol = if flags & B_BIT != 0 { BINARY } else { number };
    Data { flags, protocol, ..message(offset, stream, mid, payload) }.interleaved()
}

/// An I-FORWARD-TSN of the tester.
fn forward(offset: u32, skipped: &[(u16, bool, u32)]) -> Chunk {
    let mut value = Tester::tsn(offset).to_be_bytes().to_vec();
    for (stream, unordered, mid) in skipped {
        value.extend(stream.to_be_bytes());
        value.extend([0, u8::from(*unordered)]);
        value.extend(mid.to_be_bytes());
    }
    chunk(I_FORWARD_TSN, &value)
}

#[test]
fn interleaving_is_used_if_both_sides_offer_it_and_never_else() {
    let theirs = [RE_CONFIG, I_DATA, I_FORWARD_TSN];
    for (ours, offered, expected) in
        [(true, true, I_DATA), (true, false, DATA), (false, true, DATA), (false, false, DATA)]
    {
        let config = BareConfig { interleaving: ours, ..PLAIN };
        let offer = if offered { with_extensions(&theirs) } else { offer() };
        let mut peer = Tester::established(config, &offer);
        let own = peer.init.find(parameter::SUPPORTED_EXTENSIONS).unwrap();
        assert_eq!(own.contains(&I_DATA) && own.contains(&I_FORWARD_TSN), ours);
        peer.writes(1, b"message");
        peer.expect_only(expected);
    }
}

#[test]
fn messages_are_numbered_and_their_fragments_too() {
    let mut peer = interleaved();
    peer.writes(1, &[7; 3000]);
    peer.writes(1, b"next");
    let sent = peer.data();
    let labels: Vec<(u8, u32, u32)> = sent.iter().map(|data| (data.flags, data.sequence, data.protocol)).collect();
    assert_eq!(labels, [(B_BIT, 0, BINARY), (0, 0, 1), (E_BIT, 0, 2), (WHOLE, 1, BINARY)]);
}

#[test]
fn ordered_and_unordered_messages_are_numbered_apart() {
    let mut peer = interleaved();
    for ordered in [true, false, false, true, false] {
        assert!(peer.end.send(peer.now, 1, "x".into(), ordered, Reliability::Reliable));
    }
    let sent: Vec<(bool, u32)> = peer.data().iter().map(|data| (data.flags & U_BIT != 0, data.sequence)).collect();
    assert_eq!(sent, [(false, 0), (true, 0), (true, 1), (false, 1), (true, 2)]);
}

#[test]
fn a_small_message_goes_out_amid_the_fragments_of_a_large_one() {
    let mut peer = interleaved();
    peer.writes(1, &[7; 100_000]);
    assert!(peer.data().len() > 3);
    peer.writes(2, b"small");
    peer.acknowledges(1, &[]);
    let sent = peer.data();
    assert!(sent.iter().any(|data| data.stream == 2), "{:?}", sent.iter().map(|data| data.stream).collect::<Vec<_>>());
}

#[test]
fn fragments_of_several_messages_may_alternate() {
    let mut peer = interleaved();
    let chunks = [
        fragment(0, 1, 0, B_BIT, 0, b"a"),
        fragment(1, 2, 0, B_BIT, 0, b"x"),
        fragment(2, 1, 0, 0, 1, b"b"),
        fragment(3, 1, 0, B_BIT | U_BIT, 0, b"1"),
        fragment(4, 2, 0, E_BIT, 1, b"y"),
        fragment(5, 1, 0, E_BIT | U_BIT, 1, b"2"),
        fragment(6, 1, 0, E_BIT, 2, b"c"),
    ];
    for chunk in chunks {
        peer.sends(&[chunk]);
        peer.flight();
    }
    assert_eq!(peer.reads(2).as_deref(), Some(&b"xy"[..]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"12"[..]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"abc"[..]));
}

/// §2.2.3: by the number of the fragment, and not by the TSN.
#[test]
fn fragments_are_put_together_by_their_numbers_whatever_their_tsns() {
    let mut peer = interleaved();
    for (offset, flags, number, part) in [(0, E_BIT, 2, b"c"), (1, 0, 1, b"b"), (2, B_BIT, 0, b"a")] {
        peer.sends(&[fragment(offset, 1, 0, flags, number, part)]);
        peer.flight();
    }
    assert_eq!(peer.reads(1).as_deref(), Some(&b"abc"[..]));
}

#[test]
fn ordered_messages_are_delivered_by_their_numbers() {
    let mut peer = interleaved();
    peer.sends(&[fragment(0, 1, 1, WHOLE, 0, b"second")]);
    assert_eq!(peer.reads(1), None);
    peer.sends(&[fragment(1, 1, 0, WHOLE, 0, b"first")]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"first"[..]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"second"[..]));
}

/// §2.2.3: "MUST abort the association".
#[test]
fn data_in_an_interleaved_association_is_a_violation() {
    let mut peer = interleaved();
    peer.sends(&[message(0, 1, 0, b"plain").chunk()]);
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
}

#[test]
fn interleaved_data_in_a_plain_association_is_a_violation() {
    for config in [PLAIN, INTERLEAVING] {
        let mut peer = Tester::established(config, &offer());
        peer.sends(&[fragment(0, 1, 0, WHOLE, 0, b"interleaved")]);
        peer.expect_violation(cause::PROTOCOL_VIOLATION);
    }
}

/// §2.3.1
#[test]
fn the_forward_tsn_of_the_other_kind_is_a_violation() {
    let mut peer = interleaved();
    peer.sends(&[chunk(FORWARD_TSN, &TSN.to_be_bytes())]);
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
    let mut peer = Tester::plain();
    peer.sends(&[chunk(I_FORWARD_TSN, &TSN.to_be_bytes())]);
    peer.expect_violation(cause::PROTOCOL_VIOLATION);
}

#[test]
fn interleaved_data_without_user_data_or_on_a_stream_that_does_not_exist_is_treated_as_data_is() {
    let mut peer = interleaved();
    peer.sends(&[fragment(0, 16, 0, WHOLE, 0, b"nowhere")]);
    let packet = peer.expect();
    assert_eq!(packet.chunks[0].causes(), [(cause::INVALID_STREAM, vec![0, 16, 0, 0])]);
    peer.sends(&[fragment(1, 1, 0, WHOLE, 0, b"")]);
    let abort = peer.expect_violation(cause::NO_USER_DATA);
    assert_eq!(abort.causes()[0].1, Tester::tsn(1).to_be_bytes());
}

#[test]
fn what_is_given_up_is_named_by_its_number_unordered_messages_too() {
    let mut peer = interleaved();
    for (stream, ordered) in [(1, true), (1, false), (1, false), (2, true)] {
        assert!(peer.end.send(peer.now, stream, "brief".into(), ordered, MaxRetransmits(0)));
    }
    assert_eq!(peer.data().len(), 4);
    peer.wait();
    let told = peer.expect_only(I_FORWARD_TSN);
    assert_eq!(u32_at(&told.value, 0), peer.its_tsn(3));
    let mut skipped: Vec<(u16, u16, u32)> =
        told.value[4..].chunks(8).map(|entry| (u16_at(entry, 0), u16_at(entry, 2), u32_at(entry, 4))).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, [(1, 0, 0), (1, 1, 1), (2, 0, 0)]);
}

/// §2.3.1: "only if both endpoints indicated their support of [...] the I-FORWARD-TSN chunk".
#[test]
fn a_peer_that_does_not_list_i_forward_tsn_is_never_sent_one() {
    let mut peer = Tester::established(INTERLEAVING, &with_extensions(&[RE_CONFIG, FORWARD_TSN, I_DATA]));
    assert!(peer.end.send(peer.now, 1, "brief".into(), true, MaxRetransmits(0)));
    peer.expect_only(I_DATA);
    for _ in 0..3 {
        peer.wait();
        peer.expect_only(I_DATA);
    }
}

#[test]
fn an_i_forward_tsn_skips_ordered_and_unordered_messages_each_by_their_numbers() {
    let mut peer = interleaved();
    peer.sends(&[fragment(1, 1, 0, B_BIT | U_BIT, 0, b"free part"), fragment(2, 1, 1, WHOLE, 0, b"second")]);
    let packet = peer.expect();
    assert!(packet.chunks[0].sack().window < 64 * 1024);
    peer.sends(&[forward(1, &[(1, false, 0), (1, true, 0)])]);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(2));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"second"[..]));
    peer.sends(&[fragment(3, 1, 0, E_BIT | U_BIT, 1, b"end of nothing")]);
    peer.flight();
    assert_eq!(peer.reads(1), None);
}

/// With I-DATA the fragments of a message that goes on may lie in front of those that are skipped.
#[test]
fn an_i_forward_tsn_leaves_alone_messages_that_it_does_not_name() {
    let mut peer = interleaved();
    peer.sends(&[fragment(0, 2, 0, B_BIT, 0, b"goes "), fragment(2, 2, 0, 0, 1, b"on ")]);
    peer.flight();
    peer.sends(&[forward(1, &[(1, false, 0)])]);
    assert_eq!(peer.expect_sack().cumulative, Tester::tsn(2));
    peer.sends(&[fragment(3, 2, 0, E_BIT, 2, b"and ends")]);
    assert_eq!(peer.reads(2).as_deref(), Some(&b"goes on and ends"[..]));
}

#[test]
fn message_identifiers_of_the_peer_go_on_behind_their_wrap() {
    let mut peer = interleaved();
    let last = u32::MAX;
    // Half of the numbers at a time.
    for (offset, mid) in [(0, 0x7FFF_FFFF), (1, 0xFFFF_FFFE)] {
        peer.sends(&[forward(offset, &[(1, false, mid)])]);
        peer.flight();
    }
    peer.sends(&[fragment(3, 1, 0, WHOLE, 0, b"behind"), fragment(2, 1, last, WHOLE, 0, b"last")]);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"last"[..]));
    assert_eq!(peer.reads(1).as_deref(), Some(&b"behind"[..]));
}

/// §2.3.2
#[test]
fn both_counters_start_again_behind_a_reset() {
    let mut peer = interleaved();
    for ordered in [true, false] {
        assert!(peer.end.send(peer.now, 1, "before".into(), ordered, Reliability::Reliable));
    }
    peer.flight();
    peer.acknowledges(1, &[]);
    peer.end.reset_stream(1);
    peer.expect_only(RE_CONFIG);
    let words = [TSN, peer.init.tsn, TSN.wrapping_sub(1)];
    let mut request: Vec<u8> = vec![0, 13, 0, 18];
    request.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    request.extend([0, 1]);
    peer.sends(&[chunk(RE_CONFIG, &request)]);
    peer.flight();
    for ordered in [true, false] {
        assert!(peer.end.send(peer.now, 1, "behind".into(), ordered, Reliability::Reliable));
    }
    assert_eq!(peer.data().iter().map(|data| data.sequence).collect::<Vec<_>>(), [0, 0]);
}
