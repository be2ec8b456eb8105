//! Which candidates connect two hosts: a model of NATs on paper, to compare agents and the [`Nat`](super::Nat) itself with.
//!
//! It knows neither time nor ports nor tables. Endpoints are symbols: a host, or what a layer makes of an endpoint for a remote one. Two sides exchange their host, server-reflexive and
//! relayed candidates, send from each of their bases to every remote endpoint that is known there, and learn the sources of what arrives, until nothing new is learned. A path works if a
//! request arrives, and its response comes from exactly where the request went (RFC 8445 §7.2.5.2.1).
//!
//! A relayed address is a base of its own: a host on the public Internet behind a NAT of type EA, which permissions are like (RFC 8656 §9). All of them are at one address of the server.
//!
//! IPv4 and IPv6 are two internets, each with layers of its own. What joins them is the TURN server: whoever reaches it over one family is relayed in both.

mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::model::Model;
use super::Family;
use super::behaviour::Dependence;
use super::nat::{Hairpinning, Pooling};

/// What lies between a host and the network outside of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// A NAT.
    Nat {
        /// What its mappings depend on.
        mapping: Dependence,
        /// What its filters depend on.
        filtering: Dependence,
        /// Whether hosts behind it reach each other over its external address.
        hairpinning: Hairpinning,
        /// Whether each mapping has an external address of its own; with [`Pooling::Arbitrary`] no two have the same one here.
        pooling: Pooling,
    },
    /// A stateful firewall that lets answers pass from exactly where was written to.
    Firewall,
    /// A firewall that passes no UDP.
    UdpBlocked,
}

impl Layer {
    /// A NAT that does not hairpin, with one external address.
    #[must_use]
    pub const fn nat(mapping: Dependence, filtering: Dependence) -> Self {
        Self::Nat { mapping, filtering, hairpinning: Hairpinning::Off, pooling: Pooling::Paired }
    }

    /// The same with this hairpinning, if it is a NAT.
    #[must_use]
    pub const fn with_hairpinning(self, hairpinning: Hairpinning) -> Self {
        match self {
            Self::Nat { mapping, filtering, pooling, .. } => Self::Nat { mapping, filtering, hairpinning, pooling },
            other => other,
        }
    }

    /// The same with this pooling, if it is a NAT.
    #[must_use]
    pub const fn with_pooling(self, pooling: Pooling) -> Self {
        match self {
            Self::Nat { mapping, filtering, hairpinning, .. } => Self::Nat { mapping, filtering, hairpinning, pooling },
            other => other,
        }
    }
}

/// The label of a NAT, such as `EP`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nat { mapping, filtering, .. } => write!(f, "{mapping}{filtering}"),
            Self::Firewall => f.write_str("fw"),
            Self::UdpBlocked => f.write_str("UDP blocked"),
        }
    }
}

/// The type of a candidate, as one letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CandidateKind {
    /// `r`: an address at a relay.
    Relayed,
    /// `s`: what a STUN server sees.
    ServerReflexive,
    /// `p`: what only the other side sees.
    PeerReflexive,
    /// `h`: an address of the host.
    Host,
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "h",
            Self::ServerReflexive => "s",
            Self::PeerReflexive => "p",
            Self::Relayed => "r",
        })
    }
}

/// What lies between a host and the public Internet, for each family that it has an address of: layers from the host outwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings(BTreeMap<Family, Vec<Layer>>);

impl Surroundings {
    /// A host that has IPv4 alone.
    #[must_use]
    pub fn ipv4(layers: Vec<Layer>) -> Self {
        Self::default().with(Family::V4, layers)
    }

    /// A host that has IPv6 alone.
    #[must_use]
    pub fn ipv6(layers: Vec<Layer>) -> Self {
        Self::default().with(Family::V6, layers)
    }

    /// The same, with these layers around an address of this family.
    #[must_use]
    pub fn with(mut self, family: Family, layers: Vec<Layer>) -> Self {
        self.0.insert(family, layers);
        self
    }

    /// The layers around the address of this family; `None` if there is none.
    #[must_use]
    pub fn layers(&self, family: Family) -> Option<&[Layer]> {
        self.0.get(&family).map(Vec::as_slice)
    }

    /// Each family that there is an address of, with its layers.
    pub fn families(&self) -> impl Iterator<Item = (Family, &[Layer])> {
        self.0.iter().map(|(&family, layers)| (family, layers.as_slice()))
    }
}

/// Whether there is a TURN server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Relay {
    /// There is none.
    #[default]
    Absent,
    /// Both sides may use it over UDP. It has an address of every family that either has, and relays in all of them whoever reaches it over one. Who sends no UDP has no relayed
    /// address there.
    Udp,
}

/// Two hosts, and all that lies between them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Situation {
    /// What is around each host alone, left and right.
    pub sides: [Surroundings; 2],
    /// What both are behind, again outwards. Two hosts of one LAN share all layers.
    pub shared: Surroundings,
    /// The TURN server of both, if there is one.
    pub relay: Relay,
    /// Which candidates each side uses.
    pub policies: [Policy; 2],
}

/// Which candidates a side uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Policy {
    /// All of them.
    #[default]
    All,
    /// Relayed ones: it sends to its TURN server alone.
    RelayOnly,
}

impl Situation {
    /// Two hosts with IPv4 alone, and without a relay.
    #[must_use]
    pub fn ipv4(left: &[Layer], right: &[Layer], shared: &[Layer]) -> Self {
        let [left, right, shared] = [left, right, shared].map(|layers| Surroundings::ipv4(layers.to_vec()));
        Self { sides: [left, right], shared, ..Self::default() }
    }

    /// The same with this relay.
    #[must_use]
    pub fn with_relay(self, relay: Relay) -> Self {
        Self { relay, ..self }
    }

    /// The pairs that connect the two, each as the type of the left and of the right side's own candidate.
    ///
    /// A relay is the last choice. So the pairs are those without a relay, if there is one; else in each family those with the fewest relays, for a preferred family with two of them comes
    /// before another with one (RFC 8445 §6.1.2.3: the lower of two priorities counts first). Empty if not even that helps.
    #[must_use]
    pub fn connecting_pairs(&self) -> BTreeSet<(CandidateKind, CandidateKind)> {
        self.pairs_after(GENERATIONS)
    }

    fn pairs_after(&self, generations: usize) -> BTreeSet<(CandidateKind, CandidateKind)> {
        let working = Model::solve(self, generations);
        let fewest = |family: Option<Family>| {
            let relays = working.iter().filter(|(of, _)| family.is_none_or(|family| family == *of));
            relays.map(|(_, pair)| relays_in(pair)).min()
        };
        let is_direct = fewest(None) == Some(0);
        let is_best = |(family, pair): &&(Family, _)| {
            Some(relays_in(pair)) == if is_direct { Some(0) } else { fewest(Some(*family)) }
        };
        working.iter().filter(is_best).map(|(_, pair)| *pair).collect()
    }
}

/// The pairs that connect two hosts with IPv4 alone and without a relay, each as the type of the left and of the right side's own candidate. Empty if a relay is needed.
///
/// Each side has the layers that are its own, from the host outwards; behind them come the layers that both share, again outwards.
#[must_use]
pub fn connecting_pairs(left: &[Layer], right: &[Layer], shared: &[Layer]) -> BTreeSet<(CandidateKind, CandidateKind)> {
    Situation::ipv4(left, right, shared).connecting_pairs()
}

fn relays_in(&(left, right): &(CandidateKind, CandidateKind)) -> usize {
    [left, right].into_iter().filter(|kind| *kind == CandidateKind::Relayed).count()
}

/// Where both mappings depend on ports, each side learns a new endpoint of the other from each of its own, without end and without ever meeting: so many exchanges tell.
const GENERATIONS: usize = 6;
