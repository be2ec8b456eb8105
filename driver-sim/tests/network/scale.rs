//! A carrier's NAT: tens of thousands of mappings that come, stay and go.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use driver_sim::network::{Firewall, FirewallConfig, Nat, NatConfig};
use proto_machine::{Seed, Timestamp};

use crate::support::{E, P, at, ip, nat};

/// 1,000 hosts with 60 sockets each.
fn internals() -> impl Iterator<Item = SocketAddr> {
    (0..1_000).flat_map(|host: u16| {
        let [high, low] = host.to_be_bytes();
        (0..60).map(move |port| SocketAddr::from(([10, 0, high, low], 20_000 + port)))
    })
}

/// A figure, and no bound: how fast a machine is decides no test.
#[expect(clippy::disallowed_methods, reason = "a figure for people, which nothing depends on")]
fn timed<R>(what: &str, count: u32, run: impl FnOnce() -> R) -> R {
    let begin = Instant::now();
    let result = run();
    let each = begin.elapsed() / count;
    writeln!(std::io::stdout(), "{what}: {each:?} each, {count} times").unwrap();
    result
}

const REMOTE: &str = "198.51.100.7:3478";

fn second(second: f64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs_f64(second)
}

/// Sends from every socket, a thousand datagrams a second, and tells where the last one came out.
fn send_all(nat: &mut Nat, begin: f64) -> usize {
    let sent = internals().zip(0..).filter(|&(internal, count)| {
        nat.outbound(second(begin + f64::from(count) / 1_000.0), internal, at(REMOTE)).is_ok()
    });
    sent.count()
}

#[test]
fn sixty_thousand_mappings_come_stay_and_go() {
    let mut nat = nat(NatConfig::new(E, P));
    assert_eq!(timed("a mapping made", 60_000, || send_all(&mut nat, 0.0)), 60_000);
    assert_eq!(nat.mappings(second(60.0)).count(), 60_000);
    let external: Vec<SocketAddr> = nat.mappings(second(60.0)).map(|(_, external)| external).collect();
    assert_eq!(timed("a mapping prolonged", 60_000, || send_all(&mut nat, 200.0)), 60_000);
    // The one made first expires at 500, the last one at 560 seconds.
    let found = timed("a datagram let in", 60_000, || {
        external.iter().filter(|&&external| nat.inbound(second(499.0), external, at(REMOTE)).is_ok()).count()
    });
    assert_eq!(found, 60_000);
    // In their place come others, one a millisecond, while the old ones expire one a millisecond.
    let others = internals().map(|internal| SocketAddr::new(internal.ip(), internal.port() + 1_000)).zip(0..);
    let mapped = timed("a mapping in place of an expired one", 60_000, || {
        let made = others.filter(|&(internal, count)| {
            nat.outbound(second(500.0 + f64::from(count) / 1_000.0), internal, at(REMOTE)).is_ok()
        });
        made.count()
    });
    assert_eq!(mapped, 60_000);
    assert_eq!(nat.mappings(second(560.0)).count(), 60_000);
}

#[test]
fn when_all_ports_are_given_away_new_mappings_are_refused_and_well_known_ports_are_a_range_of_their_own() {
    let mut nat = nat(NatConfig::new(P, P));
    let remotes = (1_024..=u16::MAX).map(|port| SocketAddr::new(ip("198.51.100.7"), port));
    let internal = at("10.0.0.2:5000");
    assert_eq!(remotes.clone().filter(|&remote| nat.outbound(second(0.0), internal, remote).is_ok()).count(), 64_512);
    let refused = timed("a refusal", 60_000, || {
        let others = remotes.map(|remote| SocketAddr::new(ip("198.51.100.8"), remote.port())).take(60_000);
        others.filter(|&remote| nat.outbound(second(0.0), internal, remote).is_err()).count()
    });
    assert_eq!(refused, 60_000);
    assert!(nat.outbound(second(0.0), at("10.0.0.2:500"), at(REMOTE)).unwrap().port() < 1_024);
}

#[test]
fn with_several_external_addresses_each_has_all_its_ports() {
    let addresses = vec![ip("203.0.113.1"), ip("203.0.113.2")];
    let config = NatConfig { mappings_limit: 200_000, ports: 5_000..=5_999, ..NatConfig::new(P, E) };
    let mut nat = Nat::new(config, addresses, Seed::from_number(1)).unwrap();
    let remotes = (1..=1_000).map(|port| SocketAddr::new(ip("198.51.100.7"), port));
    let mut mapped = 0;
    for host in 2..=60 {
        let internal = SocketAddr::from(([10, 0, 0, host], 5_000));
        mapped += remotes.clone().filter(|&remote| nat.outbound(second(0.0), internal, remote).is_ok()).count();
    }
    assert_eq!(mapped, 2_000);
}

#[test]
fn sixty_thousand_sessions_of_a_firewall_come_and_go() {
    let config = FirewallConfig { sessions_limit: 60_000, ..FirewallConfig::default() };
    let mut firewall = Firewall::new(config);
    let mut send = |internal, at_second| firewall.outbound(second(at_second), internal, at(REMOTE)).is_ok();
    assert!(internals().zip(0..).all(|(internal, count)| send(internal, f64::from(count) / 1_000.0)));
    let others = || internals().map(|internal| SocketAddr::new(internal.ip(), internal.port() + 1_000)).zip(0..);
    assert!(!others().any(|(internal, _)| send(internal, 299.0)));
    let passed = timed("a session in place of an expired one", 60_000, || {
        others().filter(|&(internal, count)| send(internal, 300.0 + f64::from(count) / 1_000.0)).count()
    });
    assert_eq!(passed, 60_000);
}
