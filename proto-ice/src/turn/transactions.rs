//! Requests to a TURN server and their retransmission.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::Timestamp;
use stun_types::message::TransactionId;

use super::framing::Framing;

/// RFC 8489 §6.2.1.
const INITIAL_RTO: Duration = Duration::from_millis(500);

/// Rc (RFC 8489 §6.2.1): how often a request is sent over UDP.
pub(crate) const REQUESTS: u32 = 7;

/// Rm (RFC 8489 §6.2.1): how many initial timeouts to wait after the last request.
const LAST_WAIT_FACTOR: u32 = 16;

/// How long a transaction takes to fail: Ti over a stream, where nothing is sent again (RFC 8489 §6.2.2), and the sum of all waits over UDP (§6.2.1).
pub(crate) const TRANSACTION_TIMEOUT: Duration = Duration::from_millis(39_500);

/// Requests that may be under way at the same time. What does not fit waits in its table.
pub(crate) const MAXIMUM_TRANSACTIONS: usize = 16;

/// What is asked of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    Allocate,
    Refresh,
    /// A Refresh with lifetime 0.
    Release,
    Permit(Vec<IpAddr>),
    Bind {
        channel: u16,
        peer: SocketAddr,
    },
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) request: Request,
    /// As it was, and will be, sent: a retransmission is the same to the byte (RFC 8489 §6.2.1).
    pub(crate) bytes: Vec<u8>,
    /// The nonce that it carries; `None` if it is not authenticated.
    pub(crate) nonce: Option<String>,
    /// How often in a row the server has found the nonce stale.
    pub(crate) stale_nonces: u32,
    /// What could not be believed, for want of integrity. If nothing else comes, it is the likely reason.
    pub(crate) discarded: Discarded,
    /// When it was sent first. A lifetime that the server grants begins no earlier.
    pub(crate) sent_at: Timestamp,
    schedule: Schedule,
}

/// Responses to a request that were discarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Discarded {
    Nothing,
    Success,
    Error { code: u16, text: String },
}

/// A request that is due.
#[derive(Debug)]
pub(crate) struct Due<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether it was not sent before.
    pub(crate) is_first: bool,
}

#[derive(Clone, Copy, Debug)]
enum Schedule {
    /// To be sent for the first time.
    Unsent,
    /// To be sent again, or given up, at `next_at`.
    Sent { count: u32, next_at: Timestamp, timeout: Duration },
}

impl Transaction {
    pub(crate) fn new(request: Request, bytes: Vec<u8>, nonce: Option<String>, stale_nonces: u32) -> Self {
        Self {
            request,
            bytes,
            nonce,
            stale_nonces,
            discarded: Discarded::Nothing,
            sent_at: Timestamp::ZERO,
            schedule: Schedule::Unsent,
        }
    }
}

/// All requests on their way.
#[derive(Debug)]
pub(crate) struct Transactions {
    entries: BTreeMap<TransactionId, Transaction>,
    framing: Framing,
    /// How often a request is sent over UDP.
    requests: u32,
}

impl Transactions {
    pub(crate) fn new(framing: Framing, requests: u32) -> Self {
        Self { entries: BTreeMap::new(), framing, requests: requests.clamp(1, REQUESTS) }
    }

    /// From now on, requests are sent as often as RFC 8489 §6.2.1 says.
    pub(crate) fn be_patient(&mut self) {
        self.requests = REQUESTS;
    }

    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() < MAXIMUM_TRANSACTIONS
    }

    pub(crate) fn insert(&mut self, id: TransactionId, transaction: Transaction) {
        self.entries.insert(id, transaction);
    }

    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut Transaction> {
        self.entries.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: TransactionId) -> Option<Transaction> {
        self.entries.remove(&id)
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// The bytes of a request that is due to be sent, its next deadline set. One that was not sent before has to be allowed.
    pub(crate) fn next_due(&mut self, now: Timestamp, may_start: bool) -> Option<Due<'_>> {
        let (framing, requests) = (self.framing, self.requests);
        let is_due = |transaction: &Transaction| match transaction.schedule {
            Schedule::Unsent => may_start,
            Schedule::Sent { count, next_at, .. } => count < attempts(framing, requests) && next_at <= now,
        };
        let transaction = self.entries.values_mut().find(|transaction| is_due(transaction))?;
        let is_first = matches!(transaction.schedule, Schedule::Unsent);
        transaction.schedule = match (framing, transaction.schedule) {
            (Framing::Stream, _) => {
                transaction.sent_at = now;
                Schedule::Sent { count: 1, next_at: now + TRANSACTION_TIMEOUT, timeout: TRANSACTION_TIMEOUT }
            }
            (Framing::Datagrams, Schedule::Unsent) => {
                transaction.sent_at = now;
                let wait = if requests == 1 { INITIAL_RTO * LAST_WAIT_FACTOR } else { INITIAL_RTO };
                Schedule::Sent { count: 1, next_at: now + wait, timeout: INITIAL_RTO }
            }
            // RFC 8489 §6.2.1: the timeout doubles with each request; after the last one, 16 initial ones pass.
            (Framing::Datagrams, Schedule::Sent { count, timeout, .. }) => {
                let (count, timeout) = (count + 1, timeout * 2);
                let wait = if count == requests { INITIAL_RTO * LAST_WAIT_FACTOR } else { timeout };
                Schedule::Sent { count, next_at: now + wait, timeout }
            }
        };
        Some(Due { bytes: &transaction.bytes, is_first })
    }

    /// Removes a request that was not answered in time.
    pub(crate) fn take_timed_out(&mut self, now: Timestamp) -> Option<Transaction> {
        let most = attempts(self.framing, self.requests);
        let is_over = |transaction: &Transaction| match transaction.schedule {
            Schedule::Unsent => false,
            Schedule::Sent { count, next_at, .. } => count >= most && next_at <= now,
        };
        let id = self.entries.iter().find(|(_, transaction)| is_over(transaction)).map(|(&id, _)| id)?;
        self.entries.remove(&id)
    }

    /// When a request that was sent is due again, or given up.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let due = |transaction: &Transaction| match transaction.schedule {
            Schedule::Unsent => None,
            Schedule::Sent { next_at, .. } => Some(next_at),
        };
        self.entries.values().filter_map(due).min()
    }

    /// Whether a request is to be sent for the first time.
    pub(crate) fn has_unsent(&self) -> bool {
        self.entries.values().any(|transaction| matches!(transaction.schedule, Schedule::Unsent))
    }
}

const fn attempts(framing: Framing, requests: u32) -> u32 {
    match framing {
        Framing::Datagrams => requests,
        Framing::Stream => 1,
    }
}
