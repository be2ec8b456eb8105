//! STUN servers by name: look-ups take virtual time, fail, or never end.

use std::time::Duration;

use driver_sim::{Application, LinkConfig, PeerNode, SignallingRole, Topology, World, simulated_configuration};
use peer_core::{DataChannelOptions, IceGatheringState, IceServer, Peer, PeerEvent};
use proto_machine::{Seed, Timestamp};

const TEXT: &str = "
    home    nat EP external 203.0.113.1
    peer    host 10.0.0.2 behind home
    server  stun 192.0.2.1
    stun.example.org  dns 192.0.2.1  delay 300ms
    gone.example.org  dns fails  delay 2s
    lost.example.org  dns silent
";

/// Notes what gathering says, in milliseconds.
#[derive(Default)]
struct Notes(Vec<(u64, String)>);

impl Application for Notes {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        peer.create_data_channel(now, DataChannelOptions::new("gathering")).unwrap();
    }

    fn handle_event(&mut self, now: Timestamp, _: &mut Peer, event: &PeerEvent) {
        let text = match event {
            PeerEvent::IceCandidate(Some(candidate)) => candidate.to_init().candidate,
            PeerEvent::IceCandidateError(_) | PeerEvent::IceGatheringStateChange(_) => event.to_string(),
            _ => return,
        };
        self.0.push((u64::try_from(now.since_epoch().as_millis()).unwrap(), text));
    }
}

/// What a peer with these servers has to say within a minute, and its state then.
fn gather(urls: &[&str]) -> (Vec<(u64, String)>, IceGatheringState) {
    let topology: Topology = TEXT.parse().unwrap();
    let seed = Seed::from_number(1);
    let mut world = World::new(seed.child("world"));
    world.set_default_link(LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() });
    let places = topology.build(&mut world).unwrap();
    let mut configuration = simulated_configuration(&seed);
    let server = |url: &&str| IceServer { urls: vec![(*url).to_owned()], ..IceServer::default() };
    configuration.ice_servers = urls.iter().map(server).collect();
    let peer = Peer::new(configuration, seed.child("peer")).unwrap();
    let role = SignallingRole::Offerer { to: places.stun_server("server").unwrap() };
    let node = places.add_host(&mut world, "peer", PeerNode::new(peer, Notes::default(), role)).unwrap();
    world.run_for(Duration::from_secs(60));
    let node = world.node(node);
    (node.application().0.clone(), node.peer().ice_gathering_state())
}

/// When a server-reflexive candidate was there.
fn reflexive(notes: &[(u64, String)]) -> Option<u64> {
    notes.iter().find(|(_, text)| text.contains("typ srflx")).map(|(at, _)| *at)
}

#[test]
fn a_server_reflexive_candidate_is_there_one_look_up_and_one_round_trip_after_the_start() {
    let (notes, state) = gather(&["stun:stun.example.org"]);
    assert_eq!((reflexive(&notes), state), (Some(320), IceGatheringState::Complete), "{notes:?}");
}

#[test]
fn a_name_that_fails_is_told_when_it_does_and_holds_no_other_server_up() {
    let (notes, state) = gather(&["stun:gone.example.org", "stun:stun.example.org", "stun:unknown.example.org"]);
    assert_eq!((reflexive(&notes), state), (Some(320), IceGatheringState::Complete), "{notes:?}");
    let errors: Vec<u64> = notes.iter().filter(|(_, text)| text.contains("error 701")).map(|(at, _)| *at).collect();
    assert_eq!(errors, [0, 2_000], "{notes:?}");
}

#[test]
fn a_look_up_that_is_never_answered_holds_no_other_server_up() {
    let (notes, _) = gather(&["stun:lost.example.org", "stun:stun.example.org"]);
    assert_eq!(reflexive(&notes), Some(320), "{notes:?}");
}
