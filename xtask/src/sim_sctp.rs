//! `cargo xtask sim sctp`: thousands of associations between implementations of SCTP.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::steps::{cargo, run};

#[derive(Args)]
pub(crate) struct SctpOptions {
    /// How many seeds each pairing is run with, over each of three links
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One pairing alone, such as own-dcsctp; a name that does not exist lists them
    #[arg(long)]
    pair: Option<String>,
}

/// Builds the campaign, and runs it. It is one of the tests, which takes what it is told from the environment.
pub(crate) fn sctp(root: &Path, options: &SctpOptions) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--release", "--locked", "--package", "proto-dtls-sctp"]);
    command.args(["--features", "sctp-proto,bare", "--test", "differential", "--"]);
    command.args(["--ignored", "--exact", "campaign::every_message_keeps_its_contract", "--nocapture"]);
    command.env("SCTP_SEEDS", options.seeds.to_string()).env("SCTP_SEED", options.seed.to_string());
    command.envs(options.pair.as_ref().map(|pair| ("SCTP_PAIR", pair))).current_dir(root);
    run(&mut command)
}
