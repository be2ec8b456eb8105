//! Constructing offers (JSEP §5.2).

use proto_sdp::{Direction, LocalParameters, MaxMessageSize, Negotiation, SctpInit, Side, TypedDescription};

use crate::common::{Pair, answer_of, candidate, exchange, local, mid, parameters};

fn first_offer(parameters: &LocalParameters) -> String {
    let mut negotiation = Negotiation::new(42);
    negotiation.create_offer(parameters, true).unwrap().to_string()
}

#[test]
fn a_first_offer_of_data_channels_is_this_text() {
    let fingerprint = parameters("alice").fingerprints[0].to_string();
    let expected = format!(
        "v=0\r
o=- 42 1 IN IP4 0.0.0.0\r
s=-\r
t=0 0\r
a=group:BUNDLE 0\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:aliceufrag\r
a=ice-pwd:alice/password+password+pwd\r
a=ice-options:trickle ice2\r
a=fingerprint:{fingerprint}\r
a=setup:actpass\r
a=mid:0\r
a=sctp-port:5000\r
a=max-message-size:262144\r
"
    );
    assert_eq!(first_offer(&parameters("alice")), expected);
}

#[test]
fn an_offer_without_channels_has_no_sections() {
    let mut negotiation = Negotiation::new(42);
    let offer = negotiation.create_offer(&parameters("alice"), false).unwrap();
    assert_eq!(offer.to_string(), "v=0\r\no=- 42 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
}

#[test]
fn an_offer_without_sections_can_be_answered() {
    let mut pair = Pair::new();
    let offer = pair.alice.create_offer(&parameters("alice"), false).unwrap();
    let text = offer.to_string();
    pair.alice.set_local_description(TypedDescription::Offer(offer)).unwrap();
    pair.bob.set_remote_description(crate::common::offer_of(&text)).unwrap();
    let answer = pair.bob.create_answer(&parameters("bob")).unwrap();
    pair.bob.set_local_description(TypedDescription::Answer(answer.clone())).unwrap();
    pair.alice.set_remote_description(answer_of(&answer.to_string())).unwrap();
    assert!(answer.media.is_empty() && answer.groups.is_empty());

    // The data section comes with the next offer.
    pair.negotiate(&parameters("alice"), &parameters("bob"));
    assert_eq!(local(&pair.alice).media.len(), 1);
}

#[test]
fn candidates_gathered_so_far_are_in_the_offer_and_one_is_the_default_destination() {
    let mut parameters = parameters("alice");
    parameters.candidates = vec![
        candidate("1 1 udp 2122260223 192.0.2.1 5001 typ host"),
        candidate("2 1 udp 1685987071 203.0.113.1 5002 typ srflx raddr 0.0.0.0 rport 0"),
        candidate("3 1 tcp 41885439 198.51.100.1 5003 typ relay raddr 0.0.0.0 rport 0"),
        candidate("4 1 udp 2122260000 name.local 5004 typ host"),
    ];
    parameters.end_of_candidates = true;
    let offer = first_offer(&parameters);
    assert!(offer.contains("m=application 5002 UDP/DTLS/SCTP"), "{offer}");
    assert!(offer.contains("c=IN IP4 203.0.113.1\r\n"), "{offer}");
    assert_eq!(offer.matches("a=candidate:").count(), 4);
    assert!(offer.contains("a=end-of-candidates\r\n"));
}

#[test]
fn a_relayed_address_is_preferred_as_default_destination() {
    let mut parameters = parameters("alice");
    parameters.candidates = vec![
        candidate("1 1 udp 2122260223 192.0.2.1 5001 typ host"),
        candidate("2 1 udp 41885439 2001:db8::1 5002 typ relay raddr :: rport 9"),
        candidate("3 1 udp 1685987071 203.0.113.1 5003 typ srflx raddr 0.0.0.0 rport 0"),
    ];
    let offer = first_offer(&parameters);
    assert!(offer.contains("m=application 5002 UDP/DTLS/SCTP"), "{offer}");
    assert!(offer.contains("c=IN IP6 2001:db8::1\r\n"), "{offer}");
}

#[test]
fn names_are_never_the_default_destination() {
    let mut parameters = parameters("alice");
    parameters.candidates = vec![candidate("4 1 udp 2122260000 name.local 5004 typ host")];
    let offer = first_offer(&parameters);
    assert!(offer.contains("m=application 9 "), "{offer}");
    assert!(offer.contains("c=IN IP4 0.0.0.0\r\n"), "{offer}");
}

#[test]
fn max_message_size_and_sctp_init_are_the_callers() {
    let mut parameters = parameters("alice");
    parameters.max_message_size = Some(MaxMessageSize::Unlimited);
    parameters.sctp_init = Some(SctpInit::new(&[1, 0, 0, 4]).unwrap());
    let offer = first_offer(&parameters);
    assert!(offer.contains("a=max-message-size:0\r\n"));
    assert!(offer.contains("a=sctp-init:AQAABA==\r\n"));
    parameters.max_message_size = None;
    assert!(!first_offer(&parameters).contains("max-message-size"));
}

#[test]
fn the_version_rises_by_one_when_the_content_differs_and_only_then() {
    let mut negotiation = Negotiation::new(42);
    let mut version = |name: &str, with_data| {
        let offer = negotiation.create_offer(&parameters(name), with_data).unwrap();
        offer.origin.session_version()
    };
    assert_eq!(version("alice", false), 1);
    assert_eq!(version("alice", false), 1);
    assert_eq!(version("alice", true), 2);
    assert_eq!(version("alice", true), 2);
    assert_eq!(version("carol", true), 3);
    assert_eq!(version("alice", true), 4);
}

#[test]
fn the_version_rises_beyond_that_of_a_rolled_back_offer() {
    // JSEP §5.2.2
    let mut pair = Pair::connected();
    let mut offer = |name: &str| {
        let offer = pair.alice.create_offer(&parameters(name), true).unwrap();
        pair.alice.set_local_description(TypedDescription::Offer(offer.clone())).unwrap();
        pair.alice.rollback().unwrap();
        offer.origin.session_version()
    };
    assert_eq!(offer("carol"), 2);
    assert_eq!(offer("dave"), 3);
}

#[test]
fn the_session_id_stays_the_same() {
    let mut pair = Pair::connected();
    let offer = pair.alice.create_offer(&parameters("carol"), true).unwrap();
    assert_eq!(offer.origin.session_id(), "1");
}

#[test]
fn a_later_offer_keeps_the_mid_and_offers_actpass_again() {
    let mut pair = Pair::connected();
    pair.negotiate_back(&parameters("alice"), &parameters("bob"));
    let offer = local(&pair.bob);
    let section = offer.data_section().unwrap();
    assert_eq!(section.mid().unwrap().as_str(), "0");
    assert_eq!(section.setup().unwrap().as_str(), "actpass");
    assert_eq!(offer.groups[0].to_string(), "BUNDLE 0");
}

#[test]
fn a_data_section_in_use_is_offered_again_even_without_channels() {
    let mut pair = Pair::connected();
    let offer = pair.alice.create_offer(&parameters("alice"), false).unwrap();
    assert!(offer.data_section().is_some());
}

#[test]
fn candidates_trickled_meanwhile_are_in_the_next_offer_if_the_caller_gives_them() {
    let mut pair = Pair::connected();
    let line = candidate("1 1 udp 2122260223 192.0.2.1 5001 typ host");
    pair.alice.add_candidate(Side::Local, mid("0"), &line).unwrap();
    let mut again = parameters("alice");
    again.candidates.push(line);
    let offer = pair.alice.create_offer(&again, true).unwrap();
    assert_eq!(offer.media[0].port, 5001);
    // Nothing else differs from the description with the candidate added.
    let before = local(&pair.alice).media[0].clone();
    assert_eq!(offer.media[0], before);
}

#[test]
fn rejected_sections_keep_their_slot_and_data_is_added_behind_them() {
    let mut alice = Negotiation::new(1);
    let audio = "v=0\r
o=- 5 1 IN IP4 0.0.0.0\r
s=-\r
t=0 0\r
a=group:BUNDLE a\r
m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:abcd\r
a=ice-pwd:abcdefghijklmnopqrstuv\r
a=mid:a\r
a=rtpmap:111 opus/48000/2\r
";
    alice.set_remote_description(crate::common::offer_of(audio)).unwrap();
    let answer = alice.create_answer(&parameters("alice")).unwrap();
    alice.set_local_description(TypedDescription::Answer(answer)).unwrap();

    let offer = alice.create_offer(&parameters("alice"), true).unwrap();
    let slot = &offer.media[0];
    assert_eq!((slot.kind.as_str(), slot.port), ("audio", 0));
    assert_eq!(slot.mid.as_ref().unwrap().as_str(), "a");
    assert_eq!(slot.direction, Some(Direction::Inactive));
    assert!(slot.attributes.is_empty() && slot.transport.username_fragment.is_none());
    assert_eq!(offer.media.len(), 2);
    assert!(offer.media[1].is_data());
    assert_eq!(offer.groups[0].to_string(), "BUNDLE 0");
}

#[test]
fn a_rejected_data_section_is_offered_again_in_its_slot_with_a_new_mid() {
    let mut alice = Negotiation::new(1);
    let offer = alice.create_offer(&parameters("alice"), true).unwrap();
    alice.set_local_description(TypedDescription::Offer(offer)).unwrap();
    let rejection = "v=0\r
o=- 5 1 IN IP4 0.0.0.0\r
s=-\r
t=0 0\r
m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r
c=IN IP4 0.0.0.0\r
a=mid:0\r
";
    alice.set_remote_description(answer_of(rejection)).unwrap();

    let offer = alice.create_offer(&parameters("alice"), false).unwrap();
    assert_eq!(offer.media.len(), 1);
    assert_eq!(offer.media[0].port, 0);
    assert!(offer.groups.is_empty());

    let offer = alice.create_offer(&parameters("alice"), true).unwrap();
    assert_eq!(offer.media.len(), 1);
    assert_eq!(offer.media[0].port, 9);
    assert_eq!(offer.media[0].mid.as_ref().unwrap().as_str(), "1");

    let mut bob = Negotiation::new(2);
    exchange(&mut alice, &parameters("alice"), &mut bob, &parameters("bob"));
    assert!(local(&alice).data_section().is_some());
}
