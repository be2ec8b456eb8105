//! Names are looked up without holding up anything else.

use std::net::IpAddr;
use std::time::Duration;

use driver_mio::DriverConfig;
use proto_machine::{LookupId, SocketError, SocketEvent, SocketRequest};

use crate::support::{Host, Seen};

fn ask(host: &mut Host, lookup: u64, name: &str) {
    let request = SocketRequest::Resolve { lookup: LookupId(lookup), host: name.to_owned() };
    host.driver.machine().requests.push_back(request);
}

fn result_of(seen: &[Seen], number: u64) -> Option<&Result<Vec<IpAddr>, SocketError>> {
    seen.iter().find_map(|seen| match seen {
        Seen::Socket(SocketEvent::Resolved { lookup: LookupId(id), result }) if *id == number => Some(result),
        _ => None,
    })
}

#[test]
fn localhost_is_resolved_to_loopback_addresses() {
    let mut host = Host::new(DriverConfig::default());
    ask(&mut host, 7, "localhost");
    host.turn_until(|seen| result_of(seen, 7).is_some());
    let addresses = result_of(&host.seen, 7).unwrap().clone().unwrap();
    assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}

#[test]
fn an_address_in_the_place_of_a_name_is_answered_at_once() {
    let mut host = Host::new(DriverConfig { max_lookups: 0, ..Default::default() });
    ask(&mut host, 1, "192.0.2.1");
    ask(&mut host, 2, "2001:db8::1");
    host.turn(Duration::ZERO);
    assert_eq!(result_of(&host.seen, 1), Some(&Ok(vec!["192.0.2.1".parse().unwrap()])));
    assert_eq!(result_of(&host.seen, 2), Some(&Ok(vec!["2001:db8::1".parse().unwrap()])));
}

#[test]
fn a_name_that_cannot_be_one_is_not_found() {
    let mut host = Host::new(DriverConfig::default());
    ask(&mut host, 1, "no\0name");
    host.turn_until(|seen| result_of(seen, 1).is_some());
    assert_eq!(result_of(&host.seen, 1), Some(&Err(SocketError::NameNotFound)));
}

#[test]
fn look_ups_beyond_the_bound_are_refused_and_the_others_answered() {
    let mut host = Host::new(DriverConfig { max_lookups: 2, ..Default::default() });
    for number in 0..3 {
        ask(&mut host, number, "localhost");
    }
    host.turn_until(|seen| (0..3).all(|number| result_of(seen, number).is_some()));
    assert!(result_of(&host.seen, 0).unwrap().is_ok() && result_of(&host.seen, 1).unwrap().is_ok());
    assert!(matches!(result_of(&host.seen, 2), Some(Err(SocketError::Other(_)))));
    ask(&mut host, 3, "localhost");
    host.turn_until(|seen| result_of(seen, 3).is_some_and(Result::is_ok));
}

#[test]
fn a_driver_ends_while_a_look_up_is_under_way() {
    let mut host = Host::new(DriverConfig::default());
    for number in 0..10 {
        ask(&mut host, number, "localhost");
    }
    host.turn(Duration::ZERO);
    drop(host);
}
