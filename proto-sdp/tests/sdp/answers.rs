//! Generating answers (JSEP §5.3) to recorded and to hand-made offers.

use proto_sdp::{DataSection, Direction, DtlsRole, Negotiation, SctpInit, Setup, TlsId, TypedDescription};

use crate::common::{
    accepted, answer_to, data_offer, data_offer_with, fixture, fixtures, joined, offer_of, parameters, parse,
};

#[test]
fn an_answer_to_chromiums_data_offer_is_this_text() {
    let (_, answer) = answer_to(&fixture("chromium/dc.offer"));
    let fingerprint = parameters("ours").fingerprints[0].to_string();
    let expected = format!(
        "v=0\r
o=- 7 1 IN IP4 0.0.0.0\r
s=-\r
t=0 0\r
a=group:BUNDLE 0\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:oursufrag\r
a=ice-pwd:ours/password+password+pwd\r
a=ice-options:trickle\r
a=fingerprint:{fingerprint}\r
a=setup:active\r
a=mid:0\r
a=sctp-port:5000\r
a=max-message-size:262144\r
"
    );
    assert_eq!(answer.to_string(), expected);
}

#[test]
fn every_recorded_offer_is_answered_section_by_section() {
    for (name, text) in fixtures() {
        if !name.ends_with(".offer") {
            continue;
        }
        let offer = parse(&text);
        let (negotiation, answer) = answer_to(&text);
        assert_eq!(answer.media.len(), offer.media.len(), "{name}");
        for (answered, offered) in answer.media.iter().zip(&offer.media) {
            assert_eq!(answered.kind, offered.kind, "{name}");
            assert_eq!(answered.protocol, offered.protocol, "{name}");
            assert_eq!(answered.formats, offered.formats, "{name}");
            assert_eq!(answered.mid, offered.mid, "{name}");
            assert!(!answered.bundle_only, "{name}");
            assert_eq!(answered.port != 0, offered.is_data(), "{name}");
        }
        let has_data = offer.media.iter().any(|section| section.is_data());
        let data = negotiation.data_section();
        assert_eq!(matches!(data, DataSection::Accepted(_)), has_data, "{name}");
        assert_eq!(parse(&answer.to_string()), answer, "{name}");
    }
}

#[test]
fn rejected_media_sections_are_inactive_and_bare() {
    let (_, answer) = answer_to(&fixture("chromium/av.offer"));
    for section in &answer.media {
        assert_eq!(section.port, 0);
        assert_eq!(section.direction, Some(Direction::Inactive));
        assert!(section.attributes.is_empty());
        assert!(section.transport.fingerprints.is_empty());
    }
    assert!(answer.groups.is_empty());
}

#[test]
fn the_setup_of_the_answer_fits_that_of_the_offer() {
    for (offered, answered, role) in [
        ("actpass", Setup::Active, DtlsRole::Client),
        ("active", Setup::Passive, DtlsRole::Server),
        ("passive", Setup::Active, DtlsRole::Client),
    ] {
        let offer = data_offer_with("a=setup", Some(&format!("a=setup:{offered}")));
        let (negotiation, answer) = answer_to(&offer);
        assert_eq!(answer.data_section().unwrap().setup(), Some(answered));
        assert_eq!(accepted(&negotiation).dtls_role, role);
    }
}

#[test]
fn the_preferred_role_is_taken_when_the_offer_leaves_the_choice() {
    let mut negotiation = Negotiation::new(7);
    negotiation.set_remote_description(offer_of(&joined(&data_offer()))).unwrap();
    let mut ours = parameters("ours");
    ours.preferred_role = DtlsRole::Server;
    let answer = negotiation.create_answer(&ours).unwrap();
    assert_eq!(answer.data_section().unwrap().setup(), Some(Setup::Passive));
}

#[test]
fn only_offered_ice_options_are_answered() {
    for (offered, answered) in [
        (Some("a=ice-options:trickle ice2 renomination"), "trickle ice2"),
        (Some("a=ice-options:renomination ice2"), "ice2"),
        (None, ""),
    ] {
        let (_, answer) = answer_to(&data_offer_with("a=ice-options", offered));
        let section = answer.data_section().unwrap();
        assert_eq!(section.ice_options().to_string(), answered);
    }
}

#[test]
fn a_mid_is_answered_if_and_only_if_it_was_offered() {
    let mut lines = data_offer();
    lines.retain(|line| !line.starts_with("a=mid") && !line.starts_with("a=group"));
    let (negotiation, answer) = answer_to(&joined(&lines));
    assert_eq!(answer.media[0].mid, None);
    assert!(answer.groups.is_empty());
    assert_eq!(accepted(&negotiation).section.mid, None);
}

#[test]
fn an_offer_without_bundle_is_answered_without_bundle() {
    let (_, answer) = answer_to(&data_offer_with("a=group", None));
    assert!(answer.groups.is_empty());
    assert_eq!(answer.media[0].mid.as_ref().unwrap().as_str(), "0");
}

#[test]
fn tls_id_and_sctp_init_are_answered_if_and_only_if_they_were_offered() {
    let mut ours = parameters("ours");
    ours.tls_id = Some(TlsId::new(&"t".repeat(20)).unwrap());
    ours.sctp_init = Some(SctpInit::new(&[1, 0, 0, 4]).unwrap());
    let offers = [
        (joined(&data_offer()), false),
        (joined(&data_offer()) + "a=tls-id:abcdefghijklmnopqrstuvwxyz\r\na=sctp-init:AQAABA==\r\n", true),
    ];
    for (offer, offered) in offers {
        let mut negotiation = Negotiation::new(7);
        negotiation.set_remote_description(offer_of(&offer)).unwrap();
        let answer = negotiation.create_answer(&ours).unwrap();
        let section = answer.data_section().unwrap();
        assert_eq!(section.tls_id().is_some(), offered);
        assert_eq!(section.media().sctp_init.is_some(), offered);
    }
}

#[test]
fn the_protocol_of_the_answer_is_exactly_that_of_the_offer() {
    let offer = data_offer_with("m=", Some("m=application 9 TCP/DTLS/SCTP webrtc-datachannel"));
    let (_, answer) = answer_to(&offer);
    assert_eq!(answer.media[0].protocol.as_str(), "TCP/DTLS/SCTP");
    assert_eq!(answer.media[0].port, 9);
}

#[test]
fn sections_that_are_no_data_section_of_ours_are_rejected() {
    for line in [
        "m=application 9 UDP/DTLS/SCTP other-protocol",
        "m=application 9 DTLS/SCTP 5000",
        "m=message 9 TCP/MSRP *",
        "m=application 9 RTP/AVP 0",
    ] {
        let (negotiation, answer) = answer_to(&data_offer_with("m=", Some(line)));
        assert_eq!(answer.media[0].port, 0, "{line}");
        assert!(!matches!(negotiation.data_section(), DataSection::Accepted(_)));
    }
}

#[test]
fn only_the_first_of_two_data_sections_is_accepted() {
    let mut lines = data_offer();
    let second: Vec<String> = lines[5..].iter().map(|line| line.replace("a=mid:0", "a=mid:1")).collect();
    lines.extend(second);
    lines[4] = "a=group:BUNDLE 0 1".into();
    let (_, answer) = answer_to(&joined(&lines));
    let ports: Vec<u16> = answer.media.iter().map(|section| section.port).collect();
    assert_eq!(ports, [9, 0]);
    assert_eq!(answer.groups[0].to_string(), "BUNDLE 0");
}

#[test]
fn a_data_section_with_sctp_port_zero_is_rejected() {
    // RFC 8841 §10.3
    let (_, answer) = answer_to(&data_offer_with("a=sctp-port", Some("a=sctp-port:0")));
    assert_eq!(answer.media[0].port, 0);
}

#[test]
fn three_fingerprints_are_all_kept() {
    let sha256 = data_offer()[10].clone();
    let sha384 = format!("a=fingerprint:sha-384 {}", ["AB"; 48].join(":"));
    let sha512 = format!("a=fingerprint:sha-512 {}", ["CD"; 64].join(":"));
    let mut lines = data_offer();
    lines.splice(10..11, [sha256, sha384, sha512]);
    let (negotiation, _) = answer_to(&joined(&lines));
    let transport = accepted(&negotiation);
    assert_eq!(transport.fingerprints.len(), 3);
    let strongest: Vec<_> = transport.strongest_fingerprints().collect();
    assert_eq!(strongest.len(), 1);
    assert_eq!(strongest[0].bytes(), [0xcd; 64]);
}

#[test]
fn answers_need_a_remote_offer() {
    let mut negotiation = Negotiation::new(7);
    assert!(negotiation.create_answer(&parameters("ours")).is_err());
    let offer = negotiation.create_offer(&parameters("ours"), true).unwrap();
    negotiation.set_local_description(TypedDescription::Offer(offer)).unwrap();
    assert!(negotiation.create_answer(&parameters("ours")).is_err());
}
