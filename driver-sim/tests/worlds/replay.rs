//! A failing seed names itself, and is run again alone. The test binary runs itself to see it.

use std::process::{Command, Output};

use driver_sim::for_seeds;

/// Fails from one seed of a hundred.
#[test]
#[ignore = "fails on purpose, when another test runs it"]
fn a_scenario_that_fails_from_seed_17() {
    for_seeds("a_scenario_that_fails_from_seed_17", 0..100, |seed| assert_ne!(seed, 17, "this one"));
}

/// Whether this test binary succeeds with these arguments, and what it prints.
fn run(variable: Option<(&str, &str)>, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env_remove("DRIVER_SIM_SEED").envs(variable);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(text.contains("running 1 test"), "{text}");
    (status.success(), text)
}

fn run_all() -> (bool, String) {
    run(None, &["--include-ignored", "a_scenario_that_fails_from_seed_17"])
}

/// The printed line as its variable, its value, and what `cargo test` hands on to the binary.
fn printed_line(text: &str) -> (&str, &str, Vec<&str>) {
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("replay: ")).collect();
    let [line] = lines[..] else { panic!("one line tells how to replay: {text}") };
    let (environment, command) = line.split_once(' ').unwrap();
    let (variable, value) = environment.split_once('=').unwrap();
    let arguments = command.strip_prefix("cargo test ").unwrap().split(' ').filter(|word| *word != "--");
    (variable, value, arguments.collect())
}

#[test]
fn a_scenario_that_fails_prints_the_line_that_replays_it_even_if_it_is_ignored() {
    let (passes, text) = run_all();
    assert!(!passes, "{text}");
    let (variable, value, arguments) = printed_line(&text);
    assert_eq!((variable, value), ("DRIVER_SIM_SEED", "17"));
    let (passes, text) = run(Some((variable, value)), &arguments);
    assert!(!passes && text.contains("this one"), "{text}");
}

#[test]
fn the_variable_of_that_line_runs_that_seed_alone() {
    let (_, text) = run_all();
    let (variable, _, arguments) = printed_line(&text);
    let (passes, text) = run(Some((variable, "16")), &arguments);
    assert!(passes && text.contains("1 passed"), "{text}");
    let (passes, text) = run(Some((variable, "seventeen")), &arguments);
    assert!(!passes && text.contains("DRIVER_SIM_SEED is a number"), "{text}");
}
