//! Items 16 and 28, continued: a peer whose address changes, because a NAT gives it another or because it moves.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_ice::{CandidatePairState, DropReason, IceConfig, IceRole, IceTransportState};

use crate::lone::{Lone, remote_host};

const PEER: &str = "198.51.100.2:6000";
const SECOND: &str = "198.51.100.2:6001";

fn peer(number: u16) -> String {
    format!("198.51.100.2:{}", 6_000 + number)
}

fn selected(lone: &Lone) -> String {
    lone.agent.selected_pair().unwrap().path.remote.to_string()
}

/// Item 28: a NAT has given the peer another port. All its peer-reflexive candidates have one priority, so of equal ones the latest nomination counts.
#[test]
fn item_28_of_two_nominated_pairs_of_one_priority_the_one_that_was_nominated_last_is_used() {
    for (old, new) in [(PEER, SECOND), (SECOND, PEER)] {
        let mut lone = Lone::new(IceRole::Controlled);
        lone.receive_check(old);
        lone.select(old);
        lone.run_for(Duration::from_secs(1));
        lone.receive_nomination(new);
        lone.validate(new);
        assert_eq!(selected(&lone), new);
        assert_eq!(lone.send_payload(b"\x17"), Some(lone.path(new)));
        // And back again: a nomination that is repeated is one more.
        lone.receive_nomination(old);
        assert_eq!(selected(&lone), old);
    }
}

/// Item 28: both nominations are open when the older one takes effect.
#[test]
fn item_28_a_later_nomination_of_the_same_priority_is_still_checked_after_a_pair_was_selected() {
    for (old, new) in [(PEER, SECOND), (SECOND, PEER)] {
        let mut lone = Lone::new(IceRole::Controlled);
        lone.receive_nomination(old);
        lone.receive_nomination(new);
        lone.validate(old);
        lone.validate(new);
        assert_eq!(selected(&lone), new);
    }
}

/// Item 28: a peer that moves nominates a worse pair, and is not heard on the better one any more.
#[test]
fn item_28_a_nominated_pair_on_which_the_peer_is_silent_yields_to_one_on_which_it_is_heard() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 3_000, "1"));
    lone.add(remote_host(SECOND, 2_000, "2"));
    lone.select(PEER);
    lone.run_for(Duration::from_secs(5));
    lone.receive_nomination(SECOND);
    lone.validate(SECOND);
    assert_eq!(selected(&lone), PEER, "as long as the better one works, it is used");
    for _ in 0..14 {
        lone.run_for(Duration::from_secs(1));
        lone.receive_check(SECOND);
    }
    assert_eq!(selected(&lone), SECOND);
    assert_eq!(lone.agent.state(), IceTransportState::Connected);
    assert_eq!(lone.send_payload(b"\x17"), Some(lone.path(SECOND)));
}

/// Item 28: silence on every nominated pair is no reason to change.
#[test]
fn item_28_of_nominated_pairs_that_are_all_silent_the_best_is_used() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 3_000, "1"));
    lone.add(remote_host(SECOND, 2_000, "2"));
    lone.select(PEER);
    lone.run_for(Duration::from_secs(5));
    lone.receive_nomination(SECOND);
    lone.validate(SECOND);
    lone.receive_check(PEER);
    lone.receive_check(SECOND);
    lone.run_for(Duration::from_secs(20));
    assert_eq!(lone.agent.state(), IceTransportState::Disconnected);
    assert!(lone.pair(SECOND).unwrap().nominated);
    assert_eq!((selected(&lone).as_str(), lone.agent.statistics().selected_pair_changes), (PEER, 1));
}

/// Item 30 (RFC 8445 §12.1): the same holds before nomination.
#[test]
fn item_30_before_nomination_data_goes_over_a_pair_on_which_the_peer_is_heard() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add(remote_host(PEER, 3_000, "1"));
    lone.add(remote_host(SECOND, 2_000, "2"));
    lone.validate(PEER);
    lone.validate(SECOND);
    assert_eq!(lone.send_payload(b"\x16"), Some(lone.path(PEER)));
    for _ in 0..14 {
        lone.run_for(Duration::from_secs(1));
        lone.receive_check(SECOND);
    }
    assert_eq!(lone.send_payload(b"\x16"), Some(lone.path(SECOND)));
    assert_eq!(lone.agent.state(), IceTransportState::Connected);
}

/// Item 16: learned candidates are bounded, but one that is out of use makes room.
#[test]
fn item_16_a_peer_whose_address_changes_40_times_is_followed_every_time() {
    let mut lone = Lone::new(IceRole::Controlled);
    for number in 0..40 {
        lone.receive_nomination(&peer(number));
        lone.validate(&peer(number));
        assert_eq!(selected(&lone), peer(number));
        assert_eq!(lone.agent.selected_pair().unwrap().remote.address, peer(number).parse().unwrap());
        lone.run_for(Duration::from_secs(4));
    }
    assert_eq!(lone.drops(DropReason::TooManyPeerReflexive), 0);
    assert!(lone.agent.remote_candidates().count() <= IceConfig::default().limits.remote_peer_reflexive_candidates);
    let mut foundations: Vec<_> = lone.agent.remote_candidates().map(|remote| remote.foundation.clone()).collect();
    let count = foundations.len();
    foundations.sort();
    foundations.dedup();
    assert_eq!(foundations.len(), count, "RFC 8445 §7.3.1.3: each has a foundation of its own");
}

/// Item 16: nor do sources from which no check of ours was ever answered use up the room for good.
#[test]
fn item_16_learned_candidates_whose_checks_have_failed_make_room() {
    let mut config = IceConfig::default();
    config.limits.remote_peer_reflexive_candidates = 2;
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    lone.receive_check(&peer(0));
    lone.receive_check(&peer(1));
    lone.receive_check(&peer(2));
    assert_eq!(lone.drops(DropReason::TooManyPeerReflexive), 1, "both are being checked");
    lone.run_for(Duration::from_secs(41));
    lone.take_sent();
    lone.receive_check(&peer(2));
    assert_eq!(lone.pair_state(&peer(2)), CandidatePairState::InProgress);
    assert!(lone.pair(&peer(0)).is_none(), "its pair is gone with it");
    assert!(lone.pair(&peer(1)).is_some());
    assert_eq!(lone.agent.remote_candidates().count(), 2);
    lone.validate(&peer(2));
    assert_eq!(lone.agent.remote_candidates().filter(|remote| remote.address == peer(2).parse().unwrap()).count(), 1);
}

/// Item 16: behind two NATs that make the source of every check a new one, each check triggers another without end. The agent tires of it, and says that it has failed.
#[test]
fn item_16_a_peer_that_is_never_heard_twice_from_one_address_is_given_up() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.take_sent();
    let mut number = 0;
    while lone.agent.state() != IceTransportState::Failed {
        number += 1;
        // 16 at a time, each for as long as its check may take.
        assert!(number < 4_000, "it goes on after 200 s");
        lone.receive_check(&peer(number));
        lone.run_for(Duration::from_millis(50));
    }
    assert!(lone.drops(DropReason::TooManyPeerReflexive) > 0);
    let checked: BTreeSet<_> = lone.take_checks().iter().map(|check| check.path.remote).collect();
    assert_eq!(checked.len(), IceConfig::default().limits.fruitless_peer_reflexive_candidates);
}
