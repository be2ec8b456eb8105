//! The addresses of a server, one after the other: a name may have several, some of which say nothing.
//!
//! From each socket the first one is asked. The next one has its turn when that has failed, or has said nothing for a while; it goes on being waited for. The first answer ends the climb, and what is
//! still open is given up. So an address that says nothing costs a second, and no server has more allocations than one for each socket.

use std::collections::VecDeque;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use proto_machine::{Path, SocketId, Timestamp};

use super::server::{Aim, Request, RequestState, ServerAddresses, Service};
use super::socket::{Purpose, RelaySocket};
use super::{Gatherer, RelaySockets, RequestId, Stage, can_ask};
use crate::candidates::{AddressRank, ServerIndex};
use crate::report::AttemptOutcome;

/// How long an address is waited for before the next one is asked as well: for two requests and their answers.
const NEXT_ADDRESS_DELAY: Duration = Duration::from_secs(1);

/// From where, which server, and what for.
pub(super) type Climb = (AddressRank, ServerIndex, Aim);

/// The addresses of a server that have not been asked.
#[derive(Debug)]
pub(super) struct Ladder {
    /// Of the candidate.
    socket: SocketId,
    /// Where that is.
    local: SocketAddr,
    rest: VecDeque<SocketAddr>,
    /// When the next one has its turn if nothing happens.
    next_at: Option<Timestamp>,
}

impl Gatherer {
    /// Begins to ask every server from every open socket that can reach it and has not asked it.
    pub(super) fn plan_requests(&mut self) {
        if self.stage != Stage::Gathering {
            return;
        }
        let mut planned = Vec::new();
        for (&socket, state) in self.sockets.iter().filter(|(_, socket)| socket.is_candidate()) {
            let Some(local) = state.open_address() else {
                continue;
            };
            for (index, server) in (0..).map(ServerIndex).zip(&self.servers) {
                let ServerAddresses::Known(addresses) = &server.addresses else {
                    continue;
                };
                let rest: VecDeque<_> = addresses.iter().copied().filter(|remote| can_ask(local, *remote)).collect();
                if rest.is_empty() {
                    continue;
                }
                for aim in self.aims(&server.service) {
                    let ladder = Ladder { socket, local, rest: rest.clone(), next_at: None };
                    planned.push(((state.rank(), index, aim), ladder));
                }
            }
        }
        for (climb, ladder) in planned {
            if let Entry::Vacant(entry) = self.ladders.entry(climb) {
                entry.insert(ladder);
                self.climb(climb);
            }
        }
    }

    /// What a server is asked for. One that is asked for an allocation tells as well how it sees the socket, if that is the socket of a candidate.
    fn aims(&self, service: &Service) -> Vec<Aim> {
        let is_relay = matches!(service, Service::Relay(..));
        let is_separate = self.relay_sockets == RelaySockets::Separate;
        let is_bound = self.asks_for_bindings && (!is_relay || is_separate);
        let aims = [(Aim::Binding, is_bound), (Aim::Allocation, is_relay)];
        aims.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(aim, _)| aim).collect()
    }

    /// The next address of a server has its turn, if there is one.
    pub(super) fn climb(&mut self, climb: Climb) {
        let Some(ladder) = self.ladders.get_mut(&climb) else {
            return;
        };
        ladder.next_at = None;
        let (socket, local) = (ladder.socket, ladder.local);
        let Some(remote) = ladder.rest.pop_front() else {
            return;
        };
        let (rank, server, aim) = climb;
        if aim == Aim::Allocation && self.relay_sockets == RelaySockets::Separate {
            let relay = RelaySocket { rank, server, remote, earlier_attempts: 0, started_at: None };
            self.open_relay_socket(local, relay);
        } else {
            self.requests.push(Request::new(socket, rank, Path::udp(local, remote), server, aim));
        }
    }

    /// An address has been asked: the next one waits for a while.
    pub(super) fn await_address(&mut self, now: Timestamp, climb: Climb) {
        if let Some(ladder) = self.ladders.get_mut(&climb)
            && !ladder.rest.is_empty()
        {
            ladder.next_at = Some(now + NEXT_ADDRESS_DELAY);
        }
    }

    /// Lets the next addresses have their turn where the others have said nothing for a while.
    pub(crate) fn climb_on(&mut self, now: Timestamp) {
        let is_due = |ladder: &Ladder| ladder.next_at.is_some_and(|at| at <= now);
        let due: Vec<Climb> =
            self.ladders.iter().filter(|(_, ladder)| is_due(ladder)).map(|(&climb, _)| climb).collect();
        for climb in due {
            self.climb(climb);
        }
    }

    /// When the next address has its turn.
    pub(super) fn next_climb(&self) -> Option<Timestamp> {
        self.ladders.values().filter_map(|ladder| ladder.next_at).min()
    }

    /// One address of a server has answered: no other is asked. Returned are the requests that are given up.
    pub(crate) fn abandon_others(&mut self, now: Timestamp, answered: RequestId) -> Vec<RequestId> {
        let Some(climb) = self.requests.get(answered.0).map(Request::climb) else {
            return Vec::new();
        };
        if let Some(ladder) = self.ladders.get_mut(&climb) {
            ladder.rest.clear();
            ladder.next_at = None;
        }
        let is_open = |request: &Request| request.climb() == climb && request.is_open();
        let open = self.requests.iter().enumerate().filter(|(_, request)| is_open(request));
        let abandoned: Vec<RequestId> = open.map(|(index, _)| RequestId(index)).collect();
        let (rank, server, aim) = climb;
        if aim == Aim::Allocation {
            let is_for_this =
                |purpose| matches!(purpose, Purpose::Relay(relay) if (relay.rank, relay.server) == (rank, server));
            self.close_sockets(|socket| socket.is_opening() && is_for_this(socket.purpose));
        }
        for &RequestId(index) in &abandoned {
            if let Some(request) = self.requests.get_mut(index) {
                request.abandon(now);
                let socket = request.socket;
                self.close_relay_socket(socket);
            }
        }
        abandoned
    }
}

impl Request {
    pub(super) fn climb(&self) -> Climb {
        (self.rank, self.server, self.aim)
    }

    pub(super) fn abandon(&mut self, now: Timestamp) {
        self.end(now, RequestState::Over, AttemptOutcome::Abandoned);
    }
}
