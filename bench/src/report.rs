//! What a run tells.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::sizes::{Sizes, SizesSeen};
use crate::workloads::{StackName, Workload};

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// By name, the most important first.
    pub figures: Vec<(&'static str, f64)>,
    /// The datagrams of the run, connecting included.
    pub datagrams: SizesSeen,
}

impl Outcome {
    /// Figures, and the datagrams that were seen.
    #[must_use]
    pub fn new<const N: usize>(sizes: &Sizes, figures: [(&'static str, f64); N]) -> Self {
        Self { figures: figures.to_vec(), datagrams: sizes.seen() }
    }
}

/// One run, asked for on a command line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Whose figures.
    pub stack: StackName,
    /// Which of them.
    #[serde(flatten)]
    pub workload: Workload,
    /// The how-manieth run of its kind, from 0; losses follow from it.
    #[serde(default)]
    pub repetition: u64,
}

impl Run {
    /// The run, with what came of it: an object for one line of JSON.
    #[must_use]
    pub fn line(&self, result: &Result<Outcome, String>) -> Value {
        let mut line = json!(self);
        line["version"] = self.stack.version().into();
        match result {
            Ok(outcome) => {
                let figures: Map<_, _> =
                    outcome.figures.iter().map(|&(name, value)| (name.to_owned(), rounded(value))).collect();
                line["figures"] = figures.into();
                line["datagrams"] = json!(outcome.datagrams);
            }
            Err(error) => line["error"] = error.as_str().into(),
        }
        line
    }
}

/// Six digits behind the point are enough for a reader.
fn rounded(value: f64) -> Value {
    json!((value * 1e6).round() / 1e6)
}
