//! Addresses, moments and NATs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use driver_sim::network::{Dependence, Nat, NatConfig};
use proto_machine::{Seed, Timestamp};

pub(crate) use Dependence::{AddressAndPortDependent as P, AddressDependent as A, EndpointIndependent as E};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

/// Every mapping with every filtering behaviour.
pub(crate) fn behaviours() -> impl Iterator<Item = (Dependence, Dependence)> {
    Dependence::ALL
        .into_iter()
        .flat_map(|mapping| Dependence::ALL.into_iter().map(move |filtering| (mapping, filtering)))
}

/// A NAT with one external address.
pub(crate) fn nat(config: NatConfig) -> Nat {
    Nat::new(config, vec![ip("203.0.113.1")], Seed::from_number(1)).unwrap()
}
