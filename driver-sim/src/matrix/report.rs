//! What happened in all cases.

use std::collections::BTreeSet;
use std::fmt;

use super::{Outcome, Row, extra_rows, hosts, table};
use crate::Probability;
use crate::network::reachability::Relay;

/// What happened in the table and in the extra cases.
///
/// It prints a header, the 11 rows of the table with one cell a column, and each extra row with its name before a colon. A cell lists every outcome that there was, with bars between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    table: Vec<Line>,
    extra: Vec<Line>,
    worlds: usize,
    disagreements: Vec<Disagreement>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    name: String,
    cells: Vec<BTreeSet<Outcome>>,
}

/// A world in which something else happened than was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disagreement {
    /// The [name of the case](super::Case::name).
    pub case: String,
    /// Its seed.
    pub seed: u64,
    /// What happened.
    pub outcome: Outcome,
    /// What was expected: one of these.
    pub expected: Vec<Outcome>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, seed, outcome, expected } = self;
        let expected: Vec<String> = expected.iter().map(Outcome::to_string).collect();
        write!(f, "{case}: {outcome} from seed {seed}, expected {}", expected.join(" or "))
    }
}

impl Report {
    /// Runs every case with this relay, the seeds from 0 to `seeds`, and this much loss.
    #[must_use]
    pub fn run(relay: Relay, seeds: u64, loss: Probability) -> Self {
        Self::run_rows(table(relay), extra_rows(relay), seeds, loss)
    }

    /// The same for other rows.
    #[must_use]
    pub fn run_rows(table: Vec<Row>, extra: Vec<Row>, seeds: u64, loss: Probability) -> Self {
        let mut report = Self { table: Vec::new(), extra: Vec::new(), worlds: 0, disagreements: Vec::new() };
        report.table = table.into_iter().map(|row| report.run_row(row, seeds, loss)).collect();
        report.extra = extra.into_iter().map(|row| report.run_row(row, seeds, loss)).collect();
        report
    }

    /// How many worlds were run.
    #[must_use]
    pub fn worlds(&self) -> usize {
        self.worlds
    }

    /// Everything that was not as expected.
    #[must_use]
    pub fn disagreements(&self) -> &[Disagreement] {
        &self.disagreements
    }

    fn run_row(&mut self, row: Row, seeds: u64, loss: Probability) -> Line {
        let mut cells = Vec::new();
        for case in row.cases {
            let case = case.with_loss(loss);
            let mut cell = BTreeSet::new();
            for seed in 0..seeds {
                let outcome = case.run(seed);
                self.worlds += 1;
                cell.insert(outcome);
                if !case.allows(outcome) {
                    let pairs = case.expected.iter().map(|&(left, right)| Outcome::Connected { left, right });
                    let mut expected: Vec<Outcome> = pairs.collect();
                    if expected.is_empty() {
                        expected.push(Outcome::Unconnected);
                    }
                    self.disagreements.push(Disagreement { case: case.name.clone(), seed, outcome, expected });
                }
            }
            cells.push(cell);
        }
        Line { name: row.name, cells }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header: Vec<String> = hosts().iter().map(|(name, _)| format!("{name:>3}")).collect();
        writeln!(f, "      {}", header.join(" ").trim_end())?;
        for line in &self.table {
            writeln!(f, "{:<5} {}", line.name, line.cells().trim_end())?;
        }
        self.extra.iter().try_for_each(|line| writeln!(f, "{}: {}", line.name, line.cells().trim()))
    }
}

impl Line {
    fn cells(&self) -> String {
        let cell = |outcomes: &BTreeSet<Outcome>| {
            let outcomes: Vec<String> = outcomes.iter().map(Outcome::to_string).collect();
            format!("{:^3}", outcomes.join("|"))
        };
        self.cells.iter().map(cell).collect::<Vec<_>>().join(" ")
    }
}
