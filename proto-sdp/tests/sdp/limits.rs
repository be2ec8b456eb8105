//! Every bound is reached, and the line that goes beyond it is named.

use proto_sdp::limits::{
    MAX_CANDIDATE_BYTES, MAX_CANDIDATE_EXTENSIONS, MAX_CANDIDATES, MAX_CANDIDATES_IN_DESCRIPTION,
    MAX_DESCRIPTION_BYTES, MAX_FINGERPRINTS, MAX_FORMATS, MAX_GROUPS, MAX_ICE_OPTIONS, MAX_LINE_BYTES, MAX_LINES,
    MAX_MEDIA_SECTIONS, MAX_SCTP_INIT_BYTES,
};
use proto_sdp::{Attribute, Candidate, IceOptions, SctpInit, SdpError, SdpErrorKind, SessionDescription};

use crate::common::{data_offer, joined};

/// The data offer with as many lines at the end.
fn with_lines(count: usize, line: impl Fn(usize) -> String) -> (String, usize) {
    let mut lines = data_offer();
    let before = lines.len();
    lines.extend((0..count).map(line));
    (joined(&lines), before)
}

fn error_of(text: &str) -> SdpError {
    SessionDescription::parse(text).unwrap_err()
}

/// `limit` lines are fine, and one more is refused in its own line.
#[track_caller]
fn assert_limit(limit: usize, already: usize, line: impl Fn(usize) -> String) {
    let room = limit - already;
    let (text, _) = with_lines(room, &line);
    SessionDescription::parse(&text).unwrap();
    let (text, before) = with_lines(room + 1, &line);
    let error = error_of(&text);
    assert_eq!(error.line(), before + room + 1, "{error}");
    assert!(matches!(error.kind(), SdpErrorKind::TooMany { limit: named, .. } if *named == limit), "{error}");
}

#[test]
fn a_description_of_a_megabyte_is_refused_and_the_line_is_named() {
    let (text, before) = with_lines(1024, |_| format!("a=x:{}", "y".repeat(1020)));
    assert!(text.len() > 1024 * 1024);
    let error = error_of(&text);
    assert_eq!(error.kind(), &SdpErrorKind::DescriptionTooLong { length: text.len(), limit: MAX_DESCRIPTION_BYTES });
    assert!(error.line() > before && error.line() < before + 300);
    assert_eq!(
        error.to_string(),
        format!("line {}: the description has {} bytes, expected at most 262144", error.line(), text.len())
    );
}

#[test]
fn a_description_of_exactly_the_limit_is_parsed() {
    let (mut text, _) = with_lines(250, |_| format!("a=x:{}", "y".repeat(1020)));
    let room = MAX_DESCRIPTION_BYTES - text.len() - "a=x:\r\n".len();
    text.push_str(&format!("a=x:{}\r\n", "y".repeat(room)));
    assert_eq!(text.len(), MAX_DESCRIPTION_BYTES);
    SessionDescription::parse(&text).unwrap();
    text.push('\n');
    assert!(SessionDescription::parse(&text).is_err());
}

#[test]
fn a_line_may_have_8192_bytes() {
    let line = |length: usize| format!("a=x:{}", "y".repeat(length - 4));
    let (text, _) = with_lines(1, |_| line(MAX_LINE_BYTES));
    SessionDescription::parse(&text).unwrap();
    let (text, before) = with_lines(1, |_| line(MAX_LINE_BYTES + 1));
    let error = error_of(&text);
    assert_eq!(error.line(), before + 1);
    assert!(matches!(error.kind(), SdpErrorKind::LineTooLong { .. }));
}

#[test]
fn an_attribute_longer_than_a_line_cannot_be_made() {
    let room = MAX_LINE_BYTES - "a=x:".len();
    assert!(Attribute::new("x", Some(&"y".repeat(room))).is_ok());
    assert!(Attribute::new("x", Some(&"y".repeat(room + 1))).is_err());
}

#[test]
fn lines_are_limited() {
    let count = MAX_LINES - data_offer().len();
    // The text ends with a line end, after which an empty line is counted.
    let (text, _) = with_lines(count - 1, |_| "a=x".to_owned());
    SessionDescription::parse(&text).unwrap();
    let (text, _) = with_lines(count, |_| "a=x".to_owned());
    let error = error_of(&text);
    assert_eq!(error.line(), MAX_LINES + 1);
    assert!(matches!(error.kind(), SdpErrorKind::TooMany { .. }));
}

#[test]
fn media_sections_are_limited() {
    assert_limit(MAX_MEDIA_SECTIONS, 1, |_| "m=audio 0 RTP/AVP 0".to_owned());
}

#[test]
fn candidates_of_a_section_are_limited() {
    assert_limit(MAX_CANDIDATES, 0, |index| format!("a=candidate:{index} 1 udp 1 192.0.2.1 9 typ host"));
}

#[test]
fn candidates_of_a_description_are_limited_over_all_its_sections() {
    // Sections that are nearly full, so that no section reaches its own limit.
    let section = MAX_CANDIDATES;
    let line = |index: usize| match index % section {
        0 => "m=audio 0 RTP/AVP 0".to_owned(),
        _ => format!("a=candidate:{index} 1 udp 1 192.0.2.1 9 typ host"),
    };
    let full = MAX_CANDIDATES_IN_DESCRIPTION + MAX_CANDIDATES_IN_DESCRIPTION.div_ceil(section - 1);
    let (text, _) = with_lines(full, line);
    let description = SessionDescription::parse(&text).unwrap();
    let found: usize = description.media.iter().map(|media| media.candidates.len()).sum();
    assert_eq!(found, MAX_CANDIDATES_IN_DESCRIPTION);
    assert!(description.media.iter().all(|media| media.candidates.len() < MAX_CANDIDATES));

    let (text, before) = with_lines(full + 1, line);
    let error = error_of(&text);
    assert_eq!(error.line(), before + full + 1, "{error}");
    let limit = MAX_CANDIDATES_IN_DESCRIPTION;
    assert_eq!(error.kind(), &SdpErrorKind::TooMany { what: "candidates in all sections", limit });
}

#[test]
fn candidate_lines_that_are_skipped_count_for_no_limit() {
    let (text, _) = with_lines(2 * MAX_CANDIDATES_IN_DESCRIPTION, |index| match index % MAX_CANDIDATES {
        0 => format!("a=candidate:{index} 1 udp 1 192.0.2.1 9 typ host"),
        _ => format!("a=candidate:{index} 1 udp 1 fe80::1%eth0 9 typ host"),
    });
    let description = SessionDescription::parse(&text).unwrap();
    assert_eq!(description.media[0].candidates.len(), 2 * MAX_CANDIDATES_IN_DESCRIPTION / MAX_CANDIDATES);
    // Nor do they break the limit once it is reached.
    let (text, _) = with_lines(MAX_CANDIDATES + 1, |index| match index {
        MAX_CANDIDATES => "a=candidate:1 1 udp 1 fe80::1%eth0 9 typ host".to_owned(),
        _ => format!("a=candidate:{index} 1 udp 1 192.0.2.1 9 typ host"),
    });
    assert_eq!(SessionDescription::parse(&text).unwrap().media[0].candidates.len(), MAX_CANDIDATES);
}

#[test]
fn fingerprints_of_a_section_are_limited() {
    let fingerprint = data_offer().into_iter().find(|line| line.starts_with("a=fingerprint")).unwrap();
    assert_limit(MAX_FINGERPRINTS, 1, |_| fingerprint.clone());
    // Unknown ones count as well.
    assert_limit(MAX_FINGERPRINTS, 1, |_| "a=fingerprint:sha-3 AA".to_owned());
}

#[test]
fn groups_are_limited() {
    let text = |count: usize| {
        let mut lines = data_offer();
        let groups = (1..count).map(|_| "a=group:LS 0".to_owned());
        lines.splice(4..4, groups);
        joined(&lines)
    };
    SessionDescription::parse(&text(MAX_GROUPS)).unwrap();
    let error = error_of(&text(MAX_GROUPS + 1));
    assert_eq!(error.line(), 4 + MAX_GROUPS + 1);
}

#[test]
fn formats_of_a_section_are_limited() {
    let line = |count: usize| format!("m=audio 0 RTP/AVP{}", " 0".repeat(count));
    let (text, _) = with_lines(1, |_| line(MAX_FORMATS));
    SessionDescription::parse(&text).unwrap();
    let (text, before) = with_lines(1, |_| line(MAX_FORMATS + 1));
    assert_eq!(error_of(&text).line(), before + 1);
}

#[test]
fn ice_options_are_limited() {
    let options = |count: usize| {
        let tags: Vec<String> = (0..count).map(|tag| format!("option{tag}")).collect();
        tags.join(" ").parse::<IceOptions>()
    };
    assert!(options(MAX_ICE_OPTIONS).is_ok());
    assert!(options(MAX_ICE_OPTIONS + 1).is_err());
}

#[test]
fn candidate_extensions_are_limited() {
    let line = |count: usize| {
        let extensions = " name value".repeat(count);
        format!("1 1 udp 1 192.0.2.1 9 typ host{extensions}").parse::<Candidate>()
    };
    assert!(line(MAX_CANDIDATE_EXTENSIONS).is_ok());
    assert!(line(MAX_CANDIDATE_EXTENSIONS + 1).is_err());
}

#[test]
fn a_candidate_alone_is_as_long_as_a_line_at_most() {
    let line = format!("1 1 udp 1 192.0.2.1 9 typ host{}", " ".repeat(MAX_LINE_BYTES));
    assert!(line.parse::<Candidate>().is_err());
}

#[test]
fn a_candidate_has_512_bytes_at_most_however_it_is_prefixed() {
    let line = |length: usize| {
        let start = format!("1 1 udp 1 192.0.2.1 9 typ host a {} b ", "x".repeat(240));
        let value = "y".repeat(length - start.len());
        start + &value
    };
    for prefix in ["", "candidate:", "a=candidate:"] {
        assert!(format!("{prefix}{}", line(MAX_CANDIDATE_BYTES)).parse::<Candidate>().is_ok());
        let error = format!("{prefix}{}", line(MAX_CANDIDATE_BYTES + 1)).parse::<Candidate>().unwrap_err();
        assert_eq!(error.to_string(), "candidate has 513 characters, expected 1 to 512");
    }
    let (text, _) = with_lines(1, |_| format!("a=candidate:{}", line(MAX_CANDIDATE_BYTES)));
    SessionDescription::parse(&text).unwrap();
    let (text, before) = with_lines(1, |_| format!("a=candidate:{}", line(MAX_CANDIDATE_BYTES + 1)));
    assert_eq!(error_of(&text).line(), before + 1);
}

#[test]
fn a_candidate_that_was_read_is_not_too_long_to_be_read_again() {
    // Written in decimal, the address is longer than it is here.
    let line =
        |length: usize| format!("1 1 udp 1 ::ffff:fefe:fefe 9 typ host a {} b {}", "x".repeat(250), "y".repeat(length));
    for length in 1..=256 {
        if let Ok(candidate) = line(length).parse::<Candidate>() {
            assert_eq!(candidate.to_string().parse().as_ref(), Ok(&candidate), "{length}");
        }
    }
    assert!(line(256).parse::<Candidate>().is_err());
}

#[test]
fn an_init_chunk_has_1_to_2048_bytes() {
    assert!(SctpInit::new(&[]).is_err());
    assert!(SctpInit::new(&[0; MAX_SCTP_INIT_BYTES]).is_ok());
    assert!(SctpInit::new(&[0; MAX_SCTP_INIT_BYTES + 1]).is_err());
}
