//! What an offer and its answer agree on, for recorded pairs and for the parameters one by one.

use proto_sdp::{
    DataSection, DtlsRole, MaxMessageSize, SctpPort, SessionDescription, Side, Stable, TransportParameters,
};

use crate::common::{Pair, accepted, answer_to, data_offer, data_offer_with, fixture, fixtures, joined, parse};

/// What an offer and its answer agree on, by the states that lead there.
fn agreed(offer: &SessionDescription, answer: &SessionDescription, answerer: Side) -> TransportParameters {
    let (offer, answer) = (offer.clone(), answer.clone());
    let stable = match answerer {
        Side::Remote => Stable::default().set_local_offer(offer).unwrap().set_remote_answer(answer).unwrap(),
        Side::Local => Stable::default().set_remote_offer(offer).unwrap().set_local_answer(answer).unwrap(),
    };
    match stable.current().unwrap().data_section() {
        DataSection::Accepted(transport) => *transport,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_recorded_pair_is_accepted_by_the_state_machine() {
    for (name, text) in fixtures() {
        let Some(scenario) = name.strip_suffix(".offer") else {
            continue;
        };
        let offer = parse(&text);
        let answer = parse(&fixture(&format!("{scenario}.answer")));
        let stable =
            Stable::default().set_local_offer(offer.clone()).unwrap().set_remote_answer(answer.clone()).unwrap();
        let offered = offer.data_section().is_some();
        let data = stable.current().unwrap().data_section();
        assert_eq!(matches!(data, DataSection::Accepted(_)), offered, "{name}");
        // The same exchange, seen from the other end.
        let stable = Stable::default().set_remote_offer(offer).unwrap().set_local_answer(answer).unwrap();
        let data = stable.current().unwrap().data_section();
        assert_eq!(matches!(data, DataSection::Accepted(_)), offered, "{name}");
    }
}

#[test]
fn the_recorded_data_exchange_of_chromium_is_read_from_both_ends() {
    let offer = parse(&fixture("chromium/dc.offer"));
    let answer = parse(&fixture("chromium/dc.answer"));
    let offerer = agreed(&offer, &answer, Side::Remote);
    assert_eq!(offerer.username_fragment.as_str(), "jy7P");
    assert_eq!(offerer.password.as_str(), "UVdfw10VcRpzSE/uWY6Q2l0V");
    assert_eq!(offerer.dtls_role, DtlsRole::Server);
    assert_eq!(offerer.fingerprints[0].bytes()[0], 0x6a);
    assert_eq!(offerer.candidates.len(), 2);
    assert_eq!(offerer.sctp_port, SctpPort::DEFAULT);
    assert_eq!(offerer.max_message_size.to_wire(), 262_144);
    assert!(!offerer.end_of_candidates && !offerer.ice_lite);
    assert!(offerer.ice_options.trickle() && !offerer.ice_options.ice2());

    let answerer = agreed(&offer, &answer, Side::Local);
    assert_eq!(answerer.username_fragment.as_str(), "qcT4");
    assert_eq!(answerer.dtls_role, DtlsRole::Client);
}

#[test]
fn firefox_answers_from_the_session_level_and_from_its_tagged_section() {
    let offer = parse(&fixture("firefox/av_dc_maxbundle.offer"));
    let answer = parse(&fixture("firefox/av_dc_maxbundle.answer"));
    let transport = agreed(&offer, &answer, Side::Remote);
    assert_eq!(transport.section.index, 2);
    assert_eq!(transport.fingerprints[0].bytes()[0], 0x95);
    assert_eq!(transport.candidates.len(), 4);
    assert!(transport.end_of_candidates);
    assert_eq!(transport.max_message_size.to_wire(), 1_073_741_823);
}

#[test]
fn an_absent_max_message_size_means_64_kib_and_zero_means_any_size() {
    for (line, expected) in [
        (None, MaxMessageSize::DEFAULT),
        (Some("a=max-message-size:0"), MaxMessageSize::Unlimited),
        (Some("a=max-message-size:16384"), MaxMessageSize::from_wire(16384)),
    ] {
        let (negotiation, _) = answer_to(&data_offer_with("a=max-message-size", line));
        assert_eq!(accepted(&negotiation).max_message_size, expected);
    }
}

#[test]
fn session_level_ice_attributes_are_read() {
    let mut lines = data_offer();
    lines.insert(4, "a=ice-lite".into());
    lines.insert(5, "a=ice-pacing:20".into());
    lines.insert(6, "a=end-of-candidates".into());
    let (negotiation, answer) = answer_to(&joined(&lines));
    let transport = accepted(&negotiation);
    assert!(transport.ice_lite);
    assert_eq!(transport.ice_pacing.unwrap().milliseconds(), 20);
    assert!(transport.end_of_candidates);
    // JSEP §5.2.1: a=ice-lite MUST NOT be included.
    assert!(!answer.ice_lite);
}

#[test]
fn candidates_of_another_generation_are_left_out() {
    let line = |name: &str| format!("a=candidate:1 1 udp 1 192.0.2.1 9 typ host ufrag {name}");
    let mut lines = data_offer();
    lines.extend([line("abcd"), line("gone")]);
    let (negotiation, _) = answer_to(&joined(&lines));
    let candidates = accepted(&negotiation).candidates;
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0].1.extension("ufrag"), Some("abcd"));
}

#[test]
fn the_media_level_takes_precedence_over_the_session_level() {
    let mut lines = data_offer();
    lines.insert(4, "a=ice-ufrag:session".into());
    lines.insert(5, "a=setup:passive".into());
    let (negotiation, _) = answer_to(&joined(&lines));
    assert_eq!(accepted(&negotiation).username_fragment.as_str(), "abcd");
    lines.retain(|line| line != "a=ice-ufrag:abcd");
    let (negotiation, _) = answer_to(&joined(&lines));
    assert_eq!(accepted(&negotiation).username_fragment.as_str(), "session");
}

#[test]
fn both_ends_of_an_exchange_see_each_other_and_opposite_roles() {
    let pair = Pair::connected();
    let (alice, bob) = (accepted(&pair.alice), accepted(&pair.bob));
    assert_eq!(alice.username_fragment.as_str(), "bobufrag");
    assert_eq!(bob.username_fragment.as_str(), "aliceufrag");
    assert_eq!((alice.dtls_role, bob.dtls_role), (DtlsRole::Server, DtlsRole::Client));
}
