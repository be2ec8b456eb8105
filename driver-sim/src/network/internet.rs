//! Networks, the middleboxes between them, and the way of a datagram through all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::{Seed, Timestamp, TransportProtocol};

use super::behaviour::DropReason;
use super::firewall::{Firewall, FirewallConfig};
use super::nat::{Nat, NatConfig};
use crate::NodeId;

/// A network of an [`Internet`], in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetworkId(usize);

/// A middlebox of an [`Internet`], in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MiddleboxId(usize);

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network{}", self.0)
    }
}

impl fmt::Display for MiddleboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "middlebox{}", self.0)
    }
}

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Networks with hosts in them, and middleboxes between them: a tree for each address family, with the public Internet as its root.
///
/// A datagram climbs from the sender's network through gateways until a network knows its destination, and descends from there. A network knows the addresses of its own hosts, the
/// external addresses of the NATs that it is outside of, and the addresses behind the firewalls that it is outside of, for those translate nothing. Private addresses mean nothing outside
/// of their network, so two homes may use the same ones.
#[derive(Debug)]
pub struct Internet {
    networks: Vec<Network>,
    gateways: Vec<Gateway>,
    seed: Seed,
}

#[derive(Debug, Default)]
struct Network {
    occupants: BTreeMap<IpAddr, Occupant>,
    /// The way out, for each family.
    uplinks: BTreeMap<Family, MiddleboxId>,
}

/// Who has an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Occupant {
    Host(NodeId),
    /// The outside of a NAT.
    Middlebox(MiddleboxId),
}

#[derive(Debug)]
struct Gateway {
    inside: NetworkId,
    outside: NetworkId,
    families: Vec<Family>,
    middlebox: Middlebox,
    /// The same for byte streams: ports and tables of its own.
    streams: Middlebox,
}

impl Gateway {
    fn of(&self, protocol: TransportProtocol) -> &Middlebox {
        match protocol {
            TransportProtocol::Udp => &self.middlebox,
            TransportProtocol::Tcp => &self.streams,
        }
    }

    fn of_mut(&mut self, protocol: TransportProtocol) -> &mut Middlebox {
        match protocol {
            TransportProtocol::Udp => &mut self.middlebox,
            TransportProtocol::Tcp => &mut self.streams,
        }
    }
}

/// How long NATs and firewalls remember an idle TCP connection (RFC 5382 REQ-5).
const STREAM_LIFETIME: Duration = Duration::from_secs(2 * 3_600 + 4 * 60);

#[derive(Debug)]
enum Middlebox {
    Nat(Box<Nat>),
    Firewall(Firewall),
}

impl Middlebox {
    fn outbound(
        &mut self,
        now: Timestamp,
        internal: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        match self {
            Self::Nat(nat) => nat.outbound(now, internal, destination),
            Self::Firewall(firewall) => firewall.outbound(now, internal, destination),
        }
    }

    fn inbound(&self, now: Timestamp, external: SocketAddr, source: SocketAddr) -> Result<SocketAddr, DropReason> {
        match self {
            Self::Nat(nat) => nat.inbound(now, external, source),
            Self::Firewall(firewall) => firewall.inbound(now, external, source),
        }
    }

    fn has_external(&self, address: IpAddr) -> bool {
        matches!(self, Self::Nat(nat) if nat.external_addresses().contains(&address))
    }
}

/// A datagram on its way: the network that it is in, and its addresses as they are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The network that it is in.
    pub network: NetworkId,
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
}

/// One step upwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ascent {
    /// The network knows the destination: from here it goes downwards.
    Turn,
    /// A gateway has passed it on to the network outside.
    Through(MiddleboxId, Packet),
    /// A NAT has found that it is for one of its own external addresses. It is, as seen from outside, on its way down; it never leaves the NAT.
    Hairpin(MiddleboxId, Packet),
}

/// One step downwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Descent {
    /// It is at its host.
    Host(NodeId),
    /// A middlebox has passed it on to the network inside.
    Through(MiddleboxId, Packet),
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undelivered {
    /// No network on the way knows the destination.
    Unreachable,
    /// A middlebox has dropped it.
    Dropped {
        /// Which one.
        at: MiddleboxId,
        /// Why.
        reason: DropReason,
    },
}

/// What was asked for does not fit the networks that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InternetError {
    /// The address is taken, in this network or behind a firewall beside it.
    AddressTaken(IpAddr),
    /// No host has this address there.
    NoSuchAddress(IpAddr),
    /// The identifier is of another internet, or names a middlebox of another kind.
    NoSuchPlace,
    /// The network has a way out already, for this family.
    SecondGateway(Family),
    /// The public Internet has no outside, and no network is outside of itself.
    Circular,
    /// A gateway is added before the hosts behind it, for one of this family is there.
    HostsBeforeGateway(IpAddr),
    /// A NAT has external addresses, all of one family.
    ExternalAddresses,
    /// What a middlebox knows lives for some time.
    Lifetime,
    /// A NAT has external ports, none below 1024 but for mappings of well-known ports.
    Ports,
}

impl fmt::Display for InternetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTaken(address) => write!(f, "the address {address} is taken"),
            Self::NoSuchAddress(address) => write!(f, "no host has the address {address} there"),
            Self::NoSuchPlace => f.write_str("no such network or middlebox"),
            Self::SecondGateway(family) => write!(f, "the network has a gateway for IP{family:?} already"),
            Self::Circular => f.write_str("the network would be outside of itself"),
            Self::HostsBeforeGateway(address) => write!(f, "{address} is there before the gateway"),
            Self::ExternalAddresses => f.write_str("a NAT needs external addresses, all of one family"),
            Self::Lifetime => f.write_str("a lifetime of nothing lets no answer pass"),
            Self::Ports => f.write_str("a NAT needs external ports, none of them below 1024"),
        }
    }
}

impl std::error::Error for InternetError {}

impl Internet {
    /// The public Internet, whose addresses are known everywhere.
    pub const PUBLIC: NetworkId = NetworkId(0);

    /// The public Internet and nothing else.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { networks: vec![Network::default()], gateways: Vec::new(), seed }
    }

    /// Adds a network that is connected to nothing until it is given a gateway.
    pub fn add_network(&mut self) -> NetworkId {
        self.networks.push(Network::default());
        NetworkId(self.networks.len() - 1)
    }

    /// Puts a NAT between two networks. It serves the family of its external addresses, which become addresses of the network outside.
    ///
    /// # Errors
    ///
    /// [`InternetError`]; nothing has changed.
    pub fn add_nat(
        &mut self,
        inside: NetworkId,
        outside: NetworkId,
        config: NatConfig,
        external: Vec<IpAddr>,
    ) -> Result<MiddleboxId, InternetError> {
        let family = self.external_family(outside, &external)?;
        let id = MiddleboxId(self.gateways.len());
        let for_streams = NatConfig { lifetime: STREAM_LIFETIME, ..config.clone() };
        let nat = Nat::new(config, external.clone(), self.seed.child(&id.to_string()))?;
        let streams = Nat::new(for_streams, external.clone(), self.seed.child(&format!("{id} streams")))?;
        self.add_gateway(Gateway {
            inside,
            outside,
            families: vec![family],
            middlebox: Middlebox::Nat(Box::new(nat)),
            streams: Middlebox::Nat(Box::new(streams)),
        })?;
        self.occupy(outside, &external, Occupant::Middlebox(id));
        Ok(id)
    }

    /// Puts a firewall between two networks. Addresses inside stay what they are, so those of both networks differ.
    ///
    /// # Errors
    ///
    /// [`InternetError`]; nothing has changed.
    pub fn add_firewall(
        &mut self,
        inside: NetworkId,
        outside: NetworkId,
        config: FirewallConfig,
        families: &[Family],
    ) -> Result<MiddleboxId, InternetError> {
        if config.lifetime.is_zero() {
            return Err(InternetError::Lifetime);
        }
        let middlebox = Middlebox::Firewall(Firewall::new(config));
        let streams =
            Middlebox::Firewall(Firewall::for_streams(FirewallConfig { lifetime: STREAM_LIFETIME, ..config }));
        self.add_gateway(Gateway { inside, outside, families: families.to_vec(), middlebox, streams })
    }

    /// Gives a host an address in a network.
    ///
    /// # Errors
    ///
    /// If it is taken, or there is no such network.
    pub fn attach(&mut self, network: NetworkId, address: IpAddr, host: NodeId) -> Result<(), InternetError> {
        self.check_free(network, address)?;
        self.occupy(network, &[address], Occupant::Host(host));
        Ok(())
    }

    /// Takes a host's address away.
    ///
    /// # Errors
    ///
    /// If no host has it there.
    pub fn detach(&mut self, network: NetworkId, address: IpAddr) -> Result<(), InternetError> {
        let network = self.networks.get_mut(network.0).ok_or(InternetError::NoSuchPlace)?;
        match network.occupants.get(&address) {
            Some(Occupant::Host(_)) => {
                network.occupants.remove(&address);
                Ok(())
            }
            _ => Err(InternetError::NoSuchAddress(address)),
        }
    }

    /// A NAT, to look at.
    #[must_use]
    pub fn nat(&self, id: MiddleboxId) -> Option<&Nat> {
        match &self.gateways.get(id.0)?.middlebox {
            Middlebox::Nat(nat) => Some(nat),
            Middlebox::Firewall(_) => None,
        }
    }

    pub(crate) fn has_middlebox(&self, id: MiddleboxId) -> bool {
        id.0 < self.gateways.len()
    }

    /// A middlebox forgets all that it has seen.
    ///
    /// # Errors
    ///
    /// If there is no such middlebox.
    pub fn reboot(&mut self, id: MiddleboxId) -> Result<(), InternetError> {
        let gateway = self.gateways.get_mut(id.0).ok_or(InternetError::NoSuchPlace)?;
        for middlebox in [&mut gateway.middlebox, &mut gateway.streams] {
            match middlebox {
                Middlebox::Nat(nat) => nat.reboot(),
                Middlebox::Firewall(firewall) => firewall.reboot(),
            }
        }
        Ok(())
    }

    /// A NAT is given other external addresses, as by a provider that reconnects a line. All its mappings are lost.
    ///
    /// # Errors
    ///
    /// If it is no NAT, or an address is taken; nothing has changed.
    pub fn renumber(&mut self, id: MiddleboxId, external: Vec<IpAddr>) -> Result<(), InternetError> {
        let gateway = self.gateways.get(id.0).ok_or(InternetError::NoSuchPlace)?;
        let Middlebox::Nat(nat) = &gateway.middlebox else { return Err(InternetError::NoSuchPlace) };
        let (outside, old, families) = (gateway.outside, nat.external_addresses().to_vec(), gateway.families.clone());
        self.vacate(outside, &old);
        let checked = self
            .external_family(outside, &external)
            .and_then(|family| if families.contains(&family) { Ok(()) } else { Err(InternetError::ExternalAddresses) });
        let addresses = if checked.is_ok() { &external } else { &old };
        self.occupy(outside, addresses, Occupant::Middlebox(id));
        checked?;
        if let Some(Gateway { middlebox: Middlebox::Nat(nat), streams: Middlebox::Nat(streams), .. }) =
            self.gateways.get_mut(id.0)
        {
            streams.renumber(external.clone());
            nat.renumber(external);
        }
        Ok(())
    }

    /// The whole way of a UDP datagram at one moment: the host that it arrives at, and its addresses there.
    ///
    /// # Errors
    ///
    /// Why it does not arrive.
    pub fn route(&mut self, now: Timestamp, packet: Packet) -> Result<(NodeId, Packet), Undelivered> {
        let mut packet = packet;
        loop {
            match self.ascend(now, TransportProtocol::Udp, packet)? {
                Ascent::Turn => break,
                Ascent::Through(_, outside) => packet = outside,
                Ascent::Hairpin(_, outside) => {
                    packet = outside;
                    break;
                }
            }
        }
        loop {
            match self.descend(now, TransportProtocol::Udp, packet)? {
                Descent::Host(node) => return Ok((node, packet)),
                Descent::Through(_, inside) => packet = inside,
            }
        }
    }

    /// One step of a datagram that is on its way up.
    pub(crate) fn ascend(
        &mut self,
        now: Timestamp,
        protocol: TransportProtocol,
        packet: Packet,
    ) -> Result<Ascent, Undelivered> {
        let destination = packet.destination.ip();
        if self.find(packet.network, destination).is_some() {
            return Ok(Ascent::Turn);
        }
        let network = self.networks.get(packet.network.0).ok_or(Undelivered::Unreachable)?;
        let id = *network.uplinks.get(&Family::of(destination)).ok_or(Undelivered::Unreachable)?;
        let gateway = self.gateways.get_mut(id.0).ok_or(Undelivered::Unreachable)?;
        let source = gateway
            .of_mut(protocol)
            .outbound(now, packet.source, packet.destination)
            .map_err(|reason| Undelivered::Dropped { at: id, reason })?;
        let outside = Packet { network: gateway.outside, source, ..packet };
        let hairpins = gateway.middlebox.has_external(destination);
        Ok(if hairpins { Ascent::Hairpin(id, outside) } else { Ascent::Through(id, outside) })
    }

    /// One step of a datagram that is on its way down.
    pub(crate) fn descend(
        &self,
        now: Timestamp,
        protocol: TransportProtocol,
        packet: Packet,
    ) -> Result<Descent, Undelivered> {
        let (id, gateway) = match self.find(packet.network, packet.destination.ip()) {
            Some(Found::Host(node)) => return Ok(Descent::Host(node)),
            Some(Found::Behind(id)) => (id, self.gateways.get(id.0).ok_or(Undelivered::Unreachable)?),
            None => return Err(Undelivered::Unreachable),
        };
        let destination = gateway
            .of(protocol)
            .inbound(now, packet.destination, packet.source)
            .map_err(|reason| Undelivered::Dropped { at: id, reason })?;
        Ok(Descent::Through(id, Packet { network: gateway.inside, destination, ..packet }))
    }

    /// The host that an endpoint of a network belongs to, whatever filters say; or else the NAT that has no mapping for it, if there is one.
    pub(crate) fn host_behind(
        &self,
        now: Timestamp,
        protocol: TransportProtocol,
        network: NetworkId,
        endpoint: SocketAddr,
    ) -> Result<NodeId, Option<MiddleboxId>> {
        let (mut network, mut endpoint) = (network, endpoint);
        loop {
            let id = match self.find(network, endpoint.ip()).ok_or(None)? {
                Found::Host(node) => return Ok(node),
                Found::Behind(id) => id,
            };
            let gateway = self.gateways.get(id.0).ok_or(None)?;
            if let Middlebox::Nat(nat) = gateway.of(protocol) {
                endpoint = nat.internal(now, endpoint).ok_or(Some(id))?;
            }
            network = gateway.inside;
        }
    }

    /// Who has an address, seen from a network: the network itself, or those behind its firewalls.
    fn find(&self, network: NetworkId, address: IpAddr) -> Option<Found> {
        match self.networks.get(network.0)?.occupants.get(&address) {
            Some(Occupant::Host(node)) => return Some(Found::Host(*node)),
            Some(Occupant::Middlebox(id)) => return Some(Found::Behind(*id)),
            None => {}
        }
        let is_outside_firewall = |gateway: &Gateway| {
            gateway.outside == network
                && gateway.families.contains(&Family::of(address))
                && matches!(gateway.middlebox, Middlebox::Firewall(_))
        };
        let index = self
            .gateways
            .iter()
            .position(|gateway| is_outside_firewall(gateway) && self.find(gateway.inside, address).is_some())?;
        Some(Found::Behind(MiddleboxId(index)))
    }

    fn add_gateway(&mut self, gateway: Gateway) -> Result<MiddleboxId, InternetError> {
        let (inside, outside) = (gateway.inside, gateway.outside);
        let network = self.networks.get(inside.0).ok_or(InternetError::NoSuchPlace)?;
        if outside.0 >= self.networks.len() {
            return Err(InternetError::NoSuchPlace);
        }
        if inside == Self::PUBLIC || self.is_outside_of(inside, outside) {
            return Err(InternetError::Circular);
        }
        if let Some(&family) = gateway.families.iter().find(|family| network.uplinks.contains_key(family)) {
            return Err(InternetError::SecondGateway(family));
        }
        let is_served = |address: &&IpAddr| gateway.families.contains(&Family::of(**address));
        if let Some(&address) = network.occupants.keys().find(is_served) {
            return Err(InternetError::HostsBeforeGateway(address));
        }
        let id = MiddleboxId(self.gateways.len());
        if let Some(network) = self.networks.get_mut(inside.0) {
            network.uplinks.extend(gateway.families.iter().map(|&family| (family, id)));
        }
        self.gateways.push(gateway);
        Ok(id)
    }

    /// Whether `outer` is `inner` or any network on its ways out.
    fn is_outside_of(&self, outer: NetworkId, inner: NetworkId) -> bool {
        outer == inner
            || self.gateways.iter().any(|gateway| gateway.inside == inner && self.is_outside_of(outer, gateway.outside))
    }

    fn external_family(&self, outside: NetworkId, external: &[IpAddr]) -> Result<Family, InternetError> {
        let family = external.first().map(|&address| Family::of(address)).ok_or(InternetError::ExternalAddresses)?;
        let distinct: BTreeSet<IpAddr> = external.iter().copied().collect();
        if distinct.len() < external.len() || distinct.iter().any(|&address| Family::of(address) != family) {
            return Err(InternetError::ExternalAddresses);
        }
        distinct.into_iter().try_for_each(|address| self.check_free(outside, address))?;
        Ok(family)
    }

    /// Looks through everything that firewalls join to this network.
    fn check_free(&self, network: NetworkId, address: IpAddr) -> Result<(), InternetError> {
        let mut outermost = network;
        loop {
            let known = self.networks.get(outermost.0).ok_or(InternetError::NoSuchPlace)?;
            let uplink = known.uplinks.get(&Family::of(address)).and_then(|id| self.gateways.get(id.0));
            match uplink {
                Some(Gateway { outside, middlebox: Middlebox::Firewall(_), .. }) => outermost = *outside,
                _ => break,
            }
        }
        if self.find(outermost, address).is_some() { Err(InternetError::AddressTaken(address)) } else { Ok(()) }
    }

    fn occupy(&mut self, network: NetworkId, addresses: &[IpAddr], occupant: Occupant) {
        if let Some(network) = self.networks.get_mut(network.0) {
            network.occupants.extend(addresses.iter().map(|&address| (address, occupant)));
        }
    }

    fn vacate(&mut self, network: NetworkId, addresses: &[IpAddr]) {
        if let Some(network) = self.networks.get_mut(network.0) {
            network.occupants.retain(|address, _| !addresses.contains(address));
        }
    }
}

/// Where an address is, seen from a network.
enum Found {
    Host(NodeId),
    /// Behind a NAT that has it outside, or behind a firewall.
    Behind(MiddleboxId),
}
