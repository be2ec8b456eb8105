//! Who stands behind what, and what is to be expected of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::scene::{Outcome, Scene};
use super::setting::{Setting, hairpinning_word};
use crate::network::reachability::{CandidateKind, Layer, Policy, Relay, Situation, Surroundings};
use crate::network::{Dependence, Family, Hairpinning, Pooling};
use crate::{LinkConfig, Probability};
use Dependence::{AddressAndPortDependent as P, AddressDependent as A, EndpointIndependent as E};

/// Two peers, what lies between them, and what is to be expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// A [`Topology`](crate::Topology) with hosts `left` and `right`, and for both a STUN server `stun`, a TURN server `turn`, or none.
    pub topology: String,
    /// Which candidates each side uses.
    pub policies: [Policy; 2],
    /// The pairs by which they may connect; none if they cannot.
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
        let policies = setting.situation.policies;
        Self { policies, ..Self::of_topology(name, setting.topology(), setting.situation.connecting_pairs()) }
    }

    /// The same of any topology that has `left` and `right`.
    #[must_use]
    pub fn of_topology(name: &str, topology: String, expected: BTreeSet<(CandidateKind, CandidateKind)>) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(25), ..LinkConfig::default() };
        let (signalled, within) = ([Self::GATHERED; 2], Self::LIMIT);
        let (name, policies) = (name.to_owned(), [Policy::All; 2]);
        Self { name, topology, policies, expected, link, signalled, within }
    }

    /// The same with this share of all datagrams lost, once candidates are signalled: the table has gathering finished before.
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

    /// Whether this is what is expected. Where checks are lost, a relay may take the place of a pair that would connect without: nomination does not wait for long.
    #[must_use]
    pub fn allows(&self, outcome: Outcome) -> bool {
        let by_relay_instead = self.link.loss != Probability::NEVER && outcome.is_relayed();
        match outcome {
            Outcome::Connected { left, right } => {
                self.expected.contains(&(left, right)) || by_relay_instead && !self.expected.is_empty()
            }
            Outcome::Unconnected => self.expected.is_empty(),
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
    fn against(name: &str, left: &[Layer], hosts: &[(String, Vec<Layer>)], relay: Relay) -> Self {
        let case = |(other, right): &(String, Vec<Layer>)| {
            let setting = Setting::new(left.to_vec(), right.clone()).with_relay(relay);
            Case::new(&format!("{name}/{other}"), &setting)
        };
        Self { name: name.to_owned(), cases: hosts.iter().map(case).collect() }
    }

    fn single(case: Case) -> Self {
        Self { name: case.name.clone(), cases: vec![case] }
    }

    fn of(name: &str, setting: Setting, relay: Relay) -> Self {
        Self::single(Case::new(name, &setting.with_relay(relay)))
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
pub fn table(relay: Relay) -> Vec<Row> {
    let hosts = hosts();
    hosts.iter().map(|(name, layers)| Row::against(name, layers, &hosts, relay)).collect()
}

/// What the table does not hold: common networks, layers on layers, address families, the order of events; and what only relays bring about, if there is one.
#[must_use]
pub fn extra_rows(relay: Relay) -> Vec<Row> {
    let rows =
        [vec![same_lan(relay)], carriers(relay), doubles(relay), families(relay), blocked(relay), vec![late(relay)]];
    let rows = rows.into_iter().flatten();
    match relay {
        Relay::Absent => rows.collect(),
        Relay::Udp => rows.chain(pooled()).chain(relay_only()).collect(),
    }
}

fn same_lan(relay: Relay) -> Row {
    let lan = Setting::new(vec![], vec![]).behind(vec![Layer::nat(E, P)]);
    Row::of("the same LAN", lan, relay)
}

fn carriers(relay: Relay) -> Vec<Row> {
    let kinds = [(E, Hairpinning::On), (E, Hairpinning::Off), (A, Hairpinning::On), (P, Hairpinning::On)];
    let case = |(mapping, hairpinning)| {
        let home = || vec![Layer::nat(E, P)];
        let carrier = Layer::nat(mapping, P).with_hairpinning(hairpinning);
        let name = format!("two homes behind one carrier NAT {carrier}, hairpinning {}", hairpinning_word(hairpinning));
        Row::of(&name, Setting::new(home(), home()).behind(vec![carrier]), relay)
    };
    kinds.into_iter().map(case).collect()
}

fn doubles(relay: Relay) -> Vec<Row> {
    let [open, restricted, symmetric] = [Layer::nat(E, E), Layer::nat(E, P), Layer::nat(P, P)];
    let layers = [[restricted, open], [open, restricted], [symmetric, open], [open, symmetric]];
    let row = |[inner, outer]: [Layer; 2]| {
        Row::against(&format!("a NAT {inner} inside of {outer}"), &[inner, outer], &hosts(), relay)
    };
    layers.into_iter().map(row).collect()
}

fn families(relay: Relay) -> Vec<Row> {
    let (wall, symmetric) = (|| vec![Layer::Firewall], || vec![Layer::nat(P, P)]);
    let dual_stack = |v4, v6| Surroundings::ipv4(v4).with(Family::V6, v6);
    let row = |name: &str, left, right| {
        Row::of(name, Setting::of(Situation { sides: [left, right], ..Situation::default() }), relay)
    };
    vec![
        row(
            "a public IPv6 firewall against a symmetric NAT of IPv6",
            Surroundings::ipv6(wall()),
            Surroundings::ipv6(symmetric()),
        ),
        row(
            "the same, and symmetric NATs of IPv4 on both sides",
            dual_stack(symmetric(), wall()),
            dual_stack(symmetric(), symmetric()),
        ),
        row(
            "a public IPv6 firewall against a host without IPv6 behind a symmetric NAT",
            Surroundings::ipv6(wall()),
            Surroundings::ipv4(symmetric()),
        ),
    ]
}

fn blocked(relay: Relay) -> Vec<Row> {
    let sides = [("one side", vec![]), ("both sides", vec![Layer::UdpBlocked])];
    let over = if relay == Relay::Udp { ", the relay over UDP" } else { "" };
    let row = |(name, right)| {
        Row::of(&format!("UDP blocked on {name}{over}"), Setting::new(vec![Layer::UdpBlocked], right), relay)
    };
    sides.map(row).to_vec()
}

/// The first check of the earlier side dies at the other's filter. Where nothing is lost the channel is open before its retransmission, which comes after 500 ms.
fn late(relay: Relay) -> Row {
    let home = || vec![Layer::nat(E, P)];
    let setting = Setting::new(home(), home()).with_relay(relay);
    let mut case = Case::new("EP against EP, the right side 200 ms later", &setting);
    case.link.delay = Duration::from_millis(5);
    case.signalled[1] += Duration::from_millis(200);
    case.within = Duration::from_millis(250);
    Row::single(case)
}

/// One relay serves any peer that has UDP, except where each mapping has another address.
fn pooled() -> Vec<Row> {
    let (paired, arbitrary) = (Layer::nat(P, P), Layer::nat(P, P).with_pooling(Pooling::Arbitrary));
    let row = |name: &str, left, right| Row::of(name, Setting::new(vec![left], vec![right]), Relay::Udp);
    vec![
        row("PP against PP, arbitrary pooling on the left", arbitrary, paired),
        row("PP against PP, arbitrary pooling on both sides", arbitrary, arbitrary),
    ]
}

fn relay_only() -> Vec<Row> {
    let symmetric = || vec![Layer::nat(P, P)];
    let row = |(name, policies): (&str, [Policy; 2])| {
        let mut setting = Setting::new(symmetric(), symmetric());
        setting.situation.policies = policies;
        Row::of(&format!("PP against PP, relayed candidates alone on {name}"), setting, Relay::Udp)
    };
    [("the left", [Policy::RelayOnly, Policy::All]), ("both sides", [Policy::RelayOnly; 2])].map(row).to_vec()
}
