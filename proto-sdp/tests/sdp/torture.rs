//! Hostile and broken text: an error or a description, never a panic, and never a state changed by an error.

use std::fmt::Write as _;

use proto_sdp::{Candidate, Negotiation, SdpType, SessionDescription, TypedDescription};

use crate::common::{SEED, check, data_offer, data_offer_with, fixture, fixtures, joined, parameters};

/// Does everything that can be done with a text, as an offer and as an answer.
fn exercise(text: &str) {
    let Ok(description) = SessionDescription::parse(text) else {
        return;
    };
    let written = description.to_string();
    let again =
        SessionDescription::parse(&written).unwrap_or_else(|error| panic!("{error} in what was written:\n{written}"));
    assert_eq!(again, description, "{written}");

    let mut answerer = Negotiation::new(1);
    if answerer.set_remote_description(TypedDescription::Offer(description.clone())).is_ok() {
        let answer = answerer.create_answer(&parameters("ours")).unwrap();
        answerer.set_local_description(TypedDescription::Answer(answer)).unwrap();
        let _ = answerer.data_section();
        let offer = answerer.create_offer(&parameters("ours"), true).unwrap();
        answerer.set_local_description(TypedDescription::Offer(offer)).unwrap();
    }
    let mut offerer = Negotiation::new(1);
    let offer = offerer.create_offer(&parameters("ours"), true).unwrap();
    offerer.set_local_description(TypedDescription::Offer(offer)).unwrap();
    let before = offerer.signaling().clone();
    match offerer.set_remote_description(TypedDescription::Answer(description)) {
        Ok(()) => drop(offerer.data_section()),
        Err(_) => assert_eq!(offerer.signaling(), &before),
    }
}

/// A small generator for the choices of these tests.
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

#[test]
fn every_recorded_description_can_be_cut_off_at_every_byte() {
    for (_, text) in fixtures() {
        for end in 0..text.len() {
            exercise(&text[..end]);
        }
    }
}

#[test]
fn any_byte_of_a_recorded_description_can_be_flipped() {
    let mut choice = Choice(SEED);
    for (_, text) in fixtures() {
        for position in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[position] ^= 1 << choice.below(8);
            exercise(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn lines_can_be_shuffled_repeated_and_dropped() {
    let mut choice = Choice(SEED);
    for (_, text) in fixtures() {
        for _ in 0..20 {
            let mut lines: Vec<&str> = text.lines().collect();
            for _ in 0..4 {
                let (from, to) = (choice.below(lines.len()), choice.below(lines.len()));
                match choice.below(3) {
                    0 => lines.swap(from, to),
                    1 => lines.insert(to, lines[from]),
                    _ => drop(lines.remove(from)),
                }
            }
            exercise(&lines.join("\r\n"));
        }
    }
}

#[test]
fn lines_of_different_descriptions_can_be_mixed() {
    let mut choice = Choice(SEED);
    let all: Vec<String> = fixtures().into_iter().map(|(_, text)| text).collect();
    let lines: Vec<&str> = all.iter().flat_map(|text| text.lines()).collect();
    for _ in 0..500 {
        let mut mixed = all[choice.below(all.len())].clone();
        for _ in 0..8 {
            let line = lines[choice.below(lines.len())];
            let _ = write!(mixed, "{line}\r\n");
        }
        exercise(&mixed);
    }
}

#[test]
fn any_text_is_an_error_or_a_description() {
    #[expect(clippy::needless_pass_by_value, reason = "quickcheck gives values")]
    fn property(text: String) -> bool {
        exercise(&text);
        exercise(&format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n{text}"));
        let _ = text.parse::<Candidate>();
        true
    }
    check(500, property as fn(String) -> bool);
}

#[test]
fn any_value_of_any_attribute_is_an_error_or_a_description() {
    const NAMES: [&str; 16] = [
        "candidate",
        "fingerprint",
        "ice-ufrag",
        "ice-pwd",
        "ice-options",
        "ice-pacing",
        "setup",
        "tls-id",
        "mid",
        "group",
        "sctp-port",
        "max-message-size",
        "sctp-init",
        "bundle-only",
        "rtpmap",
        "end-of-candidates",
    ];
    #[expect(clippy::needless_pass_by_value, reason = "quickcheck gives values")]
    fn property(value: String) -> bool {
        for name in NAMES {
            exercise(&(joined(&data_offer()) + &format!("a={name}:{value}\r\n")));
        }
        true
    }
    check(200, property as fn(String) -> bool);
}

#[test]
fn a_nul_in_a_format_parameter_is_an_error_in_its_line() {
    let text = fixture("chromium/av.offer");
    let with_nul = text.replace("minptime=10", "minptime=\0");
    let line = 1 + text.lines().position(|line| line.contains("minptime=10")).unwrap();
    let error = SessionDescription::parse(&with_nul).unwrap_err();
    assert_eq!(error.line(), line);
    assert!(error.to_string().contains("without NUL"), "{error}");
}

#[test]
fn a_bare_carriage_return_cannot_smuggle_a_line() {
    let text = data_offer_with("a=mid", Some("a=mid:0\ra=ice-ufrag:evil"));
    let error = SessionDescription::parse(&text).unwrap_err();
    assert_eq!(error.line(), 13);
}

#[test]
fn long_candidate_tokens_are_errors() {
    for length in [33, 257, 4000, 8000] {
        let token = "a".repeat(length);
        for line in [
            format!("{token} 1 udp 1 192.0.2.1 9 typ host"),
            format!("1 1 {token} 1 192.0.2.1 9 typ host"),
            format!("1 {} udp 1 192.0.2.1 9 typ host", "1".repeat(length)),
            format!("1 1 udp 1 192.0.2.1 9 typ host generation {token}"),
            format!("1 1 udp 1 {token} 9 typ host"),
        ] {
            if length == 33 && !line.starts_with("aa") && !line.contains("1111") {
                continue;
            }
            let error = line.parse::<Candidate>().unwrap_err();
            assert!(error.to_string().len() < 300, "{error}");
            let text = data_offer_with("a=setup", Some(&format!("a=candidate:{line}")));
            let error = SessionDescription::parse(&text).unwrap_err();
            assert_eq!(error.line(), 12);
        }
    }
}

#[test]
fn numbers_of_any_size_are_errors_and_never_wrap() {
    for number in ["65536", "4294967296", "4294967305", "18446744073709551625", "-1", "0x10", "1e3", ""] {
        for (start, line) in [
            ("m=", format!("m=application {number} UDP/DTLS/SCTP webrtc-datachannel")),
            ("a=sctp-port", format!("a=sctp-port:{number}")),
            ("a=setup", format!("a=candidate:1 1 udp 1 192.0.2.1 {number} typ host")),
        ] {
            let text = data_offer_with(start, Some(&line));
            assert!(SessionDescription::parse(&text).is_err(), "{line}");
        }
    }
}

#[test]
fn errors_do_not_grow_with_the_input() {
    let text = data_offer_with("a=setup", Some(&format!("a=setup:{}", "ä".repeat(4000))));
    let error = SessionDescription::parse(&text).unwrap_err();
    assert!(error.to_string().len() < 300);
}

#[test]
fn many_small_sections_and_groups_take_no_long_time() {
    // 255 sections in one group, each asked for its transport.
    let mids: Vec<String> = (0..255).map(|mid| mid.to_string()).collect();
    let mut text = format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\na=group:BUNDLE {}\r\n", mids.join(" "));
    for mid in &mids {
        let _ = write!(text, "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=bundle-only\r\na=mid:{mid}\r\n");
    }
    let description = TypedDescription::parse(SdpType::Offer, &text).unwrap();
    let mut negotiation = Negotiation::new(1);
    assert!(negotiation.set_remote_description(description).is_err());
}
