//! Host names: answers come from the table, late or never.

use std::time::Duration;

use driver_sim::{Entry, NameRecord, Topology};
use proto_machine::{SocketError, Timestamp};

use crate::support::{at, world};

const NAMES: &str = "
    alice  host 192.0.2.1
    stun.example.org  dns 2001:db8::1 192.0.2.7  delay 40ms
    slow.example.org  dns fails  delay 5s
    lost.example.org  dns silent
    alice  dns 192.0.2.1
";

#[test]
fn a_name_has_several_addresses_in_order_after_its_delay() {
    let (mut world, _, [alice]) = world(NAMES, ["alice"]);
    for (name, answered) in [("stun.example.org", 40), ("STUN.Example.ORG.", 80)] {
        world.command(alice, |probe, _| probe.look_up(name));
        world.run_for(Duration::from_millis(40));
        let (at_time, result) = world.node(alice).resolved.last().unwrap();
        assert_eq!(*at_time, Timestamp::from_millis(answered), "{name}");
        assert_eq!(*result, Ok(vec![at("[2001:db8::1]:1").ip(), at("192.0.2.7:1").ip()]));
    }
    let looked_up = |entry: &Entry| matches!(entry, Entry::Event { text, .. } if text == "looks up stun.example.org");
    assert_eq!(world.transcript().entries().iter().filter(|entry| looked_up(entry)).count(), 1);
}

#[test]
fn a_name_fails_late_and_an_unknown_one_at_once_and_a_silent_one_is_never_answered() {
    let (mut world, _, [alice]) = world(NAMES, ["alice"]);
    let names = ["slow.example.org", "lost.example.org", "unknown.example.org"];
    world.command(alice, |probe, _| names.iter().for_each(|name| probe.look_up(name)));
    world.run_for(Duration::from_secs(3_600));
    let failed = |milliseconds| (Timestamp::from_millis(milliseconds), Err(SocketError::NameNotFound));
    assert_eq!(world.node(alice).resolved, [failed(0), failed(5_000)]);
}

#[test]
fn a_name_may_change_and_look_ups_that_have_begun_keep_their_answer() {
    let (mut world, _, [alice]) = world(NAMES, ["alice"]);
    world.command(alice, |probe, _| probe.look_up("stun.example.org"));
    world.set_name("stun.example.org", NameRecord::failure(SocketError::Other("the server is busy".to_owned())));
    world.command(alice, |probe, _| probe.look_up("stun.example.org"));
    world.run_for(Duration::from_secs(1));
    let [(_, first), (_, second)] = world.node(alice).resolved.as_slice() else { panic!("two answers") };
    assert_eq!(*first, Err(SocketError::Other("the server is busy".to_owned())));
    assert!(second.is_ok());
}

#[test]
fn a_line_of_a_name_that_is_wrong_is_named() {
    let error = |text: &str| text.parse::<Topology>().unwrap_err().to_string();
    assert_eq!(error("stun.example.org dns"), "line 1: an address is missing");
    assert_eq!(error("stun.example.org dns fails 192.0.2.1"), "line 1: \"192.0.2.1\" was not expected");
    assert_eq!(error("stun.example.org dns 192.0.2.1 silent"), "line 1: \"silent\" was not expected");
    assert_eq!(error("stun.example.org dns 192.0.2.1 loss 1%"), "line 1: \"loss\" was not expected");
    assert_eq!(error("a.example dns 192.0.2.1\nA.EXAMPLE. dns 192.0.2.1"), "line 2: the name \"A.EXAMPLE.\" is taken");
}
