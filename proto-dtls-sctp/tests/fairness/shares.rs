//! Channels that always have something to send.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_dtls_sctp::{ChannelKey, DataChannelOptions, Priority};

use crate::path::{Bottleneck, Path};

/// 100 Mbit/s, with a queue of 20 ms.
const BOTTLENECK: Bottleneck = Bottleneck { rate: 12_500_000, queue: 250_000 };

/// How long the shares are measured, once everything flows.
const WINDOW: Duration = Duration::from_secs(4);

/// The share of each channel in all bytes that come, of channels that always have messages of their size waiting.
fn shares(bottleneck: Option<Bottleneck>, channels: &[(Priority, usize)]) -> Vec<f64> {
    let mut path = Path::new(bottleneck, |_| {});
    let open: Vec<[ChannelKey; 2]> = channels
        .iter()
        .map(|&(priority, _)| path.open(DataChannelOptions { priority, ..DataChannelOptions::new("label") }))
        .collect();
    let mut come: BTreeMap<ChannelKey, usize> = BTreeMap::new();
    for pause in [Duration::from_secs(1), WINDOW] {
        come.clear();
        path.run(pause, |path| {
            for (&[left, _], &(_, size)) in open.iter().zip(channels) {
                while path.waiting(left) < 2_000_000 && path.send(left, size) {}
            }
            for (channel, length) in path.arrived.drain(..) {
                *come.entry(channel).or_default() += length;
            }
            false
        });
    }
    let total: usize = come.values().sum();
    println!("{:.1} MB/s", total as f64 / WINDOW.as_secs_f64() / 1e6);
    open.iter().map(|[_, right]| come[right] as f64 / total as f64).collect()
}

/// Prints the shares beside what they should be, and compares them.
fn compare(bottleneck: Option<Bottleneck>, channels: &[(Priority, usize)]) {
    let shares = shares(bottleneck, channels);
    let weights: f64 = channels.iter().map(|(priority, _)| f64::from(priority.value())).sum();
    for ((priority, size), share) in channels.iter().zip(shares) {
        let expected = f64::from(priority.value()) / weights;
        println!("{priority:?}, messages of {size}: {share:.4} of all bytes, {expected:.4} by weight");
        assert!((share / expected - 1.0).abs() <= 0.05, "{priority:?}, {size}: {share} and {expected}");
    }
}

const PRIORITIES: [Priority; 4] = [Priority::VeryLow, Priority::Low, Priority::Medium, Priority::High];

#[test]
fn channels_that_always_send_get_shares_by_their_priorities() {
    for bottleneck in [Some(BOTTLENECK), None] {
        for size in [1024, 64 * 1024, 256 * 1024] {
            compare(bottleneck, &PRIORITIES.map(|priority| (priority, size)));
        }
    }
}

#[test]
fn channels_of_equal_priority_get_equal_shares_whatever_the_size_of_their_messages() {
    for bottleneck in [Some(BOTTLENECK), None] {
        compare(bottleneck, &[(Priority::Low, 1024), (Priority::Low, 64 * 1024)]);
        compare(bottleneck, &[(Priority::Low, 1024), (Priority::Low, 64 * 1024), (Priority::Low, 256 * 1024)]);
    }
}
