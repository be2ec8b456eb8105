//! Items 9-13: gathering and what candidates are made of.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{
    AddressPolicy, CandidateError, CandidateType, IceAgent, IceConfig, IceEvent, IceGatheringState, IceRole,
    IceTransportPolicy, IceTransportState, InterfaceAddress, StunServer, StunServerHost,
};
use proto_machine::{Machine, Seed, SocketError, SocketEvent, SocketId, SocketRequest};

use crate::lone::{Lone, PEER_FRAGMENT};
use crate::world::{LEFT, Nat, RIGHT, ServerBehaviour, Setup, Side, Signalling, StunServerNode, World};

const PEER: &str = "198.51.100.2:6000";
const SERVER: &str = "203.0.113.1:3478";
const OTHER_SERVER: &str = "203.0.113.2:3478";

fn at_address(address: &str) -> StunServer {
    let address: SocketAddr = address.parse().unwrap();
    let url = format!("stun:{address}");
    StunServer { host: StunServerHost::Address(address.ip()), port: address.port(), url }
}

fn named(name: &str) -> StunServer {
    StunServer { host: StunServerHost::Name(name.to_owned()), port: 3_478, url: format!("stun:{name}") }
}

/// The left agent behind a NAT, with these servers; it is all that the test is about.
fn behind_nat(servers: Vec<StunServer>, symmetric: bool, behaviour: ServerBehaviour) -> Setup {
    let mut setup = Setup { signalling: Signalling::None, ..Setup::default() };
    setup.sides[LEFT] = Side {
        nat: Some(Nat { public: "203.0.113.77", symmetric }),
        config: IceConfig { stun_servers: servers, ..IceConfig::default() },
        ..Side::new(IceRole::Controlling, &["10.0.0.1"])
    };
    let node = |address: &str| StunServerNode { address: address.parse().unwrap(), behaviour };
    setup.stun_servers = vec![node(SERVER), node(OTHER_SERVER), node("[2001:db8::1]:3478")];
    setup
}

fn gathered(setup: Setup) -> World {
    let mut world = World::idle(setup);
    for node in &mut world.nodes {
        node.agent.gather(world.now, &node.interfaces.clone());
    }
    world.run_for(Duration::from_secs(20));
    world
}

fn errors(world: &World) -> Vec<CandidateError> {
    let error = |event: &IceEvent| match event {
        IceEvent::CandidateError(error) => Some(error.clone()),
        _ => None,
    };
    world.nodes[LEFT].events.iter().filter_map(|(_, event)| error(event)).collect()
}

/// Item 9 (RFC 8445 §5.1.2.1): 126 and 100 << 24, 65535 << 8, 255.
#[test]
fn item_09_priorities_follow_the_formula() {
    let world = gathered(behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Answers));
    let candidates = world.nodes[LEFT].candidates();
    let priorities: Vec<_> = candidates.iter().map(|candidate| (candidate.kind, candidate.priority)).collect();
    assert_eq!(priorities, [(CandidateType::Host, 2_130_706_431), (CandidateType::ServerReflexive, 1_694_498_815)]);
}

/// Item 9 (RFC 8445 §5.1.2.2).
#[test]
fn item_09_host_is_preferred_over_peer_reflexive_over_server_reflexive_over_relayed() {
    let mut setup = behind_nat(vec![], false, ServerBehaviour::Answers);
    setup.sides[LEFT].config.turn_servers = crate::relay::with_relay(IceTransportPolicy::All).turn_servers;
    let mut world = World::idle(setup);
    crate::relay::turn_server(&mut world);
    world.begin();
    world.run_for(Duration::from_secs(1));
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.run_for_millis(50);
    let check = lone.take_checks_to(PEER).remove(0);
    lone.succeed_as(&check, "203.0.113.77:1".parse().unwrap());
    let candidates = world.nodes[LEFT].candidates().into_iter().chain(lone.agent.local_candidates().cloned());
    let preferences: BTreeSet<(u32, CandidateType)> =
        candidates.map(|candidate| (candidate.priority >> 24, candidate.kind)).collect();
    let expected = [
        (0, CandidateType::Relayed),
        (100, CandidateType::ServerReflexive),
        (110, CandidateType::PeerReflexive),
        (126, CandidateType::Host),
    ];
    assert_eq!(preferences, BTreeSet::from(expected));
}

/// Item 9 (RFC 8445 §5.1.2): unique, and in 1 to 2^31 - 1.
#[test]
fn item_09_priorities_are_unique_with_many_addresses_and_servers() {
    let mut setup = behind_nat(vec![at_address(SERVER), at_address(OTHER_SERVER)], true, ServerBehaviour::Answers);
    setup.sides[LEFT].addresses = vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
    let world = gathered(setup);
    let candidates = world.nodes[LEFT].candidates();
    assert_eq!(candidates.len(), 15);
    let priorities: BTreeSet<u32> = candidates.iter().map(|candidate| candidate.priority).collect();
    assert_eq!(priorities.len(), 15);
    assert!(priorities.iter().all(|priority| (1..1 << 31).contains(priority)));
}

/// Item 10 (RFC 8445 §5.1.1.3).
#[test]
fn item_10_foundations_differ_by_type_base_address_and_server_and_by_nothing_else() {
    let mut setup = behind_nat(vec![at_address(SERVER), at_address(OTHER_SERVER)], true, ServerBehaviour::Answers);
    setup.sides[LEFT].addresses = vec!["10.0.0.1", "10.0.0.2"];
    let world = gathered(setup);
    let candidates = world.nodes[LEFT].candidates();
    let foundations: BTreeSet<_> = candidates.iter().map(|candidate| candidate.foundation.clone()).collect();
    assert_eq!((candidates.len(), foundations.len()), (6, 6));
    assert!(foundations.iter().all(|foundation| (1..=32).contains(&foundation.len())));
    // Two mappings of one base that the same peer sees are alike in type, base and server: none.
    let mut lone = Lone::new(IceRole::Controlling);
    for (remote, mapped) in [(PEER, "203.0.113.77:1"), ("198.51.100.2:6001", "203.0.113.77:2")] {
        lone.add_host(remote);
        lone.run_for_millis(50);
        let check = lone.take_checks_to(remote).remove(0);
        lone.succeed_as(&check, mapped.parse().unwrap());
    }
    let learned: Vec<_> =
        lone.agent.local_candidates().filter(|candidate| candidate.kind == CandidateType::PeerReflexive).collect();
    assert_eq!(learned.len(), 2);
    assert_eq!(learned[0].foundation, learned[1].foundation);
}

/// Item 10 (RFC 8445 §5.1.3).
#[test]
fn item_10_a_candidate_is_redundant_only_if_address_and_base_are_those_of_another() {
    let mut setup = behind_nat(vec![at_address(SERVER), at_address(OTHER_SERVER)], false, ServerBehaviour::Answers);
    let both_servers_see_the_same = gathered(setup);
    assert_eq!(both_servers_see_the_same.nodes[LEFT].candidates().len(), 2);
    setup = behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Answers);
    setup.sides[LEFT].nat = None;
    let the_server_sees_the_base = gathered(setup);
    assert_eq!(the_server_sees_the_base.nodes[LEFT].candidates().len(), 1);
}

/// Item 11 (RFC 8445 §5.1.1.4, §8.3.1).
#[test]
fn item_11_mappings_and_sockets_are_kept_until_three_seconds_after_nomination() {
    let mut setup = behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Answers);
    setup.sides[LEFT].addresses = vec!["10.0.0.1", "10.0.0.2"];
    setup.signalling = Signalling::None;
    let mut world = gathered(setup);
    world.run_for(Duration::from_secs(60));
    let requests = world.sent.iter().filter(|sent| sent.path.remote == SERVER.parse().unwrap());
    let from_first: Vec<_> = requests.filter(|sent| sent.path.local == world.nodes[LEFT].socket()).collect();
    assert!(from_first.len() >= 5, "a mapping is refreshed every 15 s");
    for side in [LEFT, RIGHT] {
        world.tell_parameters(side);
    }
    let candidates = world.nodes[RIGHT].candidates();
    for candidate in &candidates {
        let now = world.now;
        world.agent(LEFT).add_remote_candidate(now, candidate.clone().into()).unwrap();
    }
    world.complete();
    let nominated_at = world.now;
    world.run_for(Duration::from_millis(2_900));
    assert_eq!(world.nodes[LEFT].sockets.len(), 2);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.nodes[LEFT].sockets.len(), 1);
    let selected = world.nodes[LEFT].agent.selected_pair().unwrap().path.local;
    assert_eq!(world.nodes[LEFT].socket(), selected);
    let late = |sent: &&crate::world::Sent| {
        sent.path.remote == SERVER.parse().unwrap() && sent.at > nominated_at + Duration::from_secs(4)
    };
    assert_eq!(world.sent.iter().filter(late).count(), 0);
}

/// Item 13 (RFC 8421 §4): by local preference, so both agents order alike.
#[test]
fn item_13_families_alternate_in_priority_and_never_cross() {
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &addresses);
    let mut candidates: Vec<_> = lone.agent.local_candidates().cloned().collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    let families: Vec<bool> = candidates.iter().map(|candidate| candidate.address.is_ipv6()).collect();
    assert_eq!(families, [true, false, true, false]);
    lone.add_host(PEER);
    lone.add_host("[2001:db8::9]:6000");
    let pairs = lone.agent.statistics().pairs;
    assert_eq!(pairs.len(), 4);
    assert!(pairs.iter().all(|pair| pair.path.local.is_ipv6() == pair.path.remote.is_ipv6()));
}

/// Item 13 (RFC 8445 §6.1.2.2), with the zone of the interface.
#[test]
fn item_13_link_local_ipv6_pairs_only_with_link_local_ipv6() {
    let config = IceConfig {
        address_policy: AddressPolicy { gather_loopback: false, gather_link_local: true },
        ..IceConfig::default()
    };
    let mut lone = Lone::with(IceRole::Controlling, config, &["2001:db8::1", "fe80::1"]);
    lone.add_host("[2001:db8::9]:6000");
    lone.add_host("[fe80::9]:6000");
    let paths: Vec<_> = lone
        .agent
        .statistics()
        .pairs
        .iter()
        .map(|pair| (pair.path.local.to_string(), pair.path.remote.to_string()))
        .collect();
    let expected = [("[2001:db8::1]:5000", "[2001:db8::9]:6000"), ("[fe80::1%3]:5001", "[fe80::9%3]:6000")];
    assert_eq!(paths, expected.map(|(local, remote)| (local.to_owned(), remote.to_owned())));
    // A check from there finds its candidate, though the driver reports the zone.
    let path = proto_machine::Path::udp(lone.sockets[1], "[fe80::9%3]:6000".parse().unwrap());
    let check = lone.peer_check().signed(&lone.password()).build();
    lone.receive_on(path, &check);
    assert_eq!(lone.agent.remote_candidates().count(), 2);
}

#[test]
fn gathering_goes_from_new_over_gathering_to_complete_with_the_candidates_in_between() {
    let world = gathered(behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Answers));
    let names = world.nodes[LEFT].events.iter().map(|(_, event)| match event {
        IceEvent::GatheringStateChange(state) => format!("{state:?}"),
        IceEvent::LocalCandidate(candidate) => candidate.kind.name().to_owned(),
        IceEvent::EndOfCandidates => "end".to_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["Gathering", "host", "srflx", "end", "Complete"]);
    assert_eq!(world.nodes[LEFT].agent.gathering_state(), IceGatheringState::Complete);
    let reflexive = world.nodes[LEFT].candidates().remove(1);
    assert_eq!(reflexive.address.ip().to_string(), "203.0.113.77");
    assert_eq!(reflexive.related_address, Some(world.nodes[LEFT].socket()));
    assert_eq!(reflexive.url.as_deref(), Some("stun:203.0.113.1:3478"));
}

#[test]
fn a_server_is_found_by_name_and_asked_in_each_family() {
    let mut setup = behind_nat(vec![named("stun.example")], false, ServerBehaviour::Answers);
    setup.sides[LEFT].addresses = vec!["10.0.0.1", "2001:db8::5"];
    let resolved = ["203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2"];
    setup.names.insert("stun.example".to_owned(), resolved.map(|ip| ip.parse().unwrap()).to_vec());
    let world = gathered(setup);
    let asked: BTreeSet<_> = world.sent.iter().map(|sent| sent.path.remote.to_string()).collect();
    assert_eq!(asked, BTreeSet::from([SERVER.to_owned(), "[2001:db8::1]:3478".to_owned()]));
    assert_eq!(world.nodes[LEFT].candidates().len(), 3, "two host candidates, and one behind the NAT");
}

/// A world whose name leads to these addresses, of which only the servers of [`behind_nat`] exist.
fn with_addresses(addresses: &[&str]) -> Setup {
    let mut setup = behind_nat(vec![named("stun.example")], false, ServerBehaviour::Answers);
    setup.names.insert("stun.example".to_owned(), addresses.iter().map(|ip| ip.parse().unwrap()).collect());
    setup
}

/// When each address of a server was asked first, in milliseconds.
fn asked(world: &World) -> Vec<(String, u64)> {
    let mut asked: Vec<(String, u64)> = Vec::new();
    for sent in &world.sent {
        let remote = sent.path.remote.ip().to_string();
        if !asked.iter().any(|(known, _)| *known == remote) {
            asked.push((remote, sent.at.as_nanos() / 1_000_000));
        }
    }
    asked
}

#[test]
fn the_next_address_of_a_name_is_asked_when_one_says_nothing_for_a_second() {
    let mut world = gathered(with_addresses(&["203.0.113.8", "203.0.113.9", "203.0.113.1", "203.0.113.2"]));
    let expected = [("203.0.113.8", 0), ("203.0.113.9", 1_000), ("203.0.113.1", 2_000)];
    assert_eq!(asked(&world), expected.map(|(address, at)| (address.to_owned(), at)));
    assert_eq!(errors(&world), [], "the server has answered");
    assert_eq!(world.nodes[LEFT].candidates().len(), 2);
    // The first answer ends it: nothing more goes to the silent ones, and nobody waits for them.
    let silent =
        |sent: &&crate::world::Sent| ["203.0.113.8", "203.0.113.9"].contains(&&*sent.path.remote.ip().to_string());
    assert_eq!(world.sent.iter().filter(silent).count(), 3 + 2);
    let report = world.agent(LEFT).report();
    let completed = report.times.gathering_completed.unwrap() - proto_machine::Timestamp::ZERO;
    assert_eq!(completed, Duration::from_millis(2_020));
    let outcomes: Vec<_> = report.servers[0].attempts.iter().map(|attempt| attempt.outcome.to_string()).collect();
    assert_eq!(outcomes[..2], ["not needed any more", "not needed any more"]);
}

#[test]
fn a_name_with_silent_addresses_alone_is_given_up_with_one_error_and_without_a_stall() {
    let addresses = ["203.0.113.8", "203.0.113.9", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13"];
    let world = gathered(with_addresses(&addresses));
    let asked = asked(&world);
    assert_eq!(asked.len(), 4, "four of a family: {asked:?}");
    let base = world.nodes[LEFT].socket();
    let expected = CandidateError {
        address: Some(base.ip()),
        port: Some(base.port()),
        url: Some("stun:stun.example".to_owned()),
        error_code: 701,
        error_text: "the server does not answer".to_owned(),
    };
    assert_eq!(errors(&world), [expected]);
    let complete = IceEvent::GatheringStateChange(IceGatheringState::Complete);
    let (at, _) = world.nodes[LEFT].events.iter().find(|(_, event)| *event == complete).unwrap();
    assert_eq!(at.as_nanos() / 1_000_000, 3_000 + 11_500);
}

#[test]
fn an_address_of_a_name_that_fails_is_followed_by_the_next_at_once() {
    let mut setup = with_addresses(&["203.0.113.1", "203.0.113.2"]);
    setup.stun_servers[0].behaviour = ServerBehaviour::Refuses(500);
    let world = gathered(setup);
    // The round trip to the first, or one Ta if that is longer.
    assert_eq!(asked(&world), [("203.0.113.1".to_owned(), 0), ("203.0.113.2".to_owned(), 50)]);
    assert_eq!(world.nodes[LEFT].candidates().len(), 2);
    let codes: Vec<u16> = errors(&world).iter().map(|error| error.error_code).collect();
    assert_eq!(codes, [500]);
}

#[test]
fn an_address_that_answers_after_another_of_its_name_yields_no_second_candidate() {
    let config = IceConfig { stun_servers: vec![named("stun.example")], ..IceConfig::default() };
    let mut lone = Lone::without_peer(IceRole::Controlling, config, &["192.0.2.1"]);
    let lookup = lone.socket_requests.iter().find_map(|request| match request {
        SocketRequest::Resolve { lookup, .. } => Some(*lookup),
        _ => None,
    });
    let result = Ok(vec!["203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap()]);
    lone.agent.handle_socket_event(lone.now, SocketEvent::Resolved { lookup: lookup.unwrap(), result });
    lone.run_for_millis(1_100);
    let requests = lone.take_sent();
    let (first, second) = (requests.first().unwrap(), requests.last().unwrap());
    assert_eq!((first.path.remote, second.path.remote), (SERVER.parse().unwrap(), OTHER_SERVER.parse().unwrap()));
    for (request, mapped) in [(second, "203.0.113.77:2"), (first, "203.0.113.77:1")] {
        let mapped = mapped.parse().unwrap();
        let answer = crate::messages::server_answer(&request.bytes, mapped, ServerBehaviour::Answers).unwrap();
        lone.receive_on(request.path, &answer);
    }
    let candidates: Vec<String> = lone.agent.local_candidates().map(|local| local.address.to_string()).collect();
    assert_eq!(candidates, ["192.0.2.1:5000", "203.0.113.77:2"]);
}

#[test]
fn a_name_that_leads_to_addresses_nobody_can_send_to_leads_nowhere() {
    let world = gathered(with_addresses(&["0.0.0.0", "224.0.0.1", "::", "::ffff:203.0.113.1"]));
    let texts: Vec<String> = errors(&world).into_iter().map(|error| error.error_text).collect();
    assert_eq!(texts, ["the host name has no address"]);
    assert_eq!(world.sent, []);
}

#[test]
fn a_name_that_does_not_resolve_is_reported_and_does_not_hold_up_gathering() {
    let world = gathered(behind_nat(vec![named("nowhere.example")], false, ServerBehaviour::Answers));
    let expected = CandidateError {
        address: None,
        port: None,
        url: Some("stun:nowhere.example".to_owned()),
        error_code: 701,
        error_text: "the host name has no address".to_owned(),
    };
    assert_eq!(errors(&world), [expected]);
    assert_eq!(world.nodes[LEFT].agent.gathering_state(), IceGatheringState::Complete);
}

#[test]
fn a_silent_server_is_asked_four_times_and_reported_once_for_all_sockets() {
    let mut setup = behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Silent);
    setup.sides[LEFT].addresses = vec!["10.0.0.1", "10.0.0.2"];
    let world = gathered(setup);
    let errors = errors(&world);
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].error_code, errors[0].url.as_deref()), (701, Some("stun:203.0.113.1:3478")));
    let socket = world.nodes[LEFT].socket();
    let times: Vec<_> =
        world.sent.iter().filter(|sent| sent.path.local == socket).map(|sent| sent.at.as_nanos() / 1_000_000).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500]);
    let complete = IceEvent::GatheringStateChange(IceGatheringState::Complete);
    let (at, _) = world.nodes[LEFT].events.iter().find(|(_, event)| *event == complete).unwrap();
    assert_eq!(at.as_nanos() / 1_000_000, 11_550);
}

#[test]
fn the_error_of_a_server_is_reported_with_its_code_and_the_socket() {
    let world = gathered(behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Refuses(500)));
    let errors = errors(&world);
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].error_code, errors[0].address), (500, Some("10.0.0.1".parse().unwrap())));
    assert_eq!(world.nodes[LEFT].candidates().len(), 1);
}

#[test]
fn an_address_that_cannot_be_bound_is_reported_and_the_others_are_used() {
    let mut setup = Setup::default();
    setup.sides[LEFT].addresses = vec!["192.0.2.1", "192.0.2.7"];
    setup.sides[LEFT].unbindable = vec!["192.0.2.7"];
    let mut world = World::new(setup);
    world.complete();
    let errors = errors(&world);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(errors[0].error_text, SocketError::AddressNotAvailable.to_string());
}

#[test]
fn without_any_interface_gathering_is_complete_at_once() {
    let mut setup = Setup::default();
    setup.sides[LEFT].addresses = vec![];
    let world = World::new(setup);
    assert_eq!(world.nodes[LEFT].agent.gathering_state(), IceGatheringState::Complete);
}

#[test]
fn sockets_and_servers_are_bounded() {
    let mut config = IceConfig { stun_servers: vec![at_address(SERVER); 20], ..IceConfig::default() };
    config.limits.interface_addresses = 3;
    config.limits.stun_servers = 2;
    let mut setup = behind_nat(vec![], true, ServerBehaviour::Answers);
    setup.sides[LEFT].config = config;
    setup.sides[LEFT].addresses = vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
    let world = gathered(setup);
    assert_eq!(world.nodes[LEFT].sockets.len(), 3);
    let requests: BTreeSet<_> = world.sent.iter().map(|sent| sent.bytes.clone()).collect();
    assert_eq!(requests.len(), 3 * 2 * 2, "three sockets, two servers, first and refreshing request");
}

/// RFC 8838 §13: "an agent MUST NOT trickle any new candidates within an ICE session after nomination".
#[test]
fn nomination_ends_gathering() {
    let config = IceConfig { stun_servers: vec![at_address(SERVER)], ..IceConfig::default() };
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1"]);
    let request = lone.take_sent().remove(0);
    assert!(request.read().is_server_request());
    lone.add_host(PEER);
    lone.select(PEER);
    assert_eq!(lone.agent.gathering_state(), IceGatheringState::Complete);
    assert_eq!(lone.events.iter().filter(|event| **event == IceEvent::EndOfCandidates).count(), 1);
    lone.run_for(Duration::from_secs(2));
    let answer = crate::messages::server_answer(&request.bytes, PEER.parse().unwrap(), ServerBehaviour::Answers);
    lone.receive(SERVER, &answer.unwrap());
    lone.run_for(Duration::from_secs(20));
    assert_eq!(lone.agent.local_candidates().count(), 1);
    assert!(lone.take_sent().iter().all(|sent| sent.path.remote == PEER.parse().unwrap()));
}

#[test]
fn a_server_that_stops_answering_once_its_candidate_is_there_is_no_error() {
    for behaviour in [ServerBehaviour::Silent, ServerBehaviour::Refuses(500)] {
        let mut world = gathered(behind_nat(vec![at_address(SERVER)], false, ServerBehaviour::Answers));
        world.stun_servers[0].behaviour = behaviour;
        world.run_for(Duration::from_secs(60));
        assert_eq!(errors(&world), []);
    }
}

#[test]
fn a_server_answer_from_elsewhere_is_not_believed() {
    let config = IceConfig { stun_servers: vec![at_address(SERVER)], ..IceConfig::default() };
    let mut lone = Lone::without_peer(IceRole::Controlling, config, &["192.0.2.1"]);
    let request = lone.take_sent().remove(0);
    assert!(request.read().is_server_request());
    let answer = crate::messages::server_answer(&request.bytes, PEER.parse().unwrap(), ServerBehaviour::Answers);
    lone.receive(OTHER_SERVER, &answer.clone().unwrap());
    assert_eq!(lone.agent.local_candidates().count(), 1);
    lone.receive(SERVER, &answer.unwrap());
    assert_eq!(lone.agent.local_candidates().count(), 2);
}

#[test]
fn a_lost_socket_takes_its_pairs_along_and_another_takes_over() {
    let mut setup = Setup { signalling: Signalling::WithoutEnd, ..Setup::default() };
    setup.sides[LEFT].addresses = vec!["192.0.2.1", "192.0.2.7"];
    let mut world = World::new(setup);
    world.complete();
    let selected = world.nodes[LEFT].agent.selected_pair().unwrap().path;
    let (&socket, _) = world.nodes[LEFT].sockets.iter().find(|(_, address)| **address == selected.local).unwrap();
    let now = world.now;
    let error = SocketError::AddressNotAvailable;
    world.agent(LEFT).handle_socket_event(now, SocketEvent::Failed { socket, error });
    let successor = world.send_payload(LEFT, b"\x17over the other interface");
    assert!(successor.is_none_or(|path| path.local != selected.local));
}

#[test]
fn closing_drops_what_is_known_of_the_peer_and_what_is_left_to_tell() {
    let known = |lone: &Lone| format!("{:?}", lone.agent).contains(&format!("{PEER_FRAGMENT:?}"));
    let mut lone = Lone::new(IceRole::Controlled);
    assert!(known(&lone));
    lone.agent.close(lone.now);
    assert!(!known(&lone));
    let mut early = Lone::without_peer(IceRole::Controlled, IceConfig::default(), &["192.0.2.1"]);
    early.receive_check("198.51.100.2:6000");
    assert!(known(&early));
    early.agent.close(early.now);
    assert!(!known(&early));
    // Nobody has fetched the candidate.
    let mut quick = IceAgent::new(IceConfig::default(), IceRole::Controlled, Seed::from_number(1));
    let tells = |agent: &IceAgent| format!("{agent:?}").contains("queue: [LocalCandidate");
    let now = early.now;
    quick.gather(now, &[InterfaceAddress::new([192, 0, 2, 1].into())]);
    let local = "192.0.2.1:5000".parse().unwrap();
    quick.handle_socket_event(now, SocketEvent::Opened { socket: SocketId(0), local });
    assert!(tells(&quick));
    quick.close(now);
    assert!(!tells(&quick));
    assert_eq!(quick.poll_event(), None);
    quick.end_of_remote_candidates(now, None);
    assert_eq!(quick.statistics().stale_signalling, 0);
}

#[test]
fn closing_closes_every_socket_and_is_final() {
    let mut lone = Lone::with(IceRole::Controlled, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add_host(PEER);
    lone.select(PEER);
    lone.socket_requests.clear();
    lone.events.clear();
    lone.agent.close(lone.now);
    lone.receive_check(PEER);
    assert_eq!(lone.receive(PEER, &[20; 30]), None);
    let late = crate::lone::remote_host("198.51.100.3:6000", 1, "late");
    assert_eq!(lone.agent.add_remote_candidate(lone.now, late), Err(proto_ice::AddRemoteCandidateError::Closed));
    lone.agent.gather(lone.now, &[]);
    lone.run_for(Duration::from_secs(100));
    assert!(lone.socket_requests.iter().all(|request| matches!(request, SocketRequest::Close { .. })));
    assert_eq!((lone.socket_requests.len(), lone.events.len()), (2, 0));
    assert_eq!(lone.take_sent(), []);
    assert_eq!(lone.agent.poll_timeout(), None);
    assert_eq!(lone.agent.state(), IceTransportState::Closed);
}
