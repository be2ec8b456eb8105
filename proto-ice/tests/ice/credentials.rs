//! Items 1-8: credentials, and what counts as STUN of the other agent.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_ice::{
    CandidatePairState, DropReason, IceAgent, IceConfig, IceParameters, IcePassword, IceRole, PairFailure,
    SetRemoteParametersError,
};
use proto_machine::{Seed, Timestamp};
use stun_types::message::MessageClass;

use crate::lone::{Lone, PEER_FRAGMENT, PEER_PASSWORD, peer_parameters, success};
use crate::messages::{Forge, USE_CANDIDATE};

const PEER: &str = "198.51.100.2:6000";
const ELSEWHERE: &str = "203.0.113.9:7000";
const FINGERPRINT: u16 = 0x8028;
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const ALTERNATE_SERVER: u16 = 0x8023;

fn is_ice_string(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Item 1 (RFC 8445 §5.3, RFC 8839 §5.4): six bits a character.
#[test]
fn item_01_password_and_fragment_have_128_and_24_random_bits_of_ice_chars() {
    let mut seen = BTreeSet::new();
    for number in 0..200 {
        let agent = IceAgent::new(IceConfig::default(), IceRole::Controlling, Seed::from_number(number));
        let IceParameters { username_fragment, password, .. } = agent.local_parameters().clone();
        assert!((4..=32).contains(&username_fragment.len()) && username_fragment.len() * 6 >= 24);
        assert!((22..=256).contains(&password.as_str().len()) && password.as_str().len() * 6 >= 128);
        assert!(is_ice_string(&username_fragment) && is_ice_string(password.as_str()));
        assert!(seen.insert(username_fragment) && seen.insert(password.as_str().to_owned()));
    }
}

/// Item 1 (RFC 8839 §5.4): what is signalled to us.
#[test]
fn item_01_remote_parameters_outside_the_grammar_are_refused_and_change_nothing() {
    let mut lone = Lone::without_peer(IceRole::Controlling, IceConfig::default(), &["192.0.2.1"]);
    let mut set = |fragment: &str, password: &str| {
        let parameters = IceParameters {
            username_fragment: fragment.to_owned(),
            password: IcePassword::new(password),
            ..peer_parameters(None)
        };
        lone.agent.set_remote_parameters(lone.now, parameters)
    };
    let (long, longest) = ("a".repeat(257), "a".repeat(256));
    for fragment in ["abc", &long, "abc:", "äbcd"] {
        assert_eq!(set(fragment, &longest), Err(SetRemoteParametersError::InvalidUsernameFragment));
    }
    for password in ["a23456789012345678901", &long, "a2345678901234567890 2"] {
        assert_eq!(set("abcd", password), Err(SetRemoteParametersError::InvalidPassword));
    }
    assert_eq!(set(&longest, &longest), Ok(()));
    assert_eq!(set(&longest, &longest), Ok(()));
    assert_eq!(set("abcd", &longest), Err(SetRemoteParametersError::AlreadySet));
}

#[test]
fn passwords_do_not_print_themselves() {
    let lone = Lone::new(IceRole::Controlling);
    let printed = format!("{:?}", lone.agent);
    assert!(!printed.contains(&lone.password()) && !printed.contains(PEER_PASSWORD));
}

/// Item 2 (RFC 7675 §5.1): a consent check uses a new id, a retransmission the same.
#[test]
fn item_02_every_transaction_has_an_id_of_its_own_with_96_random_bits() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.run_for_millis(600);
    let checks = lone.take_checks();
    assert_eq!(checks.len(), 2);
    assert_eq!(checks[0].read().transaction(), checks[1].read().transaction());
    lone.succeed(&checks[0]);
    let mut ids = BTreeSet::from([checks[0].read().transaction()]);
    for _ in 0..100 {
        lone.run_for(Duration::from_secs(6));
        for consent in lone.take_checks() {
            let id = consent.read().transaction();
            assert!(ids.insert(id), "an id was used twice");
            lone.succeed(&consent);
        }
    }
    assert!(ids.len() > 100);
    // Each bit is set in some and clear in others.
    let (all, none) = ids.iter().fold((u128::MAX, 0), |(all, none), id| (all & id, none | id));
    assert_eq!((all & ((1 << 96) - 1), none), (0, (1 << 96) - 1));
}

/// Item 3 (RFC 8445 §7.2.2).
#[test]
fn item_03_a_check_carries_the_remote_fragment_first_and_is_signed_with_the_remote_password() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    let expected = format!("{PEER_FRAGMENT}:{}", lone.agent.local_parameters().username_fragment);
    assert_eq!(check.read().username(), Some(expected));
    assert!(check.read().is_signed_with(PEER_PASSWORD));
}

/// Item 3 (RFC 8445 §7.2.2): responses use the password of the request, and have no USERNAME.
#[test]
fn item_03_a_response_is_signed_with_the_local_password_and_has_no_username() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.receive_check(PEER);
    let response = lone.take_responses().remove(0);
    assert_eq!(response.read().class(), MessageClass::Success);
    assert_eq!(response.read().mapped(), Some(PEER.parse().unwrap()));
    assert!(response.read().is_signed_with(&lone.password()));
    assert!(!response.read().has(USERNAME));
}

/// Item 3 (RFC 8445 §7.3): equal, not a prefix.
#[test]
fn item_03_a_fragment_that_only_begins_like_ours_or_is_longer_is_another() {
    let mut lone = Lone::new(IceRole::Controlling);
    let ours = lone.agent.local_parameters().username_fragment.clone();
    let usernames = [
        format!("{}:peer", &ours[..4]),
        format!("{ours}x:peer"),
        format!("peer:{ours}"),
        ours.clone(),
        format!(":{ours}"),
    ];
    for username in &usernames {
        let bytes = Forge::check(9, username, 1).signed(&lone.password()).build();
        lone.receive(PEER, &bytes);
    }
    assert_eq!(lone.take_responses(), []);
    assert_eq!(lone.drops(DropReason::WrongUsername), usernames.len() as u64);
}

/// Item 4 (RFC 8445 §7.2.4, §7.3).
#[test]
fn item_04_checks_and_responses_have_a_fingerprint_and_are_ignored_without() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let bare = lone.peer_check().signed(&lone.password()).without_fingerprint().build();
    lone.receive(PEER, &bare);
    let check = lone.take_sent().remove(0);
    assert!(check.read().is_check() && check.read().has(FINGERPRINT));
    assert_eq!(lone.take_responses(), []);
    let bare = success(&check, lone.socket()).without_fingerprint().build();
    lone.receive(PEER, &bare);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
    assert_eq!(lone.drops(DropReason::BadFingerprint), 2);
    lone.receive_check(PEER);
    assert!(lone.take_responses()[0].read().has(FINGERPRINT));
}

/// Item 4 (RFC 8445 §7.3): "An agent MUST NOT utilize the ALTERNATE-SERVER mechanism".
#[test]
fn item_04_a_check_is_not_redirected() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    let redirection = Forge::new(MessageClass::Error, check.read().transaction())
        .with(ALTERNATE_SERVER, &[0, 1, 0x1b, 0x58, 203, 0, 113, 9])
        .error(300)
        .signed(PEER_PASSWORD)
        .build();
    lone.receive(PEER, &redirection);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ErrorResponse(300)));
    lone.run_for(Duration::from_secs(60));
    assert_eq!(lone.take_sent(), []);
}

/// Item 5 (RFC 8489 §6.3.1).
#[test]
fn item_05_a_request_that_must_be_understood_and_is_not_gets_420_if_it_is_authentic() {
    let mut lone = Lone::new(IceRole::Controlling);
    let strange = lone.peer_check().with(0x7fff, &[1, 2, 3, 4]);
    lone.receive(PEER, &strange.clone().signed("somebody else's password").build());
    assert_eq!(lone.take_sent(), []);
    lone.receive_forged(PEER, &strange);
    let response = lone.take_responses().remove(0);
    assert_eq!(response.read().error_code(), Some(420));
    assert_eq!(response.read().value(UNKNOWN_ATTRIBUTES), Some(vec![0x7f, 0xff]));
    assert!(response.read().is_signed_with(&lone.password()));
    assert!(lone.pair(PEER).is_none(), "the request must have no other effect");
}

/// Item 5 (RFC 8489 §6.3.3): the response is discarded, and the transaction has failed.
#[test]
fn item_05_a_response_that_must_be_understood_and_is_not_is_no_success() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    let strange = success(&check, lone.socket()).with(0x7fff, &[]).build();
    lone.receive(PEER, &strange);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::UnusableResponse));
    assert!(!lone.agent.can_send());
}

/// Item 5 (RFC 8489 §14.5).
#[test]
fn item_05_a_nomination_behind_the_integrity_does_not_count() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.validate(PEER);
    let signed = lone.peer_check().signed(&lone.password()).without_fingerprint().build();
    let forged = append_and_fingerprint(signed, USE_CANDIDATE);
    lone.receive(PEER, &forged);
    assert_eq!(lone.take_responses().len(), 1, "the check itself is fine");
    assert_eq!(lone.agent.selected_pair(), None);
}

/// Puts an empty attribute and the fingerprint that then fits behind a message.
fn append_and_fingerprint(mut message: Vec<u8>, kind: u16) -> Vec<u8> {
    message.extend(kind.to_be_bytes());
    message.extend([0, 0]);
    let length = u16::try_from(message.len() + 8 - 20).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let crc = u32::from_be_bytes(stun_types::attribute::Fingerprint::compute(&[&message]));
    message.extend(FINGERPRINT.to_be_bytes());
    message.extend([0, 4]);
    message.extend((crc ^ 0x5354_554e).to_be_bytes());
    message
}

/// Item 6 (RFC 8489 §9.1.4).
#[test]
fn item_06_a_response_without_valid_integrity_is_discarded_and_the_transaction_lives_on() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    let id = check.read().transaction();
    let forged = [
        Forge::new(MessageClass::Success, id).mapped(lone.socket()).build(),
        Forge::new(MessageClass::Success, id).mapped(lone.socket()).signed("wrong").build(),
        // What we sign with ourselves is not what the other agent signs with.
        Forge::new(MessageClass::Success, id).mapped(lone.socket()).signed(&lone.password()).build(),
        Forge::new(MessageClass::Error, id).error(487).signed("wrong").build(),
        Forge::new(MessageClass::Error, id).error(487).build(),
        Forge::new(MessageClass::Error, id).error(403).build(),
        Forge::new(MessageClass::Error, id).error(400).signed("wrong").build(),
    ];
    for bytes in &forged {
        lone.receive(PEER, bytes);
        assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
        assert_eq!(lone.agent.role(), IceRole::Controlling);
    }
    assert_eq!(lone.drops(DropReason::UnauthenticatedResponse), forged.len() as u64);
    lone.run_for_millis(500);
    assert_eq!(lone.take_checks().remove(0).read().transaction(), id, "it is still retransmitted");
    lone.succeed(&check);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Succeeded);
}

/// Item 7.
#[test]
fn item_07_an_unauthenticated_request_is_met_with_silence_and_changes_nothing() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.take_sent();
    let before = (lone.agent.statistics().pairs, lone.agent.remote_candidates().cloned().collect::<Vec<_>>());
    let check = lone.peer_check().with(USE_CANDIDATE, &[]);
    let requests = [
        check.clone().build(),
        check.clone().signed("wrong").build(),
        check.clone().signed(PEER_PASSWORD).build(),
        check.without(USERNAME).signed(&lone.password()).build(),
        Forge::new(MessageClass::Request, 5).build(),
        Forge::new(MessageClass::Indication, 5).build(),
    ];
    for bytes in &requests {
        for source in [PEER, ELSEWHERE] {
            lone.receive(source, bytes);
        }
    }
    assert_eq!(lone.take_sent(), []);
    assert_eq!((lone.agent.statistics().pairs, lone.agent.remote_candidates().cloned().collect()), before);
    assert_eq!(lone.drops(DropReason::UnauthenticatedRequest), 6);
    assert_eq!(lone.drops(DropReason::WrongUsername), 4);
}

/// Item 8 (RFC 8445 §7.2.5.2.1).
#[test]
fn item_08_an_authentic_response_from_or_to_another_address_fails_the_check() {
    for (from, to) in [(ELSEWHERE, 0), (PEER, 1)] {
        let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &["192.0.2.1", "192.0.2.99"]);
        lone.add_host(PEER);
        let check = lone.take_checks_to(PEER).remove(0);
        assert_eq!(check.path.local, lone.socket());
        let path = proto_machine::Path::udp(lone.sockets[to], from.parse().unwrap());
        let bytes = success(&check, lone.socket()).build();
        lone.receive_on(path, &bytes);
        assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::NonSymmetricAddresses));
        assert!(!lone.agent.can_send());
    }
}

/// Item 8 (RFC 8445 §7.2.5).
#[test]
fn item_08_a_response_to_a_transaction_that_does_not_exist_is_ignored() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let mut check = lone.take_checks().remove(0);
    // The transaction id begins behind the magic cookie.
    check.bytes[19] ^= 1;
    let length = check.bytes.len();
    let crc = u32::from_be_bytes(stun_types::attribute::Fingerprint::compute(&[&check.bytes[..length - 8]]));
    check.bytes[length - 4..].copy_from_slice(&(crc ^ 0x5354_554e).to_be_bytes());
    lone.receive(PEER, &success(&check, lone.socket()).build());
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
    assert_eq!(lone.drops(DropReason::UnknownTransaction), 1);
}

/// RFC 8445 §7.1.1, §5.1.2: PRIORITY is mandatory and has a range; two roles at once are none.
#[test]
fn an_authentic_request_that_makes_no_sense_gets_400() {
    let mut lone = Lone::new(IceRole::Controlling);
    let check = lone.peer_check();
    let bad = [
        check.clone().without(crate::messages::PRIORITY),
        check.clone().without(crate::messages::PRIORITY).with(crate::messages::PRIORITY, &0_u32.to_be_bytes()),
        check.clone().without(crate::messages::PRIORITY).with(crate::messages::PRIORITY, &u32::MAX.to_be_bytes()),
        check.with(crate::messages::ICE_CONTROLLING, &1_u64.to_be_bytes()),
    ];
    for forge in &bad {
        lone.receive_forged(PEER, forge);
        let response = lone.take_responses().remove(0);
        assert_eq!(response.read().error_code(), Some(400));
        assert!(response.read().has(ERROR_CODE) && response.read().has_integrity());
    }
    assert!(lone.pair(PEER).is_none());
}

#[test]
fn a_closed_agent_refuses_parameters() {
    let mut agent = IceAgent::new(IceConfig::default(), IceRole::Controlling, Seed::from_number(1));
    agent.close(Timestamp::ZERO);
    let refused = agent.set_remote_parameters(Timestamp::ZERO, peer_parameters(None));
    assert_eq!(refused, Err(SetRemoteParametersError::Closed));
}
