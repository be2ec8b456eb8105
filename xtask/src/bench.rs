//! `cargo xtask bench`: builds the benches, a workspace of their own, and runs them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use crate::steps::{cargo, run};

#[derive(Args)]
pub(crate) struct BenchOptions {
    /// Two minutes at most: less of everything
    #[arg(long)]
    quick: bool,
    /// The workloads, of w1 to w6, sctp and channels, with commas between; all by default
    #[arg(long)]
    workload: Option<String>,
    /// The stacks, of ours, str0m and rtc, and for sctp also sctp-proto, rtc-sctp and dcsctp, with commas between; all by default
    #[arg(long)]
    stack: Option<String>,
    /// How often each run is repeated; the table shows medians. By default 3, or 1 with --quick
    #[arg(long)]
    repetitions: Option<u64>,
}

/// Runs the suite: JSON lines on standard output and in `target/bench/results.jsonl`, the table on standard error.
pub(crate) fn bench(root: &Path, options: &BenchOptions) -> Result<()> {
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut command = cargo();
    command.args(["run", "--release", "--locked"]).arg("--manifest-path").arg(root.join("bench/Cargo.toml"));
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.arg("--target-dir").arg(folder.join("build"));
    }
    command.args(["--", "suite"]).arg("--output").arg(folder.join("results.jsonl"));
    if options.quick {
        command.arg("--quick");
    }
    let lists = [("--workload", &options.workload), ("--stack", &options.stack)];
    for (name, list) in lists {
        command.args(list.iter().flat_map(|list| [name, list]));
    }
    let repetitions = options.repetitions.map(|repetitions| repetitions.to_string());
    command.args(repetitions.iter().flat_map(|repetitions| ["--repetitions", repetitions]));
    run(&mut command)
}
