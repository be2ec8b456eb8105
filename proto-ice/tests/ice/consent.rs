//! Items 33 and 35: consent and keepalives.

use std::time::Duration;

use proto_ice::{CandidatePairState, DropReason, IceConfig, IceRole, IceTransportState, PairFailure};
use stun_types::message::MessageClass;

use crate::lone::{Lone, Message, error, success};
use crate::messages::Read;
use crate::world::{LEFT, RIGHT, Setup, Signalling, World};

const PEER: &str = "198.51.100.2:6000";
const ELSEWHERE: &str = "203.0.113.9:7000";

fn connected() -> Lone {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.select(PEER);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone
}

/// The next consent check.
fn next_consent_check(lone: &mut Lone) -> Message {
    for _ in 0..7 {
        lone.run_for(Duration::from_secs(1));
        if let Some(check) = lone.take_checks().pop() {
            return check;
        }
    }
    panic!("no consent check for seven seconds");
}

/// Item 33 (RFC 7675 §5.1).
#[test]
fn item_33_consent_checks_come_every_4_to_6_seconds_and_are_sent_once() {
    let mut lone = connected();
    let mut last = lone.now;
    let mut periods = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let check = next_consent_check(&mut lone);
        let period = (check.at - last).as_millis();
        assert!((3_999..=6_000).contains(&period), "{period} ms");
        periods.insert(period);
        last = check.at;
        lone.succeed(&check);
    }
    assert!(periods.len() > 25, "periods are randomized");
    // Nobody answers now: no check is repeated.
    lone.run_for(Duration::from_secs(29));
    let checks = lone.take_checks();
    let ids: std::collections::BTreeSet<_> = checks.iter().map(|check| check.read().transaction()).collect();
    assert_eq!(ids.len(), checks.len());
    assert!((4..=7).contains(&checks.len()));
}

/// Item 33 (RFC 7675 §5.1): "MUST NOT set the period between checks to less than 4 seconds".
#[test]
fn item_33_no_configuration_makes_consent_checks_more_frequent_than_every_4_seconds() {
    let config = IceConfig { consent_interval: Duration::from_millis(100), ..IceConfig::default() };
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    lone.add_host(PEER);
    lone.select(PEER);
    lone.run_for(Duration::from_secs(29));
    let checks = lone.take_checks();
    assert!(checks.windows(2).all(|pair| pair[1].at - pair[0].at >= Duration::from_secs(4)));
    assert!(checks.len() >= 4);
}

/// Item 33 (RFC 7675 §5.1).
#[test]
fn item_33_without_a_response_consent_expires_after_30_seconds_and_nothing_is_sent_any_more() {
    let mut lone = connected();
    let check = next_consent_check(&mut lone);
    lone.succeed(&check);
    lone.run_for(Duration::from_millis(29_999));
    assert_eq!(lone.send_payload(b"\x17"), Some(lone.path(PEER)));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
    lone.run_for_millis(1);
    assert_eq!(lone.send_payload(b"\x17"), None);
    assert!(!lone.agent.can_send());
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ConsentExpired));
    lone.take_sent();
    lone.run_for(Duration::from_secs(100));
    assert_eq!(lone.take_sent(), []);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
}

/// Item 33: the driver may be late, consent is not.
#[test]
fn item_33_consent_expires_even_if_the_timeout_is_handled_late() {
    let mut lone = connected();
    lone.now = lone.now + Duration::from_secs(30);
    assert_eq!(lone.send_payload(b"\x17"), None);
}

/// Item 33 (RFC 7675 §5.1): "do not re-establish consent", and the same credentials do not either.
#[test]
fn item_33_late_responses_and_new_checks_do_not_revive_consent() {
    let mut lone = connected();
    let mut last = next_consent_check(&mut lone);
    for _ in 0..4 {
        lone.run_for(Duration::from_secs(6));
        last = lone.take_checks().pop().unwrap_or(last);
    }
    lone.now = lone.now + Duration::from_secs(30);
    // It comes before the driver has handled the timeout.
    lone.succeed(&last);
    assert!(!lone.agent.can_send());
    lone.receive_check(PEER);
    lone.run_for(Duration::from_secs(1));
    assert_eq!(lone.take_checks(), []);
    assert!(!lone.agent.can_send());
}

/// Item 33 (RFC 7675 §5.1): nor does the late response to a check that another one has superseded.
#[test]
fn item_33_a_late_response_to_a_connectivity_check_does_not_revive_consent() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    let superseded = lone.take_checks().remove(0);
    lone.run_for_millis(50);
    lone.receive_check(PEER);
    lone.validate(PEER);
    lone.run_for(Duration::from_secs(31));
    assert!(!lone.agent.can_send());
    lone.succeed(&superseded);
    assert!(!lone.agent.can_send());
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ConsentExpired));
}

/// Item 33: "an authenticated *response* from the selected 5-tuple, nothing else".
#[test]
fn item_33_nothing_but_a_response_from_the_path_prolongs_consent() {
    let mut lone = connected();
    let start = lone.now;
    while lone.now - start < Duration::from_secs(22) {
        let check = next_consent_check(&mut lone);
        lone.receive_check(PEER);
        lone.receive(PEER, &[23; 50]);
        lone.receive(ELSEWHERE, &success(&check, check.path.local).build());
        lone.receive(PEER, &success(&check, check.path.local).signed("wrong").build());
        lone.receive(PEER, &error(&check, 500).build());
    }
    assert!(lone.agent.can_send());
    lone.run_for(Duration::from_secs(35) - (lone.now - start));
    assert!(!lone.agent.can_send());
    assert!(lone.drops(DropReason::UnusableResponse) > 0);
}

/// Item 33: a copy of a response from another source, ahead of the response itself, takes nothing away.
#[test]
fn item_33_a_response_that_was_copied_from_elsewhere_leaves_the_true_one_its_effect() {
    let mut lone = connected();
    let start = lone.now;
    for _ in 0..10 {
        let check = next_consent_check(&mut lone);
        let response = success(&check, check.path.local).build();
        lone.receive(ELSEWHERE, &response);
        lone.receive(PEER, &response);
    }
    assert!(lone.now - start > Duration::from_secs(35));
    assert!(lone.agent.can_send());
    assert_eq!(lone.drops(DropReason::UnusableResponse), 10);
    assert_eq!(lone.drops(DropReason::UnknownTransaction), 0);
}

/// Item 33: an answer to an earlier check counts (RFC 7675 §5.1).
#[test]
fn item_33_a_response_to_a_previous_consent_check_counts() {
    let mut lone = connected();
    let first = next_consent_check(&mut lone);
    let _second = next_consent_check(&mut lone);
    lone.succeed(&first);
    lone.run_for(Duration::from_secs(29));
    assert!(lone.agent.can_send());
}

/// Item 33 (RFC 7675 §5.2).
#[test]
fn item_33_an_authentic_403_revokes_consent_at_once() {
    let mut lone = connected();
    let check = next_consent_check(&mut lone);
    lone.receive(
        PEER,
        &crate::messages::Forge::new(MessageClass::Error, check.read().transaction()).error(403).build(),
    );
    assert!(lone.agent.can_send(), "a forged one does not");
    lone.refuse(&check, 403);
    assert!(!lone.agent.can_send());
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ConsentRevoked));
}

/// Item 33 (RFC 7675 §5.2).
#[test]
fn item_33_the_end_of_the_secure_transport_revokes_consent_for_good() {
    let mut lone = connected();
    lone.agent.revoke_consent(lone.now);
    assert_eq!(lone.send_payload(b"\x17"), None);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
    lone.receive_nomination(PEER);
    lone.receive_nomination(ELSEWHERE);
    lone.take_sent();
    lone.run_for(Duration::from_secs(100));
    assert_eq!(lone.take_sent(), []);
    assert!(!lone.agent.can_send());
}

#[test]
fn silence_turns_the_state_to_disconnected_and_an_answer_turns_it_back() {
    let mut world = World::new(Setup::default());
    world.complete();
    world.run_for(Duration::from_secs(20));
    let (left, right) = ("192.0.2.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
    world.blocked.extend([(left, right), (right, left)]);
    world.run_for(Duration::from_millis(14_000));
    assert_eq!(world.state(LEFT), IceTransportState::Disconnected);
    assert_eq!(world.state(RIGHT), IceTransportState::Disconnected);
    assert!(world.nodes[LEFT].agent.can_send(), "consent is still there");
    world.blocked.clear();
    world.run_for(Duration::from_secs(7));
    for node in &world.nodes {
        let states = node.states();
        assert_eq!(states[states.len() - 2..], [IceTransportState::Disconnected, IceTransportState::Completed]);
    }
}

/// A lite agent sends no checks, so only our own consent checks tell that it is there.
#[test]
fn one_lost_consent_check_does_not_turn_the_state_to_disconnected_and_three_do() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.select(PEER);
    lone.agent.end_of_remote_candidates(lone.now, None);
    for _ in 0..300 {
        // The next one is lost.
        next_consent_check(&mut lone);
        let answered = next_consent_check(&mut lone);
        assert_eq!(lone.agent.state(), IceTransportState::Completed);
        lone.run_for_millis(200);
        assert_eq!(lone.agent.state(), IceTransportState::Completed);
        lone.succeed(&answered);
    }
    for _ in 0..3 {
        next_consent_check(&mut lone);
    }
    lone.run_for(Duration::from_secs(2));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
}

/// Checks of the other agent are a sign of life, though no consent.
#[test]
fn as_long_as_the_peer_is_heard_the_state_is_not_disconnected() {
    let mut lone = connected();
    for _ in 0..9 {
        lone.run_for(Duration::from_secs(3));
        lone.receive_check(PEER);
        assert_eq!(lone.agent.state(), IceTransportState::Completed);
    }
    lone.run_for(Duration::from_secs(30));
    assert!(!lone.agent.can_send());
}

#[test]
fn an_undisturbed_connection_stays_completed_for_an_hour() {
    let mut world = World::new(Setup { link: crate::world::Link::perfect(200), ..Setup::default() });
    world.complete();
    world.run_for(Duration::from_secs(3_600));
    for node in &world.nodes {
        assert_eq!(node.states().last(), Some(&IceTransportState::Completed));
        assert!(!node.states().contains(&IceTransportState::Disconnected));
    }
}

#[test]
fn a_peer_that_vanishes_is_noticed_by_both_states() {
    let mut world = World::new(Setup::default());
    world.complete();
    world.run_for(Duration::from_secs(20));
    let now = world.now;
    world.agent(RIGHT).close(now);
    world.run_for(Duration::from_secs(60));
    let states = world.nodes[LEFT].states();
    assert_eq!(states[states.len() - 2..], [IceTransportState::Disconnected, IceTransportState::Failed]);
}

fn rare_consent() -> IceConfig {
    IceConfig { consent_interval: Duration::from_secs(30), ..IceConfig::default() }
}

/// Item 35 (RFC 8445 §11).
#[test]
fn item_35_an_idle_path_gets_an_indication_with_a_fingerprint_and_nothing_else_after_15_seconds() {
    let mut lone = Lone::with(IceRole::Controlled, rare_consent(), &["192.0.2.1"]);
    lone.add_host(PEER);
    lone.select(PEER);
    let start = lone.now;
    lone.run_for(Duration::from_secs(16));
    let sent = lone.take_sent();
    assert_eq!(sent.len(), 1);
    assert!(((sent[0].at - start).as_millis()).abs_diff(15_000) <= 50);
    assert_eq!(sent[0].read().class(), MessageClass::Indication);
    assert_eq!(sent[0].read().attribute_types(), [0x8028]);
    assert_eq!(sent[0].path, lone.path(PEER));
}

/// Item 35 (RFC 8445 §11): "if no packet has been sent on that pair".
#[test]
fn item_35_traffic_makes_keepalives_unnecessary() {
    let mut lone = Lone::with(IceRole::Controlled, rare_consent(), &["192.0.2.1"]);
    lone.add_host(PEER);
    lone.select(PEER);
    for _ in 0..20 {
        lone.run_for(Duration::from_secs(1));
        lone.send_payload(b"\x17").unwrap();
    }
    assert_eq!(lone.take_sent(), []);
    let mut world = World::new(Setup { signalling: Signalling::WithoutEnd, ..Setup::default() });
    world.run_for(Duration::from_secs(120));
    let is_indication =
        |sent: &crate::world::Sent| Read::new(&sent.bytes).is_some_and(|read| read.class() == MessageClass::Indication);
    assert!(!world.sent.iter().any(is_indication), "by default, consent checks keep the path alive");
}

/// Item 35 (RFC 8445 §11): one that arrives has no effect and no answer.
#[test]
fn item_35_an_indication_is_neither_answered_nor_counted_as_consent() {
    let mut lone = connected();
    let indication = crate::messages::Forge::new(MessageClass::Indication, 3).build();
    lone.receive(PEER, &indication);
    assert_eq!(lone.take_sent(), []);
    for _ in 0..15 {
        lone.run_for(Duration::from_secs(2));
        lone.receive(PEER, &indication);
    }
    assert!(!lone.agent.can_send());
}
