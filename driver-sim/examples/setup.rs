//! Prints how long connections take to come about: `setup [SEEDS [LOSS_PERCENT]]`.
//!
//! First who creates the channel and who is the DTLS client, in round trips without loss; then percentiles under loss.
#![expect(clippy::print_stdout, reason = "a program that prints tables")]

use std::time::Duration;

use driver_sim::Probability;
use driver_sim::setup::{LayerTimes, Scenario, SetupTimes, Side};

/// What a layer is called, and how to look it up.
type Layer = (&'static str, fn(&LayerTimes) -> Option<Duration>);

const LAYERS: [Layer; 4] = [
    ("ice", |times| times.ice),
    ("dtls", |times| times.dtls),
    ("sctp", |times| times.sctp),
    ("channel", |times| times.channel),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let losses: Vec<u32> = match arguments.next() {
        Some(text) => vec![text.parse()?],
        None => vec![0, 5, 20],
    };
    print_round_trips("SCTP set up by itself", false);
    print_round_trips("SCTP set up in the descriptions", true);
    for loss in losses {
        print_percentiles(seeds, loss);
    }
    Ok(())
}

fn print_round_trips(title: &str, sctp_init: bool) {
    println!("{title}: round trips from the answer being applied, no loss, offerer/answerer");
    println!("{:<34}{:>12}{:>12}{:>12}{:>12}", "", LAYERS[0].0, LAYERS[1].0, LAYERS[2].0, LAYERS[3].0);
    for creator in [Side::Offerer, Side::Answerer] {
        for dtls_client in [Side::Offerer, Side::Answerer] {
            let scenario = Scenario { creator, dtls_client, sctp_init, ..Scenario::default() };
            let times = scenario.run(1);
            print!("{:<34}", format!("{creator:?} creates, {dtls_client:?} client"));
            for (_, layer) in LAYERS {
                let trips = |side: &LayerTimes| {
                    layer(side).map_or("-".to_owned(), |time| {
                        format!("{:.1}", time.as_secs_f64() / scenario.round_trip_time.as_secs_f64())
                    })
                };
                print!("{:>12}", format!("{}/{}", trips(&times.offerer), trips(&times.answerer)));
            }
            println!();
        }
    }
}

fn print_percentiles(seeds: u64, loss: u32) {
    let scenario = Scenario { loss: Probability::percent(loss), ..Scenario::default() };
    let runs: Vec<SetupTimes> = (0..seeds).map(|seed| scenario.run(seed)).collect();
    println!(
        "\n{loss} % loss, {seeds} seeds, {:?} round trip: seconds until up on both sides",
        scenario.round_trip_time
    );
    println!("{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}", "", "p50", "p90", "p99", "max", "never");
    for (name, layer) in LAYERS {
        let mut times: Vec<Duration> = runs.iter().filter_map(|run| run.both(layer)).collect();
        times.sort();
        let at = |percent: usize| {
            let index = (runs.len() * percent / 100).min(runs.len().saturating_sub(1));
            times.get(index).map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64()))
        };
        let never = runs.len() - times.len();
        let max = times.last().map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64()));
        println!("{name:<12}{:>8}{:>8}{:>8}{max:>8}{never:>8}", at(50), at(90), at(99));
    }
    let mut slowest: Vec<(u64, &SetupTimes)> = (0..seeds).zip(&runs).collect();
    slowest.sort_by_key(|(_, run)| std::cmp::Reverse(run.open().unwrap_or(Duration::MAX)));
    for (seed, run) in slowest.into_iter().take(5).filter(|_| loss > 0) {
        println!("slow: seed {seed}: offerer {}; answerer {}", line(&run.offerer), line(&run.answerer));
    }
}

fn line(times: &LayerTimes) -> String {
    let layers = LAYERS.map(|(name, layer)| {
        format!("{name} {}", layer(times).map_or("never".to_owned(), |time| format!("{:.2}", time.as_secs_f64())))
    });
    layers.join(" ")
}
