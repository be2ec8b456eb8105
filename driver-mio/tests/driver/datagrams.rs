//! Datagrams arrive as they were sent, in order, and what cannot be sent is counted.

use std::net::UdpSocket;
use std::time::Duration;

use driver_mio::{DriverConfig, interface_addresses};
use proto_machine::{Path, TransportProtocol};

use crate::support::{Host, datagrams};

/// `count` datagrams of `length` bytes that tell their number.
fn numbered(count: usize, length: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let mut bytes = vec![0xa5; length];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            bytes
        })
        .collect()
}

/// Sends a batch from one host to another, which sends it back, and checks both ways.
fn round_trip(ip: &str, batch: &[Vec<u8>], config: &DriverConfig) -> (Host, Host) {
    let (mut here, mut there) = (Host::new(config.clone()), Host::new(config.clone()));
    let (_, local) = here.open(ip);
    let (_, remote) = there.open(ip);
    here.send(Path::udp(local, remote), batch.to_vec());
    here.turn(Duration::ZERO);
    there.turn_until(|seen| datagrams(seen).len() == batch.len());
    let expected: Vec<_> = batch.iter().map(|bytes| (Path::udp(remote, local), bytes.clone())).collect();
    assert_eq!(there.received(), expected);

    there.driver.machine().echo = true;
    here.send(Path::udp(local, remote), batch.to_vec());
    while here.received().len() < batch.len() {
        here.turn(Duration::from_millis(1));
        there.turn(Duration::from_millis(1));
    }
    let expected: Vec<_> = batch.iter().map(|bytes| (Path::udp(local, remote), bytes.clone())).collect();
    assert_eq!(here.received(), expected);
    (here, there)
}

#[test]
fn a_batch_of_64_datagrams_arrives_intact_and_in_order_in_one_call() {
    for ip in ["127.0.0.1", "::1"] {
        let mut batch = numbered(64, 1_000);
        batch[63].truncate(500);
        let (here, _there) = round_trip(ip, &batch, &DriverConfig { datagram_capacity: 1_000, ..Default::default() });
        let statistics = here.driver.statistics();
        assert_eq!((statistics.datagrams_sent, statistics.bytes_sent), (128, 2 * 63_500));
        assert_eq!(statistics.dropped.total(), 0);
        if statistics.segmentation_fallbacks == 0 && cfg!(target_os = "linux") {
            assert_eq!(statistics.send_calls, 2);
        }
    }
}

#[test]
fn a_batch_that_exceeds_one_packet_of_the_system_is_divided() {
    for ip in ["127.0.0.1", "::1"] {
        let (here, _there) = round_trip(ip, &numbered(64, 1_200), &DriverConfig::default());
        assert_eq!(here.driver.statistics().dropped.total(), 0);
        assert_eq!(here.driver.statistics().datagrams_sent, 128);
    }
}

#[test]
fn datagrams_go_one_by_one_where_segmentation_is_switched_off() {
    let (here, _there) =
        round_trip("127.0.0.1", &numbered(20, 800), &DriverConfig { max_segments: 1, ..Default::default() });
    assert_eq!(here.driver.statistics().send_calls, 40);
}

#[test]
fn the_largest_datagram_there_is_arrives_whole() {
    let config = DriverConfig { datagram_capacity: 65_507, ..Default::default() };
    round_trip("127.0.0.1", &numbered(1, 65_507), &config);
}

#[test]
fn an_empty_datagram_is_handed_over_as_such() {
    let mut host = Host::new(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.send_to(&[], local).unwrap();
    other.send_to(b"x", local).unwrap();
    host.turn_until(|seen| datagrams(seen).len() == 2);
    let path = Path::udp(local, other.local_addr().unwrap());
    assert_eq!(host.received(), [(path, vec![]), (path, b"x".to_vec())]);
}

#[test]
fn a_socket_on_the_unspecified_address_reports_and_answers_from_the_address_that_was_meant() {
    for (unspecified, targets) in [("0.0.0.0", &["127.0.0.1", "127.0.0.2"][..]), ("::", &["::1"][..])] {
        let mut host = Host::new(DriverConfig::default());
        host.driver.machine().echo = true;
        let (_, bound) = host.open(unspecified);
        assert_eq!(bound.ip(), unspecified.parse::<std::net::IpAddr>().unwrap());
        for target in targets {
            let target = std::net::SocketAddr::new(target.parse().unwrap(), bound.port());
            let client = UdpSocket::bind((target.ip(), 0)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.send_to(b"who are you?", target).unwrap();
            let before = host.driver.statistics().datagrams_sent;
            while host.driver.statistics().datagrams_sent == before {
                host.turn(Duration::from_secs(10));
            }
            let mut bytes = [0; 64];
            assert_eq!(client.recv_from(&mut bytes).unwrap(), (12, target));
        }
    }
}

#[test]
fn a_link_local_address_is_reported_with_its_interface_and_can_be_answered_from() {
    let addresses = interface_addresses().unwrap();
    // A host without such an address has nothing to test.
    for address in addresses.iter().filter(|address| address.link_local && address.address.is_ipv6()) {
        let mut host = Host::new(DriverConfig::default());
        let (_, bound) = host.open("::");
        let target = address.socket_address(bound.port());
        let client = UdpSocket::bind(address.socket_address(0)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.send_to(b"who are you?", target).unwrap();
        host.turn_until(|seen| !datagrams(seen).is_empty());
        let (path, bytes) = host.received().remove(0);
        assert_eq!(path, Path::udp(target, client.local_addr().unwrap()));
        host.send(path, vec![bytes]);
        host.turn(Duration::ZERO);
        let mut bytes = [0; 64];
        assert_eq!(client.recv_from(&mut bytes).unwrap(), (12, target));
    }
}

#[test]
fn a_socket_on_the_unspecified_address_sends_under_that_name_too() {
    let mut host = Host::new(DriverConfig::default());
    let (_, bound) = host.open("0.0.0.0");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    host.send(Path::udp(bound, other.local_addr().unwrap()), vec![b"hello".to_vec()]);
    host.turn(Duration::ZERO);
    let mut bytes = [0; 64];
    let (length, from) = other.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from.port()), (&b"hello"[..], bound.port()));
}

#[test]
fn a_datagram_without_a_socket_or_with_an_impossible_path_is_counted_and_dropped() {
    let mut host = Host::new(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let remote = "127.0.0.1:9".parse().unwrap();
    for path in [
        Path::udp("127.0.0.1:1".parse().unwrap(), remote),
        Path::udp(local, "127.0.0.1:0".parse().unwrap()),
        Path::udp(local, "[::1]:9".parse().unwrap()),
        Path { protocol: TransportProtocol::Tcp, local, remote },
    ] {
        host.send(path, vec![b"ab".to_vec(), b"c".to_vec()]);
    }
    host.turn(Duration::ZERO);
    let dropped = host.driver.statistics().dropped;
    assert_eq!((dropped.no_socket, dropped.bad_path, dropped.total()), (2, 6, 8));
    assert_eq!(host.driver.statistics().send_calls, 0);
}

#[test]
fn what_the_system_refuses_is_counted_and_costs_others_nothing() {
    let mut host = Host::new(DriverConfig { datagram_capacity: 65_507, ..Default::default() });
    let (_, local) = host.open("127.0.0.1");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let good = Path::udp(local, other.local_addr().unwrap());
    // From the loopback address to the outside: the system refuses with the same error as unsupported segmentation.
    host.send(Path::udp(local, "203.0.113.77:9".parse().unwrap()), numbered(10, 100));
    // No broadcasts without leave.
    host.send(Path::udp(local, "255.255.255.255:9".parse().unwrap()), numbered(10, 100));
    host.send(good, numbered(10, 100));
    host.turn(Duration::ZERO);
    let statistics = host.driver.statistics();
    assert_eq!(statistics.dropped.total(), 20, "{statistics:?}");
    assert_eq!((statistics.datagrams_sent, statistics.segmentation_fallbacks), (10, 0));
    if cfg!(target_os = "linux") {
        assert_eq!(statistics.send_calls, 1, "segmentation is still in use: {statistics:?}");
    }
}
