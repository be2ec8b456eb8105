//! Two peers, a STUN server, and what lies between them.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use driver_sim::network::reachability::{CandidateKind, Layer};
use driver_sim::network::{
    Dependence, Family, FirewallConfig, Hairpinning, Internet, MiddleboxId, NatConfig, NetworkId, UdpPolicy,
};
use driver_sim::{
    Application, Handle, Interface, LinkConfig, Node, NodeAction, NodeId, PeerNode, Signal, SignallingRole,
    StunServerNode, Topology, World,
};
use peer_core::{
    CandidateType, Certificate, Configuration, DataChannelOptions, Entropy, IceServer, InterfaceAddress, Peer,
    PeerEvent,
};
use proto_machine::{Deadline, Received, Seed, SocketEvent, Timestamp, TransmitBuffer};

/// By then both sides have gathered.
pub(crate) const GATHERED: Duration = Duration::from_secs(2);
/// RFC 8863 gives up on a path after 39.5 seconds.
const LIMIT: Duration = Duration::from_secs(60);
const SERVER: [u8; 4] = [192, 0, 2, 100];

/// Notes when its channel is open.
#[derive(Default)]
pub(crate) struct Opener {
    creates: bool,
    pub(crate) opened: Option<Timestamp>,
}

impl Application for Opener {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        if self.creates {
            peer.create_data_channel(now, DataChannelOptions::new("matrix")).unwrap();
        }
    }

    fn handle_event(&mut self, now: Timestamp, _: &mut Peer, event: &PeerEvent) {
        if let PeerEvent::ChannelOpen { .. } | PeerEvent::DataChannel { .. } = event {
            self.opened.get_or_insert(now);
        }
    }
}

/// A peer that signals its candidates at a moment of its own, and not before.
pub(crate) struct Patient {
    pub(crate) peer: PeerNode<Opener>,
    until: Timestamp,
    held: VecDeque<NodeAction<Signal>>,
}

impl Node<Signal> for Patient {
    fn handle_start(&mut self, now: Timestamp) {
        self.peer.handle_start(now);
    }

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        self.peer.handle_packet(now, received);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.peer.handle_socket_event(now, event);
    }

    fn handle_signal(&mut self, now: Timestamp, from: NodeId, signal: Signal) {
        self.peer.handle_signal(now, from, signal);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.peer.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<Signal> {
        loop {
            if now >= self.until
                && let Some(action) = self.held.pop_front()
            {
                return action;
            }
            match self.peer.poll(now, buffer) {
                action @ NodeAction::Signal { signal: Signal::Candidate(_), .. } if now < self.until => {
                    self.held.push_back(action);
                }
                NodeAction::Wait(deadline) if !self.held.is_empty() => {
                    let release = Deadline { at: self.until, reason: "candidates are signalled" };
                    return NodeAction::Wait(Deadline::earliest(deadline, Some(release)));
                }
                action => return action,
            }
        }
    }
}

/// Everything that a case consists of.
#[derive(Clone, Default)]
pub(crate) struct Case {
    /// The layers of each side, from the host outwards.
    pub(crate) sides: [Vec<Layer>; 2],
    /// What both are behind.
    pub(crate) shared: Vec<Layer>,
    pub(crate) link: LinkConfig,
    /// When each side signals its candidates; those that are found later follow at once.
    pub(crate) signalled: [Duration; 2],
    /// How long mappings live.
    pub(crate) lifetime: Duration,
    /// Whether both hosts have the same private address, as in two homes with routers of one make.
    pub(crate) twins: bool,
}

impl Case {
    pub(crate) fn new(left: Vec<Layer>, right: Vec<Layer>, shared: Vec<Layer>) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(25), ..LinkConfig::default() };
        let lifetime = NatConfig::RECOMMENDED_LIFETIME;
        Self { sides: [left, right], shared, link, signalled: [GATHERED; 2], lifetime, twins: false }
    }

    pub(crate) fn build(&self, seed: u64) -> Scene {
        let mut world = world(seed, self.link);
        let server = SocketAddr::new(SERVER.into(), StunServerNode::PORT);
        world.add_node(StunServerNode::new(vec![server]), vec![server.ip()]);
        let mut wrapper = Wrapper { lifetime: self.lifetime, external: 0, middleboxes: Vec::new() };
        let common = wrapper.wrap(world.internet_mut(), Internet::PUBLIC, &self.shared);
        let networks = [0, 1].map(|side| wrapper.wrap(world.internet_mut(), common, &self.sides[side]));
        let interfaces = [0, 1].map(|side| vec![Interface { network: networks[side], address: self.address(side) }]);
        let [left, right] = nodes(seed, &interfaces, self.signalled);
        let [left_interfaces, right_interfaces] = interfaces;
        let left = world.add_host(left, left_interfaces);
        let right = world.add_host(right, right_interfaces);
        Scene { world, sides: [left, right], middleboxes: wrapper.middleboxes }
    }

    fn address(&self, side: usize) -> IpAddr {
        let is_private = self.sides[side].iter().chain(&self.shared).any(|layer| matches!(layer, Layer::Nat { .. }));
        let last = if self.twins && is_private { 2 } else { u8::try_from(side + 2).unwrap() };
        IpAddr::from(if is_private { [10, 0, 0, last] } else { [198, 51, 100, last] })
    }

    /// The types of the candidates that carry the data, each side's own; `None` if no channel opens.
    pub(crate) fn run(&self, seed: u64) -> Option<(CandidateKind, CandidateKind)> {
        let mut scene = self.build(seed);
        scene.connect()?;
        Some((scene.kind(0), scene.kind(1)))
    }
}

pub(crate) struct Scene {
    pub(crate) world: World<Signal>,
    pub(crate) sides: [Handle<Patient>; 2],
    pub(crate) middleboxes: Vec<MiddleboxId>,
}

impl Scene {
    pub(crate) fn peer(&self, side: usize) -> &PeerNode<Opener> {
        &self.world.node(self.sides[side]).peer
    }

    /// When the channel was open on both sides.
    pub(crate) fn connect(&mut self) -> Option<Timestamp> {
        let sides = self.sides;
        let is_open =
            |world: &World<Signal>, side: Handle<Patient>| world.node(side).peer.application().opened.is_some();
        let both = |world: &World<Signal>| sides.iter().all(|side| is_open(world, *side));
        let opened = self.world.run_until(Timestamp::ZERO + LIMIT, both).ok()?;
        // Nomination may come after the first data.
        let selected = |world: &World<Signal>, side: Handle<Patient>| {
            world.node(side).peer.peer().selected_candidate_pair().is_some()
        };
        let both = |world: &World<Signal>| sides.iter().all(|side| selected(world, *side));
        self.world.run_until(Timestamp::ZERO + LIMIT, both).unwrap();
        Some(opened)
    }

    pub(crate) fn kind(&self, side: usize) -> CandidateKind {
        match self.peer(side).peer().selected_candidate_pair().unwrap().local.kind {
            CandidateType::Host => CandidateKind::Host,
            CandidateType::ServerReflexive => CandidateKind::ServerReflexive,
            CandidateType::PeerReflexive => CandidateKind::PeerReflexive,
            other => panic!("{other:?}"),
        }
    }
}

/// A world of this text, in which `left` and `right` are peers, and `stun` is at 192.0.2.100.
pub(crate) fn scene(text: &str, seed: u64) -> Scene {
    let topology: Topology = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let mut world = world(seed, LinkConfig { delay: Duration::from_millis(25), ..LinkConfig::default() });
    let places = topology.build(&mut world).unwrap();
    let interfaces = ["left", "right"].map(|name| places.interfaces(name).to_vec());
    let [left, right] = nodes(seed, &interfaces, [GATHERED; 2]);
    // The offerer knows the answerer by its number: it comes second.
    let left = places.add_host(&mut world, "left", left).unwrap();
    let right = places.add_host(&mut world, "right", right).unwrap();
    Scene { world, sides: [left, right], middleboxes: Vec::new() }
}

fn world(seed: u64, link: LinkConfig) -> World<Signal> {
    let mut world = World::new(Seed::from_number(seed).child("matrix"));
    world.set_default_link(link);
    world.set_signalling_delay(Duration::from_millis(25));
    world
}

/// The node of the right peer: the STUN server is the first, the left peer the second.
const RIGHT: NodeId = NodeId::from_index(2);

fn nodes(seed: u64, interfaces: &[Vec<Interface>; 2], signalled: [Duration; 2]) -> [Patient; 2] {
    let node = |side: usize, role: SignallingRole| {
        let creates = matches!(role, SignallingRole::Offerer { .. });
        let peer = peer(seed, side, &interfaces[side]);
        let peer = PeerNode::new(peer, Opener { creates, opened: None }, role);
        Patient { peer, until: Timestamp::ZERO + signalled[side], held: VecDeque::new() }
    };
    [node(0, SignallingRole::Offerer { to: RIGHT }), node(1, SignallingRole::Answerer)]
}

fn peer(seed: u64, side: usize, interfaces: &[Interface]) -> Peer {
    let seed = Seed::from_number(seed).child(["left", "right"][side]);
    let wall_time = Duration::from_secs(1_800_000_000);
    let certificate = Certificate::generate(seed.child("certificate"), wall_time, Entropy::Simulated).unwrap();
    let mut configuration = Configuration::new(Arc::new(certificate));
    configuration.entropy = Entropy::Simulated;
    configuration.ice_servers = vec![IceServer { urls: vec![format!("stun:{}", IpAddr::from(SERVER))] }];
    let mut peer = Peer::new(configuration, seed.child("peer")).unwrap();
    let addresses: Vec<_> = interfaces.iter().map(|interface| InterfaceAddress::new(interface.address)).collect();
    peer.set_interfaces(Timestamp::ZERO, &addresses);
    peer
}

/// Puts networks inside of each other.
struct Wrapper {
    lifetime: Duration,
    /// How many external addresses are given away.
    external: u8,
    middleboxes: Vec<MiddleboxId>,
}

impl Wrapper {
    /// One network for each layer, the last layer outermost; the innermost network.
    fn wrap(&mut self, internet: &mut Internet, outermost: NetworkId, layers: &[Layer]) -> NetworkId {
        let mut outside = outermost;
        for layer in layers.iter().rev() {
            let inside = internet.add_network();
            let added = match *layer {
                Layer::Nat { mapping, filtering, hairpins } => {
                    self.external += 1;
                    let hairpinning = if hairpins { Hairpinning::On } else { Hairpinning::Off };
                    let lifetime = self.lifetime;
                    let config = NatConfig { hairpinning, lifetime, ..NatConfig::new(mapping, filtering) };
                    internet.add_nat(inside, outside, config, vec![IpAddr::from([203, 0, 113, self.external])])
                }
                Layer::Firewall | Layer::UdpBlocked => {
                    let udp = if *layer == Layer::UdpBlocked { UdpPolicy::Blocked } else { UdpPolicy::Allowed };
                    let config = FirewallConfig { udp, ..FirewallConfig::default() };
                    internet.add_firewall(inside, outside, config, &Family::ALL)
                }
            };
            self.middleboxes.push(added.unwrap());
            outside = inside;
        }
        outside
    }
}

/// The eleven kinds of hosts, in the order of the table.
pub(crate) fn hosts() -> Vec<(String, Vec<Layer>)> {
    let nat = |mapping, filtering| (format!("{mapping}{filtering}"), vec![Layer::nat(mapping, filtering)]);
    let nats = Dependence::ALL.into_iter().flat_map(|mapping| Dependence::ALL.map(|filtering| nat(mapping, filtering)));
    let open = [("pub".to_owned(), vec![]), ("fw".to_owned(), vec![Layer::Firewall])];
    open.into_iter().chain(nats).collect()
}

/// Prints past the capture of the test harness: a figure is worth nothing if nobody sees it.
pub(crate) fn print_figure(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}
