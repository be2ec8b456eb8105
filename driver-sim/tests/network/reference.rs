//! A NAT against a log: every short exchange of a small world, and what must follow from it, worked out anew from all that was sent so far.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use driver_sim::network::{Dependence, NatConfig};
use proto_machine::Timestamp;

use crate::support::{A, E, P, at, behaviours, nat};

const INTERNAL: [&str; 2] = ["10.0.0.2:5000", "10.0.0.2:5001"];
const REMOTES: [&str; 3] = ["198.51.100.1:1000", "198.51.100.1:2000", "198.51.100.2:1000"];
const LIFETIME: Duration = Duration::from_secs(30);
/// How many datagrams are sent from inside before all inbound ones are tried.
const LENGTH: u32 = 4;

/// A datagram from inside.
#[derive(Clone, Copy)]
struct Sent {
    at: Timestamp,
    internal: SocketAddr,
    remote: SocketAddr,
    external: SocketAddr,
}

fn is_like(dependence: Dependence, one: SocketAddr, other: SocketAddr) -> bool {
    match dependence {
        E => true,
        A => one.ip() == other.ip(),
        P => one == other,
    }
}

/// The log of what was sent, and the two questions of RFC 4787 answered from it.
struct Log {
    mapping: Dependence,
    filtering: Dependence,
    sent: Vec<Sent>,
}

impl Log {
    /// The mapping that a datagram belongs to: that of the last one of its kind, unless it has expired by then.
    fn expected_external(&self, now: Timestamp, internal: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
        let is_of_its_kind = |sent: &&Sent| sent.internal == internal && is_like(self.mapping, sent.remote, remote);
        let last = self.sent.iter().rev().find(is_of_its_kind)?;
        (now < last.at + LIFETIME).then_some(last.external)
    }

    /// Who gets a datagram from outside: whoever has sent from that external endpoint to someone like its source a short time ago.
    fn expected_internal(&self, now: Timestamp, external: SocketAddr, source: SocketAddr) -> Option<SocketAddr> {
        let opens = |sent: &&Sent| {
            sent.external == external && is_like(self.filtering, sent.remote, source) && now < sent.at + LIFETIME
        };
        self.sent.iter().rev().find(opens).map(|sent| sent.internal)
    }
}

/// Tries one sequence of outbound datagrams, each at once or 16 seconds after the one before: the digits of `number` say which.
fn try_sequence(mapping: Dependence, filtering: Dependence, number: u32) -> usize {
    let mut digits = number;
    let mut nat = nat(NatConfig { lifetime: LIFETIME, ..NatConfig::new(mapping, filtering) });
    let mut log = Log { mapping, filtering, sent: Vec::new() };
    let mut now = Timestamp::ZERO;
    let mut endpoints = BTreeSet::new();
    let mut tried = 0;
    for _ in 0..LENGTH {
        let mut draw = |count: usize| {
            let (digit, rest) = (digits as usize % count, digits / u32::try_from(count).unwrap());
            digits = rest;
            digit
        };
        let (internal, remote) = (at(INTERNAL[draw(INTERNAL.len())]), at(REMOTES[draw(REMOTES.len())]));
        now = now + [Duration::ZERO, Duration::from_secs(16)][draw(2)];
        let external = nat.outbound(now, internal, remote).unwrap();
        match log.expected_external(now, internal, remote) {
            Some(expected) => assert_eq!(external, expected),
            // A new mapping takes no endpoint that another living one has.
            None => assert!(log.sent.iter().all(|sent| sent.external != external || now >= sent.at + LIFETIME)),
        }
        endpoints.insert(external);
        log.sent.push(Sent { at: now, internal, remote, external });
        for moment in [now, now + Duration::from_secs(15)] {
            for (&external, source) in
                endpoints.iter().flat_map(|external| REMOTES.map(|remote| (external, at(remote))))
            {
                let expected = log.expected_internal(moment, external, source);
                assert_eq!(nat.inbound(moment, external, source).ok(), expected, "{mapping}{filtering}: {number}");
                tried += 1;
            }
        }
    }
    tried
}

#[test]
fn every_short_exchange_goes_as_the_log_of_what_was_sent_says() {
    let sequences = (2 * 3 * 2_u32).pow(LENGTH);
    let mut tried = 0;
    for (mapping, filtering) in behaviours() {
        for number in 0..sequences {
            tried += try_sequence(mapping, filtering, number);
        }
    }
    assert!(tried > 1_000_000, "{tried}");
}
