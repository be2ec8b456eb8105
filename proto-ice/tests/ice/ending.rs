//! Items 31 and 32: when it has failed, and what comes too late.

use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{
    AddRemoteCandidateError, CandidatePairState, DropReason, IceConfig, IceEvent, IceRole, IceTransportState,
    PairFailure,
};
use proto_machine::{Machine, SocketEvent, SocketRequest};

use crate::lone::{Lone, PEER_FRAGMENT, remote_host};
use crate::world::{LEFT, RIGHT, Setup, Signalling, World};

const PEER: &str = "198.51.100.2:6000";
const SECOND: &str = "198.51.100.2:6001";

/// Item 31 (RFC 8863 §4).
#[test]
fn item_31_nothing_has_failed_while_the_pac_timer_runs_even_if_all_checks_have() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.agent.end_of_remote_candidates(lone.now, Some(PEER_FRAGMENT));
    let check = lone.take_checks().remove(0);
    lone.refuse(&check, 400);
    lone.run_for(Duration::from_millis(39_499));
    assert_eq!(lone.agent.state(), IceTransportState::Checking);
    lone.run_for_millis(1);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
}

/// Item 31 (RFC 8863 §3.1): the peer has no candidates, and yet may reach us.
#[test]
fn item_31_without_any_remote_candidate_the_pac_timer_is_waited_for() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.run_for(Duration::from_secs(30));
    assert_eq!(lone.agent.state(), IceTransportState::New);
    lone.receive_check(PEER);
    lone.validate(PEER);
    assert_eq!(lone.agent.state(), IceTransportState::Connected);
    let mut unlucky = Lone::new(IceRole::Controlled);
    unlucky.agent.end_of_remote_candidates(unlucky.now, None);
    unlucky.run_for(Duration::from_millis(39_500));
    assert_eq!(unlucky.agent.state(), IceTransportState::Failed);
}

/// Item 31 (RFC 8838 §8): the end of remote candidates is waited for, up to the fallback of RFC 8863 §5.
#[test]
fn item_31_nothing_has_failed_before_the_end_of_remote_candidates() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.run_for(Duration::from_secs(59));
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::Timeout));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
    lone.add_host(SECOND);
    assert_eq!(lone.agent.state(), IceTransportState::Checking);
    lone.run_for(Duration::from_secs(59));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
    lone.agent.end_of_remote_candidates(lone.now, None);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
}

/// Item 31 (RFC 8863 §5).
#[test]
fn item_31_an_end_of_candidates_that_never_comes_is_assumed_in_the_end() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.run_for(Duration::from_millis(59_999));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
    lone.run_for_millis(1);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
    // Failure is final: what comes now needs a restart to be of use.
    lone.add_host(SECOND);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
    assert_eq!(lone.agent.statistics().pairs.len(), 1);
}

/// Item 31 (RFC 8838 §8): so is the end of our own.
#[test]
fn item_31_nothing_has_failed_before_the_end_of_local_candidates() {
    let mut world = World::idle(Setup { signalling: Signalling::None, ..Setup::default() });
    world.opens_sockets = false;
    world.begin();
    world.tell_parameters(LEFT);
    let now = world.now;
    world.agent(LEFT).add_remote_candidate(now, remote_host(PEER, 1, "1")).unwrap();
    world.agent(LEFT).end_of_remote_candidates(now, None);
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.state(LEFT), IceTransportState::Disconnected);
    let SocketRequest::BindUdp { socket, .. } = world.nodes[LEFT].socket_requests[0] else {
        panic!("no socket was asked for");
    };
    let now = world.now;
    let error = proto_machine::SocketError::PermissionDenied;
    world.agent(LEFT).handle_socket_event(now, SocketEvent::Failed { socket, error });
    assert_eq!(world.state(LEFT), IceTransportState::Failed);
}

/// Item 31: checks that began late are waited for.
#[test]
fn item_31_nothing_has_failed_before_all_checks_are_done() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.run_for(Duration::from_secs(38));
    lone.add_host(PEER);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.run_for(Duration::from_millis(39_499));
    assert_eq!(lone.agent.state(), IceTransportState::Checking);
    lone.run_for_millis(1);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
}

#[test]
fn failure_is_final_and_quiet_but_requests_are_still_answered() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.run_for(Duration::from_secs(40));
    lone.receive_nomination(PEER);
    assert_eq!(lone.take_responses().len(), 1);
    assert_eq!(lone.drops(DropReason::UnusablePair), 1);
    assert_eq!((lone.agent.remote_candidates().count(), lone.agent.statistics().pairs.len()), (0, 0));
    lone.run_for(Duration::from_secs(100));
    assert_eq!(lone.take_sent(), []);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
}

/// The states of two agents that do not reach each other at all.
#[test]
fn two_agents_that_cannot_reach_each_other_fail_and_can_say_why() {
    let mut world = World::idle(Setup::default());
    world.link.loss_percent = 100;
    world.begin();
    world.run_for(Duration::from_secs(45));
    for node in &world.nodes {
        assert_eq!(node.states(), [IceTransportState::Checking, IceTransportState::Failed]);
        let pairs = node.agent.statistics().pairs;
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].state, CandidatePairState::Failed(PairFailure::Timeout));
        assert_eq!((pairs[0].counters.requests_sent, pairs[0].counters.responses_received), (1, 0));
    }
}

/// Item 32 (RFC 8838 §9).
#[test]
fn item_32_candidates_and_ends_of_another_generation_are_dropped_and_counted() {
    let mut lone = Lone::new(IceRole::Controlled);
    let mut stale = remote_host(PEER, 1, "1");
    stale.username_fragment = Some("stale".to_owned());
    let refused = lone.agent.add_remote_candidate(lone.now, stale.clone());
    assert_eq!(refused, Err(AddRemoteCandidateError::UnknownUsernameFragment));
    lone.agent.end_of_remote_candidates(lone.now, Some("stale"));
    assert_eq!(lone.agent.remote_candidates().count(), 0);
    assert_eq!(lone.agent.statistics().stale_signalling, 2);
    stale.username_fragment = Some(PEER_FRAGMENT.to_owned());
    lone.add(stale);
    // The stale end did not end anything.
    lone.run_for(Duration::from_secs(41));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
}

/// Item 32 (RFC 8838 §14): the order counts.
#[test]
fn item_32_a_candidate_after_the_end_is_refused() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.agent.end_of_remote_candidates(lone.now, None);
    let refused = lone.agent.add_remote_candidate(lone.now, remote_host(SECOND, 1, "1"));
    assert_eq!(refused, Err(AddRemoteCandidateError::AfterEndOfCandidates));
    lone.add(remote_host(PEER, 1, "known already"));
    assert_eq!(lone.agent.remote_candidates().count(), 1);
}

/// Item 32: also long after the time at which the end would have been assumed.
#[test]
fn item_32_the_end_that_was_signalled_stays_the_end() {
    let mut world = World::new(Setup::default());
    world.run_for(Duration::from_secs(100));
    let now = world.now;
    let refused = world.agent(LEFT).add_remote_candidate(now, remote_host(SECOND, 1, "1"));
    assert_eq!(refused, Err(AddRemoteCandidateError::AfterEndOfCandidates));
}

#[test]
fn an_end_before_the_parameters_is_counted_as_stale() {
    let mut lone = Lone::without_peer(IceRole::Controlled, IceConfig::default(), &["192.0.2.1"]);
    lone.agent.end_of_remote_candidates(lone.now, None);
    assert_eq!(lone.agent.statistics().stale_signalling, 1);
}

/// W3C webrtc-pc §5.6.6: completed needs the end of candidates, connected does not.
#[test]
fn the_states_of_a_successful_connection_are_checking_connected_and_completed() {
    let mut world =
        World::new(Setup { signalling: Signalling::Trickle(Duration::from_millis(300)), ..Setup::default() });
    world.run_for(Duration::from_secs(5));
    for side in [LEFT, RIGHT] {
        let expected = [IceTransportState::Checking, IceTransportState::Connected, IceTransportState::Completed];
        assert_eq!(world.nodes[side].states(), expected);
    }
    let mut world = World::new(Setup { signalling: Signalling::WithoutEnd, ..Setup::default() });
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.nodes[LEFT].states(), [IceTransportState::Checking, IceTransportState::Connected]);
}

/// Item 32 (RFC 8838 §17): of one component, the order of discovery is the one to keep.
#[test]
fn item_32_candidates_are_told_in_the_order_of_their_discovery_and_their_end_behind_them() {
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &addresses);
    lone.run_for_millis(100);
    let told: Vec<Option<SocketAddr>> = lone
        .events
        .iter()
        .filter_map(|event| match event {
            IceEvent::LocalCandidate(candidate) => Some(Some(candidate.address)),
            IceEvent::EndOfCandidates => Some(None),
            _ => None,
        })
        .collect();
    let found = lone.agent.local_candidates().map(|candidate| Some(candidate.address));
    assert_eq!(told, found.chain([None]).collect::<Vec<_>>());
    assert_eq!(told.len(), 4);
}
