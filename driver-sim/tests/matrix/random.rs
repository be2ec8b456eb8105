//! Random networks against the model.

use driver_sim::for_seeds;
use driver_sim::matrix::{Outcome, Setting};
use driver_sim::network::reachability::Layer;
use driver_sim::network::{Dependence, Hairpinning};
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

#[test]
fn peers_in_random_nested_networks_connect_exactly_where_the_model_says() {
    assert_worlds("peers_in_random_nested_networks_connect_exactly_where_the_model_says", 150);
}

#[test]
#[ignore = "a campaign of minutes"]
fn peers_in_thousands_of_random_networks_connect_exactly_where_the_model_says() {
    assert_worlds("peers_in_thousands_of_random_networks_connect_exactly_where_the_model_says", 5_000);
}
