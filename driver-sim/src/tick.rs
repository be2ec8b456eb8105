//! What an application does every so often.

use std::time::Duration;

use proto_machine::{Deadline, Timestamp};

/// Ticks at multiples of an interval, whenever the machine beside it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tick {
    Never,
    Every { interval: Duration, next: Timestamp },
}

impl Tick {
    pub(crate) fn new(interval: Duration) -> Self {
        if interval.is_zero() { Self::Never } else { Self::Every { interval, next: Timestamp::ZERO } }
    }

    /// Whether it is time. What was missed is not made up for.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) -> bool {
        match self {
            Self::Every { interval, next } if *next <= now => {
                let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
                let passed = now.as_nanos() / interval;
                *next = Timestamp::from_nanos(passed.saturating_add(1).saturating_mul(interval));
                true
            }
            _ => false,
        }
    }

    pub(crate) fn deadline(self) -> Option<Deadline> {
        match self {
            Self::Never => None,
            Self::Every { next, .. } => Some(Deadline { at: next, reason: "the application's tick" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(tick: &mut Tick, moments: impl IntoIterator<Item = u64>) -> Vec<u64> {
        moments.into_iter().filter(|&moment| tick.handle_timeout(Timestamp::from_millis(moment))).collect()
    }

    #[test]
    fn it_ticks_at_multiples_of_its_interval_and_leaves_out_what_was_missed() {
        let mut tick = Tick::new(Duration::from_millis(50));
        assert_eq!(due(&mut tick, [0, 1, 49, 50, 51, 99, 230, 249, 250]), [0, 50, 230, 250]);
        assert_eq!(tick.deadline().unwrap().at, Timestamp::from_millis(300));
    }

    #[test]
    fn without_an_interval_it_never_ticks() {
        let mut tick = Tick::new(Duration::ZERO);
        assert_eq!(due(&mut tick, [0, 1, 1_000]), []);
        assert_eq!(tick.deadline(), None);
    }
}
