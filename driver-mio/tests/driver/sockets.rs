//! Sockets are opened, closed and refused as asked, and one driver serves many.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use driver_mio::{Driver, DriverConfig, interface_addresses, system_seed, wall_clock};
use proto_machine::{Path, SocketError, SocketEvent, SocketRequest};

use crate::support::{Host, Scripted, datagrams};

#[test]
fn an_address_of_another_host_cannot_be_bound() {
    let mut host = Host::new(DriverConfig::default());
    let socket = host.request_bind("203.0.113.77:0".parse().unwrap());
    assert_eq!(host.answer_about(socket), SocketEvent::Failed { socket, error: SocketError::AddressNotAvailable });
    assert_eq!(host.driver.local_addresses().count(), 0);
}

#[test]
fn an_address_in_use_cannot_be_bound_again() {
    let mut host = Host::new(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let socket = host.request_bind(local);
    assert_eq!(host.answer_about(socket), SocketEvent::Failed { socket, error: SocketError::AddressInUse });
    assert_eq!(host.driver.local_addresses().collect::<Vec<_>>().len(), 1);
}

#[test]
fn both_families_can_have_the_same_port() {
    let mut host = Host::new(DriverConfig::default());
    // The port may be taken by someone else in the other family: try again then.
    let both = (0..50).any(|_| {
        let (_, local) = host.open("0.0.0.0");
        let socket = host.request_bind(SocketAddr::new("::".parse().unwrap(), local.port()));
        matches!(host.answer_about(socket), SocketEvent::Opened { .. })
    });
    assert!(both);
}

#[test]
fn no_more_sockets_are_opened_than_configured() {
    let mut host = Host::new(DriverConfig { max_sockets: 2, ..Default::default() });
    let (first, _) = host.open("127.0.0.1");
    host.open("127.0.0.1");
    let third = host.request_bind("127.0.0.1:0".parse().unwrap());
    assert!(matches!(host.answer_about(third), SocketEvent::Failed { error: SocketError::Other(_), .. }));
    host.driver.machine().requests.push_back(SocketRequest::Close { socket: first });
    host.open("127.0.0.1");
}

#[test]
fn sockets_are_opened_inside_the_port_range_until_it_is_exhausted() {
    // Three ports that nobody else uses at the moment; another process may take one before they are bound.
    let range = (0..50).find_map(|_| {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let last = first.checked_add(2)?;
        (first..=last).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()).then_some(first..=last)
    });
    let range = range.unwrap();
    let mut host = Host::new(DriverConfig { port_range: Some(range.clone()), ..Default::default() });
    let opened: Vec<u16> = (0..3).map(|_| host.open("127.0.0.1").1.port()).collect();
    assert_eq!(opened, range.clone().collect::<Vec<_>>());
    let socket = host.request_bind("127.0.0.1:0".parse().unwrap());
    let words = format!("no UDP port from {} to {} is free at 127.0.0.1", range.start(), range.end());
    assert_eq!(host.answer_about(socket), SocketEvent::Failed { socket, error: SocketError::Other(words) });
    let (_, elsewhere) = host.open("127.0.0.2");
    assert!(range.contains(&elsewhere.port()), "another address has ports of its own");
}

#[test]
fn a_closed_socket_receives_nothing_and_frees_its_port() {
    let mut host = Host::new(DriverConfig::default());
    let (closed, closed_address) = host.open("127.0.0.1");
    let (_, open_address) = host.open("127.0.0.1");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Waits in the socket when it is closed.
    other.send_to(b"too late", closed_address).unwrap();
    host.driver.machine().requests.push_back(SocketRequest::Close { socket: closed });
    host.turn(Duration::ZERO);
    UdpSocket::bind(closed_address).unwrap();
    other.send_to(b"in time", open_address).unwrap();
    host.turn_until(|seen| !datagrams(seen).is_empty());
    host.turn(Duration::ZERO);
    assert_eq!(host.received(), [(Path::udp(open_address, other.local_addr().unwrap()), b"in time".to_vec())]);
    assert_eq!(host.driver.local_addresses().map(|(_, local)| local).collect::<Vec<_>>(), [open_address]);
}

#[test]
fn a_name_that_is_used_again_stands_for_the_new_socket() {
    let mut host = Host::new(DriverConfig::default());
    let (socket, first) = host.open("127.0.0.1");
    host.seen.clear();
    let local = "127.0.0.1:0".parse().unwrap();
    host.driver.machine().requests.push_back(SocketRequest::BindUdp { socket, local });
    let second = host.answer_about(socket);
    UdpSocket::bind(first).unwrap();
    let [(id, local)] = host.driver.local_addresses().collect::<Vec<_>>()[..] else { panic!("one socket") };
    assert_eq!((id, second), (socket, SocketEvent::Opened { socket, local }));
}

#[test]
fn one_driver_echoes_on_a_thousand_sockets() {
    let (mut client, mut server) = (Host::new(DriverConfig::default()), Host::new(DriverConfig::default()));
    server.driver.machine().echo = true;
    let (_, service) = server.open("127.0.0.1");
    let sockets: Vec<SocketAddr> = (0..1_000).map(|_| client.open("127.0.0.1").1).collect();
    for &local in &sockets {
        client.send(Path::udp(local, service), vec![local.port().to_be_bytes().to_vec()]);
    }
    while client.received().len() < sockets.len() {
        client.turn(Duration::from_millis(1));
        server.turn(Duration::from_millis(1));
    }
    let mut received = client.received();
    received.sort_unstable();
    let mut expected: Vec<_> =
        sockets.iter().map(|&local| (Path::udp(local, service), local.port().to_be_bytes().to_vec())).collect();
    expected.sort_unstable();
    assert_eq!(received, expected);
}

#[test]
fn a_flooded_socket_does_not_keep_others_from_being_read() {
    let mut host = Host::new(DriverConfig { receive_budget: 1, drain_budget: 1_000, ..Default::default() });
    let (_, flooded) = host.open("127.0.0.1");
    let (_, quiet) = host.open("127.0.0.1");
    // Each from a socket of its own, so that the system cannot join them: a call returns 32 at most.
    let floods: Vec<_> = (0..200).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for flood in &floods {
        flood.send_to(b"flood", flooded).unwrap();
    }
    floods[0].send_to(b"quiet", quiet).unwrap();
    host.turn_until(|seen| datagrams(seen).iter().any(|(path, _)| path.local == quiet));
    assert!(host.received().len() < 100, "{}", host.received().len());
    host.turn_until(|seen| datagrams(seen).len() == 201);
}

#[test]
fn a_driver_can_be_made_on_one_thread_and_used_on_another() {
    fn movable<T: Send>() {}
    movable::<Driver<Scripted>>();
}

#[test]
fn interfaces_that_are_up_are_listed_and_can_be_bound() {
    let addresses = interface_addresses().unwrap();
    let loopback = addresses.iter().find(|address| address.loopback && address.address.is_ipv4()).unwrap();
    assert_eq!((loopback.address, loopback.prefix_length), ("127.0.0.1".parse().unwrap(), 8));
    let mut host = Host::new(DriverConfig::default());
    for address in &addresses {
        let socket = host.request_bind(address.socket_address(0));
        assert!(matches!(host.answer_about(socket), SocketEvent::Opened { .. }), "{address:?}");
    }
}

#[test]
fn seeds_differ_and_the_wall_clock_is_past_2020() {
    let draw = || system_seed().unwrap().into_rng().next_u64();
    assert_ne!(draw(), draw());
    assert!(wall_clock() > Duration::from_secs(1_577_836_800));
}
