//! Random networks against the model.

use driver_sim::network::Dependence;
use driver_sim::network::reachability::{Layer, connecting_pairs};
use proto_machine::{Rng, Seed};

use crate::support::{Case, print_figure};

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
    let hairpins = below(rng, 2) == 0;
    if below(rng, 6) == 0 { Layer::Firewall } else { Layer::Nat { mapping, filtering, hairpins } }
}

fn assert_worlds(count: u64) {
    let mut connected = 0;
    for seed in 0..count {
        let mut rng = Seed::from_number(seed).child("layers").into_rng();
        let (left, right, shared) = (layers(&mut rng, 3), layers(&mut rng, 3), layers(&mut rng, 2));
        let expected = connecting_pairs(&left, &right, &shared);
        let happened = Case::new(left.clone(), right.clone(), shared.clone()).run(seed);
        let is_expected = happened.map_or(expected.is_empty(), |pair| expected.contains(&pair));
        assert!(
            is_expected,
            "seed {seed}: {happened:?}, expected {expected:?}: {left:?} against {right:?}, both in {shared:?}"
        );
        connected += u64::from(happened.is_some());
    }
    print_figure(&format!("{count} random networks up to five layers deep: {connected} connect, as the model says"));
    assert!((count / 5..count - count / 5).contains(&connected), "{connected} of {count}: one answer is hardly tried");
}

#[test]
fn peers_in_random_nested_networks_connect_exactly_where_the_model_says() {
    assert_worlds(150);
}

#[test]
#[ignore = "a campaign of minutes"]
fn peers_in_thousands_of_random_networks_connect_exactly_where_the_model_says() {
    assert_worlds(5_000);
}
