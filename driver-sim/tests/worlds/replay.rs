//! A failing seed names itself, and is run again alone. The test binary runs itself to see it.

use std::process::{Command, Output};

use driver_sim::for_seeds;

/// Fails from one seed of a hundred.
#[test]
#[ignore = "fails on purpose, when another test runs it"]
fn a_scenario_that_fails_from_seed_17() {
    for_seeds("a_scenario_that_fails_from_seed_17", 0..100, |seed| assert_ne!(seed, 17, "this one"));
}

fn run_again(seed: Option<&str>) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "replay::a_scenario_that_fails_from_seed_17", "--nocapture"]);
    command.env_remove("DRIVER_SIM_SEED").envs(seed.map(|seed| ("DRIVER_SIM_SEED", seed)));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(text.contains("running 1 test"), "{text}");
    (status.success(), text)
}

#[test]
fn a_scenario_that_fails_prints_the_line_that_replays_it() {
    let (passes, text) = run_again(None);
    assert!(!passes, "{text}");
    let line = "replay: DRIVER_SIM_SEED=17 cargo test a_scenario_that_fails_from_seed_17";
    assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{text}");
}

#[test]
fn the_variable_of_that_line_runs_that_seed_alone() {
    assert!(run_again(Some("16")).0);
    assert!(!run_again(Some("17")).0);
    let (passes, text) = run_again(Some("seventeen"));
    assert!(!passes && text.contains("DRIVER_SIM_SEED is a number"), "{text}");
}
