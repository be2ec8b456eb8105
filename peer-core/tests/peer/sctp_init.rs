//! `a=sctp-init`: descriptions that set up SCTP (draft-hancke-tsvwg-snap-00).

use peer_core::{DataChannelOptions, Peer, SdpType, SessionDescriptionInit, SetDescriptionError};
use proto_machine::{Seed, Timestamp};

use crate::support::{configuration, peer};

const NOW: Timestamp = Timestamp::ZERO;

/// A peer whose descriptions say nothing of it.
fn without() -> Peer {
    let mut configuration = configuration(2);
    configuration.sctp_init_in_descriptions = false;
    Peer::new(configuration, Seed::from_number(2)).unwrap()
}

fn offer(offerer: &mut Peer) -> SessionDescriptionInit {
    if offerer.channels().next().is_none() {
        offerer.create_data_channel(NOW, DataChannelOptions::new("test")).unwrap();
    }
    offerer.set_local_description(NOW, None).unwrap();
    offerer.local_description().unwrap()
}

fn answer(answerer: &mut Peer, offer: SessionDescriptionInit) -> SessionDescriptionInit {
    answerer.set_remote_description(NOW, offer).unwrap();
    answerer.set_local_description(NOW, None).unwrap();
    answerer.local_description().unwrap()
}

fn sctp_init(description: &SessionDescriptionInit) -> Option<&str> {
    description.sdp.lines().find_map(|line| line.strip_prefix("a=sctp-init:"))
}

/// §5.2, §5.4, §5.6
#[test]
fn offer_and_answer_carry_it_and_later_ones_the_same() {
    let (mut left, mut right) = (peer(1), peer(2));
    let first = offer(&mut left);
    let answered = answer(&mut right, first.clone());
    assert!(sctp_init(&first).is_some_and(|init| init.starts_with("AQAA")), "type 1, flags 0: {}", first.sdp);
    assert!(sctp_init(&answered).is_some());
    assert_ne!(sctp_init(&first), sctp_init(&answered));
    left.set_remote_description(NOW, answered.clone()).unwrap();
    let second = offer(&mut left);
    assert_eq!(sctp_init(&second), sctp_init(&first));
    assert_eq!(sctp_init(&answer(&mut right, second)), sctp_init(&answered));
}

/// §5.4: who does not support it must not answer with it. §5.6: it must not be added to an association that exists.
#[test]
fn what_one_side_does_not_know_is_neither_answered_nor_added_later() {
    let (mut left, mut right) = (peer(1), without());
    let answered = {
        let first = offer(&mut left);
        answer(&mut right, first)
    };
    assert_eq!(sctp_init(&answered), None);
    left.set_remote_description(NOW, answered).unwrap();
    assert_eq!(sctp_init(&offer(&mut left)), None);

    let (mut left, mut right) = (without(), peer(1));
    let first = offer(&mut left);
    assert_eq!(sctp_init(&first), None);
    let answered = answer(&mut right, first);
    assert_eq!(sctp_init(&answered), None);
    left.set_remote_description(NOW, answered).unwrap();
    assert_eq!(sctp_init(&offer(&mut right)), None);
}

/// §5.3, §5.5
#[test]
fn what_is_no_init_chunk_is_refused_and_nothing_has_changed() {
    let offered = offer(&mut peer(1));
    let good = sctp_init(&offered).unwrap();
    // An INIT ACK; a chunk cut short; no base64.
    for bad in [good.replacen("AQAA", "AgAA", 1), good[..8].to_owned(), "!".to_owned()] {
        let mut answerer = peer(2);
        let sdp = offered.sdp.replace(good, &bad);
        let error = answerer.set_remote_description(NOW, SessionDescriptionInit { sdp_type: SdpType::Offer, sdp });
        let named = matches!(error, Err(SetDescriptionError::SctpInit(_) | SetDescriptionError::Syntax(_)));
        assert!(named, "{bad}: {error:?}");
        assert!(error.unwrap_err().to_string().contains("sctp-init"));
        assert_eq!(answerer.remote_description(), None);
        assert!(sctp_init(&answer(&mut answerer, offered.clone())).is_some());
    }
}

/// §5.6 allows another one with a new association, which there is not.
#[test]
fn another_one_in_mid_connection_is_refused() {
    let (mut left, mut right) = (peer(1), peer(2));
    let answered = {
        let first = offer(&mut left);
        answer(&mut right, first)
    };
    left.set_remote_description(NOW, answered).unwrap();
    let mut second = offer(&mut left);
    let other = offer(&mut peer(3));
    second.sdp = second.sdp.replace(sctp_init(&second).unwrap(), sctp_init(&other).unwrap());
    right.set_remote_description(NOW, second).unwrap();
    assert_eq!(right.set_local_description(NOW, None), Err(SetDescriptionError::SctpRestart));
}
