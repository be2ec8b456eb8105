//! Worlds with loss, duplication, reordering and jitter: everything connects, and every message arrives exactly once and in order.

use std::time::Duration;

use driver_sim::{LinkConfig, Probability, for_seeds};
use peer_core::proto_machine::Timestamp;
use peer_core::{DataChannelOptions, Reliability};

use crate::support::{complete, print_figure, world, world_with};

const MESSAGES: u32 = 50;

fn faulty() -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(20),
        loss: Probability::percent(5),
        duplication: Probability::percent(10),
        reordering: Probability::percent(5),
        reordering_delay: Duration::from_millis(30),
        ..LinkConfig::default()
    }
}

fn assert_in_order(seed: u64, received: &[u32]) {
    let expected: Vec<u32> = (0..MESSAGES).collect();
    assert_eq!(received, expected, "seed {seed}");
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[test]
fn a_thousand_faulty_worlds_connect_and_deliver_every_message_exactly_once_and_in_order() {
    let mut opened = Vec::new();
    let name = "a_thousand_faulty_worlds_connect_and_deliver_every_message_exactly_once_and_in_order";
    for_seeds(name, 0..1_000, |seed| {
        let (mut world, left, right) = world(seed, faulty(), MESSAGES, 1_000);
        let open = complete(seed, Duration::from_secs(120), &mut world, left, right);
        opened.push(open - Timestamp::ZERO);
        // Late duplicates may still be under way: whatever comes, nothing may be delivered twice.
        world.run_for(Duration::from_secs(5));
        for side in [left, right] {
            assert_in_order(seed, &world.node(side).application().received);
        }
    });
    opened.sort();
    print_figure(&format!(
        "1,000 seeds, 40 ms RTT + jitter, 5 % loss, 10 % duplication: channel open on both sides p50 {:?} p99 {:?} max {:?}",
        percentile(&opened, 50),
        percentile(&opened, 99),
        opened[opened.len() - 1],
    ));
}

#[test]
fn unordered_reliable_messages_arrive_exactly_once() {
    let options = DataChannelOptions { ordered: false, ..DataChannelOptions::new("unordered") };
    for_seeds("unordered_reliable_messages_arrive_exactly_once", 0..50, |seed| {
        let (mut world, left, right) = world_with(seed, faulty(), options.clone(), MESSAGES, 3_000);
        complete(seed, Duration::from_secs(120), &mut world, left, right);
        world.run_for(Duration::from_secs(5));
        for side in [left, right] {
            let mut received = world.node(side).application().received.clone();
            received.sort_unstable();
            assert_in_order(seed, &received);
        }
    });
}

#[test]
fn partially_reliable_messages_arrive_at_most_once_and_in_order() {
    let options =
        DataChannelOptions { reliability: Reliability::MaxRetransmits(0), ..DataChannelOptions::new("partial") };
    let mut arrived = 0;
    for seed in 0..50 {
        let (mut world, left, right) = world_with(seed, faulty(), options.clone(), MESSAGES, 100);
        world.run_for(Duration::from_secs(60));
        for side in [left, right] {
            let received = &world.node(side).application().received;
            assert!(received.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {received:?}");
            arrived += received.len();
        }
    }
    // A burst may be lost whole; of them all most arrive, and some do not, or nothing was tested.
    let sent = 50 * 2 * MESSAGES as usize;
    assert!((sent / 2..sent).contains(&arrived), "{arrived} of {sent}");
}
