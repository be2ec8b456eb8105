//! Many seeds of one scenario, and the line that replays the one that fails.

use std::fmt;

/// The variable of the environment that names the only seed to run.
const VARIABLE: &str = "DRIVER_SIM_SEED";

/// Runs a scenario from each of these seeds. If it panics from one, a line on standard error says how to run that one alone.
///
/// `scenario` is what selects it for `cargo test`: the name of the test. With the variable `DRIVER_SIM_SEED` set to a number, that is the only seed, for every scenario that is run.
///
/// ```
/// use driver_sim::{LinkConfig, Signal, World, for_seeds};
/// use proto_machine::Seed;
///
/// // In a test `everybody_arrives`; seed 17 fails with
/// // replay: DRIVER_SIM_SEED=17 cargo test everybody_arrives -- --include-ignored
/// for_seeds("everybody_arrives", 0..100, |seed| {
///     let mut world: World<Signal> = World::new(Seed::from_number(seed));
///     world.set_default_link(LinkConfig::default());
///     // … nodes, a condition, and an assertion.
/// });
/// ```
///
/// # Panics
///
/// If the scenario does, or the variable is no number.
pub fn for_seeds(scenario: &str, seeds: impl IntoIterator<Item = u64>, mut run: impl FnMut(u64)) {
    let mut run = |seed| {
        let _replay = Replay { scenario, seed };
        run(seed);
    };
    match only_seed() {
        Some(seed) => run(seed),
        None => seeds.into_iter().for_each(run),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one input beside arguments: a test has none")]
#[expect(clippy::expect_used, reason = "documented: a seed that cannot be read is not to be passed over")]
fn only_seed() -> Option<u64> {
    let text = std::env::var(VARIABLE).ok()?;
    Some(text.parse().expect("DRIVER_SIM_SEED is a number"))
}

/// Speaks up if it is dropped by a panic.
struct Replay<'a> {
    scenario: &'a str,
    seed: u64,
}

impl fmt::Display for Replay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A campaign that is ignored is to be run all the same.
        write!(f, "replay: {VARIABLE}={} cargo test {} -- --include-ignored", self.seed, self.scenario)
    }
}

impl Drop for Replay<'_> {
    #[expect(clippy::print_stderr, reason = "what a failing test has to say stands beside its panic")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self}");
        }
    }
}
