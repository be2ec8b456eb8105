//! `cargo xtask sim setup`: how long connections take to come about, layer by layer.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::steps::{cargo, run};

#[derive(Args)]
pub(crate) struct SetupOptions {
    /// How many worlds are run at each rate of loss
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The share of all datagrams that is lost, in percent; 0, 5 and 20 by default
    #[arg(long)]
    loss: Option<u32>,
}

/// Builds the simulation, and runs it.
pub(crate) fn setup(root: &Path, options: &SetupOptions) -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--locked", "--package", "driver-sim", "--example", "setup", "--"]);
    command.arg(options.seeds.to_string()).args(options.loss.map(|loss| loss.to_string())).current_dir(root);
    run(&mut command)
}
