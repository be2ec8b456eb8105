//! What a TURN server does in a world, as clients and strangers see it.

use std::net::SocketAddr;
use std::time::Duration;

use driver_sim::{Entry, Handle, LinkConfig, Topology, TurnRequest, TurnServerNode, World};
use proto_ice::turn::TurnEvent;
use proto_machine::Seed;

use crate::client::{Client, Stranger};

const TEXT: &str = "
    home    nat PP external 203.0.113.1
    work    nat PP external 203.0.113.2
    relay   turn 192.0.2.1 2001:db8::1  user alice secret  user bob hidden
    alice   host 10.0.0.2 behind home
    bob     host 10.0.0.3 behind home
    carol   host 10.0.0.2 behind work
";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Two clients in one home, and a stranger elsewhere.
struct Scene {
    world: World<()>,
    server: Handle<TurnServerNode>,
    alice: Handle<Client>,
    bob: Handle<Client>,
    carol: Handle<Stranger>,
}

impl Scene {
    fn new() -> Self {
        Self::with_password("secret")
    }

    fn with_password(password: &str) -> Self {
        let topology: Topology = TEXT.parse().unwrap();
        let mut world = World::new(Seed::from_number(1));
        world.set_default_link(LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() });
        let places = topology.build(&mut world).unwrap();
        let server = places.turn_server("relay").unwrap();
        let client = |local, credentials| Client::new(at(local), at("192.0.2.1:3478"), credentials);
        let alice = client("10.0.0.2:5000", ("alice", password));
        let alice = places.add_host(&mut world, "alice", alice).unwrap();
        let bob = places.add_host(&mut world, "bob", client("10.0.0.3:5000", ("bob", "hidden"))).unwrap();
        let carol = places.add_host(&mut world, "carol", Stranger::new(at("10.0.0.2:0").ip())).unwrap();
        let mut scene = Self { world, server, alice, bob, carol };
        scene.run(1);
        scene
    }

    fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    fn permit(&mut self, client: Handle<Client>, address: &str) {
        self.world.command(client, |client, _| client.permit(at(address).ip()));
        self.run(1);
    }

    /// From one of the stranger's two sockets.
    fn send_from_carol(&mut self, local: &str, remote: SocketAddr, length: usize) {
        self.world.command(self.carol, |carol, _| carol.send(at(local), remote, length));
        self.run(1);
    }

    fn received(&self, client: Handle<Client>) -> Vec<usize> {
        self.world.node(client).received.iter().map(|(_, length)| *length).collect()
    }

    fn unreachable(&self) -> usize {
        let entries = self.world.transcript().entries();
        entries.iter().filter(|entry| matches!(entry, Entry::Unreachable { .. })).count()
    }
}

#[test]
fn each_client_has_a_relayed_address_of_its_own_at_the_host_of_the_server() {
    let scene = Scene::new();
    let [alice, bob] = [scene.alice, scene.bob].map(|client| scene.world.node(client).relayed());
    assert_eq!([alice.ip(), bob.ip()], [at("192.0.2.1:0").ip(); 2]);
    assert_ne!(alice, bob);
    let server = scene.world.node(scene.server).server();
    assert_eq!(server.relayed_addresses().collect::<Vec<_>>().len(), 2);
}

/// Endpoint-independent mapping, address-dependent filtering: the stranger's NAT gives its second socket, and its second destination, another port each.
#[test]
fn a_relay_behaves_like_a_nat_of_type_ea() {
    let mut scene = Scene::new();
    let relayed = scene.world.node(scene.alice).relayed();
    scene.send_from_carol("10.0.0.2:6000", relayed, 100);
    assert_eq!(scene.received(scene.alice), []);
    assert_eq!(scene.world.node(scene.server).server().statistics().blocked, 1);
    scene.permit(scene.alice, "203.0.113.2:0");
    for (local, length) in [("10.0.0.2:6000", 101), ("10.0.0.2:6001", 102)] {
        scene.send_from_carol(local, relayed, length);
    }
    assert_eq!(scene.received(scene.alice), [101, 102]);
    // What comes back goes to where it came from, and the relayed address is its source whoever it goes to.
    let sources: Vec<SocketAddr> = scene.world.node(scene.alice).received.iter().map(|(peer, _)| *peer).collect();
    assert_ne!(sources[0], sources[1]);
    for (source, length) in sources.into_iter().zip([201, 202]) {
        scene.world.command(scene.alice, |alice, _| alice.send(source, length));
    }
    scene.run(1);
    let answers: Vec<_> = scene.world.node(scene.carol).received.iter().map(|(path, _)| path.remote).collect();
    assert_eq!(answers, [relayed; 2]);
    // One client's permissions are not another's.
    scene.send_from_carol("10.0.0.2:6000", scene.world.node(scene.bob).relayed(), 103);
    assert_eq!(scene.received(scene.bob), []);
}

#[test]
fn two_clients_of_one_server_reach_each_other_from_relay_to_relay() {
    let mut scene = Scene::new();
    let [alice, bob] = [scene.alice, scene.bob].map(|client| scene.world.node(client).relayed());
    scene.permit(scene.alice, "192.0.2.1:0");
    scene.permit(scene.bob, "192.0.2.1:0");
    scene.world.command(scene.alice, |client, _| client.send(bob, 300));
    scene.run(1);
    assert_eq!(scene.world.node(scene.bob).received, [(alice, 300)]);
}

#[test]
fn the_largest_datagram_of_a_stranger_fits_into_the_envelope() {
    let mut scene = Scene::new();
    let relayed = scene.world.node(scene.alice).relayed();
    scene.permit(scene.alice, "203.0.113.2:0");
    scene.send_from_carol("10.0.0.2:6000", relayed, 1_200);
    assert_eq!(scene.received(scene.alice), [1_200]);
}

#[test]
fn a_reboot_of_the_server_closes_its_relayed_addresses() {
    let mut scene = Scene::new();
    let relayed = scene.world.node(scene.alice).relayed();
    scene.permit(scene.alice, "203.0.113.2:0");
    scene.world.command(scene.server, |server, _| server.server_mut().restart());
    scene.send_from_carol("10.0.0.2:6000", relayed, 100);
    assert_eq!((scene.received(scene.alice), scene.unreachable()), (vec![], 1));
    // The client hears of it when it refreshes, a minute before the ten are over: 438 for the nonce, 437 for the allocation.
    scene.run(600);
    let failed = scene.world.node(scene.alice).events.iter().find_map(|event| match event {
        TurnEvent::Failed(error) => error.code,
        _ => None,
    });
    assert_eq!(failed, Some(437));
}

#[test]
fn an_allocation_that_nobody_refreshes_ends_and_its_address_with_it() {
    let mut scene = Scene::new();
    let relayed = scene.world.node(scene.alice).relayed();
    scene.permit(scene.alice, "203.0.113.2:0");
    scene
        .world
        .command(scene.server, |server, _| server.server_mut().faults.refuse = Some((TurnRequest::Refresh, 508)));
    scene.run(620);
    let unreachable = scene.unreachable();
    assert_eq!(scene.world.node(scene.server).server().relayed_addresses().count(), 0);
    scene.send_from_carol("10.0.0.2:6000", relayed, 100);
    assert_eq!((scene.received(scene.alice), scene.unreachable()), (vec![], unreachable + 1));
}

#[test]
fn a_wrong_password_gets_no_allocation() {
    let scene = Scene::with_password("guess");
    assert!(matches!(scene.world.node(scene.alice).events[..], [TurnEvent::Failed(_)]));
    assert_eq!(scene.world.node(scene.server).server().relayed_addresses().count(), 1);
}

#[test]
fn a_world_with_a_relay_has_the_same_transcript_in_two_runs() {
    let hash = || {
        let mut scene = Scene::new();
        scene.permit(scene.alice, "203.0.113.2:0");
        scene.run(600);
        scene.world.transcript().hash()
    };
    assert_eq!(hash(), hash());
}
