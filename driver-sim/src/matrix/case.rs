//! Who stands behind what, and what is to be expected of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::scene::{Outcome, Scene};
use crate::network::reachability::{CandidateKind, Layer, connecting_pairs};
use crate::network::{Dependence, Hairpinning, NatConfig, Pooling};
use crate::{LinkConfig, Probability};
use Dependence::{AddressAndPortDependent as P, AddressDependent as A, EndpointIndependent as E};

/// The layers around two hosts, to make a [`Case`] of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The layers of each side alone, from the host outwards. With those that are shared, no more than 99 altogether.
    pub sides: [Vec<Layer>; 2],
    /// What both are behind, again outwards.
    pub shared: Vec<Layer>,
    /// How long mappings live, in whole seconds.
    pub lifetime: Duration,
    /// Whether the two hosts have addresses of their own.
    pub addresses: PrivateAddresses,
}

/// The addresses of two hosts in different private networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PrivateAddresses {
    /// Each has its own.
    #[default]
    Different,
    /// Both have the same one, as in two homes with routers of one make.
    Same,
}

impl Setting {
    /// Each side behind layers of its own, with mappings that live for five minutes.
    #[must_use]
    pub fn new(left: Vec<Layer>, right: Vec<Layer>) -> Self {
        Self {
            sides: [left, right],
            shared: Vec::new(),
            lifetime: NatConfig::RECOMMENDED_LIFETIME,
            addresses: PrivateAddresses::Different,
        }
    }

    /// The same, both sides together behind these layers.
    #[must_use]
    pub fn behind(self, shared: Vec<Layer>) -> Self {
        Self { shared, ..self }
    }

    /// The same as the text of a [`Topology`](crate::Topology): `left` and `right` behind networks `left0`, `right0`, `shared0` and so on, of which 0 is the outermost, and a STUN server.
    #[must_use]
    pub fn topology(&self) -> String {
        let mut text = Text { lines: vec!["stun stun 192.0.2.100".to_owned()], lifetime: self.lifetime, networks: 0 };
        let common = text.nest("shared", &self.shared, None);
        for (index, name) in [(0, "left"), (1, "right")] {
            let network = text.nest(name, &self.sides[index], common.clone());
            let behind = network.map(|network| format!(" behind {network}")).unwrap_or_default();
            text.lines.push(format!("{name} host {}{behind}", self.address(index)));
        }
        text.lines.join("\n")
    }

    fn address(&self, index: usize) -> IpAddr {
        let is_private = self.sides[index].iter().chain(&self.shared).any(|layer| matches!(layer, Layer::Nat { .. }));
        let last = match (index, self.addresses) {
            (1, PrivateAddresses::Different) => 3,
            (1, PrivateAddresses::Same) if !is_private => 3,
            _ => 2,
        };
        IpAddr::from(if is_private { [10, 0, 0, last] } else { [198, 51, 100, last] })
    }
}

struct Text {
    lines: Vec<String>,
    lifetime: Duration,
    networks: usize,
}

impl Text {
    /// One network for each layer, the last layer outermost; the name of the innermost network.
    fn nest(&mut self, name: &str, layers: &[Layer], outermost: Option<String>) -> Option<String> {
        let mut outside = outermost;
        for (layer, depth) in layers.iter().rev().zip(0..) {
            self.networks += 1;
            let words = match layer {
                Layer::Nat { hairpinning, pooling, .. } => {
                    let external = self.external(*pooling);
                    let (pooling, hairpinning) = (pooling_word(*pooling), hairpinning_word(*hairpinning));
                    let lifetime = self.lifetime.as_secs();
                    format!(
                        "nat {layer} external {external} pooling {pooling} hairpinning {hairpinning} lifetime {lifetime}s"
                    )
                }
                Layer::Firewall => "firewall".to_owned(),
                Layer::UdpBlocked => "firewall udp blocked".to_owned(),
            };
            let behind = outside.map(|outside| format!(" behind {outside}")).unwrap_or_default();
            let inside = format!("{name}{depth}");
            self.lines.push(format!("{inside} {words}{behind}"));
            outside = Some(inside);
        }
        outside
    }

    /// One address, or enough of them that two mappings seldom have the same one.
    fn external(&self, pooling: Pooling) -> String {
        let number = self.networks;
        match pooling {
            Pooling::Paired => format!("203.0.113.{number}"),
            Pooling::Arbitrary => (1..=250).map(|last| format!("198.18.{number}.{last}")).collect::<Vec<_>>().join(" "),
        }
    }
}

const fn pooling_word(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Paired => "paired",
        Pooling::Arbitrary => "arbitrary",
    }
}

const fn hairpinning_word(hairpinning: Hairpinning) -> &'static str {
    match hairpinning {
        Hairpinning::Off => "off",
        Hairpinning::On => "on",
    }
}

/// Two peers, what lies between them, and what is to be expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// A [`Topology`](crate::Topology) with hosts `left` and `right`, and a STUN server `stun` for both.
    pub topology: String,
    /// The pairs by which they may connect; none if they need a relay.
    pub expected: BTreeSet<(CandidateKind, CandidateKind)>,
    /// The long way between any two nodes.
    pub link: LinkConfig,
    /// When each side signals its candidates; those that are found later follow at once.
    pub signalled: [Duration; 2],
    /// The time from the later of these to an open channel, where nothing is lost. With losses it is a minute always.
    pub within: Duration,
}

impl Case {
    /// By then both sides have gathered.
    pub const GATHERED: Duration = Duration::from_secs(2);
    /// RFC 8863 gives up on a path after 39.5 seconds.
    const LIMIT: Duration = Duration::from_secs(60);

    /// A case of 25 ms between any two nodes, in which both sides have gathered before checks begin, and of which is expected what the model says.
    #[must_use]
    pub fn new(name: &str, setting: &Setting) -> Self {
        let expected = connecting_pairs(&setting.sides[0], &setting.sides[1], &setting.shared);
        Self::of_topology(name, setting.topology(), expected)
    }

    /// The same of any topology that has `left`, `right` and `stun`.
    #[must_use]
    pub fn of_topology(name: &str, topology: String, expected: BTreeSet<(CandidateKind, CandidateKind)>) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(25), ..LinkConfig::default() };
        let (signalled, within) = ([Self::GATHERED; 2], Self::LIMIT);
        Self { name: name.to_owned(), topology, expected, link, signalled, within }
    }

    /// The same with this share of all datagrams lost.
    #[must_use]
    pub fn with_loss(mut self, loss: Probability) -> Self {
        self.link.loss = loss;
        self
    }

    /// What happens from this seed.
    ///
    /// # Panics
    ///
    /// If the topology cannot be read or built.
    #[must_use]
    pub fn run(&self, seed: u64) -> Outcome {
        Scene::new(self, seed).connect()
    }

    /// Whether this is what is expected.
    #[must_use]
    pub fn allows(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Connected { left, right, .. } => self.expected.contains(&(left, right)),
            Outcome::Unconnected | Outcome::Trying => self.expected.is_empty(),
            Outcome::Half => false,
        }
    }

    pub(super) fn limit(&self) -> Duration {
        let within = if self.link.loss == Probability::NEVER { self.within } else { Self::LIMIT };
        self.signalled[0].max(self.signalled[1]) + within
    }
}

/// Cases that are printed in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What the line begins with.
    pub name: String,
    /// The cases, one a column.
    pub cases: Vec<Case>,
}

impl Row {
    fn against(name: &str, left: &[Layer], hosts: &[(String, Vec<Layer>)]) -> Self {
        let case = |(other, right): &(String, Vec<Layer>)| {
            Case::new(&format!("{name}/{other}"), &Setting::new(left.to_vec(), right.clone()))
        };
        Self { name: name.to_owned(), cases: hosts.iter().map(case).collect() }
    }

    fn single(case: Case) -> Self {
        Self { name: case.name.clone(), cases: vec![case] }
    }
}

/// The eleven kinds of hosts: `pub` has a public address, `fw` one behind a stateful firewall, and the others are behind a NAT, mapping and filtering.
#[must_use]
pub fn hosts() -> Vec<(String, Vec<Layer>)> {
    let nats = Dependence::ALL
        .into_iter()
        .flat_map(|mapping| Dependence::ALL.into_iter().map(move |filtering| Layer::nat(mapping, filtering)));
    let layers = [Layer::Firewall].into_iter().chain(nats);
    let named = layers.map(|layer| (layer.to_string(), vec![layer]));
    [("pub".to_owned(), vec![])].into_iter().chain(named).collect()
}

/// The table: every kind of host against every kind.
#[must_use]
pub fn table() -> Vec<Row> {
    let hosts = hosts();
    hosts.iter().map(|(name, layers)| Row::against(name, layers, &hosts)).collect()
}

/// What the table does not hold: common networks, layers on layers, address families, the order of events.
#[must_use]
pub fn extra_rows() -> Vec<Row> {
    let rows = [vec![same_lan()], carriers(), doubles(), families(), blocked(), vec![late()]];
    rows.into_iter().flatten().collect()
}

fn same_lan() -> Row {
    let lan = Setting::new(vec![], vec![]).behind(vec![Layer::nat(E, P)]);
    Row::single(Case::new("the same LAN", &lan))
}

fn carriers() -> Vec<Row> {
    let kinds = [(E, Hairpinning::On), (E, Hairpinning::Off), (A, Hairpinning::On), (P, Hairpinning::On)];
    let case = |(mapping, hairpinning)| {
        let home = || vec![Layer::nat(E, P)];
        let carrier = Layer::nat(mapping, P).with_hairpinning(hairpinning);
        let name = format!("two homes behind one carrier NAT {carrier}, hairpinning {}", hairpinning_word(hairpinning));
        Row::single(Case::new(&name, &Setting::new(home(), home()).behind(vec![carrier])))
    };
    kinds.into_iter().map(case).collect()
}

fn doubles() -> Vec<Row> {
    let [open, restricted, symmetric] = [Layer::nat(E, E), Layer::nat(E, P), Layer::nat(P, P)];
    let layers = [[restricted, open], [open, restricted], [symmetric, open], [open, symmetric]];
    let row = |[inner, outer]: [Layer; 2]| {
        Row::against(&format!("a NAT {inner} inside of {outer}"), &[inner, outer], &hosts())
    };
    layers.into_iter().map(row).collect()
}

fn families() -> Vec<Row> {
    let against = |other: &str, right: &str| {
        let lines =
            ["stun stun 192.0.2.100 2001:db8::100", "wall firewall ipv6", "left host 2001:db8:1::2 behind wall", right];
        let name = format!("a public IPv6 firewall against a symmetric NAT of {other}");
        Row::single(Case::of_topology(&name, lines.join("\n"), BTreeSet::new()))
    };
    vec![
        against("IPv4", "home nat PP external 203.0.113.1\nright host 10.0.0.2 behind home"),
        against("IPv6", "home nat PP external 2001:db8:2::1\nright host fd00::2 behind home"),
    ]
}

fn blocked() -> Vec<Row> {
    let sides = [("one side", vec![]), ("both sides", vec![Layer::UdpBlocked])];
    let case =
        |(name, right)| Case::new(&format!("UDP blocked on {name}"), &Setting::new(vec![Layer::UdpBlocked], right));
    sides.map(case).map(Row::single).to_vec()
}

/// The first check of the earlier side dies at the other's filter. Where nothing is lost the channel is open before its retransmission, which comes after 500 ms.
fn late() -> Row {
    let home = || vec![Layer::nat(E, P)];
    let mut case = Case::new("EP against EP, the right side 200 ms later", &Setting::new(home(), home()));
    case.link.delay = Duration::from_millis(5);
    case.signalled[1] += Duration::from_millis(200);
    case.within = Duration::from_millis(250);
    Row::single(case)
}
