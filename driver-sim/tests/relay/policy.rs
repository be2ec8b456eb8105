//! Peers that use relayed candidates alone: nothing else of them is seen, or told.

use std::net::SocketAddr;

use driver_sim::matrix::{Case, Scene, Setting, hosts};
use driver_sim::network::reachability::{Layer, Policy, Relay, Situation};
use driver_sim::{Entry, NodeId};
use peer_core::SessionDescriptionInit;

/// Two peers, of which these use relayed candidates alone, for as long as a call.
fn connected(left: Vec<Layer>, right: Vec<Layer>, policies: [Policy; 2]) -> Scene {
    let situation = Situation { policies, ..Situation::ipv4(&left, &right, &[]) }.with_relay(Relay::Udp);
    let case = Case::new("relayed candidates alone", &Setting::of(situation));
    let mut scene = Scene::new(&case, 1);
    let outcome = scene.connect();
    assert!(case.allows(outcome), "{outcome}, expected {:?}", case.expected);
    scene.world.run_for(std::time::Duration::from_secs(120));
    scene
}

/// Where one side has sent anything to.
fn destinations(scene: &Scene, index: usize) -> Vec<SocketAddr> {
    let own = scene.places.interfaces(["left", "right"][index])[0].address;
    let sent = scene.world.transcript().entries().iter().filter_map(|entry| match entry {
        Entry::Sent { path, .. } if path.local.ip() == own => Some(path.remote),
        _ => None,
    });
    sent.collect()
}

/// The candidates that a node has told the other side, trickled or in its description.
fn signalled(scene: &Scene, index: usize) -> Vec<String> {
    let id: NodeId = scene.sides[index].id();
    let trickled = scene.world.transcript().entries().iter().filter_map(|entry| match entry {
        Entry::Event { node, text, .. } if *node == id => text.strip_prefix("candidate candidate:").map(str::to_owned),
        _ => None,
    });
    let described =
        scene.peer(index).local_description().map(|SessionDescriptionInit { sdp, .. }| sdp).unwrap_or_default();
    let described: Vec<String> =
        described.lines().filter_map(|line| line.strip_prefix("a=candidate:")).map(str::to_owned).collect();
    trickled.chain(described).collect()
}

fn assert_hidden(scene: &Scene, index: usize, name: &str) {
    let server: SocketAddr = "192.0.2.200:3478".parse().unwrap();
    let destinations = destinations(scene, index);
    assert!(destinations.len() > 50, "{name}: it has sent {} datagrams", destinations.len());
    assert!(destinations.iter().all(|to| *to == server), "{name}: {destinations:?}");
    let candidates = signalled(scene, index);
    assert!(!candidates.is_empty(), "{name}");
    for candidate in candidates {
        // RFC 8839 §5.1: not even as the related address.
        assert!(
            candidate.contains(" 192.0.2.200 ") && candidate.contains("typ relay raddr 0.0.0.0 rport 0"),
            "{name}: {candidate}"
        );
    }
}

#[test]
fn a_peer_that_uses_relayed_candidates_alone_sends_to_its_turn_server_alone_and_tells_of_nothing_else() {
    for (name, layers) in hosts() {
        for (_, other) in [&hosts()[0], &hosts()[10]] {
            let scene = connected(layers.clone(), other.clone(), [Policy::RelayOnly, Policy::All]);
            assert_hidden(&scene, 0, &name);
            let scene = connected(other.clone(), layers.clone(), [Policy::All, Policy::RelayOnly]);
            assert_hidden(&scene, 1, &name);
        }
    }
}

#[test]
fn two_peers_that_use_relayed_candidates_alone_see_nothing_of_each_other() {
    let symmetric = || hosts().swap_remove(10).1;
    let scene = connected(symmetric(), symmetric(), [Policy::RelayOnly; 2]);
    assert_hidden(&scene, 0, "left");
    assert_hidden(&scene, 1, "right");
}

/// What the tests above would find: without the policy both are there.
#[test]
fn a_peer_without_that_policy_sends_elsewhere_and_tells_of_other_candidates() {
    let symmetric = || hosts().swap_remove(10).1;
    let scene = connected(symmetric(), symmetric(), [Policy::RelayOnly, Policy::All]);
    assert!(destinations(&scene, 1).iter().any(|to| to.port() != 3478));
    assert!(signalled(&scene, 1).iter().any(|candidate| candidate.contains("typ host")));
}
