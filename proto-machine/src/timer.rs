//! Timers that run at the same time, in one table keyed by an enum.

use crate::{Deadline, Timestamp};

/// The timers of a machine: a field-less enum that knows its members.
pub trait TimerKey: Copy + Eq + 'static {
    /// Every timer, in the order in which those due at the same moment fire.
    const ALL: &'static [Self];

    /// The name of the timer in traces.
    fn reason(self) -> &'static str;
}

/// At most one deadline for each timer.
///
/// ```
/// use proto_machine::{TimerKey, TimerTable, Timestamp};
///
/// #[derive(Clone, Copy, PartialEq, Eq)]
/// enum Timer { Retransmit, Keepalive }
///
/// impl TimerKey for Timer {
///     const ALL: &'static [Self] = &[Self::Retransmit, Self::Keepalive];
///     fn reason(self) -> &'static str {
///         match self {
///             Self::Retransmit => "retransmit",
///             Self::Keepalive => "keepalive",
///         }
///     }
/// }
///
/// let mut timers = TimerTable::default();
/// timers.set(Timer::Keepalive, Timestamp::from_millis(15_000));
/// timers.set(Timer::Retransmit, Timestamp::from_millis(500));
/// assert_eq!(timers.next().map(|deadline| deadline.reason), Some("retransmit"));
/// assert!(timers.take_due(Timestamp::from_millis(500)) == Some(Timer::Retransmit));
/// assert!(timers.take_due(Timestamp::from_millis(500)).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct TimerTable<K> {
    /// At most one entry a key; a handful, so a scan beats any index.
    entries: Vec<(K, Timestamp)>,
}

impl<K> Default for TimerTable<K> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: TimerKey> TimerTable<K> {
    /// Starts or restarts a timer.
    pub fn set(&mut self, key: K, at: Timestamp) {
        match self.entries.iter_mut().find(|(entry, _)| *entry == key) {
            Some((_, deadline)) => *deadline = at,
            None => self.entries.push((key, at)),
        }
    }

    /// Stops a timer. One that does not run stays as it is.
    pub fn clear(&mut self, key: K) {
        self.entries.retain(|(entry, _)| *entry != key);
    }

    /// Stops all timers.
    pub fn clear_all(&mut self) {
        self.entries.clear();
    }

    /// When a timer is due, if it runs.
    #[must_use]
    pub fn get(&self, key: K) -> Option<Timestamp> {
        self.entries.iter().find(|(entry, _)| *entry == key).map(|&(_, at)| at)
    }

    /// Stops the earliest timer that is due at `now` and returns it. Ties go by the order of [`TimerKey::ALL`].
    #[must_use]
    pub fn take_due(&mut self, now: Timestamp) -> Option<K> {
        let (key, at) = self.earliest()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Deadline> {
        self.earliest().map(|(key, at)| Deadline { at, reason: key.reason() })
    }

    fn earliest(&self) -> Option<(K, Timestamp)> {
        let order = |key: K| K::ALL.iter().position(|&member| member == key);
        self.entries.iter().copied().min_by_key(|&(key, at)| (at, order(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Timer {
        First,
        Second,
    }

    impl TimerKey for Timer {
        const ALL: &'static [Self] = &[Self::First, Self::Second];
        fn reason(self) -> &'static str {
            match self {
                Self::First => "first",
                Self::Second => "second",
            }
        }
    }

    #[test]
    fn timers_due_at_the_same_moment_fire_in_declared_order() {
        let mut timers = TimerTable::default();
        let now = Timestamp::from_millis(1);
        timers.set(Timer::Second, now);
        timers.set(Timer::First, now);
        assert_eq!(timers.take_due(now), Some(Timer::First));
        assert_eq!(timers.take_due(now), Some(Timer::Second));
        assert_eq!(timers.take_due(now), None);
    }

    #[test]
    fn setting_a_timer_again_moves_it() {
        let mut timers = TimerTable::default();
        timers.set(Timer::First, Timestamp::from_millis(1));
        timers.set(Timer::First, Timestamp::from_millis(9));
        assert_eq!(timers.get(Timer::First), Some(Timestamp::from_millis(9)));
        assert_eq!(timers.take_due(Timestamp::from_millis(8)), None);
        timers.clear(Timer::First);
        assert_eq!(timers.next(), None);
    }
}
