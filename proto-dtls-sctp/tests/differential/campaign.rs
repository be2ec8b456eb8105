//! Thousands of seeds for every pairing: `cargo xtask sim sctp`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::contract::{Scenario, Tally};
use crate::end::Make;
use crate::link::{Faults, Opening};

const LINKS: [(&str, Faults); 3] = [("clean", Faults::NONE), ("lossy", Faults::LOSSY), ("wild", Faults::WILD)];
/// How often a stream is used, with a reset between two times.
const ROUNDS: u32 = 3;

/// Who talks with whom: a name, and the two for a seed.
struct Pairing {
    name: &'static str,
    /// Whether both know from the start what the other one would say in INIT.
    agreed: bool,
    makes: fn(u64) -> [Make; 2],
}

const fn pairing(name: &'static str, makes: fn(u64) -> [Make; 2]) -> Pairing {
    Pairing { name, agreed: false, makes }
}

const fn agreed(name: &'static str, makes: fn(u64) -> [Make; 2]) -> Pairing {
    Pairing { name, agreed: true, makes }
}

const PAIRINGS: [Pairing; 10] = [
    pairing("own-own", |_| [Make::OWN; 2]),
    pairing("own-own-plain", |_| [Make::PLAIN; 2]),
    pairing("own-own-mixed", mixed),
    agreed("own-own-agreed", |_| [Make::OWN; 2]),
    agreed("own-own-agreed-mixed", mixed),
    pairing("own-proto", |_| [Make::OWN, Make::SctpProto]),
    agreed("own-proto-agreed", |_| [Make::OWN, Make::SctpProto]),
    pairing("own-dcsctp", |_| [Make::OWN, Make::DCSCTP]),
    pairing("own-dcsctp-interleaved", |_| [Make::OWN, Make::Dcsctp { interleaving: true }]),
    pairing("proto-dcsctp", |_| [Make::SctpProto, Make::DCSCTP]),
];

/// Every extension at both ends, at one of them, or at none: sixteen seeds try all.
fn mixed(seed: u64) -> [Make; 2] {
    [0, 2].map(|shift| {
        let bits = seed >> shift;
        Make::Own { interleaving: bits & 1 != 0, zero_checksum: bits & 2 != 0 }
    })
}

impl Pairing {
    fn scenario(&self, seed: u64, faults: Faults) -> Scenario {
        let opening = match seed % 3 {
            _ if self.agreed => Opening::Agreed,
            0 => Opening::Both,
            1 => Opening::Only(0),
            _ => Opening::Only(1),
        };
        Scenario { makes: (self.makes)(seed), seed, faults, opening, rounds: ROUNDS }
    }

    /// Runs the seeds over every link, and prints what came of it. Returns the seeds that failed.
    fn run(&self, seeds: &std::ops::Range<u64>) -> Vec<u64> {
        let mut failed = Vec::new();
        for (link, faults) in LINKS {
            let mut total = Tally::default();
            for seed in seeds.clone() {
                match catch_unwind(AssertUnwindSafe(|| self.scenario(seed, faults).run())) {
                    Ok(tally) => total += tally,
                    Err(_) => {
                        println!("replay: cargo xtask sim sctp --pair {} --seed {seed} --seeds 1", self.name);
                        failed.push(seed);
                    }
                }
            }
            let Tally { sent, delivered, bytes, packets, resets } = total;
            println!(
                "{:<22} | {link:<5} | {:>6} | {sent:>9} | {delivered:>9} | {:>8} | {:>8.1} | {packets:>9} | {resets:>8}",
                self.name,
                seeds.end - seeds.start,
                sent - delivered,
                bytes as f64 / 1e6,
            );
        }
        failed
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.resets += other.resets;
    }
}

#[expect(clippy::disallowed_methods, reason = "the harness of the tests takes no arguments for a test")]
fn option(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u64) -> u64 {
    option(name).map_or(default, |value| value.parse().unwrap())
}

/// Pairings, seeds and the first of them come from the environment: `SCTP_PAIR`, `SCTP_SEEDS`, `SCTP_SEED`.
#[test]
#[ignore = "a campaign: cargo xtask sim sctp"]
fn every_message_keeps_its_contract() {
    let first = number("SCTP_SEED", 0);
    let seeds = first..first + number("SCTP_SEEDS", 2000);
    let chosen = option("SCTP_PAIR");
    let pairings: Vec<_> =
        PAIRINGS.iter().filter(|pairing| chosen.as_ref().is_none_or(|name| name == pairing.name)).collect();
    let names = PAIRINGS.map(|pairing| pairing.name).join(", ");
    assert!(!pairings.is_empty(), "there are these pairings: {names}");
    println!(
        "pairing                | link  |  seeds |      sent | delivered | given up |       MB |   packets |   resets"
    );
    let failed: Vec<_> =
        pairings.iter().flat_map(|pairing| pairing.run(&seeds).into_iter().map(|seed| (pairing.name, seed))).collect();
    assert!(failed.is_empty(), "{} worlds failed: {failed:?}", failed.len());
}

#[test]
fn every_pairing_of_the_campaign_keeps_its_contract() {
    for pairing in &PAIRINGS {
        for seed in 0..16 {
            pairing.scenario(seed, Faults::WILD).run();
        }
    }
}
