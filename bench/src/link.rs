//! One direction of a simulated path in virtual time: a delay, a bottleneck with a queue that drops what does not fit, random loss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use peer_core::proto_machine::{Rng, Seed};

use crate::sizes::Sizes;

/// Bytes of IPv4 and UDP headers, which a bottleneck carries too.
const HEADER_SIZE: u64 = 28;
/// How many buffers are kept for further datagrams.
const MAX_SPARE: usize = 4_096;

/// What a path is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkConfig {
    /// One way.
    pub delay: Duration,
    /// The rate of the bottleneck, if there is one.
    pub bottleneck: Option<Bottleneck>,
    /// How many datagrams of a million are lost at random, once [`Link::lose`] was called.
    pub loss_per_million: u64,
    /// What the losses follow from.
    pub seed: u64,
}

/// The slowest hop.
#[derive(Clone, Copy, Debug)]
pub struct Bottleneck {
    /// Bits in a second.
    pub rate: u64,
    /// How many bytes may wait; `None` for any number.
    pub queue: Option<u64>,
}

impl Bottleneck {
    fn time_for(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 8 * 1_000_000_000 / self.rate.max(1))
    }

    fn bytes_in(self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos() * u128::from(self.rate) / 8_000_000_000).unwrap_or(u64::MAX)
    }
}

/// One direction of a path.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    queue: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    busy_until: Instant,
    loses: bool,
    rng: Rng,
    /// What was sent into it.
    pub sizes: Sizes,
    /// How many datagrams found the queue full.
    pub dropped: u64,
}

impl Link {
    /// A path on which nothing is under way.
    #[must_use]
    pub fn new(now: Instant, config: LinkConfig) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            spare: Vec::new(),
            busy_until: now,
            loses: false,
            rng: Seed::from_number(config.seed).into_rng(),
            sizes: Sizes::default(),
            dropped: 0,
        }
    }

    /// From now on datagrams get lost: connections are set up without losses, so that all transfers begin alike.
    pub fn lose(&mut self) {
        self.loses = true;
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.sizes.note(datagram.len());
        let size = datagram.len() as u64;
        let mut departure = now;
        if let Some(bottleneck) = self.config.bottleneck {
            let waiting = bottleneck.bytes_in(self.busy_until.saturating_duration_since(now));
            if bottleneck.queue.is_some_and(|queue| waiting + size > queue) {
                self.dropped += 1;
                return;
            }
            departure = self.busy_until.max(now) + bottleneck.time_for(size + HEADER_SIZE);
            self.busy_until = departure;
        }
        if self.loses && self.config.loss_per_million > 0 && self.rng.below(1_000_000) < self.config.loss_per_million {
            return;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        self.queue.push_back((departure + self.config.delay, buffer));
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.queue.front().map(|&(at, _)| at)
    }

    /// The next datagram, if it has arrived. Give it back by [`recycle`](Self::recycle).
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next_at().filter(|&at| at <= now)?;
        self.queue.pop_front().map(|(_, datagram)| datagram)
    }

    /// Keeps the memory of a datagram, so that the path does not show in the allocations that are counted.
    pub fn recycle(&mut self, datagram: Vec<u8>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(config: LinkConfig, count: usize, size: usize) -> (Vec<Duration>, u64) {
        let now = Instant::now();
        let mut link = Link::new(now, config);
        link.lose();
        (0..count).for_each(|_| link.send(now, &vec![0; size]));
        let mut arrivals = Vec::new();
        while let Some(at) = link.next_at() {
            assert!(link.receive(at - Duration::from_nanos(1)).is_none());
            assert_eq!(link.receive(at).map(|datagram| datagram.len()), Some(size));
            arrivals.push(at - now);
        }
        (arrivals, link.dropped)
    }

    #[test]
    fn a_bottleneck_spaces_datagrams_by_their_bytes_on_the_wire() {
        let bottleneck = Some(Bottleneck { rate: 8_000_000, queue: None });
        let config = LinkConfig { delay: Duration::from_millis(5), bottleneck, ..LinkConfig::default() };
        let milliseconds = [6, 7, 8].map(Duration::from_millis);
        assert_eq!(arrivals(config, 3, 972), (milliseconds.to_vec(), 0));
    }

    #[test]
    fn what_does_not_fit_the_queue_is_dropped() {
        let bottleneck = Some(Bottleneck { rate: 8_000_000, queue: Some(3_000) });
        let (arrived, dropped) = arrivals(LinkConfig { bottleneck, ..LinkConfig::default() }, 10, 972);
        assert_eq!((arrived.len(), dropped), (3, 7));
    }

    #[test]
    fn losses_follow_from_the_seed_and_come_as_often_as_asked() {
        let run = |seed| arrivals(LinkConfig { loss_per_million: 100_000, seed, ..LinkConfig::default() }, 10_000, 10);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).0.len(), run(2).0.len());
        assert!((8_800..9_200).contains(&run(1).0.len()));
    }
}
