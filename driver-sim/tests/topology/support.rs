//! A node that sends and notes datagrams.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use driver_sim::{Handle, Node, NodeAction, Places, Topology, World};
use proto_machine::{
    InterfaceAddress, LookupId, Path, Received, Seed, SocketError, SocketEvent, SocketId, SocketRequest, Timestamp,
    Transmit, TransmitBuffer,
};

/// Has one socket at each of its addresses, always port 5000, and does what it is told.
#[derive(Default)]
pub(crate) struct Probe {
    addresses: Vec<SocketAddr>,
    actions: VecDeque<Action>,
    /// When, from whom, and how many bytes.
    pub(crate) received: Vec<(Timestamp, SocketAddr, usize)>,
    /// When, and with what result.
    pub(crate) resolved: Vec<(Timestamp, Result<Vec<IpAddr>, SocketError>)>,
    pub(crate) failed: Vec<(SocketId, SocketError)>,
    pub(crate) interfaces: Option<Vec<InterfaceAddress>>,
}

enum Action {
    Request(SocketRequest),
    Send(Path, usize),
}

impl Probe {
    /// With sockets at these addresses.
    pub(crate) fn at(addresses: &[&str]) -> Self {
        Self { addresses: addresses.iter().map(|address| at(address)).collect(), ..Self::default() }
    }

    pub(crate) fn send(&mut self, local: SocketAddr, remote: SocketAddr, length: usize) {
        self.actions.push_back(Action::Send(Path::udp(local, remote), length));
    }

    pub(crate) fn bind(&mut self, socket: SocketId, local: SocketAddr) {
        self.actions.push_back(Action::Request(SocketRequest::BindUdp { socket, local }));
    }

    pub(crate) fn close(&mut self, socket: SocketId) {
        self.actions.push_back(Action::Request(SocketRequest::Close { socket }));
    }

    pub(crate) fn look_up(&mut self, name: &str) {
        self.actions.push_back(Action::Request(SocketRequest::Resolve { lookup: LookupId(0), host: name.to_owned() }));
    }
}

impl Node<()> for Probe {
    fn handle_start(&mut self, _: Timestamp) {
        let bind = |(&local, number)| Action::Request(SocketRequest::BindUdp { socket: SocketId(number), local });
        self.actions.extend(self.addresses.iter().zip(0..).map(bind));
    }

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        self.received.push((now, received.path.remote, received.datagram.len()));
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        match event {
            SocketEvent::Failed { socket, error } => self.failed.push((socket, error)),
            SocketEvent::Resolved { result, .. } => self.resolved.push((now, result)),
            _ => {}
        }
    }

    fn handle_interfaces(&mut self, _: Timestamp, interfaces: &[InterfaceAddress]) {
        self.interfaces = Some(interfaces.to_vec());
    }

    fn handle_timeout(&mut self, _: Timestamp) {}

    fn poll(&mut self, _: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<()> {
        match self.actions.pop_front() {
            Some(Action::Request(request)) => NodeAction::Socket(request),
            Some(Action::Send(path, length)) => {
                assert!(buffer.push(&vec![0; length]));
                NodeAction::Transmit(Transmit { path, segments: buffer.segments().unwrap() })
            }
            None => NodeAction::Wait(None),
        }
    }
}

/// A world of this text, with probes on these hosts.
pub(crate) fn world<const N: usize>(text: &str, hosts: [&str; N]) -> (World<()>, Places, [Handle<Probe>; N]) {
    let topology: Topology = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::new(Seed::from_number(1));
    let places = topology.build(&mut world).unwrap();
    let probes = hosts.map(|name| {
        let addresses = places.interfaces(name).iter().map(|interface| SocketAddr::new(interface.address, 5_000));
        let probe = Probe { addresses: addresses.collect(), ..Probe::default() };
        places.add_host(&mut world, name, probe).unwrap()
    });
    (world, places, probes)
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
