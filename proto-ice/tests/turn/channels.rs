//! Channels (RFC 8656 §12).

use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::turn::server::TurnRequest;
use proto_ice::turn::{TurnDropReason, TurnEvent};

use crate::world::{World, address};

const SECOND: Duration = Duration::from_secs(1);

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], port))
}

fn bound() -> World {
    let mut world = World::allocated();
    let now = world.now;
    assert!(world.client.bind_channel(now, peer(6_000)));
    world.run_for(SECOND);
    assert!(world.has_event(|event| *event == TurnEvent::ChannelBound(peer(6_000))));
    world
}

/// Item 38.
#[test]
fn item_38_a_channel_has_a_number_of_the_range_and_brings_a_permission() {
    let mut world = bound();
    let (now, relayed) = (world.now, world.relayed());
    assert_eq!(world.server().channels(now, relayed), [(0x4000, peer(6_000))]);
    assert!(world.client.is_permitted(now, peer(6_000).ip()));
    assert!(world.has_event(|event| *event == TurnEvent::PermissionGranted(peer(6_000).ip())));
}

#[test]
fn data_goes_in_indications_until_the_channel_is_confirmed_and_then_with_four_bytes_of_overhead() {
    let mut world = World::permitted(peer(6_000));
    let now = world.now;
    assert!(world.client.bind_channel(now, peer(6_000)));
    world.drain();
    assert!(world.send(peer(6_000), b"first"));
    world.run_for(SECOND);
    assert!(world.send(peer(6_000), b"second"));
    assert_eq!(world.client.overhead(world.now, peer(6_000)), 4);
    assert_eq!(world.sent.last().unwrap().2, [&[0x40, 0, 0, 6], &b"second"[..]].concat());
    world.run_for(SECOND);
    let arrived: Vec<_> = world.at_peers.iter().map(|arrived| arrived.bytes.as_slice()).collect();
    assert_eq!(arrived, [b"first".as_slice(), b"second"]);
    let statistics = world.server().statistics();
    assert_eq!((statistics.sent_by_indication, statistics.sent_by_channel), (1, 1));
}

/// RFC 8656 §12: "prepared to receive ChannelData messages on the channel from the server as soon as it has sent the ChannelBind request".
#[test]
fn channel_data_that_overtakes_the_confirmation_is_received() {
    let mut world = World::allocated();
    let now = world.now;
    assert!(world.client.bind_channel(now, peer(6_000)));
    world.drain();
    let data = world.client.handle_message(now, &[0x40, 0, 0, 2, b'h', b'i']).unwrap();
    assert_eq!((data.peer, data.payload), (peer(6_000), 4..6));
}

/// Item 38: bound within 10 minutes.
#[test]
fn item_38_a_channel_is_kept_for_hours_and_one_request_serves_it_and_the_permission() {
    let mut world = bound();
    let relayed = world.relayed();
    for _ in 0..240 {
        world.run_for(30 * SECOND);
        let now = world.now;
        assert_eq!(world.server().channels(now, relayed).len(), 1);
        assert!(world.server().has_permission(now, relayed, peer(6_000).ip()));
        assert_eq!(world.client.overhead(now, peer(6_000)), 4);
    }
    assert_eq!(world.requests(TurnRequest::CreatePermission), 0);
    assert_eq!(world.requests(TurnRequest::ChannelBind), 33);
}

#[test]
fn a_peer_has_one_channel_and_peers_have_different_ones() {
    let mut world = World::allocated();
    let now = world.now;
    for port in [1, 2, 3, 1, 2, 3] {
        assert!(world.client.bind_channel(now, peer(port)));
    }
    world.run_for(SECOND);
    let (now, relayed) = (world.now, world.relayed());
    assert_eq!(world.server().channels(now, relayed), [(0x4000, peer(1)), (0x4001, peer(2)), (0x4002, peer(3))]);
    assert_eq!(world.requests(TurnRequest::ChannelBind), 3);
}

#[test]
fn the_number_of_channels_is_bounded_and_the_rest_uses_indications() {
    let mut world = World::allocated();
    let now = world.now;
    let bound = (1..=1_000).filter(|port| world.client.bind_channel(now, peer(*port))).count();
    assert_eq!(bound, 64);
    world.run_for(10 * SECOND);
    let (now, relayed) = (world.now, world.relayed());
    assert_eq!(world.server().channels(now, relayed).len(), 64);
    assert!(world.send(peer(1_000), b"in an indication"));
    world.run_for(SECOND);
    assert_eq!(world.server().statistics().sent_by_indication, 1);
}

/// Item 38 (RFC 8656 §12): "the client MUST wait 5 minutes after the channel binding expires".
#[test]
fn item_38_a_number_is_not_bound_to_another_peer_until_5_minutes_after_its_end() {
    let mut world = World::allocated();
    let now = world.now;
    for port in 1..=64 {
        assert!(world.client.bind_channel(now, peer(port)));
    }
    world.run_for(SECOND);
    world.client.forget(world.now, peer(1).ip());
    // The bindings end 10 minutes after they were made, and rest for 5.
    world.run_for(898 * SECOND);
    let other = address("198.51.100.2:7000");
    let now = world.now;
    assert!(!world.client.bind_channel(now, other));
    world.run_for(2 * SECOND);
    let now = world.now;
    assert!(world.client.bind_channel(now, other));
    world.run_for(SECOND);
    let (now, relayed) = (world.now, world.relayed());
    assert_eq!(world.server().channels(now, relayed), [(0x4040, other)]);
}

#[test]
fn a_peer_that_comes_back_gets_the_number_it_had() {
    let mut world = bound();
    world.client.forget(world.now, peer(6_000).ip());
    world.run_for(100 * SECOND);
    let now = world.now;
    assert!(world.client.bind_channel(now, peer(6_000)));
    world.run_for(SECOND);
    let (now, relayed) = (world.now, world.relayed());
    assert_eq!(world.server().channels(now, relayed), [(0x4000, peer(6_000))]);
    assert_eq!(world.client.overhead(now, peer(6_000)), 4);
}

#[test]
fn a_channel_that_the_server_refuses_is_not_asked_for_again_and_data_goes_in_indications() {
    let mut world = World::permitted(peer(6_000));
    world.server().faults.refuse = Some((TurnRequest::ChannelBind, 508));
    let now = world.now;
    assert!(world.client.bind_channel(now, peer(6_000)));
    world.run_for(SECOND);
    assert!(world.has_event(|event| matches!(event, TurnEvent::ChannelRefused { peer: refused, error }
        if *refused == peer(6_000) && error.code == Some(508))));
    let now = world.now;
    assert!(!world.client.bind_channel(now, peer(6_000)));
    assert!(world.send(peer(6_000), b"all the same"));
    world.run_for(SECOND);
    assert_eq!(world.at_peers.len(), 1);
}

#[test]
fn a_permission_that_a_refused_channel_was_to_bring_is_asked_for_by_itself() {
    let mut world = World::allocated();
    world.server().faults.refuse = Some((TurnRequest::ChannelBind, 403));
    let now = world.now;
    assert!(world.client.bind_channel(now, peer(6_000)));
    world.run_for(SECOND);
    assert!(world.client.can_send(world.now, peer(6_000)));
    assert_eq!(world.requests(TurnRequest::CreatePermission), 1);
}

#[test]
fn channel_data_on_a_channel_that_is_not_bound_or_shorter_than_it_says_is_ignored_and_counted() {
    let mut world = bound();
    world.inject(&[0x40, 1, 0, 2, b'h', b'i']);
    assert_eq!(world.client.report().drops.get(TurnDropReason::UnknownChannel), 1);
    world.inject(&[0x40, 0, 0, 3, b'h', b'i']);
    world.inject(&[0x40, 0, 0]);
    world.inject(&[0x50, 0, 0, 2, b'h', b'i']);
    assert_eq!(world.client.report().drops.get(TurnDropReason::Malformed), 3);
}
