//! A candidate pair and its states.

use proto_machine::Timestamp;

use crate::candidates::{LocalId, RemoteId};
use crate::consent::{Consent, Liveness};
use crate::stun::TransactionId;
use crate::{CandidatePairState, IceRole, PairCounters, PairFailure};

/// RFC 8445 §6.1.2.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct PairPriority(u64);

impl PairPriority {
    /// The priority of a pair, seen from the agent with this role. Candidate priorities are below 2^31.
    pub(crate) fn new(role: IceRole, local: u32, remote: u32) -> Self {
        let (controlling, controlled) = match role {
            IceRole::Controlling => (local, remote),
            IceRole::Controlled => (remote, local),
        };
        let (lower, higher) = (controlling.min(controlled), controlling.max(controlled));
        Self((u64::from(lower) << 32) + 2 * u64::from(higher) + u64::from(controlling > controlled))
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

/// The foundations of both candidates (RFC 8445 §6.1.2.6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct PairFoundation {
    pub(crate) local: String,
    pub(crate) remote: String,
}

/// A pair of a base and a remote candidate. Its path is its key in the [`Checklist`](crate::checklist::Checklist): a reflexive local candidate
/// stands for its base, so no two pairs of one path are left (RFC 8445 §6.1.2.4).
#[derive(Debug)]
pub(crate) struct Pair {
    /// The host candidate whose base it is sent from.
    pub(crate) local: LocalId,
    pub(crate) remote: RemoteId,
    pub(crate) foundation: PairFoundation,
    pub(crate) local_priority: u32,
    pub(crate) remote_priority: u32,
    pub(crate) priority: PairPriority,
    pub(crate) state: PairState,
    pub(crate) nomination: PairNomination,
    pub(crate) counters: PairCounters,
    /// When anything was sent last, for keepalives (RFC 8445 §11).
    pub(crate) last_sent_at: Timestamp,
}

/// RFC 8445 §6.1.2.6.
#[derive(Debug)]
pub(crate) enum PairState {
    /// Another pair of the same foundation goes first.
    Frozen,
    /// A check is due.
    Waiting(Attempt),
    /// A check is under way. `since` is when the attempt began: one that was superseded counts with its successor.
    InProgress { transaction: TransactionId, since: Timestamp },
    /// A check has succeeded: the pair is valid.
    Succeeded(Validation),
    /// A check has failed, or consent is lost.
    Failed(PairFailure),
}

/// What the check that is due is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// It is the first.
    New,
    /// It takes the place of one that was under way since then (RFC 8445 §7.3.1.4).
    Since(Timestamp),
}

/// What makes a pair valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validation {
    /// The candidate that the other agent sees (RFC 8445 §7.2.5.3.2).
    pub(crate) local: LocalId,
    pub(crate) local_priority: u32,
    /// The priority of the valid pair, which both agents see alike.
    pub(crate) priority: PairPriority,
    pub(crate) consent: Consent,
}

/// How far the nomination of a pair has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PairNomination {
    None,
    /// The controlling agent has sent USE-CANDIDATE; our own check is still to succeed (RFC 8445 §7.3.1.5).
    Requested(NominationOrder),
    /// The nominated flag (RFC 8445 §7.2.5.3.4).
    Nominated(NominationOrder),
}

/// The place of a nomination among all of an agent: the later, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct NominationOrder(u64);

impl NominationOrder {
    /// Moves on to the next place, and returns it.
    pub(crate) fn advance(&mut self) -> Self {
        self.0 = self.0.saturating_add(1);
        *self
    }
}

/// How much a pair is preferred for data: the greatest is used.
///
/// RFC 8445 §8.1.1 has only the priority. But the nominated flag is never withdrawn, so a pair that the peer has left for a worse one must not win for ever; and a
/// peer behind a NAT whose mapping changes comes back with the priority it had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Preference {
    liveness: Liveness,
    priority: PairPriority,
    nominated: Option<NominationOrder>,
}

impl Pair {
    pub(crate) fn validation(&self) -> Option<&Validation> {
        match &self.state {
            PairState::Succeeded(validation) => Some(validation),
            _ => None,
        }
    }

    pub(crate) fn validation_mut(&mut self) -> Option<&mut Validation> {
        match &mut self.state {
            PairState::Succeeded(validation) => Some(validation),
            _ => None,
        }
    }

    pub(crate) fn is_nominated(&self) -> bool {
        matches!(self.nomination, PairNomination::Nominated(_))
    }

    /// Whether the peer is heard on it, and it is valid.
    pub(crate) fn is_heard(&self) -> bool {
        self.validation().is_some_and(|validation| validation.consent.liveness() == Liveness::Heard)
    }

    /// How much the pair is preferred, if it is valid.
    pub(crate) fn preference(&self) -> Option<Preference> {
        let Validation { priority, consent, .. } = self.validation()?;
        let nominated = match self.nomination {
            PairNomination::Nominated(order) => Some(order),
            PairNomination::None | PairNomination::Requested(_) => None,
        };
        Some(Preference { liveness: consent.liveness(), priority: *priority, nominated })
    }

    /// How much the pair will be preferred once the check succeeds that its nomination waits for.
    pub(crate) fn preference_on_success(&self) -> Option<Preference> {
        match self.nomination {
            PairNomination::Requested(order) => {
                Some(Preference { liveness: Liveness::Heard, priority: self.priority, nominated: Some(order) })
            }
            PairNomination::None | PairNomination::Nominated(_) => None,
        }
    }

    /// Whether its check keeps other pairs of its foundation frozen (RFC 8445 §6.1.4.2 step 2).
    pub(crate) fn is_waiting_or_in_progress(&self) -> bool {
        matches!(self.state, PairState::Waiting(_) | PairState::InProgress { .. })
    }

    /// Whether the other agent has proved over this very path that it knows our password.
    pub(crate) fn is_authenticated_by_peer(&self) -> bool {
        self.counters.requests_received > 0
    }

    /// Whether the pair must not be used again with the present credentials (RFC 7675 §5.1), or cannot be.
    pub(crate) fn is_beyond_repair(&self) -> bool {
        matches!(
            self.state,
            PairState::Failed(PairFailure::ConsentExpired | PairFailure::ConsentRevoked | PairFailure::SocketLost)
        )
    }

    /// Whether the pair may be forgotten in favour of another: it has failed, and may be tried again if it comes up once more.
    pub(crate) fn may_make_room(&self) -> bool {
        matches!(self.state, PairState::Failed(_)) && !self.is_beyond_repair()
    }

    /// Computes priorities anew for a role (RFC 8445 §7.3.1.1).
    pub(crate) fn set_role(&mut self, role: IceRole) {
        self.priority = PairPriority::new(role, self.local_priority, self.remote_priority);
        let remote_priority = self.remote_priority;
        if let Some(validation) = self.validation_mut() {
            validation.priority = PairPriority::new(role, validation.local_priority, remote_priority);
        }
    }

    pub(crate) fn public_state(&self) -> CandidatePairState {
        match self.state {
            PairState::Frozen => CandidatePairState::Frozen,
            PairState::Waiting(_) => CandidatePairState::Waiting,
            PairState::InProgress { .. } => CandidatePairState::InProgress,
            PairState::Succeeded(_) => CandidatePairState::Succeeded,
            PairState::Failed(failure) => CandidatePairState::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Item 14 (RFC 8445 §6.1.2.3).
    #[test]
    fn item_14_both_agents_compute_the_same_pair_priority_without_overflow() {
        let (ours, theirs) = (2_130_706_431, 1_694_498_815);
        let expected = (1_694_498_815_u64 << 32) + 2 * 2_130_706_431 + 1;
        assert_eq!(PairPriority::new(IceRole::Controlling, ours, theirs).value(), expected);
        assert_eq!(PairPriority::new(IceRole::Controlled, theirs, ours).value(), expected);
        assert_eq!(PairPriority::new(IceRole::Controlled, ours, theirs).value(), expected - 1);
        let largest = (1 << 31) - 1;
        assert_eq!(
            PairPriority::new(IceRole::Controlling, largest, largest).value(),
            (u64::from(largest) << 32) + 2 * u64::from(largest)
        );
    }
}
