//! What the table does not hold.

use std::time::Duration;

use driver_sim::network::Dependence;
use driver_sim::network::reachability::{CandidateKind, Layer, connecting_pairs};
use proto_machine::Timestamp;

use crate::support::{Case, GATHERED, hosts};
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
        case.late[late] = Duration::from_millis(200);
        let mut scene = case.build(1);
        let opened = scene.connect().unwrap();
        let begin = Timestamp::ZERO + GATHERED + case.late[late];
        assert!(opened < begin + Duration::from_millis(450), "{opened:?}, both had all candidates at {begin:?}");
    }
}
