//! `cargo xtask sim`: what the simulator shows, as a command.

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::steps::{cargo, run};
use crate::{sim_sctp, sim_setup};

#[derive(Subcommand)]
pub(crate) enum Simulation {
    /// Two peers behind every pair of NATs, without a relay or with one: who connects, and by which candidates
    Nat(NatOptions),
    /// How long connections take to come about, layer by layer, with and without loss
    Setup(sim_setup::SetupOptions),
    /// Our SCTP with itself and with others, over links that lose, duplicate and reorder: every message by its contract
    Sctp(sim_sctp::SctpOptions),
}

#[derive(Args)]
pub(crate) struct NatOptions {
    /// How many seeds each cell is run with [default: 20]
    #[arg(long)]
    seeds: Option<u64>,
    /// The share of all datagrams that is lost, in percent [default: 0]
    #[arg(long)]
    loss: Option<u32>,
    /// Give both peers a TURN server
    #[arg(long)]
    relay: bool,
    /// One case alone, such as EP/PP: its transcript is printed
    #[arg(long)]
    case: Option<String>,
    /// The seed of the one case [default: 0]
    #[arg(long, requires = "case")]
    seed: Option<u64>,
    /// Write what the one case sends, as a packet trace
    #[arg(long, requires = "case")]
    pcap: Option<String>,
}

/// Builds the simulation, and runs it.
pub(crate) fn sim(root: &Path, simulation: &Simulation) -> Result<()> {
    match simulation {
        Simulation::Nat(options) => nat(root, options),
        Simulation::Setup(options) => sim_setup::setup(root, options),
        Simulation::Sctp(options) => sim_sctp::sctp(root, options),
    }
}

fn nat(root: &Path, options: &NatOptions) -> Result<()> {
    let mut command = cargo();
    command.args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "driver-sim",
        "--example",
        "nat_matrix",
        "--",
    ]);
    command.args(options.words()).current_dir(root);
    run(&mut command)
}

impl NatOptions {
    /// As the program itself takes them.
    fn words(&self) -> Vec<String> {
        let Self { seeds, loss, relay, case, seed, pcap } = self;
        let number = |number: &Option<u64>| number.map(|number| number.to_string());
        // The program runs in the root of the workspace.
        let pcap =
            pcap.as_ref().map(|file| std::path::absolute(file).map_or(file.clone(), |file| file.display().to_string()));
        let options = [
            ("--seeds", number(seeds)),
            ("--loss", loss.map(|loss| loss.to_string())),
            ("--case", case.clone()),
            ("--seed", number(seed)),
            ("--pcap", pcap),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
        relay.then(|| "--relay".to_owned()).into_iter().chain(given.flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: NatOptions =
        NatOptions { seeds: None, loss: None, relay: false, case: None, seed: None, pcap: None };

    #[test]
    fn options_that_are_not_given_are_left_to_the_program() {
        assert!(NOTHING.words().is_empty());
        let options = NatOptions { seeds: Some(5), loss: Some(1), relay: true, ..NOTHING };
        assert_eq!(options.words(), ["--relay", "--seeds", "5", "--loss", "1"]);
    }

    #[test]
    fn the_trace_is_written_where_the_command_was_given() {
        let options = NatOptions { case: Some("EP/PP".to_owned()), pcap: Some("a.pcap".to_owned()), ..NOTHING };
        let words = options.words();
        assert_eq!(words[..3], ["--case", "EP/PP", "--pcap"]);
        assert_eq!(Path::new(&words[3]), std::env::current_dir().unwrap().join("a.pcap"));
    }
}
