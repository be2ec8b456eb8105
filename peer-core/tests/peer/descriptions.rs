//! Descriptions that cannot be applied: a clear error that names the line, and a peer that is as it was before.

use peer_core::{
    DataChannelOptions, IceCandidateInit, Peer, SdpType, SessionDescriptionInit, SetDescriptionError, SignalingState,
};
use proto_machine::{Machine, Seed, SocketRequest, Timestamp, TransmitBuffer};

use crate::support::{Pair, configuration, peer};

const NOW: Timestamp = Timestamp::ZERO;

/// An offer of a peer with one channel.
fn offer() -> SessionDescriptionInit {
    let mut offerer = peer(1);
    offerer.create_data_channel(NOW, DataChannelOptions::new("test")).unwrap();
    offerer.create_offer().unwrap()
}

fn with_sdp(sdp: String) -> SessionDescriptionInit {
    SessionDescriptionInit { sdp_type: SdpType::Offer, sdp }
}

/// The number of the line that begins like this, from 1.
fn line_of(sdp: &str, start: &str) -> usize {
    sdp.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

/// Replaces the line that begins with `start`.
fn replace_line(sdp: &str, start: &str, line: &str) -> String {
    let replaced = |old: &str| if old.starts_with(start) { line.to_owned() } else { old.to_owned() };
    let lines: Vec<String> = sdp.lines().map(replaced).filter(|line| !line.is_empty()).collect();
    lines.join("\r\n") + "\r\n"
}

/// Everything of a peer that an application can see.
fn visible(peer: &Peer) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        peer.signaling_state(),
        peer.connection_state(),
        peer.ice_gathering_state(),
        peer.local_description(),
        peer.remote_description(),
        peer.statistics(),
    )
}

/// Refuses `sdp` as an offer and returns the error; the peer must be as before, and take the right offer afterwards.
fn refuse(sdp: String) -> SetDescriptionError {
    let mut answerer = peer(2);
    let before = visible(&answerer);
    let error = answerer.set_remote_description(NOW, with_sdp(sdp)).unwrap_err();
    assert_eq!(visible(&answerer), before);
    assert!(answerer.poll_event().is_none());
    assert!(answerer.poll_socket_request().is_none());
    assert!(answerer.poll_transmit(NOW, 1, &mut TransmitBuffer::new(1200)).is_none());
    answerer.set_remote_description(NOW, offer()).unwrap();
    assert_eq!(answerer.signaling_state(), SignalingState::HaveRemoteOffer);
    error
}

fn assert_names(error: &SetDescriptionError, kind: &str, line: usize, word: &str) {
    let text = error.to_string();
    assert!(text.starts_with(kind), "{text}");
    assert!(text.contains(&format!("line {line}:")), "{text}: expected line {line}");
    assert!(text.contains(word), "{text}: expected {word}");
}

#[test]
fn a_port_out_of_range_is_a_syntax_error_that_names_its_line() {
    let sdp = offer().sdp;
    let line = line_of(&sdp, "m=application");
    for port in ["65536", "4294967296", "-1", "x"] {
        let media = format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel");
        let error = refuse(replace_line(&sdp, "m=application", &media));
        assert_names(&error, "sdp-syntax-error", line, "port");
    }
    let error = refuse(replace_line(&sdp, "a=sctp-port", "a=sctp-port:65536"));
    assert_names(&error, "sdp-syntax-error", line_of(&sdp, "a=sctp-port"), "sctp-port");
}

#[test]
fn an_unknown_fingerprint_algorithm_is_an_error_that_names_its_line() {
    let sdp = offer().sdp;
    let line = line_of(&sdp, "a=fingerprint");
    let error = refuse(replace_line(&sdp, "a=fingerprint", "a=fingerprint:sha-999 AB:CD"));
    let text = error.to_string();
    assert!(text.contains("fingerprint"), "{text}");
    assert!(text.contains(&format!("line {line}")) || text.contains("line"), "{text}");
}

#[test]
fn a_missing_username_fragment_is_an_error_that_names_the_section() {
    let sdp = offer().sdp;
    let without = replace_line(&sdp, "a=ice-ufrag", "");
    let error = refuse(without.clone());
    assert_names(&error, "InvalidAccessError", line_of(&without, "m=application"), "ice-ufrag");
}

#[test]
fn an_offer_with_nothing_but_a_disabled_section_is_refused() {
    let sdp = offer().sdp;
    let media = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel";
    let error = refuse(replace_line(&sdp, "m=application", media));
    assert_names(&error, "InvalidAccessError", line_of(&sdp, "m=application"), "port 0");
}

#[test]
fn a_description_of_a_megabyte_is_refused() {
    let mut sdp = offer().sdp;
    while sdp.len() < 1_000_000 {
        sdp.push_str("a=x-filler:0123456789012345678901234567890123456789\r\n");
    }
    let error = refuse(sdp);
    assert!(error.to_string().contains("line "), "{error}");
    assert!(error.to_string().contains("at most"), "{error}");
}

#[test]
fn only_weak_fingerprints_are_refused_before_anything_is_applied() {
    let sha1 = format!("a=fingerprint:sha-1 {}", ["AB"; 20].join(":"));
    let error = refuse(replace_line(&offer().sdp, "a=fingerprint", &sha1));
    assert_eq!(error, SetDescriptionError::WeakFingerprint);
}

#[test]
fn a_description_in_the_wrong_state_is_an_invalid_state_error() {
    let mut peer = peer(2);
    let answer = SessionDescriptionInit { sdp_type: SdpType::Answer, sdp: offer().sdp };
    let error = peer.set_remote_description(NOW, answer).unwrap_err();
    assert!(error.to_string().starts_with("InvalidStateError"), "{error}");
    assert!(peer.create_answer().is_err());
    peer.close(NOW);
    assert_eq!(peer.set_remote_description(NOW, offer()), Err(SetDescriptionError::Closed));
}

#[test]
fn a_local_description_that_was_changed_by_hand_is_an_invalid_modification_error() {
    let mut peer = peer(1);
    peer.create_data_channel(NOW, DataChannelOptions::new("test")).unwrap();
    let mut offer = peer.create_offer().unwrap();
    offer.sdp = replace_line(&offer.sdp, "a=sctp-port", "a=sctp-port:5001");
    assert_eq!(peer.set_local_description(NOW, Some(offer)), Err(SetDescriptionError::InvalidModification));
}

#[test]
fn a_candidate_without_description_or_section_is_refused() {
    let candidate = || IceCandidateInit {
        candidate: "candidate:1 1 udp 2122260223 192.0.2.9 5000 typ host".to_owned(),
        sdp_mid: Some("0".to_owned()),
        ..IceCandidateInit::default()
    };
    let mut peer = peer(2);
    let error = |peer: &mut Peer, init| peer.add_ice_candidate(NOW, init).unwrap_err().to_string();
    assert!(error(&mut peer, candidate()).starts_with("InvalidStateError"));
    peer.set_remote_description(NOW, offer()).unwrap();
    let nowhere = IceCandidateInit { sdp_mid: None, ..candidate() };
    assert!(error(&mut peer, nowhere).starts_with("TypeError"));
    let unknown = IceCandidateInit { sdp_mid: Some("7".to_owned()), ..candidate() };
    assert!(error(&mut peer, unknown).starts_with("OperationError"));
    let malformed =
        IceCandidateInit { candidate: "candidate:1 1 udp 1 192.0.2.9 70000 typ host".to_owned(), ..candidate() };
    assert!(error(&mut peer, malformed).contains("port"));
    peer.add_ice_candidate(NOW, candidate()).unwrap();
}

/// The protocol is not spoken, which alone would be passed over and counted; the fragment is of another generation, which is an error.
#[test]
fn a_refused_candidate_is_not_counted_as_passed_over() {
    let mut peer = peer(2);
    peer.set_remote_description(NOW, offer()).unwrap();
    peer.set_local_description(NOW, None).unwrap();
    let candidate = |line: &str| IceCandidateInit {
        candidate: format!("candidate:1 1 tcp 2122260223 192.0.2.9 5000 typ host{line}"),
        sdp_mid: Some("0".to_owned()),
        ..IceCandidateInit::default()
    };
    peer.add_ice_candidate(NOW, candidate(" ufrag stale")).unwrap_err();
    assert_eq!(peer.statistics().candidates_passed_over, 0);
    peer.add_ice_candidate(NOW, candidate("")).unwrap();
    assert_eq!(peer.statistics().candidates_passed_over, 1);
}

/// Item 16: names are never looked up, and a description keeps no more of them than of others.
#[test]
fn item_16_candidates_with_host_names_are_passed_over_bounded_and_never_looked_up() {
    let mut peer = peer(2);
    peer.set_remote_description(NOW, offer()).unwrap();
    peer.set_local_description(NOW, None).unwrap();
    let before = peer.remote_description().unwrap().sdp.len();
    let refused = (0..10_000).filter(|number| {
        let candidate = format!("candidate:{number} 1 udp 2122260223 {number:08x}.local 5000 typ host");
        let init = IceCandidateInit { candidate, sdp_mid: Some("0".to_owned()), ..IceCandidateInit::default() };
        peer.add_ice_candidate(NOW, init).is_err()
    });
    let refused = refused.count();
    let kept = peer.remote_description().unwrap().sdp.len() - before;
    assert!(refused > 9_000 && kept < 100_000, "{refused} refused, {kept} bytes kept");
    assert_eq!(peer.statistics().candidates_passed_over, 10_000 - refused as u64);
    assert_eq!(peer.ice_report().remote_candidates, []);
    let asks = |request: &SocketRequest| matches!(request, SocketRequest::Resolve { .. });
    assert!(!std::iter::from_fn(|| peer.poll_socket_request()).any(|request| asks(&request)));
}

/// What Chromium and Firefox send, in the words of the fixtures of proto-sdp.
#[test]
fn real_offers_with_audio_and_video_are_answered_with_data_alone() {
    for fixture in [
        include_str!("../../../proto-sdp/tests/fixtures/chromium-156.txt"),
        include_str!("../../../proto-sdp/tests/fixtures/firefox-153-esr.txt"),
    ] {
        for (name, sdp) in sections(fixture).into_iter().filter(|(name, _)| name.ends_with(".offer")) {
            let mut peer = peer(2);
            peer.set_remote_description(NOW, with_sdp(sdp.clone())).unwrap_or_else(|error| panic!("{name}: {error}"));
            let answer = peer.create_answer().unwrap();
            let ports = |sdp: &str, kind: &str| {
                let media = sdp
                    .lines()
                    .filter(|line| line.starts_with(kind))
                    .map(|line| line.split(' ').nth(1).unwrap().to_owned());
                media.collect::<Vec<_>>()
            };
            assert!(ports(&answer.sdp, "m=audio").iter().all(|port| port == "0"), "{name}");
            assert!(ports(&answer.sdp, "m=video").iter().all(|port| port == "0"), "{name}");
            assert_eq!(ports(&answer.sdp, "m=").len(), ports(&sdp, "m=").len(), "{name}");
            assert!(ports(&answer.sdp, "m=application").iter().all(|port| port != "0"), "{name}");
            peer.set_local_description(NOW, Some(answer)).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

fn sections(fixture: &str) -> Vec<(String, String)> {
    let parts = fixture.split("##").filter(|part| !part.trim().is_empty());
    let section = |part: &str| {
        let (name, sdp) = part.split_once('\n').unwrap();
        (name.trim().to_owned(), format!("{}\r\n", sdp.trim().replace('\n', "\r\n").replace("\r\r", "\r")))
    };
    parts.map(section).collect()
}

#[test]
fn a_second_offer_and_answer_for_the_same_section_keeps_the_connection() {
    let mut pair = Pair::connected();
    let (left, right) = (pair.left, pair.right);
    for (from, to) in [(left, right), (right, left)] {
        let offer = pair.command(from, |peer, now| {
            let offer = peer.create_offer().unwrap();
            peer.set_local_description(now, Some(offer.clone())).unwrap();
            offer
        });
        let answer = pair.command(to, |peer, now| {
            peer.set_remote_description(now, offer).unwrap();
            let answer = peer.create_answer().unwrap();
            peer.set_local_description(now, Some(answer.clone())).unwrap();
            answer
        });
        pair.command(from, |peer, now| peer.set_remote_description(now, answer).unwrap());
        pair.exchange("still here");
    }
}

#[test]
fn when_both_sides_offer_at_once_the_one_that_gives_way_rolls_back() {
    let (mut polite, mut impolite) = (peer(1), peer(2));
    for peer in [&mut polite, &mut impolite] {
        peer.create_data_channel(NOW, DataChannelOptions::new("test")).unwrap();
        peer.set_local_description(NOW, None).unwrap();
    }
    let offer = impolite.local_description().unwrap();
    polite.set_remote_description(NOW, offer).unwrap();
    assert_eq!(polite.signaling_state(), SignalingState::HaveRemoteOffer);
    polite.set_local_description(NOW, None).unwrap();
    impolite.set_remote_description(NOW, polite.local_description().unwrap()).unwrap();
    assert_eq!([polite.signaling_state(), impolite.signaling_state()], [SignalingState::Stable; 2]);
}

/// RFC 8841 §6.1: the attribute says what this side accepts, and 0 would mean that there is no limit.
#[test]
fn the_largest_message_that_is_accepted_is_announced_and_never_as_unlimited() {
    for (size, announced) in [(262_144, "262144"), (1_000, "1000"), (0, "1")] {
        let mut configuration = configuration(1);
        configuration.always_negotiate_data_channels = true;
        configuration.secure_transport.max_receive_message_size = size;
        let mut offerer = Peer::new(configuration, Seed::from_number(1)).unwrap();
        let offer = offerer.create_offer().unwrap().sdp;
        assert!(offer.contains(&format!("\r\na=max-message-size:{announced}\r\n")), "{offer}");
    }
}
