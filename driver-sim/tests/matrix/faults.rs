//! Networks that change under a connection, and the same seed twice.

use std::time::Duration;

use driver_sim::matrix::{Case, Opener, Outcome, Scene, Setting};
use driver_sim::network::reachability::Layer;
use driver_sim::network::{Dependence, NatConfig};
use driver_sim::{Direction, Handle, LinkName, PeerNode, Probability, Signal, World};
use peer_core::PeerConnectionState;
use proto_machine::Timestamp;

use crate::support::{between, case, connected};
use Dependence::{AddressAndPortDependent as P, EndpointIndependent as E};

fn run(seed: u64) -> ([u8; 32], String) {
    let mut case = between(vec![Layer::nat(E, P)], vec![Layer::nat(E, P), Layer::nat(E, E)]);
    case.link.loss = Probability::percent(5);
    case.link.jitter = Duration::from_millis(20);
    let mut scene = connected(&case, seed);
    scene.world.run_for(Duration::from_secs(30));
    (scene.world.transcript().hash(), scene.world.transcript().to_string())
}

#[test]
fn a_world_of_nats_is_the_same_in_two_runs_from_the_same_seed_and_another_from_another() {
    for seed in 0..10 {
        let (first, second) = (run(seed), run(seed));
        let differs = first.1.lines().zip(second.1.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.0, second.0, "seed {seed}");
    }
    assert_ne!(run(0).0, run(1).0);
}

/// The states of both sides two minutes after a NAT has forgotten all its mappings: time for consent to expire and for ICE to give up.
fn after_reboot(left: Vec<Layer>, right: Vec<Layer>) -> [PeerConnectionState; 2] {
    let mut scene = connected(&between(left, right), 1);
    scene.world.run_for(Duration::from_secs(10));
    let nat = ["left0", "right0"].into_iter().find_map(|name| scene.places.middleboxes(name).first()).copied();
    scene.world.internet_mut().reboot(nat.unwrap()).unwrap();
    scene.world.run_for(Duration::from_secs(120));
    [0, 1].map(|side| scene.peer(side).connection_state())
}

#[test]
fn a_connection_to_an_open_host_outlives_the_reboot_of_the_nat() {
    for mapping in Dependence::ALL {
        for filtering in Dependence::ALL {
            let nat = || vec![Layer::nat(mapping, filtering)];
            let connected = [PeerConnectionState::Connected; 2];
            assert_eq!(after_reboot(nat(), vec![]), connected, "offerer behind {mapping}{filtering}");
            assert_eq!(after_reboot(vec![], nat()), connected, "answerer behind {mapping}{filtering}");
        }
    }
}

/// The new mapping is unknown to the other NAT's filter, and only signalling could tell: this takes an ICE restart.
#[test]
fn between_two_port_restricted_homes_the_reboot_of_a_nat_ends_the_connection() {
    let home = || vec![Layer::nat(E, P)];
    assert_eq!(after_reboot(home(), home()), [PeerConnectionState::Failed; 2]);
}

#[test]
fn an_idle_connection_keeps_mappings_that_live_for_half_a_minute() {
    let home = || vec![Layer::nat(E, P)];
    let setting = Setting { lifetime: NatConfig::BAD_LIFETIME, ..Setting::new(home(), home()) };
    let mut scene = connected(&case(&setting), 1);
    for minute in 0..30 {
        scene.world.run_for(Duration::from_secs(60));
        let states = [0, 1].map(|side| scene.peer(side).connection_state());
        assert_eq!(states, [PeerConnectionState::Connected; 2], "minute {minute}");
    }
}

#[test]
fn a_partition_shorter_than_the_life_of_consent_leaves_the_connection_alone() {
    let mut scene = connected(&between(vec![Layer::nat(E, P)], vec![Layer::nat(E, P)]), 1);
    let [left, right] = scene.sides.map(|side| side.id());
    let ways = [LinkName::Between { from: left, to: right }, LinkName::Between { from: right, to: left }];
    ways.into_iter().for_each(|way| scene.world.cut(way));
    scene.world.run_for(Duration::from_secs(15));
    ways.into_iter().for_each(|way| scene.world.restore(way));
    scene.world.run_for(Duration::from_secs(60));
    let states = [0, 1].map(|side| scene.peer(side).connection_state());
    assert_eq!(states, [PeerConnectionState::Connected; 2]);
}

#[test]
fn a_channel_that_opens_after_the_time_of_the_case_is_no_sign_that_a_relay_is_needed() {
    let mut case = between(vec![], vec![]);
    assert!(case.allows(case.run(1)));
    case.within = Duration::ZERO;
    let outcome = case.run(1);
    case.expected.clear();
    assert!(!case.allows(outcome), "{outcome}");
}

#[test]
fn a_side_that_has_not_failed_is_no_sign_that_a_relay_is_needed() {
    let mut case = between(vec![Layer::nat(P, P)], vec![Layer::nat(P, P)]);
    assert_eq!(case.run(1), Outcome::Unconnected);
    case.within = Duration::ZERO;
    let mut scene = Scene::new(&case, 1);
    scene.world.run_for(Duration::from_secs(1));
    scene.world.command(scene.sides[1], |node, now| node.peer_mut().close(now));
    let outcome = scene.connect();
    assert!(!case.allows(outcome), "{outcome}");
}

type Side = Handle<PeerNode<Opener>>;

#[test]
fn a_channel_that_is_open_on_one_side_alone_is_no_sign_that_a_relay_is_needed() {
    let mut scene = Scene::new(&between(vec![], vec![]), 1);
    let [left, right] = scene.sides;
    let is_open = |world: &World<Signal>, side: Side| world.node(side).application().opened().is_some();
    scene
        .world
        .run_until(Timestamp::from_millis(30_000), |world| is_open(world, left) || is_open(world, right))
        .unwrap();
    // What is under way is lost at the end of its way.
    for (side, name) in [(left, "left"), (right, "right")] {
        let address = scene.places.interfaces(name)[0].address;
        scene.world.cut(LinkName::Interface { node: side.id(), address, direction: Direction::Down });
    }
    let outcome = scene.connect();
    assert_ne!(is_open(&scene.world, left), is_open(&scene.world, right));
    let needs_relay = Case::of_topology("", String::new(), [].into());
    assert!(!needs_relay.allows(outcome), "{outcome}");
}

#[test]
fn each_case_has_a_world_of_its_own_from_the_same_seed() {
    let first_check = |name: &str| {
        let mut scene = Scene::new(&Case { name: name.to_owned(), ..between(vec![], vec![]) }, 1);
        scene.world.capture();
        assert_eq!(scene.connect().to_string(), "h/h");
        scene.world.captured()[0].bytes.clone()
    };
    assert_eq!(first_check("one"), first_check("one"));
    assert_ne!(first_check("one"), first_check("other"));
}
