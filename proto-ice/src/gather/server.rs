//! Servers, and the requests to them.

use std::net::{IpAddr, SocketAddr};

use proto_machine::{LookupId, Path, SocketId, Timestamp};

use crate::candidate::is_usable_remote;
use crate::candidates::{AddressRank, RelayRank, ServerIndex};
use crate::report::{AttemptGoal, AttemptOutcome, LookupOutcome, ServerAttempt, ServerReport};
use crate::turn::TurnCredentials;
use crate::{RelayServer, StunServer, StunServerHost};

/// How many addresses of a name are used, of each family.
const ADDRESSES_PER_FAMILY: usize = 4;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) port: u16,
    pub(super) addresses: ServerAddresses,
    pub(super) service: Service,
    /// Whether it has been told that no address of this host can reach it.
    pub(super) is_out_of_reach: bool,
}

/// What a server is asked for.
#[derive(Debug)]
pub(super) enum Service {
    /// How it sees us.
    Binding,
    /// An allocation.
    Relay(RelayRank, TurnCredentials),
}

#[derive(Debug)]
pub(super) enum ServerAddresses {
    /// Not looked up yet.
    Name(String),
    Resolving {
        lookup: LookupId,
        until: Timestamp,
    },
    /// At most [`ADDRESSES_PER_FAMILY`] of each family, in the order in which they are asked.
    Known(Vec<SocketAddr>),
    /// The name leads nowhere, for this reason.
    Unknown(String),
}

/// From one socket to one address of one server.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) socket: SocketId,
    /// That of the candidate that the socket is, or was opened beside.
    pub(super) rank: AddressRank,
    pub(super) path: Path,
    pub(super) server: ServerIndex,
    pub(super) aim: Aim,
    pub(super) state: RequestState,
    /// When the server was asked first, from this socket or from one that this socket replaces.
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) outcome: AttemptOutcome,
}

/// What is to come of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Aim {
    Binding,
    Allocation,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RequestState {
    Queued,
    Asking,
    /// The server has answered; it is asked again to keep the mapping.
    Mapped {
        refresh_at: Timestamp,
    },
    Refreshing,
    /// A TURN client has an allocation, and keeps it.
    Allocated,
    Over,
}

impl Server {
    pub(super) fn stun(server: &StunServer) -> Self {
        Self::new(&server.url, server.port, &server.host, Service::Binding)
    }

    pub(super) fn turn(rank: RelayRank, server: &RelayServer) -> Self {
        Self::new(&server.url, server.port, &server.host, Service::Relay(rank, server.credentials.clone()))
    }

    fn new(url: &str, port: u16, host: &StunServerHost, service: Service) -> Self {
        let addresses = match host {
            StunServerHost::Address(ip) => ServerAddresses::Known(vec![SocketAddr::new(*ip, port)]),
            StunServerHost::Name(name) => ServerAddresses::Name(name.clone()),
        };
        Self { url: url.to_owned(), port, addresses, service, is_out_of_reach: false }
    }

    /// Takes in what its name has led to: the first addresses of each family. Returned is whether there are any.
    pub(super) fn resolved(&mut self, addresses: &[IpAddr]) -> bool {
        let mut known: Vec<SocketAddr> = Vec::new();
        for address in addresses.iter().map(|ip| SocketAddr::new(*ip, self.port)) {
            let of_family = known.iter().filter(|known| known.is_ipv4() == address.is_ipv4()).count();
            if of_family < ADDRESSES_PER_FAMILY && is_usable_remote(address) && !known.contains(&address) {
                known.push(address);
            }
        }
        let has_found = !known.is_empty();
        self.addresses = ServerAddresses::Known(known);
        has_found
    }

    pub(super) fn is_resolving(&self) -> bool {
        matches!(self.addresses, ServerAddresses::Resolving { .. })
    }

    pub(super) fn report(&self, attempts: Vec<ServerAttempt>) -> ServerReport {
        let lookup = match &self.addresses {
            ServerAddresses::Name(_) | ServerAddresses::Resolving { .. } => LookupOutcome::Pending,
            ServerAddresses::Known(addresses) => LookupOutcome::Known(addresses.clone()),
            ServerAddresses::Unknown(reason) => LookupOutcome::Failed(reason.clone()),
        };
        let goal = match self.service {
            Service::Binding => AttemptGoal::Binding,
            Service::Relay(..) => AttemptGoal::Allocation,
        };
        ServerReport { url: self.url.clone(), goal, lookup, is_out_of_reach: self.is_out_of_reach, attempts }
    }
}

impl Request {
    pub(super) fn new(socket: SocketId, rank: AddressRank, path: Path, server: ServerIndex, aim: Aim) -> Self {
        Self {
            socket,
            rank,
            path,
            server,
            aim,
            state: RequestState::Queued,
            started_at: None,
            ended_at: None,
            outcome: AttemptOutcome::Pending,
        }
    }

    /// Whether the server is still to answer for the first time.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, RequestState::Queued | RequestState::Asking)
    }

    pub(super) fn end(&mut self, now: Timestamp, state: RequestState, outcome: AttemptOutcome) {
        self.state = state;
        self.ended_at = Some(now);
        self.outcome = outcome;
    }

    pub(super) fn report(&self) -> ServerAttempt {
        ServerAttempt {
            path: self.path,
            goal: match self.aim {
                Aim::Binding => AttemptGoal::Binding,
                Aim::Allocation => AttemptGoal::Allocation,
            },
            started_at: self.started_at,
            ended_at: self.ended_at,
            outcome: self.outcome.clone(),
        }
    }
}
