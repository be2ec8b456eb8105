//! What keeps servers from stalling gathering: each has so much time, and so many sockets.

use std::time::Duration;

use proto_machine::Timestamp;

use super::server::{Aim, Request, RequestState, ServerAddresses};
use super::{Gatherer, RequestId, Stage, unreachable};
use crate::CandidateError;

/// How long the look-up of a name may take. A driver may need longer to give up; nobody waits for it then.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an allocation may take, challenges, redirection and other sockets included. A server that says nothing at all is given up after 11.5 s.
pub(super) const ALLOCATION_TIMEOUT: Duration = Duration::from_secs(15);

/// RFC 8656 §7.4 asks for no more than three tries if the 5-tuple is in use.
pub(super) const ALLOCATION_ATTEMPTS: u8 = 3;

/// The most sockets at a time that only lead to a TURN server. Ways beyond that are not tried.
pub(super) const MAXIMUM_RELAY_SOCKETS: usize = 16;

impl Gatherer {
    /// Gives up look-ups that take too long. Returned are the errors to report.
    pub(crate) fn expire_lookups(&mut self, now: Timestamp) -> Vec<CandidateError> {
        let mut errors = Vec::new();
        for server in &mut self.servers {
            if let ServerAddresses::Resolving { until, .. } = server.addresses
                && until <= now
            {
                let text = "the look-up of the name takes too long".to_owned();
                server.addresses = ServerAddresses::Unknown(text.clone());
                errors.push(unreachable(&server.url, text));
            }
        }
        errors
    }

    /// The allocations that take too long.
    pub(crate) fn overdue_allocations(&self, now: Timestamp) -> Vec<RequestId> {
        let is_overdue = |request: &Request| give_up_at(request).is_some_and(|at| at <= now);
        let overdue = self.requests.iter().enumerate().filter(|(_, request)| is_overdue(request));
        overdue.map(|(index, _)| RequestId(index)).collect()
    }

    /// When a look-up or an allocation has taken too long, or the next address of a server has its turn.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        if self.stage != Stage::Gathering {
            return None;
        }
        let lookups = self.servers.iter().filter_map(|server| match server.addresses {
            ServerAddresses::Resolving { until, .. } => Some(until),
            _ => None,
        });
        lookups.chain(self.requests.iter().filter_map(give_up_at)).chain(self.next_climb()).min()
    }
}

fn give_up_at(request: &Request) -> Option<Timestamp> {
    let is_asking = request.aim == Aim::Allocation && matches!(request.state, RequestState::Asking);
    request.started_at.filter(|_| is_asking).map(|at| at + ALLOCATION_TIMEOUT)
}
