//! Consent to send (RFC 7675), and whether the other agent is heard at all.

use std::time::Duration;

use proto_machine::{Rng, Timestamp};

/// RFC 7675 §5.1: consent expires after 30 seconds.
pub(crate) const CONSENT_LIFETIME: Duration = Duration::from_secs(30);

/// RFC 7675 §5.1: periods are drawn from 0.8 to 1.2 times the basic one, and none is below 4 seconds.
pub(crate) const MINIMUM_CONSENT_INTERVAL: Duration = Duration::from_secs(5);

/// The consent of a valid pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consent {
    expires_at: Timestamp,
    next_check_at: Timestamp,
    last_heard_at: Timestamp,
    liveness: Liveness,
}

/// Whether anything authenticated has been heard from the other agent lately.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Liveness {
    Silent,
    Heard,
}

impl Consent {
    /// RFC 7675 §5: a pair that enters the Succeeded state has consent.
    pub(crate) fn granted(now: Timestamp, interval: Duration, rng: &mut Rng) -> Self {
        Self {
            expires_at: now + CONSENT_LIFETIME,
            next_check_at: now + randomized(interval, rng),
            last_heard_at: now,
            liveness: Liveness::Heard,
        }
    }

    /// An authenticated success response came over this pair, the only thing that prolongs consent.
    pub(crate) fn renew(&mut self, now: Timestamp) {
        self.expires_at = now + CONSENT_LIFETIME;
        self.hear(now);
    }

    /// Something authenticated came over this pair.
    pub(crate) fn hear(&mut self, now: Timestamp) {
        self.last_heard_at = self.last_heard_at.max(now);
        self.liveness = Liveness::Heard;
    }

    /// A consent check is sent: when is the next?
    pub(crate) fn checked(&mut self, now: Timestamp, interval: Duration, rng: &mut Rng) {
        self.next_check_at = now + randomized(interval, rng);
    }

    /// Notes that nothing was heard for `timeout`.
    pub(crate) fn notice_silence(&mut self, now: Timestamp, timeout: Duration) {
        if self.silent_at(timeout) <= now {
            self.liveness = Liveness::Silent;
        }
    }

    /// When the other agent counts as silent if nothing is heard.
    pub(crate) fn silent_at(&self, timeout: Duration) -> Timestamp {
        self.last_heard_at + timeout
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    pub(crate) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    pub(crate) fn next_check_at(&self) -> Timestamp {
        self.next_check_at
    }

    pub(crate) fn liveness(&self) -> Liveness {
        self.liveness
    }
}

/// RFC 7675 §5.1: "each interval MUST be randomized from between 0.8 and 1.2 times the basic period".
fn randomized(interval: Duration, rng: &mut Rng) -> Duration {
    let nanoseconds = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    let spread = rng.below(nanoseconds / 5 * 2);
    Duration::from_nanos((nanoseconds / 5 * 4).saturating_add(spread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto_machine::Seed;

    /// Item 33 (RFC 7675 §5.1).
    #[test]
    fn item_33_consent_checks_are_4_to_6_seconds_apart_and_not_all_alike() {
        let mut rng = Seed::from_number(1).into_rng();
        let periods: Vec<_> = (0..1_000).map(|_| randomized(Duration::from_secs(5), &mut rng)).collect();
        let (shortest, longest) = (periods.iter().min().unwrap(), periods.iter().max().unwrap());
        assert!((Duration::from_secs(4)..Duration::from_millis(4_050)).contains(shortest));
        assert!((Duration::from_millis(5_950)..=Duration::from_secs(6)).contains(longest));
    }

    /// Item 33 (RFC 7675 §5.1).
    #[test]
    fn item_33_only_a_response_prolongs_consent() {
        let mut rng = Seed::from_number(1).into_rng();
        let mut consent = Consent::granted(Timestamp::ZERO, Duration::from_secs(5), &mut rng);
        consent.hear(Timestamp::from_millis(29_000));
        assert!(!consent.is_expired(Timestamp::from_millis(29_999)));
        assert!(consent.is_expired(Timestamp::from_millis(30_000)));
        consent.renew(Timestamp::from_millis(29_000));
        assert!(!consent.is_expired(Timestamp::from_millis(58_999)));
    }
}
