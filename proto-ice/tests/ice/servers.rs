//! Servers that fail, and what is told of it: each is given so much time, so many sockets, and an error of its own (items 12 and 40).

use std::time::Duration;

use proto_ice::turn::server::TurnRequest;
use proto_ice::{
    AttemptGoal, AttemptOutcome, CandidateError, CandidateType, IceConfig, IceEvent, IceGatheringState, IceRole,
    IceTransportPolicy, IceTransportState, StunServer, StunServerHost,
};
use proto_machine::{SocketId, Timestamp};
use stun_types::message::MessageClass;

use crate::lone::Lone;
use crate::messages::Forge;
use crate::relay::{errors, exchange, server, turn_server, with_relay, with_turn};
use crate::world::{LEFT, Nat, RIGHT, Sent, Setup, Side, Signalling, World};

const SECOND: Duration = Duration::from_secs(1);

/// One agent and its servers; the other one is not told of.
fn gathering(config: IceConfig) -> Setup {
    let mut setup = Setup { signalling: Signalling::None, ..Setup::default() };
    setup.sides[LEFT].config = config;
    setup.sides[LEFT].nat = Some(Nat { public: "192.0.2.99", symmetric: false });
    setup
}

fn kinds(world: &World) -> Vec<CandidateType> {
    world.nodes[LEFT].candidates().into_iter().map(|candidate| candidate.kind).collect()
}

fn gathered_at(world: &World) -> Option<Timestamp> {
    let complete = IceEvent::GatheringStateChange(IceGatheringState::Complete);
    world.nodes[LEFT].events.iter().find(|(_, event)| *event == complete).map(|(at, _)| *at)
}

fn codes(errors: &[CandidateError]) -> Vec<(u16, &str)> {
    errors.iter().map(|error| (error.error_code, error.error_text.as_str())).collect()
}

/// RFC 8656 §7.4.
#[test]
fn item_40_a_5_tuple_in_use_is_followed_by_an_allocation_from_a_new_socket() {
    let mut world = with_turn(gathering(with_relay(IceTransportPolicy::All)));
    server(&mut world).faults.refuse = Some((TurnRequest::Allocate, 437));
    world.run_for(Duration::from_millis(80));
    server(&mut world).faults.refuse = None;
    world.run_for(2 * SECOND);
    assert_eq!(errors(&world.nodes[LEFT]), []);
    // The server that was asked in vain from the socket of the host candidate still tells how it sees it.
    let mut kinds = kinds(&world);
    kinds.sort();
    let expected =
        [CandidateType::Host, CandidateType::ServerReflexive, CandidateType::Relayed, CandidateType::Relayed];
    assert_eq!(kinds, expected);
    assert_eq!(world.nodes[LEFT].sockets.len(), 2);
    let report = world.agent(LEFT).report();
    let outcomes: Vec<_> = report.servers[0].attempts.iter().map(|attempt| (attempt.goal, &attempt.outcome)).collect();
    assert!(matches!(outcomes[0], (AttemptGoal::Allocation, AttemptOutcome::Failed { code: Some(437), .. })));
    assert_eq!(report.servers[0].attempts.len(), 3);
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
}

#[test]
fn item_40_three_sockets_are_tried_and_no_more() {
    for policy in [IceTransportPolicy::All, IceTransportPolicy::Relay] {
        let mut world = with_turn(gathering(with_relay(policy)));
        server(&mut world).faults.refuse = Some((TurnRequest::Allocate, 437));
        world.run_for(10 * SECOND);
        let errors = errors(&world.nodes[LEFT]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].error_code, errors[0].url.as_deref()), (437, Some("turn:203.0.113.5")));
        // One without, one with credentials from each.
        assert_eq!(server(&mut world).statistics().requests[&TurnRequest::Allocate], 6);
        assert_eq!(world.nodes[LEFT].sockets.len(), 1, "sockets of no use are closed");
        assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
        let reflexive = kinds(&world).contains(&CandidateType::ServerReflexive);
        assert_eq!(reflexive, policy == IceTransportPolicy::All);
    }
}

/// RFC 8656 §2.2: one allocation for each 5-tuple.
#[test]
fn with_separate_relay_sockets_an_allocation_has_a_socket_of_its_own() {
    let mut setup = Setup::default();
    setup.sides[LEFT].config = with_relay(IceTransportPolicy::All);
    setup.sides[LEFT].nat = Some(Nat { public: "192.0.2.99", symmetric: false });
    setup.signalling = Signalling::Trickle(SECOND);
    let mut world = World::idle(setup);
    turn_server(&mut world);
    world.agent(LEFT).separate_relay_sockets();
    world.blocked.insert(("192.0.2.99".parse().unwrap(), "198.51.100.2".parse().unwrap()));
    world.begin();
    world.complete();
    let (host, relay) = (SocketId(0), SocketId(1));
    assert!(!world.agent(LEFT).is_relay_socket(host) && world.agent(LEFT).is_relay_socket(relay));
    let local = world.nodes[LEFT].sockets[&relay];
    assert_eq!(world.agent(LEFT).selected_pair().unwrap().local.kind, CandidateType::Relayed);
    exchange(&mut world);
    let allocates = |sent: &&Sent| sent.from == LEFT && sent.bytes[..2] == [0, 3];
    assert!(world.sent.iter().filter(allocates).all(|sent| sent.path.local == local));
    // What the server sees of that socket is no candidate; it is asked for that of the other one.
    let candidates = world.nodes[LEFT].candidates();
    let reflexive: Vec<_> = candidates.iter().filter(|c| c.kind == CandidateType::ServerReflexive).collect();
    assert_eq!(reflexive.len(), 1);
    assert_ne!(reflexive[0].base, local);
    world.run_for(5 * SECOND);
    assert_eq!(world.nodes[LEFT].sockets.keys().collect::<Vec<_>>(), [&relay], "the one in use is kept");
    let now = world.now;
    world.agent(LEFT).close(now);
    world.run_for(SECOND);
    assert_eq!(server(&mut world).relayed_addresses().count(), 0);
    assert!(world.nodes[LEFT].sockets.is_empty());
}

#[test]
fn a_name_that_is_not_resolved_in_time_is_reported_and_given_up() {
    let mut config = with_relay(IceTransportPolicy::All);
    config.turn_servers[0].host = StunServerHost::Name("turn.example".to_owned());
    let mut setup = gathering(config);
    setup.sides[LEFT].answers_lookups = false;
    let mut world = World::new(setup);
    world.run_for(20 * SECOND);
    let errors = errors(&world.nodes[LEFT]);
    assert_eq!(codes(&errors), [(701, "the look-up of the name takes too long")]);
    assert_eq!(gathered_at(&world), Some(Timestamp::ZERO + 10 * SECOND));
    assert!(world.agent(LEFT).report().verdict.contains("turn:203.0.113.5: the look-up of the name takes too long"));
}

/// The name of the TURN server leads to these addresses; that of [`with_turn`] is 203.0.113.5.
fn named_relay(policy: IceTransportPolicy, addresses: &[&str]) -> Setup {
    let mut config = with_relay(policy);
    config.turn_servers[0].host = StunServerHost::Name("turn.example".to_owned());
    let mut setup = gathering(config);
    setup.names.insert("turn.example".to_owned(), addresses.iter().map(|ip| ip.parse().unwrap()).collect());
    setup
}

#[test]
fn a_turn_server_is_reached_at_the_address_of_its_name_that_answers() {
    for is_separate in [false, true] {
        let mut world = World::idle(named_relay(IceTransportPolicy::All, &["203.0.113.8", "203.0.113.5"]));
        turn_server(&mut world);
        if is_separate {
            world.agent(LEFT).separate_relay_sockets();
        }
        world.begin();
        world.run_for(2 * SECOND);
        assert_eq!(errors(&world.nodes[LEFT]), []);
        assert!(kinds(&world).contains(&CandidateType::Relayed));
        assert_eq!(server(&mut world).relayed_addresses().count(), 2, "one allocation, in both families");
        assert!(gathered_at(&world).is_some_and(|at| at < Timestamp::ZERO + 2 * SECOND));
        assert_eq!(world.nodes[LEFT].sockets.len(), if is_separate { 2 } else { 1 }, "sockets of no use are closed");
    }
}

/// It answers just in time, and then not any more.
#[test]
fn a_server_that_plays_for_time_is_given_up_after_fifteen_seconds() {
    let mut world = with_turn(gathering(with_relay(IceTransportPolicy::All)));
    server(&mut world).faults.silent = true;
    world.run_for(Duration::from_millis(3_400));
    server(&mut world).faults.silent = false;
    world.run_for(Duration::from_millis(115));
    server(&mut world).faults.silent = true;
    world.run_for(20 * SECOND);
    let errors = errors(&world.nodes[LEFT]);
    assert_eq!(codes(&errors), [(701, "the server takes too long")]);
    assert_eq!(gathered_at(&world), Some(Timestamp::ZERO + 15 * SECOND));
}

#[test]
fn a_server_that_no_address_can_reach_is_reported() {
    let mut config = with_relay(IceTransportPolicy::All);
    config.stun_servers.push(StunServer {
        host: StunServerHost::Address("2001:db8::1".parse().unwrap()),
        port: 3_478,
        url: "stun:[2001:db8::1]".to_owned(),
    });
    let mut world = with_turn(gathering(config));
    world.run_for(SECOND);
    let errors = errors(&world.nodes[LEFT]);
    assert_eq!(codes(&errors), [(701, "no address of this host can reach the server")]);
    assert_eq!(errors[0].url.as_deref(), Some("stun:[2001:db8::1]"));
}

#[test]
fn a_server_that_does_not_know_the_password_is_told_from_one_that_is_silent() {
    let mut world = with_turn(gathering(with_relay(IceTransportPolicy::All)));
    server(&mut world).faults.wrong_integrity = true;
    world.run_for(20 * SECOND);
    let errors = errors(&world.nodes[LEFT]);
    assert_eq!(codes(&errors), [(701, "no response had valid integrity")]);
    assert!(errors[0].address.is_some());
}

/// RFC 8838 §8: nothing has failed as long as a pair may still come about.
#[test]
fn nothing_has_failed_while_a_permission_is_pending() {
    let mut world = with_turn(gathering(with_relay(IceTransportPolicy::Relay)));
    world.tell_parameters(LEFT);
    world.run_for(35 * SECOND);
    server(&mut world).faults.silent = true;
    let now = world.now;
    let candidate = world.nodes[RIGHT].candidates().remove(0);
    world.agent(LEFT).add_remote_candidate(now, candidate.into()).unwrap();
    world.agent(LEFT).end_of_remote_candidates(now, None);
    world.run_for(39 * SECOND);
    assert_eq!(world.state(LEFT), IceTransportState::Checking, "long after the PAC timer");
    world.run_for(SECOND);
    assert_eq!(world.state(LEFT), IceTransportState::Failed);
    let report = world.agent(LEFT).report();
    assert_eq!(report.refused_peers.len(), 1);
    assert!(
        report.verdict.contains("does not relay to 198.51.100.2: the server does not answer"),
        "{}",
        report.verdict
    );
}

#[test]
fn several_addresses_are_given_up_together_when_the_server_says_nothing_of_them() {
    let mut world = with_turn(gathering(with_relay(IceTransportPolicy::Relay)));
    world.tell_parameters(LEFT);
    world.run_for(SECOND);
    server(&mut world).faults.silent = true;
    let (now, candidate) = (world.now, world.nodes[RIGHT].candidates().remove(0));
    for host in 1..=5 {
        let mut candidate = candidate.clone();
        candidate.address.set_ip([198, 51, 100, host].into());
        world.agent(LEFT).add_remote_candidate(now, candidate.into()).unwrap();
    }
    world.run_for(40 * SECOND);
    assert_eq!(world.agent(LEFT).report().refused_peers.len(), 5);
}

/// RFC 8445 §14.2: checks, and requests to STUN and TURN servers alike, one each Ta.
#[test]
fn item_18_requests_to_turn_servers_are_paced_together_with_checks() {
    let mut setup = Setup { signalling: Signalling::Trickle(Duration::from_millis(30)), ..Setup::default() };
    setup.sides[LEFT] = Side::new(IceRole::Controlling, &["192.0.2.1", "192.0.2.7", "192.0.2.8"]);
    setup.sides[LEFT].config = with_relay(IceTransportPolicy::All);
    let mut world = World::idle(setup);
    turn_server(&mut world);
    for host in ["192.0.2.1", "192.0.2.7", "192.0.2.8"] {
        world.blocked.insert((host.parse().unwrap(), "198.51.100.2".parse().unwrap()));
    }
    world.begin();
    world.complete();
    let mut started: Vec<(Timestamp, Vec<u8>)> = Vec::new();
    for Sent { at, from, bytes, .. } in &world.sent {
        let is_request = bytes[0] == 0 && matches!(bytes[1], 0x01 | 0x03 | 0x04 | 0x08 | 0x09);
        let id = bytes.get(8..20).unwrap_or_default().to_vec();
        if *from == LEFT && is_request && !started.iter().any(|(_, known)| *known == id) {
            started.push((*at, id));
        }
    }
    let gaps: Vec<u128> = started.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_millis()).collect();
    assert!(started.len() >= 8 && gaps.iter().all(|gap| *gap >= 50), "{gaps:?}");
    assert!(server(&mut world).statistics().requests[&TurnRequest::CreatePermission] > 0);
}

#[test]
fn an_allocation_that_the_server_has_lost_is_noticed_when_nothing_is_heard_through_it() {
    let mut world = with_turn(Setup {
        sides: [LEFT, RIGHT].map(|side| {
            let role = if side == LEFT { IceRole::Controlling } else { IceRole::Controlled };
            let address = if side == LEFT { "192.0.2.1" } else { "198.51.100.2" };
            Side { config: with_relay(IceTransportPolicy::Relay), ..Side::new(role, &[address]) }
        }),
        ..Setup::default()
    });
    world.complete();
    // The PAC timer (RFC 8863 §4) has run.
    world.run_for(45 * SECOND);
    server(&mut world).restart();
    world.run_for(20 * SECOND);
    for side in [LEFT, RIGHT] {
        assert_eq!(world.state(side), IceTransportState::Failed);
        let verdict = world.agent(side).report().verdict;
        assert!(verdict.contains("437"), "{verdict}");
    }
}

/// 16 sockets, 16 refused peers: what a configuration and the other side can make an agent open and remember.
#[test]
fn sockets_for_relays_and_refused_peers_are_bounded() {
    let mut config = with_relay(IceTransportPolicy::Relay);
    config.turn_servers = vec![config.turn_servers[0].clone(); 4];
    let mut setup = gathering(config);
    setup.sides[LEFT].addresses = vec!["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
    let mut world = World::idle(setup);
    world.agent(LEFT).separate_relay_sockets();
    world.begin();
    world.run_for(SECOND);
    assert_eq!(world.nodes[LEFT].sockets.len(), 5 + 16);
    world.run_for(20 * SECOND);
    assert_eq!(world.agent(LEFT).gathering_state(), IceGatheringState::Complete);
    assert_eq!(world.nodes[LEFT].sockets.len(), 5, "sockets of no use are closed");

    let mut world = with_turn(gathering(with_relay(IceTransportPolicy::Relay)));
    world.tell_parameters(LEFT);
    world.run_for(SECOND);
    let (now, candidate) = (world.now, world.nodes[RIGHT].candidates().remove(0));
    for host in 1..=20 {
        let mut candidate = candidate.clone();
        candidate.address.set_ip([198, 51, 100, host].into());
        server(&mut world).faults.forbidden_peers.push(candidate.address.ip());
        world.agent(LEFT).add_remote_candidate(now, candidate.into()).unwrap();
    }
    world.run_for(30 * SECOND);
    assert_eq!(world.agent(LEFT).report().refused_peers.len(), 16);
}

/// RFC 8489 §14.8. Some servers pad their words with NUL; any may send what a terminal obeys.
#[test]
fn the_words_of_a_server_are_shown_without_what_cannot_be_seen_and_no_longer_than_the_standard_allows() {
    const BINDING_ERROR: [u8; 2] = [0x01, 0x11];
    const ALLOCATE_ERROR: [u8; 2] = [0x01, 0x13];
    let mut config = with_relay(IceTransportPolicy::All);
    config.stun_servers.push(StunServer {
        host: StunServerHost::Address("203.0.113.1".parse().unwrap()),
        port: 3_478,
        url: "stun:203.0.113.1".to_owned(),
    });
    let mut lone = Lone::with(IceRole::Controlling, config, &["192.0.2.1"]);
    lone.run_for_millis(60);
    let words = [b"Not\x1b[31m for you\0\0".to_vec(), "é".repeat(200).into_bytes()];
    let answers = [BINDING_ERROR, ALLOCATE_ERROR].into_iter().zip(&words);
    for (request, (kind, words)) in lone.take_sent().into_iter().zip(answers) {
        let transaction = u128::from_be_bytes([&[0; 4], &request.bytes[8..20]].concat().try_into().unwrap());
        let value = [&[0, 0, 4, 3], words.as_slice()].concat();
        let answer = Forge::new(MessageClass::Error, transaction).with(0x0009, &value).without_fingerprint();
        let mut answer = answer.build();
        answer[..2].copy_from_slice(&kind);
        lone.receive_on(request.path, &answer);
    }
    let text = |event: &IceEvent| match event {
        IceEvent::CandidateError(error) => Some((error.error_code, error.error_text.clone())),
        _ => None,
    };
    let texts: Vec<_> = lone.events.iter().filter_map(text).collect();
    assert_eq!(texts, [(403, "Not[31m for you".to_owned()), (403, "é".repeat(127))]);
    let report = lone.agent.report();
    assert!(!report.verdict.chars().chain(report.to_string().replace('\n', "").chars()).any(char::is_control));
}
