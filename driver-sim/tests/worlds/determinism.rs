//! The same seed gives the same world.

use std::time::Duration;

use driver_sim::{Captured, LinkConfig, Probability, for_seeds};

use crate::support::{complete, print_figure, world};

struct Run {
    hash: [u8; 32],
    transcript: String,
    datagrams: Vec<Captured>,
}

fn run(seed: u64) -> Run {
    let link = LinkConfig {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        loss: Probability::percent(5),
        duplication: Probability::percent(5),
        ..LinkConfig::default()
    };
    let (mut world, left, right) = world(seed, link, 20, 2_000);
    world.capture();
    complete(seed, Duration::from_secs(60), &mut world, left, right);
    world.run_for(Duration::from_secs(60));
    let transcript = world.transcript();
    Run { hash: transcript.hash(), transcript: transcript.to_string(), datagrams: world.captured().to_vec() }
}

#[test]
fn two_runs_from_the_same_seed_are_the_same_to_the_byte() {
    for_seeds("two_runs_from_the_same_seed_are_the_same_to_the_byte", 0..100, |seed| {
        let (first, second) = (run(seed), run(seed));
        let differs = first.transcript.lines().zip(second.transcript.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert!(first.datagrams == second.datagrams, "seed {seed}: the bytes differ");
    });
    print_figure("100 seeds, two runs each: the same transcript hash, and the same bytes in every datagram");
}

#[test]
fn another_seed_gives_another_transcript() {
    assert_ne!(run(1).hash, run(2).hash);
}
