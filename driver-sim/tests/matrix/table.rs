//! The table: 11 kinds of hosts against each other, and the extra cases.

use std::time::Duration;

use driver_sim::Probability;
use driver_sim::matrix::{Outcome, Report, table};
use driver_sim::network::reachability::{CandidateKind, Relay};

use crate::support::print_figure;

/// Runs every case with every seed and this many percent of loss, prints what happened, and compares all with the model.
fn report(relay: Relay, seeds: u64, percent_lost: u32) -> Report {
    let report = Report::run(relay, seeds, Probability::percent(percent_lost));
    let worlds = report.worlds();
    print_figure(&format!("{relay:?} relay, {seeds} seeds a cell, {percent_lost} % loss, {worlds} worlds:\n{report}"));
    let disagreements: Vec<String> = report.disagreements().iter().map(ToString::to_string).collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    report
}

/// Worked out apart from this program. Where it says that a relay is needed, both sides have failed.
const TABLE: &str = "      pub fw  EE  EA  EP  AE  AA  AP  PE  PA  PP
pub   h/h h/h h/s h/s h/s h/p h/p h/p h/p h/p h/p
fw    h/h h/h h/s h/s h/s  R   R   R   R   R   R
EE    s/h s/h s/s s/s s/s s/p s/p s/p s/p s/p s/p
EA    s/h s/h s/s s/s s/s s/p s/p s/p s/p s/p s/p
EP    s/h s/h s/s s/s s/s  R   R   R   R   R   R
AE    p/h  R  p/s p/s  R  p/p p/p  R  p/p p/p  R
AA    p/h  R  p/s p/s  R  p/p  R   R  p/p  R   R
AP    p/h  R  p/s p/s  R   R   R   R   R   R   R
PE    p/h  R  p/s p/s  R  p/p p/p  R   R   R   R
PA    p/h  R  p/s p/s  R  p/p  R   R   R   R   R
PP    p/h  R  p/s p/s  R   R   R   R   R   R   R
";

fn lines(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Two seeds: a sample of what `cargo xtask sim nat` runs twenty of.
#[test]
fn the_report_is_the_table_and_the_extra_cases_from_what_happened() {
    let printed = report(Relay::Absent, 2, 0).to_string();
    let (table, extra) = (lines(TABLE), lines(&printed).split_off(12));
    assert_eq!(lines(&printed)[..12], table, "{printed}");
    assert!(printed.lines().skip(12).all(|line| line.contains(": ")), "{printed}");
    assert_eq!(extra.len(), 15, "{printed}");
}

/// Two seeds again. Where the table has an `R`, one side is relayed; everything else is as it was.
#[test]
fn with_one_relay_every_cell_connects_and_those_that_did_without_are_as_before() {
    let printed = report(Relay::Udp, 2, 0).to_string();
    let (without, with) = (lines(TABLE), lines(&printed));
    for (row, expected) in with[1..12].iter().zip(&without[1..]) {
        for (cell, expected) in row.iter().zip(expected) {
            let is_relayed = |outcome: &str| outcome.matches('r').count() == 1 && outcome.len() == 3;
            let fits = if expected == "R" { cell.split('|').all(is_relayed) } else { cell == expected };
            assert!(fits, "{cell} in place of {expected}:\n{printed}");
        }
        assert_eq!(row.len(), expected.len(), "{printed}");
    }
    assert_eq!(with[0], without[0]);
    assert_eq!(with.len(), 12 + 19, "{printed}");
}

#[test]
fn what_is_not_as_expected_is_named_with_its_seed() {
    let mut row = table(Relay::Absent).swap_remove(0);
    row.cases.truncate(2);
    row.cases[1].expected = [(CandidateKind::Host, CandidateKind::PeerReflexive)].into();
    let report = Report::run_rows(Vec::new(), vec![row], 2, Probability::NEVER);
    assert_eq!((report.worlds(), report.to_string().lines().last()), (4, Some("pub: h/h h/h")));
    let disagreements: Vec<String> = report.disagreements().iter().map(ToString::to_string).collect();
    assert_eq!(disagreements, ["pub/fw: h/h from seed 0, expected h/p", "pub/fw: h/h from seed 1, expected h/p"]);
}

#[test]
fn loss_changes_neither_who_connects_nor_by_what() {
    report(Relay::Absent, 2, 5);
    report(Relay::Udp, 2, 5);
}

#[test]
#[ignore = "a campaign of minutes"]
fn twenty_seeds_a_cell_without_loss_and_with_it() {
    for relay in [Relay::Absent, Relay::Udp] {
        report(relay, 20, 0);
        report(relay, 20, 5);
    }
}

/// Whether they connect is a matter of the network; by which candidates, of what was known first.
#[test]
fn candidates_that_trickle_as_they_are_found_connect_the_same_cells() {
    for mut case in table(Relay::Absent).into_iter().flat_map(|row| row.cases) {
        case.signalled = [Duration::ZERO; 2];
        let outcome = case.run(1);
        assert_eq!(matches!(outcome, Outcome::Connected { .. }), !case.expected.is_empty(), "{}: {outcome}", case.name);
    }
}
