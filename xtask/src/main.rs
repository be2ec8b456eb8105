//! Project tasks: `cargo xtask test` runs everything that has to hold, `cargo xtask tidy` the project's own checks alone.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod bench;
mod checks;
mod corpus;
mod fuzz;
mod install;
mod interop;
mod sim;
mod sim_sctp;
mod sim_setup;
mod steps;
mod tidy;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, then run formatting, lints, tests, documentation and the project's own checks
    Test(steps::TestOptions),
    /// The project's own checks alone: sizes, left-over markers, what the pure crates depend on
    Tidy,
    /// Measure this stack and others side by side, and print the table
    Bench(bench::BenchOptions),
    /// Run the fuzz targets, each for some minutes; needs the nightly toolchain
    Fuzz(fuzz::FuzzOptions),
    /// Run browsers against the peer for longer than the tests do
    #[command(subcommand)]
    Interop(interop::Interop),
    /// Run peers in simulated networks, and print what happened
    #[command(subcommand)]
    Sim(sim::Simulation),
}

fn main() -> Result<()> {
    let root = root()?;
    match Arguments::parse().task {
        Task::Test(options) => steps::test(&root, &options),
        Task::Bench(options) => bench::bench(&root, &options),
        Task::Fuzz(options) => fuzz::fuzz(&root, &options),
        Task::Interop(campaign) => interop::interop(&root, &campaign),
        Task::Sim(simulation) => sim::sim(&root, &simulation),
        Task::Tidy => tidy::tidy(&root).map(|()| println!("tidy: nothing to complain about")),
    }
}

/// The folder of the workspace.
fn root() -> Result<PathBuf> {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().map(PathBuf::from).context("the crate lies inside the workspace")
}
