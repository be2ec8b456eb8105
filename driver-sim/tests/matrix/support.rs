//! Cases without a name, and figures.

use std::io::Write as _;

use driver_sim::matrix::{Case, Outcome, Scene, Setting};
use driver_sim::network::reachability::{CandidateKind, Layer};

/// A case that is named by its layers.
pub(crate) fn case(setting: &Setting) -> Case {
    Case::new(&format!("{:?}", setting.situation), setting)
}

pub(crate) fn between(left: Vec<Layer>, right: Vec<Layer>) -> Case {
    case(&Setting::new(left, right))
}

/// A case that is expected to connect by host candidates, or not at all.
pub(crate) fn of_topology(text: &str, expected: &[(CandidateKind, CandidateKind)]) -> Case {
    Case::of_topology(text, text.to_owned(), expected.iter().copied().collect())
}

/// Runs it, and names everything if it comes out otherwise.
pub(crate) fn assert_as_expected(case: &Case, seed: u64) -> Outcome {
    let outcome = case.run(seed);
    assert!(
        case.allows(outcome),
        "seed {seed}: {outcome}, expected {:?}:\n{}\n{}",
        case.expected,
        case.name,
        case.topology
    );
    outcome
}

pub(crate) fn connected(case: &Case, seed: u64) -> Scene {
    let mut scene = Scene::new(case, seed);
    let outcome = scene.connect();
    assert!(matches!(outcome, Outcome::Connected { .. }), "seed {seed}: {outcome}:\n{}", case.topology);
    scene
}

/// Prints past the capture of the test harness: a figure is worth nothing if nobody sees it.
pub(crate) fn print_figure(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}
