//! The way of a datagram from host to host: up through gateways, across, and down again, with links in between.

use proto_machine::{Path, Received, Timestamp, Transmit, TransportProtocol};

use super::{Captured, Delivery, Direction, LinkName, World};
use crate::network::{Ascent, Descent, MiddleboxId, NetworkId, Packet, Undelivered};
use crate::{Entry, NodeId, VantagePoint};

/// A datagram between two links.
#[derive(Debug)]
pub(super) struct Flight {
    from: NodeId,
    protocol: TransportProtocol,
    packet: Packet,
    leg: Leg,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Leg {
    Up,
    /// It has crossed over, in the network where it turned or in the NAT that hairpins. Such a NAT is entered from inside of its own link.
    Turned(Option<MiddleboxId>),
    Down,
}

impl<S: 'static> World<S> {
    /// Sends from a socket of the node. Without one nothing leaves: not from an interface that is gone, and with no address but its own.
    pub(super) fn send(&mut self, from: NodeId, transmit: Transmit) {
        let path = transmit.path;
        let Some(network) = self.hosts[from.0].network_of_socket(path.local) else {
            self.transcript.push(Entry::NotSent { at: self.now, node: from, path });
            return;
        };
        let datagrams: Vec<Vec<u8>> = self.hosts[from.0].buffer.datagrams().map(<[u8]>::to_vec).collect();
        for bytes in datagrams {
            self.launch(from, network, path, bytes);
        }
    }

    /// Sends one datagram, or one segment of a byte pipe, into a network.
    pub(super) fn launch(&mut self, from: NodeId, network: NetworkId, path: Path, bytes: Vec<u8>) {
        let packet = Packet { network, source: path.local, destination: path.remote };
        let link = LinkName::Interface { node: from, address: path.local.ip(), direction: Direction::Up };
        self.transcript.push(Entry::Sent { at: self.now, path, length: bytes.len() });
        let flight = Flight { from, protocol: path.protocol, packet, leg: Leg::Up, bytes };
        self.observe(VantagePoint::Node(from), &flight);
        if let Some(flight) = self.cross_if_configured(link, flight) {
            self.fly(flight);
        }
    }

    /// Takes a datagram on to the next link, or to its end.
    pub(super) fn fly(&mut self, flight: Flight) {
        match flight.leg {
            Leg::Up => self.climb(flight),
            Leg::Turned(hairpin) => self.turn(flight, hairpin),
            Leg::Down => self.descend(flight),
        }
    }

    fn climb(&mut self, mut flight: Flight) {
        loop {
            self.observe(VantagePoint::Network(flight.packet.network), &flight);
            match self.internet.ascend(self.now, flight.protocol, flight.packet) {
                Ok(Ascent::Turn) => return self.cross_over(flight, None),
                Ok(Ascent::Hairpin(middlebox, packet)) => {
                    return self.cross_over(Flight { packet, ..flight }, Some(middlebox));
                }
                Ok(Ascent::Through(middlebox, packet)) => {
                    let link = LinkName::Middlebox { middlebox, direction: Direction::Up };
                    match self.cross_if_configured(link, Flight { packet, ..flight }) {
                        Some(next) => flight = next,
                        None => return,
                    }
                }
                Err(why) => return self.give_up(&flight, why),
            }
        }
    }

    /// Crosses the link between sender and receiver. The receiver is whoever has the destination now; a NAT may map it otherwise by the time of arrival.
    fn cross_over(&mut self, flight: Flight, hairpin: Option<MiddleboxId>) {
        let (from, Packet { network, destination, .. }) = (flight.from, flight.packet);
        let link = match self.internet.host_behind(self.now, flight.protocol, network, destination) {
            Ok(to) => LinkName::Between { from, to },
            Err(Some(to)) => LinkName::ToMiddlebox { from, to },
            Err(None) => return self.give_up(&flight, Undelivered::Unreachable),
        };
        for (at, bytes) in self.carry(link, &flight) {
            let flight = Flight { leg: Leg::Turned(hairpin), bytes, ..flight };
            self.enqueue(at, Delivery::Flight(flight));
        }
    }

    /// The first step downwards, out of a network that has seen the datagram already.
    fn turn(&mut self, flight: Flight, hairpin: Option<MiddleboxId>) {
        let flight = Flight { leg: Leg::Down, ..flight };
        match self.internet.descend(self.now, flight.protocol, flight.packet) {
            Ok(Descent::Host(to)) => self.cross_to_host(to, flight),
            Ok(Descent::Through(middlebox, packet)) if hairpin == Some(middlebox) => {
                self.descend(Flight { packet, ..flight });
            }
            Ok(Descent::Through(middlebox, packet)) => self.pass_down(middlebox, Flight { packet, ..flight }),
            Err(why) => self.give_up(&flight, why),
        }
    }

    /// A step downwards, in a network that the datagram has just come to.
    fn descend(&mut self, flight: Flight) {
        self.observe(VantagePoint::Network(flight.packet.network), &flight);
        match self.internet.descend(self.now, flight.protocol, flight.packet) {
            Ok(Descent::Host(to)) => self.cross_to_host(to, flight),
            Ok(Descent::Through(middlebox, packet)) => self.pass_down(middlebox, Flight { packet, ..flight }),
            Err(why) => self.give_up(&flight, why),
        }
    }

    /// Crosses the link of a middlebox that has passed the datagram on.
    fn pass_down(&mut self, middlebox: MiddleboxId, flight: Flight) {
        let link = LinkName::Middlebox { middlebox, direction: Direction::Down };
        if let Some(flight) = self.cross_if_configured(link, flight) {
            self.descend(flight);
        }
    }

    fn cross_to_host(&mut self, to: NodeId, flight: Flight) {
        let Packet { source, destination, .. } = flight.packet;
        let path = Path { protocol: flight.protocol, local: destination, remote: source };
        let link = LinkName::Interface { node: to, address: destination.ip(), direction: Direction::Down };
        if !self.links.contains_key(&link) {
            return self.arrive(to, path, flight.bytes);
        }
        for (at, bytes) in self.carry(link, &flight) {
            self.enqueue(at, Delivery::Datagram { to, path, bytes });
        }
    }

    /// Hands the flight back if no such link is configured. Otherwise its copies go on when they have crossed it.
    fn cross_if_configured(&mut self, link: LinkName, flight: Flight) -> Option<Flight> {
        if !self.links.contains_key(&link) {
            return Some(flight);
        }
        for (at, bytes) in self.carry(link, &flight) {
            self.enqueue(at, Delivery::Flight(Flight { bytes, ..flight }));
        }
        None
    }

    /// What becomes of a datagram on a link: its copies, and when they are at the other end.
    fn carry(&mut self, link: LinkName, flight: &Flight) -> Vec<(Timestamp, Vec<u8>)> {
        // Segments have their own header.
        let transport = if flight.protocol == TransportProtocol::Udp { UDP_HEADER } else { 0 };
        let network = if flight.packet.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let size = flight.bytes.len() + transport + network;
        let now = self.now;
        let link = self.link(link);
        let arrivals = link.arrivals(now, size);
        arrivals
            .map(|at| {
                let mut bytes = flight.bytes.clone();
                link.corrupt(&mut bytes);
                (at, bytes)
            })
            .collect()
    }

    pub(super) fn arrive(&mut self, to: NodeId, path: Path, mut bytes: Vec<u8>) {
        if path.protocol == TransportProtocol::Tcp {
            return self.arrive_segment(to, path, &bytes);
        }
        let now = self.now;
        let Some(host) = self.hosts.get_mut(to.0).filter(|host| host.is_bound(path.local)) else {
            self.transcript.push(Entry::Unreachable { at: now, path: path.reversed() });
            return;
        };
        self.transcript.push(Entry::Arrived { at: now, path, length: bytes.len() });
        for recording in self.recordings.iter_mut().filter(|recording| recording.point == VantagePoint::Node(to)) {
            recording.push(now, path.remote, path.local, &bytes);
        }
        if let Some(captured) = &mut self.captured {
            captured.push(Captured { at: now, node: to, path, bytes: bytes.clone() });
        }
        host.node.handle_packet(now, Received { path, datagram: &mut bytes });
        self.drain(to);
    }

    /// Packet traces are of datagrams.
    fn observe(&mut self, point: VantagePoint, flight: &Flight) {
        let Flight { protocol: TransportProtocol::Udp, packet, bytes, .. } = flight else { return };
        for recording in self.recordings.iter_mut().filter(|recording| recording.point == point) {
            recording.push(self.now, packet.source, packet.destination, bytes);
        }
    }

    fn give_up(&mut self, flight: &Flight, why: Undelivered) {
        let Packet { source: local, destination: remote, .. } = flight.packet;
        let (at, path) = (self.now, Path { protocol: flight.protocol, local, remote });
        self.transcript.push(match why {
            Undelivered::Unreachable => Entry::Unreachable { at, path },
            Undelivered::Dropped { at: by, reason } => Entry::Dropped { at, by, path, reason },
        });
    }
}

/// RFC 768.
const UDP_HEADER: usize = 8;
/// RFC 791 §3.1, without options.
const IPV4_HEADER: usize = 20;
/// RFC 8200 §3.
const IPV6_HEADER: usize = 40;
