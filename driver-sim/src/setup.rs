//! How long a connection takes to come about, layer by layer.
//!
//! A [`Scenario`] is a world of two peers, one of which creates a channel. [`Scenario::run`] tells when each layer was up on both sides, counted from the moment at which the answer is
//! applied: what the two could not have known before. Signalling takes half a round trip each way and loses nothing.
//!
//! ```
//! use driver_sim::setup::Scenario;
//!
//! let times = Scenario::default().run(1);
//! assert!(times.open().unwrap() <= 4 * Scenario::default().round_trip_time);
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use peer_core::{
    Certificate, Configuration, DataChannelOptions, DtlsTransportState, Entropy, IceConnectionState, InterfaceAddress,
    Peer, PeerEvent, SctpTransportState, SignalingState,
};
use proto_machine::{Machine, Received, Seed, SocketEvent, Timestamp, TransmitBuffer};

use crate::{
    Application, Handle, LinkConfig, Node, NodeAction, NodeId, PeerNode, Probability, Signal, SignallingRole, World,
};

/// One of the two peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// It makes the offer, and is the controlling ICE agent.
    Offerer,
    /// It makes the answer.
    Answerer,
}

/// What the world is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// There and back, between any two addresses; also of signalling.
    pub round_trip_time: Duration,
    /// How many datagrams are lost, independently, in each direction.
    pub loss: Probability,
    /// Who creates the channel.
    pub creator: Side,
    /// Who sends the ClientHello. It is the answerer, unless an offer asks for something else (RFC 8842 §5).
    pub dtls_client: Side,
    /// Whether descriptions carry what SCTP says about itself (draft-hancke-tsvwg-snap-00).
    pub sctp_init: bool,
    /// How many IPv4 addresses each side has, each in a network of its own; at most 16.
    pub addresses: u8,
    /// The only pair of addresses, of the offerer and of the answerer, between which anything arrives. `None` if all are connected.
    pub only_path: Option<(u8, u8)>,
    /// When to give up.
    pub limit: Duration,
}

impl Default for Scenario {
    /// 100 ms, no loss, one address a side; the answerer creates the channel and is the DTLS client.
    fn default() -> Self {
        Self {
            round_trip_time: Duration::from_millis(100),
            loss: Probability::NEVER,
            creator: Side::Answerer,
            dtls_client: Side::Answerer,
            sctp_init: true,
            addresses: 1,
            only_path: None,
            limit: Duration::from_secs(60),
        }
    }
}

/// When the layers of one side were up, from the answer being applied on; `None` if they were not in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LayerTimes {
    /// ICE has a valid pair.
    pub ice: Option<Duration>,
    /// DTLS is connected.
    pub dtls: Option<Duration>,
    /// The SCTP association is established.
    pub sctp: Option<Duration>,
    /// The channel is open.
    pub channel: Option<Duration>,
}

/// When the layers of both sides were up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetupTimes {
    /// The side that applied the answer.
    pub offerer: LayerTimes,
    /// The side that made it.
    pub answerer: LayerTimes,
}

impl SetupTimes {
    /// When a layer was up on both sides.
    #[must_use]
    pub fn both(&self, layer: impl Fn(&LayerTimes) -> Option<Duration>) -> Option<Duration> {
        Some(layer(&self.offerer)?.max(layer(&self.answerer)?))
    }

    /// When the channel was open on both sides.
    #[must_use]
    pub fn open(&self) -> Option<Duration> {
        self.both(|times| times.channel)
    }
}

/// The node of one side.
pub type SetupNode = Shaped<Observer>;

impl Scenario {
    /// Runs the world of one seed until the channel is open on both sides, or the limit has come.
    #[must_use]
    pub fn run(self, seed: u64) -> SetupTimes {
        let (mut world, offerer, answerer) = self.world(seed);
        let is_open = |world: &World<Signal>, node| world.node::<SetupNode>(node).observer().channel.is_some();
        let _times_tell =
            world.run_until(Timestamp::ZERO + self.limit, |world| is_open(world, offerer) && is_open(world, answerer));
        times(&world, offerer, answerer)
    }

    /// The world of one seed before anything has happened, its offerer and its answerer.
    #[must_use]
    pub fn world(self, seed: u64) -> (World<Signal>, Handle<SetupNode>, Handle<SetupNode>) {
        let mut world = World::new(Seed::from_number(seed).child("world"));
        let one_way = self.round_trip_time / 2;
        world.set_default_link(LinkConfig { delay: one_way, loss: self.loss, ..LinkConfig::default() });
        world.set_signalling_delay(one_way);
        let answerer = self.node(seed, Side::Answerer, SignallingRole::Answerer);
        let answerer = world.add_node(answerer, self.local_addresses(Side::Answerer));
        let offerer = self.node(seed, Side::Offerer, SignallingRole::Offerer { to: answerer.id() });
        let offerer = world.add_node(offerer, self.local_addresses(Side::Offerer));
        (world, offerer, answerer)
    }

    #[expect(clippy::expect_used, reason = "a certificate from a seed and a configuration without URLs are valid")]
    fn node(self, seed: u64, side: Side, role: SignallingRole) -> SetupNode {
        let name = if side == Side::Offerer { "offerer" } else { "answerer" };
        let seed = Seed::from_number(seed).child(name);
        let wall_time = Duration::from_secs(1_800_000_000);
        let certificate = Certificate::generate(seed.child("certificate"), wall_time, Entropy::Simulated);
        let mut configuration = Configuration::new(Arc::new(certificate.expect("a certificate")));
        configuration.secure_transport.entropy = Entropy::Simulated;
        configuration.always_negotiate_data_channels = true;
        configuration.sctp_init_in_descriptions = self.sctp_init;
        let mut peer = Peer::new(configuration, seed.child("peer")).expect("a peer");
        let interfaces: Vec<_> = self.local_addresses(side).into_iter().map(InterfaceAddress::new).collect();
        peer.set_interfaces(Timestamp::ZERO, &interfaces);
        let observer = Observer { creates: self.creator == side, ..Observer::default() };
        let only_path = self.only_path.map(|(offerer, answerer)| match side {
            Side::Offerer => (address(Side::Offerer, offerer), address(Side::Answerer, answerer)),
            Side::Answerer => (address(Side::Answerer, answerer), address(Side::Offerer, offerer)),
        });
        let node = PeerNode::new(peer, observer, role);
        Shaped { node, only_path, dtls_client: self.dtls_client, wake_ups: BTreeMap::new() }
    }

    fn local_addresses(self, side: Side) -> Vec<IpAddr> {
        (0..self.addresses).map(|index| address(side, index)).collect()
    }
}

/// Each in a network of its own.
fn address(side: Side, index: u8) -> IpAddr {
    let host = if side == Side::Offerer { 1 } else { 2 };
    Ipv4Addr::new(198, 18 + host, index, host).into()
}

fn times(world: &World<Signal>, offerer: Handle<SetupNode>, answerer: Handle<SetupNode>) -> SetupTimes {
    let (offerer, answerer) = (world.node(offerer).observer(), world.node(answerer).observer());
    let Some(applied) = offerer.stable else { return SetupTimes::default() };
    SetupTimes { offerer: offerer.since(applied), answerer: answerer.since(applied) }
}

/// Notes when each layer comes up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observer {
    creates: bool,
    /// When offer and answer were both set.
    stable: Option<Timestamp>,
    ice: Option<Timestamp>,
    dtls: Option<Timestamp>,
    sctp: Option<Timestamp>,
    channel: Option<Timestamp>,
}

impl Observer {
    fn since(&self, start: Timestamp) -> LayerTimes {
        let since = |at: Option<Timestamp>| at.map(|at| at - start);
        LayerTimes {
            ice: since(self.ice),
            dtls: since(self.dtls),
            sctp: since(self.sctp),
            channel: since(self.channel),
        }
    }
}

impl Application for Observer {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        if self.creates {
            // It is refused by a closed peer only.
            let _ = peer.create_data_channel(now, DataChannelOptions::new("set-up"));
        }
    }

    fn handle_event(&mut self, now: Timestamp, _peer: &mut Peer, event: &PeerEvent) {
        let reached = match event {
            PeerEvent::SignalingStateChange(SignalingState::Stable) => &mut self.stable,
            PeerEvent::IceConnectionStateChange(IceConnectionState::Connected | IceConnectionState::Completed) => {
                &mut self.ice
            }
            PeerEvent::DtlsStateChange(DtlsTransportState::Connected) => &mut self.dtls,
            PeerEvent::SctpStateChange(SctpTransportState::Connected) => &mut self.sctp,
            PeerEvent::ChannelOpen { .. } | PeerEvent::DataChannel { .. } => &mut self.channel,
            _ => return,
        };
        reached.get_or_insert(now);
    }
}

/// A [`PeerNode`] that hears nothing but on one path, an offer that says who is the DTLS client, and a count of what wakes it.
#[derive(Debug)]
pub struct Shaped<A> {
    node: PeerNode<A>,
    /// The local and the remote address between which datagrams arrive; all if `None`.
    only_path: Option<(IpAddr, IpAddr)>,
    dtls_client: Side,
    wake_ups: BTreeMap<&'static str, u64>,
}

impl<A: Application> Shaped<A> {
    /// The application.
    #[must_use]
    pub fn observer(&self) -> &A {
        self.node.application()
    }

    /// How often the peer was woken by a deadline of its own, for each reason.
    #[must_use]
    pub fn wake_ups(&self) -> &BTreeMap<&'static str, u64> {
        &self.wake_ups
    }

    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.node.peer()
    }
}

impl<A: Application> Node<Signal> for Shaped<A> {
    fn handle_start(&mut self, now: Timestamp) {
        self.node.handle_start(now);
    }

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        let ends = (received.path.local.ip(), received.path.remote.ip());
        if self.only_path.is_none_or(|only| only == ends) {
            self.node.handle_packet(now, received);
        }
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.node.handle_socket_event(now, event);
    }

    fn handle_signal(&mut self, now: Timestamp, from: NodeId, mut signal: Signal) {
        if let Signal::Description(description) = &mut signal
            && self.dtls_client == Side::Offerer
        {
            // RFC 8842 §5.2: an offerer that insists leaves the answerer no choice.
            description.sdp = description.sdp.replace("a=setup:actpass", "a=setup:active");
        }
        self.node.handle_signal(now, from, signal);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if let Some(deadline) = self.peer().poll_timeout().filter(|deadline| deadline.at <= now) {
            *self.wake_ups.entry(deadline.reason).or_default() += 1;
        }
        self.node.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<Signal> {
        self.node.poll(now, buffer)
    }
}
