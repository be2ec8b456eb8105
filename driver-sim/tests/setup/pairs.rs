//! Many pairs, few of which work.

use std::net::IpAddr;
use std::time::Duration;

use driver_sim::Entry;
use driver_sim::setup::Scenario;
use proto_machine::{Path, Timestamp};

/// Ta (RFC 8445 §14.2).
const PACING: Duration = Duration::from_millis(50);
const ADDRESSES: u8 = 5;
/// Between no addresses of the world.
const NOWHERE: (u8, u8) = (u8::MAX, u8::MAX);

/// The pairs of addresses, of the offerer and of the answerer, in the order in which the offerer checks them.
fn order_of_checks() -> Vec<(u8, u8)> {
    let scenario = Scenario { addresses: ADDRESSES, only_path: Some(NOWHERE), ..Scenario::default() };
    let (mut world, _, _) = scenario.world(1);
    let _time_is_up = world.run_until(Timestamp::from_millis(10_000), |_| false);
    let mut order = Vec::new();
    for entry in world.transcript().entries() {
        if let Entry::Sent { path, .. } = entry
            && let Some(pair) = seen_from_offerer(path)
            && !order.contains(&pair)
        {
            order.push(pair);
        }
    }
    order
}

/// The numbers of the addresses of a path, if it begins at the offerer.
fn seen_from_offerer(path: &Path) -> Option<(u8, u8)> {
    let number = |address: IpAddr, host: u8| match address {
        IpAddr::V4(address) if address.octets()[3] == host => Some(address.octets()[2]),
        _ => None,
    };
    Some((number(path.local.ip(), 1)?, number(path.remote.ip(), 2)?))
}

#[test]
fn of_25_pairs_the_only_one_that_works_costs_its_place_in_the_order_of_checks_and_nothing_else() {
    let order = order_of_checks();
    assert_eq!(order.len(), 25);
    for (position, only) in (0..).zip(order) {
        let scenario = Scenario { addresses: ADDRESSES, only_path: Some(only), ..Scenario::default() };
        let open = scenario.run(1).open().unwrap();
        assert!(open <= PACING * position + 4 * scenario.round_trip_time, "position {position}, {only:?}: {open:?}");
    }
}

#[test]
fn eight_interfaces_a_side_take_at_most_half_as_long_again_as_one() {
    let open = |addresses| Scenario { addresses, ..Scenario::default() }.run(1).open().unwrap();
    assert!(2 * open(8) <= 3 * open(1), "{:?} and {:?}", open(8), open(1));
}
