//! The way of a datagram from host to host: up through gateways, across, and down again, with links in between.

use proto_machine::{Path, Received, Timestamp, Transmit};

use super::{Captured, Delivery, Direction, LinkName, World};
use crate::network::{Ascent, Descent, Internet, MiddleboxId, Packet, Undelivered};
use crate::{Entry, NodeId, VantagePoint};

/// A datagram between two links.
#[derive(Debug)]
pub(super) struct Flight {
    from: NodeId,
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
    pub(super) fn send(&mut self, from: NodeId, transmit: Transmit) {
        let path = transmit.path;
        let host = &self.hosts[from.0];
        let interface = host.network_of(path.local.ip());
        // Whoever sends from an address that is not its own does so on the public Internet.
        let network = interface.unwrap_or(Internet::PUBLIC);
        let packet = Packet { network, source: path.local, destination: path.remote };
        let link = LinkName::Interface { node: from, address: path.local.ip(), direction: Direction::Up };
        let datagrams: Vec<Vec<u8>> = host.buffer.datagrams().map(<[u8]>::to_vec).collect();
        for bytes in datagrams {
            self.transcript.push(Entry::Sent { at: self.now, path, length: bytes.len() });
            self.observe(VantagePoint::Node(from), packet, &bytes);
            let flight = Flight { from, packet, leg: Leg::Up, bytes };
            if let Some(flight) = self.cross_if_configured(link, flight) {
                self.fly(flight);
            }
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
            self.observe(VantagePoint::Network(flight.packet.network), flight.packet, &flight.bytes);
            match self.internet.ascend(self.now, flight.packet) {
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
                Err(why) => return self.give_up(flight.packet, why),
            }
        }
    }

    /// Crosses the link between sender and receiver. The receiver is whoever has the destination now; a NAT may map it otherwise by the time of arrival.
    fn cross_over(&mut self, flight: Flight, hairpin: Option<MiddleboxId>) {
        let (from, Packet { network, destination, .. }) = (flight.from, flight.packet);
        let link = match self.internet.host_behind(self.now, network, destination) {
            Ok(to) => LinkName::Between { from, to },
            Err(Some(to)) => LinkName::ToMiddlebox { from, to },
            Err(None) => return self.give_up(flight.packet, Undelivered::Unreachable),
        };
        for (at, bytes) in self.carry(link, &flight) {
            let flight = Flight { leg: Leg::Turned(hairpin), bytes, ..flight };
            self.enqueue(at, Delivery::Flight(flight));
        }
    }

    /// The first step downwards, out of a network that has seen the datagram already.
    fn turn(&mut self, flight: Flight, hairpin: Option<MiddleboxId>) {
        let flight = Flight { leg: Leg::Down, ..flight };
        match self.internet.descend(self.now, flight.packet) {
            Ok(Descent::Host(to)) => self.cross_to_host(to, flight),
            Ok(Descent::Through(middlebox, packet)) if hairpin == Some(middlebox) => {
                self.descend(Flight { packet, ..flight });
            }
            Ok(Descent::Through(middlebox, packet)) => self.pass_down(middlebox, Flight { packet, ..flight }),
            Err(why) => self.give_up(flight.packet, why),
        }
    }

    /// A step downwards, in a network that the datagram has just come to.
    fn descend(&mut self, flight: Flight) {
        self.observe(VantagePoint::Network(flight.packet.network), flight.packet, &flight.bytes);
        match self.internet.descend(self.now, flight.packet) {
            Ok(Descent::Host(to)) => self.cross_to_host(to, flight),
            Ok(Descent::Through(middlebox, packet)) => self.pass_down(middlebox, Flight { packet, ..flight }),
            Err(why) => self.give_up(flight.packet, why),
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
        let path = Path::udp(destination, source);
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
        let size =
            flight.bytes.len() + UDP_HEADER + if flight.packet.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
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

    fn observe(&mut self, point: VantagePoint, packet: Packet, bytes: &[u8]) {
        for recording in self.recordings.iter_mut().filter(|recording| recording.point == point) {
            recording.push(self.now, packet.source, packet.destination, bytes);
        }
    }

    fn give_up(&mut self, packet: Packet, why: Undelivered) {
        let (at, path) = (self.now, Path::udp(packet.source, packet.destination));
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
