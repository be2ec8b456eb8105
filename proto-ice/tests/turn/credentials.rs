//! Long-term credentials (RFC 8489 §9.2).

use std::time::Duration;

use proto_ice::turn::server::{PasswordAlgorithm, TurnRequest, TurnServerConfig};
use proto_ice::turn::{TurnConfig, TurnCredentials, TurnDropReason, TurnFailure};
use proto_machine::Timestamp;

use crate::world::{World, credentials, server_config};

const SECOND: Duration = Duration::from_secs(1);

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const PASSWORD_ALGORITHM: u16 = 0x001d;
const USERHASH: u16 = 0x001e;
const PASSWORD_ALGORITHMS: u16 = 0x8002;

/// The types of the attributes of a message.
fn attributes(message: &[u8]) -> Vec<u16> {
    let mut kinds = Vec::new();
    let mut rest = &message[20..];
    while rest.len() >= 4 {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        kinds.push(u16::from_be_bytes([rest[0], rest[1]]));
        rest = &rest[4 + length.next_multiple_of(4)..];
    }
    kinds
}

fn with_algorithms(algorithms: &[PasswordAlgorithm], anonymous_usernames: bool) -> World {
    let config = TurnServerConfig { algorithms: algorithms.to_vec(), anonymous_usernames, ..server_config() };
    let mut world = World::with(config, TurnConfig::new(credentials()));
    world.run_for(SECOND);
    world
}

/// RFC 8489 §9.2.3.1.
#[test]
fn the_first_request_carries_no_credentials() {
    let world = World::allocated();
    let first = attributes(&world.sent[0].2);
    assert_eq!(first, [0x0019, 0x8028], "REQUESTED-TRANSPORT and FINGERPRINT");
}

#[test]
fn item_39_each_password_algorithm_works_with_and_without_hashed_usernames() {
    use PasswordAlgorithm::{Md5, Sha256};
    for (algorithms, name) in [
        (&[][..], "MD5"),
        (&[Md5], "MD5 with SHA-256 integrity"),
        (&[Sha256], "SHA-256"),
        (&[Sha256, Md5], "SHA-256"),
        (&[Md5, Sha256], "MD5 with SHA-256 integrity"),
    ] {
        for anonymous in [false, true] {
            let world = with_algorithms(algorithms, anonymous);
            assert_eq!(world.allocation().relayed.len(), 1, "{name}, anonymous: {anonymous}");
            assert_eq!(world.client.report().algorithm, Some(name));
            let sent = attributes(&world.sent[1].2);
            assert_eq!(sent.contains(&USERHASH), anonymous);
            assert_eq!(sent.contains(&USERNAME), !anonymous);
            assert_eq!(sent.contains(&MESSAGE_INTEGRITY), algorithms.is_empty());
            assert_eq!(sent.contains(&MESSAGE_INTEGRITY_SHA256), !algorithms.is_empty());
            assert_eq!(sent.contains(&PASSWORD_ALGORITHM), !algorithms.is_empty());
            assert_eq!(sent.contains(&PASSWORD_ALGORITHMS), !algorithms.is_empty());
        }
    }
}

/// RFC 8489 §9.2.5: "The client MUST NOT perform this retry if it is not changing the USERNAME, …".
#[test]
fn a_wrong_password_or_username_is_reported_at_once_and_not_tried_again() {
    for wrong in [TurnCredentials::new("user", "other"), TurnCredentials::new("nobody", "secret")] {
        let mut world = World::with(server_config(), TurnConfig::new(wrong));
        world.run_for(100 * SECOND);
        let error = world.failure().unwrap();
        assert_eq!((error.failure, error.code), (TurnFailure::CredentialsRefused, Some(401)));
        assert_eq!(world.events[0].0, Timestamp::from_millis(40));
        assert_eq!(world.requests(TurnRequest::Allocate), 2);
    }
}

/// Item 39.
#[test]
fn item_39_a_stale_nonce_is_replaced_and_the_request_repeated() {
    let mut world = World::allocated();
    world.server().faults.nonce_uses = Some(1);
    world.client.permit(["198.51.100.1".parse().unwrap()]);
    world.run_for(SECOND);
    assert_eq!(world.requests(TurnRequest::CreatePermission), 2, "one with the stale nonce, one with the new");
    assert!(world.client.is_permitted(world.now, "198.51.100.1".parse().unwrap()));
}

/// Item 39: the loop is capped.
#[test]
fn item_39_a_server_that_finds_every_nonce_stale_is_given_up() {
    let mut world = World::new();
    world.server().faults.nonce_uses = Some(0);
    world.run_for(100 * SECOND);
    let error = world.failure().unwrap();
    assert_eq!((error.failure, error.code), (TurnFailure::StaleNonce, Some(438)));
    assert_eq!(world.requests(TurnRequest::Allocate), 5, "without credentials, with a nonce, and with three new ones");
}

/// Item 39: retried with a *new* nonce only.
#[test]
fn item_39_a_438_with_the_same_nonce_is_not_answered() {
    let mut world = World::new();
    world.server().faults.nonce_uses = Some(0);
    world.server().faults.repeats_nonce = true;
    world.run_for(100 * SECOND);
    assert_eq!(world.failure().unwrap().failure, TurnFailure::StaleNonce);
    assert_eq!(world.requests(TurnRequest::Allocate), 8, "one without credentials, one sent seven times");
    assert!(world.client.report().drops.get(TurnDropReason::UnusableChallenge) >= 7);
}

/// Item 39: a changed realm is refused.
#[test]
fn item_39_a_438_of_another_realm_is_not_answered() {
    let mut world = World::allocated();
    world.server().faults.nonce_uses = Some(0);
    world.server().faults.changes_realm = true;
    world.client.permit(["198.51.100.1".parse().unwrap()]);
    world.run_for(10 * SECOND);
    assert!(!world.client.is_permitted(world.now, "198.51.100.1".parse().unwrap()));
    assert_eq!(world.client.report().realm.as_deref(), Some("example.org"));
    assert!(world.client.report().drops.get(TurnDropReason::UnusableChallenge) > 0);
}

/// RFC 8489 §9.2.1.
#[test]
fn a_challenge_whose_list_of_algorithms_was_removed_is_not_answered() {
    let mut world = World::new();
    world.server().faults.hides_algorithms = true;
    world.run_for(100 * SECOND);
    assert_eq!(world.failure().unwrap().failure, TurnFailure::ChallengeRefused);
    assert_eq!(world.requests(TurnRequest::Allocate), 1);
}

#[test]
fn a_new_nonce_does_not_bring_weaker_algorithms() {
    let mut world = World::allocated();
    world.server().faults.nonce_uses = Some(0);
    world.server().faults.hides_algorithms = true;
    world.client.permit(["198.51.100.1".parse().unwrap()]);
    world.run_for(10 * SECOND);
    assert!(!world.client.is_permitted(world.now, "198.51.100.1".parse().unwrap()));
    assert_eq!(world.client.report().algorithm, Some("SHA-256"));
}

#[test]
fn a_challenge_that_makes_requests_too_long_is_refused() {
    let config = TurnServerConfig { realm: "r".repeat(700), ..server_config() };
    let name = "u".repeat(400);
    let mut world = World::with(config, TurnConfig::new(TurnCredentials::new(name, "secret")));
    world.run_for(SECOND);
    assert_eq!(world.failure().unwrap().failure, TurnFailure::ChallengeRefused);
}

#[test]
fn credentials_do_not_print_themselves() {
    let printed = format!("{:?} {:?}", credentials(), World::allocated().client);
    assert!(!printed.contains("secret"), "{printed}");
}
