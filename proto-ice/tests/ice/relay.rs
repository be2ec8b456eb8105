//! Relayed candidates (RFC 8445 §5.1.1.2, RFC 8656), through a model server.

use std::net::IpAddr;
use std::time::Duration;

use proto_ice::turn::TurnCredentials;
use proto_ice::turn::server::{TurnRequest, TurnServer, TurnServerConfig};
use proto_ice::{
    CandidateError, CandidateType, IceConfig, IceEvent, IceGatheringState, IceRole, IceTransportPolicy,
    IceTransportState, RelayServer, StunServerHost,
};
use proto_machine::Seed;

use crate::world::{LEFT, Node, RIGHT, Setup, Side, Signalling, TURN_ADDRESSES, World};

const SECOND: Duration = Duration::from_secs(1);
const ADDRESSES: [&str; 2] = ["192.0.2.1", "198.51.100.2"];

pub(crate) fn server_address() -> std::net::SocketAddr {
    format!("{}:3478", TURN_ADDRESSES[0]).parse().unwrap()
}

pub(crate) fn with_relay(transport_policy: IceTransportPolicy) -> IceConfig {
    let server = RelayServer {
        host: StunServerHost::Address(server_address().ip()),
        port: 3_478,
        url: "turn:203.0.113.5".to_owned(),
        credentials: TurnCredentials::new("user", "secret"),
    };
    IceConfig { turn_servers: vec![server], transport_policy, ..IceConfig::default() }
}

fn world_of(left: IceConfig, right: IceConfig) -> World {
    signalled(Duration::ZERO, left, right)
}

/// Candidates take so long to reach the other side.
fn signalled(delay: Duration, left: IceConfig, right: IceConfig) -> World {
    let mut setup = Setup {
        signalling: Signalling::Trickle(delay),
        sides: [Side::new(IceRole::Controlling, &ADDRESSES[..1]), Side::new(IceRole::Controlled, &ADDRESSES[1..])],
        ..Setup::default()
    };
    setup.sides[LEFT].config = left;
    setup.sides[RIGHT].config = right;
    with_turn(setup)
}

/// A world with a TURN server that relays in both families.
pub(crate) fn with_turn(setup: Setup) -> World {
    let mut world = World::new(setup);
    turn_server(&mut world);
    world
}

pub(crate) fn turn_server(world: &mut World) {
    let mut config = TurnServerConfig::new(server_address(), TurnCredentials::new("user", "secret"));
    config.relay_addresses.push(TURN_ADDRESSES[1].parse().unwrap());
    world.turn = Some(TurnServer::new(config, &Seed::from_number(5)));
}

/// The two hosts cannot reach each other.
fn separate(world: &mut World) {
    let [left, right] = ADDRESSES.map(|address| address.parse::<IpAddr>().unwrap());
    world.blocked.extend([(left, right), (right, left)]);
}

pub(crate) fn server(world: &mut World) -> &mut TurnServer {
    world.turn.as_mut().unwrap()
}

pub(crate) fn errors(node: &Node) -> Vec<CandidateError> {
    let error = |(_, event): &(_, IceEvent)| match event {
        IceEvent::CandidateError(error) => Some(error.clone()),
        _ => None,
    };
    node.events.iter().filter_map(error).collect()
}

pub(crate) fn exchange(world: &mut World) {
    for side in [LEFT, RIGHT] {
        assert!(world.send_payload(side, &[22, 1, 2, 3]).is_some());
        world.run_for(SECOND);
        let payloads: Vec<_> = world.nodes[1 - side].payloads.iter().map(|(_, payload)| payload.clone()).collect();
        assert_eq!(payloads.last(), Some(&vec![22, 1, 2, 3]), "from side {side}");
    }
}

#[test]
fn an_allocation_yields_a_relayed_candidate_of_each_family_and_a_server_reflexive_one() {
    let mut setup = Setup { signalling: Signalling::None, ..Setup::default() };
    setup.sides[LEFT].config = with_relay(IceTransportPolicy::All);
    setup.sides[LEFT].nat = Some(crate::world::Nat { public: "192.0.2.99", symmetric: false });
    let mut world = with_turn(setup);
    world.run_for(SECOND);
    let candidates = world.nodes[LEFT].candidates();
    let of = |kind| candidates.iter().filter(|candidate| candidate.kind == kind).collect::<Vec<_>>();
    assert_eq!(of(CandidateType::ServerReflexive).len(), 1);
    let relayed = of(CandidateType::Relayed);
    assert_eq!(relayed.len(), 2);
    let mapped = of(CandidateType::ServerReflexive)[0].address;
    for candidate in &relayed {
        assert_eq!(candidate.base, candidate.address);
        assert_eq!(candidate.related_address, Some(mapped));
        assert_eq!(candidate.url.as_deref(), Some("turn:203.0.113.5"));
        assert!(TURN_ADDRESSES.contains(&candidate.address.ip().to_string().as_str()));
        assert!(candidate.priority < 1 << 24, "type preference 0");
    }
    assert_ne!(relayed[0].priority, relayed[1].priority);
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
    assert!(errors(&world.nodes[LEFT]).is_empty());
}

#[test]
fn hosts_that_cannot_reach_each_other_connect_through_the_relay_of_one_of_them() {
    for side in [LEFT, RIGHT] {
        let config = |own| if own == side { with_relay(IceTransportPolicy::All) } else { IceConfig::default() };
        let mut world = world_of(config(LEFT), config(RIGHT));
        separate(&mut world);
        world.complete();
        let pair = world.agent(side).selected_pair().unwrap();
        assert_eq!(pair.local.kind, CandidateType::Relayed);
        exchange(&mut world);
        assert!(server(&mut world).statistics().sent_by_channel > 0, "data goes over a channel");
        world.run_for(1_000 * SECOND);
        exchange(&mut world);
        assert_ne!(world.state(LEFT), IceTransportState::Disconnected);
    }
}

#[test]
fn relayed_data_has_four_bytes_of_overhead_and_is_written_in_place() {
    let mut world = world_of(with_relay(IceTransportPolicy::All), IceConfig::default());
    separate(&mut world);
    world.complete();
    world.run_for(SECOND);
    let path = world.send_payload(LEFT, &[22; 100]).unwrap();
    assert_eq!(path.remote, server_address());
    assert_eq!(world.sent.last().unwrap().bytes.len(), 104);
}

/// W3C webrtc-pc: with the policy `relay` no other candidate is told to anybody.
#[test]
fn with_relays_only_nothing_but_relayed_candidates_is_told_and_nothing_goes_elsewhere() {
    let relay_only = || with_relay(IceTransportPolicy::Relay);
    let mut world = world_of(relay_only(), relay_only());
    world.complete();
    exchange(&mut world);
    for side in [LEFT, RIGHT] {
        let candidates = world.nodes[side].candidates();
        assert!(!candidates.is_empty());
        for candidate in candidates.iter().chain(world.agent(side).local_candidates()) {
            assert_eq!(candidate.kind, CandidateType::Relayed);
            let related = candidate.related_address.unwrap();
            assert!(related.ip().is_unspecified() && related.port() == 0);
            assert_ne!(candidate.base.ip().to_string(), ADDRESSES[side]);
        }
    }
    assert!(world.sent.iter().all(|sent| sent.path.remote == server_address()));
}

/// A check that comes to the socket itself gets no answer, which would tell the address.
#[test]
fn with_relays_only_the_other_agent_connects_through_the_relay_alone() {
    let mut world = world_of(with_relay(IceTransportPolicy::Relay), IceConfig::default());
    world.complete();
    exchange(&mut world);
    let remote = world.agent(RIGHT).selected_pair().unwrap().remote;
    assert_eq!(remote.kind, CandidateType::Relayed);
    assert!(world.sent.iter().filter(|sent| sent.from == LEFT).all(|sent| sent.path.remote == server_address()));
}

/// Item 38: no check before there is permission.
#[test]
fn item_38_no_check_goes_through_the_relay_before_there_is_permission() {
    let mut world = world_of(with_relay(IceTransportPolicy::Relay), with_relay(IceTransportPolicy::Relay));
    world.complete();
    let sends = |world: &World, indication: bool| {
        let kind = if indication { [0, 0x16] } else { [0, 0x08] };
        let is_kind = |sent: &&crate::world::Sent| sent.from == LEFT && sent.bytes[..2] == kind;
        world.sent.iter().find(is_kind).map(|sent| sent.at)
    };
    let (permission, first) = (sends(&world, false).unwrap(), sends(&world, true).unwrap());
    assert!(first >= permission + Duration::from_millis(20), "a round trip after it was asked for");
    assert_eq!(server(&mut world).statistics().blocked, 0);
}

/// Item 12 (RFC 8445 §5.1.1.2).
#[test]
fn item_12_a_server_without_room_is_reported_and_still_yields_a_reflexive_candidate() {
    let mut setup = Setup { signalling: Signalling::None, ..Setup::default() };
    setup.sides[LEFT].config = with_relay(IceTransportPolicy::All);
    setup.sides[LEFT].nat = Some(crate::world::Nat { public: "192.0.2.99", symmetric: false });
    let mut world = World::new(setup);
    let config = TurnServerConfig::new(server_address(), TurnCredentials::new("user", "secret"));
    world.turn = Some(TurnServer::new(config, &Seed::from_number(5)));
    server(&mut world).faults.refuse = Some((TurnRequest::Allocate, 486));
    world.run_for(2 * SECOND);
    let [error] = &errors(&world.nodes[LEFT])[..] else { panic!("one error") };
    assert_eq!((error.error_code, error.url.as_deref()), (486, Some("turn:203.0.113.5")));
    let kinds: Vec<_> = world.nodes[LEFT].candidates().into_iter().map(|candidate| candidate.kind).collect();
    assert_eq!(kinds, [CandidateType::Host, CandidateType::ServerReflexive]);
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
}

/// Item 40: a failed server is reported with its code and text.
#[test]
fn item_40_a_server_that_refuses_the_password_is_reported_and_does_not_hold_gathering_up() {
    let mut config = with_relay(IceTransportPolicy::All);
    config.turn_servers[0].credentials = TurnCredentials::new("user", "wrong");
    let mut world = signalled(2 * SECOND, config, IceConfig::default());
    world.run_for(SECOND);
    let [error] = &errors(&world.nodes[LEFT])[..] else { panic!("one error") };
    assert_eq!(error.error_code, 401);
    assert!(!error.error_text.is_empty());
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
    world.complete();
}

#[test]
fn a_server_that_does_not_answer_holds_gathering_up_for_11_and_a_half_seconds() {
    let mut world = world_of(with_relay(IceTransportPolicy::Relay), IceConfig::default());
    server(&mut world).faults.silent = true;
    world.run_for(Duration::from_millis(11_400));
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Gathering);
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
    assert_eq!(errors(&world.nodes[LEFT])[0].error_code, 701);
}

/// RFC 8445 §8.3.1; item 41: a lifetime of 0.
#[test]
fn item_41_a_relay_that_was_not_selected_is_given_back_after_three_seconds() {
    let mut world = signalled(SECOND, with_relay(IceTransportPolicy::All), IceConfig::default());
    world.complete();
    assert_eq!(server(&mut world).relayed_addresses().count(), 2);
    assert_eq!(world.agent(LEFT).selected_pair().unwrap().local.kind, CandidateType::Host);
    world.run_for(5 * SECOND);
    assert_eq!(server(&mut world).relayed_addresses().count(), 0);
    exchange(&mut world);
}

#[test]
fn item_41_a_relay_in_use_is_given_back_when_the_agent_is_closed() {
    let mut world = world_of(with_relay(IceTransportPolicy::Relay), IceConfig::default());
    world.complete();
    world.run_for(5 * SECOND);
    assert_eq!(server(&mut world).relayed_addresses().count(), 2);
    let now = world.now;
    world.agent(LEFT).close(now);
    world.run_for(SECOND);
    assert_eq!(server(&mut world).relayed_addresses().count(), 0);
    assert_eq!(world.agent(LEFT).turn_reports().count(), 0);
}

#[test]
fn a_connection_through_two_relays_comes_about_in_spite_of_loss() {
    for seed in 1..=20 {
        let mut setup = Setup { seed, ..Setup::default() };
        setup.sides[LEFT].config = with_relay(IceTransportPolicy::Relay);
        setup.sides[RIGHT].config = with_relay(IceTransportPolicy::Relay);
        // A check and its response cross six links.
        setup.link.loss_percent = 10;
        let mut world = World::new(setup);
        let config = TurnServerConfig::new(server_address(), TurnCredentials::new("user", "secret"));
        world.turn = Some(TurnServer::new(config, &Seed::from_number(seed)));
        world.complete();
        let kind = |pair: Option<proto_ice::CandidatePair>| pair.map(|pair| pair.local.kind);
        assert_eq!(kind(world.agent(LEFT).selected_pair()), Some(CandidateType::Relayed), "seed {seed}");
    }
}
