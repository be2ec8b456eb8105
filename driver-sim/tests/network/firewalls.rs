//! Stateful firewalls.

use driver_sim::network::{DropReason, Firewall, FirewallConfig, UdpPolicy};

use crate::support::{A, at, seconds};

const HOST: &str = "[2001:db8::2]:5000";
const REMOTE: &str = "[2001:db8:1::1]:1000";
const OTHER_PORT: &str = "[2001:db8:1::1]:2000";

#[test]
fn answers_pass_from_exactly_where_was_written_to_and_nothing_else_does() {
    let mut firewall = Firewall::new(FirewallConfig::default());
    assert_eq!(firewall.inbound(seconds(0), at(HOST), at(REMOTE)), Err(DropReason::Filtered));
    assert_eq!(firewall.outbound(seconds(0), at(HOST), at(REMOTE)), Ok(at(HOST)));
    assert_eq!(firewall.inbound(seconds(0), at(HOST), at(REMOTE)), Ok(at(HOST)));
    assert_eq!(firewall.inbound(seconds(0), at(HOST), at(OTHER_PORT)), Err(DropReason::Filtered));
    assert_eq!(firewall.inbound(seconds(0), at("[2001:db8::2]:5001"), at(REMOTE)), Err(DropReason::Filtered));
}

#[test]
fn an_address_dependent_firewall_lets_every_port_answer() {
    let mut firewall = Firewall::new(FirewallConfig { filtering: A, ..FirewallConfig::default() });
    firewall.outbound(seconds(0), at(HOST), at(REMOTE)).unwrap();
    assert_eq!(firewall.inbound(seconds(0), at(HOST), at(OTHER_PORT)), Ok(at(HOST)));
}

#[test]
fn outbound_datagrams_prolong_a_session_and_inbound_ones_do_not() {
    let mut firewall = Firewall::new(FirewallConfig::default());
    firewall.outbound(seconds(0), at(HOST), at(REMOTE)).unwrap();
    firewall.outbound(seconds(200), at(HOST), at(REMOTE)).unwrap();
    assert!(firewall.inbound(seconds(499), at(HOST), at(REMOTE)).is_ok());
    assert_eq!(firewall.inbound(seconds(500), at(HOST), at(REMOTE)), Err(DropReason::Filtered));
}

#[test]
fn where_udp_is_blocked_nothing_passes_in_either_direction() {
    let mut firewall = Firewall::new(FirewallConfig { udp: UdpPolicy::Blocked, ..FirewallConfig::default() });
    assert_eq!(firewall.outbound(seconds(0), at(HOST), at(REMOTE)), Err(DropReason::UdpBlocked));
    assert_eq!(firewall.inbound(seconds(0), at(HOST), at(REMOTE)), Err(DropReason::UdpBlocked));
}

#[test]
fn a_full_table_refuses_new_sessions_until_old_ones_expire() {
    let mut firewall = Firewall::new(FirewallConfig { sessions_limit: 1, ..FirewallConfig::default() });
    assert!(firewall.outbound(seconds(0), at(HOST), at(REMOTE)).is_ok());
    assert!(firewall.outbound(seconds(1), at(HOST), at(REMOTE)).is_ok());
    assert_eq!(firewall.outbound(seconds(1), at(HOST), at(OTHER_PORT)), Err(DropReason::TableFull));
    assert!(firewall.outbound(seconds(301), at(HOST), at(OTHER_PORT)).is_ok());
}

#[test]
fn a_reboot_forgets_all_sessions() {
    let mut firewall = Firewall::new(FirewallConfig::default());
    firewall.outbound(seconds(0), at(HOST), at(REMOTE)).unwrap();
    firewall.reboot();
    assert_eq!(firewall.inbound(seconds(0), at(HOST), at(REMOTE)), Err(DropReason::Filtered));
}
