//! The candidate attribute.

use std::net::IpAddr;

use proto_sdp::{
    Candidate, CandidateAddress, CandidateExtension, CandidateKind, CandidateProtocol, ComponentId, Priority, TcpType,
};

use crate::common::candidate;

const RELAYED: &str = "candidate:842163049 1 udp 1677729535 203.0.113.141 60769 typ relay raddr 10.0.0.1 rport 8998 generation 0 ufrag EEtu network-id 3 network-cost 10";

#[test]
fn every_field_of_a_candidate_is_read() {
    let candidate = candidate(RELAYED);
    assert_eq!(candidate.foundation.as_str(), "842163049");
    assert_eq!(candidate.component, ComponentId::ONE);
    assert_eq!(candidate.protocol, CandidateProtocol::Udp);
    assert_eq!(candidate.priority, Priority::new(1_677_729_535).unwrap());
    let address: IpAddr = "203.0.113.141".parse().unwrap();
    assert_eq!(candidate.address, CandidateAddress::Ip(address));
    assert_eq!(candidate.port, 60769);
    assert_eq!(candidate.kind, CandidateKind::Relayed);
    let related: IpAddr = "10.0.0.1".parse().unwrap();
    assert_eq!(candidate.related_address.unwrap().ip(), Some(related));
    assert_eq!(candidate.related_port, Some(8998));
    assert_eq!(candidate.tcp_type, None);
}

#[test]
fn extensions_are_kept_in_order() {
    let candidate = candidate(RELAYED);
    let names: Vec<&str> = candidate.extensions.iter().map(CandidateExtension::name).collect();
    assert_eq!(names, ["generation", "ufrag", "network-id", "network-cost"]);
    assert_eq!(candidate.extension("network-cost"), Some("10"));
    assert_eq!(candidate.username_fragment().unwrap().as_str(), "EEtu");
    assert_eq!(candidate.to_string(), RELAYED);
}

#[test]
fn a_candidate_is_read_with_any_prefix() {
    let expected = candidate(RELAYED);
    let bare = RELAYED.strip_prefix("candidate:").unwrap();
    for text in [format!("a={RELAYED}"), format!("a={RELAYED}\r\n"), format!("  {RELAYED} "), bare.to_owned()] {
        assert_eq!(candidate(&text), expected, "{text:?}");
    }
}

#[test]
fn protocol_names_are_read_in_any_case() {
    for (name, expected) in
        [("UDP", CandidateProtocol::Udp), ("Udp", CandidateProtocol::Udp), ("TCP", CandidateProtocol::Tcp)]
    {
        let line = format!("1 1 {name} 1 192.0.2.1 9 typ host");
        assert_eq!(candidate(&line).protocol, expected);
    }
}

#[test]
fn unknown_protocols_and_types_are_kept() {
    let candidate = candidate("1 1 sctp 1 192.0.2.1 9 typ moon");
    assert!(matches!(&candidate.protocol, CandidateProtocol::Other(name) if name.as_str() == "sctp"));
    assert!(matches!(&candidate.kind, CandidateKind::Other(name) if name.as_str() == "moon"));
    assert_eq!(candidate.to_string(), "candidate:1 1 sctp 1 192.0.2.1 9 typ moon");
}

#[test]
fn addresses_are_ipv4_ipv6_or_names() {
    let address = |text: &str| candidate(&format!("1 1 udp 1 {text} 9 typ host")).address;
    assert!(matches!(address("192.0.2.1"), CandidateAddress::Ip(IpAddr::V4(_))));
    assert!(matches!(address("2001:db8::1"), CandidateAddress::Ip(IpAddr::V6(_))));
    for (text, local) in
        [("047fb9f2-3bd8.local", true), ("host.LOCAL.", true), ("example.com", false), ("local", false)]
    {
        match address(text) {
            CandidateAddress::Name(name) => assert_eq!(name.is_local(), local, "{text}"),
            CandidateAddress::Ip(address) => panic!("{address}"),
        }
    }
}

#[test]
fn tcp_types_are_read_and_written() {
    for (name, expected) in
        [("active", TcpType::Active), ("passive", TcpType::Passive), ("so", TcpType::SimultaneousOpen)]
    {
        let line = format!("candidate:2 1 tcp 2105458943 192.0.2.1 9 typ host tcptype {name}");
        let candidate = candidate(&line);
        assert_eq!(candidate.tcp_type, Some(expected));
        assert_eq!(candidate.to_string(), line);
    }
}

#[test]
fn the_range_of_each_number_is_checked() {
    for (component, priority, valid) in [
        ("0", "1", false),
        ("1", "1", true),
        ("256", "1", true),
        ("257", "1", false),
        ("1", "0", false),
        ("1", "2147483647", true),
        ("1", "2147483648", false),
        ("1", "18446744073709551616", false),
    ] {
        let line = format!("1 {component} udp {priority} 192.0.2.1 9 typ host");
        assert_eq!(line.parse::<Candidate>().is_ok(), valid, "{line}");
    }
}

#[test]
fn the_foundation_has_1_to_32_ice_characters() {
    for (foundation, valid) in
        [("a".repeat(32), true), ("a".repeat(33), false), ("a+/9".to_owned(), true), ("a-b".to_owned(), false)]
    {
        let line = format!("{foundation} 1 udp 1 192.0.2.1 9 typ host");
        assert_eq!(line.parse::<Candidate>().is_ok(), valid, "{line}");
    }
}

#[test]
fn errors_say_which_field_is_wrong() {
    for (line, message) in [
        ("", "candidate foundation is missing"),
        ("1", "candidate component is missing"),
        ("1 1 udp 1 192.0.2.1", "candidate port is missing"),
        ("1 1 udp 1 192.0.2.1 9", "candidate typ is missing"),
        ("1 1 udp 1 192.0.2.1 9 host", "candidate typ is \"host\", expected typ"),
        ("1 1 udp 1 192.0.2.1 9 typ", "candidate type is missing"),
        (
            "1 1 udp 1 fe80::1%eth0 9 typ host",
            "candidate address is \"fe80::1%eth0\", expected an IP address or a host name",
        ),
        (
            "1 1 udp 1 192.0.2.1 9 typ host generation",
            "candidate extension is \"generation\", expected a value after the name",
        ),
        ("1 1 udp 1 192.0.2.1 9 typ host rport 1 rport 2", "candidate extension is \"rport\", expected it only once"),
        (
            "1 1 tcp 1 192.0.2.1 9 typ host tcptype both",
            "candidate tcptype is \"both\", expected active, passive or so",
        ),
    ] {
        let error = line.parse::<Candidate>().unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn an_extension_cannot_pose_as_a_field() {
    for name in ["raddr", "rport", "tcptype"] {
        assert!(CandidateExtension::new(name, "1").is_err());
    }
    assert!(CandidateExtension::new("generation", "0 typ").is_err());
    assert!(CandidateExtension::new("", "0").is_err());
}

#[test]
fn a_host_name_cannot_pose_as_an_address() {
    assert!(proto_sdp::HostName::new("192.0.2.1").is_err());
    assert!(proto_sdp::HostName::new("a b").is_err());
    assert!(proto_sdp::HostName::new(&"a".repeat(256)).is_err());
}
