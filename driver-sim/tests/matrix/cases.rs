//! What the table does not hold.

use std::time::Duration;

use driver_sim::network::Dependence;
use driver_sim::network::reachability::{CandidateKind, Layer, connecting_pairs};
use proto_machine::Timestamp;

use crate::support::{Case, GATHERED, hosts, scene};
use CandidateKind::{Host as H, ServerReflexive as S};
use Dependence::{AddressAndPortDependent as P, EndpointIndependent as E};

fn carrier(mapping: Dependence, hairpins: bool) -> Vec<Layer> {
    vec![Layer::Nat { mapping, filtering: P, hairpins }]
}

#[test]
fn two_hosts_of_one_lan_connect_directly() {
    for (name, layers) in hosts() {
        assert_eq!(Case::new(vec![], vec![], layers).run(1), Some((H, H)), "{name}");
    }
}

#[test]
fn two_homes_behind_a_carrier_nat_connect_exactly_if_it_hairpins_and_maps_endpoint_independently() {
    let home = || vec![Layer::nat(E, P)];
    for mapping in Dependence::ALL {
        for hairpins in [false, true] {
            let expected = (hairpins && mapping == E).then_some((S, S));
            let happened = Case::new(home(), home(), carrier(mapping, hairpins)).run(1);
            assert_eq!(happened, expected, "{mapping}, hairpinning {hairpins}");
        }
    }
}

#[test]
fn a_double_nat_connects_as_the_model_says() {
    let doubles = [[E, P, E, E], [E, E, E, P], [P, P, E, E], [E, E, P, P]];
    for [inner_mapping, inner_filtering, outer_mapping, outer_filtering] in doubles {
        let double = vec![Layer::nat(inner_mapping, inner_filtering), Layer::nat(outer_mapping, outer_filtering)];
        for (name, other) in hosts() {
            let expected = connecting_pairs(&double, &other, &[]);
            let happened = Case::new(double.clone(), other, vec![]).run(1);
            let is_expected = happened.map_or(expected.is_empty(), |pair| expected.contains(&pair));
            assert!(is_expected, "{double:?} against {name}: {happened:?}, expected {expected:?}");
        }
    }
}

#[test]
fn who_cannot_send_udp_connects_to_nobody() {
    assert_eq!(Case::new(vec![Layer::UdpBlocked], vec![], vec![]).run(1), None);
    assert_eq!(Case::new(vec![], vec![Layer::UdpBlocked], vec![]).run(1), None);
}

/// The first check of the earlier side dies at the other's filter. What connects is the check that the later side's own one triggers, long before the retransmission.
#[test]
fn two_port_restricted_homes_connect_by_the_triggered_check_and_not_by_the_retransmission() {
    for late in [0, 1] {
        let mut case = Case::new(vec![Layer::nat(E, P)], vec![Layer::nat(E, P)], vec![]);
        // Each side checks as soon as it has the other's candidates.
        case.signalled[late] = GATHERED + Duration::from_millis(200);
        let mut scene = case.build(1);
        let opened = scene.connect().unwrap();
        let begin = Timestamp::ZERO + case.signalled[late];
        assert!(opened < begin + Duration::from_millis(450), "{opened:?}, both had all candidates at {begin:?}");
    }
}

/// Checks to the other's private address come back to the own one.
#[test]
fn two_homes_with_the_same_private_addresses_connect_as_others_do() {
    for (row, left) in hosts() {
        for (column, right) in hosts() {
            let expected = connecting_pairs(&left, &right, &[]);
            let mut case = Case::new(left.clone(), right, vec![]);
            case.twins = true;
            let happened = case.run(1);
            let is_expected = happened.map_or(expected.is_empty(), |pair| expected.contains(&pair));
            assert!(is_expected, "{row} against {column}: {happened:?}, expected {expected:?}");
        }
    }
}

#[test]
fn dual_stack_homes_connect_over_ipv6_where_their_symmetric_nats_would_not() {
    let text = "
        stun   stun 192.0.2.100
        here   nat PP external 203.0.113.1
        here   firewall ipv6
        there  nat PP external 203.0.113.2
        there  firewall ipv6
        left   host 10.0.0.2 2001:db8:1::2 behind here
        right  host 10.0.0.2 2001:db8:2::2 behind there
    ";
    let mut scene = scene(text, 1);
    scene.connect().unwrap();
    assert_eq!([scene.kind(0), scene.kind(1)], [H, H]);
}

#[test]
fn a_host_with_nothing_but_ipv6_and_one_with_nothing_but_ipv4_do_not_meet() {
    let text = "
        stun   stun 192.0.2.100
        here   firewall ipv6
        there  nat PP external 203.0.113.2
        left   host 2001:db8:1::2 behind here
        right  host 10.0.0.2 behind there
    ";
    assert_eq!(scene(text, 1).connect(), None);
}

#[test]
fn of_two_networks_of_a_host_the_one_that_lets_it_out_connects() {
    let text = "
        stun    stun 192.0.2.100
        office  nat EP external 203.0.113.1
        wall    firewall udp blocked behind office
        mobile  nat EP external 203.0.113.2
        home    nat EP external 203.0.113.3
        left    host 10.0.0.2 behind wall 10.64.0.2 behind mobile
        right   host 10.0.0.2 behind home
    ";
    let mut scene = scene(text, 1);
    scene.connect().unwrap();
    assert_eq!([scene.kind(0), scene.kind(1)], [S, S]);
}
