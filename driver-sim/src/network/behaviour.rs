//! What mappings and filters depend on (RFC 4787 §4.1, §5).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How much of the remote endpoint a mapping or a filter looks at. The same three words serve both (RFC 4787 §4.1, §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dependence {
    /// Nothing: one mapping for all destinations; any source passes the filter. Written `E`.
    EndpointIndependent,
    /// The IP address. Written `A`.
    AddressDependent,
    /// The IP address and the port. Written `P`.
    AddressAndPortDependent,
}

impl Dependence {
    /// All three, from the most permissive.
    pub const ALL: [Self; 3] = [Self::EndpointIndependent, Self::AddressDependent, Self::AddressAndPortDependent];

    /// The letter that stands for it in names such as `EP`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::EndpointIndependent => 'E',
            Self::AddressDependent => 'A',
            Self::AddressAndPortDependent => 'P',
        }
    }

    /// What a letter stands for.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|dependence| dependence.letter() == letter)
    }

    /// What is left of a remote endpoint.
    pub(crate) const fn of(self, remote: SocketAddr) -> Remote {
        match self {
            Self::EndpointIndependent => Remote::Any,
            Self::AddressDependent => Remote::Address(remote.ip()),
            Self::AddressAndPortDependent => Remote::Endpoint(remote),
        }
    }
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

/// A remote endpoint, as far as a behaviour looks at it: the key of mappings and of filters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Remote {
    Any,
    Address(IpAddr),
    Endpoint(SocketAddr),
}

/// Why a middlebox did not pass a datagram on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// Nothing was sent from behind the middlebox that would have mapped this external endpoint, or it was too long ago.
    NoMapping,
    /// The filter does not know the source.
    Filtered,
    /// It came from behind the NAT for the NAT's own external address, and hairpinning is off.
    Hairpin,
    /// No external port of the right address is free.
    PortsExhausted,
    /// A table is full.
    TableFull,
    /// The NAT has no external address of the datagram's family, or its destination is of another one.
    NoExternalAddress,
    /// The policy is to pass no UDP.
    UdpBlocked,
    /// The policy is to pass no TCP but to port 443.
    PortBlocked,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMapping => "no mapping",
            Self::Filtered => "filtered",
            Self::Hairpin => "no hairpinning",
            Self::PortsExhausted => "no port is free",
            Self::TableFull => "the table is full",
            Self::NoExternalAddress => "no external address",
            Self::UdpBlocked => "UDP is blocked",
            Self::PortBlocked => "the port is blocked",
        })
    }
}
