//! A server in a cloud: a public address stands for that of its interface, and no server has to tell it.

use std::time::Duration;

use driver_sim::{LinkConfig, PeerNode, SignallingRole, Topology, World};
use peer_core::{
    AddressMapping, CandidateType, Configuration, ConfigurationError, DataChannelOptions, MappedCandidates,
    OneToOneNat, Peer,
};
use proto_machine::Seed;

use crate::support::{Observer, configuration};

const TEXT: &str = "
    cloud   nat EE external 203.0.113.1 ports preserving
    home    nat EP external 203.0.113.2
    server  host 10.0.0.2 behind cloud
    client  host 10.1.0.2 behind home
";

fn mapped(local: [u8; 4], public: [u8; 4], candidates: MappedCandidates) -> OneToOneNat {
    OneToOneNat { mappings: vec![AddressMapping { local: local.into(), public: public.into() }], candidates }
}

/// The client knows no server either: it is seen by the checks that it sends.
#[test]
fn a_host_with_a_mapped_address_is_reached_from_behind_a_nat_without_any_server() {
    for candidates in [MappedCandidates::Host, MappedCandidates::ServerReflexive] {
        let topology: Topology = TEXT.parse().unwrap();
        let mut world = World::new(Seed::from_number(1));
        world.set_default_link(LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() });
        let places = topology.build(&mut world).unwrap();
        let one_to_one_nat = mapped([10, 0, 0, 2], [203, 0, 113, 1], candidates);
        let server = Peer::new(Configuration { one_to_one_nat, ..configuration(2) }, Seed::from_number(2)).unwrap();
        let server = PeerNode::new(server, Observer::default(), SignallingRole::Answerer);
        let server = places.add_host(&mut world, "server", server).unwrap();
        let client = Peer::new(configuration(1), Seed::from_number(1)).unwrap();
        let observer = Observer::creating(vec![DataChannelOptions::new("to the cloud")]);
        let client = PeerNode::new(client, observer, SignallingRole::Offerer { to: server.id() });
        let client = places.add_host(&mut world, "client", client).unwrap();

        let end = world.now() + Duration::from_secs(10);
        world.run_until(end, |world| world.node(server).application().channels.len() == 1).unwrap();

        let remote = world.node(client).peer().selected_candidate_pair().unwrap().remote;
        let kind = match candidates {
            MappedCandidates::Host => CandidateType::Host,
            MappedCandidates::ServerReflexive => CandidateType::ServerReflexive,
        };
        assert_eq!((remote.address.ip().to_string().as_str(), remote.kind), ("203.0.113.1", kind));
        let answer = world.node(server).peer().local_description().unwrap().sdp;
        assert_eq!(answer.contains("10.0.0.2"), candidates == MappedCandidates::ServerReflexive, "{answer}");
    }
}

#[test]
fn a_mapping_that_cannot_be_meant_is_a_configuration_error_that_names_it() {
    let one_to_one_nat = mapped([10, 0, 0, 2], [0, 0, 0, 0], MappedCandidates::Host);
    let mapping = one_to_one_nat.mappings[0];
    let error = Peer::new(Configuration { one_to_one_nat, ..configuration(1) }, Seed::from_number(1)).unwrap_err();
    assert_eq!(error, ConfigurationError::AddressMapping(mapping));
    assert!(error.to_string().starts_with("0.0.0.0 cannot stand for 10.0.0.2"), "{error}");
}
