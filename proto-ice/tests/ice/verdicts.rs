//! The report: what stands in the way, in words that a person can act on.

use std::net::IpAddr;
use std::time::Duration;

use proto_ice::turn::TurnCredentials;
use proto_ice::turn::server::TurnRequest;
use proto_ice::{IceConfig, IceRole, IceTransportPolicy, IceTransportState, StunServer, StunServerHost};

use crate::relay::{server, with_relay, with_turn};
use crate::world::{LEFT, RIGHT, Setup, Side, Signalling, World};

const SECOND: Duration = Duration::from_secs(1);

fn stun(host: &str) -> StunServer {
    StunServer { host: StunServerHost::Address(host.parse().unwrap()), port: 3_478, url: format!("stun:{host}") }
}

fn setup(config: IceConfig) -> Setup {
    let mut setup = Setup::default();
    setup.sides[LEFT].config = config;
    setup
}

/// Nothing gets from one host to the other.
fn separated(mut world: World) -> World {
    let [left, right] = ["192.0.2.1", "198.51.100.2"].map(|address| address.parse::<IpAddr>().unwrap());
    world.blocked.extend([(left, right), (right, left)]);
    world
}

fn verdict_after(world: &mut World, duration: Duration) -> String {
    world.run_for(duration);
    world.agent(LEFT).report().verdict
}

#[test]
fn a_connection_names_its_pair_and_its_relay() {
    let mut world = World::new(setup(IceConfig::default()));
    let verdict = verdict_after(&mut world, 5 * SECOND);
    assert_eq!(verdict, "completed: host 192.0.2.1:5001 to host 198.51.100.2:5002");
    let mut world = separated(with_turn(setup(with_relay(IceTransportPolicy::All))));
    world.complete();
    let verdict = verdict_after(&mut world, SECOND);
    assert!(verdict.contains("203.0.113.5:49152 through turn:203.0.113.5 to host 198.51.100.2"), "{verdict}");
}

#[test]
fn what_is_missing_is_said_while_it_is_missing() {
    let mut world = World::idle(Setup { signalling: Signalling::None, ..Setup::default() });
    assert_eq!(verdict_after(&mut world, SECOND), "new: no description has come from the other side");
    world.tell_parameters(LEFT);
    let verdict = verdict_after(&mut world, SECOND);
    assert_eq!(verdict, "new: gathering has not begun; no candidate has come from the other side");
    let now = world.now;
    world.agent(LEFT).end_of_remote_candidates(now, None);
    let interfaces = world.nodes[LEFT].interfaces.clone();
    world.agent(LEFT).gather(now, &interfaces);
    let verdict = verdict_after(&mut world, 45 * SECOND);
    assert_eq!(verdict, "failed: the other side has no candidate that can be used here");
}

#[test]
fn servers_that_are_all_silent_point_at_the_network() {
    let servers = vec![stun("203.0.113.1"), stun("203.0.113.2")];
    let mut world = separated(World::new(setup(IceConfig { stun_servers: servers, ..IceConfig::default() })));
    let verdict = verdict_after(&mut world, 60 * SECOND);
    assert!(verdict.starts_with("failed: UDP to every server timed out: the network may block UDP"), "{verdict}");
    assert!(verdict.contains("the only pair has failed: 1 × no response"), "{verdict}");
    assert!(verdict.ends_with("no TURN server is configured"), "{verdict}");
}

#[test]
fn a_server_that_refuses_is_quoted_with_advice() {
    let mut config = with_relay(IceTransportPolicy::Relay);
    config.turn_servers[0].credentials = TurnCredentials::new("user", "wrong");
    let mut world = with_turn(setup(config));
    let verdict = verdict_after(&mut world, 60 * SECOND);
    let quoted = "turn:203.0.113.5: 401 Unauthorized (check username and credential)";
    assert_eq!(verdict, format!("failed: this side has no candidate; {quoted}"));
    let mut world = with_turn(setup(with_relay(IceTransportPolicy::Relay)));
    server(&mut world).faults.refuse = Some((TurnRequest::Allocate, 508));
    let verdict = verdict_after(&mut world, 60 * SECOND);
    assert!(verdict.contains("it has no room: try later, or another server"), "{verdict}");
}

#[test]
fn relays_only_without_a_turn_server_is_a_mistake_that_is_named() {
    let config = IceConfig { transport_policy: IceTransportPolicy::Relay, ..IceConfig::default() };
    let verdict = verdict_after(&mut World::new(setup(config)), SECOND);
    assert!(verdict.contains("only relayed candidates are allowed, and no TURN server is configured"), "{verdict}");
}

#[test]
fn a_peer_that_the_server_does_not_relay_to_is_named() {
    let mut world = with_turn(setup(with_relay(IceTransportPolicy::Relay)));
    server(&mut world).faults.forbidden_peers = vec!["198.51.100.2".parse().unwrap()];
    let verdict = verdict_after(&mut world, 60 * SECOND);
    assert!(verdict.contains("the TURN server 203.0.113.5:3478 does not relay to 198.51.100.2: 403"), "{verdict}");
    assert_eq!(world.state(LEFT), IceTransportState::Failed);
}

#[test]
fn families_that_do_not_meet_are_named() {
    let mut setup = Setup::default();
    setup.sides[RIGHT] = Side::new(IceRole::Controlled, &["2001:db8::2"]);
    let verdict = verdict_after(&mut World::new(setup), 60 * SECOND);
    assert!(verdict.contains("their address families differ"), "{verdict}");
}

#[test]
fn a_path_that_is_lost_in_one_direction_is_told_from_one_that_is_lost_in_both() {
    let mut world = World::new(Setup::default());
    // What the right side sends arrives; what it is sent does not.
    world.blocked.insert(("192.0.2.1".parse().unwrap(), "198.51.100.2".parse().unwrap()));
    let verdict = verdict_after(&mut world, 90 * SECOND);
    assert!(verdict.contains("checks of the other side arrive"), "{verdict}");
}

#[test]
fn the_printed_report_has_every_candidate_server_pair_and_time() {
    let mut world = separated(with_turn(setup(with_relay(IceTransportPolicy::All))));
    world.complete();
    world.run_for(SECOND);
    let report = world.agent(LEFT).report();
    let times = report.times;
    assert!(times.gathering_started < times.first_check && times.first_check < times.connected);
    assert!(times.connected <= times.selected && times.selected.is_some() && times.failed.is_none());
    assert!(times.remote_parameters.is_some() && times.gathering_completed.is_some());
    let printed = report.to_string();
    for line in ["local host 192.0.2.1:5001", "local relay 203.0.113.5:49152", "remote host 198.51.100.2:5002"] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    assert!(
        printed.contains("server turn:203.0.113.5 203.0.113.5:3478 from 192.0.2.1:5001: 203.0.113.5:49152, "),
        "{printed}"
    );
    assert!(printed.contains("pair relay 203.0.113.5:49152 to host 198.51.100.2:5002: succeeded, "), "{printed}");
    assert_eq!(report.relays.len(), 1);
}
