//! The same client over TCP and over TLS, where UDP does not get through.

use std::net::SocketAddr;
use std::time::Duration;

use driver_sim::network::DropReason;
use driver_sim::{
    Entry, Handle, LinkConfig, Probability, StreamError, StreamEvent, StreamSecurity, Topology, TurnServerNode, World,
};
use proto_ice::turn::TurnEvent;
use proto_machine::{Path, Seed, Timestamp, TransportProtocol};

use crate::client::{Client, Stranger};

const TEXT: &str = "
    home    nat PP external 203.0.113.1
    office  firewall udp blocked behind home
    relay   turn 192.0.2.1  user alice secret
    alice   host 10.0.0.2 behind office
    carol   host 198.51.100.7
";

struct Scene {
    world: World<()>,
    server: Handle<TurnServerNode>,
    alice: Handle<Client>,
    carol: Handle<Stranger>,
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Alice, who comes to this port of the relay.
fn scene(port: u16, security: StreamSecurity, loss: Probability) -> Scene {
    let topology: Topology = TEXT.parse().unwrap();
    let mut world = World::new(Seed::from_number(1));
    world.set_default_link(LinkConfig { delay: Duration::from_millis(20), loss, ..LinkConfig::default() });
    let places = topology.build(&mut world).unwrap();
    let server = places.turn_server("relay").unwrap();
    let (local, remote) = (at("10.0.0.2:5000"), SocketAddr::new(at("192.0.2.1:0").ip(), port));
    let path = Path { protocol: TransportProtocol::Tcp, local, remote };
    let alice = Client::over_stream(path, security, ("alice", "secret"));
    let alice = places.add_host(&mut world, "alice", alice).unwrap();
    let carol = places.add_host(&mut world, "carol", Stranger::new(at("198.51.100.7:0").ip())).unwrap();
    Scene { world, server, alice, carol }
}

impl Scene {
    fn run_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        let limit = self.world.now() + Duration::from_secs(300);
        while !is_done(self) {
            assert!(self.world.now() < limit, "it does not happen");
            self.world.run_for(Duration::from_millis(10));
        }
    }

    fn client(&self) -> &Client {
        self.world.node(self.alice)
    }

    fn has_allocation(&self) -> bool {
        self.client().events.iter().any(|event| matches!(event, TurnEvent::Allocated(_)))
    }

    /// Both ways, of lengths that need padding and of lengths that do not; first in indications, then over a channel.
    fn exchange(&mut self) {
        let carol = at("198.51.100.7:6000");
        self.world.command(self.alice, |alice, _| alice.permit(carol.ip()));
        self.run_until(|scene| scene.client().turn.is_permitted(scene.world.now(), carol.ip()));
        for with_channel in [false, true] {
            if with_channel {
                self.world.command(self.alice, |alice, now| alice.bind_channel(now, carol));
                let is_bound = |event: &TurnEvent| *event == TurnEvent::ChannelBound(carol);
                self.run_until(|scene| scene.client().events.iter().any(is_bound));
            }
            for length in 100..108 {
                let relayed = self.client().relayed();
                self.world.command(self.alice, |alice, _| alice.send(carol, length));
                self.world.command(self.carol, |stranger, _| stranger.send(carol, relayed, length));
            }
            self.world.run_for(Duration::from_secs(30));
        }
    }
}

#[test]
fn where_udp_is_blocked_an_allocation_is_made_and_data_relayed_over_tls_at_port_443() {
    let mut scene = scene(TurnServerNode::TLS_PORT, StreamSecurity::Tls, Probability::NEVER);
    scene.run_until(Scene::has_allocation);
    // TCP and TLS take two round trips of 40 ms, the challenge and the request one each.
    assert_eq!(scene.world.now(), Timestamp::from_millis(160));
    scene.exchange();
    let lengths: Vec<usize> = (100..108).chain(100..108).collect();
    let received: Vec<usize> = scene.client().received.iter().map(|(_, length)| *length).collect();
    assert_eq!(received, lengths);
    let received: Vec<usize> = scene.world.node(scene.carol).received.iter().map(|(_, length)| *length).collect();
    assert_eq!(received, lengths);
    let statistics = scene.world.node(scene.server).server().statistics();
    assert_eq!((statistics.sent_by_indication, statistics.sent_by_channel, statistics.received), (8, 8, 16));
}

/// Between client and server nothing is lost for good; beyond the relay it is.
#[test]
fn over_a_stream_loss_makes_the_client_late_and_nothing_else() {
    let mut scene = scene(TurnServerNode::TLS_PORT, StreamSecurity::Tls, Probability::percent(20));
    scene.run_until(Scene::has_allocation);
    scene.exchange();
    let statistics = scene.world.node(scene.server).server().statistics().clone();
    assert_eq!((statistics.sent_by_indication, statistics.sent_by_channel), (8, 8));
    assert_eq!(scene.client().received.len() as u64, statistics.received);
}

#[test]
fn the_firewall_lets_no_other_port_through() {
    let mut scene = scene(TurnServerNode::PORT, StreamSecurity::Tcp, Probability::NEVER);
    scene.run_until(|scene| scene.client().ended.is_some());
    assert_eq!(scene.client().ended, Some(StreamEvent::Failed(StreamError::TimedOut)));
    let is_blocked = |entry: &&Entry| matches!(entry, Entry::Dropped { reason: DropReason::PortBlocked, .. });
    assert!(scene.world.transcript().entries().iter().filter(is_blocked).count() > 1);
}

#[test]
fn an_allocation_over_a_stream_outlives_an_hour_and_ends_with_its_stream() {
    let mut scene = scene(TurnServerNode::TLS_PORT, StreamSecurity::Tls, Probability::NEVER);
    scene.world.run_for(Duration::from_secs(3_600));
    assert_eq!(scene.world.node(scene.server).server().relayed_addresses().count(), 1);
    // The program is started again, from another port and with a password of no use.
    let path = Path { protocol: TransportProtocol::Tcp, local: at("10.0.0.2:5001"), remote: at("192.0.2.1:443") };
    scene.world.restart(scene.alice, Client::over_stream(path, StreamSecurity::Tls, ("alice", "wrong")));
    // The other side hears of it when it next has something to say.
    scene.world.run_for(Duration::from_secs(700));
    assert_eq!(scene.world.node(scene.server).server().relayed_addresses().count(), 0);
}
