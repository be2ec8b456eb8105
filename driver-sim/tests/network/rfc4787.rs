//! The requirements of RFC 4787, by number: a NAT that is configured to meet them does, and one that is configured not to does not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use driver_sim::network::{
    Dependence, DropReason, Hairpinning, InternetError, Nat, NatConfig, Pooling, PortAssignment,
};
use proto_machine::{Seed, Timestamp};

use crate::support::{A, E, P, at, behaviours, ip, nat, seconds};

/// Two addresses with two ports each.
const REMOTES: [&str; 4] = ["198.51.100.1:1000", "198.51.100.1:2000", "198.51.100.2:1000", "198.51.100.2:2000"];
const HOST: &str = "10.0.0.2:5000";

fn external_endpoints(mapping: Dependence) -> usize {
    let mut nat = nat(NatConfig::new(mapping, P));
    let mapped = REMOTES.map(|remote| nat.outbound(seconds(0), at(HOST), at(remote)).unwrap());
    BTreeSet::from(mapped).len()
}

#[test]
fn req_1_an_endpoint_independent_mapping_is_one_for_all_destinations_and_the_others_are_not() {
    assert_eq!(external_endpoints(E), 1);
    assert_eq!(external_endpoints(A), 2);
    assert_eq!(external_endpoints(P), 4);
}

/// The external addresses that the mappings of 40 ports of one host have.
fn addresses_of_one_host(pooling: Pooling) -> usize {
    let external = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"].map(ip).to_vec();
    let config = NatConfig { pooling, ..NatConfig::new(E, P) };
    let mut nat = Nat::new(config, external, Seed::from_number(1)).unwrap();
    let mapped = |port| nat.outbound(seconds(0), SocketAddr::new(ip("10.0.0.2"), port), at(REMOTES[0])).unwrap().ip();
    (5_000..5_040).map(mapped).collect::<BTreeSet<_>>().len()
}

#[test]
fn req_2_paired_pooling_gives_a_host_one_external_address_and_arbitrary_pooling_several() {
    assert_eq!(addresses_of_one_host(Pooling::Paired), 1);
    assert_eq!(addresses_of_one_host(Pooling::Arbitrary), 4);
}

#[test]
fn req_2_paired_pooling_spreads_hosts_over_the_external_addresses() {
    let external = ["203.0.113.1", "203.0.113.2"].map(ip).to_vec();
    let mut nat = Nat::new(NatConfig::new(E, P), external, Seed::from_number(1)).unwrap();
    let mapped = |host: u8| nat.outbound(seconds(0), SocketAddr::new([10, 0, 0, host].into(), 5_000), at(REMOTES[0]));
    let used: BTreeSet<_> = (2..42).map(mapped).map(|external| external.unwrap().ip()).collect();
    assert_eq!(used.len(), 2);
}

#[test]
fn req_3_no_external_port_is_given_to_two_mappings_until_all_are_used_and_then_nothing_is_mapped() {
    for port_assignment in [PortAssignment::Random, PortAssignment::Sequential, PortAssignment::Preserving] {
        let mut nat = nat(NatConfig { port_assignment, ports: 5_000..=5_099, ..NatConfig::new(E, P) });
        let mut map =
            |host: u8| nat.outbound(seconds(0), SocketAddr::new([10, 0, 0, host].into(), 5_000), at(REMOTES[0]));
        let used: BTreeSet<_> = (0..100).map(|host| map(host).unwrap()).collect();
        assert_eq!(used.len(), 100, "{port_assignment:?}");
        assert_eq!(map(100), Err(DropReason::PortsExhausted), "{port_assignment:?}");
        assert!(map(0).is_ok(), "{port_assignment:?}: what is mapped stays mapped");
    }
}

#[test]
fn req_3_a_preserving_nat_keeps_the_port_and_takes_the_next_one_where_it_is_taken() {
    let mut nat = nat(NatConfig { port_assignment: PortAssignment::Preserving, ..NatConfig::new(E, P) });
    let mut map = |host: &str| nat.outbound(seconds(0), at(host), at(REMOTES[0])).unwrap().port();
    assert_eq!(map("10.0.0.2:5000"), 5_000);
    assert_eq!(map("10.0.0.3:5000"), 5_002);
    assert_eq!(map("10.0.0.2:5001"), 5_001);
}

#[test]
fn req_3a_well_known_ports_stay_well_known_and_others_stay_above() {
    for port_assignment in [PortAssignment::Random, PortAssignment::Sequential, PortAssignment::Preserving] {
        let mut nat = nat(NatConfig { port_assignment, ..NatConfig::new(P, P) });
        for remote in REMOTES {
            assert!(nat.outbound(seconds(0), at("10.0.0.2:500"), at(remote)).unwrap().port() < 1_024);
            assert!(nat.outbound(seconds(0), at("10.0.0.2:50000"), at(remote)).unwrap().port() >= 1_024);
        }
    }
}

#[test]
fn req_4_parity_is_preserved_as_long_as_a_port_of_it_is_free() {
    for port_assignment in [PortAssignment::Random, PortAssignment::Sequential, PortAssignment::Preserving] {
        let mut nat = nat(NatConfig { port_assignment, ports: 6_000..=6_009, ..NatConfig::new(E, P) });
        let mut parity =
            |port| nat.outbound(seconds(0), SocketAddr::new(ip("10.0.0.2"), port), at(REMOTES[0])).unwrap().port() % 2;
        for even in [5_000, 5_002, 5_004, 5_006, 5_008] {
            assert_eq!(parity(even), 0, "{port_assignment:?}");
        }
        assert_eq!(parity(5_010), 1, "{port_assignment:?}: no even port was left");
    }
}

#[test]
fn req_5_a_mapping_lives_as_long_as_configured_and_not_a_nanosecond_longer() {
    for lifetime in [NatConfig::RECOMMENDED_LIFETIME, NatConfig::SHORTEST_LIFETIME, NatConfig::BAD_LIFETIME] {
        let mut nat = nat(NatConfig { lifetime, ..NatConfig::new(E, E) });
        let mapped = nat.outbound(seconds(1), at(HOST), at(REMOTES[0])).unwrap();
        let end = seconds(1) + lifetime;
        let just_before = Timestamp::from_nanos(end.as_nanos() - 1);
        assert_eq!(nat.inbound(just_before, mapped, at(REMOTES[0])), Ok(at(HOST)));
        assert_eq!(nat.inbound(end, mapped, at(REMOTES[0])), Err(DropReason::NoMapping));
        assert_ne!(nat.outbound(end, at(HOST), at(REMOTES[0])).unwrap(), mapped, "the seed draws another port");
    }
}

#[test]
fn req_6_outbound_datagrams_prolong_a_mapping_and_inbound_ones_do_not() {
    let lifetime = NatConfig::BAD_LIFETIME;
    let mut nat = nat(NatConfig { lifetime, ..NatConfig::new(E, E) });
    let mapped = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
    assert_eq!(nat.outbound(seconds(20), at(HOST), at(REMOTES[1])), Ok(mapped));
    for second in (20..50).step_by(5) {
        assert_eq!(nat.inbound(seconds(second), mapped, at(REMOTES[2])), Ok(at(HOST)), "{second}");
    }
    assert_eq!(nat.inbound(seconds(50), mapped, at(REMOTES[2])), Err(DropReason::NoMapping));
}

#[test]
fn req_6_what_a_filter_knows_expires_by_itself_while_the_mapping_lives_on() {
    let mut nat = nat(NatConfig { lifetime: NatConfig::BAD_LIFETIME, ..NatConfig::new(E, P) });
    let mapped = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
    assert_eq!(nat.outbound(seconds(20), at(HOST), at(REMOTES[1])), Ok(mapped));
    assert_eq!(nat.inbound(seconds(40), mapped, at(REMOTES[0])), Err(DropReason::Filtered));
    assert_eq!(nat.inbound(seconds(40), mapped, at(REMOTES[1])), Ok(at(HOST)));
}

#[test]
fn req_8_each_filter_lets_exactly_those_pass_that_it_was_opened_for() {
    for (mapping, filtering) in behaviours() {
        let mut nat = nat(NatConfig::new(mapping, filtering));
        let mapped = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
        let passes = REMOTES.map(|remote| nat.inbound(seconds(1), mapped, at(remote)).is_ok());
        let expected = match filtering {
            E => [true, true, true, true],
            A => [true, true, false, false],
            P => [true, false, false, false],
        };
        assert_eq!(passes, expected, "{mapping}{filtering}");
    }
}

#[test]
fn req_8_the_filter_is_per_mapping() {
    // One mapping for each address, of one and the same host.
    let mut nat = nat(NatConfig::new(A, P));
    let first = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
    let second = nat.outbound(seconds(0), at(HOST), at(REMOTES[2])).unwrap();
    assert_ne!(first, second);
    assert_eq!(nat.inbound(seconds(0), first, at(REMOTES[0])), Ok(at(HOST)));
    assert_eq!(nat.inbound(seconds(0), first, at(REMOTES[2])), Err(DropReason::Filtered));
    assert_eq!(nat.inbound(seconds(0), second, at(REMOTES[2])), Ok(at(HOST)));
}

#[test]
fn req_9_a_nat_that_hairpins_shows_the_external_source_and_one_that_does_not_drops() {
    let neighbour = at("10.0.0.3:6000");
    let mut nat = nat(NatConfig { hairpinning: Hairpinning::On, ..NatConfig::new(E, P) });
    let mine = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
    let theirs = nat.outbound(seconds(0), neighbour, at(REMOTES[0])).unwrap();
    // REQ-9a: the source of a hairpinned datagram is the external endpoint, and the filter is asked about that one.
    assert_eq!(nat.outbound(seconds(0), at(HOST), theirs), Ok(mine));
    assert_eq!(nat.inbound(seconds(0), theirs, mine), Err(DropReason::Filtered));
    assert_eq!(nat.outbound(seconds(0), neighbour, mine), Ok(theirs));
    assert_eq!(nat.inbound(seconds(0), theirs, mine), Ok(neighbour));

    let mut nat = crate::support::nat(NatConfig::new(E, P));
    let theirs = nat.outbound(seconds(0), neighbour, at(REMOTES[0])).unwrap();
    assert_eq!(nat.outbound(seconds(0), at(HOST), theirs), Err(DropReason::Hairpin));
}

#[test]
fn req_11_the_behaviour_stays_the_same_when_ports_are_in_conflict() {
    for (mapping, filtering) in behaviours() {
        let config = NatConfig { port_assignment: PortAssignment::Preserving, ..NatConfig::new(mapping, filtering) };
        let observe = |nat: &mut Nat| {
            let mapped = REMOTES.map(|remote| nat.outbound(seconds(0), at(HOST), at(remote)).unwrap());
            // Which of them are the same, and which source passes to which.
            let same = mapped.map(|one| mapped.map(|other| one == other));
            let passes =
                mapped.map(|external| REMOTES.map(|remote| nat.inbound(seconds(0), external, at(remote)).is_ok()));
            (same, passes)
        };
        let mut alone = nat(config.clone());
        let mut contested = nat(config);
        for host in 3..13 {
            let neighbour = SocketAddr::new([10, 0, 0, host].into(), 5_000);
            contested.outbound(seconds(0), neighbour, at(REMOTES[0])).unwrap();
        }
        assert_eq!(observe(&mut alone), observe(&mut contested), "{mapping}{filtering}");
    }
}

#[test]
fn a_full_table_of_mappings_refuses_new_ones_until_old_ones_expire() {
    let mut nat = nat(NatConfig { mappings_limit: 2, ..NatConfig::new(P, P) });
    assert!(nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).is_ok());
    assert!(nat.outbound(seconds(100), at(HOST), at(REMOTES[1])).is_ok());
    assert_eq!(nat.outbound(seconds(100), at(HOST), at(REMOTES[2])), Err(DropReason::TableFull));
    assert!(nat.outbound(seconds(300), at(HOST), at(REMOTES[2])).is_ok());
    assert_eq!(nat.mappings(seconds(300)).count(), 2);
}

#[test]
fn a_full_filter_refuses_new_remote_endpoints_until_old_ones_expire() {
    let mut nat = nat(NatConfig { filter_limit: 2, ..NatConfig::new(E, P) });
    assert!(nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).is_ok());
    assert!(nat.outbound(seconds(100), at(HOST), at(REMOTES[1])).is_ok());
    assert_eq!(nat.outbound(seconds(100), at(HOST), at(REMOTES[2])), Err(DropReason::TableFull));
    assert!(nat.outbound(seconds(300), at(HOST), at(REMOTES[2])).is_ok());
}

#[test]
fn req_6_what_a_full_filter_refuses_prolongs_the_mapping_all_the_same() {
    let config = NatConfig { filter_limit: 1, lifetime: NatConfig::BAD_LIFETIME, ..NatConfig::new(E, A) };
    let mut nat = nat(config);
    let mapped = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
    assert_eq!(nat.outbound(seconds(29), at(HOST), at(REMOTES[2])), Err(DropReason::TableFull));
    assert_eq!(nat.internal(seconds(58), mapped), Some(at(HOST)));
    assert_eq!(nat.outbound(seconds(58), at(HOST), at(REMOTES[2])), Ok(mapped));
}

/// Well-known ports and other addresses in between change nothing.
#[test]
fn sequential_ports_can_be_guessed() {
    let config = NatConfig { port_assignment: PortAssignment::Sequential, ..NatConfig::new(E, P) };
    let mut nat = Nat::new(config, vec![ip("203.0.113.1"), ip("203.0.113.2")], Seed::from_number(1)).unwrap();
    let mut map = |host: u8, port| {
        let internal = SocketAddr::new([10, 0, 0, host].into(), port);
        nat.outbound(seconds(0), internal, at(REMOTES[0])).unwrap()
    };
    let mut last: BTreeMap<(IpAddr, bool), u16> = BTreeMap::new();
    for (host, port) in (2..60).flat_map(|host| [(host, 5_000), (host, 500), (host, 5_001), (host, 501)]) {
        let mapped = map(host, port);
        let last = last.entry((mapped.ip(), port < 1_024)).or_insert(mapped.port() - 1);
        assert_eq!(mapped.port(), *last + 1, "{host}:{port}");
        *last = mapped.port();
    }
    assert_eq!(last.len(), 4, "both addresses, and both ranges of each");
}

#[test]
fn a_nat_translates_between_endpoints_of_its_own_family_alone() {
    let mut nat = nat(NatConfig::new(E, E));
    let other = "[2001:db8::1]:1000";
    assert_eq!(nat.outbound(seconds(0), at(other), at(REMOTES[0])), Err(DropReason::NoExternalAddress));
    assert_eq!(nat.outbound(seconds(0), at(HOST), at(other)), Err(DropReason::NoExternalAddress));
    assert_eq!(nat.mappings(seconds(0)).count(), 0);
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "that is what it is about")]
fn a_nat_that_cannot_be_is_refused() {
    let refused = |config, external: &[&str]| {
        Nat::new(config, external.iter().map(|address| ip(address)).collect(), Seed::from_number(1)).unwrap_err()
    };
    let (config, external) = (NatConfig::new(E, E), ["203.0.113.1"]);
    assert_eq!(refused(NatConfig { lifetime: Duration::ZERO, ..config.clone() }, &external), InternetError::Lifetime);
    for ports in [0..=65_535, 1_023..=65_535, 6_000..=5_999] {
        assert_eq!(refused(NatConfig { ports, ..config.clone() }, &external), InternetError::Ports);
    }
    assert_eq!(refused(config.clone(), &[]), InternetError::ExternalAddresses);
    assert_eq!(refused(config, &["203.0.113.1", "2001:db8::1"]), InternetError::ExternalAddresses);
}

#[test]
fn a_reboot_forgets_all_mappings_and_other_ports_are_drawn() {
    let mut nat = nat(NatConfig::new(E, E));
    let before = nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap();
    nat.reboot();
    assert_eq!(nat.inbound(seconds(0), before, at(REMOTES[0])), Err(DropReason::NoMapping));
    assert_ne!(nat.outbound(seconds(0), at(HOST), at(REMOTES[0])).unwrap(), before);
}

#[test]
fn the_same_seed_maps_to_the_same_ports_and_another_does_not() {
    let ports = |seed| {
        let mut nat = Nat::new(NatConfig::new(P, P), vec![ip("203.0.113.1")], Seed::from_number(seed)).unwrap();
        REMOTES.map(|remote| nat.outbound(seconds(0), at(HOST), at(remote)).unwrap())
    };
    assert_eq!(ports(1), ports(1));
    assert_ne!(ports(1), ports(2));
}
