//! A description from the other side.

use peer_core::{Peer, SdpType, SessionDescriptionInit, SetDescriptionError, SignalingState};
use proto_machine::{Timestamp, TransmitBuffer};
use proto_sdp::SessionDescription;

use crate::bounded::drain;
use crate::peers::{Standing, new_peer, offering_peer};

/// Text, parsed, written and parsed again, and given to peers as an offer and as an answer.
///
/// - Parsing, writing and parsing again gives an equal value, and writing that gives the same text.
/// - A peer that refuses a description is in every respect as before, and has nothing to say.
/// - A peer that accepts an offer can answer it, or says why not; the answer is well-formed.
pub fn session_description(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = SessionDescription::parse(text);
    match &parsed {
        Ok(description) => {
            let written = description.to_string();
            let again = SessionDescription::parse(&written).unwrap();
            assert!(again == *description, "not the same after writing:\n{written}");
            assert_eq!(again.to_string(), written);
        }
        Err(error) => assert!(error.to_string().len() < 10_000, "an error longer than a screen"),
    }
    set(new_peer(1), SdpType::Offer, text, parsed.is_ok());
    set(offering_peer(1), SdpType::Answer, text, parsed.is_ok());
    set(offering_peer(1), SdpType::Pranswer, text, parsed.is_ok());
}

fn set(mut peer: Peer, sdp_type: SdpType, text: &str, is_well_formed: bool) {
    let now = Timestamp::ZERO;
    let mut buffer = TransmitBuffer::new(1_200);
    drop(drain(&mut peer, now, &mut buffer));
    let before = Standing::of(&peer);
    let result = peer.set_remote_description(now, SessionDescriptionInit { sdp_type, sdp: text.to_owned() });
    let is_syntax_error = matches!(result, Err(SetDescriptionError::Syntax(_)));
    assert_eq!(is_syntax_error, !is_well_formed);
    let wishes = drain(&mut peer, now, &mut buffer);
    match result {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(Standing::of(&peer), before, "refused as {error}, and yet changed");
            assert!(wishes.is_empty(), "refused as {error}, and yet it acts");
        }
        Ok(()) if sdp_type == SdpType::Offer => answer(&mut peer),
        Ok(()) => {
            let expected =
                if sdp_type == SdpType::Answer { SignalingState::Stable } else { SignalingState::HaveRemotePranswer };
            assert_eq!(peer.signaling_state(), expected);
        }
    }
}

fn answer(peer: &mut Peer) {
    let now = Timestamp::ZERO;
    assert_eq!(peer.signaling_state(), SignalingState::HaveRemoteOffer);
    let before = Standing::of(peer);
    if let Err(error) = peer.set_local_description(now, None) {
        assert_eq!(Standing::of(peer), before, "refused as {error}, and yet changed");
        return;
    }
    assert_eq!(peer.signaling_state(), SignalingState::Stable);
    let answer = peer.local_description().unwrap();
    assert!(SessionDescription::parse(&answer.sdp).is_ok(), "an answer that nobody can read:\n{}", answer.sdp);
    drop(drain(peer, now, &mut TransmitBuffer::new(1_200)));
}
