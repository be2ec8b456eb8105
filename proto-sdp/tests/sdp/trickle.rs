//! Candidates that come after their description.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proto_sdp::limits::{MAX_CANDIDATES, MAX_CANDIDATES_IN_DESCRIPTION};
use proto_sdp::{CandidateTarget, Negotiation, Side, TrickleError, TypedDescription};

use crate::common::{Pair, accepted, candidate, data_offer, fixture, joined, local, mid, offer_of, parameters, remote};

fn line(port: u16) -> proto_sdp::Candidate {
    candidate(&format!("1 1 udp 2113937151 192.0.2.1 {port} typ host"))
}

fn index(index: usize) -> CandidateTarget<'static> {
    CandidateTarget { index: Some(index), ..CandidateTarget::default() }
}

#[test]
fn a_remote_candidate_is_in_the_description_and_in_what_is_agreed() {
    let mut pair = Pair::connected();
    let trickled = pair.alice.add_candidate(Side::Remote, mid("0"), &line(1)).unwrap();
    assert_eq!(trickled.section.index, 0);
    assert_eq!(trickled.username_fragment.unwrap().as_str(), "bobufrag");
    assert!(trickled.for_data);
    assert_eq!(remote(&pair.alice).media[0].candidates, [line(1)]);
    assert_eq!(accepted(&pair.alice).candidates[0].1, line(1));
}

#[test]
fn a_candidate_is_found_by_index_without_a_mid_and_by_mid_first() {
    let mut pair = Pair::connected();
    pair.alice.add_candidate(Side::Remote, index(0), &line(1)).unwrap();
    let both = CandidateTarget { index: Some(99), ..mid("0") };
    pair.alice.add_candidate(Side::Remote, both, &line(2)).unwrap();
    assert_eq!(accepted(&pair.alice).candidates.len(), 2);
}

#[test]
fn a_candidate_without_a_home_is_refused_and_changes_nothing() {
    let mut pair = Pair::connected();
    let before = pair.alice.signaling().clone();
    let mut refusal = |target| {
        let error = pair.alice.add_candidate(Side::Remote, target, &line(1));
        assert_eq!(pair.alice.signaling(), &before);
        error.unwrap_err()
    };
    assert_eq!(refusal(CandidateTarget::default()), TrickleError::NoTarget);
    assert_eq!(refusal(mid("7")), TrickleError::UnknownMid);
    assert_eq!(refusal(index(1)), TrickleError::UnknownIndex);
    assert_eq!(refusal(index(usize::MAX)), TrickleError::UnknownIndex);
    let foreign = CandidateTarget { username_fragment: Some("gone"), ..mid("0") };
    assert_eq!(refusal(foreign), TrickleError::UnknownUsernameFragment);
}

#[test]
fn a_candidate_before_any_description_is_refused() {
    let mut negotiation = Negotiation::new(1);
    for side in [Side::Local, Side::Remote] {
        assert_eq!(negotiation.add_candidate(side, mid("0"), &line(1)), Err(TrickleError::NoDescription));
        assert_eq!(negotiation.end_candidates(side, CandidateTarget::default()), Err(TrickleError::NoDescription));
    }
}

#[test]
fn a_candidate_with_the_fragment_of_another_generation_is_refused() {
    let mut pair = Pair::connected();
    let foreign = candidate("1 1 udp 1 192.0.2.1 9 typ host ufrag gone");
    assert_eq!(pair.alice.add_candidate(Side::Remote, mid("0"), &foreign), Err(TrickleError::UnknownUsernameFragment));
    let own = candidate("1 1 udp 1 192.0.2.1 9 typ host ufrag bobufrag");
    pair.alice.add_candidate(Side::Remote, mid("0"), &own).unwrap();
}

#[test]
fn during_an_ice_restart_a_candidate_goes_to_the_description_of_its_generation() {
    let mut pair = Pair::connected();
    let mut restarting = parameters("bob2");
    restarting.fingerprints = parameters("bob").fingerprints;
    let offer = pair.bob.create_offer(&restarting, true).unwrap();
    pair.alice.set_remote_description(offer_of(&offer.to_string())).unwrap();

    let of = |fragment| CandidateTarget { username_fragment: Some(fragment), ..mid("0") };
    pair.alice.add_candidate(Side::Remote, of("bobufrag"), &line(1)).unwrap();
    pair.alice.add_candidate(Side::Remote, of("bob2ufrag"), &line(2)).unwrap();
    // Without a fragment, the most recent generation is meant.
    pair.alice.add_candidate(Side::Remote, mid("0"), &line(3)).unwrap();

    let (_, current) = pair.alice.current_description(Side::Remote).unwrap();
    let (_, pending) = pair.alice.pending_description(Side::Remote).unwrap();
    assert_eq!(current.media[0].candidates, [line(1)]);
    assert_eq!(pending.media[0].candidates, [line(2), line(3)]);
}

#[test]
fn without_an_ice_restart_a_candidate_goes_to_both_descriptions() {
    let mut pair = Pair::connected();
    let offer = pair.bob.create_offer(&parameters("bob"), true).unwrap();
    pair.alice.set_remote_description(offer_of(&offer.to_string())).unwrap();
    pair.alice.add_candidate(Side::Remote, mid("0"), &line(1)).unwrap();
    pair.alice.rollback().unwrap();
    assert_eq!(remote(&pair.alice).media[0].candidates, [line(1)]);
}

#[test]
fn the_same_candidate_is_kept_once() {
    let mut pair = Pair::connected();
    for _ in 0..3 {
        pair.alice.add_candidate(Side::Remote, mid("0"), &line(1)).unwrap();
    }
    assert_eq!(remote(&pair.alice).media[0].candidates.len(), 1);
}

#[test]
fn candidates_of_a_section_are_limited() {
    let mut pair = Pair::connected();
    for port in 0..MAX_CANDIDATES {
        let port = u16::try_from(port).unwrap();
        pair.alice.add_candidate(Side::Remote, mid("0"), &line(port)).unwrap();
    }
    assert_eq!(pair.alice.add_candidate(Side::Remote, mid("0"), &line(9999)), Err(TrickleError::TooManyCandidates));
    // One that is known already is still fine.
    pair.alice.add_candidate(Side::Remote, mid("0"), &line(0)).unwrap();
    assert_eq!(remote(&pair.alice).media[0].candidates.len(), MAX_CANDIDATES);
}

/// Sections to fill, and one more.
const SECTIONS: usize = MAX_CANDIDATES_IN_DESCRIPTION / MAX_CANDIDATES + 1;

/// Has an offer of data channels bundled with audio: sections that share the data section's transport and have no
/// candidates.
fn with_bundled_offer() -> Negotiation {
    let mids: Vec<String> = (0..SECTIONS).map(|mid| mid.to_string()).collect();
    let mut text = joined(&data_offer()).replace("BUNDLE 0", &format!("BUNDLE {}", mids.join(" ")));
    for mid in &mids[1..] {
        let _ = write!(text, "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=bundle-only\r\na=mid:{mid}\r\n");
    }
    let mut negotiation = Negotiation::new(7);
    negotiation.set_remote_description(offer_of(&text)).unwrap();
    negotiation
}

fn answered(mut negotiation: Negotiation) -> Negotiation {
    let answer = negotiation.create_answer(&parameters("ours")).unwrap();
    negotiation.set_local_description(TypedDescription::Answer(answer)).unwrap();
    negotiation
}

/// Fills all sections but the first one: as many candidates as a description may have.
fn full() -> Negotiation {
    let mut negotiation = with_bundled_offer();
    for port in 0..MAX_CANDIDATES_IN_DESCRIPTION {
        let target = index(1 + port / MAX_CANDIDATES);
        negotiation.add_candidate(Side::Remote, target, &line(u16::try_from(port).unwrap())).unwrap();
    }
    negotiation
}

#[test]
fn candidates_of_a_description_are_limited_over_all_its_sections() {
    let mut negotiation = full();
    let before = negotiation.signaling().clone();
    assert!(remote(&negotiation).media[0].candidates.is_empty());
    assert_eq!(negotiation.add_candidate(Side::Remote, index(0), &line(9999)), Err(TrickleError::TooManyCandidates));
    // A candidate that another section has would be one more all the same.
    assert_eq!(negotiation.add_candidate(Side::Remote, index(0), &line(0)), Err(TrickleError::TooManyCandidates));
    // One that its section has already is still fine.
    negotiation.add_candidate(Side::Remote, index(1), &line(0)).unwrap();
    assert_eq!(negotiation.signaling(), &before);
}

#[test]
fn candidates_in_the_text_count_when_more_are_trickled() {
    let mut negotiation = full();
    let text = remote(&negotiation).to_string();
    negotiation.rollback().unwrap();
    negotiation.set_remote_description(offer_of(&text)).unwrap();
    assert_eq!(negotiation.add_candidate(Side::Remote, index(0), &line(9999)), Err(TrickleError::TooManyCandidates));
}

#[test]
fn what_is_agreed_has_no_more_candidates_than_a_description_and_each_one_once() {
    let candidates = accepted(&answered(full())).candidates;
    assert_eq!(candidates.len(), MAX_CANDIDATES_IN_DESCRIPTION);
    let ports: BTreeSet<u16> = candidates.iter().map(|(_, candidate)| candidate.port).collect();
    assert_eq!(ports.len(), MAX_CANDIDATES_IN_DESCRIPTION);
    assert!(candidates.is_sorted_by_key(|(_, candidate)| candidate.port), "the order is that of the sections");

    let mut negotiation = with_bundled_offer();
    for section in 1..SECTIONS {
        for port in 0..4 {
            negotiation.add_candidate(Side::Remote, index(section), &line(port)).unwrap();
        }
    }
    let candidates = accepted(&answered(negotiation)).candidates;
    assert_eq!(candidates.len(), 4);
    assert!(candidates.iter().all(|(section, _)| section.index == 1), "the first section that has it");
}

#[test]
fn a_local_candidate_becomes_the_default_destination() {
    let mut pair = Pair::connected();
    assert_eq!(local(&pair.alice).media[0].port, 9);
    pair.alice.add_candidate(Side::Local, mid("0"), &line(4711)).unwrap();
    let section = &local(&pair.alice).media[0];
    assert_eq!(section.port, 4711);
    assert_eq!(section.connection.as_ref().unwrap().ip(), Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn a_remote_candidate_does_not_touch_the_remote_default_destination() {
    let mut pair = Pair::connected();
    pair.alice.add_candidate(Side::Remote, mid("0"), &line(4711)).unwrap();
    assert_eq!(remote(&pair.alice).media[0].port, 9);
}

#[test]
fn the_end_of_candidates_is_noted_for_one_section_or_for_all() {
    for target in [mid("0"), index(0), CandidateTarget::default()] {
        let mut pair = Pair::connected();
        let ended = pair.alice.end_candidates(Side::Remote, target).unwrap();
        assert_eq!(ended.len(), 1);
        assert!(ended[0].for_data);
        assert!(accepted(&pair.alice).end_of_candidates);
    }
    let mut pair = Pair::connected();
    assert_eq!(pair.alice.end_candidates(Side::Remote, mid("7")), Err(TrickleError::UnknownMid));
}

#[test]
fn the_end_of_candidates_of_one_generation_concerns_the_sections_that_have_it() {
    let mut pair = Pair::connected();
    let of = |fragment| CandidateTarget { username_fragment: Some(fragment), ..CandidateTarget::default() };
    assert_eq!(pair.alice.end_candidates(Side::Remote, of("gone")), Err(TrickleError::UnknownUsernameFragment));
    assert!(!accepted(&pair.alice).end_of_candidates);
    assert_eq!(pair.alice.end_candidates(Side::Remote, of("bobufrag")).unwrap().len(), 1);
    assert!(accepted(&pair.alice).end_of_candidates);
}

#[test]
fn a_candidate_without_a_target_is_a_type_error_before_anything_else() {
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.add_candidate(Side::Remote, CandidateTarget::default(), &line(1)).unwrap_err();
    assert_eq!(error, TrickleError::NoTarget);
}

#[test]
fn candidates_of_sections_bundled_with_the_data_section_are_its_candidates() {
    // Chromium trickles for the first section of a bundle, here audio, which is rejected.
    let mut negotiation = Negotiation::new(7);
    negotiation.set_remote_description(offer_of(&fixture("chromium/av_dc_maxbundle.offer"))).unwrap();
    let before = negotiation.add_candidate(Side::Remote, mid("0"), &line(1)).unwrap();
    assert!(before.for_data);
    let answer = negotiation.create_answer(&parameters("ours")).unwrap();
    negotiation.set_local_description(TypedDescription::Answer(answer)).unwrap();
    let after = negotiation.add_candidate(Side::Remote, mid("0"), &line(2)).unwrap();
    assert!(after.for_data);
    let candidates = accepted(&negotiation).candidates;
    assert!([line(1), line(2)].iter().all(|line| candidates.iter().any(|(_, candidate)| candidate == line)));
}

#[test]
fn candidates_of_unrelated_sections_are_not_for_data() {
    let mut lines = data_offer();
    lines.extend(
        ["m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:audio", "a=ice-ufrag:other", "a=ice-pwd:otherotherotherotherother"]
            .map(str::to_owned),
    );
    let mut negotiation = Negotiation::new(7);
    negotiation.set_remote_description(offer_of(&joined(&lines))).unwrap();
    let trickled = negotiation.add_candidate(Side::Remote, mid("audio"), &line(1)).unwrap();
    assert!(!trickled.for_data);
}
