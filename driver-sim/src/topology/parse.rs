//! Lines to declarations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::str::SplitWhitespace;
use std::time::Duration;

use proto_machine::SocketError;

use super::{Declaration, Line, TopologyError, TopologyProblem};
use crate::network::{Dependence, Family, FirewallConfig, Hairpinning, NatConfig, Pooling, PortAssignment, UdpPolicy};
use crate::{Bottleneck, BurstLoss, LinkConfig, NameRecord, Probability, Rate};

type Result<T> = std::result::Result<T, TopologyProblem>;

/// What waits at a bottleneck if nothing is said: 64 KiB.
const DEFAULT_QUEUE: usize = 65_536;

pub(super) fn lines(text: &str) -> std::result::Result<Vec<Line>, TopologyError> {
    let numbered = text.lines().zip(1..);
    let line = |(text, number): (&str, usize)| {
        let content = text.split_once('#').map_or(text, |(content, _)| content);
        line(number, content).map_err(|problem| TopologyError { line: number, problem }).transpose()
    };
    numbered.filter_map(line).collect()
}

/// `None` if there is nothing in it.
fn line(number: usize, content: &str) -> Result<Option<Line>> {
    let mut words = Words { words: content.split_whitespace(), link: LinkWords::default() };
    let Some(name) = words.words.next() else { return Ok(None) };
    let declaration = match words.next("what it is")? {
        "nat" => words.nat()?,
        "firewall" => words.firewall()?,
        "host" => Declaration::Host(words.interfaces()?),
        "stun" => Declaration::StunServer(words.interfaces()?),
        "turn" => words.turn_server()?,
        "dns" => Declaration::HostName(words.name_record()?),
        other => return Err(unexpected(other)),
    };
    Ok(Some(Line { number, name: name.to_owned(), declaration, link: words.link.finish()? }))
}

/// An address, or all addresses of a prefix such as `198.18.0.0/16`: no more than 65,536.
fn addresses(word: &str) -> Option<Vec<IpAddr>> {
    let Some((address, length)) = word.split_once('/') else { return Some(vec![word.parse().ok()?]) };
    let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let (bits, first) = match address {
        IpAddr::V4(address) => (Ipv4Addr::BITS, u128::from(address.to_bits())),
        IpAddr::V6(address) => (Ipv6Addr::BITS, address.to_bits()),
    };
    let count = 1_u128 << bits.checked_sub(length).filter(|free| *free <= 16)?;
    let of_bits = |bits: u128| match address {
        IpAddr::V4(_) => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(_) => Some(Ipv6Addr::from_bits(bits).into()),
    };
    // The rest of the first address is zero.
    first.is_multiple_of(count).then(|| (first..=first + (count - 1)).filter_map(of_bits).collect())
}

fn unexpected(word: &str) -> TopologyProblem {
    TopologyProblem::Unexpected(word.to_owned())
}

/// The rest of a line, and what it has said of links so far.
struct Words<'a> {
    words: SplitWhitespace<'a>,
    link: LinkWords,
}

#[derive(Default)]
struct LinkWords {
    config: Option<LinkConfig>,
    rate: Option<Rate>,
    queue: Option<usize>,
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &'static str) -> Result<&'a str> {
        self.words.next().ok_or(TopologyProblem::Missing(what))
    }

    fn nat(&mut self) -> Result<Declaration> {
        let mut config = self.behaviour()?;
        let (mut external, mut outside) = (Vec::new(), None);
        // An address may follow `external`, and further ones it.
        let mut may_be_address = false;
        while let Some(word) = self.words.next() {
            if let (true, Some(addresses)) = (may_be_address, addresses(word)) {
                external.extend(addresses);
                continue;
            }
            may_be_address = word == "external";
            match word {
                "external" => {}
                "behind" => outside = Some(self.next("a network")?.to_owned()),
                "ports" => config.port_assignment = self.one_of(&PORTS)?,
                "pooling" => config.pooling = self.one_of(&POOLING)?,
                "hairpinning" => config.hairpinning = self.one_of(&HAIRPINNING)?,
                "lifetime" => config.lifetime = self.time()?,
                other => self.link_word(other)?,
            }
        }
        if external.is_empty() {
            return Err(TopologyProblem::Missing("an external address"));
        }
        Ok(Declaration::Nat { config, external, outside })
    }

    fn behaviour(&mut self) -> Result<NatConfig> {
        let word = self.next("the behaviour of the NAT")?;
        let mut letters = word.chars().map(Dependence::from_letter);
        match (letters.next(), letters.next(), letters.next()) {
            (Some(Some(mapping)), Some(Some(filtering)), None) => Ok(NatConfig::new(mapping, filtering)),
            _ => Err(unexpected(word)),
        }
    }

    fn firewall(&mut self) -> Result<Declaration> {
        let (mut config, mut families, mut outside) = (FirewallConfig::default(), Family::ALL.to_vec(), None);
        while let Some(word) = self.words.next() {
            match word {
                "ipv4" => families = vec![Family::V4],
                "ipv6" => families = vec![Family::V6],
                "udp" => config.udp = self.one_of(&UDP)?,
                "behind" => outside = Some(self.next("a network")?.to_owned()),
                "lifetime" => config.lifetime = self.time()?,
                other => self.link_word(other)?,
            }
        }
        Ok(Declaration::Firewall { config, families, outside })
    }

    fn turn_server(&mut self) -> Result<Declaration> {
        let mut users = Vec::new();
        let addresses = self.interfaces_and(|words, word| {
            if word != "user" {
                return words.link_word(word);
            }
            let name = words.next("the name of the user")?.to_owned();
            users.push((name, words.next("the password of the user")?.to_owned()));
            Ok(())
        })?;
        if users.is_empty() {
            Err(TopologyProblem::Missing("a user"))
        } else {
            Ok(Declaration::TurnServer(addresses, users))
        }
    }

    fn interfaces(&mut self) -> Result<Vec<(IpAddr, Option<String>)>> {
        self.interfaces_and(Self::link_word)
    }

    /// Addresses, each group of them with the network that it is in, and other words between.
    fn interfaces_and(
        &mut self,
        mut other: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<Vec<(IpAddr, Option<String>)>> {
        let mut interfaces: Vec<(IpAddr, Option<String>)> = Vec::new();
        let mut group = 0;
        while let Some(word) = self.words.next() {
            if let Ok(address) = word.parse() {
                interfaces.push((address, None));
            } else if word == "behind" && group < interfaces.len() {
                let network = self.next("a network")?;
                interfaces.iter_mut().skip(group).for_each(|(_, outside)| *outside = Some(network.to_owned()));
                group = interfaces.len();
            } else {
                other(self, word)?;
            }
        }
        if interfaces.is_empty() { Err(TopologyProblem::Missing("an address")) } else { Ok(interfaces) }
    }

    fn name_record(&mut self) -> Result<NameRecord> {
        let (mut addresses, mut other, mut delay) = (Vec::new(), None, Duration::ZERO);
        while let Some(word) = self.words.next() {
            match (word, word.parse()) {
                (_, Ok(address)) if other.is_none() => addresses.push(address),
                ("fails", _) if addresses.is_empty() => other = Some(NameRecord::failure(SocketError::NameNotFound)),
                ("silent", _) if addresses.is_empty() => other = Some(NameRecord::silence()),
                ("delay", _) => delay = self.time()?,
                _ => return Err(unexpected(word)),
            }
        }
        let record = match other {
            Some(record) => record,
            None if addresses.is_empty() => return Err(TopologyProblem::Missing("an address")),
            None => NameRecord::addresses(addresses),
        };
        Ok(record.after(delay))
    }

    fn link_word(&mut self, word: &str) -> Result<()> {
        match word {
            "delay" => self.config().delay = self.time()?,
            "jitter" => self.config().jitter = self.time()?,
            "loss" => self.config().loss = self.percentage()?,
            "burst" => self.config().burst_loss = Some(self.burst()?),
            "duplication" => self.config().duplication = self.percentage()?,
            "corruption" => self.config().corruption = self.percentage()?,
            "reordering" => {
                self.config().reordering = self.percentage()?;
                self.config().reordering_delay = self.time()?;
            }
            "mtu" => self.config().mtu = Some(self.number()?),
            "rate" => self.link.rate = Some(self.rate()?),
            "queue" => self.link.queue = Some(self.number()?),
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    fn burst(&mut self) -> Result<BurstLoss> {
        Ok(BurstLoss { begin: self.percentage()?, end: self.percentage()?, loss: self.percentage()? })
    }

    fn config(&mut self) -> &mut LinkConfig {
        self.link.config.get_or_insert_default()
    }

    fn one_of<T: Copy>(&mut self, choices: &[(&'static str, T)]) -> Result<T> {
        let word = self.next("a choice")?;
        let chosen = choices.iter().find(|(name, _)| *name == word);
        chosen.map(|(_, value)| *value).ok_or_else(|| unexpected(word))
    }

    fn time(&mut self) -> Result<Duration> {
        let word = self.next("a time")?;
        let milliseconds = word.strip_suffix("ms").and_then(|number| number.parse().ok()).map(Duration::from_millis);
        let seconds = || word.strip_suffix('s').and_then(|number| number.parse().ok()).map(Duration::from_secs);
        milliseconds.or_else(seconds).ok_or_else(|| unexpected(word))
    }

    fn percentage(&mut self) -> Result<Probability> {
        let word = self.next("a percentage")?;
        let number = word.strip_suffix('%').ok_or_else(|| unexpected(word))?;
        let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let digits = if is_number(whole) && is_number(tenth) && tenth.len() == 1 {
            [whole, tenth].concat()
        } else {
            String::new()
        };
        let per_mille = digits.parse().ok().filter(|per_mille| *per_mille <= 1_000);
        per_mille.map(Probability::per_mille).ok_or_else(|| unexpected(word))
    }

    fn number(&mut self) -> Result<usize> {
        let word = self.next("a number")?;
        word.parse().map_err(|_| unexpected(word))
    }

    fn rate(&mut self) -> Result<Rate> {
        let word = self.next("a rate")?;
        let units = [("kbit", 1_000), ("mbit", 1_000_000), ("", 1)];
        let (number, unit) = units
            .into_iter()
            .find_map(|(suffix, unit)| word.strip_suffix(suffix).map(|number| (number, unit)))
            .ok_or_else(|| unexpected(word))?;
        let bits = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).and_then(NonZeroU64::new);
        bits.map(Rate::bits_per_second).ok_or_else(|| unexpected(word))
    }
}

impl LinkWords {
    /// `None` if nothing was said.
    fn finish(self) -> Result<Option<LinkConfig>> {
        let bottleneck = match (self.rate, self.queue) {
            (Some(rate), queue) => Some(Bottleneck { rate, queue_bytes: queue.unwrap_or(DEFAULT_QUEUE) }),
            (None, None) => return Ok(self.config),
            (None, Some(_)) => return Err(TopologyProblem::Missing("the rate of the queue")),
        };
        Ok(Some(LinkConfig { bottleneck, ..self.config.unwrap_or_default() }))
    }
}

const PORTS: [(&str, PortAssignment); 3] = [
    ("random", PortAssignment::Random),
    ("sequential", PortAssignment::Sequential),
    ("preserving", PortAssignment::Preserving),
];

const POOLING: [(&str, Pooling); 2] = [("paired", Pooling::Paired), ("arbitrary", Pooling::Arbitrary)];

const HAIRPINNING: [(&str, Hairpinning); 2] = [("on", Hairpinning::On), ("off", Hairpinning::Off)];

const UDP: [(&str, UdpPolicy); 2] = [("allowed", UdpPolicy::Allowed), ("blocked", UdpPolicy::Blocked)];
