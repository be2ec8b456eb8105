//! Packet traces: the addresses are those of the place where it was listened.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use driver_sim::network::Internet;
use driver_sim::{LinkConfig, Probability, RecordingId, VantagePoint, World};
use proto_machine::Timestamp;

use crate::support::{at, world};

const NESTED: &str = "
    carrier  nat EE  external 203.0.113.1  ports preserving
    home     nat EE  external 100.64.0.2 behind carrier  ports preserving hairpinning on
    alice    host 10.0.0.2 behind home
    carol    host 10.0.0.3 behind home
    bob      host 198.51.100.7
    six      host 2001:db8::1
    seven    host 2001:db8::2
";

/// What a trace holds of a datagram: when, from where, where to, and how many bytes.
type Seen = (Timestamp, SocketAddr, SocketAddr, usize);

fn number<const N: usize>(bytes: &[u8]) -> usize {
    bytes[..N].iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

fn little(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// Reads a trace, and checks lengths and sums on the way.
fn read(mut trace: &[u8]) -> Vec<Seen> {
    assert_eq!((little(trace), little(&trace[20..])), (0xa1b2_3c4d, 101));
    trace = &trace[24..];
    let mut seen = Vec::new();
    while !trace.is_empty() {
        let [seconds, nanoseconds, length, original] = [0, 4, 8, 12].map(|offset| little(&trace[offset..]));
        assert_eq!(length, original);
        let (packet, rest) = trace[16..].split_at(usize::try_from(length).unwrap());
        let when = Timestamp::ZERO + Duration::new(seconds.into(), nanoseconds);
        let (source, destination, length) = read_packet(packet);
        seen.push((when, source, destination, length));
        trace = rest;
    }
    seen
}

fn read_packet(packet: &[u8]) -> (SocketAddr, SocketAddr, usize) {
    let version = packet[0] >> 4;
    let (addresses, udp) = if version == 4 {
        assert_eq!((packet[0] & 15, number::<2>(&packet[2..]), packet[9]), (5, packet.len(), 17));
        assert_eq!(sum(&packet[..20]), 0xffff, "header");
        (&packet[12..20], &packet[20..])
    } else {
        assert_eq!((version, number::<2>(&packet[4..]) + 40, packet[6]), (6, packet.len(), 17));
        (&packet[8..40], &packet[40..])
    };
    assert_eq!(number::<2>(&udp[4..]), udp.len());
    let length = u8::try_from(udp.len() % 256).unwrap();
    let high = u8::try_from(udp.len() / 256).unwrap();
    assert_eq!(sum(&[addresses, &[0, 17, high, length], udp].concat()), 0xffff, "datagram");
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let endpoint =
        |address: &[u8], port: &[u8]| SocketAddr::new(ip(address), u16::try_from(number::<2>(port)).unwrap());
    (endpoint(source, udp), endpoint(destination, &udp[2..]), udp.len() - 8)
}

fn ip(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => octets.into(),
        Err(_) => <[u8; 16]>::try_from(bytes).unwrap().into(),
    }
}

/// In ones' complement.
fn sum(bytes: &[u8]) -> usize {
    let sum =
        bytes.chunks(2).map(|word| usize::from(word[0]) << 8 | usize::from(*word.get(1).unwrap_or(&0))).sum::<usize>();
    (0..3).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16))
}

fn seen(world: &World<()>, trace: RecordingId) -> Vec<(SocketAddr, SocketAddr)> {
    read(world.pcap(trace)).into_iter().map(|(_, source, destination, _)| (source, destination)).collect()
}

#[test]
fn each_point_sees_a_datagram_once_with_the_addresses_that_it_has_there() {
    let (mut world, places, [alice, bob]) = world(NESTED, ["alice", "bob"]);
    let [home, carrier] = ["home", "carrier"].map(|name| places.network(name).unwrap());
    let points = [
        VantagePoint::Node(alice.id()),
        VantagePoint::Network(home),
        VantagePoint::Network(carrier),
        VantagePoint::Network(Internet::PUBLIC),
        VantagePoint::Node(bob.id()),
    ];
    let traces = points.map(|point| world.record(point));
    let [inner, bobs] = [at("10.0.0.2:5000"), at("198.51.100.7:5000")];
    world.command(alice, |probe, _| probe.send(inner, bobs, 7));
    world.run_for(Duration::from_secs(1));
    let outer = at("203.0.113.1:5000");
    world.command(bob, |probe, _| probe.send(bobs, outer, 8));
    world.run_for(Duration::from_secs(1));
    let middle = at("100.64.0.2:5000");
    let here = [inner, inner, middle, outer, outer];
    for (trace, here) in traces.into_iter().zip(here) {
        assert_eq!(seen(&world, trace), [(here, bobs), (bobs, here)]);
    }
}

#[test]
fn times_are_those_of_the_place_and_what_is_lost_behind_it_is_seen_all_the_same() {
    let (mut world, _, [six, seven]) = world(NESTED, ["six", "seven"]);
    world.set_default_link(LinkConfig { delay: Duration::from_millis(1_250), ..LinkConfig::default() });
    let [sent, arrived] = [six, seven].map(|node| world.record(VantagePoint::Node(node.id())));
    let public = world.record(VantagePoint::Network(Internet::PUBLIC));
    let [source, destination] = [at("[2001:db8::1]:5000"), at("[2001:db8::2]:5000")];
    let mut send = |length| {
        world.command(six, |probe, _| probe.send(source, destination, length));
        world.run_for(Duration::from_secs(2));
    };
    send(1_000);
    world.set_link(six.id(), seven.id(), LinkConfig { loss: Probability::percent(100), ..LinkConfig::default() });
    world.command(six, |probe, _| probe.send(source, destination, 1));
    let here = [(Timestamp::ZERO, source, destination, 1_000), (Timestamp::from_millis(2_000), source, destination, 1)];
    assert_eq!(read(world.pcap(sent)), here);
    assert_eq!(read(world.pcap(public)), here);
    assert_eq!(read(world.pcap(arrived)), [(Timestamp::from_millis(1_250), source, destination, 1_000)]);
}

#[test]
fn a_hairpin_is_seen_twice_inside_and_never_outside() {
    let (mut world, places, [alice, carol]) = world(NESTED, ["alice", "carol"]);
    let [home, carrier] =
        ["home", "carrier"].map(|name| world.record(VantagePoint::Network(places.network(name).unwrap())));
    world.command(alice, |probe, _| probe.send(at("10.0.0.2:5000"), at("192.0.2.99:1"), 1));
    world.command(carol, |probe, _| probe.send(at("10.0.0.3:5000"), at("100.64.0.2:5000"), 1));
    world.run_for(Duration::from_secs(1));
    let external = at("100.64.0.2:5000");
    let expected = [
        (at("10.0.0.2:5000"), at("192.0.2.99:1")),
        (at("10.0.0.3:5000"), external),
        // Carol's port is taken: her mapping has the next one of its parity.
        (at("100.64.0.2:5002"), at("10.0.0.2:5000")),
    ];
    assert_eq!(seen(&world, home), expected);
    assert_eq!(seen(&world, carrier), [(external, at("192.0.2.99:1"))]);
}
