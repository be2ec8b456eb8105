//! Gathering: sockets, STUN servers, and the requests from the one to the other (RFC 8445 §5.1.1).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::{LookupId, Path, SocketError, SocketId, SocketRequest, Timestamp};

use crate::candidates::{AddressRank, RelayRank, ServerIndex};
use crate::interface::{bind_address, is_link_local};
use crate::turn::TurnCredentials;
use crate::{CandidateError, RelayServer, StunServer, StunServerHost};
use proto_machine::InterfaceAddress;

/// How often a server is asked again, so that the mapping of a NAT stays (RFC 8445 §5.1.1.4). RFC 4787 §4.3 gives mappings two minutes, real NATs half of one.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// A request to a STUN server, by its place in the table. None is ever removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RequestId(usize);

/// Sockets, servers and requests.
#[derive(Debug)]
pub(crate) struct Gatherer {
    sockets: BTreeMap<SocketId, Socket>,
    sockets_limit: usize,
    /// How many sockets there have been, over all calls: their numbers and ranks.
    sockets_used: u16,
    servers: Vec<Server>,
    requests: Vec<Request>,
    /// Whether server-reflexive addresses are wanted.
    asks_for_bindings: bool,
    stage: Stage,
    socket_requests: VecDeque<SocketRequest>,
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

#[derive(Debug)]
enum Socket {
    Opening { address: SocketAddr, rank: AddressRank },
    Open { address: SocketAddr },
}

#[derive(Debug)]
struct Server {
    url: String,
    port: u16,
    addresses: ServerAddresses,
    service: Service,
}

/// What a server is asked for.
#[derive(Debug)]
enum Service {
    /// How it sees us.
    Binding,
    /// An allocation.
    Relay(RelayRank, TurnCredentials),
}

#[derive(Debug)]
enum ServerAddresses {
    /// Not looked up yet.
    Name(String),
    Resolving(LookupId),
    /// At most one of each family.
    Known(Vec<SocketAddr>),
}

/// From one socket to one address of one server.
#[derive(Debug)]
struct Request {
    socket: SocketId,
    path: Path,
    server: ServerIndex,
    aim: Aim,
    state: RequestState,
}

/// What is to come of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    Binding,
    Allocation,
}

#[derive(Clone, Copy, Debug)]
enum RequestState {
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

/// What an opened socket is to be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpenedSocket {
    pub(crate) address: SocketAddr,
    pub(crate) rank: AddressRank,
}

/// An answer of a server, with all that its candidate consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answered {
    /// For the first time.
    First { server: ServerIndex },
    /// To keep the mapping.
    Refreshed,
}

impl Gatherer {
    /// STUN servers come first, TURN servers behind them.
    pub(crate) fn new(stun_servers: &[StunServer], turn_servers: &[RelayServer], sockets_limit: usize) -> Self {
        let server = |url: &String, port, host: &StunServerHost, service| Server {
            url: url.clone(),
            port,
            addresses: match host {
                StunServerHost::Address(ip) => ServerAddresses::Known(vec![SocketAddr::new(*ip, port)]),
                StunServerHost::Name(name) => ServerAddresses::Name(name.clone()),
            },
            service,
        };
        let stun = stun_servers.iter().map(|stun| server(&stun.url, stun.port, &stun.host, Service::Binding));
        let turn = (0..).map(RelayRank).zip(turn_servers).map(|(rank, turn)| {
            server(&turn.url, turn.port, &turn.host, Service::Relay(rank, turn.credentials.clone()))
        });
        let servers = stun.chain(turn);
        Self {
            sockets: BTreeMap::new(),
            sockets_limit,
            sockets_used: 0,
            servers: servers.collect(),
            requests: Vec::new(),
            asks_for_bindings: true,
            stage: Stage::New,
            socket_requests: VecDeque::new(),
        }
    }

    /// Asks for a socket at each new address, and for the addresses of the servers. Once gathering is complete it stays so.
    pub(crate) fn gather(&mut self, addresses: &[InterfaceAddress]) {
        if !matches!(self.stage, Stage::New | Stage::Gathering) {
            return;
        }
        self.stage = Stage::Gathering;
        for interface in addresses {
            let local = bind_address(*interface);
            let known = self.sockets.values().any(|socket| socket.is_at(local));
            if known || usize::from(self.sockets_used) >= self.sockets_limit {
                continue;
            }
            let socket = SocketId(u64::from(self.sockets_used));
            let rank = AddressRank(self.sockets_used);
            self.sockets_used += 1;
            self.sockets.insert(socket, Socket::Opening { address: local, rank });
            self.socket_requests.push_back(SocketRequest::BindUdp { socket, local });
        }
        for (index, server) in self.servers.iter_mut().enumerate() {
            if let ServerAddresses::Name(host) = &server.addresses {
                let lookup = LookupId(index as u64);
                self.socket_requests.push_back(SocketRequest::Resolve { lookup, host: host.clone() });
                server.addresses = ServerAddresses::Resolving(lookup);
            }
        }
    }

    /// A socket that was asked for is open. `None` if it is of no use, and closed again.
    pub(crate) fn opened(&mut self, id: SocketId, address: SocketAddr) -> Option<OpenedSocket> {
        let Some(Socket::Opening { rank, .. }) = self.sockets.get(&id) else {
            return None;
        };
        let opened = OpenedSocket { address, rank: *rank };
        let is_usable = address.port() != 0 && !address.ip().is_unspecified() && self.socket_at(address).is_none();
        if self.stage != Stage::Gathering || !is_usable {
            self.close_socket(id);
            return None;
        }
        self.sockets.insert(id, Socket::Open { address });
        self.plan_requests();
        Some(opened)
    }

    /// A socket could not be opened, or is lost. Returned is the address it had if it was open, and the error to report.
    pub(crate) fn failed(&mut self, id: SocketId, error: &SocketError) -> Option<(Option<SocketAddr>, CandidateError)> {
        let socket = self.sockets.remove(&id)?;
        for request in self.requests.iter_mut().filter(|request| request.socket == id) {
            request.state = RequestState::Over;
        }
        let (address, open) = match socket {
            Socket::Opening { address, .. } => (address, None),
            Socket::Open { address } => (address, Some(address)),
        };
        let error = CandidateError {
            address: Some(address.ip()),
            port: open.map(|open| open.port()),
            url: None,
            error_code: CandidateError::UNREACHABLE,
            error_text: error.to_string(),
        };
        Some((open, error))
    }

    /// A look-up has ended. An error is to be reported.
    pub(crate) fn resolved(
        &mut self,
        lookup: LookupId,
        result: &Result<Vec<IpAddr>, SocketError>,
    ) -> Option<CandidateError> {
        let server = self
            .servers
            .iter_mut()
            .find(|server| matches!(server.addresses, ServerAddresses::Resolving(known) if known == lookup))?;
        let resolved = result.as_deref().unwrap_or_default();
        let first = |is_wanted: fn(&IpAddr) -> bool| resolved.iter().copied().find(is_wanted);
        let addresses = [first(IpAddr::is_ipv6), first(IpAddr::is_ipv4)].into_iter().flatten();
        server.addresses = ServerAddresses::Known(addresses.map(|ip| SocketAddr::new(ip, server.port)).collect());
        let error = match result {
            Ok(found) if !found.is_empty() => None,
            Ok(_) => Some(SocketError::NameNotFound.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let url = server.url.clone();
        self.plan_requests();
        error.map(|error_text| CandidateError {
            address: None,
            port: None,
            url: Some(url),
            error_code: CandidateError::UNREACHABLE,
            error_text,
        })
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

    pub(crate) fn sent(&mut self, id: RequestId) {
        if let Some(request) = self.requests.get_mut(id.0) {
            request.state = match request.state {
                RequestState::Mapped { .. } => RequestState::Refreshing,
                _ => RequestState::Asking,
            };
        }
    }

    /// The credentials for a request that is for an allocation.
    pub(crate) fn credentials(&self, id: RequestId) -> Option<TurnCredentials> {
        let request = self.requests.get(id.0).filter(|request| request.aim == Aim::Allocation)?;
        match &self.servers.get(usize::from(request.server.0))?.service {
            Service::Relay(_, credentials) => Some(credentials.clone()),
            Service::Binding => None,
        }
    }

    /// A TURN client has what it was asked for. `None` if nobody waits for it any more.
    pub(crate) fn allocated(&mut self, id: RequestId) -> Option<(ServerIndex, RelayRank)> {
        let request = self.requests.get_mut(id.0).filter(|request| matches!(request.state, RequestState::Asking))?;
        let Service::Relay(rank, _) = self.servers.get(usize::from(request.server.0))?.service else {
            return None;
        };
        request.state = RequestState::Allocated;
        Some((request.server, rank))
    }

    /// A TURN server has no room: it is asked how it sees us instead (RFC 8445 §5.1.1.2). Returned is the error to report.
    pub(crate) fn allocation_refused(&mut self, id: RequestId, code: u16, text: &str) -> Option<CandidateError> {
        let error = self.request_failed(id, Some((code, text)))?;
        let request = self.requests.get_mut(id.0)?;
        if self.stage == Stage::Gathering && self.asks_for_bindings {
            request.aim = Aim::Binding;
            request.state = RequestState::Queued;
        }
        Some(error)
    }

    /// Only relayed addresses are wanted.
    pub(crate) fn want_relays_only(&mut self) {
        self.asks_for_bindings = false;
    }

    /// A server has answered with an address.
    pub(crate) fn answered(&mut self, now: Timestamp, id: RequestId) -> Option<Answered> {
        let request = self.requests.get_mut(id.0)?;
        let answered = match request.state {
            RequestState::Asking => Answered::First { server: request.server },
            RequestState::Refreshing => Answered::Refreshed,
            _ => return None,
        };
        request.state = RequestState::Mapped { refresh_at: now + REFRESH_INTERVAL };
        Some(answered)
    }

    /// A request has failed: with an error of the server, or without any answer. Returned is the error to report, if there is one.
    pub(crate) fn request_failed(&mut self, id: RequestId, error: Option<(u16, &str)>) -> Option<CandidateError> {
        let request = self.requests.get_mut(id.0)?;
        let was_first = matches!(request.state, RequestState::Asking);
        request.state = RequestState::Over;
        if !was_first {
            // The candidate is there already; its mapping may be lost, which its pairs will notice.
            return None;
        }
        let (index, base) = (request.server, request.path.local);
        let report = |address: Option<SocketAddr>, error_code, text: &str| CandidateError {
            address: address.map(|address| address.ip()),
            port: address.map(|address| address.port()),
            url: Some(self.url(index).to_owned()),
            error_code,
            error_text: text.to_owned(),
        };
        if let Some((code, text)) = error {
            return Some(report(Some(base), code, text));
        }
        // W3C webrtc-pc §4.8.3: 701 comes if no host candidate can reach the server, which is known with the last request.
        let is_reached_or_open =
            |request: &Request| request.server == index && !matches!(request.state, RequestState::Over);
        let is_last = !self.requests.iter().any(is_reached_or_open);
        is_last.then(|| report(None, CandidateError::UNREACHABLE, "the server does not answer"))
    }

    pub(crate) fn url(&self, server: ServerIndex) -> &str {
        self.servers.get(usize::from(server.0)).map(|server| server.url.as_str()).unwrap_or_default()
    }

    /// A pair is nominated: RFC 8838 §13 forbids further candidates.
    pub(crate) fn conclude(&mut self) {
        if !matches!(self.stage, Stage::Concluded | Stage::Released) {
            self.stage = Stage::Concluded;
            for request in &mut self.requests {
                if matches!(request.state, RequestState::Queued | RequestState::Asking) {
                    request.state = RequestState::Over;
                }
            }
            self.close_sockets(|socket| matches!(socket, Socket::Opening { .. }));
        }
    }

    /// Gives up everything but the sockets for whose addresses `is_base` says yes (RFC 8445 §8.3.1).
    pub(crate) fn release(&mut self, is_base: impl Fn(SocketAddr) -> bool) {
        self.stage = Stage::Released;
        for request in &mut self.requests {
            request.state = RequestState::Over;
        }
        self.close_sockets(|socket| !matches!(socket, Socket::Open { address } if is_base(*address)));
    }

    /// Gives up everything.
    pub(crate) fn close(&mut self) {
        self.stage = Stage::Released;
        self.requests.clear();
        self.close_sockets(|_| true);
    }

    pub(crate) fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.socket_requests.pop_front()
    }

    /// Whether a socket is open at this address.
    pub(crate) fn socket_at(&self, address: SocketAddr) -> Option<SocketId> {
        let open = |socket: &Socket| matches!(socket, Socket::Open { address: at } if *at == address);
        self.sockets.iter().find(|(_, socket)| open(socket)).map(|(&id, _)| id)
    }

    /// The addresses of all open sockets.
    pub(crate) fn open_addresses(&self) -> Vec<SocketAddr> {
        let address = |socket: &Socket| match socket {
            Socket::Open { address } => Some(*address),
            Socket::Opening { .. } => None,
        };
        self.sockets.values().filter_map(address).collect()
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Completes gathering if nothing is left to answer.
    pub(crate) fn complete_if_idle(&mut self) {
        if self.stage == Stage::Gathering && !self.is_busy() {
            self.stage = Stage::Complete;
        }
    }

    /// Whether a socket, a name or a server is still to answer.
    fn is_busy(&self) -> bool {
        let opening = self.sockets.values().any(|socket| matches!(socket, Socket::Opening { .. }));
        let resolving = self.servers.iter().any(|server| matches!(server.addresses, ServerAddresses::Resolving(_)));
        let asking =
            self.requests.iter().any(|request| matches!(request.state, RequestState::Queued | RequestState::Asking));
        opening || resolving || asking
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

    /// Queues a request for every open socket and every server address that it can reach and has not been asked from there.
    fn plan_requests(&mut self) {
        if self.stage != Stage::Gathering {
            return;
        }
        for (&socket, state) in &self.sockets {
            let Socket::Open { address: local } = *state else {
                continue;
            };
            for (index, server) in (0..).map(ServerIndex).zip(&self.servers) {
                let ServerAddresses::Known(addresses) = &server.addresses else {
                    continue;
                };
                let aim = match server.service {
                    Service::Relay(..) => Aim::Allocation,
                    Service::Binding if self.asks_for_bindings => Aim::Binding,
                    Service::Binding => continue,
                };
                for &remote in addresses.iter().filter(|remote| can_ask(local, **remote)) {
                    let path = Path::udp(local, remote);
                    let is_planned =
                        |request: &Request| request.socket == socket && request.path == path && request.server == index;
                    if !self.requests.iter().any(is_planned) {
                        self.requests.push(Request { socket, path, server: index, aim, state: RequestState::Queued });
                    }
                }
            }
        }
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

impl Socket {
    /// Whether it is, or will be, at this address. The port counts only once it is known.
    fn is_at(&self, address: SocketAddr) -> bool {
        match self {
            Self::Opening { address: at, .. } => *at == address,
            Self::Open { address: at } if address.port() == 0 => at.ip() == address.ip(),
            Self::Open { address: at } => *at == address,
        }
    }
}

/// Whether a server can be asked from a socket: the same family, and not from an address that does not reach beyond the host or the link.
fn can_ask(local: SocketAddr, server: SocketAddr) -> bool {
    let (local, server) = (local.ip(), server.ip());
    local.is_ipv4() == server.is_ipv4()
        && (!local.is_loopback() || server.is_loopback())
        && is_link_local(local) == is_link_local(server)
}
