//! Peers in a simulated world, and what their applications saw.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use driver_sim::{Application, Handle, LinkConfig, PeerNode, Signal, SignallingRole, World};
use peer_core::{
    Certificate, ChannelKey, Configuration, DataChannelOptions, Entropy, InterfaceAddress, Message, Peer, PeerEvent,
};
use proto_machine::{Seed, Timestamp};

/// Notes every event, and creates channels at the start.
#[derive(Default)]
pub(crate) struct Observer {
    create: Vec<DataChannelOptions>,
    pub(crate) channels: Vec<ChannelKey>,
    pub(crate) events: Vec<PeerEvent>,
}

impl Observer {
    pub(crate) fn creating(create: Vec<DataChannelOptions>) -> Self {
        Self { create, ..Self::default() }
    }

    pub(crate) fn messages(&self) -> Vec<(ChannelKey, Message)> {
        let message = |event: &PeerEvent| match event {
            PeerEvent::Message { channel, message } => Some((*channel, message.clone())),
            _ => None,
        };
        self.events.iter().filter_map(message).collect()
    }

    pub(crate) fn saw(&self, wanted: impl Fn(&PeerEvent) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    pub(crate) fn is_open(&self, channel: ChannelKey) -> bool {
        self.saw(|event| {
            matches!(event, PeerEvent::ChannelOpen { channel: open } | PeerEvent::DataChannel { channel: open } if *open == channel)
        })
    }
}

impl Application for Observer {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        for options in std::mem::take(&mut self.create) {
            self.channels.push(peer.create_data_channel(now, options).unwrap());
        }
    }

    fn handle_event(&mut self, _: Timestamp, _: &mut Peer, event: &PeerEvent) {
        if let PeerEvent::DataChannel { channel } = event {
            self.channels.push(*channel);
        }
        self.events.push(event.clone());
    }
}

pub(crate) type Node = PeerNode<Observer>;

/// Two peers, of which the left makes the offer, 40 ms apart and back.
pub(crate) struct Pair {
    pub(crate) world: World<Signal>,
    pub(crate) left: Handle<Node>,
    pub(crate) right: Handle<Node>,
}

impl Pair {
    pub(crate) fn new(left: Vec<DataChannelOptions>, right: Vec<DataChannelOptions>) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
        Self::over(link, left, right)
    }

    pub(crate) fn over(link: LinkConfig, left: Vec<DataChannelOptions>, right: Vec<DataChannelOptions>) -> Self {
        let mut world = World::new(Seed::from_number(1));
        world.set_default_link(link);
        world.set_signalling_delay(link.delay);
        let right = PeerNode::new(peer(2), Observer::creating(right), SignallingRole::Answerer);
        let right = world.add_node(right, vec![address(2)]);
        let left = PeerNode::new(peer(1), Observer::creating(left), SignallingRole::Offerer { to: right.id() });
        let left = world.add_node(left, vec![address(1)]);
        Self { world, left, right }
    }

    /// Both with one channel, open on both sides.
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new(vec![DataChannelOptions::new("test")], vec![]);
        pair.run_until_open();
        pair
    }

    /// Runs until every channel that was created is open.
    pub(crate) fn run_until_open(&mut self) {
        let (left, right) = (self.left, self.right);
        self.run_until(|world| {
            [left, right].iter().all(|side| {
                let observer = world.node(*side).application();
                !observer.channels.is_empty() && observer.channels.iter().all(|channel| observer.is_open(*channel))
            })
        });
    }

    pub(crate) fn run_until(&mut self, condition: impl FnMut(&World<Signal>) -> bool) {
        let limit = self.world.now() + Duration::from_secs(60);
        if let Err(stuck) = self.world.run_until(limit, condition) {
            panic!("{stuck}\n{}", self.world.transcript());
        }
    }

    pub(crate) fn observer(&self, side: Handle<Node>) -> &Observer {
        self.world.node(side).application()
    }

    pub(crate) fn command<R>(&mut self, side: Handle<Node>, command: impl FnOnce(&mut Peer, Timestamp) -> R) -> R {
        self.world.command(side, |node, now| command(node.peer_mut(), now))
    }

    pub(crate) fn send(&mut self, side: Handle<Node>, channel: ChannelKey, message: Message) {
        self.command(side, |peer, now| peer.channel(channel).unwrap().send(now, message).unwrap());
    }

    /// Sends a message from each side to the other on their first channel, and waits until both have come.
    pub(crate) fn exchange(&mut self, text: &str) {
        for (from, to) in [(self.left, self.right), (self.right, self.left)] {
            let channel = self.observer(from).channels[0];
            self.send(from, channel, Message::text(text));
            self.run_until(|world| {
                let messages = world.node(to).application().messages();
                messages.last().is_some_and(|(_, message)| *message == Message::text(text))
            });
        }
    }
}

pub(crate) fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

pub(crate) fn configuration(number: u64) -> Configuration {
    let seed = Seed::from_number(number).child("certificate");
    let wall_time = Duration::from_secs(1_800_000_000);
    let certificate = Certificate::generate(seed, wall_time, Entropy::Simulated).unwrap();
    let mut configuration = Configuration::new(Arc::new(certificate));
    configuration.secure_transport.entropy = Entropy::Simulated;
    configuration
}

/// A peer whose host has the address of the same number.
pub(crate) fn peer(number: u8) -> Peer {
    let mut peer = Peer::new(configuration(number.into()), Seed::from_number(number.into())).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address(number))]);
    peer
}
