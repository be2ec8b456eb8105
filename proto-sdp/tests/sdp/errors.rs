//! Every error names its line, what is wrong and what is expected.

use proto_sdp::{ContentErrorKind, DescriptionError, Negotiation, SdpError, SessionDescription, TypedDescription};

use crate::common::{data_offer, data_offer_with, joined, offer_of, parameters, parse};

fn error_of(text: &str) -> SdpError {
    match SessionDescription::parse(text) {
        Err(error) => error,
        Ok(description) => panic!("parsed: {description:?}"),
    }
}

/// The line of the data offer that starts like this, from 1.
fn line_of(start: &str) -> usize {
    let lines = data_offer();
    let position = lines.iter().position(|line| line.starts_with(start));
    position.unwrap() + 1
}

fn refusal_of(offer: &str) -> (usize, ContentErrorKind, String) {
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.set_remote_description(offer_of(offer)).unwrap_err();
    let text = error.to_string();
    match error {
        DescriptionError::InvalidAccess(error) => (error.line(), error.kind().clone(), text),
        other => panic!("{other}"),
    }
}

/// Replaces a line of the data offer and expects a syntax error in that line with this text.
#[track_caller]
fn assert_error(start: &str, replacement: &str, message: &str) {
    let error = error_of(&data_offer_with(start, Some(replacement)));
    assert_eq!(error.to_string(), format!("line {}: {message}", line_of(start)));
    assert_eq!(error.line(), line_of(start));
}

#[test]
fn a_media_port_out_of_range_is_named() {
    assert_error(
        "m=",
        "m=application 4294967296 UDP/DTLS/SCTP webrtc-datachannel",
        "media port is 4294967296, expected a number from 0 to 65535",
    );
    assert_error(
        "m=",
        "m=application 65536 UDP/DTLS/SCTP webrtc-datachannel",
        "media port is 65536, expected a number from 0 to 65535",
    );
    assert_error(
        "m=",
        "m=application -1 UDP/DTLS/SCTP webrtc-datachannel",
        "media port is \"-1\", expected a decimal number",
    );
    assert_error(
        "m=",
        "m=application +9 UDP/DTLS/SCTP webrtc-datachannel",
        "media port is \"+9\", expected a decimal number",
    );
}

#[test]
fn an_sctp_port_out_of_range_is_named() {
    assert_error("a=sctp-port", "a=sctp-port:70000", "sctp-port is 70000, expected a number from 0 to 65535");
    assert_error(
        "a=sctp-port",
        "a=sctp-port:99999999999999999999999999",
        "sctp-port is 99999999999999999999999999, expected a number from 0 to 65535",
    );
    assert_error("a=sctp-port", "a=sctp-port", "sctp-port is missing");
}

#[test]
fn a_candidate_port_out_of_range_is_named() {
    assert_error(
        "a=setup",
        "a=candidate:1 1 udp 2113937151 192.0.2.1 70000 typ host",
        "candidate port is 70000, expected a number from 0 to 65535",
    );
}

#[test]
fn an_unknown_fingerprint_algorithm_alone_is_named() {
    assert_error(
        "a=fingerprint",
        "a=fingerprint:sha-3 83:31:56:FD",
        "fingerprint algorithm is \"sha-3\", expected sha-1, sha-224, sha-256, sha-384 or sha-512",
    );
    // RFC 8122 §5: MD5 must not be used.
    assert_error(
        "a=fingerprint",
        "a=fingerprint:md5 83:31:56:FD:66:7E:01:87:7A:8A:F6:92:DA:C7:29:38",
        "fingerprint algorithm is \"md5\", expected sha-1, sha-224, sha-256, sha-384 or sha-512",
    );
}

#[test]
fn an_unknown_fingerprint_algorithm_beside_a_known_one_is_skipped() {
    let mut lines = data_offer();
    lines.insert(line_of("a=fingerprint"), "a=fingerprint:sha-3 AA:BB".into());
    let description = parse(&joined(&lines));
    let section = description.data_section().unwrap();
    assert_eq!(section.fingerprints().len(), 1);
}

#[test]
fn an_unknown_fingerprint_algorithm_at_the_session_level_matters_only_to_sections_without_their_own() {
    let mut lines = data_offer();
    lines.insert(4, "a=fingerprint:sha-3 AA:BB".into());
    parse(&joined(&lines));
    let own = lines.iter().position(|line| line.starts_with("a=fingerprint:sha-256")).unwrap();
    lines.remove(own);
    let error = error_of(&joined(&lines));
    assert_eq!(error.line(), 5);
    assert!(error.to_string().contains("\"sha-3\""), "{error}");
}

#[test]
fn a_malformed_fingerprint_is_named() {
    for value in [
        "sha-256",
        "sha-256 ",
        "sha-256 83:31:56",
        "sha-256 83:31:5",
        "sha-256 XX:YY",
        "sha-256 8331",
        "sha-256 +1:31",
        "sha 256 83:31",
    ] {
        let line = format!("a=fingerprint:{value}");
        let error = error_of(&data_offer_with("a=fingerprint", Some(&line)));
        assert_eq!(error.line(), line_of("a=fingerprint"), "{value}");
    }
}

#[test]
fn a_fingerprint_byte_has_two_digits() {
    let line = data_offer()[line_of("a=fingerprint") - 1].clone();
    let short = format!("{}E", line.strip_suffix("E0").unwrap());
    let error = error_of(&data_offer_with("a=fingerprint", Some(&short)));
    assert_eq!(error.line(), line_of("a=fingerprint"));
    assert!(error.to_string().contains("bytes in hexadecimal"), "{error}");
}

#[test]
fn a_missing_ice_ufrag_is_named_with_the_section() {
    let (line, kind, text) = refusal_of(&data_offer_with("a=ice-ufrag", None));
    assert_eq!(kind, ContentErrorKind::MissingUsernameFragment);
    assert_eq!(line, line_of("m="));
    assert_eq!(
        text,
        "InvalidAccessError: line 6: no a=ice-ufrag applies to the section, \
         expected one in it, in its bundle's tagged section or at the session level"
    );
}

#[test]
fn every_mandatory_attribute_is_missed_by_name() {
    for (attribute, expected) in [
        ("a=ice-pwd", ContentErrorKind::MissingPassword),
        ("a=fingerprint", ContentErrorKind::MissingFingerprint),
        ("a=setup", ContentErrorKind::MissingSetup),
        ("a=sctp-port", ContentErrorKind::MissingSctpPort),
    ] {
        let (line, kind, _) = refusal_of(&data_offer_with(attribute, None));
        assert_eq!((line, kind), (line_of("m="), expected));
    }
}

#[test]
fn a_first_offer_of_a_data_section_with_port_zero_is_named() {
    let disabled = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel";
    let (line, kind, text) = refusal_of(&data_offer_with("m=", Some(disabled)));
    assert_eq!(kind, ContentErrorKind::NothingToAccept);
    assert_eq!(line, line_of("m="));
    assert!(text.contains("port 0"), "{text}");
}

#[test]
fn an_offer_of_disabled_sections_after_one_without_sections_has_nothing_to_accept_either() {
    let mut negotiation = Negotiation::new(1);
    negotiation.set_remote_description(offer_of(&joined(&data_offer()[..4]))).unwrap();
    let answer = negotiation.create_answer(&parameters("ours")).unwrap();
    negotiation.set_local_description(TypedDescription::Answer(answer)).unwrap();
    let disabled = data_offer_with("m=", Some("m=application 0 UDP/DTLS/SCTP webrtc-datachannel"));
    let error = negotiation.set_remote_description(offer_of(&disabled)).unwrap_err();
    assert!(error.to_string().contains("every section is disabled"), "{error}");
}

#[test]
fn the_line_of_a_data_section_with_port_zero_is_that_of_the_data_section() {
    let mut lines = data_offer();
    lines[5] = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel".into();
    lines.insert(5, "m=audio 0 UDP/TLS/RTP/SAVPF 0".into());
    let (line, kind, _) = refusal_of(&joined(&lines));
    assert_eq!((line, kind), (7, ContentErrorKind::NothingToAccept));
}

#[test]
fn holdconn_is_refused_in_an_offer() {
    let (line, kind, text) = refusal_of(&data_offer_with("a=setup", Some("a=setup:holdconn")));
    assert!(matches!(kind, ContentErrorKind::UnsuitableSetup { .. }));
    assert_eq!(line, line_of("m="));
    assert!(text.contains("setup is holdconn, expected actpass"), "{text}");
}

#[test]
fn values_that_break_their_grammar_are_named() {
    for (start, replacement, message) in [
        ("a=ice-ufrag", "a=ice-ufrag:abc", "ice-ufrag has 3 characters, expected 4 to 256"),
        ("a=ice-ufrag", "a=ice-ufrag:ab-cd", "ice-ufrag is \"ab-cd\", expected only letters, digits, + and /"),
        ("a=ice-pwd", "a=ice-pwd:abcdefghijklmnopqrstu", "ice-pwd has 21 characters, expected 22 to 256"),
        ("a=setup", "a=setup:actpas", "setup is \"actpas\", expected active, passive, actpass or holdconn"),
        ("a=max-message-size", "a=max-message-size:-1", "max-message-size is \"-1\", expected a decimal number"),
        ("a=mid", "a=mid:", "mid is missing"),
        ("a=setup", "a=tls-id:short", "tls-id has 5 characters, expected 20 to 255"),
        ("a=setup", "a=sctp-init:AAA", "sctp-init is \"AAA\", expected base64 of an INIT chunk"),
        ("a=ice-options", "a=ice-options:", "ice-options is missing"),
    ] {
        assert_error(start, replacement, message);
    }
}

#[test]
fn a_malformed_password_is_not_quoted() {
    let line = "a=ice-pwd:secret-secret-secret-secret";
    let error = error_of(&data_offer_with("a=ice-pwd", Some(line)));
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn an_attribute_given_twice_is_named() {
    for start in ["a=ice-ufrag", "a=ice-pwd", "a=ice-options", "a=setup", "a=mid", "a=sctp-port", "a=max-message-size"]
    {
        let mut lines = data_offer();
        let line = line_of(start);
        lines.insert(line, lines[line - 1].clone());
        let error = error_of(&joined(&lines));
        assert_eq!(error.line(), line + 1);
        assert!(error.to_string().contains(&format!("a second {start}")), "{error}");
    }
}

#[test]
fn lines_that_are_no_sdp_are_named() {
    for (position, line, expected) in [
        (1, "w=0", "v=0"),
        (1, "v=1", "v=0"),
        (3, "v=0", "a line of type"),
        (3, "no equals sign", "<type>=<value>"),
        (3, "=", "<type>=<value>"),
        (3, "=abc", "<type>=<value>"),
        (3, "ab=c", "<type>=<value>"),
        (3, "X=c", "<type>=<value>"),
        (3, "x=c", "a line of type"),
        (2, "o=- x 1 IN IP4 0.0.0.0", "a decimal number"),
        (2, "o=- 1 1 IN IP4", "unicast-address"),
        (4, "t=0", "stop-time"),
        (7, "c=IN IP4", "connection-address"),
        (7, "t=0 0", "a line of type i, c, b, k, a or m"),
        (7, "a=", "attribute name is missing"),
        (7, "a=a b:c", "a token"),
        (6, "m=application", "m=<media> <port>"),
        (6, "m=application 9 UDP/DTLS/SCTP", "m=<media> <port>"),
        (6, "m=application 9  webrtc-datachannel", "m=<media> <port>"),
        (6, "m=app/lication 9 A B", "a token"),
    ] {
        let mut lines = data_offer();
        lines[position - 1] = line.into();
        let error = error_of(&joined(&lines));
        assert_eq!(error.line(), position, "{line}: {error}");
        assert!(error.to_string().contains(expected), "{line}: {error}");
    }
}

#[test]
fn an_empty_text_is_an_error_in_line_1() {
    assert_eq!(error_of("").line(), 1);
    assert_eq!(error_of("\r\n").line(), 1);
}

#[test]
fn the_origin_and_the_session_name_are_required() {
    for start in ["o=", "s="] {
        let error = error_of(&data_offer_with(start, None));
        assert!(error.to_string().contains(start), "{error}");
    }
}

#[test]
fn blank_lines_count_as_lines() {
    let mut lines = data_offer();
    lines.insert(3, String::new());
    lines[8] = "a=ice-ufrag:x".into();
    assert_eq!(error_of(&joined(&lines)).line(), 9);
}

#[test]
fn both_line_ends_are_read_alike() {
    let unix = joined(&data_offer()).replace("\r\n", "\n");
    assert_eq!(parse(&unix), parse(&joined(&data_offer())));
}
