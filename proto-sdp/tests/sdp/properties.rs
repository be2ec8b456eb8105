//! Generated descriptions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_sdp::{
    Attribute, Bandwidth, Candidate, CandidateAddress, CandidateExtension, CandidateKind, CandidateProtocol,
    ComponentId, Connection, Direction, Fingerprint, Formats, Foundation, Group, HashFunction, HostName, IceOptions,
    IcePacing, MaxMessageSize, MediaDescription, MediaKind, Mid, Origin, Password, Priority, Protocol, SctpInit,
    SctpPort, SessionDescription, Setup, TcpType, Text, TlsId, Token, TransportAttributes, UsernameFragment,
};
use quickcheck::{Arbitrary, Gen};

use crate::common::check;

const TOKEN: &[u8] = b"abcXYZ019!#$%&'*+-.^_`{|}~";
const ICE: &[u8] = b"abcXYZ019+/";

fn below(random: &mut Gen, bound: usize) -> usize {
    usize::arbitrary(random) % bound
}

fn text_of(random: &mut Gen, alphabet: &[u8], minimum: usize, maximum: usize) -> String {
    let length = minimum + below(random, maximum - minimum + 1);
    (0..length).map(|_| char::from(*random.choose(alphabet).unwrap())).collect()
}

fn maybe<T>(random: &mut Gen, make: impl FnOnce(&mut Gen) -> T) -> Option<T> {
    bool::arbitrary(random).then(|| make(random))
}

fn several<T>(random: &mut Gen, maximum: usize, make: impl Fn(&mut Gen) -> T) -> Vec<T> {
    let count = below(random, maximum + 1);
    (0..count).map(|_| make(random)).collect()
}

fn token(random: &mut Gen) -> Token {
    Token::new(&text_of(random, TOKEN, 1, 12)).unwrap()
}

fn mid(random: &mut Gen) -> Mid {
    Mid::new(&text_of(random, TOKEN, 1, 4)).unwrap()
}

/// Any text without NUL and line ends, spaces, colons and letters of all kinds included.
fn text(random: &mut Gen) -> String {
    String::arbitrary(random).chars().filter(|character| !matches!(character, '\0' | '\r' | '\n')).collect()
}

fn ip(random: &mut Gen) -> IpAddr {
    if bool::arbitrary(random) { Ipv4Addr::arbitrary(random).into() } else { Ipv6Addr::arbitrary(random).into() }
}

fn address(random: &mut Gen) -> CandidateAddress {
    if bool::arbitrary(random) {
        CandidateAddress::Ip(ip(random))
    } else {
        let name = text_of(random, b"abc-_", 1, 12) + ".local";
        CandidateAddress::Name(HostName::new(&name).unwrap())
    }
}

fn candidate(random: &mut Gen) -> Candidate {
    let protocols =
        [CandidateProtocol::Udp, CandidateProtocol::Tcp, CandidateProtocol::Other(Token::new("tls").unwrap())];
    let kinds = [
        CandidateKind::Host,
        CandidateKind::ServerReflexive,
        CandidateKind::PeerReflexive,
        CandidateKind::Relayed,
        CandidateKind::Other(Token::new("moon").unwrap()),
    ];
    let tcp_types = [TcpType::Active, TcpType::Passive, TcpType::SimultaneousOpen];
    let component = 1 + u16::arbitrary(random) % 256;
    Candidate {
        foundation: Foundation::new(&text_of(random, ICE, 1, 32)).unwrap(),
        component: ComponentId::new(component).unwrap(),
        protocol: random.choose(&protocols).unwrap().clone(),
        priority: Priority::new((u32::arbitrary(random) >> 1).max(1)).unwrap(),
        address: address(random),
        port: u16::arbitrary(random),
        kind: random.choose(&kinds).unwrap().clone(),
        related_address: maybe(random, address),
        related_port: maybe(random, u16::arbitrary),
        tcp_type: maybe(random, |random| *random.choose(&tcp_types).unwrap()),
        extensions: several(random, 4, |random| {
            let name = format!("x-{}", token(random));
            let value = text_of(random, b"abc:=,;/\\[]<>", 1, 12);
            CandidateExtension::new(&name, &value).unwrap()
        }),
    }
}

fn fingerprint(random: &mut Gen) -> Fingerprint {
    let functions =
        [HashFunction::Sha1, HashFunction::Sha224, HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512];
    let function = *random.choose(&functions).unwrap();
    let bytes: Vec<u8> = (0..function.output_length()).map(|_| u8::arbitrary(random)).collect();
    Fingerprint::new(function, &bytes).unwrap()
}

fn transport(random: &mut Gen) -> TransportAttributes {
    let setups = [Setup::Active, Setup::Passive, Setup::ActPass, Setup::HoldConn];
    let ice_options = several(random, 4, |random| text_of(random, ICE, 1, 12))
        .iter()
        .try_fold(IceOptions::none(), |options, tag| options.with(tag));
    TransportAttributes {
        username_fragment: maybe(random, |random| UsernameFragment::new(&text_of(random, ICE, 4, 256)).unwrap()),
        password: maybe(random, |random| Password::new(&text_of(random, ICE, 22, 256)).unwrap()),
        ice_options: ice_options.unwrap(),
        fingerprints: several(random, 3, fingerprint),
        setup: maybe(random, |random| *random.choose(&setups).unwrap()),
        tls_id: maybe(random, |random| TlsId::new(&text_of(random, b"abcXYZ09+/-_", 20, 255)).unwrap()),
    }
}

fn attribute(random: &mut Gen) -> Attribute {
    let name = format!("x-{}", token(random));
    let value = maybe(random, text);
    Attribute::new(&name, value.as_deref()).unwrap()
}

fn direction(random: &mut Gen) -> Direction {
    let directions = [Direction::SendReceive, Direction::SendOnly, Direction::ReceiveOnly, Direction::Inactive];
    *random.choose(&directions).unwrap()
}

fn bandwidth(random: &mut Gen) -> Bandwidth {
    Bandwidth { kind: token(random), value: u64::arbitrary(random) }
}

fn connection(random: &mut Gen) -> Connection {
    Connection::from_ip(ip(random))
}

fn media(random: &mut Gen) -> MediaDescription {
    let kinds =
        [MediaKind::Audio, MediaKind::Video, MediaKind::Application, MediaKind::Other(Token::new("message").unwrap())];
    let protocols = ["UDP/DTLS/SCTP", "UDP/TLS/RTP/SAVPF", "TCP/MSRP"];
    let kind = random.choose(&kinds).unwrap().clone();
    let protocol = Protocol::new(random.choose(&protocols).unwrap()).unwrap();
    let formats = Formats::new(token(random), several(random, 4, token));
    let mut media = MediaDescription::new(kind, protocol, formats);
    media.port = u16::arbitrary(random);
    media.connection = maybe(random, connection);
    media.bandwidths = several(random, 2, bandwidth);
    media.mid = maybe(random, mid);
    media.direction = maybe(random, direction);
    media.bundle_only = bool::arbitrary(random);
    media.rtcp_mux = bool::arbitrary(random);
    media.transport = transport(random);
    media.candidates = several(random, 4, candidate);
    media.end_of_candidates = bool::arbitrary(random);
    media.sctp_port = maybe(random, u16::arbitrary).map(SctpPort::new);
    media.max_message_size = maybe(random, u64::arbitrary).map(MaxMessageSize::from_wire);
    media.sctp_init = maybe(random, |random| {
        let length = 1 + below(random, 80);
        let bytes: Vec<u8> = (0..length).map(|_| u8::arbitrary(random)).collect();
        SctpInit::new(&bytes).unwrap()
    });
    media.attributes = several(random, 6, attribute);
    media
}

#[derive(Clone, Debug)]
struct AnyDescription(SessionDescription);

impl Arbitrary for AnyDescription {
    fn arbitrary(random: &mut Gen) -> Self {
        let origin = Origin::new(u64::arbitrary(random), u64::arbitrary(random));
        let mut description = SessionDescription::new(origin);
        description.session_name = Text::new(&text(random)).unwrap();
        description.connection = maybe(random, connection);
        description.bandwidths = several(random, 2, bandwidth);
        description.groups =
            several(random, 3, |random| Group { semantics: token(random), mids: several(random, 4, mid) });
        description.ice_lite = bool::arbitrary(random);
        description.ice_pacing =
            maybe(random, |random| IcePacing::from_milliseconds(u32::arbitrary(random).into()).unwrap());
        description.transport = transport(random);
        description.direction = maybe(random, direction);
        description.end_of_candidates = bool::arbitrary(random);
        description.attributes = several(random, 6, attribute);
        description.media = several(random, 4, media);
        Self(description)
    }
}

#[derive(Clone, Debug)]
struct AnyCandidate(Candidate);

impl Arbitrary for AnyCandidate {
    fn arbitrary(random: &mut Gen) -> Self {
        Self(candidate(random))
    }
}

#[test]
fn writing_and_parsing_any_description_gives_the_same_description() {
    fn property(AnyDescription(description): AnyDescription) -> bool {
        let written = description.to_string();
        SessionDescription::parse(&written).as_ref() == Ok(&description)
    }
    check(2000, property as fn(AnyDescription) -> bool);
}

#[test]
fn writing_and_parsing_any_candidate_gives_the_same_candidate() {
    fn property(AnyCandidate(candidate): AnyCandidate) -> bool {
        let written = candidate.to_string();
        written.parse().as_ref() == Ok(&candidate) && format!("a={written}\r\n").parse().as_ref() == Ok(&candidate)
    }
    check(5000, property as fn(AnyCandidate) -> bool);
}
