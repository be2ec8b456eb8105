//! Which pairs are likely to work, so that their checks need not wait for those of pairs that are not.
//!
//! Host candidates have the highest priorities, and most of their pairs are between private networks that know nothing of each other: container bridges, tunnels, homes behind NATs. With a few
//! addresses on each side, everything that works comes behind dozens of them, 50 ms each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_machine::Path;

/// Whether packets are likely to get from one end of a pair to the other.
pub(crate) fn is_likely(path: &Path) -> bool {
    let (local, remote) = (path.local.ip(), path.remote.ip());
    is_public(remote) || share_network(local, remote)
}

/// Whether anybody may reach the address: it is not of private use (RFC 1918, RFC 4193), between a provider and its customers (RFC 6598), or of one link or host.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xC0 == 64;
            !(address.is_private() || address.is_link_local() || address.is_loopback() || is_shared)
        }
        IpAddr::V6(address) => !(address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()),
    }
}

/// Whether two addresses look like those of one network. Their real prefixes are not known; these are the usual ones.
fn share_network(one: IpAddr, other: IpAddr) -> bool {
    let network_v4 = |address: Ipv4Addr| address.to_bits() >> 8;
    let network_v6 = |address: Ipv6Addr| address.to_bits() >> 64;
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => network_v4(one) == network_v4(other),
        (IpAddr::V6(one), IpAddr::V6(other)) => network_v6(one) == network_v6(other),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likely(local: &str, remote: &str) -> bool {
        let at = |address: &str| (address.parse::<IpAddr>().unwrap(), 1).into();
        is_likely(&Path::udp(at(local), at(remote)))
    }

    #[test]
    fn public_addresses_and_neighbours_are_likely_to_be_reached_and_other_private_networks_are_not() {
        for (local, remote) in [
            ("10.0.0.2", "203.0.113.1"),
            ("192.168.1.2", "192.168.1.9"),
            ("172.17.0.1", "172.32.0.1"),
            ("10.0.0.2", "100.128.0.1"),
            ("fd00::1", "fd00::2"),
            ("fe80::1", "fe80::2"),
            ("2001:db8::1", "2001:db8:1::1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert!(likely(local, remote), "{local} {remote}");
        }
        for (local, remote) in [
            ("10.0.0.2", "10.0.1.2"),
            ("203.0.113.1", "192.168.1.9"),
            ("192.168.1.2", "172.31.0.1"),
            ("10.0.0.2", "100.64.0.1"),
            ("10.0.0.2", "127.0.0.1"),
            ("2001:db8::1", "fd00::2"),
            ("fd00::1", "fd00:0:0:1::1"),
        ] {
            assert!(!likely(local, remote), "{local} {remote}");
        }
    }
}
