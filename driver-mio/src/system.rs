//! What else a machine needs of the system: addresses and entropy.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use proto_machine::Seed;

/// An address of this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceAddress {
    /// The name of the interface.
    pub name: String,
    /// The system's index of the interface.
    pub index: Option<u32>,
    /// The address.
    pub address: IpAddr,
    /// Bits of the address that name its network.
    pub prefix_length: u8,
    /// Whether only this host can reach it.
    pub loopback: bool,
    /// Whether only hosts on the same link can reach it. ICE has rules of its own for these (RFC 8445 §5.1.1.1).
    pub link_local: bool,
    /// Whether the interface has exactly one other end, as tunnels have.
    pub point_to_point: bool,
}

/// What a machine needs to know of it.
impl From<InterfaceAddress> for proto_machine::InterfaceAddress {
    fn from(interface: InterfaceAddress) -> Self {
        Self { address: interface.address, index: interface.index.unwrap_or_default() }
    }
}

impl InterfaceAddress {
    /// The address with a port, as a bind request wants it: link-local IPv6 addresses name their interface (RFC 4007 §6).
    #[must_use]
    pub fn socket_address(&self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V6(address) if self.link_local => {
                SocketAddrV6::new(address, port, 0, self.index.unwrap_or_default()).into()
            }
            address => SocketAddr::new(address, port),
        }
    }
}

/// The addresses of all interfaces that are up, loopback and link-local ones included.
///
/// # Errors
/// What the system says if it cannot list them.
pub fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let interfaces = if_addrs::get_if_addrs()?;
    Ok(interfaces
        .into_iter()
        .filter(if_addrs::Interface::is_oper_up)
        .map(|interface| InterfaceAddress {
            index: interface.index,
            address: interface.ip(),
            prefix_length: match &interface.addr {
                if_addrs::IfAddr::V4(address) => address.prefixlen,
                if_addrs::IfAddr::V6(address) => address.prefixlen,
            },
            loopback: interface.is_loopback(),
            link_local: interface.is_link_local(),
            point_to_point: interface.is_p2p(),
            name: interface.name,
        })
        .collect())
}

/// A seed from the system's generator.
///
/// # Errors
/// What the system says if it has no entropy to give.
pub fn system_seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Seed::from_bytes(bytes))
}
