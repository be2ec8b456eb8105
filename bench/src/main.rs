//! The command line: one run, a suite of runs, or the table of one.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "JSON lines on standard output, a table on standard error"
)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use bench::memory::CountingAllocator;
use bench::report::Run;
use bench::suite::Suite;
use bench::table;
use bench::workloads::StackName;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[derive(Parser)]
#[command(name = "bench", about = "Figures of this stack beside those of others")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One run, in this process: bench run '{"stack":"ours","workload":"w1","message":16384,"mib":64}'
    Run {
        /// The run, in JSON, as it stands in the lines of a suite
        run: String,
    },
    /// Many runs, each in a process of its own: JSON lines on standard output, the table on standard error
    Suite(SuiteArguments),
    /// The table of JSON lines
    Table {
        /// Files of JSON lines
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct SuiteArguments {
    /// Two minutes at most: less of everything
    #[arg(long)]
    quick: bool,
    /// The workloads, of w1 to w6, sctp and channels; all by default
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// The stacks, of ours, str0m, rtc, sctp-proto, rtc-sctp and dcsctp; all by default
    #[arg(long, value_delimiter = ',', value_parser = parse_stack)]
    stack: Vec<StackName>,
    /// How often each run is repeated; the table shows medians. By default 3, or 1 with --quick
    #[arg(long)]
    repetitions: Option<u64>,
    /// Instructions per byte in place of times, counted by valgrind: of w1 and sctp
    #[arg(long, conflicts_with_all = ["quick", "repetitions"])]
    instructions: bool,
    /// A file for the JSON lines, beside standard output
    #[arg(long)]
    output: Option<PathBuf>,
}

fn parse_stack(name: &str) -> Result<StackName, String> {
    let known = StackName::EVERY.into_iter().find(|stack| stack.to_string() == name);
    known.ok_or_else(|| "not one of ours, str0m, rtc, sctp-proto, rtc-sctp, dcsctp".to_owned())
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run { run } => {
            let run: Run = serde_json::from_str(&run).context("not a run")?;
            let result = run.workload.run(run.stack, run.repetition).map_err(|error| format!("{error:#}"));
            println!("{}", run.line(&result));
            Ok(())
        }
        Command::Suite(arguments) => suite(arguments),
        Command::Table { files } => {
            let mut lines = Vec::new();
            for file in &files {
                let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                for line in text.lines() {
                    lines.push(serde_json::from_str(line).with_context(|| format!("not a line of JSON: {line}"))?);
                }
            }
            println!("{}", table::markdown(&lines));
            Ok(())
        }
    }
}

fn suite(arguments: SuiteArguments) -> Result<()> {
    let SuiteArguments { quick, workload, stack, repetitions, instructions, output } = arguments;
    let stacks = if stack.is_empty() { StackName::EVERY.to_vec() } else { stack };
    let repetitions = repetitions.unwrap_or(if quick { 1 } else { 3 });
    let suite = if instructions {
        Suite::of_instructions(&workload, &stacks)?
    } else {
        Suite::new(quick, &workload, &stacks, repetitions)?
    };
    let mut file = match &output {
        Some(path) => {
            Some(BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?))
        }
        None => None,
    };
    let mut lines: Vec<Value> = Vec::new();
    suite.run(|progress, line| {
        eprintln!("{progress}");
        println!("{line}");
        if let Some(file) = &mut file {
            writeln!(file, "{line}")?;
            file.flush()?;
        }
        lines.push(line);
        Ok(())
    })?;
    eprintln!("\n{}", table::markdown(&lines));
    Ok(())
}
