//! Networks read from text: one line for each host and each middlebox.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use peer_core::IceServer;
use proto_machine::Seed;

use crate::names::Names;
use crate::network::{Family, FirewallConfig, Internet, InternetError, MiddleboxId, NatConfig, NetworkId};
use crate::{
    Direction, Handle, Interface, LinkConfig, LinkName, NameRecord, Node, NodeId, StunServerNode, TurnCredentials,
    TurnServerNode, World,
};

/// Networks, middleboxes, STUN and TURN servers and places for hosts, as a text describes them.
///
/// Each line begins with a name and what it is. Words behind `#` are a remark.
///
/// ```text
/// NAME nat MAPPING-FILTERING external ADDRESS|PREFIX… [behind NETWORK] [ports random|sequential|preserving]
///          [pooling paired|arbitrary] [hairpinning on|off] [lifetime TIME] [LINK…]
/// NAME firewall [ipv4|ipv6] [udp allowed|blocked] [behind NETWORK] [lifetime TIME] [LINK…]
/// NAME host ADDRESS… [behind NETWORK] [ADDRESS… [behind NETWORK]]… [LINK…]
/// NAME stun ADDRESS… [behind NETWORK] … [LINK…]
/// NAME turn ADDRESS… [behind NETWORK] … user NAME PASSWORD [user NAME PASSWORD]… [LINK…]
/// HOST-NAME dns ADDRESS… | fails | silent [delay TIME]
/// LINK: delay TIME | jitter TIME | loss PERCENT | burst PERCENT PERCENT PERCENT | duplication PERCENT | reordering PERCENT TIME
///       | corruption PERCENT | mtu BYTES | rate BITS-PER-SECOND | queue BYTES
/// ```
///
/// A NAT or a firewall makes a network of its name, which lies behind it; the lines of what is in it come later. A NAT and a firewall of one name share a network, one for each address
/// family. What is `behind` nothing is on the public Internet. `MAPPING-FILTERING` are two letters out of `E`, `A` and `P` (see [`Dependence`](crate::network::Dependence)). A prefix such
/// as `198.18.0.0/16` stands for all its addresses, at most 65,536. A time is a number with `ms` or `s`, a percentage ends with `%` and may have one decimal, a `burst` is that of [`BurstLoss`](crate::BurstLoss): begin, end, loss; a rate may end with `kbit` or `mbit`. Links are the access links in both directions, beside the default link of the world. Host names
/// are for look-ups alone: what else bears a name is something else.
///
/// ```
/// use driver_sim::{Signal, Topology, World};
/// use proto_machine::Seed;
///
/// let topology: Topology = "
///     carrier  nat PP  external 203.0.113.1
///     home     nat EP  external 100.64.0.2 behind carrier  hairpinning on
///     home     firewall ipv6
///     alice    host 10.0.0.2 2001:db8::2 behind home  delay 15ms loss 1%
///     bob      host 198.51.100.7
///     server   stun 192.0.2.1
///     relay    turn 192.0.2.2  user alice secret
///     stun.example.org  dns 192.0.2.1  delay 40ms
/// "
/// .parse()
/// .unwrap();
/// let mut world: World<Signal> = World::new(Seed::from_number(1));
/// let places = topology.build(&mut world).unwrap();
/// assert_eq!(places.interfaces("alice").len(), 2);
/// // Goes into the `ice_servers` of a configuration.
/// assert_eq!(places.ice_server("relay").unwrap().urls, ["turn:192.0.2.2:3478"]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    lines: Vec<Line>,
}

/// What a [`Topology`] has become in a world.
#[derive(Clone, Debug, Default)]
pub struct Places {
    networks: BTreeMap<String, NetworkId>,
    middleboxes: BTreeMap<String, Vec<MiddleboxId>>,
    /// What is between a middlebox and the network outside, where a line says so.
    links: Vec<(MiddleboxId, LinkConfig)>,
    hosts: BTreeMap<String, Place>,
    stun_servers: BTreeMap<String, NodeId>,
    turn_servers: BTreeMap<String, Handle<TurnServerNode>>,
    ice_servers: BTreeMap<String, IceServer>,
    host_names: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Place {
    interfaces: Vec<Interface>,
    link: Option<LinkConfig>,
}

/// A line that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopologyError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: TopologyProblem,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TopologyProblem {
    /// A word that means nothing where it stands.
    Unexpected(String),
    /// The line ends where this should follow.
    Missing(&'static str),
    /// A name that is used for something else already.
    NameTaken(String),
    /// No line above makes a network of this name.
    NoSuchNetwork(String),
    /// No line has a host of this name.
    NoSuchHost(String),
    /// The networks that are there do not permit it.
    Internet(InternetError),
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl fmt::Display for TopologyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(word) => write!(f, "{word:?} was not expected"),
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::NameTaken(name) => write!(f, "the name {name:?} is taken"),
            Self::NoSuchNetwork(name) => write!(f, "no line above makes a network {name:?}"),
            Self::NoSuchHost(name) => write!(f, "no line has a host {name:?}"),
            Self::Internet(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TopologyError {}

impl std::error::Error for TopologyProblem {}

impl From<InternetError> for TopologyProblem {
    fn from(error: InternetError) -> Self {
        Self::Internet(error)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    number: usize,
    name: String,
    declaration: Declaration,
    link: Option<LinkConfig>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Declaration {
    Nat {
        config: NatConfig,
        external: Vec<IpAddr>,
        outside: Option<String>,
    },
    Firewall {
        config: FirewallConfig,
        families: Vec<Family>,
        outside: Option<String>,
    },
    /// Each address with the network it is in.
    Host(Vec<(IpAddr, Option<String>)>),
    StunServer(Vec<(IpAddr, Option<String>)>),
    /// The same, and users with their passwords.
    TurnServer(Vec<(IpAddr, Option<String>)>, Vec<(String, String)>),
    HostName(NameRecord),
}

impl FromStr for Topology {
    type Err = TopologyError;

    /// Reads the text, and tries it out on an internet of its own: what is read can be built.
    fn from_str(text: &str) -> Result<Self, TopologyError> {
        let lines = parse::lines(text)?;
        let topology = Self { lines };
        topology.lay_out(&mut Internet::new(Seed::from_number(0)), Addresses::Attach)?;
        Ok(topology)
    }
}

/// Whether the addresses of hosts are given away at once, to nobody in particular.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Addresses {
    Attach,
    Leave,
}

impl Topology {
    /// Adds all this to a world: networks, middleboxes and servers. Hosts wait for their nodes: [`Places::add_host`].
    ///
    /// # Errors
    ///
    /// If the world has something already that is in the way, such as an address. What stands above that line has been added.
    pub fn build<S: 'static>(&self, world: &mut World<S>) -> Result<Places, TopologyError> {
        let mut places = self.lay_out(world.internet_mut(), Addresses::Leave)?;
        for &(middlebox, config) in &places.links {
            for direction in [Direction::Up, Direction::Down] {
                world.configure(LinkName::Middlebox { middlebox, direction }, config);
            }
        }
        for line in &self.lines {
            if let Declaration::HostName(record) = &line.declaration {
                world.set_name(&line.name, record.clone());
            }
        }
        for line in &self.lines {
            places.add_server(world, line).map_err(|problem| line.error(problem))?;
        }
        Ok(places)
    }

    fn lay_out(&self, internet: &mut Internet, addresses: Addresses) -> Result<Places, TopologyError> {
        let mut places = Places::default();
        for line in &self.lines {
            places.lay_out(internet, line, addresses).map_err(|problem| line.error(problem))?;
        }
        Ok(places)
    }
}

impl Line {
    fn error(&self, problem: TopologyProblem) -> TopologyError {
        TopologyError { line: self.number, problem }
    }
}

impl Places {
    /// The network of this name.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<NetworkId> {
        self.networks.get(name).copied()
    }

    /// The NAT and the firewalls of this name, in the order of their lines.
    #[must_use]
    pub fn middleboxes(&self, name: &str) -> &[MiddleboxId] {
        self.middleboxes.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The interfaces of the host or server of this name; none if there is no such host.
    #[must_use]
    pub fn interfaces(&self, name: &str) -> &[Interface] {
        self.hosts.get(name).map(|place| place.interfaces.as_slice()).unwrap_or_default()
    }

    /// The node of the STUN server of this name.
    #[must_use]
    pub fn stun_server(&self, name: &str) -> Option<NodeId> {
        self.stun_servers.get(name).copied()
    }

    /// The nodes of all STUN servers.
    pub fn stun_servers(&self) -> impl Iterator<Item = NodeId> {
        self.stun_servers.values().copied()
    }

    /// The TURN server of this name.
    #[must_use]
    pub fn turn_server(&self, name: &str) -> Option<Handle<TurnServerNode>> {
        self.turn_servers.get(name).copied()
    }

    /// All TURN servers.
    pub fn turn_servers(&self) -> impl Iterator<Item = Handle<TurnServerNode>> {
        self.turn_servers.values().copied()
    }

    /// The STUN or TURN server of this name for the configuration of a peer: a URL for each address, and the credentials of the first user.
    #[must_use]
    pub fn ice_server(&self, name: &str) -> Option<IceServer> {
        self.ice_servers.get(name).cloned()
    }

    /// Puts a node on the host of this name, with the links that its line has.
    ///
    /// # Errors
    ///
    /// If there is no such host, or an address of it is taken by now; nothing has changed.
    pub fn add_host<S: 'static, N: Node<S>>(
        &self,
        world: &mut World<S>,
        name: &str,
        node: N,
    ) -> Result<Handle<N>, TopologyProblem> {
        let place = self.hosts.get(name).ok_or_else(|| TopologyProblem::NoSuchHost(name.to_owned()))?;
        Ok(world.try_add_host(node, place.interfaces.clone(), place.link)?)
    }

    /// Adds what a line describes, but not the nodes.
    fn lay_out(&mut self, internet: &mut Internet, line: &Line, addresses: Addresses) -> Result<(), TopologyProblem> {
        match &line.declaration {
            Declaration::Nat { config, external, outside } => {
                let (inside, outside) = self.sides(internet, &line.name, outside.as_ref())?;
                let nat = internet.add_nat(inside, outside, config.clone(), external.clone())?;
                self.add_middlebox(line, nat);
            }
            Declaration::Firewall { config, families, outside } => {
                let (inside, outside) = self.sides(internet, &line.name, outside.as_ref())?;
                let firewall = internet.add_firewall(inside, outside, *config, families)?;
                self.add_middlebox(line, firewall);
            }
            Declaration::Host(addressed)
            | Declaration::StunServer(addressed)
            | Declaration::TurnServer(addressed, _) => {
                let is_taken = self.networks.contains_key(&line.name) || self.hosts.contains_key(&line.name);
                if is_taken {
                    return Err(TopologyProblem::NameTaken(line.name.clone()));
                }
                let mut interfaces = Vec::new();
                for (address, network) in addressed {
                    let interface = Interface { network: self.outside(network.as_ref())?, address: *address };
                    if addresses == Addresses::Attach {
                        internet.attach(interface.network, interface.address, NodeId::from_index(self.hosts.len()))?;
                    }
                    interfaces.push(interface);
                }
                self.hosts.insert(line.name.clone(), Place { interfaces, link: line.link });
            }
            Declaration::HostName(_) => {
                if !self.host_names.insert(Names::key(&line.name)) {
                    return Err(TopologyProblem::NameTaken(line.name.clone()));
                }
            }
        }
        Ok(())
    }

    /// Adds the node of a line, if that is a server's.
    fn add_server<S: 'static>(&mut self, world: &mut World<S>, line: &Line) -> Result<(), TopologyProblem> {
        let name = &line.name;
        let endpoints =
            |port| self.interfaces(name).iter().map(move |interface| SocketAddr::new(interface.address, port));
        let server = match &line.declaration {
            Declaration::StunServer(_) => {
                let addresses: Vec<SocketAddr> = endpoints(StunServerNode::PORT).collect();
                let urls = addresses.iter().map(|address| format!("stun:{address}")).collect();
                let server = self.add_host(world, name, StunServerNode::new(addresses))?;
                self.stun_servers.insert(name.clone(), server.id());
                IceServer { urls, ..IceServer::default() }
            }
            Declaration::TurnServer(_, users) => {
                let addresses: Vec<SocketAddr> = endpoints(TurnServerNode::PORT).collect();
                let urls = addresses.iter().map(|address| format!("turn:{address}")).collect();
                let credentials = users.iter().map(|(user, password)| TurnCredentials::new(user, password)).collect();
                let node = TurnServerNode::at(addresses, credentials, &world.seed().child(name));
                let server = self.add_host(world, name, node)?;
                self.turn_servers.insert(name.clone(), server);
                let (username, credential) = users.first().cloned().unzip();
                IceServer { urls, username, credential }
            }
            _ => return Ok(()),
        };
        self.ice_servers.insert(name.clone(), server);
        Ok(())
    }

    fn add_middlebox(&mut self, line: &Line, middlebox: MiddleboxId) {
        self.middleboxes.entry(line.name.clone()).or_default().push(middlebox);
        self.links.extend(line.link.map(|link| (middlebox, link)));
    }

    /// The network of this name, made if need be, and the one outside of it.
    fn sides(
        &mut self,
        internet: &mut Internet,
        name: &str,
        outside: Option<&String>,
    ) -> Result<(NetworkId, NetworkId), TopologyProblem> {
        if self.hosts.contains_key(name) {
            return Err(TopologyProblem::NameTaken(name.to_owned()));
        }
        let outside = self.outside(outside)?;
        let inside = *self.networks.entry(name.to_owned()).or_insert_with(|| internet.add_network());
        Ok((inside, outside))
    }

    fn outside(&self, name: Option<&String>) -> Result<NetworkId, TopologyProblem> {
        match name {
            None => Ok(Internet::PUBLIC),
            Some(name) => self.network(name).ok_or_else(|| TopologyProblem::NoSuchNetwork(name.clone())),
        }
    }
}
