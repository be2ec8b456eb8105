//! Many runs: each in a process of its own, with a time limit, the stacks taking turns so that all see the same noise.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::instructions;
use crate::report::Run;
use crate::workloads::{Carrier, Party, Queue, StackName, Time, Workload};

const FAMILIES: [&str; 8] = ["w1", "w2", "w3", "w4", "w5", "w6", "sctp", "channels"];

/// Runs to be made.
#[derive(Clone, Debug)]
pub struct Suite {
    runs: Vec<Run>,
    limit: Duration,
    counts_instructions: bool,
}

impl Suite {
    /// Runs of these families of workloads (all if there are none), repeated so often.
    ///
    /// # Errors
    /// If a workload is unknown.
    pub fn new(quick: bool, families: &[String], stacks: &[StackName], repetitions: u64) -> Result<Self> {
        let limit = Duration::from_secs(if quick { 20 } else { 180 });
        let runs = runs(&workloads(quick), families, stacks, repetitions)?;
        Ok(Self { runs, limit, counts_instructions: false })
    }

    /// Runs under callgrind, once each, whose only figure is instructions.
    ///
    /// # Errors
    /// If a workload is unknown.
    pub fn of_instructions(families: &[String], stacks: &[StackName]) -> Result<Self> {
        let runs = runs(&instructions::workloads(), families, stacks, 1)?;
        Ok(Self { runs, limit: Duration::from_secs(120), counts_instructions: true })
    }

    /// Makes all runs. `tell` is given a word on the progress and the line of each.
    ///
    /// # Errors
    /// If a process cannot be started, or what `tell` says. A run that fails is a line like any other.
    pub fn run(&self, mut tell: impl FnMut(String, Value) -> Result<()>) -> Result<()> {
        for (index, run) in self.runs.iter().enumerate() {
            let began = Instant::now();
            let line = if self.counts_instructions {
                instructions::line(run, self.limit)?
            } else {
                let program = std::env::current_exe().context("this program has no name")?;
                printed(Command::new(program), run, self.limit)?.map(|printed| printed.line)
            };
            let line = line.unwrap_or_else(|error| run.line(&Err(error)));
            let asked = serde_json::to_string(&run)?;
            let seconds = began.elapsed().as_secs_f32();
            tell(format!("{}/{} {seconds:.1} s {asked}", index + 1, self.runs.len()), line)?;
        }
        Ok(())
    }
}

/// The runs of some families of workloads, the stacks taking turns.
fn runs(all: &[Workload], families: &[String], stacks: &[StackName], repetitions: u64) -> Result<Vec<Run>> {
    for family in families {
        ensure!(FAMILIES.contains(&family.as_str()), "{family} is not one of {}", FAMILIES.join(", "));
    }
    let is_wanted =
        |workload: &&Workload| families.is_empty() || families.iter().any(|family| family == workload.family());
    let mut runs = Vec::new();
    for repetition in 0..repetitions.max(1) {
        for workload in all.iter().filter(is_wanted) {
            let stacks = stacks.iter().filter(|stack| workload.is_for(**stack));
            runs.extend(stacks.map(|&stack| Run { stack, workload: *workload, repetition }));
        }
    }
    Ok(runs)
}

/// What a run has printed.
pub(crate) struct Printed {
    pub(crate) line: Value,
    pub(crate) stderr: String,
}

/// What a run in a process of its own prints, or why it has printed nothing. `command` is this program, whatever runs it.
pub(crate) fn printed(mut command: Command, run: &Run, limit: Duration) -> Result<Result<Printed, String>> {
    command.arg("run").arg(serde_json::to_string(run)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let output = collect(&mut child, limit)?;
    let status = child.wait()?;
    let Some((stdout, stderr)) = output else {
        return Ok(Err(format!("not done after {} s", limit.as_secs())));
    };
    if let Ok(line) = serde_json::from_str(stdout.trim()) {
        return Ok(Ok(Printed { line, stderr }));
    }
    // A panic says where, and on the next line why.
    let reason = stderr.lines().find(|line| !line.trim().is_empty() && !line.contains("panicked at"));
    Ok(Err(reason.map_or_else(|| status.to_string(), |reason| reason.trim().to_owned())))
}

/// What a process prints until it ends. One that takes longer than `limit` is ended, and has printed nothing.
fn collect(child: &mut Child, limit: Duration) -> Result<Option<(String, String)>> {
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("the run has no output");
    };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let errors = scope.spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        scope.spawn(move || {
            let mut text = String::new();
            let read = stdout.read_to_string(&mut text).map(|_| text);
            let _ = sender.send(read);
        });
        let Ok(stdout) = receiver.recv_timeout(limit) else {
            child.kill()?;
            return Ok(None);
        };
        let stderr = errors.join().ok().and_then(Result::ok).unwrap_or_default();
        Ok(Some((stdout?, stderr)))
    })
}

/// What is measured, in the order of the table.
fn workloads(quick: bool) -> Vec<Workload> {
    let mut workloads = Vec::new();
    let mib = if quick { 16 } else { 128 };
    for (message, buffer_kib) in
        [(1 << 10, None), (16 << 10, None), (64 << 10, None), (16 << 10, Some(1 << 10)), (16 << 10, Some(8 << 10))]
    {
        // With large buffers one of the stacks is slow beyond measure.
        let mib = if buffer_kib.is_some() { mib / 4 } else { mib };
        workloads.push(Workload::W1 { message, mib, batch: 1, buffer_kib });
    }
    // As they arrive from a socket that hands over many at a time.
    workloads.push(Workload::W1 { message: 16 << 10, mib, batch: 32, buffer_kib: None });
    for message in [16 << 10, 64 << 10] {
        for carrier in [Carrier::DriverMio, Carrier::UdpLoop] {
            workloads.push(Workload::W2 { message, mib: mib * 2, carrier });
        }
    }
    workloads.push(Workload::W3 { connections: if quick { 50 } else { 300 } });
    for creator in [Party::Offerer, Party::Answerer] {
        for dtls_client in [Party::Answerer, Party::Offerer] {
            workloads.push(Workload::W3RoundTrips { creator, dtls_client });
        }
    }
    let pairs = if quick { 20 } else { 100 };
    workloads.extend([0, 4].map(|after_mib| Workload::W4 { pairs, after_mib }));
    workloads.extend(paths(quick));
    let real_pairs = if quick { 20 } else { 100 };
    workloads.push(Workload::W6 { time: Time::Virtual, pairs, seconds: 60 });
    workloads.push(Workload::W6 { time: Time::Real, pairs: real_pairs, seconds: if quick { 5 } else { 20 } });
    workloads.extend(sctp_alone(if quick { 32 } else { 256 }));
    for (channels, lifetime) in [(1, false), (100, false), (1_000, false), (10_000, false), (10_000, true)] {
        workloads.push(Workload::Channels { channels, message: 1 << 10, mib: if quick { 32 } else { 128 }, lifetime });
    }
    workloads
}

/// Sizes of messages, then windows, then streams, with the checksum and without.
fn sctp_alone(mib: u64) -> impl Iterator<Item = Workload> {
    let points = [
        (1 << 10, 1 << 10, 1),
        (16 << 10, 1 << 10, 1),
        (64 << 10, 1 << 10, 1),
        (16 << 10, 64, 1),
        (16 << 10, 4 << 10, 1),
        (16 << 10, 16 << 10, 1),
        (16 << 10, 1 << 10, 1_000),
        (1 << 10, 16 << 10, 10_000),
    ];
    points.into_iter().flat_map(move |(message, window_kib, streams)| {
        [false, true].map(|checksum| Workload::Sctp { message, mib, window_kib, streams, checksum })
    })
}

fn paths(quick: bool) -> [Workload; 4] {
    let far = Workload::W5 {
        mbit: 100,
        round_trip_ms: 50,
        loss_percent: 1,
        queue: Queue::OneProduct,
        buffer_kib: None,
        seconds: if quick { 20 } else { 60 },
        cpu_limit: if quick { 5 } else { 30 },
    };
    let fast = |buffer_kib, queue| Workload::W5 {
        mbit: 1_000,
        round_trip_ms: 20,
        loss_percent: 0,
        queue,
        buffer_kib,
        seconds: if quick { 3 } else { 20 },
        cpu_limit: if quick { 3 } else { 60 },
    };
    let lifted = Some(8 << 10);
    [far, fast(None, Queue::OneProduct), fast(lifted, Queue::Unlimited), fast(lifted, Queue::OneProduct)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_prints_nothing_in_time_is_ended() {
        let mut command = Command::new("cat");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(collect(&mut child, Duration::from_millis(10)).unwrap(), None);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn stacks_take_turns_and_only_ours_has_a_driver() {
        let suite = Suite::new(true, &["w2".to_owned()], &StackName::ALL, 2).unwrap();
        let stacks: Vec<StackName> = suite.runs.iter().map(|run| run.stack).collect();
        let [ours, str0m, rtc] = StackName::ALL;
        assert_eq!(stacks, [ours, ours, str0m, rtc].repeat(4));
        assert!(Suite::new(true, &["w7".to_owned()], &StackName::ALL, 1).is_err());
    }
}
