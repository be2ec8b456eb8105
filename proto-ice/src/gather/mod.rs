//! Gathering: sockets, servers, and the requests from the one to the other (RFC 8445 §5.1.1).

mod ladder;
mod limits;
mod outcome;
mod server;
mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use proto_machine::{InterfaceAddress, LookupId, Path, SocketError, SocketId, SocketRequest, Timestamp};

use crate::candidates::{AddressRank, RelayRank, ServerIndex};
use crate::interface::{bind_address, is_link_local};
use crate::report::{AttemptOutcome, ServerReport};
use crate::turn::TurnCredentials;
use crate::{CandidateError, RelayServer, StunServer};
use ladder::{Climb, Ladder};
use limits::{LOOKUP_TIMEOUT, MAXIMUM_RELAY_SOCKETS};
pub(crate) use outcome::{Allocated, Answered, Failure};
use server::{Aim, Request, RequestState, Server, ServerAddresses, Service};
use socket::{Purpose, RelaySocket, Socket, SocketStage};

/// A request to a server, by its place in the table. None is ever removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RequestId(usize);

/// Sockets, servers and requests.
#[derive(Debug)]
pub(crate) struct Gatherer {
    sockets: BTreeMap<SocketId, Socket>,
    sockets_limit: usize,
    /// How many sockets for candidates there have been, over all calls: their ranks.
    ranks_used: u16,
    next_socket: u64,
    servers: Vec<Server>,
    requests: Vec<Request>,
    /// Whether server-reflexive addresses are wanted.
    asks_for_bindings: bool,
    relay_sockets: RelaySockets,
    /// Each server that is asked from somewhere, or was.
    ladders: BTreeMap<Climb, Ladder>,
    stage: Stage,
    socket_requests: VecDeque<SocketRequest>,
}

/// From where TURN servers are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RelaySockets {
    /// From the sockets of the candidates.
    Shared,
    /// From a socket for each allocation.
    Separate,
}

/// How far gathering has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Gathering was not asked for.
    New,
    /// New candidates are welcome.
    Gathering,
    /// Every socket and server has answered. RFC 8838 §13: no more candidates once their end was signalled.
    Complete,
    /// A pair is nominated: no more candidates (RFC 8838 §13), but mappings are kept for some time yet.
    Concluded,
    /// Nothing is kept but the sockets in use.
    Released,
}

/// What an opened socket is to be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpenedSocket {
    pub(crate) address: SocketAddr,
    pub(crate) rank: AddressRank,
}

impl Gatherer {
    /// STUN servers come first, TURN servers behind them.
    pub(crate) fn new(stun_servers: &[StunServer], turn_servers: &[RelayServer], sockets_limit: usize) -> Self {
        let turn = (0..).map(RelayRank).zip(turn_servers).map(|(rank, server)| Server::turn(rank, server));
        Self {
            sockets: BTreeMap::new(),
            sockets_limit,
            ranks_used: 0,
            next_socket: 0,
            servers: stun_servers.iter().map(Server::stun).chain(turn).collect(),
            requests: Vec::new(),
            asks_for_bindings: true,
            relay_sockets: RelaySockets::Shared,
            ladders: BTreeMap::new(),
            stage: Stage::New,
            socket_requests: VecDeque::new(),
        }
    }

    /// Only relayed addresses are wanted.
    pub(crate) fn want_relays_only(&mut self) {
        self.asks_for_bindings = false;
    }

    /// Each allocation is to have a socket of its own.
    pub(crate) fn separate_relay_sockets(&mut self) {
        self.relay_sockets = RelaySockets::Separate;
    }

    /// Asks for a socket at each new address, and for the addresses of the servers. Once gathering is complete it stays so.
    pub(crate) fn gather(&mut self, now: Timestamp, addresses: &[InterfaceAddress]) {
        if !matches!(self.stage, Stage::New | Stage::Gathering) {
            return;
        }
        self.stage = Stage::Gathering;
        for interface in addresses {
            let local = bind_address(*interface);
            let known = self.sockets.values().any(|socket| socket.is_candidate_at(local));
            if known || usize::from(self.ranks_used) >= self.sockets_limit {
                continue;
            }
            let rank = AddressRank(self.ranks_used);
            self.ranks_used += 1;
            self.open_socket(local, Purpose::Candidate(rank));
        }
        for (index, server) in self.servers.iter_mut().enumerate() {
            if let ServerAddresses::Name(host) = &server.addresses {
                let lookup = LookupId(index as u64);
                self.socket_requests.push_back(SocketRequest::Resolve { lookup, host: host.clone() });
                server.addresses = ServerAddresses::Resolving { lookup, until: now + LOOKUP_TIMEOUT };
            }
        }
    }

    /// A socket that was asked for is open. `None` if it is no candidate, or of no use and closed again.
    pub(crate) fn opened(&mut self, id: SocketId, address: SocketAddr) -> Option<OpenedSocket> {
        let is_taken = self.sockets.values().any(|socket| socket.open_address() == Some(address));
        let socket = self.sockets.get_mut(&id).filter(|socket| socket.is_opening())?;
        let is_usable = address.port() != 0 && !address.ip().is_unspecified() && !is_taken;
        if self.stage != Stage::Gathering || !is_usable {
            self.close_socket(id);
            return None;
        }
        socket.stage = SocketStage::Open(address);
        match socket.purpose {
            Purpose::Candidate(rank) => {
                self.plan_requests();
                Some(OpenedSocket { address, rank })
            }
            Purpose::Relay(RelaySocket { rank, server, remote, started_at, .. }) => {
                let request = Request::new(id, rank, Path::udp(address, remote), server, Aim::Allocation);
                self.requests.push(Request { started_at, ..request });
                None
            }
        }
    }

    /// A socket could not be opened, or is lost. Returned is the address it had if it was open, and the error to report.
    pub(crate) fn failed(
        &mut self,
        now: Timestamp,
        id: SocketId,
        error: &SocketError,
    ) -> Option<(Option<SocketAddr>, CandidateError)> {
        let socket = self.sockets.remove(&id)?;
        for request in self.requests.iter_mut().filter(|request| request.socket == id) {
            request.end(now, RequestState::Over, AttemptOutcome::Failed { code: None, text: error.to_string() });
        }
        let error = CandidateError {
            address: Some(socket.address().ip()),
            port: socket.open_address().map(|open| open.port()),
            url: socket.relay().map(|relay| self.url(relay.server).to_owned()),
            error_code: CandidateError::UNREACHABLE,
            error_text: error.to_string(),
        };
        Some((socket.open_address(), error))
    }

    /// A look-up has ended. An error is to be reported.
    pub(crate) fn resolved(
        &mut self,
        lookup: LookupId,
        result: &Result<Vec<IpAddr>, SocketError>,
    ) -> Option<CandidateError> {
        let is_this = |server: &&mut Server| matches!(server.addresses, ServerAddresses::Resolving { lookup: known, .. } if known == lookup);
        let server = self.servers.iter_mut().find(is_this)?;
        let error = match result {
            Ok(found) => {
                if server.resolved(found) {
                    self.plan_requests();
                    return None;
                }
                SocketError::NameNotFound.to_string()
            }
            Err(error) => error.to_string(),
        };
        server.addresses = ServerAddresses::Unknown(error.clone());
        Some(unreachable(&server.url, error))
    }

    /// The next request to send, and what for. It stays due until [`sent`](Self::sent).
    pub(crate) fn next_request(&self, now: Timestamp) -> Option<(RequestId, Path)> {
        let due = |state: RequestState| match state {
            RequestState::Queued => true,
            RequestState::Mapped { refresh_at } => refresh_at <= now,
            _ => false,
        };
        let (index, request) = self.requests.iter().enumerate().find(|(_, request)| due(request.state))?;
        Some((RequestId(index), request.path))
    }

    pub(crate) fn sent(&mut self, now: Timestamp, id: RequestId) {
        let Some(request) = self.requests.get_mut(id.0) else {
            return;
        };
        if matches!(request.state, RequestState::Mapped { .. }) {
            request.state = RequestState::Refreshing;
            return;
        }
        request.started_at = request.started_at.or(Some(now));
        request.state = RequestState::Asking;
        let climb = request.climb();
        self.await_address(now, climb);
    }

    /// The credentials for a request that is for an allocation.
    pub(crate) fn credentials(&self, id: RequestId) -> Option<TurnCredentials> {
        let request = self.requests.get(id.0).filter(|request| request.aim == Aim::Allocation)?;
        match &self.servers.get(usize::from(request.server.0))?.service {
            Service::Relay(_, credentials) => Some(credentials.clone()),
            Service::Binding => None,
        }
    }

    pub(crate) fn url(&self, server: ServerIndex) -> &str {
        self.servers.get(usize::from(server.0)).map(|server| server.url.as_str()).unwrap_or_default()
    }

    /// A pair is nominated: RFC 8838 §13 forbids further candidates.
    pub(crate) fn conclude(&mut self, now: Timestamp) {
        if !matches!(self.stage, Stage::Concluded | Stage::Released) {
            self.stage = Stage::Concluded;
            for request in self.requests.iter_mut().filter(|request| request.is_open()) {
                request.abandon(now);
            }
            self.close_sockets(Socket::is_opening);
        }
    }

    /// Gives up everything but the sockets for whose addresses `is_base` says yes (RFC 8445 §8.3.1).
    pub(crate) fn release(&mut self, is_base: impl Fn(SocketAddr) -> bool) {
        self.stage = Stage::Released;
        // An allocation may still be in use; whoever has it knows.
        for request in self.requests.iter_mut().filter(|request| !matches!(request.state, RequestState::Allocated)) {
            request.state = RequestState::Over;
        }
        self.close_sockets(|socket| !socket.open_address().is_some_and(&is_base));
    }

    /// Gives up everything.
    pub(crate) fn close(&mut self, now: Timestamp) {
        self.stage = Stage::Released;
        for request in self.requests.iter_mut() {
            if request.is_open() {
                request.abandon(now);
            }
            request.state = RequestState::Over;
        }
        self.close_sockets(|_| true);
    }

    pub(crate) fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.socket_requests.pop_front()
    }

    /// Whether a socket is for one allocation alone, and must not be shared with another agent.
    pub(crate) fn is_relay_socket(&self, id: SocketId) -> bool {
        self.sockets.get(&id).is_some_and(|socket| !socket.is_candidate())
    }

    /// Whether the socket of a candidate is open at this address.
    pub(crate) fn is_candidate(&self, address: SocketAddr) -> bool {
        self.candidates().any(|candidate| candidate == address)
    }

    /// The addresses of all open sockets that are candidates.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.values().filter(|socket| socket.is_candidate()).filter_map(Socket::open_address)
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn reports(&self) -> Vec<ServerReport> {
        let servers = (0..).map(ServerIndex).zip(&self.servers);
        let attempts = |index| self.requests.iter().filter(move |request| request.server == index);
        servers.map(|(index, server)| server.report(attempts(index).map(Request::report).collect())).collect()
    }

    /// Completes gathering if nothing is left to answer. Returned are the servers that could not even be asked.
    pub(crate) fn complete_if_idle(&mut self) -> Vec<CandidateError> {
        if self.stage != Stage::Gathering || self.is_busy() {
            return Vec::new();
        }
        self.stage = Stage::Complete;
        let mut errors = Vec::new();
        for (index, server) in (0..).map(ServerIndex).zip(&mut self.servers) {
            let is_wanted = self.asks_for_bindings || matches!(server.service, Service::Relay(..));
            let is_known = matches!(&server.addresses, ServerAddresses::Known(_));
            let is_asked = self.ladders.keys().any(|(_, known, _)| *known == index);
            if is_wanted && is_known && !is_asked {
                server.is_out_of_reach = true;
                errors.push(unreachable(&server.url, "no address of this host can reach the server".to_owned()));
            }
        }
        errors
    }

    /// Whether a socket, a name or a server is still to answer.
    fn is_busy(&self) -> bool {
        self.sockets.values().any(Socket::is_opening)
            || self.servers.iter().any(Server::is_resolving)
            || self.requests.iter().any(Request::is_open)
    }

    /// When the next request is due; [`Timestamp::ZERO`] if at once.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let due = |request: &Request| match request.state {
            RequestState::Queued => Some(Timestamp::ZERO),
            RequestState::Mapped { refresh_at } => Some(refresh_at),
            _ => None,
        };
        self.requests.iter().filter_map(due).min()
    }

    /// Opens a socket for one allocation beside another socket. `false` if there are too many.
    fn open_relay_socket(&mut self, mut local: SocketAddr, relay: RelaySocket) -> bool {
        let relays = self.sockets.values().filter(|socket| !socket.is_candidate()).count();
        if relays >= MAXIMUM_RELAY_SOCKETS {
            return false;
        }
        local.set_port(0);
        self.open_socket(local, Purpose::Relay(relay));
        true
    }

    fn open_socket(&mut self, local: SocketAddr, purpose: Purpose) {
        let socket = SocketId(self.next_socket);
        self.next_socket += 1;
        self.sockets.insert(socket, Socket { stage: SocketStage::Opening(local), purpose });
        self.socket_requests.push_back(SocketRequest::BindUdp { socket, local });
    }

    fn close_sockets(&mut self, is_unwanted: impl Fn(&Socket) -> bool) {
        let unwanted: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| is_unwanted(socket)).map(|(&id, _)| id).collect();
        for id in unwanted {
            self.close_socket(id);
        }
    }

    fn close_socket(&mut self, socket: SocketId) {
        self.sockets.remove(&socket);
        self.socket_requests.push_back(SocketRequest::Close { socket });
    }
}

/// W3C webrtc-pc §4.8.3: no address of this host can reach a server.
fn unreachable(url: &str, error_text: String) -> CandidateError {
    CandidateError {
        address: None,
        port: None,
        url: Some(url.to_owned()),
        error_code: CandidateError::UNREACHABLE,
        error_text,
    }
}

/// Whether a server can be asked from a socket: the same family, and not from an address that does not reach beyond the host or the link.
fn can_ask(local: SocketAddr, server: SocketAddr) -> bool {
    let (local, server) = (local.ip(), server.ip());
    local.is_ipv4() == server.is_ipv4()
        && (!local.is_loopback() || server.is_loopback())
        && is_link_local(local) == is_link_local(server)
}
