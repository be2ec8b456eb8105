//! The candidate attribute.

use std::net::IpAddr;

use proto_sdp::{
    Candidate, CandidateAddress, CandidateExtension, CandidateKind, CandidateProtocol, ComponentId, HostName, Priority,
    SessionDescription, TcpType,
};

use crate::common::{candidate, data_offer, joined, parse};

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
    assert!(matches!(address("example.com"), CandidateAddress::Name(_)));
}

#[test]
fn a_local_name_is_a_single_label_under_local() {
    for (name, local) in [
        ("047fb9f2-3bd8.local", true),
        ("host.LOCAL.", true),
        ("a.b.local", false),
        ("a..local", false),
        ("host.local..", false),
        (".local", false),
        ("..local", false),
        (".local.", false),
        ("local", false),
        ("local.", false),
        ("hostlocal", false),
        ("local.example", false),
        ("example.com", false),
        (".", false),
    ] {
        assert_eq!(HostName::new(name).unwrap().is_local(), local, "{name}");
    }
}

#[test]
fn a_candidate_line_with_an_unrecognized_address_is_skipped() {
    for address in ["fe80::1%eth0", "[2001:db8::1]", "2001:db8::1::1", "host+name", "ä.example"] {
        let mut lines = data_offer();
        lines.extend([
            format!("a=candidate:1 1 udp 2113937151 {address} 4711 typ host"),
            format!("a=candidate:2 1 udp 2113937151 192.0.2.1 4712 typ srflx raddr {address} rport 4711"),
            "a=candidate:3 1 udp 2113937151 192.0.2.1 4713 typ host".to_owned(),
        ]);
        let candidates = &parse(&joined(&lines)).media[0].candidates;
        let ports: Vec<u16> = candidates.iter().map(|candidate| candidate.port).collect();
        assert_eq!(ports, [4713], "{address}");
        // On its own, there is nothing to go on with.
        assert!(format!("1 1 udp 1 {address} 9 typ host").parse::<Candidate>().is_err(), "{address}");
    }
}

#[test]
fn an_unrecognized_address_does_not_excuse_what_else_is_wrong_in_its_line() {
    for (fields, message) in [
        ("0 udp 1 fe80::1%eth0 9 typ host", "candidate component is 0, expected a number from 1 to 256"),
        ("1 udp 1 fe80::1%eth0 70000 typ host", "candidate port is 70000, expected a number from 0 to 65535"),
        ("1 udp 1 fe80::1%eth0 9 host", "candidate typ is \"host\", expected typ"),
        (
            "1 udp 1 192.0.2.1 9 typ srflx raddr fe80::1%eth0 rport 70000",
            "candidate rport is 70000, expected a number from 0 to 65535",
        ),
    ] {
        let mut lines = data_offer();
        lines.push(format!("a=candidate:1 {fields}"));
        let error = SessionDescription::parse(&joined(&lines)).unwrap_err();
        assert_eq!(error.to_string(), format!("line {}: {message}", lines.len()));
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
    assert!(HostName::new("192.0.2.1").is_err());
    assert!(HostName::new("a b").is_err());
    assert!(HostName::new(&"a".repeat(256)).is_err());
}
