//! A candidate from the other side.

use peer_core::{IceCandidateInit, Peer, SessionDescriptionInit};
use proto_machine::{Timestamp, TransmitBuffer};
use proto_sdp::{Candidate, SessionDescription};

use crate::bounded::{Wish, drain, expire};
use crate::peers::{Standing, negotiated_peers, new_peer, offering_peer, open_sockets};

/// Three lines: a candidate, the `mid` that it is for, and the username fragment that it belongs to. An empty `mid` means the first section.
///
/// - Parsing, writing and parsing again gives an equal value, with `a=` and without.
/// - A peer that refuses a candidate is in every respect as before.
/// - A peer that accepts one has a remote description that is still well-formed, and sends checks, if any, to the address that the candidate names.
pub fn candidate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let [line, mid, fragment] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let parsed = line.parse::<Candidate>();
    if let Ok(candidate) = &parsed {
        let written = candidate.to_string();
        assert_eq!(written.parse().as_ref(), Ok(candidate));
        assert_eq!(format!("a={written}\r\n").parse().as_ref(), Ok(candidate));
    }
    let init = IceCandidateInit {
        candidate: line.to_owned(),
        sdp_mid: (!mid.is_empty()).then(|| mid.to_owned()),
        sdp_mline_index: mid.is_empty().then_some(0),
        username_fragment: (!fragment.is_empty()).then(|| fragment.to_owned()),
    };
    // A peer without descriptions, one that has yet to answer, and one that is checking.
    assert!(!add(new_peer(2), 2, &init), "there is no section for it");
    let mut answering = new_peer(2);
    let offer = offering_peer(1).local_description().unwrap();
    answering.set_remote_description(Timestamp::ZERO, offer).unwrap();
    let before_answer = add(answering, 2, &init);
    let [checking, _] = negotiated_peers();
    let after_answer = add(checking, 1, &init);
    if parsed.is_err() && !line.is_empty() {
        assert!(!before_answer && !after_answer, "accepted, though malformed");
    }
}

/// Whether the peer has accepted it.
fn add(mut peer: Peer, number: u8, init: &IceCandidateInit) -> bool {
    let now = Timestamp::ZERO;
    let mut buffer = TransmitBuffer::new(1_200);
    drop(open_sockets(&mut peer, number, &mut buffer));
    let before = Standing::of(&peer);
    if let Err(error) = peer.add_ice_candidate(now, init.clone()) {
        let wishes = drain(&mut peer, now, &mut buffer);
        assert!(!error.to_string().is_empty());
        assert_eq!(Standing::of(&peer), before, "refused as {error}, and yet changed");
        assert!(wishes.is_empty(), "refused as {error}, and yet it acts");
        return false;
    }
    let SessionDescriptionInit { sdp, .. } = peer.remote_description().unwrap();
    let description = SessionDescription::parse(&sdp).unwrap();
    assert_eq!(description.to_string(), sdp, "written differently");
    let named = description.sections().flat_map(|section| &section.media().candidates);
    let named: Vec<_> = named.filter_map(|candidate| Some((candidate.address.ip()?, candidate.port))).collect();
    for wish in expire(&mut peer, now, &mut buffer) {
        if let Wish::Send(transmit, _) = wish {
            let to = (transmit.path.remote.ip(), transmit.path.remote.port());
            assert!(named.contains(&to), "a check for {to:?}, which nobody has named");
        }
    }
    true
}
