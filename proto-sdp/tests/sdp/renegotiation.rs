//! Later offers and answers: order of sections, ICE restart, DTLS role (RFC 3264 §8, RFC 8839 §4.4, RFC 8842 §5).

use proto_sdp::{ContentErrorKind, DescriptionError, DtlsRole, Negotiation, Setup, TypedDescription};

use crate::common::{Pair, accepted, answer_of, data_offer, joined, local, offer_of, parameters};

fn content_error(error: DescriptionError) -> ContentErrorKind {
    match error {
        DescriptionError::InvalidAccess(error) => error.kind().clone(),
        other => panic!("{other}"),
    }
}

fn offered(negotiation: &mut Negotiation, name: &str) -> String {
    let offer = negotiation.create_offer(&parameters(name), true).unwrap();
    negotiation.set_local_description(TypedDescription::Offer(offer.clone())).unwrap();
    offer.to_string()
}

/// Bob's answer to a text, as text; Bob stays as he is.
fn answered(bob: &Negotiation, offer: &str, name: &str) -> String {
    let mut bob = bob.clone();
    bob.set_remote_description(offer_of(offer)).unwrap();
    bob.create_answer(&parameters(name)).unwrap().to_string()
}

#[test]
fn the_dtls_roles_stay_when_the_other_end_offers_next() {
    let mut pair = Pair::connected();
    assert_eq!(accepted(&pair.alice).dtls_role, DtlsRole::Server);
    assert_eq!(accepted(&pair.bob).dtls_role, DtlsRole::Client);

    pair.negotiate_back(&parameters("alice"), &parameters("bob"));

    // Alice answers now, and would take the active role if there were no association.
    let answer = local(&pair.alice).data_section().unwrap().setup();
    assert_eq!(answer, Some(Setup::Passive));
    assert_eq!(accepted(&pair.alice).dtls_role, DtlsRole::Server);
    assert_eq!(accepted(&pair.bob).dtls_role, DtlsRole::Client);
}

#[test]
fn the_dtls_roles_stay_through_an_ice_restart() {
    let mut pair = Pair::connected();
    let before = accepted(&pair.alice);
    let (mut alice, mut bob) = (parameters("alice2"), parameters("bob2"));
    alice.fingerprints = parameters("alice").fingerprints;
    bob.fingerprints = parameters("bob").fingerprints;
    pair.negotiate_back(&alice, &bob);
    let after = accepted(&pair.alice);
    assert!(after.restarts_ice(&before));
    assert!(after.continues_dtls(&before));
    assert_eq!(after.dtls_role, DtlsRole::Server);
}

#[test]
fn an_ice_restart_with_a_new_fingerprint_starts_a_new_association() {
    let mut pair = Pair::connected();
    let before = accepted(&pair.alice);
    pair.negotiate_back(&parameters("alice2"), &parameters("bob2"));
    let after = accepted(&pair.alice);
    assert!(after.restarts_ice(&before));
    assert!(!after.continues_dtls(&before));
    // The answerer chooses anew.
    assert_eq!(after.dtls_role, DtlsRole::Client);
}

#[test]
fn unchanged_credentials_are_no_ice_restart() {
    let mut pair = Pair::connected();
    let before = accepted(&pair.alice);
    pair.negotiate(&parameters("alice"), &parameters("bob"));
    let after = accepted(&pair.alice);
    assert!(!after.restarts_ice(&before));
    assert!(after.continues_dtls(&before));
}

#[test]
fn a_remote_restart_is_noticed_before_the_answer() {
    let mut pair = Pair::connected();
    let same = pair.alice.create_offer(&parameters("alice"), true).unwrap();
    let mut bob = pair.bob.clone();
    bob.set_remote_description(offer_of(&same.to_string())).unwrap();
    assert!(!bob.remote_offer_restarts_ice());

    let mut restarting = parameters("alice2");
    restarting.fingerprints = parameters("alice").fingerprints;
    let restart = pair.alice.create_offer(&restarting, true).unwrap();
    let mut bob = pair.bob.clone();
    assert!(!bob.remote_offer_restarts_ice());
    bob.set_remote_description(offer_of(&restart.to_string())).unwrap();
    assert!(bob.remote_offer_restarts_ice());
}

#[test]
fn an_answer_with_new_credentials_to_an_offer_without_restart_is_refused() {
    let mut pair = Pair::connected();
    let offer = offered(&mut pair.alice, "alice");
    let answer = answered(&pair.bob, &offer, "bob2");
    let error = pair.alice.set_remote_description(answer_of(&answer)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::IceRestartMismatch { offered: false });
}

#[test]
fn an_answer_with_old_credentials_to_an_ice_restart_is_refused() {
    let mut pair = Pair::connected();
    let offer = offered(&mut pair.alice, "alice2");
    let answer = answered(&pair.bob, &offer, "bob");
    let error = pair.alice.set_remote_description(answer_of(&answer)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::IceRestartMismatch { offered: true });
}

#[test]
fn a_local_answer_with_old_credentials_to_an_ice_restart_is_refused() {
    let mut pair = Pair::connected();
    let offer = offered(&mut pair.alice, "alice2");
    pair.bob.set_remote_description(offer_of(&offer)).unwrap();
    let answer = pair.bob.create_answer(&parameters("bob")).unwrap();
    let error = pair.bob.set_local_description(TypedDescription::Answer(answer)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::IceRestartMismatch { offered: true });
}

#[test]
fn an_offer_with_another_fingerprint_and_without_ice_restart_is_refused() {
    let mut pair = Pair::connected();
    let mut changed = parameters("alice");
    changed.fingerprints = parameters("mallory").fingerprints;
    let offer = pair.alice.create_offer(&changed, true).unwrap().to_string();
    let error = pair.bob.set_remote_description(offer_of(&offer)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::DtlsChangeWithoutIceRestart);
}

#[test]
fn an_answer_with_another_fingerprint_and_without_ice_restart_is_refused() {
    let mut pair = Pair::connected();
    let offer = offered(&mut pair.alice, "alice");
    let ours = parameters("bob").fingerprints[0].to_string();
    let other = parameters("mallory").fingerprints[0].to_string();
    let answer = answered(&pair.bob, &offer, "bob").replace(&ours, &other);
    let error = pair.alice.set_remote_description(answer_of(&answer)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::DtlsChangeWithoutIceRestart);
}

#[test]
fn an_offer_with_another_tls_id_and_without_ice_restart_is_refused() {
    let mut pair = Pair::connected();
    let offer = pair.alice.create_offer(&parameters("alice"), true).unwrap();
    let text = offer.to_string() + "a=tls-id:abcdefghijklmnopqrstuvwxyz\r\n";
    let error = pair.bob.set_remote_description(offer_of(&text)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::DtlsChangeWithoutIceRestart);
}

#[test]
fn a_role_that_changes_without_ice_restart_is_refused() {
    let mut pair = Pair::connected();
    // Alice is the server of the association; active would make her the client.
    let offer = pair.alice.create_offer(&parameters("alice"), true).unwrap();
    let wrong = offer.to_string().replace("setup:actpass", "setup:active");
    let error = pair.bob.clone().set_remote_description(offer_of(&wrong)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::DtlsChangeWithoutIceRestart);
    let right = offer.to_string().replace("setup:actpass", "setup:passive");
    pair.bob.clone().set_remote_description(offer_of(&right)).unwrap();

    let offer = offered(&mut pair.alice, "alice");
    let wrong = answered(&pair.bob, &offer, "bob").replace("setup:active", "setup:passive");
    let error = pair.alice.set_remote_description(answer_of(&wrong)).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::DtlsChangeWithoutIceRestart);
}

#[test]
fn sections_are_neither_removed_nor_replaced_by_a_later_offer() {
    let pair = Pair::connected();
    let base: Vec<String> = data_offer();
    let refusal = |lines: &[String]| {
        let mut bob = pair.bob.clone();
        content_error(bob.set_remote_description(offer_of(&joined(lines))).unwrap_err())
    };
    let mut without_group = base.clone();
    without_group.retain(|line| !line.starts_with("a=group"));

    assert_eq!(refusal(&base[..4]), ContentErrorKind::SectionCount { expected: 1, found: 0 });
    let mut other = without_group.clone();
    other[4] = "m=audio 9 UDP/TLS/RTP/SAVPF 0".into();
    assert_eq!(refusal(&other), ContentErrorKind::MediaTypeChanged);
    let mut other = without_group.clone();
    let mid = other.iter().position(|line| line == "a=mid:0").unwrap();
    other[mid] = "a=mid:7".into();
    assert_eq!(refusal(&other), ContentErrorKind::MidChanged);
}

#[test]
fn a_later_offer_may_close_everything() {
    let mut pair = Pair::connected();
    let mut lines = data_offer();
    lines.truncate(5);
    lines[4] = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel".into();
    lines.push("a=mid:0".into());
    pair.bob.set_remote_description(offer_of(&joined(&lines))).unwrap();
    let answer = pair.bob.create_answer(&parameters("bob")).unwrap();
    pair.bob.set_local_description(TypedDescription::Answer(answer)).unwrap();
    assert!(matches!(
        pair.bob.data_section(),
        proto_sdp::DataSection::Rejected(section) if section.index == 0
    ));
    // The slot may be used again, with a new mid.
    let offer = pair.bob.create_offer(&parameters("bob2"), true).unwrap();
    assert_eq!(offer.media[0].mid.as_ref().unwrap().as_str(), "1");
}

#[test]
fn sctp_port_zero_closes_the_association() {
    // RFC 8841 §10.3
    let mut pair = Pair::connected();
    let offer = offered(&mut pair.alice, "alice");
    let answer = answered(&pair.bob, &offer, "bob").replace("sctp-port:5000", "sctp-port:0");
    pair.alice.set_remote_description(answer_of(&answer)).unwrap();
    assert!(matches!(pair.alice.data_section(), proto_sdp::DataSection::Rejected(_)));
}

#[test]
fn answers_that_do_not_match_their_offer_are_refused() {
    let mut pair = Pair::new();
    let offer = offered(&mut pair.alice, "alice");
    let answer = answered(&pair.bob, &offer, "bob");
    let refusal = |answer: &str| {
        let mut alice = pair.alice.clone();
        content_error(alice.set_remote_description(answer_of(answer)).unwrap_err())
    };
    let without_group = answer.replace("a=group:BUNDLE 0\r\n", "");
    let section = without_group.find("m=").unwrap();

    assert_eq!(refusal(&without_group[..section]), ContentErrorKind::SectionCount { expected: 1, found: 0 });
    assert_eq!(
        refusal(&(without_group.clone() + "m=audio 0 RTP/AVP 0\r\n")),
        ContentErrorKind::SectionCount { expected: 1, found: 2 }
    );
    assert_eq!(refusal(&without_group.replace("m=application", "m=audio")), ContentErrorKind::MediaTypeChanged);
    assert_eq!(refusal(&without_group.replace("UDP/DTLS/SCTP", "TCP/DTLS/SCTP")), ContentErrorKind::ProtocolChanged);
    assert_eq!(refusal(&without_group.replace("a=mid:0", "a=mid:1")), ContentErrorKind::MidChanged);
    assert_eq!(refusal(&answer.replace("webrtc-datachannel", "other")), ContentErrorKind::FormatsChanged);
    for setup in ["actpass", "holdconn"] {
        let answer = answer.replace("setup:active", &format!("setup:{setup}"));
        assert!(matches!(refusal(&answer), ContentErrorKind::UnsuitableSetup { .. }));
    }
    assert_eq!(refusal(&answer.replace("a=ice-ufrag", "a=x-ice-ufrag")), ContentErrorKind::MissingUsernameFragment);
    // The unharmed answer is fine.
    pair.alice.clone().set_remote_description(answer_of(&answer)).unwrap();
}

#[test]
fn an_answer_without_mids_and_groups_is_fine() {
    let mut pair = Pair::new();
    let offer = offered(&mut pair.alice, "alice");
    let answer = answered(&pair.bob, &offer, "bob").replace("a=group:BUNDLE 0\r\n", "").replace("a=mid:0\r\n", "");
    pair.alice.set_remote_description(answer_of(&answer)).unwrap();
    assert_eq!(accepted(&pair.alice).username_fragment.as_str(), "bobufrag");
}

#[test]
fn an_answer_may_not_accept_what_the_offer_disabled() {
    let mut alice = Negotiation::new(1);
    let first = "v=0\r\no=- 5 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    alice.set_remote_description(offer_of(first)).unwrap();
    let answer = alice.create_answer(&parameters("alice")).unwrap();
    alice.set_local_description(TypedDescription::Answer(answer)).unwrap();
    let offer = offered(&mut alice, "alice");
    let error = alice.set_remote_description(answer_of(&offer.replace("m=audio 0", "m=audio 9"))).unwrap_err();
    assert_eq!(content_error(error), ContentErrorKind::AcceptsDisabled);
}
