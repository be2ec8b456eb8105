//! Ways through several networks.

use std::net::IpAddr;

use driver_sim::NodeId;
use driver_sim::network::{
    DropReason, Family, FirewallConfig, Hairpinning, Internet, InternetError, NatConfig, NetworkId, Packet, Undelivered,
};
use proto_machine::Seed;

use crate::support::{E, P, at, ip, seconds};

const SERVER: NodeId = NodeId::from_index(0);
const ALICE: NodeId = NodeId::from_index(1);
const BOB: NodeId = NodeId::from_index(2);

fn internet() -> Internet {
    let mut internet = Internet::new(Seed::from_number(1));
    internet.attach(Internet::PUBLIC, ip("192.0.2.1"), SERVER).unwrap();
    internet.attach(Internet::PUBLIC, ip("2001:db8::1"), SERVER).unwrap();
    internet
}

fn packet(network: NetworkId, source: &str, destination: &str) -> Packet {
    Packet { network, source: at(source), destination: at(destination) }
}

fn home(internet: &mut Internet, outside: NetworkId, config: NatConfig, external: &str) -> NetworkId {
    let network = internet.add_network();
    internet.add_nat(network, outside, config, vec![ip(external)]).unwrap();
    network
}

#[test]
fn hosts_of_the_public_internet_reach_each_other_with_the_addresses_they_have() {
    let mut internet = internet();
    internet.attach(Internet::PUBLIC, ip("192.0.2.2"), ALICE).unwrap();
    let sent = packet(Internet::PUBLIC, "192.0.2.2:1", "192.0.2.1:2");
    assert_eq!(internet.route(seconds(0), sent), Ok((SERVER, sent)));
    let nowhere = packet(Internet::PUBLIC, "192.0.2.2:1", "192.0.2.3:2");
    assert_eq!(internet.route(seconds(0), nowhere), Err(Undelivered::Unreachable));
}

#[test]
fn a_carrier_in_front_of_a_home_translates_twice_and_the_answer_finds_its_way_back() {
    let mut internet = internet();
    let carrier = home(&mut internet, Internet::PUBLIC, NatConfig::new(E, P), "203.0.113.1");
    let home = home(&mut internet, carrier, NatConfig::new(E, P), "100.64.0.2");
    internet.attach(home, ip("10.0.0.2"), ALICE).unwrap();
    let (node, arrived) = internet.route(seconds(0), packet(home, "10.0.0.2:5000", "192.0.2.1:3478")).unwrap();
    assert_eq!((node, arrived.source.ip()), (SERVER, ip("203.0.113.1")));
    let answer = Packet { network: Internet::PUBLIC, source: arrived.destination, destination: arrived.source };
    let (node, answered) = internet.route(seconds(0), answer).unwrap();
    assert_eq!((node, answered.destination, answered.network), (ALICE, at("10.0.0.2:5000"), home));
    assert_eq!(answered.source, at("192.0.2.1:3478"));
}

#[test]
fn neighbours_of_one_home_reach_each_other_without_the_nat() {
    let mut internet = internet();
    let home = home(&mut internet, Internet::PUBLIC, NatConfig::new(P, P), "203.0.113.1");
    internet.attach(home, ip("10.0.0.2"), ALICE).unwrap();
    internet.attach(home, ip("10.0.0.3"), BOB).unwrap();
    let sent = packet(home, "10.0.0.2:5000", "10.0.0.3:6000");
    assert_eq!(internet.route(seconds(0), sent), Ok((BOB, sent)));
}

#[test]
fn the_external_address_of_the_own_nat_reaches_a_neighbour_only_by_a_hairpin() {
    for hairpinning in [Hairpinning::Off, Hairpinning::On] {
        let mut internet = internet();
        let config = NatConfig { hairpinning, ..NatConfig::new(E, E) };
        let home = home(&mut internet, Internet::PUBLIC, config, "203.0.113.1");
        internet.attach(home, ip("10.0.0.2"), ALICE).unwrap();
        internet.attach(home, ip("10.0.0.3"), BOB).unwrap();
        let mut map = |source| internet.route(seconds(0), packet(home, source, "192.0.2.1:3478")).unwrap().1.source;
        let (alice, bob) = (map("10.0.0.2:5000"), map("10.0.0.3:6000"));
        let routed =
            internet.route(seconds(0), Packet { network: home, source: at("10.0.0.2:5000"), destination: bob });
        match hairpinning {
            Hairpinning::On => {
                let arrived = Packet { network: home, source: alice, destination: at("10.0.0.3:6000") };
                assert_eq!(routed, Ok((BOB, arrived)));
            }
            Hairpinning::Off => {
                let Err(Undelivered::Dropped { reason, .. }) = routed else { panic!("{routed:?}") };
                assert_eq!(reason, DropReason::Hairpin);
            }
        }
    }
}

/// RFC 4787 REQ-7: conflicting address spaces inside and outside.
#[test]
fn req_7_a_home_with_the_prefix_of_its_carrier_still_reaches_the_public_internet() {
    let mut internet = internet();
    let carrier = home(&mut internet, Internet::PUBLIC, NatConfig::new(E, P), "203.0.113.1");
    let home = home(&mut internet, carrier, NatConfig::new(E, P), "10.0.0.2");
    internet.attach(home, ip("10.0.0.2"), ALICE).unwrap();
    let (node, arrived) = internet.route(seconds(0), packet(home, "10.0.0.2:5000", "192.0.2.1:3478")).unwrap();
    assert_eq!((node, arrived.source.ip()), (SERVER, ip("203.0.113.1")));
}

#[test]
fn a_dual_stack_home_has_a_nat_for_ipv4_and_a_firewall_for_ipv6() {
    let mut internet = internet();
    let home = home(&mut internet, Internet::PUBLIC, NatConfig::new(E, P), "203.0.113.1");
    let firewall = internet.add_firewall(home, Internet::PUBLIC, FirewallConfig::default(), &[Family::V6]).unwrap();
    internet.attach(home, ip("10.0.0.2"), ALICE).unwrap();
    internet.attach(home, ip("2001:db8:1::2"), ALICE).unwrap();
    let unasked = packet(Internet::PUBLIC, "[2001:db8::1]:3478", "[2001:db8:1::2]:5000");
    let dropped = Undelivered::Dropped { at: firewall, reason: DropReason::Filtered };
    assert_eq!(internet.route(seconds(0), unasked), Err(dropped));
    let (_, arrived) = internet.route(seconds(0), packet(home, "[2001:db8:1::2]:5000", "[2001:db8::1]:3478")).unwrap();
    assert_eq!(arrived.source, at("[2001:db8:1::2]:5000"));
    assert_eq!(internet.route(seconds(0), unasked).map(|(node, _)| node), Ok(ALICE));
    let (_, arrived) = internet.route(seconds(0), packet(home, "10.0.0.2:5000", "192.0.2.1:3478")).unwrap();
    assert_eq!(arrived.source.ip(), ip("203.0.113.1"));
}

#[test]
fn a_network_without_a_gateway_for_a_family_reaches_nobody_in_it() {
    let mut internet = internet();
    let home = home(&mut internet, Internet::PUBLIC, NatConfig::new(E, P), "203.0.113.1");
    let sent = packet(home, "[2001:db8:1::2]:5000", "[2001:db8::1]:3478");
    assert_eq!(internet.route(seconds(0), sent), Err(Undelivered::Unreachable));
}

#[test]
fn a_nat_with_another_external_address_has_lost_its_mappings_and_makes_new_ones() {
    let mut internet = internet();
    let home = internet.add_network();
    let nat = internet.add_nat(home, Internet::PUBLIC, NatConfig::new(E, E), vec![ip("203.0.113.1")]).unwrap();
    internet.attach(home, ip("10.0.0.2"), ALICE).unwrap();
    let sent = packet(home, "10.0.0.2:5000", "192.0.2.1:3478");
    let before = internet.route(seconds(0), sent).unwrap().1.source;
    internet.renumber(nat, vec![ip("203.0.113.9")]).unwrap();
    let back = |destination| Packet { network: Internet::PUBLIC, source: at("192.0.2.1:3478"), destination };
    assert_eq!(internet.route(seconds(0), back(before)), Err(Undelivered::Unreachable));
    let after = internet.route(seconds(0), sent).unwrap().1.source;
    assert_eq!(after.ip(), ip("203.0.113.9"));
    assert_eq!(internet.route(seconds(0), back(after)).map(|(node, _)| node), Ok(ALICE));
    assert_eq!(internet.renumber(nat, vec![ip("192.0.2.1")]), Err(InternetError::AddressTaken(ip("192.0.2.1"))));
    assert_eq!(internet.nat(nat).unwrap().external_addresses(), [ip("203.0.113.9")]);
}

#[test]
fn a_host_that_has_left_its_network_is_unreachable() {
    let mut internet = internet();
    internet.detach(Internet::PUBLIC, ip("192.0.2.1")).unwrap();
    let sent = packet(Internet::PUBLIC, "192.0.2.2:1", "192.0.2.1:2");
    assert_eq!(internet.route(seconds(0), sent), Err(Undelivered::Unreachable));
    let gone = internet.detach(Internet::PUBLIC, ip("192.0.2.1"));
    assert_eq!(gone, Err(InternetError::NoSuchAddress(ip("192.0.2.1"))));
}

#[test]
fn networks_that_could_not_exist_are_refused() {
    let mut internet = internet();
    let (inside, outside) = (internet.add_network(), internet.add_network());
    let config = || NatConfig::new(E, E);
    let external = |address: &str| -> Vec<IpAddr> { vec![ip(address)] };
    let mut add = |inside, outside, external| internet.add_nat(inside, outside, config(), external).map(|_| ());
    assert_eq!(add(Internet::PUBLIC, outside, external("10.0.0.1")), Err(InternetError::Circular));
    assert_eq!(add(inside, inside, external("10.0.0.1")), Err(InternetError::Circular));
    assert_eq!(add(inside, outside, external("10.0.0.1")), Ok(()));
    assert_eq!(add(outside, inside, external("10.0.0.1")), Err(InternetError::Circular));
    assert_eq!(add(inside, outside, external("10.0.0.2")), Err(InternetError::SecondGateway(Family::V4)));
    assert_eq!(add(outside, Internet::PUBLIC, vec![]), Err(InternetError::ExternalAddresses));
    let mixed = vec![ip("203.0.113.1"), ip("2001:db8::9")];
    assert_eq!(add(outside, Internet::PUBLIC, mixed), Err(InternetError::ExternalAddresses));
    let taken = external("192.0.2.1");
    assert_eq!(add(outside, Internet::PUBLIC, taken), Err(InternetError::AddressTaken(ip("192.0.2.1"))));
}

#[test]
fn an_address_is_taken_on_both_sides_of_a_firewall() {
    let mut internet = internet();
    let office = internet.add_network();
    internet.add_firewall(office, Internet::PUBLIC, FirewallConfig::default(), &Family::ALL).unwrap();
    let taken = Err(InternetError::AddressTaken(ip("192.0.2.1")));
    assert_eq!(internet.attach(office, ip("192.0.2.1"), ALICE), taken);
    internet.attach(office, ip("192.0.2.2"), ALICE).unwrap();
    let taken = Err(InternetError::AddressTaken(ip("192.0.2.2")));
    assert_eq!(internet.attach(Internet::PUBLIC, ip("192.0.2.2"), BOB), taken);
}
