//! A game server's own tick, and fifty players at the ends of lossy links, as one seeded world.
use driver_sim::{Application, EndpointNode, LinkConfig, PeerNode, Probability, Server, Signal, SignallingRole, World};
use peer_core::{ChannelKey, DataChannelOptions, Endpoint, Message, Peer, PeerEvent, PeerId};
use proto_machine::{Seed, Timestamp};
use std::time::Duration;

struct Game(Vec<(PeerId, ChannelKey)>);
impl Server for Game {
    fn handle_event(&mut self, _: Timestamp, _: &mut Endpoint, peer: PeerId, event: &PeerEvent) {
        self.0.extend(if let PeerEvent::DataChannel { channel } = event { Some((peer, *channel)) } else { None });
    }
    fn handle_tick(&mut self, now: Timestamp, endpoint: &mut Endpoint) {
        for (player, channel) in &self.0 {
            let channel = endpoint.peer_mut(*player).and_then(|peer| peer.channel(*channel));
            channel.map(|mut channel| channel.send(now, Message::text(format!("the state at {now:?}"))));
        }
    }
}
struct Player(u32);
impl Application for Player {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        peer.create_data_channel(now, DataChannelOptions::new("game")).ok();
    }
    fn handle_event(&mut self, _: Timestamp, _: &mut Peer, event: &PeerEvent) {
        self.0 += u32::from(matches!(event, PeerEvent::Message { .. }));
    }
}
pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (seed, delay) = (Seed::from_number(1), Duration::from_millis(30));
    let mut world: World<Signal> = World::new(seed.child("world"));
    world.set_default_link(LinkConfig { delay, loss: Probability::percent(2), ..LinkConfig::default() });
    let game = EndpointNode::simulated(&seed.child("game"), Game(vec![])).with_tick(Duration::from_millis(50));
    let role = SignallingRole::Offerer { to: world.add_node(game, vec![[192, 0, 2, 1].into()]).id() };
    let node = |number| PeerNode::simulated(&seed.child(&format!("player {number}")), Player(0), role);
    let players: Vec<_> = (1..=50).map(|n| world.add_node(node(n), vec![[198, 51, 100, n].into()])).collect();
    let limit = Timestamp::from_millis(10_000);
    world.run_until(limit, |world| players.iter().all(|player| world.node(*player).application().0 >= 100))?;
    Ok(())
}
