//! Permissions (RFC 8656 §9, §10).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proto_ice::turn::server::TurnRequest;
use proto_ice::turn::{RelayedFamilies, TurnDropReason, TurnEvent, TurnFailure};

use crate::world::{World, address, ip};

const SECOND: Duration = Duration::from_secs(1);

fn peers(count: usize) -> Vec<IpAddr> {
    let first = u32::from(Ipv4Addr::new(198, 51, 100, 0));
    (0..count).map(|index| IpAddr::from(Ipv4Addr::from(first + u32::try_from(index).unwrap()))).collect()
}

/// Item 43.
#[test]
fn item_43_addresses_that_are_known_together_share_a_request() {
    let mut world = World::allocated();
    world.client.permit(peers(5));
    world.run_for(SECOND);
    assert_eq!(world.requests(TurnRequest::CreatePermission), 1);
    assert_eq!(world.server().statistics().most_addresses, 5);
    let now = world.now;
    assert!(peers(5).into_iter().all(|peer| world.client.is_permitted(now, peer)));
}

/// Item 43: nobody waits for the response to an earlier request.
#[test]
fn item_43_an_address_that_becomes_known_later_is_asked_for_at_once() {
    let mut world = World::allocated();
    world.client.permit([ip("198.51.100.1")]);
    world.drain();
    world.client.permit([ip("198.51.100.2")]);
    world.run_for(Duration::from_millis(25));
    assert_eq!(world.requests(TurnRequest::CreatePermission), 2);
    assert!(world.client.is_permitted(world.now, ip("198.51.100.2")));
}

/// Item 38.
#[test]
fn item_38_nothing_is_sent_to_an_address_before_the_server_has_given_permission() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::allocated();
    assert!(!world.send(peer, b"too early"));
    world.client.permit([peer.ip()]);
    assert!(!world.send(peer, b"too early"));
    world.run_for(Duration::from_millis(25));
    assert!(world.has_event(|event| *event == TurnEvent::PermissionGranted(peer.ip())));
    assert!(world.send(peer, b"now"));
    world.run_for(SECOND);
    assert_eq!(world.at_peers.len(), 1);
}

/// Item 38: refreshed within 5 minutes.
#[test]
fn item_38_permissions_are_kept_for_hours_and_refreshed_together() {
    let mut world = World::allocated();
    world.client.permit(peers(5));
    let relayed = world.relayed();
    world.run_for(SECOND);
    for _ in 0..240 {
        world.run_for(30 * SECOND);
        let now = world.now;
        for peer in peers(5) {
            assert!(world.client.is_permitted(now, peer) && world.server().has_permission(now, relayed, peer));
        }
    }
    // Two hours, one request every 4 minutes.
    assert_eq!(world.requests(TurnRequest::CreatePermission), 31);
    let granted = world.events.iter().filter(|(_, event)| matches!(event, TurnEvent::PermissionGranted(_)));
    assert_eq!(granted.count(), 5, "a renewal is no news");
}

#[test]
fn a_renewal_survives_losses() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    world.run_for(239 * SECOND);
    world.server().faults.lose_next = 6;
    let relayed = world.relayed();
    for _ in 0..100 {
        world.run_for(SECOND);
        assert!(world.client.is_permitted(world.now, peer.ip()));
    }
    let now = world.now;
    assert!(world.server().has_permission(now, relayed, peer.ip()));
}

#[test]
fn a_permission_that_cannot_be_renewed_is_not_used_after_its_end() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    world.server().faults.silent = true;
    world.run_for(298 * SECOND);
    assert!(world.send(peer, b"before the end"));
    world.run_for(3 * SECOND);
    assert!(!world.send(peer, b"after the end"));
    assert!(world.has_event(|event| matches!(event, TurnEvent::PermissionRefused { address, error }
        if *address == peer.ip() && error.failure == TurnFailure::Timeout)));
}

/// A peer that signals an address which the server does not relay to must not stop the others.
#[test]
fn one_forbidden_address_does_not_spoil_the_permissions_of_the_others() {
    let mut world = World::allocated();
    world.server().faults.forbidden_peers = vec![ip("198.51.100.2")];
    world.client.permit(peers(5));
    world.run_for(SECOND);
    let now = world.now;
    let permitted: Vec<bool> = peers(5).into_iter().map(|peer| world.client.is_permitted(now, peer)).collect();
    assert_eq!(permitted, [true, true, false, true, true]);
    assert!(world.has_event(|event| matches!(event, TurnEvent::PermissionRefused { address, error }
        if *address == ip("198.51.100.2") && error.code == Some(403))));
    assert_eq!(world.requests(TurnRequest::CreatePermission), 6, "once together, then each alone");
    world.run_for(1_000 * SECOND);
    assert!(!world.client.is_permitted(world.now, ip("198.51.100.2")));
}

#[test]
fn the_number_of_permissions_is_bounded_and_so_is_that_of_addresses_in_a_request() {
    let mut world = World::allocated();
    world.client.permit(peers(1_000));
    world.run_for(10 * SECOND);
    let now = world.now;
    let permitted = peers(1_000).into_iter().filter(|peer| world.client.is_permitted(now, *peer)).count();
    assert_eq!(permitted, 128);
    assert_eq!(world.server().statistics().most_addresses, 12);
    assert_eq!(world.requests(TurnRequest::CreatePermission), 11);
}

#[test]
fn an_address_of_a_family_that_is_not_relayed_is_not_asked_for() {
    let mut world = World::allocated();
    world.client.permit([ip("2001:db8::1")]);
    world.run_for(SECOND);
    assert_eq!(world.requests(TurnRequest::CreatePermission), 0);
    let mut both = World::of_families(RelayedFamilies::Both);
    both.run_for(SECOND);
    both.client.permit([ip("2001:db8::1"), ip("198.51.100.1")]);
    both.run_for(SECOND);
    assert!(
        both.client.is_permitted(both.now, ip("2001:db8::1")) && both.client.is_permitted(both.now, ip("198.51.100.1"))
    );
    assert_eq!(both.requests(TurnRequest::CreatePermission), 1);
}

#[test]
fn a_forgotten_permission_is_not_renewed() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    world.client.forget(world.now, peer.ip());
    assert!(!world.client.can_send(world.now, peer));
    world.run_for(400 * SECOND);
    assert_eq!(world.requests(TurnRequest::CreatePermission), 1);
}

/// Item 42 (RFC 8656 §11.4).
#[test]
fn item_42_data_from_an_address_without_a_permission_is_ignored_and_counted() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    let relayed = world.relayed();
    world.send_from_peer(peer, relayed, b"welcome");
    world.run_for(SECOND);
    assert_eq!(world.at_client.len(), 1);
    // The server still lets it through, the client has forgotten it.
    world.client.forget(world.now, peer.ip());
    world.send_from_peer(peer, relayed, b"unwelcome");
    world.run_for(SECOND);
    assert_eq!(world.at_client.len(), 1);
    assert_eq!(world.client.report().drops.get(TurnDropReason::NoPermission), 1);
}
