//! Allocate, and what it may be answered with (RFC 8656 §7).

use std::time::Duration;

use proto_ice::turn::server::{TurnRequest, TurnServer, TurnServerConfig};
use proto_ice::turn::{RelayedFamilies, TurnConfig, TurnEvent, TurnFailure};
use proto_machine::{Machine, Seed, Timestamp};

use crate::world::{World, address, client_address, credentials, ip, server_address, server_config};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_allocation_takes_two_round_trips_and_tells_the_mapped_address_and_the_software() {
    let world = World::allocated();
    let (at, _) = &world.events[0];
    assert_eq!(*at, Timestamp::from_millis(40));
    let allocation = world.allocation();
    assert_eq!(allocation.relayed, [address("203.0.113.5:49152")]);
    assert_eq!(allocation.mapped, Some(client_address()));
    assert_eq!(allocation.lifetime, Duration::from_secs(600));
    let report = world.client.report();
    assert_eq!(report.software.as_deref(), Some("test server"));
    assert_eq!(report.realm.as_deref(), Some("example.org"));
    assert_eq!(report.server, server_address());
    assert_eq!(report.drops.total(), 0);
}

#[test]
fn addresses_of_either_family_or_both_are_allocated_as_asked_for() {
    for (families, relayed) in [
        (RelayedFamilies::Ipv4, vec!["203.0.113.5:49152"]),
        (RelayedFamilies::Ipv6, vec!["[2001:db8::5]:49152"]),
        (RelayedFamilies::Both, vec!["203.0.113.5:49152", "[2001:db8::5]:49152"]),
    ] {
        let mut world = World::of_families(families);
        world.run_for(SECOND);
        let expected: Vec<_> = relayed.into_iter().map(address).collect();
        assert_eq!(world.allocation().relayed, expected, "{families:?}");
    }
}

#[test]
fn of_both_families_the_one_that_the_server_has_is_enough() {
    let config = TurnServerConfig::new(server_address(), credentials());
    let client = TurnConfig { families: RelayedFamilies::Both, ..TurnConfig::new(credentials()) };
    let mut world = World::with(config, client);
    world.run_for(SECOND);
    assert_eq!(world.allocation().relayed, [address("203.0.113.5:49152")]);
}

#[test]
fn a_family_that_the_server_does_not_have_is_not_asked_for_again() {
    let config = TurnServerConfig::new(server_address(), credentials());
    let client = TurnConfig { families: RelayedFamilies::Ipv6, ..TurnConfig::new(credentials()) };
    let mut world = World::with(config, client);
    world.run_for(100 * SECOND);
    let error = world.failure().unwrap();
    assert_eq!((error.failure, error.code), (TurnFailure::AddressFamily, Some(440)));
    assert_eq!(world.requests(TurnRequest::Allocate), 2);
}

#[test]
fn a_server_that_does_not_answer_is_asked_seven_times_and_given_up_after_39_and_a_half_seconds() {
    let mut world = World::new();
    world.server().faults.silent = true;
    world.run_for(100 * SECOND);
    let sent: Vec<u64> = world.sent.iter().map(|(at, _, _)| at.as_nanos() / 1_000_000).collect();
    assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert!(world.sent.windows(2).all(|pair| pair[0].2 == pair[1].2), "retransmissions are the same to the byte");
    assert_eq!(world.events.len(), 1);
    assert_eq!(world.events[0].0, Timestamp::from_millis(39_500));
    assert_eq!(world.failure().unwrap().failure, TurnFailure::Timeout);
    assert!(world.client.has_ended());
}

#[test]
fn fewer_requests_give_up_earlier() {
    let mut world = World::with(server_config(), TurnConfig { requests: 4, ..TurnConfig::new(credentials()) });
    world.server().faults.silent = true;
    world.run_for(100 * SECOND);
    assert_eq!((world.sent.len(), world.events[0].0), (4, Timestamp::from_millis(11_500)));
}

#[test]
fn lost_messages_delay_an_allocation_and_do_not_prevent_it() {
    for lost in 1..=6 {
        let mut world = World::new();
        world.server().faults.lose_next = lost;
        world.run_for(40 * SECOND);
        assert_eq!(world.allocation().relayed.len(), 1, "{lost} lost");
    }
}

/// RFC 8656 §7.2: the server answers a retransmission of the request that it has granted, and does not find a conflict.
#[test]
fn an_allocation_whose_response_is_lost_is_not_taken_for_a_conflict() {
    let mut world = World::new();
    world.run_for(Duration::from_millis(25));
    world.lose_to_client = 1;
    world.run_for(2 * SECOND);
    assert_eq!(world.requests(TurnRequest::Allocate), 3, "one without credentials, one sent twice");
    assert!(world.failure().is_none());
    assert_eq!(world.allocation().relayed.len(), 1);
}

/// Item 40 (RFC 8656 §7.4): what each error means, with code and text.
#[test]
fn item_40_every_error_is_reported_with_its_code_its_text_and_what_to_do() {
    let minute = |at: u64| TurnFailure::NoCapacity { until: Timestamp::from_millis(at) + 60 * SECOND };
    for (code, failure) in [
        (400, TurnFailure::Rejected),
        (403, TurnFailure::Rejected),
        (437, TurnFailure::AllocationMismatch),
        (440, TurnFailure::AddressFamily),
        (441, TurnFailure::CredentialsRefused),
        (442, TurnFailure::Rejected),
        (443, TurnFailure::AddressFamily),
        (446, TurnFailure::Rejected),
        (447, TurnFailure::Rejected),
        (486, minute(40)),
        (500, TurnFailure::Rejected),
        (508, minute(40)),
    ] {
        let mut world = World::new();
        world.server().faults.refuse = Some((TurnRequest::Allocate, code));
        world.run_for(100 * SECOND);
        let error = world.failure().unwrap();
        assert_eq!((error.failure, error.code), (failure, Some(code)));
        assert!(!error.text.is_empty() || matches!(code, 446 | 447), "{code}");
        assert_eq!(world.requests(TurnRequest::Allocate), 2, "{code} is not tried again");
        assert_eq!(world.client.poll_timeout(), None);
    }
}

/// Item 12 (RFC 8445 §5.1.1.2).
#[test]
fn item_12_a_server_without_room_may_still_be_asked_for_a_reflexive_address() {
    for (code, allowed) in [(486, true), (508, true), (403, false), (437, false)] {
        let mut world = World::new();
        world.server().faults.refuse = Some((TurnRequest::Allocate, code));
        world.run_for(SECOND);
        assert_eq!(world.failure().unwrap().allows_binding(), allowed, "{code}");
    }
}

#[test]
fn a_server_that_refuses_before_it_asks_for_credentials_is_believed() {
    let mut world = World::new();
    world.server().faults.refuse_strangers = Some(403);
    world.run_for(SECOND);
    assert_eq!(world.failure().unwrap().code, Some(403));
}

/// RFC 8489 §9.2.5: 400 without integrity is "discarded, as if it were never received".
#[test]
fn a_400_without_integrity_is_discarded_and_reported_when_nothing_else_comes() {
    let mut world = World::new();
    world.server().faults.refuse_strangers = Some(400);
    world.run_for(30 * SECOND);
    assert!(world.failure().is_none());
    world.run_for(30 * SECOND);
    assert_eq!(world.failure().unwrap().code, Some(400));
}

fn redirected(from_strangers: bool, to: &str) -> World {
    let mut world = World::new();
    world.server().faults.redirect_to = Some(address(to));
    if from_strangers {
        world.server().faults.refuse_strangers = Some(300);
    }
    let mut config = TurnServerConfig::new(address("203.0.113.6:3478"), credentials());
    config.software = "the other one".to_owned();
    world.servers.push(TurnServer::new(config, &Seed::from_number(3)));
    world.run_for(SECOND);
    world
}

/// Item 40 (RFC 8489 §10).
#[test]
fn item_40_one_redirection_is_followed_with_the_same_credentials() {
    for from_strangers in [true, false] {
        let world = redirected(from_strangers, "203.0.113.6:3478");
        let (_, first) = &world.events[0];
        assert_eq!(*first, TurnEvent::Redirected(address("203.0.113.6:3478")));
        assert_eq!(world.allocation().relayed[0].ip(), ip("203.0.113.6"));
        let report = world.client.report();
        assert_eq!(report.redirected_by, Some(server_address()));
        assert_eq!(report.software.as_deref(), Some("the other one"));
    }
}

/// Item 40 (RFC 8489 §10): "infinite ping-ponging between servers".
#[test]
fn item_40_a_second_redirection_is_not_followed() {
    let mut world = World::new();
    world.server().faults.redirect_to = Some(address("203.0.113.6:3478"));
    let config = TurnServerConfig::new(address("203.0.113.6:3478"), credentials());
    world.servers.push(TurnServer::new(config, &Seed::from_number(3)));
    world.servers[1].faults.redirect_to = Some(server_address());
    world.run_for(100 * SECOND);
    let error = world.failure().unwrap();
    assert_eq!((error.failure, error.code), (TurnFailure::RedirectionRefused, Some(300)));
    assert_eq!(world.requests(TurnRequest::Allocate), 4);
}

#[test]
fn a_redirection_to_this_host_to_nowhere_or_to_another_family_is_not_followed() {
    for to in ["127.0.0.1:80", "0.0.0.0:3478", "224.0.0.1:3478", "203.0.113.5:3478", "203.0.113.6:0", "[2001:db8::6]:1"]
    {
        let world = redirected(true, to);
        assert_eq!(world.failure().unwrap().failure, TurnFailure::RedirectionRefused, "{to}");
    }
}

/// RFC 8656 §7.3: "the client MUST delete the allocation".
#[test]
fn an_allocation_with_addresses_that_were_not_asked_for_is_given_back() {
    for claimed in ["[2001:db8::5]:49152", "0.0.0.0:1", "203.0.113.5:0"] {
        let mut world = World::new();
        world.server().faults.claimed_relayed = Some(address(claimed));
        world.run_for(SECOND);
        assert_eq!(world.failure().unwrap().failure, TurnFailure::UnusableResponse, "{claimed}");
        assert_eq!(world.server().relayed_addresses().count(), 0);
        assert!(world.client.has_ended());
    }
}
