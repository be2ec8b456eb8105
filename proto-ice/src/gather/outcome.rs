//! What becomes of requests to servers.

use std::net::SocketAddr;
use std::time::Duration;

use proto_machine::{SocketId, Timestamp};

use super::limits::ALLOCATION_ATTEMPTS;
use super::server::{Aim, Request, RequestState, Service};
use super::socket::{RelaySocket, Socket};
use super::{Gatherer, RequestId, Stage, unreachable};
use crate::CandidateError;
use crate::candidates::{AddressRank, RelayRank, ServerIndex};
use crate::report::AttemptOutcome;
use crate::turn::{TurnError, TurnFailure};

/// How often a server is asked again, so that the mapping of a NAT stays (RFC 8445 §5.1.1.4). RFC 4787 §4.3 gives mappings two minutes, real NATs half of one.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// An answer of a server, with all that its candidate consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answered {
    /// For the first time.
    First { server: ServerIndex },
    /// To keep the mapping.
    Refreshed,
}

/// An allocation, with what its candidates consist of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Allocated {
    pub(crate) server: ServerIndex,
    pub(crate) relay_rank: RelayRank,
    pub(crate) address_rank: AddressRank,
    /// Whether the socket is a candidate as well: then the mapped address is one of its own.
    pub(crate) is_candidate: bool,
}

/// Why a request has failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The server has said so, with this code.
    Refused(u16, String),
    /// It has said nothing.
    Silent,
    /// What it says is of no use, for this reason.
    Other(String),
}

impl Failure {
    /// Whether another address of the same server may do better: this one is silent, broken (RFC 8489 §6.3.4: 5xx) or has no room (RFC 8656 §15: 486, 508).
    fn is_of_one_address(&self) -> bool {
        match self {
            Self::Refused(code, _) => matches!(code, 486 | 500..),
            Self::Silent | Self::Other(_) => true,
        }
    }
}

impl Gatherer {
    /// A server has answered with an address.
    pub(crate) fn answered(&mut self, now: Timestamp, id: RequestId, mapped: SocketAddr) -> Option<Answered> {
        let request = self.requests.get_mut(id.0)?;
        let state = RequestState::Mapped { refresh_at: now + REFRESH_INTERVAL };
        match request.state {
            RequestState::Asking => {
                request.end(now, state, AttemptOutcome::Answered(vec![mapped]));
                Some(Answered::First { server: request.server })
            }
            RequestState::Refreshing => {
                request.state = state;
                Some(Answered::Refreshed)
            }
            _ => None,
        }
    }

    /// A TURN client has what it was asked for. `None` if nobody waits for it any more.
    pub(crate) fn allocated(&mut self, now: Timestamp, id: RequestId, relayed: &[SocketAddr]) -> Option<Allocated> {
        let request = self.requests.get_mut(id.0).filter(|request| matches!(request.state, RequestState::Asking))?;
        let Service::Relay(relay_rank, _) = self.servers.get(usize::from(request.server.0))?.service else {
            return None;
        };
        let socket = self.sockets.get(&request.socket)?;
        request.end(now, RequestState::Allocated, AttemptOutcome::Answered(relayed.to_vec()));
        Some(Allocated {
            server: request.server,
            relay_rank,
            address_rank: socket.rank(),
            is_candidate: socket.is_candidate(),
        })
    }

    /// A TURN client has nothing, or nothing any more. Returned is the error to report, if there is one.
    pub(crate) fn allocation_failed(
        &mut self,
        now: Timestamp,
        id: RequestId,
        error: &TurnError,
    ) -> Option<CandidateError> {
        let is_waited_for = self.stage == Stage::Gathering;
        let retry = self.next_attempt(id).filter(|_| is_waited_for && error.failure == TurnFailure::AllocationMismatch);
        let failure = match (error.failure, error.code) {
            (_, Some(code)) => Failure::Refused(code, error.text.clone()),
            (TurnFailure::Timeout, None) => Failure::Silent,
            (_, None) => Failure::Other(error.text.clone()),
        };
        let report = self.request_failed(now, id, &failure);
        let is_retried = retry.is_some_and(|(local, relay)| self.open_relay_socket(local, relay));
        // RFC 8445 §5.1.1.2: a server without room is asked how it sees us instead; one that is to be asked from elsewhere as well.
        if (is_retried || error.allows_binding()) && is_waited_for {
            self.ask_for_binding_instead(id);
        }
        report.filter(|_| !is_retried)
    }

    /// A request has failed. Returned is the error to report, if there is one.
    pub(crate) fn request_failed(
        &mut self,
        now: Timestamp,
        id: RequestId,
        failure: &Failure,
    ) -> Option<CandidateError> {
        let request = self.requests.get_mut(id.0)?;
        let was_first = matches!(request.state, RequestState::Asking);
        let outcome = match failure {
            Failure::Refused(code, text) => AttemptOutcome::Failed { code: Some(*code), text: text.clone() },
            Failure::Silent => AttemptOutcome::TimedOut,
            Failure::Other(text) => AttemptOutcome::Failed { code: None, text: text.clone() },
        };
        let (index, base, socket, climb) = (request.server, request.path.local, request.socket, request.climb());
        if was_first || matches!(request.state, RequestState::Allocated) {
            request.end(now, RequestState::Over, outcome);
        }
        request.state = RequestState::Over;
        self.close_relay_socket(socket);
        if !was_first {
            // The candidate is there already; its mapping may be lost, which its pairs will notice.
            return None;
        }
        if self.stage == Stage::Gathering && failure.is_of_one_address() {
            self.climb(climb);
        }
        let report = |error_code, text: &str| CandidateError {
            address: Some(base.ip()),
            port: Some(base.port()),
            url: Some(self.url(index).to_owned()),
            error_code,
            error_text: text.to_owned(),
        };
        match failure {
            Failure::Refused(code, text) => Some(report(*code, text)),
            Failure::Other(text) => Some(report(CandidateError::UNREACHABLE, text)),
            // W3C webrtc-pc §4.8.3: 701 comes if no host candidate can reach the server, which is known with the last request.
            Failure::Silent => self.is_given_up(index).then(|| self.silence(index)),
        }
    }

    /// Whether a server has not answered and is not asked any more.
    fn is_given_up(&self, index: ServerIndex) -> bool {
        let is_reached_or_open =
            |request: &Request| request.server == index && !matches!(request.state, RequestState::Over);
        let is_opening =
            |socket: &Socket| socket.is_opening() && socket.relay().is_some_and(|relay| relay.server == index);
        !self.requests.iter().any(is_reached_or_open) && !self.sockets.values().any(is_opening)
    }

    /// The error of a server that says nothing, with the local address if it was asked from one alone.
    fn silence(&self, index: ServerIndex) -> CandidateError {
        let mut asked = self.requests.iter().filter(|request| request.server == index);
        let first = asked.next().map(|request| request.path.local);
        let only = first.filter(|first| asked.all(|request| request.path.local == *first));
        CandidateError {
            address: only.map(|only| only.ip()),
            port: only.map(|only| only.port()),
            ..unreachable(self.url(index), "the server does not answer".to_owned())
        }
    }

    /// RFC 8656 §7.4: if the 5-tuple is in use, another socket may help. Where to open it, and what for.
    fn next_attempt(&self, id: RequestId) -> Option<(SocketAddr, RelaySocket)> {
        let request = self.requests.get(id.0).filter(|request| matches!(request.state, RequestState::Asking))?;
        let socket = self.sockets.get(&request.socket)?;
        let attempts = socket.relay().map_or(0, |relay| relay.earlier_attempts) + 1;
        let relay = RelaySocket {
            rank: socket.rank(),
            server: request.server,
            remote: request.path.remote,
            earlier_attempts: attempts,
            started_at: request.started_at,
        };
        (attempts < ALLOCATION_ATTEMPTS).then_some((request.path.local, relay))
    }

    fn ask_for_binding_instead(&mut self, id: RequestId) {
        let asks_for_bindings = self.asks_for_bindings;
        let Some(request) = self.requests.get_mut(id.0) else {
            return;
        };
        let is_candidate = self.sockets.get(&request.socket).is_some_and(|socket| socket.is_candidate());
        if asks_for_bindings && is_candidate && request.aim == Aim::Allocation {
            let refused = Request::new(request.socket, request.rank, request.path, request.server, Aim::Binding);
            // The refusal stays in the report.
            self.requests.push(refused);
        }
    }

    /// A socket that leads to one server alone is of no use without an allocation there.
    pub(super) fn close_relay_socket(&mut self, id: SocketId) {
        if self.sockets.get(&id).is_some_and(|socket| !socket.is_candidate()) {
            self.close_socket(id);
        }
    }
}
