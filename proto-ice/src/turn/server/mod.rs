//! A small TURN and STUN server as a pure state machine (feature `test-server`): for tests and simulations, with faults to order.
//!
//! It listens at the addresses of its configuration, and relays at addresses that it makes up: whoever drives it hands it every datagram for either, and sends what it
//! writes from whichever of its addresses the path names. Clients may also come over byte streams, cut into messages by a [`FrameReader`](super::FrameReader). It believes what it
//! is told about time. Relayed addresses are gone when their allocation expires; permissions and channels that have expired let nothing through.

mod authenticate;
mod relay;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use proto_machine::{
    Deadline, Machine, Path, Received, Rng, Seed, Timestamp, Transmit, TransmitBuffer, TransportProtocol,
};
use stun_types::message::MessageClass;

use super::TurnCredentials;
use super::framing::ChannelData;
use super::message::{MessageWriter, TurnMessage, TurnMethod, attribute};
use authenticate::{Authenticated, Nonces};
use relay::Allocation;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct TurnServerConfig {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Where it relays, at most one of each family.
    pub relay_addresses: Vec<IpAddr>,
    /// The ports that it relays at.
    pub ports: RangeInclusive<u16>,
    /// Its realm.
    pub realm: String,
    /// Who may use it.
    pub users: Vec<TurnCredentials>,
    /// The password algorithms that it offers, in its order of preference. Empty: a server that does not know RFC 8489, and its nonces announce nothing.
    pub algorithms: Vec<PasswordAlgorithm>,
    /// Whether it wants USERHASH in place of USERNAME.
    pub anonymous_usernames: bool,
    /// How long an allocation lasts by default.
    pub lifetime: Duration,
    /// How many allocations there may be; 486 beyond.
    pub allocations: usize,
    /// What it says it is.
    pub software: String,
}

impl TurnServerConfig {
    /// A server at one address that relays at the same IP address, with one user, that knows both algorithms.
    #[must_use]
    pub fn new(address: SocketAddr, user: TurnCredentials) -> Self {
        Self { addresses: vec![address], relay_addresses: vec![address.ip()], users: vec![user], ..Self::default() }
    }
}

impl Default for TurnServerConfig {
    /// A server that listens nowhere and knows nobody, but both algorithms.
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            relay_addresses: Vec::new(),
            ports: 49_152..=65_535,
            realm: "example.org".to_owned(),
            users: Vec::new(),
            algorithms: vec![PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5],
            anonymous_usernames: false,
            lifetime: Duration::from_secs(600),
            allocations: 1_024,
            software: "test server".to_owned(),
        }
    }
}

/// How a key follows from a password (RFC 8489 §18.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordAlgorithm {
    /// MD5 of username, realm and password.
    Md5,
    /// SHA-256 of the same.
    Sha256,
}

/// What a server does wrong, or refuses, on purpose. Nothing by default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TurnServerFaults {
    /// Nothing is answered and nothing relayed.
    pub silent: bool,
    /// So many of the next messages of clients are lost.
    pub lose_next: u32,
    /// Requests of this kind are refused with this code, authentically.
    pub refuse: Option<(TurnRequest, u16)>,
    /// Requests without credentials are refused with this code in place of 401.
    pub refuse_strangers: Option<u16>,
    /// No permission is given for these addresses: 403.
    pub forbidden_peers: Vec<IpAddr>,
    /// Allocate is answered with 300 and this address.
    pub redirect_to: Option<SocketAddr>,
    /// A nonce is stale after so many uses.
    pub nonce_uses: Option<u32>,
    /// The new nonce of a 438 is the old one.
    pub repeats_nonce: bool,
    /// A 438 names another realm.
    pub changes_realm: bool,
    /// Responses carry integrity that is wrong.
    pub wrong_integrity: bool,
    /// Responses carry no integrity.
    pub no_integrity: bool,
    /// The list of algorithms is removed on the way, as by somebody who bids down.
    pub hides_algorithms: bool,
    /// The lifetime that is told, in seconds; the true one is another.
    pub claimed_lifetime: Option<u32>,
    /// The relayed address that is told.
    pub claimed_relayed: Option<SocketAddr>,
}

/// Kinds of requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TurnRequest {
    /// Binding (RFC 8489 §2).
    Binding,
    /// Allocate (RFC 8656 §7).
    Allocate,
    /// Refresh (RFC 8656 §8).
    Refresh,
    /// CreatePermission (RFC 8656 §10).
    CreatePermission,
    /// ChannelBind (RFC 8656 §12).
    ChannelBind,
}

impl TurnRequest {
    fn of(method: TurnMethod) -> Option<Self> {
        match method {
            TurnMethod::Binding => Some(Self::Binding),
            TurnMethod::Allocate => Some(Self::Allocate),
            TurnMethod::Refresh => Some(Self::Refresh),
            TurnMethod::CreatePermission => Some(Self::CreatePermission),
            TurnMethod::ChannelBind => Some(Self::ChannelBind),
            TurnMethod::Send | TurnMethod::Data => None,
        }
    }
}

/// What a server has seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TurnServerStatistics {
    /// Requests by kind, with and without credentials.
    pub requests: BTreeMap<TurnRequest, u64>,
    /// The most addresses in one CreatePermission request.
    pub most_addresses: usize,
    /// Datagrams that clients sent to peers in Send indications.
    pub sent_by_indication: u64,
    /// Datagrams that clients sent to peers over channels.
    pub sent_by_channel: u64,
    /// Datagrams of peers that clients were given.
    pub received: u64,
    /// Datagrams in either direction that no permission or channel let through.
    pub blocked: u64,
}

/// A TURN server.
#[derive(Debug)]
pub struct TurnServer {
    config: TurnServerConfig,
    /// What it does wrong from now on.
    pub faults: TurnServerFaults,
    rng: Rng,
    nonces: Nonces,
    /// By the path to the client, as the server sees it.
    allocations: BTreeMap<Path, Allocation>,
    next_port: u16,
    output: VecDeque<(Path, Vec<u8>)>,
    statistics: TurnServerStatistics,
}

/// Datagrams that wait to be sent; more are lost, as in a network.
const MAXIMUM_OUTPUT: usize = 1_024;

impl TurnServer {
    /// A server without allocations.
    #[must_use]
    pub fn new(config: TurnServerConfig, seed: &Seed) -> Self {
        Self {
            next_port: *config.ports.start(),
            config,
            faults: TurnServerFaults::default(),
            rng: seed.child("turn server").into_rng(),
            nonces: Nonces::default(),
            allocations: BTreeMap::new(),
            output: VecDeque::new(),
            statistics: TurnServerStatistics::default(),
        }
    }

    /// What it has seen.
    #[must_use]
    pub fn statistics(&self) -> &TurnServerStatistics {
        &self.statistics
    }

    /// Where it relays at the moment, as of the last datagram or timeout.
    pub fn relayed_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.allocations.values().flat_map(Allocation::relayed)
    }

    /// Whether the server lets packets of this address through to whoever is relayed at `relayed`.
    #[must_use]
    pub fn has_permission(&self, now: Timestamp, relayed: SocketAddr, peer: IpAddr) -> bool {
        let owner = self.allocations.values().find(|allocation| allocation.relayed().any(|own| own == relayed));
        owner.is_some_and(|allocation| allocation.is_permitted(now, peer))
    }

    /// The channels of whoever is relayed at `relayed`.
    #[must_use]
    pub fn channels(&self, now: Timestamp, relayed: SocketAddr) -> Vec<(u16, SocketAddr)> {
        let owner = self.allocations.values().find(|allocation| allocation.relayed().any(|own| own == relayed));
        owner.map(|allocation| allocation.channels(now)).unwrap_or_default()
    }

    /// Forgets all allocations and nonces, as after a crash.
    pub fn restart(&mut self) {
        self.allocations.clear();
        self.nonces = Nonces::default();
        self.output.clear();
    }

    /// The stream of a client has ended, and its 5-tuple with it.
    pub fn disconnect(&mut self, path: Path) {
        self.allocations.remove(&path);
        self.output.retain(|(to, _)| *to != path);
    }

    fn take(&mut self, now: Timestamp, path: Path, bytes: &[u8]) {
        self.allocations.retain(|_, allocation| allocation.is_alive(now));
        if self.faults.silent {
            return;
        }
        // It relays over UDP alone: whoever comes over a stream is a client.
        if path.protocol == TransportProtocol::Udp && !self.config.addresses.contains(&path.local) {
            self.take_from_peer(now, path, bytes);
            return;
        }
        if self.faults.lose_next > 0 {
            self.faults.lose_next -= 1;
            return;
        }
        if let Some(data) = ChannelData::parse(bytes) {
            self.take_channel_data(now, path, &data, bytes);
        } else if let Some(message) = TurnMessage::parse(bytes) {
            match message.class {
                MessageClass::Request => self.take_request(now, path, &message),
                MessageClass::Indication if message.method == TurnMethod::Send => {
                    self.take_indication(now, path, &message, bytes);
                }
                _ => {}
            }
        }
    }

    fn take_request(&mut self, now: Timestamp, path: Path, message: &TurnMessage<'_>) {
        let Some(kind) = TurnRequest::of(message.method) else {
            return;
        };
        *self.statistics.requests.entry(kind).or_default() += 1;
        if kind == TurnRequest::Binding {
            let mut writer = MessageWriter::new(MessageClass::Success, message.method, message.transaction);
            writer.address(attribute::XOR_MAPPED_ADDRESS, path.remote);
            self.push(path, writer.finish());
            return;
        }
        let authenticated = match self.authenticate(path, message) {
            Ok(authenticated) => authenticated,
            Err(challenge) => {
                self.push(path, challenge);
                return;
            }
        };
        let refusal = self.faults.refuse.filter(|(refused, _)| *refused == kind).map(|(_, code)| code);
        let result = match (refusal, kind) {
            (Some(code), _) => Err(code),
            (None, TurnRequest::Allocate) => self.allocate(now, path, message),
            (None, TurnRequest::Refresh) => self.refresh(now, path, message),
            (None, TurnRequest::CreatePermission) => self.create_permission(now, path, message),
            (None, _) => self.bind_channel(now, path, message),
        };
        let class = if result.is_ok() { MessageClass::Success } else { MessageClass::Error };
        let mut writer = MessageWriter::new(class, message.method, message.transaction);
        match result {
            Ok(attributes) => {
                for attribute in attributes {
                    attribute.write(&mut writer);
                }
                writer.attribute(attribute::SOFTWARE, self.config.software.as_bytes());
            }
            Err(code) => self.write_error(&mut writer, code),
        }
        self.protect(&mut writer, &authenticated);
        self.push(path, writer.finish());
    }

    fn write_error(&self, writer: &mut MessageWriter, code: u16) {
        writer.attribute(attribute::ERROR_CODE, &error_value(code));
        if let Some(alternate) = self.faults.redirect_to.filter(|_| code == 300) {
            writer.address(attribute::ALTERNATE_SERVER, alternate);
        }
    }

    fn protect(&self, writer: &mut MessageWriter, authenticated: &Authenticated) {
        if self.faults.wrong_integrity {
            writer.integrity(&authenticated.wrong_key);
        } else if !self.faults.no_integrity {
            writer.integrity(&authenticated.key);
        }
    }

    fn push(&mut self, path: Path, message: Option<Vec<u8>>) {
        if let Some(message) = message
            && self.output.len() < MAXIMUM_OUTPUT
        {
            self.output.push_back((path, message));
        }
    }
}

/// The value of ERROR-CODE (RFC 8489 §14.8).
fn error_value(code: u16) -> Vec<u8> {
    let reason = stun_types::attribute::ErrorCode::default_reason_for_code(code);
    let [class, number] = [code / 100, code % 100].map(|part| u8::try_from(part).unwrap_or_default());
    [&[0, 0, class, number], reason.as_bytes()].concat()
}

impl Machine for TurnServer {
    type Input<'a> = Received<'a>;
    type Event = ();
    type Transmit = Transmit;

    fn handle_input(&mut self, now: Timestamp, input: Received<'_>) {
        self.take(now, input.path, input.datagram);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.allocations.retain(|_, allocation| allocation.is_alive(now));
    }

    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        let _ = (now, max_segments);
        loop {
            let (path, bytes) = self.output.pop_front()?;
            if buffer.push(&bytes) {
                return Some(Transmit { path, segments: buffer.segments()? });
            }
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let expiries = self.allocations.values().map(Allocation::expires_at);
        expiries.min().map(|at| Deadline { at, reason: "allocation expiry" })
    }
}
