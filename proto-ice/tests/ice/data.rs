//! Items 30 and 34: payload, before and after nomination.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_ice::{DropReason, IceConfig, IceRole};
use proto_machine::TransmitBuffer;

use crate::lone::Lone;
use crate::messages::Forge;
use crate::world::{LEFT, RIGHT, Setup, World};

const PEER: &str = "198.51.100.2:6000";
const STRANGER: &str = "203.0.113.9:7000";

/// Something that begins like a DTLS handshake record.
fn record(number: u8) -> Vec<u8> {
    vec![22, 254, 253, number]
}

/// Item 30 (RFC 8445 §12.1).
#[test]
fn item_30_data_flows_on_the_first_valid_pair_before_any_nomination() {
    let mut setup = Setup::default();
    setup.sides[RIGHT].addresses = vec!["198.51.100.1", "198.51.100.2"];
    let mut world = World::idle(setup);
    // The best pair leads nowhere.
    world.blocked.insert(("192.0.2.1".parse().unwrap(), "198.51.100.1".parse().unwrap()));
    world.blocked.insert(("198.51.100.1".parse().unwrap(), "192.0.2.1".parse().unwrap()));
    world.begin();
    world.connect();
    assert!(world.now.since_epoch() < Duration::from_millis(150), "{:?}", world.now);
    assert!(world.nodes.iter().all(|node| node.agent.selected_pair().is_none()));
    let in_use = |side: usize| world.nodes[side].agent.data_pair().unwrap();
    assert_eq!(in_use(LEFT).remote.address, in_use(RIGHT).local.address, "the pair that data goes over is told of");
    world.send_payload(LEFT, &record(1)).unwrap();
    world.send_payload(RIGHT, &record(2)).unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.nodes[RIGHT].payloads[0].1, record(1));
    assert_eq!(world.nodes[LEFT].payloads[0].1, record(2));
    world.complete();
    assert!(world.now.since_epoch() < Duration::from_millis(1_000), "{:?}", world.now);
    world.send_payload(LEFT, &record(3)).unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.nodes[RIGHT].payloads[1].1, record(3));
}

/// Item 30: one round trip after signalling.
#[test]
fn item_30_the_path_for_data_is_there_one_round_trip_after_the_candidates() {
    let mut world = World::new(Setup::default());
    world.connect();
    assert_eq!(world.now.since_epoch(), 2 * world.link.delay);
}

/// Item 34.
#[test]
fn item_34_no_data_goes_to_an_address_that_our_own_check_has_not_validated() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_nomination(PEER);
    let mut buffer = TransmitBuffer::new(1_200);
    let transmit = lone.agent.wrap(lone.now, &mut buffer, |_| panic!("there is nowhere to send to"));
    assert!(transmit.is_none() && !lone.agent.can_send());
    lone.run_for(Duration::from_secs(20));
    assert_eq!(lone.send_payload(&record(1)), None);
    lone.validate(PEER);
    assert_eq!(lone.send_payload(&record(1)), Some(lone.path(PEER)));
}

/// Item 34: once a pair is validated, another source with an authentic check does not draw data to itself.
#[test]
fn item_34_a_check_from_another_address_does_not_move_the_path_for_data() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.select(PEER);
    for _ in 0..10 {
        lone.receive_nomination(STRANGER);
        assert_eq!(lone.send_payload(&record(1)), Some(lone.path(PEER)));
        lone.run_for_millis(500);
    }
}

#[test]
fn datagrams_of_a_path_under_validation_are_held_and_come_in_order_on_validation() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_check(PEER);
    for number in 0..6 {
        assert_eq!(lone.receive(PEER, &record(number)), None);
    }
    assert_eq!(lone.agent.poll_held(), None);
    assert_eq!(lone.drops(DropReason::HeldFull), 2);
    lone.validate(PEER);
    // What is ready and not fetched takes its room as well.
    lone.receive_check("198.51.100.2:6001");
    lone.receive("198.51.100.2:6001", &record(9));
    assert_eq!(lone.drops(DropReason::HeldFull), 3);
    let held: Vec<_> = std::iter::from_fn(|| lone.agent.poll_held()).collect();
    assert_eq!(held, (0..4).map(record).collect::<Vec<_>>());
    assert_eq!(lone.pair(PEER).unwrap().counters.packets_received, 4);
    assert_eq!(lone.receive(PEER, &record(7)), Some(record(7)));
}

/// Our own check to an address says nothing about who sends from there.
#[test]
fn nothing_is_held_from_a_path_that_only_we_have_checked() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    assert_eq!(lone.receive(PEER, &record(1)), None);
    assert_eq!(lone.drops(DropReason::UnvalidatedPath), 1);
    lone.validate(PEER);
    assert_eq!(lone.agent.poll_held(), None);
}

#[test]
fn datagrams_are_held_before_the_answer_too() {
    let mut lone = Lone::without_peer(IceRole::Controlling, IceConfig::default(), &["192.0.2.1"]);
    lone.receive_check(PEER);
    assert_eq!(lone.receive(PEER, &record(1)), None);
    lone.introduce();
    lone.validate(PEER);
    assert_eq!(lone.agent.poll_held(), Some(record(1)));
}

#[test]
fn what_is_held_is_dropped_if_validation_fails_and_bounded_by_configuration_and_size() {
    let mut config = IceConfig::default();
    config.limits.held_datagrams = 1;
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    lone.receive_check(PEER);
    lone.receive(PEER, &[22; 3_000]);
    assert_eq!(lone.drops(DropReason::HeldFull), 1);
    lone.receive(PEER, &record(1));
    lone.receive(PEER, &record(2));
    assert_eq!(lone.drops(DropReason::HeldFull), 2);
    lone.run_for_millis(100);
    let check = lone.take_checks().pop().unwrap();
    lone.refuse(&check, 400);
    assert_eq!(lone.receive(PEER, &record(3)), None);
    lone.receive_check(PEER);
    lone.run_for_millis(100);
    lone.validate(PEER);
    assert_eq!(lone.agent.poll_held(), None);
}

/// The peer sends data only where its own check has succeeded (RFC 8445 §12.1).
#[test]
fn payload_on_a_path_whose_check_is_open_is_followed_by_a_new_check_at_once() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_check(PEER);
    lone.run_for_millis(100);
    let lost = lone.take_checks();
    assert_eq!(lost.len(), 1);
    let payload = vec![22; 200];
    lone.receive(PEER, &payload);
    lone.run_for_millis(0);
    let again = lone.take_checks();
    assert_eq!(again.len(), 1, "there is no waiting for a timeout");
    assert_ne!(again[0].read().transaction(), lost[0].read().transaction());
    lone.succeed(&again[0]);
    assert_eq!(lone.agent.poll_held(), Some(payload));
}

/// Whoever forges the source of payload has us send no more than it sends itself.
#[test]
fn payload_on_a_path_that_is_never_validated_is_not_amplified() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.receive_check(PEER);
    lone.run_for_millis(100);
    let mut known: BTreeSet<u128> = lone.take_checks().iter().map(|check| check.read().transaction()).collect();
    let mut check_of = |payload: usize| {
        lone.receive(PEER, &vec![22; payload]);
        lone.run_for_millis(51);
        let checks = lone.take_checks();
        let new = checks.iter().filter(|check| known.insert(check.read().transaction()));
        new.map(|check| check.bytes.len()).sum::<usize>()
    };
    let size = check_of(1_200);
    assert!((1..=1_200).contains(&size));
    for payload in 1..=300 {
        assert!(check_of(payload) <= payload, "{payload} bytes");
    }
    assert_eq!(check_of(1_200), size);
}

/// What is held for an early check that turns out to be none of ours does not keep its room.
#[test]
fn what_is_held_is_dropped_if_its_early_check_names_another_fragment() {
    let mut lone = Lone::without_peer(IceRole::Controlled, IceConfig::default(), &["192.0.2.1"]);
    let username = format!("{}:other", lone.agent.local_parameters().username_fragment);
    lone.receive_forged(STRANGER, &Forge::check(1, &username, 1));
    for number in 0..4 {
        lone.receive(STRANGER, &record(number));
    }
    lone.introduce();
    assert_eq!(lone.drops(DropReason::UnknownRemoteFragment), 1);
    lone.receive_check(PEER);
    lone.receive(PEER, &record(7));
    assert_eq!(lone.drops(DropReason::HeldFull), 0);
    lone.validate(PEER);
    assert_eq!(lone.agent.poll_held(), Some(record(7)));
}

/// The same path may have both.
#[test]
fn what_is_held_is_kept_if_one_of_several_early_checks_of_its_path_is_good() {
    let mut lone = Lone::without_peer(IceRole::Controlled, IceConfig::default(), &["192.0.2.1"]);
    let username = format!("{}:other", lone.agent.local_parameters().username_fragment);
    lone.receive_forged(PEER, &Forge::check(1, &username, 1));
    lone.receive_check(PEER);
    lone.receive(PEER, &record(7));
    lone.introduce();
    lone.validate(PEER);
    assert_eq!(lone.agent.poll_held(), Some(record(7)));
}

/// The same for an early check that is one source too many.
#[test]
fn what_is_held_is_dropped_if_its_early_check_is_one_peer_reflexive_candidate_too_many() {
    let mut config = IceConfig::default();
    config.limits.remote_peer_reflexive_candidates = 1;
    let mut lone = Lone::without_peer(IceRole::Controlled, config, &["192.0.2.1"]);
    lone.receive_check(PEER);
    lone.receive_check(STRANGER);
    for number in 0..4 {
        lone.receive(STRANGER, &record(number));
    }
    lone.introduce();
    assert_eq!(lone.drops(DropReason::TooManyPeerReflexive), 1);
    lone.receive(PEER, &record(7));
    assert_eq!(lone.drops(DropReason::HeldFull), 0);
    lone.validate(PEER);
    assert_eq!(lone.agent.poll_held(), Some(record(7)));
}

/// The same for a pair that makes room for a better one before its check is sent.
#[test]
fn what_is_held_is_dropped_with_its_pair_if_that_makes_room() {
    let mut config = IceConfig::default();
    config.limits.pairs = 2;
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    let (first, better) = ("198.51.100.2:6001", "198.51.100.2:6002");
    lone.add_host(first);
    lone.receive_check(PEER);
    for number in 0..4 {
        lone.receive(PEER, &record(number));
    }
    lone.add_host(better);
    assert!(lone.pair(PEER).is_none());
    lone.receive_check(better);
    lone.receive(better, &record(7));
    assert_eq!(lone.drops(DropReason::HeldFull), 0);
    lone.validate(better);
    assert_eq!(lone.agent.poll_held(), Some(record(7)));
}

/// RFC 7983 §7.
#[test]
fn only_what_begins_like_dtls_is_handed_up_and_only_from_validated_paths() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.validate(PEER);
    let handed_up: Vec<u8> = (0..=255).filter(|&first| lone.receive(PEER, &[first; 40]).is_some()).collect();
    assert_eq!(handed_up, (20..=63).collect::<Vec<u8>>());
    assert_eq!(lone.receive(PEER, &[]), None);
    assert_eq!(lone.drops(DropReason::UnknownProtocol), 256 - 4 - 44 + 1);
    assert_eq!(lone.receive(STRANGER, &record(1)), None);
    assert_eq!(lone.drops(DropReason::UnvalidatedPath), 1);
    let counters = lone.pair(PEER).unwrap().counters;
    assert_eq!((counters.packets_received, counters.bytes_received), (44, 44 * 40));
}

#[test]
fn batches_of_payload_are_counted_by_datagram() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.validate(PEER);
    let mut buffer = TransmitBuffer::new(1_200);
    let transmit = lone.agent.wrap(lone.now, &mut buffer, |buffer| {
        for payload in [&[23; 100][..], &[23; 100], &[23; 40]] {
            let mut segment = buffer.segment()?;
            assert!(segment.put(payload));
            segment.finish();
        }
        buffer.segments()
    });
    assert_eq!(transmit.unwrap().segments.count.get(), 3);
    let counters = lone.pair(PEER).unwrap().counters;
    assert_eq!((counters.packets_sent, counters.bytes_sent), (3, 240));
    assert!(lone.agent.wrap(lone.now, &mut buffer, |_| None).is_none());
    assert_eq!(lone.pair(PEER).unwrap().counters.packets_sent, 3);
}
