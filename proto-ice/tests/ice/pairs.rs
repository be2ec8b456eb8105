//! Items 14-25: pairs, the order of checks, and what they reveal.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{
    AddRemoteCandidateError, CandidatePairState, CandidateType, DropReason, IceConfig, IceRole, IceTransportState,
    PairFailure,
};
use proto_machine::TransportProtocol;
use stun_types::message::MessageClass;

use crate::lone::{Lone, error, remote_host, success};
use crate::messages::{Forge, PRIORITY, USE_CANDIDATE};
use crate::world::{LEFT, RIGHT, Setup, Signalling, World};

const PEER: &str = "198.51.100.2:6000";
const SECOND: &str = "198.51.100.2:6001";
const THIRD: &str = "198.51.100.2:6002";

fn peer(number: u16) -> String {
    format!("198.51.100.2:{}", 6_000 + number)
}

fn limited(change: impl FnOnce(&mut IceConfig)) -> IceConfig {
    let mut config = IceConfig::default();
    change(&mut config);
    config
}

/// Item 14 (RFC 8445 §6.1.2.3, §7.3.1.1).
#[test]
fn item_14_pair_priorities_are_computed_anew_on_a_role_switch() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add(remote_host(PEER, 1_000, "1"));
    let (local, remote) = (2_130_706_431_u64, 1_000_u64);
    assert_eq!(lone.pair(PEER).unwrap().priority, (remote << 32) + 2 * local + 1);
    lone.agent.set_role(lone.now, IceRole::Controlled);
    assert_eq!(lone.pair(PEER).unwrap().priority, (remote << 32) + 2 * local);
}

/// Item 15 (RFC 8445 §6.1.2.4).
#[test]
fn item_15_a_reflexive_local_candidate_makes_no_pair_beside_that_of_its_base() {
    let mut setup = Setup { signalling: Signalling::WithoutEnd, ..Setup::default() };
    let server: SocketAddr = "203.0.113.1:3478".parse().unwrap();
    setup.sides[LEFT].addresses = vec!["10.0.0.1"];
    setup.sides[LEFT].nat = Some(crate::world::Nat { public: "203.0.113.77", symmetric: false });
    setup.sides[LEFT].config.stun_servers = vec![proto_ice::StunServer {
        host: proto_ice::StunServerHost::Address(server.ip()),
        port: server.port(),
        url: "stun:203.0.113.1".to_owned(),
    }];
    setup.stun_servers =
        vec![crate::world::StunServerNode { address: server, behaviour: crate::world::ServerBehaviour::Answers }];
    // The right side is not to connect before all candidates are there.
    setup.signalling = Signalling::None;
    let mut world = World::idle(setup);
    for node in &mut world.nodes {
        node.agent.gather(world.now, &node.interfaces.clone());
    }
    world.run_for(Duration::from_secs(1));
    world.tell_parameters(LEFT);
    let now = world.now;
    for candidate in world.nodes[RIGHT].candidates() {
        world.agent(LEFT).add_remote_candidate(now, candidate.into()).unwrap();
    }
    assert_eq!(world.nodes[LEFT].candidates().len(), 2);
    let pairs = world.nodes[LEFT].agent.statistics().pairs;
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].local.kind, CandidateType::Host);
}

/// Item 16 (RFC 8445 §6.1.2.5, RFC 8838 §11).
#[test]
fn item_16_pairs_are_bounded_and_lower_priorities_make_room() {
    let config = limited(|config| config.limits.pairs = 3);
    let mut lone = Lone::with(IceRole::Controlling, config, &["192.0.2.1"]);
    // The first is In-Progress at once, and therefore stays.
    for number in 0..8_u16 {
        lone.add(remote_host(&peer(number), 1_000 + u32::from(number), &format!("f{number}")));
    }
    let remotes: Vec<_> = lone.agent.statistics().pairs.iter().map(|pair| pair.path.remote.port()).collect();
    assert_eq!(remotes, [6_000, 6_006, 6_007]);
    lone.add(remote_host(&peer(9), 1, "low"));
    let after: Vec<_> = lone.agent.statistics().pairs.iter().map(|pair| pair.path.remote.port()).collect();
    assert_eq!(after, remotes, "one of lower priority than all is not taken");
}

/// Item 16 (RFC 8838 §11).
#[test]
fn item_16_failed_pairs_make_room_first() {
    let config = limited(|config| config.limits.pairs = 2);
    let mut lone = Lone::with(IceRole::Controlling, config, &["192.0.2.1"]);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.refuse(&check, 400);
    lone.add_host(SECOND);
    lone.add(remote_host(THIRD, 1, "low"));
    assert!(lone.pair(PEER).is_none() && lone.pair(SECOND).is_some() && lone.pair(THIRD).is_some());
}

#[test]
fn item_16_the_default_limit_is_100_pairs() {
    let mut config = IceConfig::default();
    config.limits.remote_candidates = 1_000;
    let mut lone = Lone::with(IceRole::Controlling, config, &["192.0.2.1"]);
    for number in 0..200 {
        lone.add_host(&peer(number));
    }
    assert_eq!(lone.agent.statistics().pairs.len(), 100);
}

/// Item 16: signalled candidates.
#[test]
fn item_16_remote_candidates_are_bounded_and_repetitions_do_not_count() {
    let config = limited(|config| config.limits.remote_candidates = 2);
    let mut lone = Lone::with(IceRole::Controlling, config, &["192.0.2.1"]);
    lone.add_host(PEER);
    lone.add_host(SECOND);
    lone.add(remote_host(PEER, 77, "again"));
    assert_eq!(lone.agent.remote_candidates().next().unwrap().foundation, "f0");
    let refused = lone.agent.add_remote_candidate(lone.now, remote_host(THIRD, 1, "1"));
    assert_eq!(refused, Err(AddRemoteCandidateError::TooManyCandidates));
    assert_eq!(lone.agent.remote_candidates().count(), 2);
}

/// Item 16: candidates learned from checks. They are answered all the same.
#[test]
fn item_16_remote_peer_reflexive_candidates_are_bounded() {
    let config = limited(|config| config.limits.remote_peer_reflexive_candidates = 5);
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    for number in 0..20 {
        lone.receive_check(&peer(number));
    }
    assert_eq!(lone.agent.remote_candidates().count(), 5);
    assert_eq!(lone.take_responses().len(), 20);
    assert_eq!(lone.drops(DropReason::TooManyPeerReflexive), 15);
}

/// Item 16: candidates learned from responses. The base stands in for those that are one too many.
#[test]
fn item_16_local_peer_reflexive_candidates_are_bounded() {
    let config = limited(|config| config.limits.local_peer_reflexive_candidates = 3);
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    for number in 0..10 {
        lone.add_host(&peer(number));
        lone.run_for_millis(50);
        let check = lone.take_checks_to(&peer(number)).remove(0);
        lone.succeed_as(&check, SocketAddr::new("203.0.113.7".parse().unwrap(), 1_000 + number));
    }
    assert_eq!(lone.agent.local_candidates().count(), 1 + 3);
    assert_eq!(lone.pair_state(&peer(9)), CandidatePairState::Succeeded);
}

#[test]
fn item_16_transactions_are_bounded_and_checks_go_on_when_there_is_room_again() {
    let config = limited(|config| config.limits.transactions = 2);
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    for number in 0..4 {
        lone.add_host(&peer(number));
    }
    lone.run_for(Duration::from_secs(30));
    let checked: BTreeSet<_> = lone.take_checks().iter().map(|check| check.path.remote.port()).collect();
    assert_eq!(checked, BTreeSet::from([6_000, 6_001]));
    lone.run_for(Duration::from_secs(15));
    let checked: BTreeSet<_> = lone.take_checks().iter().map(|check| check.path.remote.port()).collect();
    assert!(checked.contains(&6_002) && checked.contains(&6_003));
}

#[test]
fn item_16_responses_that_wait_are_bounded() {
    let config = limited(|config| config.limits.responses = 4);
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    let check = lone.peer_check().signed(&lone.password()).build();
    for _ in 0..10 {
        // The driver does not get round to sending.
        let path = lone.path(PEER);
        assert!(lone.agent.handle_datagram(lone.now, path, &mut check.clone()).is_none());
    }
    assert_eq!(lone.drops(DropReason::ResponseQueueFull), 6);
    lone.collect();
    assert_eq!(lone.take_responses().len(), 4);
}

#[test]
fn candidates_that_cannot_be_used_are_refused() {
    let mut lone = Lone::new(IceRole::Controlling);
    let good = remote_host(PEER, 1, "1");
    for address in [
        "0.0.0.0:1",
        "198.51.100.2:0",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "[::]:1",
        "[ff02::1]:1",
        "[::ffff:1.2.3.4]:1",
    ] {
        let candidate = remote_host(address, 1, "1");
        let refused = lone.agent.add_remote_candidate(lone.now, candidate);
        assert_eq!(refused, Err(AddRemoteCandidateError::UnusableAddress), "{address}");
    }
    for priority in [0, 1 << 31, u32::MAX] {
        let refused = lone.agent.add_remote_candidate(lone.now, remote_host(PEER, priority, "1"));
        assert_eq!(refused, Err(AddRemoteCandidateError::InvalidPriority));
    }
    let mut tcp = good.clone();
    tcp.protocol = TransportProtocol::Tcp;
    let refused = lone.agent.add_remote_candidate(lone.now, tcp);
    assert_eq!(refused, Err(AddRemoteCandidateError::UnsupportedProtocol));
    let mut rtcp = good.clone();
    rtcp.component = 2;
    let refused = lone.agent.add_remote_candidate(lone.now, rtcp);
    assert_eq!(refused, Err(AddRemoteCandidateError::UnsupportedComponent));
    assert_eq!(lone.agent.remote_candidates().count(), 0);
    let mut early = Lone::without_peer(IceRole::Controlling, IceConfig::default(), &["192.0.2.1"]);
    let refused = early.agent.add_remote_candidate(early.now, good);
    assert_eq!(refused, Err(AddRemoteCandidateError::NoRemoteParameters));
}

/// A relayed candidate of the other agent is checked like any other.
#[test]
fn a_remote_relayed_candidate_connects() {
    let mut lone = Lone::new(IceRole::Controlling);
    let mut relayed = remote_host(PEER, 16_777_215, "r");
    relayed.kind = CandidateType::Relayed;
    lone.add(relayed);
    lone.select(PEER);
    assert_eq!(lone.agent.selected_pair().unwrap().remote.kind, CandidateType::Relayed);
}

/// Item 17 (RFC 8445 §6.1.2.6, §7.2.5.3.3; RFC 8838 §12).
#[test]
fn item_17_one_pair_of_a_foundation_is_checked_first_and_its_success_unfreezes_the_others() {
    let mut lone = Lone::new(IceRole::Controlled);
    for (address, priority) in [(PEER, 3_000), (SECOND, 2_000), (THIRD, 1_000)] {
        lone.add(remote_host(address, priority, "same"));
    }
    lone.run_for_millis(400);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
    assert_eq!(lone.pair_state(SECOND), CandidatePairState::Frozen);
    assert_eq!(lone.pair_state(THIRD), CandidatePairState::Frozen);
    let checks = lone.take_checks();
    assert_eq!(checks.len(), 1);
    lone.succeed(&checks[0]);
    assert!(!matches!(lone.pair_state(SECOND), CandidatePairState::Frozen));
    lone.run_for_millis(100);
    let remotes: Vec<_> = lone.take_checks().iter().map(|check| check.path.remote.port()).collect();
    assert_eq!(remotes, [6_001, 6_002]);
}

/// Item 17 (RFC 8838 §12 rule 1).
#[test]
fn item_17_a_new_pair_on_top_of_its_foundation_waits_for_no_other() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 1_000, "same"));
    lone.add(remote_host(SECOND, 2_000, "same"));
    lone.add(remote_host(THIRD, 500, "other"));
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
    assert_eq!(lone.pair_state(SECOND), CandidatePairState::Waiting);
    assert_eq!(lone.pair_state(THIRD), CandidatePairState::Waiting);
}

/// Item 17 (RFC 8445 §6.1.4.2 step 2, §7.2.5.2): a failure leaves the others as they are, but when nothing else of the foundation is left, the next one goes on.
#[test]
fn item_17_after_a_failure_the_next_pair_of_the_foundation_is_checked() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 3_000, "same"));
    lone.add(remote_host(SECOND, 2_000, "same"));
    let check = lone.take_checks().remove(0);
    lone.refuse(&check, 400);
    lone.run_for_millis(50);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ErrorResponse(400)));
    assert_eq!(lone.pair_state(SECOND), CandidatePairState::InProgress);
}

/// When checks with these proposals of Ta were first sent, in milliseconds after the first.
fn check_times(ours: u64, theirs: Option<u64>) -> Vec<u64> {
    let config = limited(|config| config.pacing = Duration::from_millis(ours));
    let mut lone = Lone::without_peer(IceRole::Controlled, config, &["192.0.2.1"]);
    lone.introduce_with(theirs.map(Duration::from_millis));
    for number in 0..4 {
        lone.add_host(&peer(number));
    }
    lone.run_for_millis(450);
    let checks = lone.take_checks();
    checks.iter().map(|check| check.milliseconds() - checks[0].milliseconds()).collect()
}

/// Item 18 (RFC 8445 §14.2).
#[test]
fn item_18_checks_are_paced_by_the_higher_of_both_proposals() {
    assert_eq!(check_times(50, None), [0, 50, 100, 150]);
    assert_eq!(check_times(50, Some(120)), [0, 120, 240, 360]);
    assert_eq!(check_times(20, Some(30)), [0, 30, 60, 90]);
    assert_eq!(check_times(20, None), [0, 50, 100, 150], "no proposal counts as the default");
    assert_eq!(check_times(0, Some(1)), [0, 5, 10, 15], "never more often than every 5 ms");
}

/// Item 18: signalling cannot bring checks to a standstill.
#[test]
fn item_18_no_proposal_makes_checks_rarer_than_one_a_second() {
    for (ours, theirs) in [(50, Some(9_999_999_999)), (50, Some(1_001)), (9_999_999_999, None)] {
        let config = limited(|config| config.pacing = Duration::from_millis(ours));
        let mut lone = Lone::without_peer(IceRole::Controlled, config, &["192.0.2.1"]);
        lone.introduce_with(theirs.map(Duration::from_millis));
        let start = lone.now;
        for number in 0..4 {
            lone.add_host(&peer(number));
        }
        lone.run_for_millis(3_900);
        let checks = lone.take_checks();
        let first_to = |number: u16| checks.iter().find(|check| check.path.remote.port() == 6_000 + number).unwrap();
        let times: Vec<_> = (0..4).map(|number| (first_to(number).at - start).as_millis()).collect();
        assert_eq!(times, [0, 1_000, 2_000, 3_000]);
    }
}

/// Item 18 (RFC 8445 §14.2).
#[test]
fn item_18_another_pacing_than_the_default_is_proposed_to_the_peer() {
    let proposal = |pacing: u64| {
        let config = limited(|config| config.pacing = Duration::from_millis(pacing));
        Lone::with(IceRole::Controlling, config, &[]).agent.local_parameters().pacing
    };
    assert_eq!(proposal(50), None);
    assert_eq!(proposal(20), Some(Duration::from_millis(20)));
    assert_eq!(proposal(5_000), Some(Duration::from_secs(1)), "what it will keep to");
}

/// Item 18: gathering and checks share the pace, and neither starves the other.
#[test]
fn item_18_requests_to_servers_and_checks_take_turns() {
    let server = |last: u8| proto_ice::StunServer {
        host: proto_ice::StunServerHost::Address([203, 0, 113, last].into()),
        port: 3_478,
        url: String::new(),
    };
    let config = limited(|config| config.stun_servers = vec![server(1), server(2), server(3)]);
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    lone.take_sent();
    for number in 0..3 {
        lone.add_host(&peer(number));
    }
    lone.run_for_millis(240);
    let kinds: Vec<bool> = lone.take_sent().iter().map(|sent| sent.read().is_check()).collect();
    assert_eq!(kinds, [true, false, true, false]);
}

/// Item 19 (RFC 8489 §6.2.1).
#[test]
fn item_19_an_unanswered_check_is_sent_seven_times_and_fails_after_39_and_a_half_seconds() {
    let mut lone = Lone::new(IceRole::Controlled);
    let start = lone.now;
    lone.add_host(PEER);
    lone.run_for(Duration::from_millis(39_499));
    let times: Vec<_> = lone.take_checks().iter().map(|check| (check.at - start).as_millis()).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
    lone.run_for_millis(1);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::Timeout));
    lone.run_for(Duration::from_secs(10));
    assert_eq!(lone.take_checks(), []);
}

/// Item 20 (RFC 8445 §7.1.1): type preference 110, the local preference of the candidate it is sent from.
#[test]
fn item_20_the_priority_in_a_check_is_that_of_a_peer_reflexive_candidate() {
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add_host(PEER);
    lone.run_for_millis(50);
    let checks = lone.take_checks();
    for (check, host) in checks.iter().zip(lone.agent.local_candidates()) {
        assert_eq!(check.path.local, host.base);
        assert_eq!(check.read().priority(), host.priority - (126 << 24) + (110 << 24));
    }
    assert_eq!(checks.len(), 2);
}

/// Item 21 (RFC 8445 §6.1.4.2 step 1).
#[test]
fn item_21_a_triggered_check_goes_before_all_ordinary_ones() {
    let mut lone = Lone::new(IceRole::Controlled);
    for number in 0..10 {
        lone.add_host(&peer(number));
    }
    lone.take_sent();
    lone.receive_check(&peer(9));
    lone.run_for_millis(50);
    let next = lone.take_checks().remove(0);
    assert_eq!(next.path.remote.port(), 6_009);
}

/// Item 21 (RFC 8445 §7.3.1.4).
#[test]
fn item_21_a_check_of_the_peer_restarts_ours_and_a_late_response_to_the_old_one_counts() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    let first = lone.take_checks().remove(0);
    lone.run_for_millis(100);
    lone.receive_check(PEER);
    let second = lone.take_checks().remove(0);
    assert_ne!(first.read().transaction(), second.read().transaction());
    lone.run_for_millis(5_000);
    let retransmitted: BTreeSet<_> = lone.take_checks().iter().map(|check| check.read().transaction()).collect();
    assert_eq!(retransmitted, BTreeSet::from([second.read().transaction()]));
    lone.succeed(&first);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Succeeded);
}

/// Item 21 (RFC 8445 §7.3.1.4): an error for a check that was given up says nothing about the new one.
#[test]
fn item_21_the_failure_of_a_cancelled_check_does_not_fail_the_pair() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    let first = lone.take_checks().remove(0);
    lone.run_for_millis(100);
    lone.receive_check(PEER);
    lone.refuse(&first, 400);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
}

/// Item 21 (RFC 8445 §7.3.1.4).
#[test]
fn item_21_a_triggered_check_gives_a_failed_pair_another_chance() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.refuse(&check, 400);
    lone.run_for_millis(100);
    lone.receive_check(PEER);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::InProgress);
    lone.validate(PEER);
    assert!(lone.agent.can_send());
}

/// Item 22 (RFC 8445 §7.3).
#[test]
fn item_22_checks_that_come_before_the_answer_are_answered_at_once_and_acted_on_later() {
    let mut lone = Lone::without_peer(IceRole::Controlled, IceConfig::default(), &["192.0.2.1"]);
    lone.receive_check(PEER);
    lone.receive_nomination(PEER);
    let response = lone.take_responses().remove(0);
    assert_eq!(response.read().class(), MessageClass::Success);
    assert_eq!(lone.agent.state(), IceTransportState::New);
    lone.run_for_millis(300);
    assert_eq!(lone.take_sent(), []);
    lone.introduce();
    assert_eq!(lone.agent.state(), IceTransportState::Checking);
    lone.validate(PEER);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(PEER), "the nomination was remembered too");
}

/// Item 22: only so many sources are remembered.
#[test]
fn item_22_early_checks_are_bounded() {
    let config = limited(|config| config.limits.early_checks = 3);
    let mut lone = Lone::without_peer(IceRole::Controlled, config, &["192.0.2.1"]);
    for number in 0..10 {
        lone.receive_check(&peer(number));
        lone.receive_check(&peer(number));
    }
    assert_eq!(lone.take_responses().len(), 20);
    assert_eq!(lone.drops(DropReason::EarlyChecksFull), 14);
    lone.introduce();
    assert_eq!(lone.agent.remote_candidates().count(), 3);
}

/// Item 22: a check of somebody who was given our password in another session.
#[test]
fn item_22_an_early_check_with_another_fragment_than_the_answer_is_not_acted_on() {
    let mut lone = Lone::without_peer(IceRole::Controlled, IceConfig::default(), &["192.0.2.1"]);
    let username = format!("{}:other", lone.agent.local_parameters().username_fragment);
    lone.receive_forged(PEER, &Forge::check(1, &username, 1));
    lone.introduce();
    assert_eq!(lone.agent.remote_candidates().count(), 0);
    assert_eq!(lone.drops(DropReason::UnknownRemoteFragment), 1);
}

/// Item 23 (RFC 8445 §7.3.1.3).
#[test]
fn item_23_an_unknown_source_becomes_a_peer_reflexive_candidate_with_the_priority_it_claims() {
    let mut lone = Lone::with(IceRole::Controlled, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add(remote_host(SECOND, 5, "0"));
    let check = lone.peer_check().without(PRIORITY).with(PRIORITY, &12_345_u32.to_be_bytes());
    lone.receive_forged(PEER, &check);
    let learned = lone.agent.remote_candidates().last().unwrap().clone();
    assert_eq!((learned.kind, learned.priority), (CandidateType::PeerReflexive, 12_345));
    assert_eq!(learned.address, PEER.parse().unwrap());
    assert!(lone.agent.remote_candidates().filter(|other| other.foundation == learned.foundation).count() == 1);
    // It is paired with the socket that the check came to, and with no other.
    let pairs = lone.agent.statistics().pairs;
    assert_eq!(pairs.iter().filter(|pair| pair.remote.address == learned.address).count(), 1);
}

/// Item 23 (RFC 8838 §11).
#[test]
fn item_23_a_signalled_twin_replaces_the_learned_candidate_and_keeps_the_nominated_pair() {
    let mut lone = Lone::with(IceRole::Controlled, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.receive_check(PEER);
    lone.select(PEER);
    let before = lone.pair(PEER).unwrap();
    assert_eq!(before.remote.kind, CandidateType::PeerReflexive);
    lone.add(remote_host(PEER, 2_130_706_431, "proper"));
    let after = lone.pair(PEER).unwrap();
    assert_eq!((after.remote.kind, after.remote.foundation.as_str()), (CandidateType::Host, "proper"));
    assert_eq!((after.state, after.nominated, after.priority), (before.state, true, before.priority));
    assert_eq!(lone.agent.remote_candidates().count(), 1);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(PEER));
    assert!(lone.agent.can_send());
}

/// Item 23: with the proper foundation (RFC 8445 §7.3.1.3) the pair takes its place among those of that foundation.
#[test]
fn item_23_a_signalled_twin_gives_the_pair_its_foundation() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_check(PEER);
    lone.add(remote_host(PEER, 3_000, "same"));
    lone.add(remote_host(SECOND, 2_000, "same"));
    assert_eq!(lone.pair_state(SECOND), CandidatePairState::Frozen);
    lone.validate(PEER);
    assert_ne!(lone.pair_state(SECOND), CandidatePairState::Frozen);
}

/// Item 24 (RFC 8445 §7.2.5.3.1-7.2.5.3.2).
#[test]
fn item_24_an_unknown_mapped_address_becomes_a_local_candidate_of_the_valid_pair_and_is_not_paired() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.add_host(SECOND);
    let check = lone.take_checks().remove(0);
    let mapped = "203.0.113.77:1234".parse().unwrap();
    lone.succeed_as(&check, mapped);
    let learned = lone.agent.local_candidates().last().unwrap().clone();
    assert_eq!((learned.kind, learned.address, learned.base), (CandidateType::PeerReflexive, mapped, lone.socket()));
    assert_eq!(learned.priority, check.read().priority());
    assert_eq!(lone.agent.statistics().pairs.len(), 2);
    assert_eq!(lone.pair(PEER).unwrap().local.address, mapped);
    // Data goes from the base, for the other agent to see it coming from there.
    assert_eq!(lone.send_payload(b"\x16data"), Some(lone.path(PEER)));
    let is_told =
        |event: &proto_ice::IceEvent| matches!(event, proto_ice::IceEvent::LocalCandidate(told) if *told == learned);
    assert!(!lone.events.iter().any(is_told), "it is not signalled");
}

/// Item 24 (RFC 8445 §7.2.5.3.2 case 2): the other agent sees another of our candidates.
#[test]
fn item_24_a_known_mapped_address_makes_the_valid_pair_that_of_the_known_candidate() {
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add_host(PEER);
    let check = lone.take_checks_to(PEER).remove(0);
    assert_eq!(check.path.local, lone.sockets[0]);
    lone.succeed_as(&check, lone.sockets[1]);
    let valid = lone.pair(PEER).unwrap();
    assert_eq!((valid.local.address, valid.path.local), (lone.sockets[1], lone.sockets[0]));
    assert_eq!(lone.agent.local_candidates().count(), 2);
}

/// Item 25 (RFC 8445 §7.2.5.2.2): no input of the agent carries ICMP errors, so none can fail a pair; being unreachable for a while does not either.
#[test]
fn item_25_a_destination_that_is_unreachable_for_a_while_is_not_given_up() {
    let mut world = World::idle(Setup::default());
    let (left, right) = ("192.0.2.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
    world.blocked.extend([(left, right), (right, left)]);
    world.begin();
    world.run_for(Duration::from_secs(14));
    assert_eq!(world.state(LEFT), IceTransportState::Checking);
    world.blocked.clear();
    world.connect();
    assert_eq!(world.state(LEFT), IceTransportState::Connected);
}

/// RFC 8445 §7.2.5.2.4.
#[test]
fn an_error_response_fails_the_pair_with_its_code() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.receive(PEER, &error(&check, 500).build());
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ErrorResponse(500)));
}

#[test]
fn a_second_response_to_a_transaction_changes_nothing() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.succeed(&check);
    lone.receive(PEER, &success(&check, "203.0.113.1:1".parse().unwrap()).build());
    assert_eq!(lone.agent.local_candidates().count(), 1);
    assert_eq!(lone.drops(DropReason::UnknownTransaction), 1);
}

#[test]
fn round_trip_times_are_measured_from_requests_that_were_sent_once() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.run_for_millis(120);
    lone.succeed(&check);
    assert_eq!(lone.agent.round_trip_time(), Some(Duration::from_millis(120)));
    let mut slow = Lone::new(IceRole::Controlled);
    slow.add_host(PEER);
    slow.run_for_millis(700);
    let checks = slow.take_checks();
    assert_eq!(checks.len(), 2);
    slow.succeed(&checks[1]);
    assert_eq!(slow.agent.round_trip_time(), None);
    // A check of the peer makes ours start anew (RFC 8445 §7.3.1.4): the response to the first one still tells.
    let mut crossed = Lone::new(IceRole::Controlled);
    crossed.add_host(PEER);
    let check = crossed.take_checks().remove(0);
    crossed.receive_check(PEER);
    crossed.run_for_millis(80);
    crossed.succeed(&check);
    assert_eq!(crossed.agent.round_trip_time(), Some(Duration::from_millis(80)));
    let nothing_else = |check: &crate::lone::Message| check.read().has(USE_CANDIDATE);
    assert!(!checks.iter().any(nothing_else), "a controlled agent does not nominate");
}
