//! Descriptions recorded from browsers.

use crate::common::{fixture, fixtures, parse};
use proto_sdp::{Direction, HashFunction, MaxMessageSize, MediaKind, SctpPort, Setup};

#[test]
fn every_recorded_description_is_unchanged_by_writing_and_parsing() {
    for (name, text) in fixtures() {
        let description = parse(&text);
        let written = description.to_string();
        assert_eq!(parse(&written), description, "{name}");
        assert_eq!(parse(&written).to_string(), written, "{name}");
    }
}

#[test]
fn no_line_of_a_recorded_description_is_lost_or_invented() {
    for (name, text) in fixtures() {
        let lines = |text: &str| {
            let mut lines: Vec<String> = text
                .lines()
                // The protocol of a candidate is written in lower case.
                .map(|line| line.replace(" UDP 2", " udp 2").replace(" TCP 2", " tcp 2"))
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&parse(&text).to_string()), lines(&text), "{name}");
    }
}

#[test]
fn other_attributes_keep_their_order_and_their_text() {
    let description = parse(&fixture("chromium/simulcast.offer"));
    let others: Vec<_> =
        description.media[0].attributes.iter().map(|attribute| (attribute.name(), attribute.value())).collect();
    let first_payload = others.iter().position(|(name, _)| *name == "rtpmap").unwrap();
    assert_eq!(others[first_payload], ("rtpmap", Some("96 VP8/90000")));
    assert!(others.contains(&("simulcast", Some("send l;h"))));
    assert!(others.contains(&("rtcp-rsize", None)));
    let rid = |value| others.iter().position(|other| *other == ("rid", Some(value)));
    assert!(rid("l send") < rid("h send"));
}

#[test]
fn chromium_offers_data_channels_with_everything_in_the_section() {
    let description = parse(&fixture("chromium/dc.offer"));
    let section = description.data_section().unwrap();
    assert_eq!(section.media().kind, MediaKind::Application);
    assert_eq!(section.mid().unwrap().as_str(), "0");
    assert_eq!(section.username_fragment().unwrap().as_str(), "qcT4");
    assert_eq!(section.setup(), Some(Setup::ActPass));
    assert_eq!(section.media().sctp_port, Some(SctpPort::DEFAULT));
    assert_eq!(section.media().max_message_size, Some(MaxMessageSize::from_wire(262_144)));
    assert_eq!(section.media().candidates.len(), 2);
    assert!(!section.end_of_candidates());
    assert!(description.can_trickle());
}

#[test]
fn firefox_sections_inherit_fingerprint_options_and_direction_from_the_session() {
    let description = parse(&fixture("firefox/dc.offer"));
    let section = description.data_section().unwrap();
    assert!(section.media().transport.fingerprints.is_empty());
    let fingerprint = &section.fingerprints()[0];
    assert_eq!(fingerprint.algorithm(), HashFunction::Sha256);
    assert_eq!(fingerprint.bytes()[..3], [0x6f, 0xfc, 0x3d]);
    assert!(section.ice_options().trickle());
    assert_eq!(section.direction(), Direction::SendReceive);
    assert!(section.end_of_candidates());
    assert_eq!(section.media().candidates.len(), 4);
}
