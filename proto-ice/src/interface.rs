//! Addresses of this host, and the order in which they are preferred.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use proto_machine::InterfaceAddress;

use crate::AddressPolicy;

/// What to bind a socket to: this address, with a port of the system's choice.
pub(crate) fn bind_address(interface: InterfaceAddress) -> SocketAddr {
    match interface.address {
        IpAddr::V4(_) => SocketAddr::new(interface.address, 0),
        IpAddr::V6(ip) => {
            let zone = if ip.is_unicast_link_local() { interface.index } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, zone))
        }
    }
}

/// The usable addresses, best first, each once: IPv6 and IPv4 take turns, beginning with IPv6, so that no family has to wait for the other
/// (RFC 8421 §4). Within a family the order of the driver is kept, link-local and loopback addresses last.
pub(crate) fn usable_addresses(interfaces: &[InterfaceAddress], policy: AddressPolicy) -> Vec<InterfaceAddress> {
    let mut usable: Vec<InterfaceAddress> = Vec::new();
    for &interface in interfaces {
        if is_usable(interface.address, policy) && !usable.contains(&interface) {
            usable.push(interface);
        }
    }
    usable.sort_by_key(|interface| scope_rank(interface.address));
    let (mut v6, mut v4): (VecDeque<_>, VecDeque<_>) =
        usable.into_iter().partition(|interface| interface.address.is_ipv6());
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    while !v6.is_empty() || !v4.is_empty() {
        ordered.extend(v6.pop_front());
        ordered.extend(v4.pop_front());
    }
    ordered
}

/// RFC 8445 §5.1.1.1: no loopback and no IPv4-mapped addresses; link-local ones only where the application wants them.
fn is_usable(address: IpAddr, policy: AddressPolicy) -> bool {
    let mapped = matches!(address, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    let broadcast = matches!(address, IpAddr::V4(ip) if ip.is_broadcast());
    !address.is_unspecified()
        && !address.is_multicast()
        && !mapped
        && !broadcast
        && (policy.gather_loopback || !address.is_loopback())
        && (policy.gather_link_local || !is_link_local(address))
}

/// Whether the address is only valid on one link.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// 0 for addresses that reach far, higher for those that do not.
fn scope_rank(address: IpAddr) -> u8 {
    if address.is_loopback() { 2 } else { u8::from(is_link_local(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(addresses: &[&str]) -> Vec<InterfaceAddress> {
        addresses.iter().map(|address| InterfaceAddress::new(address.parse().unwrap())).collect()
    }

    fn ordered(addresses: &[&str], policy: AddressPolicy) -> Vec<String> {
        let usable = usable_addresses(&interfaces(addresses), policy);
        usable.iter().map(|interface| interface.address.to_string()).collect()
    }

    /// Item 13 (RFC 8421 §4).
    #[test]
    fn item_13_address_families_take_turns_beginning_with_ipv6() {
        let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"];
        assert_eq!(
            ordered(&addresses, AddressPolicy::default()),
            ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3", "2001:db8::4"]
        );
    }

    #[test]
    fn loopback_and_link_local_addresses_are_gathered_only_by_configuration_and_last() {
        let addresses = ["127.0.0.1", "169.254.1.1", "fe80::1", "192.0.2.1"];
        assert_eq!(ordered(&addresses, AddressPolicy::default()), ["192.0.2.1"]);
        let everything = AddressPolicy { gather_loopback: true, gather_link_local: true };
        assert_eq!(ordered(&addresses, everything), ["fe80::1", "192.0.2.1", "169.254.1.1", "127.0.0.1"]);
    }

    #[test]
    fn addresses_that_nobody_can_send_to_are_never_gathered() {
        let everything = AddressPolicy { gather_loopback: true, gather_link_local: true };
        let addresses = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:192.0.2.1"];
        assert!(ordered(&addresses, everything).is_empty());
    }

    #[test]
    fn an_address_given_twice_is_gathered_once() {
        assert_eq!(ordered(&["192.0.2.1", "192.0.2.1"], AddressPolicy::default()), ["192.0.2.1"]);
    }

    #[test]
    fn a_link_local_socket_is_bound_in_its_zone() {
        let interface = InterfaceAddress { address: "fe80::1".parse().unwrap(), index: 7 };
        assert_eq!(bind_address(interface).to_string(), "[fe80::1%7]:0");
        let global = InterfaceAddress { address: "2001:db8::1".parse().unwrap(), index: 7 };
        assert_eq!(bind_address(global).to_string(), "[2001:db8::1]:0");
    }
}
