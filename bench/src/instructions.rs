//! Instructions in place of time: callgrind counts the same on a machine that is busy.
//!
//! A run is made twice, the second time with more to send. The difference is what the transfer alone takes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::report::Run;
use crate::suite::{self, Printed};
use crate::workloads::Workload;

/// What is sent the first time, in MiB: no less than what is sent before a measurement.
const LESS: u64 = 16;
/// The second time.
const MORE: u64 = 32;

/// The workloads that are worth counting: over sizes of messages, windows, and streams in turn.
pub(crate) fn workloads() -> Vec<Workload> {
    let w1 = [16 << 10, 64 << 10].map(|message| Workload::W1 { message, mib: MORE, batch: 1, buffer_kib: None });
    let points = [
        (16 << 10, 64, 1),
        (16 << 10, 1 << 10, 1),
        (16 << 10, 4 << 10, 1),
        (16 << 10, 16 << 10, 1),
        (16 << 10, 1 << 10, 1_000),
        (16 << 10, 1 << 10, 10_000),
        (1 << 10, 1 << 10, 1),
        (1 << 10, 1 << 10, 1_000),
        (1 << 10, 1 << 10, 10_000),
    ];
    let sctp = points.into_iter().flat_map(|(message, window_kib, streams)| {
        [false, true].map(|checksum| Workload::Sctp { message, mib: MORE, window_kib, streams, checksum })
    });
    w1.into_iter().chain(sctp).collect()
}

/// The line of a run, with instructions for figures, or why there is none.
///
/// # Errors
/// If valgrind cannot be started.
pub(crate) fn line(run: &Run, limit: Duration) -> Result<Result<Value, String>> {
    let (less, more) = match (counted(run, LESS, limit)?, counted(run, MORE, limit)?) {
        (Ok(less), Ok(more)) => (less, more),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    let mut line = more.line;
    if line["error"].is_null() {
        let instructions = total(&more.stderr)?.saturating_sub(total(&less.stderr)?);
        line["figures"] = json!({ "instructions per byte": rounded(instructions, (MORE - LESS) << 20) });
    }
    Ok(Ok(line))
}

fn counted(run: &Run, mib: u64, limit: Duration) -> Result<Result<Printed, String>> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(std::env::current_exe().context("this program has no name")?);
    suite::printed(command, &Run { workload: sending(run.workload, mib), ..*run }, limit)
}

fn sending(workload: Workload, mib: u64) -> Workload {
    match workload {
        Workload::W1 { message, batch, buffer_kib, .. } => Workload::W1 { message, mib, batch, buffer_kib },
        Workload::Sctp { message, window_kib, streams, checksum, .. } => {
            Workload::Sctp { message, mib, window_kib, streams, checksum }
        }
        other => other,
    }
}

/// The sum that callgrind prints at the end: `==1== Collected : 4254211`.
fn total(stderr: &str) -> Result<u64> {
    let sum = stderr.lines().find_map(|line| line.split_once("Collected :")).map(|(_, sum)| sum.trim());
    ensure!(sum.is_some(), "callgrind has counted nothing");
    sum.unwrap_or_default().parse().context("not a number of instructions")
}

/// Three digits behind the point.
fn rounded(instructions: u64, bytes: u64) -> f64 {
    (instructions as f64 / bytes as f64 * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found_among_what_callgrind_prints() {
        let printed = "==7== Events    : Ir\n==7== Collected : 4254211\n==7== \n==7== I   refs:      4,254,211\n";
        assert_eq!(total(printed).unwrap(), 4_254_211);
        assert!(total("").is_err());
    }

    #[test]
    fn every_workload_that_is_counted_can_be_made_to_send_less() {
        for workload in workloads() {
            assert_ne!(sending(workload, LESS), sending(workload, MORE));
        }
    }
}
