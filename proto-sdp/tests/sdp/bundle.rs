//! BUNDLE (RFC 9143): which section's transport attributes apply, and which section is tagged.

use proto_sdp::{ContentErrorKind, DataSection, DescriptionError, Negotiation};

use crate::common::{accepted, answer_to, data_offer, data_offer_with, fixture, joined, offer_of, parse};

const FINGERPRINT: &str = "a=fingerprint:sha-256 83:31:56:FD:66:7E:01:87:7A:8A:F6:92:DA:C7:29:38:54:C2:01:83:67:A5:D1:DD:32:E8:F2:DA:21:E6:68:E0";

/// An audio section with a transport and a data section of which the test says what it has.
fn audio_and_data(data_port: u16, data_attributes: &str) -> String {
    let text = format!(
        "v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a d
m=audio 9 UDP/TLS/RTP/SAVPF 0
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 192.0.2.1 1111 typ host
a=ice-ufrag:audio
a=ice-pwd:audioaudioaudioaudioaudio
{FINGERPRINT}
a=setup:actpass
a=mid:a
a=rtcp-mux
m=application {data_port} UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:d
a=sctp-port:5000
{data_attributes}"
    );
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    joined(&lines)
}

fn own_transport(fragment: &str) -> String {
    format!(
        "a=candidate:1 1 udp 2113937151 192.0.2.1 2222 typ host
a=ice-ufrag:{fragment}
a=ice-pwd:datadatadatadatadatadata
{FINGERPRINT}
a=setup:active"
    )
}

#[test]
fn the_tag_moves_to_the_data_section_when_the_tagged_section_is_rejected() {
    let (_, answer) = answer_to(&fixture("chromium/av_dc_maxbundle.offer"));
    assert_eq!(answer.groups.len(), 1);
    assert_eq!(answer.groups[0].to_string(), "BUNDLE 2");
    let section = answer.section_with_mid("2").unwrap().media();
    assert!(section.transport.username_fragment.is_some());
    assert!(!section.transport.fingerprints.is_empty());
    assert!(section.transport.setup.is_some());
}

#[test]
fn a_bundle_only_data_section_takes_its_transport_from_the_tagged_section() {
    let offer = audio_and_data(0, "a=bundle-only");
    let (negotiation, answer) = answer_to(&offer);
    let transport = accepted(&negotiation);
    assert_eq!(transport.username_fragment.as_str(), "audio");
    assert_eq!(transport.candidates.len(), 1);
    assert_eq!(transport.candidates[0].0.index, 0);
    assert_eq!(transport.candidates[0].1.port, 1111);
    let sections: Vec<usize> = transport.candidate_sections.iter().map(|section| section.index).collect();
    assert_eq!(sections, [1, 0]);
    let data = answer.section_with_mid("d").unwrap().media();
    assert_eq!(data.port, 9);
    assert_eq!(data.transport.setup.unwrap().as_str(), "active");
    assert_eq!(answer.groups[0].to_string(), "BUNDLE d");
    assert_eq!(answer.media[0].port, 0);
}

#[test]
fn a_transport_in_a_bundle_only_section_is_not_used() {
    // RFC 9143 §7.1.3: such a section has none, so that of the tagged section applies.
    let attributes = format!("a=bundle-only\n{}", own_transport("stale"));
    let (negotiation, _) = answer_to(&audio_and_data(0, &attributes));
    let transport = accepted(&negotiation);
    assert_eq!(transport.username_fragment.as_str(), "audio");
    assert!(transport.candidates.iter().all(|(_, candidate)| candidate.port == 1111));
}

#[test]
fn in_an_answer_the_transport_of_the_tagged_section_is_used() {
    let description = parse(&audio_and_data(9, &own_transport("data")));
    let offer = proto_sdp::Stable::default().set_local_offer(description).unwrap();
    let answer = audio_and_data(9, &own_transport("data")).replace("actpass", "active");
    let stable = offer.set_remote_answer(parse(&answer)).unwrap();
    let DataSection::Accepted(transport) = stable.current().unwrap().data_section() else {
        panic!();
    };
    assert_eq!(transport.username_fragment.as_str(), "audio");
    assert!(transport.candidates.iter().all(|(_, candidate)| candidate.port == 1111));
}

#[test]
fn firefox_max_bundle_offer_is_answered_with_the_transport_of_its_audio_section() {
    let (negotiation, answer) = answer_to(&fixture("firefox/av_dc_maxbundle.offer"));
    let offer = parse(&fixture("firefox/av_dc_maxbundle.offer"));
    assert_eq!(answer.groups[0].to_string(), "BUNDLE 2");
    let transport = accepted(&negotiation);
    let audio = offer.section(0).unwrap();
    assert_eq!(Some(&transport.username_fragment), audio.username_fragment());
    let candidates: Vec<_> = transport.candidates.iter().map(|(_, candidate)| candidate).collect();
    assert_eq!(candidates, audio.media().candidates.iter().collect::<Vec<_>>());
    let sections: Vec<usize> = transport.candidate_sections.iter().map(|section| section.index).collect();
    assert_eq!(sections, [2, 0, 1]);
}

#[test]
fn a_bundled_data_section_without_attributes_takes_those_of_the_tagged_section() {
    // As in subsequent offers of RFC 9143 §7.5, where every section has the port of the bundle.
    let (negotiation, _) = answer_to(&audio_and_data(9, ""));
    assert_eq!(accepted(&negotiation).username_fragment.as_str(), "audio");
}

#[test]
fn a_data_section_with_a_transport_of_its_own_keeps_it_when_it_becomes_the_tagged_one() {
    let (negotiation, answer) = answer_to(&audio_and_data(9, &own_transport("data")));
    let transport = accepted(&negotiation);
    assert_eq!(transport.username_fragment.as_str(), "data");
    assert_eq!(transport.candidates.len(), 1);
    assert_eq!(transport.candidates[0].1.port, 2222);
    assert_eq!(transport.candidate_sections.len(), 1);
    // The offer's data section says active, its audio section actpass.
    assert_eq!(answer.data_section().unwrap().setup().unwrap().as_str(), "passive");
}

#[test]
fn own_candidates_come_first_when_sections_share_credentials_before_bundling() {
    // Chromium's balanced offers: the same credentials but other ports in each section.
    let (negotiation, _) = answer_to(&audio_and_data(9, &own_transport("audio")));
    let transport = accepted(&negotiation);
    assert_eq!(transport.candidates.len(), 1);
    assert_eq!(transport.candidates[0].1.port, 2222);
    assert_eq!(transport.candidate_sections.len(), 2);
}

#[test]
fn a_bundle_only_data_section_outside_of_a_group_is_disabled() {
    let offer = audio_and_data(0, "a=bundle-only").replace("BUNDLE a d", "BUNDLE a");
    let (_, answer) = answer_to(&offer);
    assert_eq!(answer.media[1].port, 0);
    assert!(answer.groups.is_empty());
}

#[test]
fn a_data_section_with_port_zero_and_without_bundle_only_is_rejected_beside_audio() {
    let (_, answer) = answer_to(&audio_and_data(0, ""));
    assert_eq!(answer.media[1].port, 0);
}

#[test]
fn a_bundle_only_offer_alone_has_nothing_to_take_a_transport_from() {
    let mut lines = data_offer();
    lines.retain(|line| !line.starts_with("a=ice-ufrag"));
    lines[5] = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel".into();
    lines.push("a=bundle-only".into());
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.set_remote_description(offer_of(&joined(&lines))).unwrap_err();
    let DescriptionError::InvalidAccess(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.line(), 6);
    assert_eq!(error.kind(), &ContentErrorKind::MissingUsernameFragment);
}

#[test]
fn a_data_section_outside_of_the_group_uses_its_own_transport() {
    let offer = audio_and_data(9, &own_transport("data")).replace("BUNDLE a d", "BUNDLE a");
    let (negotiation, answer) = answer_to(&offer);
    assert_eq!(accepted(&negotiation).username_fragment.as_str(), "data");
    assert!(answer.groups.is_empty());
}

#[test]
fn a_group_with_an_unknown_mid_is_refused_with_its_line() {
    let text = audio_and_data(9, "").replace("BUNDLE a d", "BUNDLE a x");
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.set_remote_description(offer_of(&text)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "InvalidAccessError: line 5: the BUNDLE group lists mid x, expected the mid of a section"
    );
}

#[test]
fn a_mid_in_two_groups_is_refused() {
    let text = audio_and_data(9, "").replace("a=group:BUNDLE a d", "a=group:BUNDLE a d\r\na=group:BUNDLE d");
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.set_remote_description(offer_of(&text)).unwrap_err();
    assert!(error.to_string().contains("mid d is listed twice"), "{error}");
}

#[test]
fn two_sections_with_the_same_mid_are_refused() {
    let text = audio_and_data(9, "").replace("a=mid:d", "a=mid:a").replace("BUNDLE a d", "BUNDLE a");
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.set_remote_description(offer_of(&text)).unwrap_err();
    assert_eq!(error.to_string(), "InvalidAccessError: line 15: mid a is used twice, expected unique mids");
}

#[test]
fn an_answer_may_not_bundle_what_was_not_offered_in_a_group() {
    let offer = data_offer_with("a=group", None);
    let (_, answer) = answer_to(&offer);
    let bundled = answer.to_string().replace("m=", "a=group:BUNDLE 0\r\nm=");
    let offered = proto_sdp::Stable::default().set_local_offer(parse(&offer)).unwrap();
    let error = offered.set_remote_answer(parse(&bundled)).unwrap_err().error;
    assert!(matches!(error.kind(), ContentErrorKind::BundleNotOffered(mid) if mid.as_str() == "0"));
}

#[test]
fn an_answer_of_the_older_style_with_port_zero_and_bundle_only_is_accepted() {
    // RFC 9143 §7.4.1: answerers of RFC 8843 mark all sections but the tagged one, here audio, like this.
    let offer = parse(&audio_and_data(9, &own_transport("data")));
    let answer = audio_and_data(0, "a=bundle-only").replace("actpass", "active");
    let stable =
        proto_sdp::Stable::default().set_local_offer(offer).unwrap().set_remote_answer(parse(&answer)).unwrap();
    let data = stable.current().unwrap().data_section();
    let DataSection::Accepted(transport) = data else {
        panic!("{data:?}");
    };
    assert_eq!(transport.username_fragment.as_str(), "audio");
}
