//! Transactions and their retransmission.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_machine::{Path, Timestamp};

use crate::IceRole;
use crate::gather::RequestId;
use crate::stun::{Nominate, TransactionId};

/// RFC 8445 §14.3: no shorter. It does not grow with the number of pairs, which the section allows.
pub(crate) const INITIAL_RTO: Duration = Duration::from_millis(500);

/// Rm (RFC 8489 §6.2.1): how many initial timeouts to wait after the last request.
const LAST_WAIT_FACTOR: u32 = 16;

/// When a check is sent for the last time: the seventh, Rc of RFC 8489 §6.2.1.
const LAST_CHECK: Duration = Duration::from_millis(31_500);

/// When a request to a STUN server is sent for the last time: all of gathering waits for the slowest server, so it gives up after 11.5 s.
const LAST_SERVER_REQUEST: Duration = Duration::from_millis(3_500);

/// How long a check takes to fail: RFC 8489 §6.2.1 adds it up to 39.5 s.
pub(crate) const CHECK_TIMEOUT: Duration = Duration::from_millis(39_500);

/// How long a check is sent every [`INITIAL_RTO`] to an agent that is heard.
const STEADY_PERIOD: Duration = Duration::from_millis(1_500);

/// Rc (RFC 8489 §6.2.1): how often a check is sent at most. Whoever forges the address of an agent that is heard gains none.
const CHECK_REQUESTS: u32 = 7;

/// A request that may still be answered.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) path: Path,
    pub(crate) purpose: Purpose,
    /// When it was sent first, for the round-trip time.
    pub(crate) sent_at: Timestamp,
    /// How often it was sent.
    sent: u32,
    schedule: Schedule,
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A connectivity check.
    Check(CheckAttributes),
    /// A consent check.
    Consent(CheckAttributes),
    /// A request to a STUN server.
    Gathering(RequestId),
}

/// What a check says, kept so that a retransmission says the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CheckAttributes {
    pub(crate) priority: u32,
    pub(crate) role: IceRole,
    pub(crate) tie_breaker: u64,
    pub(crate) nominate: Nominate,
}

/// What happens to a transaction without a response.
#[derive(Clone, Copy, Debug)]
enum Schedule {
    /// It is sent again at `next_at`, and not any more once it is as old as `last`.
    Retransmit { next_at: Timestamp, last: Duration },
    /// It was sent often enough, and fails.
    AwaitLast { until: Timestamp },
    /// It is not sent again, and forgotten without failing (RFC 8445 §7.3.1.4; RFC 7675 §5.1).
    Await { until: Timestamp },
}

/// How fast a request is retransmitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backoff {
    /// RFC 8489 §6.2.1: the timeout doubles.
    Doubling,
    /// It begins to double after [`STEADY_PERIOD`], which RFC 8445 §14.3 allows. For a pair of a signalled candidate on which the other agent is heard: a missing answer tells of a loss then, and not of a path
    /// that does not exist.
    Steady,
}

/// What is due for a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// No response to the last request.
    TimedOut,
    /// Nobody waits for it any more.
    Forgotten,
}

impl Transaction {
    /// A request that was sent at `now` for the first time.
    pub(crate) fn sent(path: Path, purpose: Purpose, now: Timestamp) -> Self {
        let retransmit = |last| Schedule::Retransmit { next_at: now + INITIAL_RTO, last };
        let schedule = match purpose {
            Purpose::Check(_) => retransmit(LAST_CHECK),
            Purpose::Gathering(_) => retransmit(LAST_SERVER_REQUEST),
            // RFC 7675 §5.1: transmitted once only, and outstanding no longer than consent itself.
            Purpose::Consent(_) => Schedule::Await { until: now + crate::consent::CONSENT_LIFETIME },
        };
        Self { path, purpose, sent_at: now, sent: 1, schedule }
    }

    /// Whether a response can be told to belong to the one request that was sent.
    pub(crate) fn was_sent_once(&self) -> bool {
        self.sent == 1
    }

    fn deadline(&self) -> Timestamp {
        match self.schedule {
            Schedule::Retransmit { next_at, .. } => next_at,
            Schedule::AwaitLast { until } | Schedule::Await { until } => until,
        }
    }

    fn is_due_again(&self, now: Timestamp) -> bool {
        matches!(self.schedule, Schedule::Retransmit { next_at, .. } if next_at <= now)
    }

    fn sent_again(&mut self, now: Timestamp, backoff: Backoff) {
        if let Schedule::Retransmit { next_at, last } = &mut self.schedule {
            self.sent += 1;
            let age = now - self.sent_at;
            match backoff {
                _ if age >= *last || self.sent >= CHECK_REQUESTS => {
                    let until = now.max(self.sent_at + *last) + INITIAL_RTO * LAST_WAIT_FACTOR;
                    self.schedule = Schedule::AwaitLast { until };
                }
                Backoff::Steady if age < STEADY_PERIOD => *next_at = now + INITIAL_RTO,
                // The timeout has doubled if it is as long as all before together, and one more.
                Backoff::Steady | Backoff::Doubling => *next_at = now + age + INITIAL_RTO,
            }
        }
    }

    fn ended(&self, now: Timestamp) -> Option<Ended> {
        match self.schedule {
            Schedule::AwaitLast { until } if until <= now => Some(Ended::TimedOut),
            Schedule::Await { until } if until <= now => Some(Ended::Forgotten),
            _ => None,
        }
    }
}

/// All transactions of an agent.
#[derive(Debug)]
pub(crate) struct Transactions {
    entries: BTreeMap<TransactionId, Transaction>,
    /// How many checks and gathering requests there may be. Consent checks are bounded by the pairs: no more than eight each.
    limit: usize,
}

impl Transactions {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit }
    }

    /// Whether another check or gathering request may be started, if need be in the place of one that nobody retransmits.
    pub(crate) fn has_room(&self) -> bool {
        self.counted().count() < self.limit || self.oldest_awaiting().is_some()
    }

    /// Adds a transaction. Returned is the one that has made room, if there was none.
    pub(crate) fn insert(
        &mut self,
        id: TransactionId,
        transaction: Transaction,
    ) -> Option<(TransactionId, Transaction)> {
        let counts = !matches!(transaction.purpose, Purpose::Consent(_));
        let is_full = counts && self.counted().count() >= self.limit;
        let oldest = if is_full { self.oldest_awaiting() } else { None };
        let displaced = oldest.and_then(|oldest| Some((oldest, self.entries.remove(&oldest)?)));
        self.entries.insert(id, transaction);
        displaced
    }

    pub(crate) fn get(&self, id: TransactionId) -> Option<&Transaction> {
        self.entries.get(&id)
    }

    pub(crate) fn remove(&mut self, id: TransactionId) -> Option<Transaction> {
        self.entries.remove(&id)
    }

    /// Stops retransmitting; a late response still counts (RFC 8445 §7.3.1.4).
    pub(crate) fn cancel(&mut self, id: TransactionId) {
        if let Some(transaction) = self.entries.get_mut(&id)
            && matches!(transaction.schedule, Schedule::Retransmit { .. } | Schedule::AwaitLast { .. })
        {
            // "will wait the duration of the transaction timeout for a response".
            transaction.schedule = Schedule::Await { until: transaction.sent_at + CHECK_TIMEOUT };
        }
    }

    /// Stops retransmitting every check of a path for which `is_unwanted` says yes.
    pub(crate) fn cancel_checks(&mut self, is_unwanted: impl Fn(Path) -> bool) {
        let is_affected = |transaction: &Transaction| {
            matches!(transaction.purpose, Purpose::Check(_)) && is_unwanted(transaction.path)
        };
        let checks = self.entries.iter().filter(|(_, transaction)| is_affected(transaction));
        let ids: Vec<_> = checks.map(|(&id, _)| id).collect();
        for id in ids {
            self.cancel(id);
        }
    }

    /// Forgets everything that was sent on a path.
    pub(crate) fn forget_path(&mut self, path: Path) {
        self.entries.retain(|_, transaction| transaction.path != path);
    }

    /// Forgets these requests to STUN servers.
    pub(crate) fn forget_requests(&mut self, unwanted: &[RequestId]) {
        let is_unwanted = |purpose| matches!(purpose, Purpose::Gathering(request) if unwanted.contains(&request));
        self.entries.retain(|_, transaction| !is_unwanted(transaction.purpose));
    }

    /// Forgets every request to a STUN server.
    pub(crate) fn forget_gathering(&mut self) {
        self.entries.retain(|_, transaction| !matches!(transaction.purpose, Purpose::Gathering(_)));
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// A request that is due to be sent again, its next deadline set; checks as fast as `backoff` says for their path.
    pub(crate) fn retransmit_due(
        &mut self,
        now: Timestamp,
        backoff: impl Fn(Path) -> Backoff,
    ) -> Option<(TransactionId, Path, Purpose)> {
        let (&id, transaction) = self.entries.iter_mut().find(|(_, transaction)| transaction.is_due_again(now))?;
        let backoff = match transaction.purpose {
            Purpose::Check(_) => backoff(transaction.path),
            Purpose::Consent(_) | Purpose::Gathering(_) => Backoff::Doubling,
        };
        transaction.sent_again(now, backoff);
        Some((id, transaction.path, transaction.purpose))
    }

    /// Removes a transaction that has come to its end without a response.
    pub(crate) fn take_ended(&mut self, now: Timestamp) -> Option<(TransactionId, Transaction, Ended)> {
        let (id, ended) =
            self.entries.iter().find_map(|(&id, transaction)| transaction.ended(now).map(|ended| (id, ended)))?;
        let transaction = self.entries.remove(&id)?;
        Some((id, transaction, ended))
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.entries.values().map(Transaction::deadline).min()
    }

    fn counted(&self) -> impl Iterator<Item = (&TransactionId, &Transaction)> {
        self.entries.iter().filter(|(_, transaction)| !matches!(transaction.purpose, Purpose::Consent(_)))
    }

    fn oldest_awaiting(&self) -> Option<TransactionId> {
        self.counted()
            .filter(|(_, transaction)| matches!(transaction.schedule, Schedule::Await { .. }))
            .min_by_key(|(_, transaction)| transaction.sent_at)
            .map(|(&id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Path = Path::udp(
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 1),
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 2),
    );

    fn check() -> Purpose {
        let role = IceRole::Controlling;
        Purpose::Check(CheckAttributes { priority: 1, role, tie_breaker: 1, nominate: Nominate::No })
    }

    fn check_sent_at(milliseconds: u64) -> Transaction {
        Transaction::sent(PATH, check(), Timestamp::from_millis(milliseconds))
    }

    /// When a check is sent, in milliseconds, until it times out.
    fn schedule(backoff: impl Fn(Timestamp) -> Backoff) -> Vec<u64> {
        let mut transactions = Transactions::new(8);
        transactions.insert(1.into(), check_sent_at(0));
        let mut sent = vec![0];
        loop {
            let now = transactions.next_deadline().unwrap();
            if transactions.retransmit_due(now, |_| backoff(now)).is_some() {
                sent.push(now.as_nanos() / 1_000_000);
            } else if let Some((_, _, ended)) = transactions.take_ended(now) {
                assert_eq!((now, ended), (Timestamp::ZERO + CHECK_TIMEOUT, Ended::TimedOut));
                return sent;
            }
        }
    }

    /// Item 19 (RFC 8489 §6.2.1).
    #[test]
    fn item_19_a_check_is_sent_at_doubling_intervals_and_fails_16_timeouts_after_the_last() {
        assert_eq!(schedule(|_| Backoff::Doubling), [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    }

    /// Item 19 (RFC 8445 §14.3).
    #[test]
    fn item_19_a_check_to_an_agent_that_is_heard_is_sent_no_more_often_but_sooner_and_fails_no_earlier() {
        assert_eq!(schedule(|_| Backoff::Steady), [0, 500, 1_000, 1_500, 3_500, 7_500, 15_500]);
        let heard_at =
            |at| move |now| if now < Timestamp::from_millis(at) { Backoff::Doubling } else { Backoff::Steady };
        assert_eq!(schedule(heard_at(1_000)), [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    }

    /// Item 21 (RFC 8445 §7.3.1.4).
    #[test]
    fn item_21_a_cancelled_check_is_not_retransmitted_and_is_forgotten_without_failing() {
        let mut transactions = Transactions::new(8);
        transactions.insert(1.into(), check_sent_at(0));
        transactions.cancel(1.into());
        assert_eq!(transactions.retransmit_due(Timestamp::from_millis(500), |_| Backoff::Steady), None);
        assert!(transactions.get(1.into()).is_some());
        let (_, _, ended) = transactions.take_ended(Timestamp::ZERO + CHECK_TIMEOUT).unwrap();
        assert_eq!(ended, Ended::Forgotten);
    }

    #[test]
    fn the_oldest_cancelled_transaction_makes_room_and_one_in_use_never_does() {
        let mut transactions = Transactions::new(2);
        transactions.insert(1.into(), check_sent_at(0));
        transactions.insert(2.into(), check_sent_at(1));
        assert!(!transactions.has_room());
        transactions.cancel(1.into());
        transactions.cancel(2.into());
        assert!(transactions.has_room());
        let displaced = transactions.insert(3.into(), check_sent_at(2));
        assert_eq!(displaced.map(|(id, _)| id), Some(1.into()));
        assert!(transactions.get(1.into()).is_none() && transactions.get(2.into()).is_some());
        assert_eq!(transactions.entries.len(), 2);
    }
}
