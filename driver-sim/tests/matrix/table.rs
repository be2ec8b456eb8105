//! The table: 11 kinds of hosts against each other.

use std::time::Duration;

use driver_sim::Probability;
use driver_sim::network::reachability::connecting_pairs;

use crate::support::{Case, hosts, print_figure};

/// Runs every cell with every seed and this many percent of loss, prints what happened with the first one, and compares all with the model.
fn assert_table(seeds: u64, percent_lost: u32) {
    let hosts = hosts();
    let mut disagreements = Vec::new();
    let mut lines = vec![format!("     {}", hosts.iter().map(|(name, _)| format!("{name:^3} ")).collect::<String>())];
    for (row, left) in &hosts {
        let mut cells = Vec::new();
        for (column, right) in &hosts {
            let expected = connecting_pairs(left, right, &[]);
            let mut case = Case::new(left.clone(), right.clone(), vec![]);
            case.link.loss = Probability::percent(percent_lost);
            let happened: Vec<_> = (0..seeds).map(|seed| case.run(seed)).collect();
            for (happened, seed) in happened.iter().zip(0_u64..) {
                let is_expected = happened.map_or(expected.is_empty(), |pair| expected.contains(&pair));
                if !is_expected {
                    disagreements.push(format!("{row} {column} seed {seed}: {happened:?}, expected {expected:?}"));
                }
            }
            cells.push(happened[0].map_or(" R ".to_owned(), |(left, right)| format!("{left}/{right}")));
        }
        lines.push(format!("{row:<4} {}", cells.join(" ")));
    }
    print_figure(&format!("{seeds} seeds a cell, {percent_lost} % loss:\n{}", lines.join("\n")));
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

#[test]
fn peers_connect_in_exactly_those_cells_and_by_those_candidates_that_the_model_names() {
    assert_table(2, 0);
}

#[test]
fn loss_changes_neither_who_connects_nor_by_what() {
    assert_table(2, 5);
}

#[test]
#[ignore = "a campaign of minutes"]
fn twenty_seeds_a_cell_without_loss_and_with_it() {
    assert_table(20, 0);
    assert_table(20, 5);
}

/// Whether they connect is a matter of the network; by which candidates, of what was known first.
#[test]
fn candidates_that_trickle_as_they_are_found_connect_the_same_cells() {
    for (row, left) in hosts() {
        for (column, right) in hosts() {
            let expected = !connecting_pairs(&left, &right, &[]).is_empty();
            let mut case = Case::new(left.clone(), right, vec![]);
            case.signalled = [Duration::ZERO; 2];
            assert_eq!(case.run(1).is_some(), expected, "{row} against {column}");
        }
    }
}
