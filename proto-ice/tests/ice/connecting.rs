//! Two agents find each other, whatever lies between them.

use std::time::Duration;

use proto_ice::{CandidateType, IceRole, IceTransportState, StunServer, StunServerHost};

use crate::world::{LEFT, Link, Nat, RIGHT, ServerBehaviour, Setup, Signalling, StunServerNode, World};

/// Both behind NATs of these kinds, with a STUN server outside.
fn behind_nats(left: Option<bool>, right: Option<bool>) -> Setup {
    let mut setup = Setup::default();
    let server = "203.0.113.1:3478".parse().unwrap();
    setup.stun_servers = vec![StunServerNode { address: server, behaviour: ServerBehaviour::Answers }];
    for (side, symmetric, private, public) in
        [(LEFT, left, "10.0.0.1", "203.0.113.10"), (RIGHT, right, "10.1.0.1", "203.0.113.20")]
    {
        setup.sides[side].nat = symmetric.map(|symmetric| Nat { public, symmetric });
        setup.sides[side].addresses = if symmetric.is_some() { vec![private] } else { vec![public] };
        setup.sides[side].config.stun_servers = vec![StunServer {
            host: StunServerHost::Address(server.ip()),
            port: server.port(),
            url: "stun:203.0.113.1".to_owned(),
        }];
    }
    setup
}

fn selected_types(world: &World, side: usize) -> (CandidateType, CandidateType) {
    let pair = world.nodes[side].agent.selected_pair().unwrap();
    (pair.local.kind, pair.remote.kind)
}

#[test]
fn two_agents_on_the_open_network_connect_and_complete() {
    let mut world = World::new(Setup::default());
    world.complete();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.state(LEFT), IceTransportState::Completed);
    assert_eq!(world.state(RIGHT), IceTransportState::Completed);
    assert_eq!(selected_types(&world, LEFT), (CandidateType::Host, CandidateType::Host));
}

#[test]
fn two_agents_behind_nats_connect_over_their_server_reflexive_candidates() {
    let mut world = World::new(behind_nats(Some(false), Some(false)));
    world.complete();
    assert_eq!(selected_types(&world, LEFT), (CandidateType::ServerReflexive, CandidateType::ServerReflexive));
    assert_eq!(selected_types(&world, RIGHT), (CandidateType::ServerReflexive, CandidateType::ServerReflexive));
}

#[test]
fn a_symmetric_nat_makes_peer_reflexive_candidates_on_both_sides() {
    let mut world = World::new(behind_nats(Some(true), None));
    world.complete();
    assert_eq!(selected_types(&world, LEFT), (CandidateType::PeerReflexive, CandidateType::Host));
    assert_eq!(selected_types(&world, RIGHT), (CandidateType::Host, CandidateType::PeerReflexive));
}

#[test]
fn two_symmetric_nats_cannot_be_crossed_without_a_relay() {
    let mut world = World::new(behind_nats(Some(true), Some(true)));
    world.run_for(Duration::from_secs(90));
    assert_eq!(world.state(LEFT), IceTransportState::Failed);
    assert_eq!(world.state(RIGHT), IceTransportState::Failed);
}

#[test]
fn one_side_that_knows_the_other_is_enough() {
    let mut world = World::new(Setup { signalling: Signalling::ParametersOnly, ..Setup::default() });
    let now = world.now;
    for candidate in world.nodes[RIGHT].candidates() {
        world.agent(LEFT).add_remote_candidate(now, candidate.into()).unwrap();
    }
    world.complete();
    assert_eq!(selected_types(&world, RIGHT), (CandidateType::Host, CandidateType::PeerReflexive));
}

#[test]
fn checks_that_overtake_the_answer_are_used_when_it_comes() {
    let mut world =
        World::new(Setup { signalling: Signalling::LateAnswer(Duration::from_millis(700)), ..Setup::default() });
    world.run_for(Duration::from_millis(699));
    assert_eq!(world.state(LEFT), IceTransportState::New);
    world.connect();
    // One round trip of 20 ms after the answer.
    assert_eq!(world.now.since_epoch(), Duration::from_millis(720));
}

#[test]
fn candidates_may_trickle_in_late_on_both_sides() {
    for delay in [1, 100, 5_000, 30_000] {
        let setup = Setup { signalling: Signalling::Trickle(Duration::from_millis(delay)), ..Setup::default() };
        let mut world = World::new(setup);
        world.run_to(Duration::from_secs(60), |world| world.nodes.iter().all(|node| node.agent.can_send()));
        assert!(world.now.since_epoch() <= Duration::from_millis(delay + 40));
    }
}

#[test]
fn both_sides_select_the_same_pair_with_many_addresses_in_either_role() {
    for seed in 0..20 {
        let mut setup = Setup { seed, ..Setup::default() };
        setup.sides[LEFT].addresses = vec!["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8:1::1", "2001:db8:1::2"];
        setup.sides[RIGHT].addresses = vec!["198.51.100.1", "198.51.100.2", "198.51.100.3", "2001:db8:2::1"];
        if seed % 2 == 1 {
            setup.sides[LEFT].role = IceRole::Controlled;
            setup.sides[RIGHT].role = IceRole::Controlling;
        }
        setup.link =
            Link { jitter: Duration::from_millis(30), duplicate_percent: 20, loss_percent: 10, ..Link::perfect(20) };
        let mut world = World::new(setup);
        world.complete();
        world.run_for(Duration::from_secs(5));
        let path = |side: usize| world.nodes[side].agent.selected_pair().unwrap().path;
        assert_eq!(path(LEFT), path(RIGHT).reversed(), "seed {seed}");
    }
}

/// How long it takes until both sides can send, over many seeds, sorted.
fn setup_times(link: Link, seeds: u64) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..seeds)
        .map(|seed| {
            let mut world = World::new(Setup { seed, link, ..Setup::default() });
            world.connect();
            world.now.since_epoch()
        })
        .collect();
    times.sort();
    times
}

#[test]
fn heavy_loss_delays_a_connection_and_does_not_prevent_it() {
    let link = |loss_percent| Link {
        delay: Duration::from_millis(50),
        jitter: Duration::from_millis(40),
        loss_percent,
        duplicate_percent: 5,
    };
    let times = setup_times(link(20), 500);
    assert!(times[495] < Duration::from_secs(3), "99 % within {:?}", times[495]);
    let times = setup_times(link(40), 200);
    assert!(times[199] < Duration::from_secs(30), "all within {:?}", times[199]);
}
