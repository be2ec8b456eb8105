//! How an allocation is kept, lost and given back (RFC 8656 §8).

use std::time::Duration;

use proto_ice::turn::server::{TurnRequest, TurnServerConfig};
use proto_ice::turn::{TurnConfig, TurnEvent, TurnFailure};
use proto_machine::Machine;

use crate::world::{World, address, credentials, server_config};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_allocation_is_refreshed_a_minute_before_its_end_for_hours() {
    let mut world = World::allocated();
    world.run_for(2 * 3_600 * SECOND);
    assert!(world.failure().is_none());
    assert_eq!(world.server().relayed_addresses().count(), 1);
    assert_eq!(world.requests(TurnRequest::Refresh), 13, "one in 9 minutes");
}

#[test]
fn a_short_lifetime_is_refreshed_in_time() {
    let config = TurnServerConfig { lifetime: 30 * SECOND, ..server_config() };
    let mut world = World::with(config, TurnConfig::new(credentials()));
    world.run_for(300 * SECOND);
    assert!(world.failure().is_none());
    assert_eq!(world.requests(TurnRequest::Refresh), 19, "one in 15 seconds");
}

#[test]
fn a_refresh_survives_losses() {
    let mut world = World::allocated();
    world.run_for(530 * SECOND);
    world.server().faults.lose_next = 6;
    world.run_for(200 * SECOND);
    assert!(world.failure().is_none());
    assert_eq!(world.server().relayed_addresses().count(), 1);
}

#[test]
fn an_allocation_is_lost_when_the_server_cannot_be_reached_until_its_end() {
    let mut world = World::allocated();
    world.server().faults.silent = true;
    world.run_for(598 * SECOND);
    assert!(world.failure().is_none());
    world.run_for(2 * SECOND);
    assert_eq!(world.failure().unwrap().failure, TurnFailure::AllocationLost);
    assert!(world.client.relayed_addresses().is_empty());
    assert_eq!(world.client.poll_timeout(), None);
}

/// RFC 8656 §8.3.
#[test]
fn an_allocation_that_the_server_has_forgotten_is_lost_with_the_next_request() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    world.server().restart();
    world.client.permit([address("198.51.100.2:1").ip()]);
    world.run_for(SECOND);
    let error = world.failure().unwrap();
    assert_eq!((error.failure, error.code), (TurnFailure::AllocationLost, Some(437)));
    assert!(!world.client.can_send(world.now, peer));
}

#[test]
fn a_refresh_that_is_refused_is_tried_again_while_the_allocation_lasts_and_the_reason_is_told() {
    let mut world = World::allocated();
    world.server().faults.refuse = Some((TurnRequest::Refresh, 508));
    world.run_for(560 * SECOND);
    world.server().faults.refuse = None;
    world.run_for(600 * SECOND);
    assert!(world.failure().is_none());
    world.server().faults.refuse = Some((TurnRequest::Refresh, 508));
    world.run_for(700 * SECOND);
    let error = world.failure().unwrap();
    assert_eq!((error.failure, error.code), (TurnFailure::AllocationLost, Some(508)));
    assert!(world.requests(TurnRequest::Refresh) < 30);
}

/// Item 41.
#[test]
fn item_41_an_allocation_is_given_back_at_the_end() {
    let mut world = World::allocated();
    world.client.close(world.now);
    world.run_for(SECOND);
    assert_eq!(world.server().relayed_addresses().count(), 0);
    assert!(world.has_event(|event| *event == TurnEvent::Released));
    assert!(world.client.has_ended());
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn an_allocation_that_was_granted_while_closing_is_given_back() {
    let mut world = World::new();
    world.run_for(Duration::from_millis(25));
    assert!(world.events.is_empty());
    world.client.close(world.now);
    world.run_for(SECOND);
    assert_eq!(world.requests(TurnRequest::Allocate), 2);
    assert_eq!(world.server().relayed_addresses().count(), 0);
}

#[test]
fn a_release_goes_on_until_it_is_answered_and_not_for_ever() {
    let mut world = World::allocated();
    world.server().faults.lose_next = 3;
    world.client.close(world.now);
    world.run_for(10 * SECOND);
    assert_eq!(world.server().relayed_addresses().count(), 0);
    let mut world = World::allocated();
    world.server().faults.silent = true;
    world.client.close(world.now);
    world.run_for(39 * SECOND);
    assert!(!world.client.has_ended());
    world.run_for(SECOND);
    assert!(world.client.has_ended());
}

#[test]
fn closing_before_there_are_credentials_ends_at_once() {
    let mut world = World::new();
    world.client.close(world.now);
    world.run_for(SECOND);
    assert!(world.sent.is_empty() && world.client.has_ended());
    assert!(world.has_event(|event| *event == TurnEvent::Released));
}

#[test]
fn a_closed_client_says_nothing_whatever_comes() {
    let mut world = World::permitted(address("198.51.100.1:6000"));
    let relayed = world.relayed();
    world.client.close(world.now);
    world.run_for(SECOND);
    let (sent, events) = (world.sent.len(), world.events.len());
    world.send_from_peer(address("198.51.100.1:6000"), relayed, b"late");
    world.client.permit([address("198.51.100.1:6000").ip()]);
    world.client.close(world.now);
    world.run_for(1_000 * SECOND);
    assert_eq!((world.sent.len(), world.events.len()), (sent, events));
}

/// RFC 8656 §9: mappings of NATs end sooner than permissions.
#[test]
fn an_idle_client_sends_a_keepalive_every_15_seconds() {
    let mut world = World::allocated();
    let before = world.sent.len();
    world.run_for(61 * SECOND);
    assert_eq!(world.sent.len() - before, 4);
    let expected = 28;
    assert!(world.sent[before..].iter().all(|(_, _, bytes)| bytes.len() == expected && bytes[..2] == [0, 0x11]));
}
