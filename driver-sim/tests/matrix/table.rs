//! The table: 11 kinds of hosts against each other.

use driver_sim::network::reachability::connecting_pairs;

use crate::support::{Case, hosts, print_figure};

const SEEDS: u64 = 3;

#[test]
fn peers_connect_in_exactly_those_cells_and_by_those_candidates_that_the_model_names() {
    let hosts = hosts();
    let mut disagreements = Vec::new();
    let names: Vec<String> = hosts.iter().map(|(name, _)| format!("{name:^3}")).collect();
    print_figure(&format!("     {}", names.join(" ")));
    for (row, left) in &hosts {
        let mut cells = Vec::new();
        for (column, right) in &hosts {
            let expected = connecting_pairs(left, right, &[]);
            let case = Case::new(left.clone(), right.clone(), vec![]);
            for seed in 0..SEEDS {
                let happened = case.run(seed);
                let is_expected = happened.map_or(expected.is_empty(), |pair| expected.contains(&pair));
                if !is_expected {
                    disagreements.push(format!("{row} {column} seed {seed}: {happened:?}, expected {expected:?}"));
                }
                if seed == 0 {
                    cells.push(happened.map_or(" R ".to_owned(), |(left, right)| format!("{left}/{right}")));
                }
            }
        }
        print_figure(&format!("{row:<4} {}", cells.join(" ")));
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}
