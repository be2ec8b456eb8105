//! Random networks against the model.

use driver_sim::for_seeds;
use driver_sim::matrix::{Outcome, Setting};
use driver_sim::network::reachability::{Layer, Relay, Situation, Surroundings};
use driver_sim::network::{Dependence, Family, Hairpinning, Pooling};
use proto_machine::{Rng, Seed};

use crate::support::{assert_as_expected, case, print_figure};

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap()
}

fn layers(rng: &mut Rng, most: usize) -> Vec<Layer> {
    let count = below(rng, most + 1);
    (0..count).map(|_| layer(rng)).collect()
}

/// A NAT five times out of six, endpoint-independent more often than not: or most would need a relay.
fn layer(rng: &mut Rng) -> Layer {
    let [mapping, filtering] = [3, 1].map(|more| {
        let drawn = below(rng, 3 + more);
        Dependence::ALL[drawn.saturating_sub(more)]
    });
    let hairpinning = if below(rng, 2) == 0 { Hairpinning::On } else { Hairpinning::Off };
    if below(rng, 6) == 0 { Layer::Firewall } else { Layer::nat(mapping, filtering).with_hairpinning(hairpinning) }
}

fn assert_worlds(scenario: &str, count: u64) {
    let mut connected = 0;
    let mut worlds = 0;
    for_seeds(scenario, 0..count, |seed| {
        let mut rng = Seed::from_number(seed).child("layers").into_rng();
        let (left, right, shared) = (layers(&mut rng, 3), layers(&mut rng, 3), layers(&mut rng, 2));
        let outcome = assert_as_expected(&case(&Setting::new(left, right).behind(shared)), seed);
        connected += u64::from(matches!(outcome, Outcome::Connected { .. }));
        worlds += 1;
    });
    print_figure(&format!("{worlds} random networks up to five layers deep: {connected} connect, as the model says"));
    let few = worlds / 5;
    assert!((few..=worlds - few).contains(&connected), "{connected} of {worlds}: one answer is hardly tried");
}

/// Layers of every kind: firewalls, blocked UDP and arbitrary pooling too.
fn any_layers(rng: &mut Rng, most: usize) -> Vec<Layer> {
    let change = |layer: Layer, rng: &mut Rng| match below(rng, 16) {
        0 => Layer::UdpBlocked,
        1 | 2 => layer.with_pooling(Pooling::Arbitrary),
        _ => layer,
    };
    layers(rng, most).into_iter().map(|layer| change(layer, rng)).collect()
}

/// IPv4, IPv6 or both.
fn surroundings(rng: &mut Rng, most: usize) -> Surroundings {
    let (v4, v6) = (any_layers(rng, most), any_layers(rng, most));
    match below(rng, 4) {
        0 => Surroundings::ipv4(v4),
        1 => Surroundings::ipv6(v6),
        _ => Surroundings::ipv4(v4).with(Family::V6, v6),
    }
}

fn situation(rng: &mut Rng) -> Situation {
    let sides = [surroundings(rng, 2), surroundings(rng, 2)];
    let shared = Surroundings::ipv4(any_layers(rng, 1)).with(Family::V6, any_layers(rng, 1));
    let relay = if below(rng, 2) == 0 { Relay::Udp } else { Relay::Absent };
    Situation { sides, shared, relay, ..Situation::default() }
}

fn assert_situations(scenario: &str, count: u64) {
    let (mut direct, mut relayed, mut worlds) = (0, 0, 0);
    for_seeds(scenario, 0..count, |seed| {
        let mut rng = Seed::from_number(seed).child("situation").into_rng();
        let outcome = assert_as_expected(&case(&Setting::of(situation(&mut rng))), seed);
        relayed += u64::from(outcome.is_relayed());
        direct += u64::from(outcome != Outcome::Unconnected && !outcome.is_relayed());
        worlds += 1;
    });
    print_figure(&format!(
        "{worlds} random networks of IPv4 and IPv6, with a relay or without: {direct} connect directly, {relayed} over the relay, as the model says"
    ));
    let unconnected = worlds - direct - relayed;
    let few = worlds / 10;
    assert!(direct > few && relayed > few && unconnected > few, "an answer is hardly tried");
}

#[test]
fn peers_in_random_networks_of_both_families_connect_exactly_where_the_model_says() {
    assert_situations("peers_in_random_networks_of_both_families_connect_exactly_where_the_model_says", 150);
}

#[test]
#[ignore = "a campaign of minutes"]
fn peers_in_thousands_of_random_networks_of_both_families_connect_exactly_where_the_model_says() {
    let name = "peers_in_thousands_of_random_networks_of_both_families_connect_exactly_where_the_model_says";
    assert_situations(name, 3_000);
}

#[test]
fn peers_in_random_nested_networks_connect_exactly_where_the_model_says() {
    assert_worlds("peers_in_random_nested_networks_connect_exactly_where_the_model_says", 150);
}

#[test]
#[ignore = "a campaign of minutes"]
fn peers_in_thousands_of_random_networks_connect_exactly_where_the_model_says() {
    assert_worlds("peers_in_thousands_of_random_networks_connect_exactly_where_the_model_says", 5_000);
}
