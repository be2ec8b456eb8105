//! Interfaces of this host: an input, never looked up.

use std::net::IpAddr;

/// An address of an interface of this host, as the driver reports it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// The index of the interface: the zone of a link-local address (RFC 4007 §6). 0 if it does not matter.
    pub index: u32,
}

impl InterfaceAddress {
    /// An address whose interface does not matter: any but a link-local one.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self { address, index: 0 }
    }
}
