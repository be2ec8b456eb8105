//! Two peers that exchange numbered messages.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use driver_sim::{Application, Handle, LinkConfig, PeerNode, Signal, SignallingRole, World};
use peer_core::proto_machine::{Seed, Timestamp};
use peer_core::{
    Certificate, ChannelKey, Configuration, DataChannelOptions, Entropy, InterfaceAddress, Message, Peer, PeerEvent,
    SendError,
};

/// Sends numbered messages on its channel once it is open, and notes what it receives.
pub(crate) struct Exchange {
    /// The channel to create, if this side creates it.
    options: Option<DataChannelOptions>,
    count: u32,
    size: usize,
    sent: u32,
    channel: Option<ChannelKey>,
    pub(crate) opened: Option<Timestamp>,
    pub(crate) received: Vec<u32>,
    pub(crate) closed: bool,
}

impl Exchange {
    pub(crate) fn new(options: Option<DataChannelOptions>, count: u32, size: usize) -> Self {
        Self { options, count, size, sent: 0, channel: None, opened: None, received: Vec::new(), closed: false }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.received.len() == self.count as usize
    }

    fn send_more(&mut self, now: Timestamp, peer: &mut Peer) {
        let Some(mut channel) = self.channel.and_then(|key| peer.channel(key)) else { return };
        while self.sent < self.count {
            let mut payload = vec![0; self.size.max(4)];
            payload[..4].copy_from_slice(&self.sent.to_be_bytes());
            match channel.send(now, Message::binary(payload)) {
                Ok(()) => self.sent += 1,
                Err(SendError::BufferFull) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Application for Exchange {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        if let Some(options) = self.options.clone() {
            self.channel = Some(peer.create_data_channel(now, options).unwrap());
        }
    }

    fn handle_event(&mut self, now: Timestamp, peer: &mut Peer, event: &PeerEvent) {
        match event {
            PeerEvent::ChannelOpen { channel } | PeerEvent::DataChannel { channel } => {
                self.channel = Some(*channel);
                self.opened = Some(now);
                self.send_more(now, peer);
            }
            PeerEvent::Writable { .. } => self.send_more(now, peer),
            PeerEvent::Message { message, .. } => {
                self.received.push(u32::from_be_bytes(message.payload[..4].try_into().unwrap()));
            }
            PeerEvent::ChannelClosed { .. } => self.closed = true,
            _ => {}
        }
    }
}

pub(crate) type Side = Handle<PeerNode<Exchange>>;

pub(crate) const LEFT: [u8; 4] = [192, 0, 2, 1];
pub(crate) const RIGHT: [u8; 4] = [192, 0, 2, 2];

/// A world with an offerer that creates a channel, and an answerer; both send `count` messages of `size` bytes.
pub(crate) fn world(seed: u64, link: LinkConfig, count: u32, size: usize) -> (World<Signal>, Side, Side) {
    world_with(seed, link, DataChannelOptions::new("exchange"), count, size)
}

pub(crate) fn world_with(
    seed: u64,
    link: LinkConfig,
    options: DataChannelOptions,
    count: u32,
    size: usize,
) -> (World<Signal>, Side, Side) {
    let mut world = World::new(Seed::from_number(seed).child("world"));
    world.set_default_link(link);
    world.set_signalling_delay(link.delay);
    let right = Exchange::new(None, count, size);
    let right = PeerNode::new(peer(seed, "right", RIGHT), right, SignallingRole::Answerer);
    let right = world.add_node(right, vec![IpAddr::from(RIGHT)]);
    let left = Exchange::new(Some(options), count, size);
    let left = PeerNode::new(peer(seed, "left", LEFT), left, SignallingRole::Offerer { to: right.id() });
    let left = world.add_node(left, vec![IpAddr::from(LEFT)]);
    (world, left, right)
}

pub(crate) fn peer(seed: u64, name: &str, address: [u8; 4]) -> Peer {
    let seed = Seed::from_number(seed).child(name);
    let wall_time = Duration::from_secs(1_800_000_000);
    let certificate = Certificate::generate(seed.child("certificate"), wall_time, Entropy::Simulated).unwrap();
    let mut configuration = Configuration::new(Arc::new(certificate));
    configuration.secure_transport.entropy = Entropy::Simulated;
    let mut peer = Peer::new(configuration, seed.child("peer")).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address.into())]);
    peer
}

/// Runs until both sides have everything, and returns when the channel was open on both.
pub(crate) fn complete(seed: u64, limit: Duration, world: &mut World<Signal>, left: Side, right: Side) -> Timestamp {
    let done = world.run_until(Timestamp::ZERO + limit, |world| {
        world.node(left).application().is_complete() && world.node(right).application().is_complete()
    });
    if let Err(stuck) = done {
        let counts = [left, right].map(|side| world.node(side).application().received.len());
        panic!("seed {seed}: {stuck}; received {counts:?}\n{}", tail(&world.transcript().to_string()));
    }
    let opened = [left, right].map(|side| world.node(side).application().opened.unwrap());
    opened[0].max(opened[1])
}

fn tail(transcript: &str) -> String {
    let lines: Vec<&str> = transcript.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Prints past the capture of the test harness: a figure is worth nothing if nobody sees it.
pub(crate) fn print_figure(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}
