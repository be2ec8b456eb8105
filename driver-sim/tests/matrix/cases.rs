//! What the table does not hold, sentence by sentence, and more.

use std::time::Duration;

use driver_sim::matrix::{Case, Outcome, PrivateAddresses, Scene, Setting, hosts};
use driver_sim::network::reachability::{CandidateKind, Layer, Relay};
use driver_sim::network::{Dependence, DropReason, Hairpinning, Pooling};
use driver_sim::{Entry, World};
use proto_machine::Timestamp;

use crate::support::{assert_as_expected, between, case, of_topology};
use CandidateKind::{Host as H, ServerReflexive as S};
use Dependence::{AddressAndPortDependent as P, EndpointIndependent as E};

const DIRECT: Outcome = Outcome::Connected { left: H, right: H };
const REFLEXIVE: Outcome = Outcome::Connected { left: S, right: S };

fn nats() -> Vec<(Dependence, Dependence)> {
    Dependence::ALL.into_iter().flat_map(|mapping| Dependence::ALL.map(|filtering| (mapping, filtering))).collect()
}

fn home() -> Vec<Layer> {
    vec![Layer::nat(E, P)]
}

#[test]
fn the_same_lan_gives_h_h() {
    for (name, layers) in hosts() {
        assert_eq!(case(&Setting::new(vec![], vec![]).behind(layers)).run(1), DIRECT, "{name}");
    }
}

#[test]
fn two_homes_behind_one_carrier_nat_give_s_s_exactly_if_it_hairpins_and_maps_endpoint_independently_else_r() {
    for (mapping, filtering) in nats() {
        for hairpinning in [Hairpinning::Off, Hairpinning::On] {
            let carrier = Layer::nat(mapping, filtering).with_hairpinning(hairpinning);
            let meets = hairpinning == Hairpinning::On && mapping == E;
            let expected = if meets { REFLEXIVE } else { Outcome::Unconnected };
            let outcome = case(&Setting::new(home(), home()).behind(vec![carrier])).run(1);
            assert_eq!(outcome, expected, "{carrier}, {hairpinning:?}");
        }
    }
}

/// One layer is as strict as the other if it is in both mapping and filtering.
#[test]
fn a_double_nat_behaves_as_its_stricter_layer() {
    for (inner, outer) in nats().into_iter().flat_map(|inner| nats().into_iter().map(move |outer| (inner, outer))) {
        let stricter = (inner.0.max(outer.0), inner.1.max(outer.1));
        if stricter != inner && stricter != outer {
            continue;
        }
        for (name, other) in hosts() {
            let double = vec![Layer::nat(inner.0, inner.1), Layer::nat(outer.0, outer.1)];
            let single = between(vec![Layer::nat(stricter.0, stricter.1)], other.clone());
            let outcome = between(double, other).run(1);
            assert!(single.allows(outcome), "{inner:?} inside of {outer:?} against {name}: {outcome}");
        }
    }
}

/// One relay is enough against any NAT whose addresses are paired; else there are two.
#[test]
fn under_arbitrary_pooling_a_relay_connects_everybody() {
    let hosts = hosts();
    let pooled = |layers: &[Layer]| layers.iter().map(|layer| layer.with_pooling(Pooling::Arbitrary)).collect();
    for (row, left) in &hosts {
        for (column, right) in &hosts {
            for right in [right.clone(), pooled(right)] {
                let case = case(&Setting::new(pooled(left), right).with_relay(Relay::Udp));
                assert!(!case.expected.is_empty(), "{row} against {column}");
                assert_as_expected(&case, 1);
            }
        }
    }
}

#[test]
fn a_public_ipv6_firewall_against_a_symmetric_nat_needs_r() {
    let of_ipv6 = "
        stun   stun 2001:db8::100
        wall   firewall ipv6
        home   nat PP external 2001:db8:2::1
        left   host 2001:db8:1::2 behind wall
        right  host fd00::2 behind home
    ";
    assert_eq!(of_topology(of_ipv6, &[]).run(1), Outcome::Unconnected);
    // It is the mapping: with a NAT that maps endpoint-independently they meet.
    assert_ne!(of_topology(&of_ipv6.replace("PP", "EP"), &[]).run(1), Outcome::Unconnected);
    let dual_stack = "
        stun   stun 192.0.2.100 2001:db8::100
        here   nat PP external 203.0.113.1
        here   firewall ipv6
        there  nat PP external 203.0.113.2
        there  nat PP external 2001:db8:2::1
        left   host 10.0.0.2 2001:db8:1::2 behind here
        right  host 10.0.0.2 fd00::2 behind there
    ";
    assert_eq!(of_topology(dual_stack, &[]).run(1), Outcome::Unconnected);
    let endpoint_independent = dual_stack.replace("PP external 2001", "EP external 2001");
    assert_as_expected(&of_topology(&endpoint_independent, &[(H, S)]), 1);
}

#[test]
fn with_udp_blocked_on_one_side_or_on_both_nothing_connects_without_a_relay() {
    for (name, other) in hosts() {
        for blocked in [vec![Layer::UdpBlocked], vec![Layer::nat(E, E), Layer::UdpBlocked]] {
            assert_eq!(between(blocked.clone(), other.clone()).run(1), Outcome::Unconnected, "{name}");
            assert_eq!(between(other.clone(), blocked).run(1), Outcome::Unconnected, "{name}");
        }
    }
    assert_eq!(between(vec![Layer::UdpBlocked], vec![Layer::UdpBlocked]).run(1), Outcome::Unconnected);
}

/// The sides start at different times, either first.
#[test]
fn for_ep_against_ep_the_first_check_is_lost_and_success_comes_from_the_triggered_check_not_from_the_retransmission() {
    for late in [0, 1] {
        let mut case = between(home(), home());
        case.link.delay = Duration::from_millis(5);
        case.signalled[late] += Duration::from_millis(200);
        let mut scene = Scene::new(&case, 1);
        assert_eq!(scene.connect(), REFLEXIVE);
        let begin = Timestamp::ZERO + case.signalled[late];
        assert!(filtered(&scene.world).any(|at| at < begin), "no check was lost before the later side began");
        let opened = scene.opened().unwrap();
        assert!(opened < begin + Duration::from_millis(250), "{opened:?}, both had all candidates at {begin:?}");
    }
}

/// When NATs dropped what their filters did not know.
fn filtered<S: 'static>(world: &World<S>) -> impl Iterator<Item = Timestamp> {
    let entries = world.transcript().entries().iter();
    entries.filter_map(|entry| match entry {
        Entry::Dropped { at, reason: DropReason::Filtered, .. } => Some(*at),
        _ => None,
    })
}

#[test]
fn under_arbitrary_pooling_peers_connect_exactly_where_the_model_says() {
    let mut lost = Vec::new();
    for (row, left) in hosts() {
        for (column, right) in hosts() {
            let pooled: Vec<Layer> = left.iter().map(|layer| layer.with_pooling(Pooling::Arbitrary)).collect();
            let case = between(pooled, right.clone());
            assert_as_expected(&case, 1);
            if case.expected.is_empty() && !between(left.clone(), right).expected.is_empty() {
                lost.push(format!("{row}/{column}"));
            }
        }
    }
    // What the table connects and this does not: the second address of a mapping that depends on the destination is unknown to filters, and is another destination to mappings.
    assert_eq!(lost.join(" "), "AE/EA AE/AA AE/PA AA/EA AP/EA PE/EA PE/AE PE/AA PA/EA PA/AE PP/EA");
}

/// Checks to the other's private address come back to the own one.
#[test]
fn two_homes_with_the_same_private_addresses_connect_as_others_do() {
    for (_, left) in hosts() {
        for (_, right) in hosts() {
            let addresses = PrivateAddresses::Same;
            assert_as_expected(&case(&Setting { addresses, ..Setting::new(left.clone(), right) }), 1);
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
    assert_as_expected(&of_topology(text, &[(H, H)]), 1);
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
    assert_as_expected(&of_topology(text, &[(S, S)]), 1);
}

#[test]
#[should_panic(expected = "the topology of the case can be read")]
fn a_case_whose_topology_cannot_be_read_is_refused() {
    let _outcome = Case::of_topology("nonsense", "left hast 10.0.0.2".to_owned(), [].into()).run(1);
}
