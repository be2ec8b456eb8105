//! The model against the table, and against what is known of relays.

use std::collections::BTreeSet;

use proto_machine::{Rng, Seed};

use super::*;

const E: Dependence = Dependence::EndpointIndependent;
const A: Dependence = Dependence::AddressDependent;
const P: Dependence = Dependence::AddressAndPortDependent;

/// The eleven kinds of hosts, in the order of the table.
fn hosts() -> Vec<(&'static str, Vec<Layer>)> {
    let nat = |mapping, filtering| vec![Layer::nat(mapping, filtering)];
    vec![
        ("pub", vec![]),
        ("fw", vec![Layer::Firewall]),
        ("EE", nat(E, E)),
        ("EA", nat(E, A)),
        ("EP", nat(E, P)),
        ("AE", nat(A, E)),
        ("AA", nat(A, A)),
        ("AP", nat(A, P)),
        ("PE", nat(P, E)),
        ("PA", nat(P, A)),
        ("PP", nat(P, P)),
    ]
}

/// Worked out apart from this model.
const TABLE: [&str; 11] = [
    "h/h h/h h/s h/s h/s h/p h/p h/p h/p h/p h/p",
    "h/h h/h h/s h/s h/s  R   R   R   R   R   R ",
    "s/h s/h s/s s/s s/s s/p s/p s/p s/p s/p s/p",
    "s/h s/h s/s s/s s/s s/p s/p s/p s/p s/p s/p",
    "s/h s/h s/s s/s s/s  R   R   R   R   R   R ",
    "p/h  R  p/s p/s  R  p/p p/p  R  p/p p/p  R ",
    "p/h  R  p/s p/s  R  p/p  R   R  p/p  R   R ",
    "p/h  R  p/s p/s  R   R   R   R   R   R   R ",
    "p/h  R  p/s p/s  R  p/p p/p  R   R   R   R ",
    "p/h  R  p/s p/s  R  p/p  R   R   R   R   R ",
    "p/h  R  p/s p/s  R   R   R   R   R   R   R ",
];

fn cell(left: &[Layer], right: &[Layer], shared: &[Layer]) -> String {
    words(&connecting_pairs(left, right, shared))
}

fn words(pairs: &BTreeSet<(CandidateKind, CandidateKind)>) -> String {
    let words: Vec<String> = pairs.iter().rev().map(|(left, right)| format!("{left}/{right}")).collect();
    if words.is_empty() { "R".to_owned() } else { words.join(" ") }
}

fn with_relay(left: &[Layer], right: &[Layer], shared: &[Layer]) -> BTreeSet<(CandidateKind, CandidateKind)> {
    Situation::ipv4(left, right, shared).with_relay(Relay::Udp).connecting_pairs()
}

#[test]
fn the_model_says_what_the_table_says_in_each_of_its_121_cells() {
    for ((row, left), cells) in hosts().iter().zip(TABLE) {
        for ((column, right), expected) in hosts().iter().zip(cells.split_whitespace()) {
            assert_eq!(cell(left, right, &[]), expected, "{row} against {column}");
        }
    }
}

#[test]
fn two_hosts_of_one_lan_connect_directly_whatever_is_around_them() {
    for (name, layers) in hosts() {
        assert!(cell(&[], &[], &layers).starts_with("h/h"), "{name}");
    }
}

#[test]
fn two_homes_behind_a_carrier_nat_connect_exactly_if_it_hairpins_and_maps_endpoint_independently() {
    let home = [Layer::nat(E, P)];
    for mapping in Dependence::ALL {
        for filtering in Dependence::ALL {
            for hairpinning in [Hairpinning::Off, Hairpinning::On] {
                let carrier = [Layer::nat(mapping, filtering).with_hairpinning(hairpinning)];
                let expected = if hairpinning == Hairpinning::On && mapping == E { "s/s" } else { "R" };
                assert_eq!(cell(&home, &home, &carrier), expected, "{mapping}{filtering}, {hairpinning:?}");
            }
        }
    }
}

/// One layer is as strict as the other if it is in both mapping and filtering.
#[test]
fn a_double_nat_connects_as_its_stricter_layer_does() {
    let nats: Vec<_> = Dependence::ALL.into_iter().flat_map(|m| Dependence::ALL.map(|f| (m, f))).collect();
    let mut compared = 0;
    for &inner in &nats {
        for &outer in &nats {
            let stricter = (inner.0.max(outer.0), inner.1.max(outer.1));
            if stricter != inner && stricter != outer {
                continue;
            }
            let double = [Layer::nat(inner.0, inner.1), Layer::nat(outer.0, outer.1)];
            for (name, other) in hosts() {
                let expected = cell(&[Layer::nat(stricter.0, stricter.1)], &other, &[]);
                assert_eq!(cell(&double, &other, &[]), expected, "{inner:?} in {outer:?} against {name}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 11 * 63);
}

#[test]
fn who_cannot_send_udp_connects_to_nobody() {
    for (name, other) in hosts() {
        assert_eq!(cell(&[Layer::UdpBlocked], &other, &[]), "R", "{name}");
        assert_eq!(cell(&[Layer::nat(E, E), Layer::UdpBlocked], &other, &[]), "R", "{name}");
    }
}

/// "With one relay it connects everywhere", and where it connected without, a relay is not what it uses.
#[test]
fn with_one_relay_every_cell_connects_and_those_that_did_without_are_as_before() {
    for (row, left) in hosts() {
        for (column, right) in hosts() {
            let (without, with) = (connecting_pairs(&left, &right, &[]), with_relay(&left, &right, &[]));
            if without.is_empty() {
                assert!(!with.is_empty() && with.iter().all(|pair| relays_in(pair) == 1), "{row}/{column}: {with:?}");
            } else {
                assert_eq!(with, without, "{row}/{column}");
            }
        }
    }
}

#[test]
fn one_relay_serves_any_peer_that_has_udp_except_under_arbitrary_pooling() {
    let cell = |left: Layer, right: Layer| words(&with_relay(&[left], &[right], &[]));
    let symmetric = Layer::nat(P, P);
    // The mapping towards the relay is one that no server has seen.
    assert_eq!(cell(symmetric, symmetric), "p/r r/p");
    // A firewall and a NAT that depends on the address alone are seen there with what the server has told them.
    assert_eq!(cell(Layer::Firewall, Layer::nat(A, P)), "h/r r/s");
    let pooled = symmetric.with_pooling(Pooling::Arbitrary);
    assert_eq!(cell(pooled, pooled), "r/r");
    assert_eq!(cell(pooled, symmetric), "r/p");
    // An endpoint-independent mapping has one address even then.
    assert_eq!(cell(Layer::nat(E, P).with_pooling(Pooling::Arbitrary), pooled), "s/r");
}

#[test]
fn who_cannot_send_udp_has_no_relay_over_udp_and_is_not_reached_through_that_of_the_other() {
    for (name, other) in hosts() {
        assert_eq!(with_relay(&[Layer::UdpBlocked], &other, &[]), BTreeSet::new(), "{name}");
    }
}

/// The relay is outside of what both share: what comes from it is no hairpin.
#[test]
fn two_homes_behind_a_carrier_nat_that_does_not_hairpin_meet_at_the_relay() {
    let home = [Layer::nat(E, P)];
    for (mapping, filtering) in [(E, E), (A, P), (P, P)] {
        let pairs = with_relay(&home, &home, &[Layer::nat(mapping, filtering)]);
        assert!(!pairs.is_empty() && pairs.iter().all(|pair| relays_in(pair) == 1), "{mapping}{filtering}: {pairs:?}");
    }
}

fn dual_stack(v4: Vec<Layer>, v6: Vec<Layer>) -> Surroundings {
    Surroundings::ipv4(v4).with(Family::V6, v6)
}

#[test]
fn hosts_without_a_common_family_meet_at_a_relay_of_both() {
    let (wall, home) = (Surroundings::ipv6(vec![Layer::Firewall]), Surroundings::ipv4(vec![Layer::nat(P, P)]));
    let situation = Situation { sides: [wall, home], ..Situation::default() };
    assert_eq!(words(&situation.connecting_pairs()), "R");
    // What the firewall lets in is what was written to: the relay of the other side. What the NAT sends through is new to the relay, and its address is not.
    assert_eq!(words(&situation.with_relay(Relay::Udp).connecting_pairs()), "h/r r/p");
}

#[test]
fn dual_stack_hosts_connect_if_either_family_does() {
    let symmetric = || vec![Layer::nat(P, P)];
    let against = |v6: Vec<Layer>| {
        let sides = [dual_stack(symmetric(), vec![Layer::Firewall]), dual_stack(symmetric(), v6)];
        Situation { sides, ..Situation::default() }
    };
    assert_eq!(words(&against(vec![Layer::Firewall]).connecting_pairs()), "h/h");
    assert_eq!(words(&against(symmetric()).connecting_pairs()), "R");
    assert_eq!(words(&against(vec![Layer::UdpBlocked]).connecting_pairs()), "R");
    // Whoever reaches the relay over one family has an address there of the other as well.
    let over_one = Situation {
        sides: [Surroundings::ipv6(vec![Layer::Firewall]), dual_stack(symmetric(), vec![Layer::UdpBlocked])],
        relay: Relay::Udp,
        ..Situation::default()
    };
    assert_eq!(words(&over_one.connecting_pairs()), "h/r r/p");
}

#[test]
fn relayed_candidates_alone_connect_everybody_who_has_udp() {
    for (row, left) in hosts() {
        for (column, right) in hosts() {
            let mut situation = Situation::ipv4(&left, &right, &[]).with_relay(Relay::Udp);
            situation.policies = [Policy::RelayOnly; 2];
            assert_eq!(words(&situation.connecting_pairs()), "r/r", "{row}/{column}");
            // The other side has relayed candidates as well; its own are tried first.
            situation.policies = [Policy::RelayOnly, Policy::All];
            let pairs = situation.connecting_pairs();
            assert!(
                !pairs.is_empty()
                    && pairs
                        .iter()
                        .all(|(left, right)| *left == CandidateKind::Relayed && *right != CandidateKind::Relayed),
                "{row}/{column}: {pairs:?}"
            );
        }
    }
}

/// One relay would do over IPv4. Priorities prefer the two over IPv6, as RFC 8445 §6.1.2.3 counts the lower candidate of a pair first.
#[test]
fn two_relays_of_the_preferred_family_are_as_good_as_one_of_the_other() {
    let pooled = Layer::nat(P, P).with_pooling(Pooling::Arbitrary);
    let sides = [vec![Layer::nat(P, P)], vec![pooled]].map(|v4| dual_stack(v4, vec![pooled]));
    let situation = Situation { sides, relay: Relay::Udp, ..Situation::default() };
    assert_eq!(words(&situation.connecting_pairs()), "p/r r/r");
}

fn random_layers(rng: &mut Rng, most: u64) -> Vec<Layer> {
    let mut below = |bound: u64| usize::try_from(rng.below(bound)).unwrap();
    let count = below(most + 1);
    let layer = |_| match below(8) {
        0 => Layer::Firewall,
        1 => Layer::UdpBlocked,
        number => {
            let (mapping, filtering) = (Dependence::ALL[below(3)], Dependence::ALL[below(3)]);
            let pooling = if number == 2 { Pooling::Arbitrary } else { Pooling::Paired };
            let hairpinning = if below(2) == 0 { Hairpinning::On } else { Hairpinning::Off };
            Layer::nat(mapping, filtering).with_pooling(pooling).with_hairpinning(hairpinning)
        }
    };
    (0..count).map(layer).collect()
}

#[test]
fn twice_as_many_exchanges_tell_no_more() {
    let mut rng = Seed::from_number(1).into_rng();
    for _ in 0..2_000 {
        let [left, right, shared] =
            [3, 3, 2].map(|most| dual_stack(random_layers(&mut rng, most), random_layers(&mut rng, most)));
        let relay = if rng.below(2) == 0 { Relay::Udp } else { Relay::Absent };
        let situation = Situation { sides: [left, right], shared, relay, ..Situation::default() };
        assert_eq!(situation.pairs_after(GENERATIONS), situation.pairs_after(2 * GENERATIONS), "{situation:?}");
    }
}
