//! Items 26-29: roles and nomination.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_ice::{CandidatePairState, IceEvent, IceRole, IceTransportState, PairFailure};
use stun_types::message::MessageClass;

use crate::lone::{Lone, Message, PEER_FRAGMENT, remote_host};
use crate::messages::{Forge, ICE_CONTROLLED, ICE_CONTROLLING, PRIORITY, Read, USE_CANDIDATE};
use crate::world::{LEFT, RIGHT, Setup, World};

const PEER: &str = "198.51.100.2:6000";
const SECOND: &str = "198.51.100.2:6001";

fn tie_breaker(check: &Message) -> u64 {
    let read = check.read();
    let value = read.value(ICE_CONTROLLING).or_else(|| read.value(ICE_CONTROLLED)).unwrap();
    u64::from_be_bytes(value.try_into().unwrap())
}

/// An agent that receives a check of a peer in its own role, whose tie-breaker is larger, equal or smaller. Returned are its role and what it answers.
fn conflict(role: IceRole, theirs: impl Fn(u64) -> u64) -> (IceRole, MessageClass, Option<u16>, Lone) {
    let mut lone = Lone::new(role);
    lone.add_host(PEER);
    let ours = tie_breaker(&lone.take_checks()[0]);
    let attribute = if role == IceRole::Controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
    let username = format!("{}:{PEER_FRAGMENT}", lone.agent.local_parameters().username_fragment);
    let check = Forge::check(77, &username, 1).with(attribute, &theirs(ours).to_be_bytes());
    lone.receive_forged(PEER, &check);
    let response = lone.take_responses().remove(0);
    let (class, code) = (response.read().class(), response.read().error_code());
    (lone.agent.role(), class, code, lone)
}

/// Item 26 (RFC 8445 §7.3.1.1).
#[test]
fn item_26_a_controlling_agent_with_a_tie_breaker_as_large_or_larger_stays_and_answers_487() {
    for theirs in [|ours: u64| ours, |ours: u64| ours - 1, |_| 0] {
        let (role, class, code, lone) = conflict(IceRole::Controlling, theirs);
        assert_eq!((role, class, code), (IceRole::Controlling, MessageClass::Error, Some(487)));
        assert_eq!(lone.pair(PEER).unwrap().counters.requests_received, 0, "the check has no further effect");
    }
}

/// Item 26 (RFC 8445 §7.3.1.1): and the switch is answered with success.
#[test]
fn item_26_a_controlling_agent_with_a_smaller_tie_breaker_switches_and_answers_success() {
    let (role, class, code, lone) = conflict(IceRole::Controlling, |ours| ours + 1);
    assert_eq!((role, class, code), (IceRole::Controlled, MessageClass::Success, None));
    assert!(lone.events.contains(&IceEvent::RoleChange(IceRole::Controlled)));
}

/// Item 26 (RFC 8445 §7.3.1.1).
#[test]
fn item_26_a_controlled_agent_with_a_tie_breaker_as_large_or_larger_switches_and_answers_success() {
    for theirs in [|ours: u64| ours, |ours: u64| ours - 1] {
        let (role, class, code, lone) = conflict(IceRole::Controlled, theirs);
        assert_eq!((role, class, code), (IceRole::Controlling, MessageClass::Success, None));
        assert!(lone.events.contains(&IceEvent::RoleChange(IceRole::Controlling)));
    }
}

/// Item 26 (RFC 8445 §7.3.1.1).
#[test]
fn item_26_a_controlled_agent_with_a_smaller_tie_breaker_stays_and_answers_487() {
    let (role, class, code, _) = conflict(IceRole::Controlled, |ours| ours + 1);
    assert_eq!((role, class, code), (IceRole::Controlled, MessageClass::Error, Some(487)));
}

/// Item 27 (RFC 8445 §7.2.5.1).
#[test]
fn item_27_on_487_the_agent_switches_draws_a_new_tie_breaker_and_repeats_the_check() {
    for (role, attribute) in [(IceRole::Controlling, ICE_CONTROLLED), (IceRole::Controlled, ICE_CONTROLLING)] {
        let mut lone = Lone::new(role);
        lone.add_host(PEER);
        let check = lone.take_checks().remove(0);
        lone.refuse(&check, 487);
        assert_eq!(lone.agent.role(), role.opposite());
        lone.run_for_millis(50);
        let repeated = lone.take_checks().remove(0);
        assert!(repeated.read().has(attribute));
        assert_ne!(tie_breaker(&repeated), tie_breaker(&check));
        lone.succeed(&repeated);
        assert!(lone.agent.can_send());
    }
}

/// Item 27: a 487 for the role that we had before says nothing about the one that we have; the check is repeated in the new one.
#[test]
fn item_27_a_487_for_a_request_in_the_old_role_does_not_switch_again() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.agent.set_role(lone.now, IceRole::Controlled);
    lone.refuse(&check, 487);
    assert_eq!(lone.agent.role(), IceRole::Controlled);
    lone.run_for_millis(50);
    let repeated = lone.take_checks().remove(0);
    assert!(repeated.read().has(ICE_CONTROLLED));
    assert_eq!(tie_breaker(&repeated), tie_breaker(&check));
}

/// Items 26 and 27, end to end.
#[test]
fn items_26_and_27_two_agents_in_the_same_role_sort_it_out_and_complete() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in 0..40 {
            let mut setup = Setup { seed, ..Setup::default() };
            for side in &mut setup.sides {
                side.role = role;
            }
            let mut world = World::new(setup);
            world.complete();
            assert_eq!(world.nodes[LEFT].agent.role(), world.nodes[RIGHT].agent.role().opposite());
            let selected = |side: usize| world.nodes[side].agent.selected_pair().unwrap().path;
            assert_eq!(selected(LEFT), selected(RIGHT).reversed());
        }
    }
}

/// The transactions of checks with USE-CANDIDATE from one side.
fn nominations(world: &World, side: usize) -> BTreeSet<(u16, u128)> {
    let sent = world.sent.iter().filter(|sent| sent.from == side);
    let nomination = |sent: &crate::world::Sent| {
        let read = Read::new(&sent.bytes)?;
        read.has(USE_CANDIDATE).then(|| (sent.path.remote.port(), read.transaction()))
    };
    sent.filter_map(nomination).collect()
}

/// Item 28 (RFC 8445 §8.1.1): "one and only one candidate pair".
#[test]
fn item_28_one_pair_is_nominated_once_and_both_agents_select_it() {
    for seed in 0..20 {
        let mut setup = Setup { seed, ..Setup::default() };
        setup.sides[LEFT].addresses = vec!["192.0.2.1", "192.0.2.2", "2001:db8::1"];
        setup.sides[RIGHT].addresses = vec!["198.51.100.1", "198.51.100.2", "2001:db8::2"];
        let mut world = World::new(setup);
        world.complete();
        world.run_for(Duration::from_secs(20));
        assert_eq!(nominations(&world, LEFT).len(), 1);
        assert_eq!(nominations(&world, RIGHT).len(), 0);
        let selected = |side: usize| world.nodes[side].agent.selected_pair().unwrap().path;
        assert_eq!(selected(LEFT), selected(RIGHT).reversed());
        // The best pair of all was available, and is IPv6.
        assert!(selected(LEFT).local.is_ipv6());
    }
}

/// Item 28.
#[test]
fn item_28_if_the_nomination_fails_the_next_valid_pair_is_nominated() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.add_host(SECOND);
    lone.validate(PEER);
    lone.run_for_millis(200);
    let checks = lone.take_checks();
    let nomination = checks.iter().find(|check| check.read().has(USE_CANDIDATE)).unwrap();
    assert_eq!(nomination.path, lone.path(PEER));
    let other = checks.iter().find(|check| check.path == lone.path(SECOND)).unwrap();
    lone.succeed(other);
    lone.refuse(nomination, 400);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ErrorResponse(400)));
    assert_eq!(lone.send_payload(b"\x16"), Some(lone.path(SECOND)), "data does not wait for it");
    lone.run_for_millis(200);
    let nomination = lone.take_checks().remove(0);
    assert!(nomination.read().has(USE_CANDIDATE));
    lone.succeed(&nomination);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(SECOND));
}

/// Item 28: aggressive nomination (RFC 8445 §8.1.1).
#[test]
fn item_28_of_many_nominations_of_a_peer_the_highest_priority_counts() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 3_000, "1"));
    lone.add(remote_host(SECOND, 2_000, "2"));
    lone.validate(PEER);
    lone.validate(SECOND);
    lone.receive_nomination(SECOND);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(SECOND));
    lone.receive_nomination(PEER);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(PEER));
    lone.receive_nomination(SECOND);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(PEER));
    assert_eq!(lone.agent.statistics().selected_pair_changes, 2);
}

/// Item 28: also when the better pair is new to us after the first nomination.
#[test]
fn item_28_a_better_pair_that_is_nominated_later_is_checked_and_selected() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 1_000, "1"));
    lone.select(PEER);
    lone.run_for_millis(1_000);
    let better =
        lone.peer_check().without(PRIORITY).with(PRIORITY, &2_000_000_u32.to_be_bytes()).with(USE_CANDIDATE, &[]);
    lone.receive_forged(SECOND, &better);
    lone.validate(SECOND);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(SECOND));
}

/// Item 29 (RFC 8445 §7.3.1.5).
#[test]
fn item_29_a_nomination_takes_effect_once_our_own_check_has_succeeded() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_nomination(PEER);
    assert_eq!(lone.agent.selected_pair(), None);
    assert_eq!(lone.send_payload(b"\x16"), None);
    lone.run_for_millis(100);
    assert_eq!(lone.agent.selected_pair(), None);
    lone.validate(PEER);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(PEER));
    let selected = lone.events.iter().filter(|event| matches!(event, IceEvent::SelectedCandidatePairChange(_)));
    assert_eq!(selected.count(), 1);
}

/// RFC 8445 §8.1.2: what is Waiting is not checked any more, what is In-Progress not retransmitted.
#[test]
fn once_a_pair_is_nominated_no_others_are_checked() {
    for role in [IceRole::Controlled, IceRole::Controlling] {
        let mut lone = Lone::new(role);
        for address in [PEER, SECOND, "198.51.100.2:6002", "198.51.100.2:6003"] {
            lone.add_host(address);
        }
        lone.select(PEER);
        assert_eq!(lone.pair_state(SECOND) == CandidatePairState::InProgress, role == IceRole::Controlling);
        lone.run_for(Duration::from_millis(2_900));
        assert_eq!(lone.take_checks(), []);
        // Consent checks of the selected pair are all that follows.
        lone.run_for(Duration::from_secs(25));
        let others = lone.take_checks().into_iter().filter(|check| check.path != lone.path(PEER));
        assert_eq!(others.count(), 0);
        assert_eq!(lone.agent.statistics().pairs.len(), 1);
    }
}

/// Item 29: a nomination of the time before a role switch is none of ours.
#[test]
fn item_29_a_nomination_that_was_asked_for_in_the_other_role_is_forgotten() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_nomination(PEER);
    lone.agent.set_role(lone.now, IceRole::Controlling);
    lone.validate(PEER);
    assert_eq!(lone.agent.selected_pair(), None);
    lone.run_for_millis(50);
    let nomination = lone.take_checks().remove(0);
    assert!(nomination.read().has(USE_CANDIDATE));
    lone.succeed(&nomination);
    assert_eq!(lone.agent.selected_pair().unwrap().path, lone.path(PEER));
}

/// Item 29: whoever is controlled has nothing to nominate.
#[test]
fn item_29_a_nomination_by_a_controlled_agent_is_ignored() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.validate(PEER);
    lone.take_sent();
    lone.receive_nomination(PEER);
    assert_eq!(lone.take_responses().len(), 1);
    assert_eq!(lone.agent.selected_pair(), None);
}

/// A driver that is late with a timeout: an authentic request makes up for it, whatever its answer.
#[test]
fn a_request_that_is_refused_brings_overdue_timers_and_the_state_up_to_date() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.now = lone.now + Duration::from_secs(60);
    let nonsense = lone.peer_check().without(PRIORITY);
    lone.receive_forged(PEER, &nonsense);
    assert_eq!(lone.agent.state(), IceTransportState::Failed);
}

/// The policy: nothing better in sight, nothing to wait for.
#[test]
fn the_best_pair_is_nominated_as_soon_as_pacing_allows() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    let check = lone.take_checks().remove(0);
    lone.run_for_millis(20);
    lone.succeed(&check);
    lone.run_for_millis(30);
    let nomination = lone.take_checks().remove(0);
    assert!(nomination.read().has(USE_CANDIDATE));
    assert_eq!(nomination.milliseconds() - check.milliseconds(), 50);
}

/// The policy: a better pair that is still to be checked is waited for.
#[test]
fn a_better_pair_is_checked_before_another_is_nominated() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host("198.51.100.2:6009");
    let hopeless = lone.take_checks().remove(0);
    lone.refuse(&hopeless, 400);
    lone.add_host(PEER);
    lone.add_host(SECOND);
    lone.receive_check(SECOND);
    lone.run_for_millis(50);
    let triggered = lone.take_checks_to(SECOND).remove(0);
    lone.succeed(&triggered);
    lone.run_for_millis(50);
    let next = lone.take_checks().remove(0);
    assert_eq!(next.path, lone.path(PEER));
    lone.succeed(&next);
    lone.run_for_millis(50);
    let nomination = lone.take_checks().remove(0);
    assert_eq!((nomination.path, nomination.read().has(USE_CANDIDATE)), (lone.path(PEER), true));
}

/// RFC 7675 §5.2: also as the answer to the check that nominates.
#[test]
fn a_403_to_a_nomination_revokes_consent() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.validate(PEER);
    lone.run_for_millis(50);
    let nomination = lone.take_checks().remove(0);
    lone.refuse(&nomination, 403);
    assert_eq!(lone.pair_state(PEER), CandidatePairState::Failed(PairFailure::ConsentRevoked));
    lone.receive_check(PEER);
    lone.run_for_millis(100);
    assert_eq!(lone.take_checks(), []);
}

/// The policy: a better pair gets one retransmission and two round trips, but data does not wait.
#[test]
fn a_better_pair_that_does_not_answer_delays_nomination_for_a_moment_only() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.add_host(SECOND);
    lone.run_for_millis(100);
    let checks = lone.take_checks();
    let second = checks.iter().find(|check| check.path == lone.path(SECOND)).unwrap().clone();
    lone.succeed(&second);
    assert_eq!(lone.send_payload(b"\x16"), Some(lone.path(SECOND)));
    lone.run_for_millis(700);
    let nomination = lone.take_checks_to(SECOND).remove(0);
    assert!(nomination.read().has(USE_CANDIDATE));
    // Checked at 0, one RTO of 500 ms, two round trips of 50 ms.
    assert_eq!(nomination.milliseconds() - checks[0].milliseconds(), 600);
}
