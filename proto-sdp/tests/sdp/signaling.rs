//! The signaling state machine: every type of description in every state.

use proto_sdp::{DataSection, DescriptionError, Negotiation, SdpType, Side, SignalingState, TypedDescription};

use crate::common::{Pair, accepted, answer_of, data_offer, data_offer_with, joined, offer_of, parameters, parse};

/// A negotiation in each of the five states.
fn in_every_state() -> Vec<Negotiation> {
    let stable = Pair::connected().alice;

    let mut local_offer = stable.clone();
    let offer = local_offer.create_offer(&parameters("alice"), true).unwrap();
    local_offer.set_local_description(TypedDescription::Offer(offer)).unwrap();

    let mut remote_offer = stable.clone();
    let offer = Pair::connected().bob.create_offer(&parameters("bob"), true).unwrap();
    remote_offer.set_remote_description(TypedDescription::Offer(offer)).unwrap();

    let mut local_pranswer = remote_offer.clone();
    let answer = local_pranswer.create_answer(&parameters("alice")).unwrap();
    local_pranswer.set_local_description(TypedDescription::Pranswer(answer)).unwrap();

    let mut remote_pranswer = local_offer.clone();
    remote_pranswer.set_remote_description(TypedDescription::Pranswer(bobs_answer())).unwrap();

    vec![stable, local_offer, remote_offer, local_pranswer, remote_pranswer]
}

/// Bob's answer to Alice's second offer.
fn bobs_answer() -> proto_sdp::SessionDescription {
    let mut pair = Pair::connected();
    let offer = pair.alice.create_offer(&parameters("alice"), true).unwrap();
    pair.bob.set_remote_description(offer_of(&offer.to_string())).unwrap();
    pair.bob.create_answer(&parameters("bob")).unwrap()
}

#[test]
fn each_type_of_description_fits_exactly_the_states_of_jsep() {
    use SignalingState as State;
    let table = [
        (SdpType::Offer, Side::Local, vec![State::Stable, State::HaveLocalOffer]),
        (SdpType::Offer, Side::Remote, vec![State::Stable, State::HaveRemoteOffer]),
        (SdpType::Pranswer, Side::Local, vec![State::HaveRemoteOffer, State::HaveLocalPranswer]),
        (SdpType::Answer, Side::Local, vec![State::HaveRemoteOffer, State::HaveLocalPranswer]),
        (SdpType::Pranswer, Side::Remote, vec![State::HaveLocalOffer, State::HaveRemotePranswer]),
        (SdpType::Answer, Side::Remote, vec![State::HaveLocalOffer, State::HaveRemotePranswer]),
        (SdpType::Rollback, Side::Local, vec![State::HaveLocalOffer, State::HaveRemoteOffer]),
        (SdpType::Rollback, Side::Remote, vec![State::HaveLocalOffer, State::HaveRemoteOffer]),
    ];
    for (sdp_type, side, states) in table {
        for negotiation in in_every_state() {
            let state = negotiation.signaling_state();
            let result = try_apply(negotiation, sdp_type, side);
            assert_eq!(result.is_ok(), states.contains(&state), "{side:?} {sdp_type} in {state}: {result:?}");
        }
    }
}

/// Applies a description of that type whose content fits.
fn try_apply(mut negotiation: Negotiation, sdp_type: SdpType, side: Side) -> Result<SignalingState, DescriptionError> {
    let description = match (sdp_type, side) {
        (SdpType::Rollback, _) => TypedDescription::Rollback,
        (SdpType::Offer, Side::Local) => TypedDescription::Offer(negotiation.create_offer(&parameters("alice"), true)?),
        (SdpType::Offer, Side::Remote) => {
            let mut bob = Pair::connected().bob;
            TypedDescription::Offer(bob.create_offer(&parameters("bob"), true)?)
        }
        (_, Side::Remote) if sdp_type == SdpType::Answer => TypedDescription::Answer(bobs_answer()),
        (_, Side::Remote) => TypedDescription::Pranswer(bobs_answer()),
        (_, Side::Local) => {
            let answer = negotiation.create_answer(&parameters("alice"))?;
            if sdp_type == SdpType::Answer {
                TypedDescription::Answer(answer)
            } else {
                TypedDescription::Pranswer(answer)
            }
        }
    };
    match side {
        Side::Local => negotiation.set_local_description(description)?,
        Side::Remote => negotiation.set_remote_description(description)?,
    }
    Ok(negotiation.signaling_state())
}

#[test]
fn transitions_lead_to_the_states_of_jsep() {
    use SignalingState as State;
    let [stable, local_offer, remote_offer, local_pranswer, remote_pranswer] =
        <[Negotiation; 5]>::try_from(in_every_state()).unwrap();
    for (from, sdp_type, side, to) in [
        (&stable, SdpType::Offer, Side::Local, State::HaveLocalOffer),
        (&stable, SdpType::Offer, Side::Remote, State::HaveRemoteOffer),
        (&local_offer, SdpType::Offer, Side::Local, State::HaveLocalOffer),
        (&local_offer, SdpType::Pranswer, Side::Remote, State::HaveRemotePranswer),
        (&local_offer, SdpType::Answer, Side::Remote, State::Stable),
        (&local_offer, SdpType::Rollback, Side::Local, State::Stable),
        (&remote_offer, SdpType::Offer, Side::Remote, State::HaveRemoteOffer),
        (&remote_offer, SdpType::Pranswer, Side::Local, State::HaveLocalPranswer),
        (&remote_offer, SdpType::Answer, Side::Local, State::Stable),
        (&remote_offer, SdpType::Rollback, Side::Remote, State::Stable),
        (&local_pranswer, SdpType::Pranswer, Side::Local, State::HaveLocalPranswer),
        (&local_pranswer, SdpType::Answer, Side::Local, State::Stable),
        (&remote_pranswer, SdpType::Pranswer, Side::Remote, State::HaveRemotePranswer),
        (&remote_pranswer, SdpType::Answer, Side::Remote, State::Stable),
    ] {
        assert_eq!(try_apply(from.clone(), sdp_type, side), Ok(to));
    }
}

#[test]
fn a_description_of_the_wrong_type_is_an_invalid_state_and_changes_nothing() {
    let mut negotiation = Negotiation::new(1);
    let error = negotiation.set_remote_description(answer_of(&joined(&data_offer()))).unwrap_err();
    assert_eq!(error, DescriptionError::InvalidState { sdp_type: SdpType::Answer, state: SignalingState::Stable });
    assert_eq!(error.to_string(), "InvalidStateError: answer in signaling state stable");
    assert!(negotiation.description(Side::Remote).is_none());
}

#[test]
fn a_refused_description_leaves_every_state_as_it_was() {
    let broken = data_offer_with("a=ice-pwd", None);
    for mut negotiation in in_every_state() {
        let before = negotiation.signaling().clone();
        for description in [offer_of(&broken), answer_of(&broken), TypedDescription::Pranswer(parse(&broken))] {
            negotiation.set_remote_description(description).unwrap_err();
            assert_eq!(negotiation.signaling(), &before);
        }
    }
}

#[test]
fn a_local_description_has_to_be_the_one_last_created() {
    let mut negotiation = Negotiation::new(1);
    let old = negotiation.create_offer(&parameters("old"), true).unwrap();
    let new = negotiation.create_offer(&parameters("new"), true).unwrap();
    assert_eq!(
        negotiation.set_local_description(TypedDescription::Offer(old)),
        Err(DescriptionError::InvalidModification)
    );
    let mut changed = new.clone();
    changed.media[0].max_message_size = None;
    assert_eq!(
        negotiation.set_local_description(TypedDescription::Offer(changed)),
        Err(DescriptionError::InvalidModification)
    );
    negotiation.set_local_description(TypedDescription::Offer(new)).unwrap();
}

#[test]
fn created_descriptions_are_forgotten_when_an_answer_is_applied() {
    let pair = Pair::connected();
    assert!(pair.alice.last_created_offer().is_none());
    assert!(pair.bob.last_created_answer().is_none());
}

#[test]
fn rollback_returns_to_what_was_negotiated_before() {
    let mut pair = Pair::connected();
    let before = pair.alice.signaling().clone();
    let offer = pair.alice.create_offer(&parameters("alice2"), true).unwrap();
    pair.alice.set_local_description(TypedDescription::Offer(offer)).unwrap();
    assert!(pair.alice.pending_description(Side::Local).is_some());
    pair.alice.rollback().unwrap();
    assert_eq!(pair.alice.signaling(), &before);

    let offer = pair.bob.create_offer(&parameters("bob2"), true).unwrap();
    pair.alice.set_remote_description(TypedDescription::Offer(offer)).unwrap();
    pair.alice.set_remote_description(TypedDescription::Rollback).unwrap();
    assert_eq!(pair.alice.signaling(), &before);
}

#[test]
fn a_remote_offer_follows_a_local_one_only_after_an_explicit_rollback() {
    let mut pair = Pair::connected();
    let ours = pair.alice.create_offer(&parameters("alice"), true).unwrap();
    pair.alice.set_local_description(TypedDescription::Offer(ours)).unwrap();
    let theirs = pair.bob.create_offer(&parameters("bob"), true).unwrap();
    let error = pair.alice.set_remote_description(TypedDescription::Offer(theirs.clone()));
    assert!(matches!(error, Err(DescriptionError::InvalidState { .. })));
    pair.alice.rollback().unwrap();
    pair.alice.set_remote_description(TypedDescription::Offer(theirs)).unwrap();
}

#[test]
fn descriptions_are_pending_until_the_answer_and_current_after_it() {
    let mut pair = Pair::new();
    let offer = pair.alice.create_offer(&parameters("alice"), true).unwrap();
    pair.alice.set_local_description(TypedDescription::Offer(offer.clone())).unwrap();
    assert_eq!(pair.alice.pending_description(Side::Local), Some((SdpType::Offer, &offer)));
    assert_eq!(pair.alice.current_description(Side::Local), None);
    assert_eq!(pair.alice.description(Side::Remote), None);
    assert_eq!(pair.alice.can_trickle(), None);

    pair.bob.set_remote_description(offer_of(&offer.to_string())).unwrap();
    let answer = pair.bob.create_answer(&parameters("bob")).unwrap();
    let received = answer_of(&answer.to_string());
    pair.alice.set_remote_description(TypedDescription::Pranswer(answer.clone())).unwrap();
    assert_eq!(pair.alice.pending_description(Side::Remote), Some((SdpType::Pranswer, &answer)));
    assert_eq!(pair.alice.current_description(Side::Remote), None);
    // What is agreed provisionally is already in use.
    assert!(matches!(pair.alice.data_section(), DataSection::Accepted(_)));

    pair.alice.set_remote_description(received).unwrap();
    assert_eq!(pair.alice.pending_description(Side::Local), None);
    assert_eq!(pair.alice.current_description(Side::Local), Some((SdpType::Offer, &offer)));
    assert_eq!(pair.alice.current_description(Side::Remote), Some((SdpType::Answer, &answer)));
    assert_eq!(pair.alice.can_trickle(), Some(true));
}

#[test]
fn a_provisional_answer_may_be_followed_by_one_with_other_parameters() {
    let mut alice = Negotiation::new(1);
    let offer = alice.create_offer(&parameters("alice"), true).unwrap();
    alice.set_local_description(TypedDescription::Offer(offer.clone())).unwrap();
    for (name, last) in [("bob", false), ("carol", true)] {
        let mut other = Negotiation::new(2);
        other.set_remote_description(offer_of(&offer.to_string())).unwrap();
        let answer = other.create_answer(&parameters(name)).unwrap();
        let description = if last { TypedDescription::Answer(answer) } else { TypedDescription::Pranswer(answer) };
        alice.set_remote_description(description).unwrap();
        let fragment = accepted(&alice).username_fragment;
        assert_eq!(fragment.as_str(), format!("{name}ufrag"));
    }
    assert_eq!(alice.signaling_state(), SignalingState::Stable);
}

#[test]
fn the_names_of_types_and_states_are_the_w3cs() {
    for name in ["offer", "pranswer", "answer", "rollback"] {
        assert_eq!(name.parse::<SdpType>().unwrap().to_string(), name);
    }
    assert!("Offer".parse::<SdpType>().is_err());
    let states: Vec<String> =
        in_every_state().iter().map(|negotiation| negotiation.signaling_state().to_string()).collect();
    assert_eq!(
        states,
        ["stable", "have-local-offer", "have-remote-offer", "have-local-pranswer", "have-remote-pranswer"]
    );
}

#[test]
fn the_text_of_a_rollback_is_not_looked_at() {
    let rollback = TypedDescription::parse(SdpType::Rollback, "anything").unwrap();
    assert_eq!(rollback, TypedDescription::Rollback);
    assert!(rollback.description().is_none());
}
