//! What happens to a datagram between two hosts.

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
    /// How many are damaged: a bit flipped, the end cut off, or a byte too many.
    pub corruption: Probability,
}

/// One direction of a link: its configuration, its own generator, and the order it keeps.
#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    rng: Rng,
    /// No datagram in order arrives before this one.
    last_arrival: Timestamp,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, seed: Seed) -> Self {
        Self { config, rng: seed.into_rng(), last_arrival: Timestamp::ZERO }
    }

    pub(crate) fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// When the copies of a datagram that is sent at `now` arrive: none if it is lost, two if it is duplicated.
    pub(crate) fn arrivals(&mut self, now: Timestamp) -> impl Iterator<Item = Timestamp> + use<> {
        let lost = self.config.loss.draw(&mut self.rng);
        let duplicated = self.config.duplication.draw(&mut self.rng);
        let first = (!lost).then(|| self.arrival(now));
        let second = (!lost && duplicated).then(|| self.arrival(now));
        first.into_iter().chain(second)
    }

    /// Damages the datagram, if it is its turn.
    pub(crate) fn corrupt(&mut self, datagram: &mut Vec<u8>) {
        if datagram.is_empty() || !self.config.corruption.draw(&mut self.rng) {
            return;
        }
        let position = usize::try_from(self.rng.below(datagram.len() as u64)).unwrap_or(0);
        match self.rng.below(3) {
            0 => datagram.truncate(position),
            1 => datagram.push(0),
            _ => {
                if let Some(byte) = datagram.get_mut(position) {
                    *byte ^= 1 << self.rng.below(8);
                }
            }
        }
    }

    fn arrival(&mut self, now: Timestamp) -> Timestamp {
        let undisturbed = now + self.config.delay + self.up_to(self.config.jitter);
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
    use super::*;

    fn link(config: LinkConfig) -> Link {
        Link::new(config, Seed::from_number(1))
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let mut link = link(LinkConfig { jitter: Duration::from_millis(50), ..LinkConfig::default() });
        let arrivals: Vec<_> = (0..1_000).flat_map(|i| link.arrivals(Timestamp::from_millis(i))).collect();
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
        let arrivals: Vec<_> = (0..1_000).flat_map(|i| link.arrivals(Timestamp::from_millis(i))).collect();
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
        let copies: Vec<_> = (0..10_000).map(|i| link.arrivals(Timestamp::from_millis(i)).count()).collect();
        let share = |wanted: usize| copies.iter().filter(|&&count| count == wanted).count();
        assert!((1_800..2_200).contains(&share(0)), "{} lost", share(0));
        assert!((650..950).contains(&share(2)), "{} twice", share(2));
    }
}
