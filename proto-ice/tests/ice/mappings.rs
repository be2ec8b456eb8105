//! Public addresses that the application knows to stand for local ones.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proto_ice::{
    AddressMapping, CandidateType, IceConfig, IceRole, IceTransportPolicy, LocalCandidate, MappedCandidates,
    OneToOneNat, StunServer, StunServerHost,
};

use crate::lone::Lone;
use crate::messages::server_answer;
use crate::world::ServerBehaviour;

const PEER: &str = "198.51.100.2:6000";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mapped(candidates: MappedCandidates, mappings: &[(&str, &str)]) -> IceConfig {
    let mapping = |(local, public): &(&str, &str)| AddressMapping { local: address(local), public: address(public) };
    let one_to_one_nat = OneToOneNat { mappings: mappings.iter().map(mapping).collect(), candidates };
    IceConfig { one_to_one_nat, ..IceConfig::default() }
}

/// Address, type, base and related address.
fn described(lone: &Lone) -> Vec<String> {
    let describe = |local: &LocalCandidate| {
        let related = local.related_address.map(|related| format!(" related {related}")).unwrap_or_default();
        format!("{} {} from {}{related}", local.kind.name(), local.address, local.base)
    };
    lone.agent.local_candidates().map(describe).collect()
}

#[test]
fn a_mapped_host_candidate_has_the_public_address_and_the_port_of_its_socket() {
    let config = mapped(MappedCandidates::Host, &[("10.0.0.2", "203.0.113.7"), ("2001:db8::2", "2001:db8:1::2")]);
    let lone = Lone::with(IceRole::Controlling, config, &["10.0.0.2", "10.0.0.3", "2001:db8::2"]);
    let expected = [
        "host [2001:db8:1::2]:5000 from [2001:db8::2]:5000",
        "host 203.0.113.7:5001 from 10.0.0.2:5001",
        "host 10.0.0.3:5002 from 10.0.0.3:5002",
    ];
    assert_eq!(described(&lone), expected);
}

/// RFC 8445 §7.2.5.3.1: what the peer sees is a candidate that is known.
#[test]
fn the_valid_pair_of_a_mapped_socket_is_that_of_its_candidate() {
    for candidates in [MappedCandidates::Host, MappedCandidates::ServerReflexive] {
        let config = mapped(candidates, &[("10.0.0.2", "203.0.113.7")]);
        let mut lone = Lone::with(IceRole::Controlling, config, &["10.0.0.2"]);
        let before = described(&lone);
        lone.add_host(PEER);
        lone.run_for_millis(50);
        let check = lone.take_checks_to(PEER).remove(0);
        assert_eq!(check.path.local, "10.0.0.2:5000".parse().unwrap(), "checks go from the socket itself");
        lone.succeed_as(&check, "203.0.113.7:5000".parse().unwrap());
        assert_eq!(described(&lone), before, "no peer-reflexive candidate");
        let kind = lone.agent.data_pair().unwrap().local.kind;
        let expected = match candidates {
            MappedCandidates::Host => CandidateType::Host,
            MappedCandidates::ServerReflexive => CandidateType::ServerReflexive,
        };
        assert_eq!(kind, expected);
    }
}

/// RFC 8445 §5.1.2.1 and §5.1.3: as if a server had told it, with a priority of its own; a server that tells the same adds nothing.
#[test]
fn a_mapped_server_reflexive_candidate_stands_beside_the_host_candidate() {
    let mut config = mapped(MappedCandidates::ServerReflexive, &[("10.0.0.2", "203.0.113.7")]);
    let server = |number: u8| StunServer {
        host: StunServerHost::Address([192, 0, 2, number].into()),
        port: 3_478,
        url: format!("stun:192.0.2.{number}"),
    };
    config.stun_servers = vec![server(1), server(2)];
    let mut lone = Lone::without_peer(IceRole::Controlling, config, &["10.0.0.2"]);
    let expected =
        ["host 10.0.0.2:5000 from 10.0.0.2:5000", "srflx 203.0.113.7:5000 from 10.0.0.2:5000 related 10.0.0.2:5000"];
    assert_eq!(described(&lone), expected);
    lone.run_for_millis(60);
    let requests = lone.take_sent();
    for (request, seen) in requests.iter().zip(["203.0.113.7:5000", "203.0.113.7:999"]) {
        let answer = server_answer(&request.bytes, seen.parse().unwrap(), ServerBehaviour::Answers).unwrap();
        lone.receive_on(request.path, &answer);
    }
    let candidates: Vec<LocalCandidate> = lone.agent.local_candidates().cloned().collect();
    assert_eq!(candidates.len(), 3, "the first server has told nothing new");
    assert_eq!(candidates[1].priority, (100 << 24) + ((65_535 - 15) << 8) + 255);
    assert_eq!(candidates[1].url, None);
    let priorities: BTreeSet<u32> = candidates.iter().map(|candidate| candidate.priority).collect();
    let foundations: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.foundation.as_str()).collect();
    assert_eq!((priorities.len(), foundations.len()), (3, 3));
}

#[test]
fn mappings_of_no_use_are_left_out() {
    let mappings = [("10.0.0.2", "2001:db8::1"), ("10.0.0.2", "0.0.0.0"), ("10.0.0.2", "224.0.0.1")];
    for candidates in [MappedCandidates::Host, MappedCandidates::ServerReflexive] {
        let lone = Lone::with(IceRole::Controlling, mapped(candidates, &mappings), &["10.0.0.2"]);
        assert_eq!(described(&lone), ["host 10.0.0.2:5000 from 10.0.0.2:5000"]);
    }
}

#[test]
fn with_relays_only_no_mapped_address_is_told() {
    for candidates in [MappedCandidates::Host, MappedCandidates::ServerReflexive] {
        let mut config = mapped(candidates, &[("10.0.0.2", "203.0.113.7")]);
        config.transport_policy = IceTransportPolicy::Relay;
        let lone = Lone::with(IceRole::Controlling, config, &["10.0.0.2"]);
        assert_eq!(described(&lone), Vec::<String>::new());
        let told = |event: &proto_ice::IceEvent| matches!(event, proto_ice::IceEvent::LocalCandidate(_));
        assert!(!lone.events.iter().any(told));
    }
}
