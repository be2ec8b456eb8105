//! A network address translator for UDP, as RFC 4787 describes its behaviours.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use proto_machine::{Rng, Seed, Timestamp};

use super::behaviour::{Dependence, DropReason, Remote};
use super::expiring::Expiring;
use super::internet::{Family, InternetError};
use super::ports::{Parity, Ports};

/// How external ports are chosen (RFC 4787 §4.2.1). No port is ever given to two mappings at a time; parity and the range of well-known ports are kept where one is free (REQ-3, REQ-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PortAssignment {
    /// Drawn from the seed.
    #[default]
    Random,
    /// The next one of its address that is free, so that they can be guessed; well-known ports are counted apart.
    Sequential,
    /// The internal port where it is free, else the next one.
    Preserving,
}

/// Which of several external addresses a mapping is given (RFC 4787 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Pooling {
    /// All mappings of an internal address share one external address.
    #[default]
    Paired,
    /// Each mapping draws its own.
    Arbitrary,
}

/// Whether endpoints behind a NAT reach each other over its external addresses (RFC 4787 §6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Hairpinning {
    /// They do not.
    #[default]
    Off,
    /// They do, and see each other's external endpoints (REQ-9a); filters apply.
    On,
}

/// The behaviour of a [`Nat`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatConfig {
    /// What a mapping depends on.
    pub mapping: Dependence,
    /// What the filter of a mapping depends on.
    pub filtering: Dependence,
    /// How external ports are chosen.
    pub port_assignment: PortAssignment,
    /// How external addresses are chosen.
    pub pooling: Pooling,
    /// Whether the inside reaches itself over the outside.
    pub hairpinning: Hairpinning,
    /// How long a mapping lives after the last datagram from inside, and so does what its filter knows. Datagrams from outside prolong nothing (RFC 4787 §4.3, REQ-6).
    pub lifetime: Duration,
    /// External ports, at least one and none below 1024: mappings of well-known ports are taken from 1 to 1023.
    pub ports: RangeInclusive<u16>,
    /// The most mappings at a time.
    pub mappings_limit: usize,
    /// The most remote endpoints that the filter of one mapping knows. What is sent to one more is dropped, but it prolongs the mapping.
    pub filter_limit: usize,
}

impl NatConfig {
    /// RFC 4787 REQ-5: five minutes are recommended.
    pub const RECOMMENDED_LIFETIME: Duration = Duration::from_secs(300);
    /// RFC 4787 REQ-5: two minutes are the least.
    pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(120);
    /// What the worst NATs in use give.
    pub const BAD_LIFETIME: Duration = Duration::from_secs(30);

    /// These two behaviours, random ports, paired pooling, no hairpinning, mappings for five minutes.
    #[must_use]
    pub const fn new(mapping: Dependence, filtering: Dependence) -> Self {
        Self {
            mapping,
            filtering,
            port_assignment: PortAssignment::Random,
            pooling: Pooling::Paired,
            hairpinning: Hairpinning::Off,
            lifetime: Self::RECOMMENDED_LIFETIME,
            ports: FIRST_DYNAMIC_PORT..=u16::MAX,
            mappings_limit: 65_536,
            filter_limit: 4_096,
        }
    }

    /// Whether there can be such a NAT.
    fn check(&self) -> Result<(), InternetError> {
        if self.lifetime.is_zero() {
            return Err(InternetError::Lifetime);
        }
        if self.ports.is_empty() || *self.ports.start() < FIRST_DYNAMIC_PORT {
            return Err(InternetError::Ports);
        }
        Ok(())
    }

    /// The two letters that stand for mapping and filtering, such as `EP`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}{}", self.mapping, self.filtering)
    }
}

/// Ports below are well-known (RFC 4787 §4.2.1).
const FIRST_DYNAMIC_PORT: u16 = 1_024;

/// Ranges that share no port, so that well-known ports stay well-known (RFC 4787 REQ-3a).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum PortClass {
    WellKnown,
    Dynamic,
}

impl PortClass {
    const fn of(port: u16) -> Self {
        if port < FIRST_DYNAMIC_PORT { Self::WellKnown } else { Self::Dynamic }
    }
}

/// A NAT: a value that is asked where datagrams go, and remembers what came from inside.
///
/// It holds no packets and touches no payload (RFC 4787 REQ-10). Expired entries count for nothing, whether or not they are still in a table.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    external: Vec<IpAddr>,
    family: Family,
    mappings: Expiring<MappingKey, Mapping>,
    /// The mapping behind each external endpoint.
    owners: BTreeMap<SocketAddr, MappingKey>,
    /// The ports of each external address that has a mapping, or had one.
    ports: BTreeMap<(IpAddr, PortClass), Ports>,
    rng: Rng,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct MappingKey {
    internal: SocketAddr,
    remote: Remote,
}

#[derive(Debug)]
struct Mapping {
    external: SocketAddr,
    /// Whose datagrams pass.
    permitted: Expiring<Remote, ()>,
}

impl Nat {
    /// A NAT with these external addresses.
    ///
    /// # Errors
    ///
    /// [`InternetError`] if there are no addresses or they are of two families, mappings live for no time, or there are no [ports](NatConfig::ports) above the well-known ones.
    pub fn new(config: NatConfig, external: Vec<IpAddr>, seed: Seed) -> Result<Self, InternetError> {
        config.check()?;
        let family = Family::of(*external.first().ok_or(InternetError::ExternalAddresses)?);
        if external.iter().any(|address| Family::of(*address) != family) {
            return Err(InternetError::ExternalAddresses);
        }
        let (mappings, owners, ports) = (Expiring::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { config, external, family, mappings, owners, ports, rng: seed.into_rng() })
    }

    /// Its behaviour.
    #[must_use]
    pub fn config(&self) -> &NatConfig {
        &self.config
    }

    /// Its external addresses.
    #[must_use]
    pub fn external_addresses(&self) -> &[IpAddr] {
        &self.external
    }

    /// A datagram from inside: the external endpoint that becomes its source. Makes or prolongs the mapping, and permits answers.
    ///
    /// # Errors
    ///
    /// Why it is dropped: ports or a table are exhausted, it is meant for a neighbour and hairpinning is off, or it is of the other family.
    pub fn outbound(
        &mut self,
        now: Timestamp,
        internal: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        if [internal, destination].iter().any(|endpoint| Family::of(endpoint.ip()) != self.family) {
            return Err(DropReason::NoExternalAddress);
        }
        if self.config.hairpinning == Hairpinning::Off && self.external.contains(&destination.ip()) {
            return Err(DropReason::Hairpin);
        }
        let key = MappingKey { internal, remote: self.config.mapping.of(destination) };
        let (permitted, expires) = (self.config.filtering.of(destination), now + self.config.lifetime);
        if self.mappings.get(now, &key).is_none() {
            self.add_mapping(now, key, expires)?;
        }
        // It came from inside, whatever becomes of it (RFC 4787 REQ-6).
        self.mappings.prolong(key, expires);
        let limit = self.config.filter_limit;
        let Some(mapping) = self.mappings.get_mut(now, &key) else { return Err(DropReason::NoMapping) };
        while mapping.permitted.pop_expired(now).is_some() {}
        if mapping.permitted.get(now, &permitted).is_none() && mapping.permitted.len() >= limit {
            return Err(DropReason::TableFull);
        }
        mapping.permitted.insert(permitted, (), expires);
        Ok(mapping.external)
    }

    /// A datagram from outside: the internal endpoint that it goes to.
    ///
    /// # Errors
    ///
    /// Why it is dropped: there is no mapping, or the filter does not let the source pass.
    pub fn inbound(&self, now: Timestamp, external: SocketAddr, source: SocketAddr) -> Result<SocketAddr, DropReason> {
        let (key, mapping) = self.mapping_at(now, external).ok_or(DropReason::NoMapping)?;
        let permitted = mapping.permitted.get(now, &self.config.filtering.of(source));
        permitted.map(|()| key.internal).ok_or(DropReason::Filtered)
    }

    /// The internal endpoint behind an external one, whatever the filter says.
    #[must_use]
    pub fn internal(&self, now: Timestamp, external: SocketAddr) -> Option<SocketAddr> {
        self.mapping_at(now, external).map(|(key, _)| key.internal)
    }

    /// The mappings that are alive: internal and external endpoint.
    pub fn mappings(&self, now: Timestamp) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.mappings.iter(now).map(|(key, mapping)| (key.internal, mapping.external))
    }

    /// Forgets all mappings, as a reboot does. What is sent next is mapped anew, to other ports unless they are preserved.
    pub fn reboot(&mut self) {
        self.mappings.clear();
        self.owners.clear();
        self.ports.values_mut().for_each(Ports::give_back_all);
    }

    /// Gives the NAT other external addresses of the same family; all mappings are lost.
    pub(crate) fn renumber(&mut self, external: Vec<IpAddr>) {
        self.reboot();
        self.ports.clear();
        self.external = external;
    }

    fn mapping_at(&self, now: Timestamp, external: SocketAddr) -> Option<(MappingKey, &Mapping)> {
        let key = *self.owners.get(&external)?;
        self.mappings.get(now, &key).map(|mapping| (key, mapping))
    }

    fn add_mapping(&mut self, now: Timestamp, key: MappingKey, expires: Timestamp) -> Result<(), DropReason> {
        self.forget_expired(now);
        if self.mappings.len() >= self.config.mappings_limit {
            return Err(DropReason::TableFull);
        }
        let address = self.choose_address(now, key.internal.ip()).ok_or(DropReason::NoExternalAddress)?;
        let port = self.choose_port(address, key.internal.port()).ok_or(DropReason::PortsExhausted)?;
        let external = SocketAddr::new(address, port);
        self.owners.insert(external, key);
        self.mappings.insert(key, Mapping { external, permitted: Expiring::new() }, expires);
        Ok(())
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((_, Mapping { external, .. })) = self.mappings.pop_expired(now) {
            self.owners.remove(&external);
            if let Some(ports) = self.ports.get_mut(&(external.ip(), PortClass::of(external.port()))) {
                ports.give_back(external.port());
            }
        }
    }

    /// Paired: the address of the mappings that this internal address already has (RFC 4787 REQ-2).
    fn choose_address(&mut self, now: Timestamp, internal: IpAddr) -> Option<IpAddr> {
        let lowest = MappingKey { internal: SocketAddr::new(internal, 0), remote: Remote::Any };
        let existing = self.mappings.range_from(now, lowest).next().filter(|(key, _)| key.internal.ip() == internal);
        match (self.config.pooling, existing) {
            (Pooling::Paired, Some((_, mapping))) => Some(mapping.external.ip()),
            _ => {
                let drawn = self.rng.below(self.external.len() as u64);
                self.external.get(usize::try_from(drawn).unwrap_or(0)).copied()
            }
        }
    }

    /// Gives away a free port, of the parity of the internal one if there is any.
    fn choose_port(&mut self, address: IpAddr, internal: u16) -> Option<u16> {
        let class = PortClass::of(internal);
        let range = match class {
            PortClass::WellKnown => 1..=FIRST_DYNAMIC_PORT - 1,
            PortClass::Dynamic => self.config.ports.clone(),
        };
        let (first, last) = (*range.start(), *range.end());
        let ports = self.ports.entry((address, class)).or_insert_with(|| Ports::new(range));
        let start = match self.config.port_assignment {
            PortAssignment::Preserving => internal,
            PortAssignment::Sequential => ports.next(),
            PortAssignment::Random => {
                let count = u64::from(last.checked_sub(first)?) + 1;
                first.checked_add(u16::try_from(self.rng.below(count)).ok()?)?
            }
        };
        let like = ports.first_free(start, Parity::Of(internal));
        let found = like.or_else(|| ports.first_free(start, Parity::Any))?;
        ports.take(found);
        Some(found)
    }
}
