//! Item 18 and set-up time: in which order ordinary checks are sent.

use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{IceConfig, IceRole};
use proto_machine::Path;

use crate::lone::{Lone, remote_host};

/// A home network first or last, and container bridges.
const ADDRESSES: [&str; 5] = ["10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1", "192.168.1.2"];

/// The paths on which an agent with these addresses sends its checks, in order, when it learns of all these candidates at once: host candidates, the best first, and a
/// server-reflexive one.
fn order(local: &[&str], hosts: &[&str], reflexive: Option<&str>) -> Vec<Path> {
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), local);
    let priorities = (0..).map(|number| 2_130_706_431 - 256 * number);
    for (index, (address, priority)) in hosts.iter().zip(priorities).enumerate() {
        let candidate = remote_host(address, priority, &format!("host{index}"));
        lone.agent.add_remote_candidate(lone.now, candidate).unwrap();
    }
    if let Some(address) = reflexive {
        lone.agent.add_remote_candidate(lone.now, remote_host(address, 1_694_498_815, "reflexive")).unwrap();
    }
    lone.run_for(Duration::from_secs(4));
    let mut order: Vec<Path> = Vec::new();
    for check in lone.take_checks() {
        if !order.contains(&check.path) {
            order.push(check.path);
        }
    }
    order
}

fn position(order: &[Path], remote: SocketAddr, is_local: impl Fn(&str) -> bool) -> Option<usize> {
    order.iter().position(|path| path.remote == remote && is_local(&path.local.ip().to_string()))
}

#[test]
fn a_public_address_and_a_neighbour_do_not_wait_for_dozens_of_private_networks() {
    let theirs = ["10.1.1.1:1", "10.1.2.1:1", "10.1.3.1:1", "10.1.4.1:1", "192.168.1.9:1"];
    let public = "203.0.113.1:1";
    let order = order(&ADDRESSES, &theirs, Some(public));
    assert_eq!(order.len(), 30, "every pair is checked");
    assert_eq!(position(&order, theirs[4].parse().unwrap(), |local| local == "192.168.1.2"), Some(0));
    assert_eq!(position(&order, public.parse().unwrap(), |_| true), Some(1));
    // Two of three are of likely pairs, of which there are six.
    assert!(position(&order, public.parse().unwrap(), |local| local == "192.168.1.2").unwrap() < 9);
}

#[test]
fn every_third_check_goes_to_the_pair_of_the_highest_priority_whatever_is_likely() {
    let order =
        order(&ADDRESSES[..1], &["10.1.1.1:1", "10.1.2.1:1", "203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1"], None);
    let remotes: Vec<String> = order.iter().map(|path| path.remote.ip().to_string()).collect();
    assert_eq!(remotes, ["203.0.113.1", "203.0.113.2", "10.1.1.1", "203.0.113.3", "10.1.2.1"]);
}

/// Item 13 (RFC 8421 §4): "an IPv4 address candidate is always present after a small sequence of IPv6 candidates". What works here is the worst pair of 37.
#[test]
fn item_13_no_family_waits_for_a_long_run_of_checks_of_the_other() {
    let local: Vec<String> =
        (1..=6).map(|number| format!("2001:db8::{number}")).chain(["10.0.0.2".to_owned()]).collect();
    let theirs: Vec<String> = (1..=6).map(|number| format!("[2001:db8:1::{number}]:1")).collect();
    let [local, theirs] = [&local, &theirs].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
    let order = order(&local, &theirs, Some("203.0.113.1:1"));
    assert_eq!(order.len(), 37, "every pair is checked");
    assert_eq!(position(&order, "203.0.113.1:1".parse().unwrap(), |_| true), Some(2));
}

/// Item 13, with as many pairs of one family as of the other: neither waits for more than two checks.
#[test]
fn item_13_families_take_turns_in_the_order_of_checks_whatever_the_priorities_of_the_peer() {
    let local = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let ipv6 = ["[2001:db8:1::1]:1", "[2001:db8:1::2]:1", "[2001:db8:1::3]:1"];
    let ipv4 = ["203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1"];
    for theirs in [[ipv6, ipv4].concat(), [ipv4, ipv6].concat()] {
        let order = order(&local, &theirs, None);
        assert_eq!(order.len(), 18);
        let families: Vec<bool> = order.iter().map(|path| path.remote.is_ipv6()).collect();
        let runs: Vec<usize> = families.chunk_by(|one, other| one == other).map(<[bool]>::len).collect();
        // Once all pairs of one family have been checked, the rest of the other follows.
        let (_rest, before) = runs.split_last().unwrap();
        assert!(before.iter().all(|run| *run <= 2), "{runs:?}");
        assert!(before.len() >= 6, "{runs:?}");
    }
}

/// RFC 8445 §6.1.4.2.
#[test]
fn pairs_that_are_as_likely_as_each_other_are_checked_by_priority() {
    for hosts in [["203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1"], ["10.1.1.1:1", "10.1.2.1:1", "10.1.3.1:1"]] {
        let order = order(&ADDRESSES[..1], &hosts, None);
        let remotes: Vec<String> = order.iter().map(|path| path.remote.to_string()).collect();
        assert_eq!(remotes, hosts);
    }
}

/// Where NATs make the source of every check a new one, and let everything in, each side triggers the other without end.
#[test]
fn triggered_checks_without_end_leave_every_fifth_to_the_ordinary_ones() {
    let named = ["203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1", "203.0.113.4:1"];
    let mut lone = Lone::new(IceRole::Controlled);
    for port in 1..=40 {
        if port == 4 {
            named.iter().for_each(|address| lone.add_host(address));
        }
        lone.receive_check(&format!("198.51.100.2:{port}"));
        lone.receive_check(&format!("198.51.100.2:{}", 1_000 + port));
        lone.run_for_millis(50);
    }
    let mut first: Vec<String> = Vec::new();
    for remote in lone.take_checks().iter().map(|check| check.path.remote.to_string()) {
        if !first.contains(&remote) {
            first.push(remote);
        }
    }
    let positions: Vec<_> = named.iter().map(|named| first.iter().position(|remote| remote == named)).collect();
    assert_eq!(positions, [4, 9, 14, 19].map(Some), "{first:?}");
}

/// Item 19 (RFC 8445 §14.3). Whoever knows a check can send it again from a forged source: it gains nothing.
#[test]
fn a_check_is_repeated_sooner_where_the_peer_is_heard_at_an_address_that_signalling_has_named() {
    const PEER: &str = "198.51.100.2:6000";
    let checks = |named: bool, heard: bool| {
        let mut lone = Lone::new(IceRole::Controlled);
        if named {
            lone.add_host(PEER);
        }
        if heard {
            lone.receive_check(PEER);
        }
        lone.run_for(Duration::from_secs(60));
        let checks = lone.take_checks();
        // Of the latest transaction: the check of the peer may have begun another.
        let latest = checks.last().unwrap().read().transaction();
        let latest: Vec<_> = checks.iter().filter(|check| check.read().transaction() == latest).collect();
        latest.iter().map(|check| (check.at - latest[0].at).as_millis()).collect::<Vec<_>>()
    };
    let doubling = [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500];
    assert_eq!(checks(true, true), [0, 500, 1_000, 1_500, 3_500, 7_500, 15_500]);
    assert_eq!(checks(true, false), doubling);
    assert_eq!(checks(false, true), doubling);
}
