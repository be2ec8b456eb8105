//! Two ends on a virtual link.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use proto_machine::{Rng, Seed, Timestamp};

use crate::end::{End, Make};

/// What happens to packets on the way. Rates are in thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// Bytes per second and direction. What would have to wait more than a quarter of a second is dropped.
    pub(crate) rate: Option<NonZeroU64>,
}

impl Faults {
    pub(crate) const NONE: Self =
        Self { delay: Duration::from_millis(20), jitter: Duration::ZERO, loss: 0, duplication: 0, rate: None };
    pub(crate) const LOSSY: Self = Self { loss: 50, ..Self::NONE };
    pub(crate) const WILD: Self = Self { loss: 100, duplication: 100, jitter: Duration::from_millis(40), ..Self::NONE };
}

/// Who sends INIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opening {
    Both,
    /// Only this end: the INITs of the other one are lost.
    Only(usize),
    /// Nobody: the descriptions have said it (draft-hancke-tsvwg-snap-00).
    Agreed,
}

pub(crate) struct Pair {
    pub(crate) now: Timestamp,
    pub(crate) ends: [Box<dyn End>; 2],
    pub(crate) faults: Faults,
    pub(crate) rng: Rng,
    opening: Opening,
    wire: BTreeMap<(Timestamp, u64), (usize, Vec<u8>)>,
    /// When each direction has carried what it was given.
    busy: [Timestamp; 2],
    order: u64,
    pub(crate) packets: u64,
}

impl Pair {
    pub(crate) fn new(makes: [Make; 2], seed: u64, faults: Faults, opening: Opening) -> Self {
        Self::with_window(makes, seed, faults, opening, 1024 * 1024)
    }

    pub(crate) fn with_window(makes: [Make; 2], seed: u64, faults: Faults, opening: Opening, window: u32) -> Self {
        let now = Timestamp::from_millis(1);
        Self {
            now,
            ends: if opening == Opening::Agreed {
                Make::start_agreed(makes, now, [seed * 2, seed * 2 + 1], window)
            } else {
                [0, 1].map(|index| makes[index].start(now, seed * 2 + index as u64, window))
            },
            faults,
            rng: Seed::from_number(seed).child("link").into_rng(),
            opening,
            wire: BTreeMap::new(),
            busy: [now; 2],
            order: 0,
            packets: 0,
        }
    }

    pub(crate) fn connect(&mut self) -> bool {
        self.run(Duration::from_secs(60), |pair| pair.ends.iter().all(|end| end.is_up()))
    }

    /// Lets time pass until the condition holds, which it says, or for so long.
    pub(crate) fn run(&mut self, limit: Duration, mut until: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            for from in 0..2 {
                while let Some(packet) = self.ends[from].poll_packet(self.now) {
                    self.put(from, packet);
                }
            }
            if until(self) {
                return true;
            }
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let deadlines = self.ends.iter().filter_map(|end| end.poll_timeout());
            let Some(next) = deadlines.chain(arrival).min().filter(|&next| next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (index, packet) = entry.remove();
                self.ends[index].handle_packet(self.now, &packet);
            }
            for end in &mut self.ends {
                if end.poll_timeout().is_some_and(|at| at <= self.now) {
                    end.handle_timeout(self.now);
                }
            }
        }
    }

    pub(crate) fn rest(&mut self, duration: Duration) {
        self.run(duration, |_| false);
    }

    fn put(&mut self, from: usize, packet: Vec<u8>) {
        assert!(packet.len() <= 1200, "{} bytes", packet.len());
        self.packets += 1;
        let is_init = packet.get(12) == Some(&1);
        if is_init && self.opening != Opening::Both && self.opening != Opening::Only(from) {
            return;
        }
        let copies = 1 + u64::from(self.rng.below(1000) < self.faults.duplication);
        for _ in 0..copies {
            if self.rng.below(1000) < self.faults.loss {
                continue;
            }
            let mut leaves = self.now;
            if let Some(rate) = self.faults.rate {
                let start = self.busy[from].max(self.now);
                if start - self.now > Duration::from_millis(250) {
                    continue;
                }
                leaves = start + Duration::from_nanos(packet.len() as u64 * 1_000_000_000 / rate);
                self.busy[from] = leaves;
            }
            let jitter = u64::try_from(self.faults.jitter.as_nanos()).unwrap();
            let jitter = Duration::from_nanos(self.rng.below(jitter + 1));
            self.order += 1;
            self.wire.insert((leaves + self.faults.delay + jitter, self.order), (1 - from, packet.clone()));
        }
    }
}
