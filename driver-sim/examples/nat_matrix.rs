//! `cargo xtask sim nat`: two peers behind every pair of NATs, without a relay or with one; what happens is printed as a table.
//!
//! One case alone is run again from its seed, with its transcript and a packet trace, by the line that is printed where something else happened than was expected.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use driver_sim::matrix::{Case, Report, Scene, extra_rows, table};
use driver_sim::network::Internet;
use driver_sim::network::reachability::Relay;
use driver_sim::{Probability, VantagePoint};

#[derive(Parser)]
struct Arguments {
    /// How many seeds each cell is run with
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The share of all datagrams that is lost, in percent
    #[arg(long, default_value_t = 0)]
    loss: u32,
    /// Give both peers a TURN server
    #[arg(long)]
    relay: bool,
    /// One case alone, such as EP/PP
    #[arg(long)]
    case: Option<String>,
    /// The seed of the one case
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write what the one case sends over the public Internet
    #[arg(long)]
    pcap: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let relay = if arguments.relay { Relay::Udp } else { Relay::Absent };
    match &arguments.case {
        None => run_all(relay, &arguments),
        Some(name) => run_case(&find(relay, name)?, &arguments),
    }
}

fn run_all(relay: Relay, arguments: &Arguments) -> Result<()> {
    let report = Report::run(relay, arguments.seeds, Probability::percent(arguments.loss));
    print!("{report}");
    let (option, words) = if arguments.relay { (" --relay", "one relay") } else { ("", "no relay") };
    println!("{words}, {} seeds a cell, {} % loss: {} worlds", arguments.seeds, arguments.loss, report.worlds());
    for disagreement in report.disagreements() {
        let (case, seed) = (&disagreement.case, disagreement.seed);
        println!("{disagreement}");
        println!("  replay: cargo xtask sim nat{option} --loss {} --case {case:?} --seed {seed}", arguments.loss);
    }
    match report.disagreements().len() {
        0 => Ok(()),
        count => bail!("{count} worlds are not as expected"),
    }
}

fn cases(relay: Relay) -> impl Iterator<Item = Case> {
    table(relay).into_iter().chain(extra_rows(relay)).flat_map(|row| row.cases)
}

fn find(relay: Relay, name: &str) -> Result<Case> {
    cases(relay).find(|case| case.name == name).with_context(|| {
        let names: Vec<String> = cases(relay).map(|case| case.name).collect();
        format!("no case is called {name:?}; there are:\n{}", names.join("\n"))
    })
}

fn run_case(case: &Case, arguments: &Arguments) -> Result<()> {
    let case = case.clone().with_loss(Probability::percent(arguments.loss));
    let mut scene = Scene::new(&case, arguments.seed);
    let recording = scene.world.record(VantagePoint::Network(Internet::PUBLIC));
    let outcome = scene.connect();
    println!("{}\n{}", scene.world.transcript(), case.topology);
    for (index, name) in ["left", "right"].into_iter().enumerate() {
        println!("\n{name}:\n{}", scene.peer(index).ice_report());
    }
    println!("{}: {outcome} from seed {}", case.name, arguments.seed);
    if let Some(file) = &arguments.pcap {
        fs::write(file, scene.world.pcap(recording)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if case.allows(outcome) { Ok(()) } else { bail!("expected one of {:?}", case.expected) }
}

#[test]
fn every_case_is_found_by_its_name_and_no_two_have_the_same() {
    for (relay, count) in [(Relay::Absent, 121 + 55), (Relay::Udp, 121 + 59)] {
        assert_eq!(cases(relay).count(), count);
        for case in cases(relay) {
            assert_eq!(find(relay, &case.name).unwrap(), case);
        }
        assert!(find(relay, "EP/QQ").unwrap_err().to_string().contains("EP/PP"));
    }
}
