//! Five bytes behind 16 MB on another channel.

use std::time::Duration;

use proto_dtls_sctp::{ChannelKey, DataChannelOptions, SecureTransportConfig};

use crate::path::{Bottleneck, Path, ROUND_TRIP};

const BULK: usize = 16_000_000;
/// 100 Mbit/s.
const RATE: u64 = 12_500_000;

/// The path, and its name.
const PATHS: [(&str, Option<Bottleneck>); 3] = [
    ("100 Mbit/s, queue of 64 kB", Some(Bottleneck { rate: RATE, queue: 64_000 })),
    ("100 Mbit/s, queue of 500 kB", Some(Bottleneck { rate: RATE, queue: 500_000 })),
    ("no limit", None),
];

const INTERLEAVED: fn(&mut SecureTransportConfig) = |config| {
    config.max_receive_message_size = 16 * 1024 * 1024;
    config.receive_buffer = 64 * 1024 * 1024;
};
const PLAIN: fn(&mut SecureTransportConfig) = |config| {
    INTERLEAVED(config);
    config.interleaving = false;
};

/// When the five bytes are sent: so long after the large messages began, or after a datagram was lost in the steady state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Moment {
    /// Before the loss, if there is one.
    steady: Option<Duration>,
    after: Duration,
}

impl Moment {
    const fn after(milliseconds: u64) -> Self {
        Self { steady: None, after: Duration::from_millis(milliseconds) }
    }

    const fn after_loss(milliseconds: u64) -> Self {
        Self { steady: Some(Duration::from_millis(800)), ..Self::after(milliseconds) }
    }

    fn name(self) -> String {
        format!("{:?} after {}", self.after, if self.steady.is_some() { "a loss" } else { "the start" })
    }
}

/// Slow start, the steady state, and the time in which a loss is found and repaired. `true` where it is also measured how long it takes without interleaving.
const MOMENTS: [(Moment, bool); 8] = [
    (Moment::after(0), false),
    (Moment::after(50), false),
    (Moment::after(110), false),
    (Moment::after(500), true),
    (Moment::after(1013), false),
    (Moment::after_loss(0), false),
    (Moment::after_loss(41), true),
    (Moment::after_loss(60), false),
];

/// Fills what waits on a channel up to 16 MB, with messages of a size.
fn fill(path: &mut Path, channel: ChannelKey, size: usize) {
    while path.waiting(channel) + size <= BULK && path.send(channel, size) {}
}

/// The time that five bytes take on a path where 16 MB wait on another channel, and data flows; and what of that they stand in the queue of the path.
fn measure(
    bottleneck: Option<Bottleneck>,
    change: fn(&mut SecureTransportConfig),
    size: usize,
    moment: Moment,
) -> (Duration, Duration) {
    let mut path = Path::new(bottleneck, change);
    let [bulk, _] = path.open(DataChannelOptions::new("bulk"));
    let [small, small_there] = path.open(DataChannelOptions::new("small"));
    fill(&mut path, bulk, size);
    let refill = |path: &mut Path| {
        fill(path, bulk, size);
        path.arrived.clear();
        false
    };
    if let Some(steady) = moment.steady {
        path.run(steady, refill);
        path.to_lose = 1;
    }
    path.run(moment.after, refill);
    let (sent, queueing) = (path.now, path.queueing());
    assert!(path.send(small, 5));
    let arrived = path.run(Duration::from_secs(60), |path| {
        fill(path, bulk, size);
        let arrived = std::mem::take(&mut path.arrived);
        arrived.iter().any(|(channel, _)| *channel == small_there)
    });
    assert!(arrived);
    (path.now - sent, queueing)
}

fn in_round_trips(duration: Duration) -> f64 {
    duration.as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

#[test]
fn five_bytes_behind_16_mb_on_another_channel_arrive_within_two_round_trips() {
    println!("round trips of {ROUND_TRIP:?}, of which 0.5 are the way; what waits in the queue of the path counts");
    println!("path                         | messages | sent                 | interleaved | queue |   plain");
    let mut worst = 0.0_f64;
    for (name, bottleneck) in PATHS {
        for size in [16 * 1024, 256 * 1024, BULK] {
            for (moment, contrasts) in MOMENTS {
                let (took, queueing) = measure(bottleneck, INTERLEAVED, size, moment);
                let plain = contrasts.then(|| measure(bottleneck, PLAIN, size, moment).0);
                let plain = plain.map_or(String::new(), |plain| format!("{:.2}", in_round_trips(plain)));
                let [took, queueing] = [took, queueing].map(in_round_trips);
                let sent = moment.name();
                println!("{name:<28} | {size:>8} | {sent:<20} | {took:>11.2} | {queueing:>5.2} | {plain:>7}");
                worst = worst.max(took);
            }
        }
    }
    println!("at most {worst:.2} round trips");
    assert!(worst <= 2.0, "{worst}");
}
