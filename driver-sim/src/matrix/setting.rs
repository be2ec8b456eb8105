//! What is around two hosts, as the text of a topology.

use std::time::Duration;

use crate::network::reachability::{Layer, Relay, Situation};
use crate::network::{Family, Hairpinning, NatConfig, Pooling};

/// Two hosts and the layers around them, to make a [`Case`](super::Case) of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Who is behind what, with no more than 99 layers altogether, and whether there is a relay.
    pub situation: Situation,
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
    /// Two hosts with IPv4 alone, each side behind layers of its own, with mappings that live for five minutes.
    #[must_use]
    pub fn new(left: Vec<Layer>, right: Vec<Layer>) -> Self {
        Self::of(Situation::ipv4(&left, &right, &[]))
    }

    /// Any situation, with mappings that live for five minutes.
    #[must_use]
    pub fn of(situation: Situation) -> Self {
        Self { situation, lifetime: NatConfig::RECOMMENDED_LIFETIME, addresses: PrivateAddresses::Different }
    }

    /// The same, both sides together behind these layers of IPv4.
    #[must_use]
    pub fn behind(mut self, shared: Vec<Layer>) -> Self {
        self.situation.shared = self.situation.shared.with(Family::V4, shared);
        self
    }

    /// The same with this relay.
    #[must_use]
    pub fn with_relay(self, relay: Relay) -> Self {
        Self { situation: self.situation.with_relay(relay), ..self }
    }

    /// The same as the text of a [`Topology`](crate::Topology): hosts `left` and `right`, a STUN server `stun`, and if there is a relay, a TURN server `turn`. IPv4 networks are called
    /// `left0`, `right0`, `shared0` and so on, of which 0 is the outermost; IPv6 networks `left-v6-0` and so on.
    #[must_use]
    pub fn topology(&self) -> String {
        let mut text = Text { lines: self.servers(), lifetime: self.lifetime, networks: 0 };
        // `behind` goes for all addresses before it, so those on the public Internet come last.
        let (mut hosts, mut public) =
            (["left host".to_owned(), "right host".to_owned()], [String::new(), String::new()]);
        for family in Family::ALL {
            let suffix = if family == Family::V4 { "" } else { "-v6-" };
            let shared = self.situation.shared.layers(family).unwrap_or_default();
            let common = text.nest(&format!("shared{suffix}"), family, shared, None);
            for (index, name) in [(0, "left"), (1, "right")] {
                let Some(layers) = self.situation.sides[index].layers(family) else { continue };
                let network = text.nest(&format!("{name}{suffix}"), family, layers, common.clone());
                let address = self.address(index, family, layers, shared);
                match network {
                    Some(network) => hosts[index].push_str(&format!(" {address} behind {network}")),
                    None => public[index].push_str(&format!(" {address}")),
                }
            }
        }
        let hosts = hosts.into_iter().zip(public).map(|(host, public)| host + &public);
        text.lines.into_iter().chain(hosts).collect::<Vec<_>>().join("\n")
    }

    /// They have an address of every family that a host has.
    fn servers(&self) -> Vec<String> {
        let has = |family| self.situation.sides.iter().any(|side| side.layers(family).is_some());
        let addresses = |number: &str| {
            let both = [(Family::V4, format!(" 192.0.2.{number}")), (Family::V6, format!(" 2001:db8::{number}"))];
            both.into_iter().filter(|(family, _)| has(*family)).map(|(_, address)| address).collect::<String>()
        };
        let stun = format!("stun stun{}", addresses("100"));
        let turn = format!("turn turn{} user peer secret", addresses("200"));
        match self.situation.relay {
            Relay::Absent => vec![stun],
            Relay::Udp => vec![stun, turn],
        }
    }

    fn address(&self, index: usize, family: Family, own: &[Layer], shared: &[Layer]) -> String {
        let is_private = own.iter().chain(shared).any(|layer| matches!(layer, Layer::Nat { .. }));
        let last = match (index, self.addresses) {
            (1, PrivateAddresses::Different) => 3,
            (1, PrivateAddresses::Same) if !is_private => 3,
            _ => 2,
        };
        let prefix = match (family, is_private) {
            (Family::V4, true) => "10.0.0.",
            (Family::V4, false) => "198.51.100.",
            (Family::V6, true) => "fd00::",
            (Family::V6, false) => "2001:db8:1::",
        };
        format!("{prefix}{last}")
    }
}

struct Text {
    lines: Vec<String>,
    lifetime: Duration,
    networks: usize,
}

impl Text {
    /// One network for each layer, the last layer outermost; the name of the innermost network.
    fn nest(&mut self, name: &str, family: Family, layers: &[Layer], outermost: Option<String>) -> Option<String> {
        let mut outside = outermost;
        for (layer, depth) in layers.iter().rev().zip(0..) {
            self.networks += 1;
            let words = match layer {
                Layer::Nat { hairpinning, pooling, .. } => {
                    let external = self.external(family, *pooling);
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

    /// One address, or so many that hardly two mappings have the same one.
    fn external(&self, family: Family, pooling: Pooling) -> String {
        let number = self.networks;
        match (family, pooling) {
            (Family::V4, Pooling::Paired) => format!("203.0.113.{number}"),
            (Family::V4, Pooling::Arbitrary) => format!("198.{}.0.0/16", 18 + number),
            (Family::V6, Pooling::Paired) => format!("2001:db8:2::{number}"),
            (Family::V6, Pooling::Arbitrary) => format!("2001:db8:3:{number}::/112"),
        }
    }
}

const fn pooling_word(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Paired => "paired",
        Pooling::Arbitrary => "arbitrary",
    }
}

pub(super) const fn hairpinning_word(hairpinning: Hairpinning) -> &'static str {
    match hairpinning {
        Hairpinning::Off => "off",
        Hairpinning::On => "on",
    }
}
