//! What happens to a datagram between two hosts.

use std::num::NonZeroU64;
use std::time::Duration;

use proto_machine::{Rng, Seed, Timestamp};

/// How likely something is, exactly representable so that every machine draws alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Probability(u32);

impl Probability {
    /// It never happens.
    pub const NEVER: Self = Self(0);

    /// `percent` of 100 cases; more than 100 counts as 100.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::per_mille(percent.saturating_mul(10))
    }

    /// `per_mille` of 1,000 cases; more than 1,000 counts as 1,000.
    #[must_use]
    pub const fn per_mille(per_mille: u32) -> Self {
        Self(if per_mille > 1_000 { 1_000 } else { per_mille })
    }

    fn draw(self, rng: &mut Rng) -> bool {
        self != Self::NEVER && rng.below(1_000) < u64::from(self.0)
    }
}

/// How one direction of a link treats datagrams. The default is a perfect link without delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkConfig {
    /// The time every datagram takes.
    pub delay: Duration,
    /// Up to this much more, drawn anew for each datagram. Order is kept all the same: a late one holds up those behind it.
    pub jitter: Duration,
    /// How many are lost, independently.
    pub loss: Probability,
    /// How many arrive twice, the copy with a delay of its own.
    pub duplication: Probability,
    /// How many are taken out of order: delayed by up to [`reordering_delay`](Self::reordering_delay) more, while others pass.
    pub reordering: Probability,
    /// The most that a reordered datagram is late.
    pub reordering_delay: Duration,
    /// How many are damaged: a bit flipped, the end cut off, or one to four bytes appended.
    pub corruption: Probability,
    /// Losses that come in bursts, beside the independent ones.
    pub burst_loss: Option<BurstLoss>,
    /// The rate of the link and the queue in front of it; `None` is infinitely fast.
    pub bottleneck: Option<Bottleneck>,
    /// The largest IP packet that passes, headers included. Larger ones vanish without a word: a black hole.
    pub mtu: Option<usize>,
}

/// Losses in bursts: two states with a chance to change before each datagram (Gilbert and Elliott). In the good one nothing is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BurstLoss {
    /// From the good state into the bad one.
    pub begin: Probability,
    /// From the bad state back into the good one: bursts are `1 / end` datagrams long on average.
    pub end: Probability,
    /// How many are lost in the bad state.
    pub loss: Probability,
}

/// A rate, and the queue for what comes faster. What does not fit into the queue is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bottleneck {
    /// How fast the queue is emptied.
    pub rate: Rate,
    /// How much waits or is being sent at a time, in bytes of IP packets. Less than one packet lets nothing pass.
    pub queue_bytes: usize,
}

/// A data rate; IP headers count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// `rate` bits per second.
    #[must_use]
    pub const fn bits_per_second(rate: NonZeroU64) -> Self {
        Self(rate)
    }

    /// How long this many bytes take.
    fn time_for(self, bytes: usize) -> Duration {
        let nanoseconds = (bytes as u128) * 8 * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many bytes are sent in this time, rounded up.
    fn bytes_in(self, time: Duration) -> usize {
        let bytes = (time.as_nanos() * u128::from(self.0.get())).div_ceil(8 * 1_000_000_000);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// Whether a link carries anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Continuity {
    #[default]
    Whole,
    /// Everything that is sent is lost; what is under way arrives.
    Cut,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weather {
    Good,
    Bad,
}

/// One direction of a link: its configuration, its own generator, and the order it keeps.
#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    /// Whether that is its own, rather than the default.
    is_configured: bool,
    rng: Rng,
    /// No datagram in order arrives before this one.
    last_arrival: Timestamp,
    continuity: Continuity,
    /// Whether a burst of losses is going on.
    weather: Weather,
    /// When the bottleneck has sent all that is in its queue.
    busy_until: Timestamp,
}

impl Link {
    /// A link that behaves as the default says.
    pub(crate) fn new(default: LinkConfig, seed: Seed) -> Self {
        Self {
            config: default,
            is_configured: false,
            rng: seed.into_rng(),
            last_arrival: Timestamp::ZERO,
            continuity: Continuity::Whole,
            weather: Weather::Good,
            busy_until: Timestamp::ZERO,
        }
    }

    /// Gives it a configuration of its own. What waits in its queue goes on waiting, as bytes, and leaves at the new rate; arrivals that are settled stay.
    pub(crate) fn set_config(&mut self, now: Timestamp, config: LinkConfig) {
        self.is_configured = true;
        self.change(now, config);
    }

    /// Gives it another default, unless it has a configuration of its own.
    pub(crate) fn set_default(&mut self, now: Timestamp, default: LinkConfig) {
        if !self.is_configured {
            self.change(now, default);
        }
    }

    fn change(&mut self, now: Timestamp, config: LinkConfig) {
        let waiting = self.waiting(now);
        self.config = config;
        let time = config.bottleneck.map_or(Duration::ZERO, |bottleneck| bottleneck.rate.time_for(waiting));
        self.busy_until = now.saturating_add(time);
    }

    /// How many bytes are in the queue.
    fn waiting(&self, now: Timestamp) -> usize {
        let time = self.busy_until.saturating_since(now);
        self.config.bottleneck.map_or(0, |bottleneck| bottleneck.rate.bytes_in(time))
    }

    pub(crate) fn set_continuity(&mut self, continuity: Continuity) {
        self.continuity = continuity;
    }

    /// When the copies of an IP packet of this many bytes arrive that is sent at `now`: none if it is lost, two if it is duplicated.
    pub(crate) fn arrivals(&mut self, now: Timestamp, size: usize) -> impl Iterator<Item = Timestamp> + use<> {
        let departure = self.departure(now, size);
        let copies = match departure {
            Some(departure) => self.copies(departure),
            None => [None, None],
        };
        copies.into_iter().flatten()
    }

    /// When the packet has left the queue, if it fits the link and the queue.
    fn departure(&mut self, now: Timestamp, size: usize) -> Option<Timestamp> {
        if self.continuity == Continuity::Cut || self.config.mtu.is_some_and(|mtu| size > mtu) {
            return None;
        }
        let Some(Bottleneck { rate, queue_bytes }) = self.config.bottleneck else { return Some(now) };
        if self.waiting(now).saturating_add(size) > queue_bytes {
            return None;
        }
        self.busy_until = self.busy_until.max(now).saturating_add(rate.time_for(size));
        Some(self.busy_until)
    }

    fn copies(&mut self, departure: Timestamp) -> [Option<Timestamp>; 2] {
        let in_burst = self.is_lost_in_burst();
        let lost = self.config.loss.draw(&mut self.rng) || in_burst;
        let duplicated = self.config.duplication.draw(&mut self.rng);
        let first = (!lost).then(|| self.arrival(departure));
        let second = (!lost && duplicated).then(|| self.arrival(departure));
        [first, second]
    }

    fn is_lost_in_burst(&mut self) -> bool {
        let Some(BurstLoss { begin, end, loss }) = self.config.burst_loss else { return false };
        let (changes, other) = match self.weather {
            Weather::Good => (begin, Weather::Bad),
            Weather::Bad => (end, Weather::Good),
        };
        if changes.draw(&mut self.rng) {
            self.weather = other;
        }
        self.weather == Weather::Bad && loss.draw(&mut self.rng)
    }

    /// Damages the datagram, if it is its turn.
    pub(crate) fn corrupt(&mut self, datagram: &mut Vec<u8>) {
        if datagram.is_empty() || !self.config.corruption.draw(&mut self.rng) {
            return;
        }
        let position = usize::try_from(self.rng.below(datagram.len() as u64)).unwrap_or(0);
        match self.rng.below(3) {
            0 => datagram.truncate(position),
            1 => {
                let bytes: [u8; 4] = self.rng.bytes();
                let count = usize::try_from(self.rng.below(4)).unwrap_or(0) + 1;
                datagram.extend(bytes.into_iter().take(count));
            }
            _ => {
                if let Some(byte) = datagram.get_mut(position) {
                    *byte ^= 1 << self.rng.below(8);
                }
            }
        }
    }

    fn arrival(&mut self, departure: Timestamp) -> Timestamp {
        let undisturbed = departure + self.config.delay + self.up_to(self.config.jitter);
        if self.config.reordering.draw(&mut self.rng) {
            return undisturbed + self.up_to(self.config.reordering_delay);
        }
        self.last_arrival = self.last_arrival.max(undisturbed);
        self.last_arrival
    }

    fn up_to(&mut self, bound: Duration) -> Duration {
        let nanoseconds = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.rng.below(nanoseconds.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    /// An IP packet of an ordinary size.
    const SIZE: usize = 1_000;

    fn link(config: LinkConfig) -> Link {
        Link::new(config, Seed::from_number(1))
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let mut link = link(LinkConfig { jitter: Duration::from_millis(50), ..LinkConfig::default() });
        let arrivals: Vec<_> = (0..1_000).flat_map(|i| link.arrivals(Timestamp::from_millis(i), SIZE)).collect();
        assert_eq!(arrivals.len(), 1_000);
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn reordering_takes_some_datagrams_out_of_order() {
        let config = LinkConfig {
            reordering: Probability::percent(10),
            reordering_delay: Duration::from_millis(50),
            ..LinkConfig::default()
        };
        let mut link = link(config);
        let arrivals: Vec<_> = (0..1_000).flat_map(|i| link.arrivals(Timestamp::from_millis(i), SIZE)).collect();
        assert!(!arrivals.is_sorted());
    }

    #[test]
    fn loss_and_duplication_come_about_as_often_as_configured() {
        let config = LinkConfig {
            loss: Probability::percent(20),
            duplication: Probability::percent(10),
            ..LinkConfig::default()
        };
        let mut link = link(config);
        let copies: Vec<_> = (0..10_000).map(|i| link.arrivals(Timestamp::from_millis(i), SIZE).count()).collect();
        let share = |wanted: usize| copies.iter().filter(|&&count| count == wanted).count();
        assert!((1_800..2_200).contains(&share(0)), "{} lost", share(0));
        assert!((650..950).contains(&share(2)), "{} twice", share(2));
    }

    #[test]
    fn bursts_lose_as_much_as_configured_and_in_runs() {
        let burst_loss = BurstLoss {
            begin: Probability::percent(2),
            end: Probability::percent(20),
            loss: Probability::percent(100),
        };
        let mut link = link(LinkConfig { burst_loss: Some(burst_loss), ..LinkConfig::default() });
        let lost: Vec<bool> =
            (0..50_000).map(|i| link.arrivals(Timestamp::from_millis(i), SIZE).next().is_none()).collect();
        let count = lost.iter().filter(|lost| **lost).count();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // In the bad state 2 of 22 times, for 5 datagrams at a time.
        assert!((4_000..5_100).contains(&count), "{count} lost");
        assert!((4_500..5_500).contains(&(count * 1_000 / bursts)), "{count} lost in {bursts} bursts");
    }

    fn bottleneck(queue_bytes: usize) -> LinkConfig {
        let rate = Rate::bits_per_second(NonZeroU64::new(8_000_000).unwrap());
        LinkConfig { bottleneck: Some(Bottleneck { rate, queue_bytes }), ..LinkConfig::default() }
    }

    #[test]
    fn a_bottleneck_sends_one_after_the_other_and_drops_what_its_queue_does_not_hold() {
        let mut link = link(bottleneck(3 * SIZE));
        let mut send = |now| link.arrivals(Timestamp::from_millis(now), SIZE).next();
        // 8 Mbit/s are 1,000 bytes a millisecond.
        let all_at_once: Vec<_> = (0..4).map(|_| send(10)).collect();
        assert_eq!(all_at_once, [Some(11), Some(12), Some(13), None].map(|at| at.map(Timestamp::from_millis)));
        assert_eq!(send(11), Some(Timestamp::from_millis(14)));
        assert_eq!(send(11), None);
        assert_eq!(send(100), Some(Timestamp::from_millis(101)));
    }

    #[test]
    fn a_queue_smaller_than_a_packet_lets_nothing_pass() {
        assert_eq!(link(bottleneck(SIZE - 1)).arrivals(Timestamp::ZERO, SIZE).count(), 0);
    }

    #[test]
    fn packets_above_the_mtu_vanish_and_it_may_change_on_the_way() {
        let with_mtu = |mtu| LinkConfig { mtu: Some(mtu), ..LinkConfig::default() };
        let mut link = link(with_mtu(SIZE));
        assert_eq!(link.arrivals(Timestamp::ZERO, SIZE).count(), 1);
        assert_eq!(link.arrivals(Timestamp::ZERO, SIZE + 1).count(), 0);
        link.set_config(Timestamp::ZERO, with_mtu(SIZE - 1));
        assert_eq!(link.arrivals(Timestamp::ZERO, SIZE).count(), 0);
    }

    #[test]
    fn a_rate_that_changes_takes_the_queue_along_in_bytes() {
        let rate = |bits| Rate::bits_per_second(NonZeroU64::new(bits).unwrap());
        let with = |bits| {
            let bottleneck = Some(Bottleneck { rate: rate(bits), queue_bytes: 3 * SIZE });
            LinkConfig { bottleneck, ..LinkConfig::default() }
        };
        let at = Timestamp::from_millis;
        let mut link = link(with(8_000));
        let mut full = || (0..3).all(|_| link.arrivals(at(0), SIZE).next().is_some());
        assert!(full());
        // A second later two of three packets wait. At a thousand times the rate they take two milliseconds.
        link.set_config(at(1_000), with(8_000_000));
        assert_eq!(link.arrivals(at(1_000), SIZE).count(), 1);
        assert_eq!(link.arrivals(at(1_000), SIZE).count(), 0);
        assert_eq!(link.arrivals(at(1_003), 3 * SIZE).count(), 1);
        // And back: the three that wait now take three seconds again, and one of them has left after one.
        link.set_config(at(1_003), with(8_000));
        assert_eq!(link.arrivals(at(2_002), SIZE).count(), 0);
        assert_eq!(link.arrivals(at(2_003), SIZE).count(), 1);
        // Without a bottleneck nothing waits.
        link.set_config(at(2_003), LinkConfig::default());
        link.set_config(at(2_003), with(8_000));
        assert_eq!(link.arrivals(at(2_003), 3 * SIZE).count(), 1);
    }

    /// What became of 10,000 datagrams that were all damaged.
    #[test]
    fn a_damaged_datagram_has_one_bit_flipped_or_its_end_cut_off_or_bytes_appended_and_nothing_else() {
        let mut link = link(LinkConfig { corruption: Probability::percent(100), ..LinkConfig::default() });
        let original: Vec<u8> = (0..100).collect();
        let (mut flipped, mut cut, mut appended) = ([0; 8], Vec::new(), Vec::new());
        for _ in 0..10_000 {
            let mut datagram = original.clone();
            link.corrupt(&mut datagram);
            match datagram.len().cmp(&original.len()) {
                Ordering::Less => {
                    assert_eq!(datagram, original[..datagram.len()]);
                    cut.push(datagram.len());
                }
                Ordering::Greater => {
                    assert_eq!(datagram[..original.len()], original);
                    appended.push(datagram.split_off(original.len()));
                }
                Ordering::Equal => {
                    let differences: Vec<u8> = original.iter().zip(&datagram).map(|(one, other)| one ^ other).collect();
                    let flips: Vec<&u8> = differences.iter().filter(|difference| **difference != 0).collect();
                    let [flip] = flips[..] else { panic!("{differences:?}") };
                    assert!(flip.is_power_of_two(), "{flip:b}");
                    flipped[flip.trailing_zeros() as usize] += 1;
                }
            }
        }
        assert!(flipped.iter().all(|count| (300..550).contains(count)), "{flipped:?}");
        assert!((3_000..3_700).contains(&cut.len()), "{}", cut.len());
        assert!((0..100).all(|length| cut.contains(&length)), "cut off anywhere");
        assert!((3_000..3_700).contains(&appended.len()), "{}", appended.len());
        assert!((1..=4).all(|count| appended.iter().any(|tail| tail.len() == count)));
        assert!(appended.iter().all(|tail| tail.len() <= 4));
        assert!((0..=255).all(|byte| appended.concat().contains(&byte)), "any byte");
    }

    #[test]
    fn an_empty_datagram_and_one_on_a_link_without_corruption_stay_what_they_are() {
        let mut damaging = link(LinkConfig { corruption: Probability::percent(100), ..LinkConfig::default() });
        let mut empty = Vec::new();
        damaging.corrupt(&mut empty);
        assert!(empty.is_empty());
        let mut datagram = vec![1, 2, 3];
        (0..100).for_each(|_| link(LinkConfig::default()).corrupt(&mut datagram));
        assert_eq!(datagram, [1, 2, 3]);
    }

    #[test]
    fn a_cut_link_loses_everything_until_it_is_whole_again() {
        let mut link = link(LinkConfig::default());
        link.set_continuity(Continuity::Cut);
        assert_eq!(link.arrivals(Timestamp::ZERO, SIZE).count(), 0);
        link.set_continuity(Continuity::Whole);
        assert_eq!(link.arrivals(Timestamp::ZERO, SIZE).count(), 1);
    }
}
