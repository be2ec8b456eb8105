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
    StunServerNode, World,
};
use peer_core::{
    CandidateType, Certificate, Configuration, DataChannelOptions, Entropy, IceServer, InterfaceAddress, Peer,
    PeerEvent,
};
use proto_machine::{Deadline, Received, Seed, SocketEvent, Timestamp, TransmitBuffer};

/// Until then both sides keep their candidates to themselves: by then both have gathered.
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
    /// How much later each side signals its candidates.
    pub(crate) late: [Duration; 2],
}

impl Case {
    pub(crate) fn new(left: Vec<Layer>, right: Vec<Layer>, shared: Vec<Layer>) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(25), ..LinkConfig::default() };
        Self { sides: [left, right], shared, link, late: [Duration::ZERO; 2] }
    }

    pub(crate) fn build(&self, seed: u64) -> Scene {
        let mut world = World::new(Seed::from_number(seed).child("matrix"));
        world.set_default_link(self.link);
        world.set_signalling_delay(Duration::from_millis(25));
        let server = SocketAddr::new(SERVER.into(), StunServerNode::PORT);
        world.add_node(StunServerNode::new(vec![server]), vec![server.ip()]);
        let mut external = 0;
        let mut middleboxes = Vec::new();
        let common = wrap(&mut world, Internet::PUBLIC, &self.shared, &mut external, &mut middleboxes);
        let networks = [0, 1].map(|side| wrap(&mut world, common, &self.sides[side], &mut external, &mut middleboxes));
        let is_private =
            |side: usize| self.sides[side].iter().chain(&self.shared).any(|layer| matches!(layer, Layer::Nat { .. }));
        let address = |side: usize| {
            let last = u8::try_from(side + 2).unwrap();
            IpAddr::from(if is_private(side) { [10, 0, 0, last] } else { [198, 51, 100, last] })
        };
        let mut add = |side: usize, role: SignallingRole| {
            let interface = Interface { network: networks[side], address: address(side) };
            let creates = matches!(role, SignallingRole::Offerer { .. });
            let opener = Opener { creates, opened: None };
            let node = PeerNode::new(peer(seed, side, interface.address), opener, role);
            let until = Timestamp::ZERO + GATHERED + self.late[side];
            world.add_host(Patient { peer: node, until, held: VecDeque::new() }, vec![interface])
        };
        let right = add(1, SignallingRole::Answerer);
        let left = add(0, SignallingRole::Offerer { to: right.id() });
        Scene { world, sides: [left, right], middleboxes }
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

fn peer(seed: u64, side: usize, address: IpAddr) -> Peer {
    let seed = Seed::from_number(seed).child(["left", "right"][side]);
    let wall_time = Duration::from_secs(1_800_000_000);
    let certificate = Certificate::generate(seed.child("certificate"), wall_time, Entropy::Simulated).unwrap();
    let mut configuration = Configuration::new(Arc::new(certificate));
    configuration.entropy = Entropy::Simulated;
    configuration.ice_servers = vec![IceServer { urls: vec![format!("stun:{}", IpAddr::from(SERVER))] }];
    let mut peer = Peer::new(configuration, seed.child("peer")).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address)]);
    peer
}

/// Puts networks inside of each other, one for each layer, the last layer outermost.
fn wrap(
    world: &mut World<Signal>,
    outermost: NetworkId,
    layers: &[Layer],
    external: &mut u8,
    middleboxes: &mut Vec<MiddleboxId>,
) -> NetworkId {
    let internet = world.internet_mut();
    let mut outside = outermost;
    for layer in layers.iter().rev() {
        let inside = internet.add_network();
        let added = match *layer {
            Layer::Nat { mapping, filtering, hairpins } => {
                *external += 1;
                let hairpinning = if hairpins { Hairpinning::On } else { Hairpinning::Off };
                let config = NatConfig { hairpinning, ..NatConfig::new(mapping, filtering) };
                internet.add_nat(inside, outside, config, vec![IpAddr::from([203, 0, 113, *external])])
            }
            Layer::Firewall | Layer::UdpBlocked => {
                let udp = if *layer == Layer::UdpBlocked { UdpPolicy::Blocked } else { UdpPolicy::Allowed };
                let config = FirewallConfig { udp, ..FirewallConfig::default() };
                internet.add_firewall(inside, outside, config, &Family::ALL)
            }
        };
        middleboxes.push(added.unwrap());
        outside = inside;
    }
    outside
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
