//! The same seed gives the same world.

use std::time::Duration;

use driver_sim::{LinkConfig, Probability};

use crate::support::{complete, print_figure, world};

fn run(seed: u64) -> ([u8; 32], String) {
    let link = LinkConfig {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        loss: Probability::percent(5),
        duplication: Probability::percent(5),
        ..LinkConfig::default()
    };
    let (mut world, left, right) = world(seed, link, 20, 2_000);
    complete(seed, Duration::from_secs(60), &mut world, left, right);
    world.run_for(Duration::from_secs(60));
    (world.transcript().hash(), world.transcript().to_string())
}

#[test]
fn two_runs_from_the_same_seed_have_the_same_transcript() {
    for seed in 0..100 {
        let (first, second) = (run(seed), run(seed));
        let differs = first.1.lines().zip(second.1.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.0, second.0, "seed {seed}");
    }
    print_figure("100 seeds: two runs each, the same transcript hash");
}

#[test]
fn another_seed_gives_another_transcript() {
    assert_ne!(run(1).0, run(2).0);
}
