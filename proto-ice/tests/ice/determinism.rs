//! Equal seeds and equal inputs give equal outputs, and the contract of the machine holds on the way.

use std::time::Duration;

use proto_ice::{IceRole, IceTransportState};
use proto_machine::{Machine, Timestamp, TransmitBuffer};

use crate::lone::Lone;
use crate::world::{LEFT, Link, RIGHT, Sent, Setup, World};

fn lossy(seed: u64) -> Setup {
    let link = Link {
        delay: Duration::from_millis(30),
        jitter: Duration::from_millis(20),
        loss_percent: 20,
        duplicate_percent: 10,
    };
    let mut setup = Setup { seed, link, ..Setup::default() };
    setup.sides[LEFT].addresses = vec!["192.0.2.1", "192.0.2.2"];
    setup.sides[RIGHT].addresses = vec!["198.51.100.1", "198.51.100.2"];
    setup
}

fn transcript(seed: u64) -> (Vec<Sent>, Vec<String>) {
    let mut world = World::new(lossy(seed));
    world.run_for(Duration::from_secs(20));
    let events = world.nodes.iter().flat_map(|node| node.events.iter().map(|event| format!("{event:?}"))).collect();
    (world.sent, events)
}

#[test]
fn the_same_seed_gives_the_same_packets_and_events_and_another_seed_does_not() {
    for seed in 0..10 {
        assert_eq!(transcript(seed), transcript(seed));
        assert_ne!(transcript(seed).0, transcript(seed + 1).0);
    }
}

#[test]
fn a_spurious_timeout_changes_nothing_and_dry_polls_stay_dry() {
    let mut disturbed = Lone::new(IceRole::Controlled);
    let mut calm = Lone::new(IceRole::Controlled);
    for lone in [&mut disturbed, &mut calm] {
        lone.add_host("198.51.100.2:6000");
    }
    for step in 0..200 {
        for lone in [&mut disturbed, &mut calm] {
            lone.run_for_millis(173);
        }
        let before = disturbed.agent.poll_timeout();
        disturbed.agent.handle_timeout(disturbed.now);
        disturbed.agent.handle_timeout(Timestamp::ZERO);
        let mut buffer = TransmitBuffer::new(1_200);
        assert!(disturbed.agent.poll_transmit(disturbed.now, 1, &mut buffer).is_none(), "step {step}");
        assert!(disturbed.agent.poll_event().is_none() && disturbed.agent.poll_socket_request().is_none());
        assert_eq!(disturbed.agent.poll_timeout(), before);
    }
    assert_eq!(disturbed.take_sent(), calm.take_sent());
    assert_eq!(disturbed.agent.state(), IceTransportState::Checking);
}

#[test]
fn time_may_run_backwards_for_a_moment() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host("198.51.100.2:6000");
    lone.select("198.51.100.2:6000");
    let now = lone.now;
    lone.now = Timestamp::ZERO;
    lone.receive_check("198.51.100.2:6000");
    lone.agent.handle_timeout(lone.now);
    assert!(lone.send_payload(b"\x17").is_some());
    lone.now = now;
    lone.run_for(Duration::from_secs(5));
    assert!(lone.agent.can_send());
}

#[test]
fn a_buffer_too_small_for_a_message_loses_it_without_a_loop() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.agent.add_remote_candidate(lone.now, crate::lone::remote_host("198.51.100.2:6000", 1, "1")).unwrap();
    let mut buffer = TransmitBuffer::new(20);
    assert!(lone.agent.poll_transmit(lone.now, 1, &mut buffer).is_none());
    assert!(lone.agent.poll_timeout().unwrap().at > lone.now);
    lone.run_for_millis(500);
    assert_eq!(lone.take_checks().len(), 1, "it is retransmitted");
}
