//! The client: one allocation on one server from one socket.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use proto_machine::{Deadline, Machine, Path, Rng, Seed, Timestamp, Transmit, TransmitBuffer};
use stun_types::message::{MessageClass, TransactionId};

use super::channels::Channels;
use super::credentials::{Session, TurnCredentials};
use super::event::{TurnDropCounters, TurnDropReason, TurnError, TurnEvent, TurnFailure, TurnReport};
use super::framing::{ChannelData, Framing};
use super::message::{IPV6, MessageWriter, TurnMessage, TurnMethod, attribute, family_of};
use super::permissions::Permissions;
use super::transactions::{REQUESTS, Request, Transaction, Transactions};

/// How a client behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnConfig {
    /// Username and password.
    pub credentials: TurnCredentials,
    /// Which relayed addresses to ask for.
    pub families: RelayedFamilies,
    /// How often a request for an allocation is sent over UDP before it fails, 1 to 7. 7 by default, which takes 39.5 s (RFC 8489 §6.2.1); 4 take 11.5 s. Once there is an
    /// allocation, it is worth 7.
    pub requests: u32,
}

impl TurnConfig {
    /// IPv4, and as much patience as RFC 8489 asks for.
    #[must_use]
    pub fn new(credentials: TurnCredentials) -> Self {
        Self { credentials, families: RelayedFamilies::Ipv4, requests: REQUESTS }
    }
}

/// Which relayed addresses to ask for (RFC 8656 §7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayedFamilies {
    /// IPv4: no attribute says so, which every server understands.
    Ipv4,
    /// IPv6 (REQUESTED-ADDRESS-FAMILY).
    Ipv6,
    /// One of each, or what of it the server can give (ADDITIONAL-ADDRESS-FAMILY).
    Both,
}

/// A TURN client (RFC 8656) for one 5-tuple.
///
/// See the [front page](super) for how to drive it.
#[derive(Debug)]
pub struct TurnClient {
    pub(super) path: Path,
    pub(super) framing: Framing,
    pub(super) config: TurnConfig,
    rng: Rng,
    pub(super) state: State,
    pub(super) session: Option<Session>,
    /// Whether the server has proved that it knows the password.
    pub(super) is_proven: bool,
    pub(super) transactions: Transactions,
    pub(super) events: VecDeque<TurnEvent>,
    pub(super) last_sent_at: Timestamp,
    pace: Pace,
    /// What cannot be written into the caller's buffer at once is written here first.
    pub(super) scratch: TransmitBuffer,
    pub(super) redirected_by: Option<SocketAddr>,
    pub(super) software: Option<String>,
    pub(super) stale_nonces: u64,
    pub(super) packets_sent: u64,
    packets_received: u64,
    drops: TurnDropCounters,
}

#[derive(Debug)]
pub(super) enum State {
    /// Awaiting the response to Allocate.
    Allocating,
    /// There is an allocation.
    Allocated(Allocation),
    /// Awaiting the response to the Refresh that gives the allocation back.
    Releasing,
    /// Nothing is left to do.
    Ended,
}

/// Whether somebody above has a say in when requests start (RFC 8445 §14.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// Nobody.
    Free,
    /// Somebody who has not allowed another request yet.
    Held,
    /// Somebody who has allowed one more.
    One,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) relayed: Vec<SocketAddr>,
    pub(super) permissions: Permissions,
    pub(super) channels: Channels,
    pub(super) expires_at: Timestamp,
    /// When to refresh it; `None` while that is under way.
    pub(super) refresh_at: Option<Timestamp>,
    /// When the server was last asked for it.
    pub(super) refreshed_at: Timestamp,
    /// Why the latest refresh has failed.
    pub(super) last_refusal: Option<TurnError>,
}

/// Data of a peer, as it lies in the message that brought it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayedData {
    /// Who has sent it.
    pub peer: SocketAddr,
    /// To which of our relayed addresses.
    pub relayed: SocketAddr,
    /// Where it lies in the message.
    pub payload: Range<usize>,
}

/// RFC 8656 §3.2: the default, which servers give if they do not say.
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// No lifetime counts for more: RFC 8656 §7.2 recommends no more than an hour, and an allocation that the server has forgotten is to be noticed.
const MAXIMUM_LIFETIME: Duration = Duration::from_secs(3_600);

/// RFC 8656 §8: "roughly 1 minute before it expires". Time enough for a whole transaction, which takes 39.5 s at the most.
const REFRESH_LEAD: Duration = Duration::from_secs(60);

/// Refreshes are no closer together, whatever lifetime a server gives.
pub(super) const MINIMUM_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// The most times in a row that a 438 is answered with a new request.
pub(super) const MAXIMUM_STALE_NONCES: u32 = 3;

/// How long nothing is sent before an indication keeps the mappings of NATs alive (RFC 8656 §9, RFC 8445 §11).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

impl TurnClient {
    /// A client that asks for an allocation at once. `path` goes from the socket to the server; TCP stands for every byte stream, TLS included. Transaction ids follow from
    /// `seed`, which nobody else may have.
    #[must_use]
    pub fn new(path: Path, config: TurnConfig, seed: &Seed) -> Self {
        let framing = Framing::of(path.protocol);
        let mut client = Self {
            path,
            framing,
            transactions: Transactions::new(framing, config.requests),
            config,
            rng: seed.child("turn client").into_rng(),
            state: State::Allocating,
            session: None,
            is_proven: false,
            events: VecDeque::new(),
            last_sent_at: Timestamp::ZERO,
            pace: Pace::Free,
            scratch: TransmitBuffer::new(0),
            redirected_by: None,
            software: None,
            stale_nonces: 0,
            packets_sent: 0,
            packets_received: 0,
            drops: TurnDropCounters::default(),
        };
        client.request(Request::Allocate, 0);
        client
    }

    /// From our socket to the server. Datagrams from elsewhere are not for this client.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// The relayed addresses; empty while there is no allocation.
    #[must_use]
    pub fn relayed_addresses(&self) -> &[SocketAddr] {
        match &self.state {
            State::Allocated(allocation) => &allocation.relayed,
            _ => &[],
        }
    }

    /// Whether the client has said its last word, and its socket is not needed any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Asks the server to let packets of these addresses through, and keeps asking until [`forget`](Self::forget). Addresses that are named before the next
    /// `poll_transmit` share requests. Best done as soon as a remote candidate is known.
    ///
    /// Left out are addresses of a family that is not relayed, and those beyond the bound of 128. Before there is an allocation nothing is remembered.
    pub fn permit(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        if let State::Allocated(allocation) = &mut self.state {
            for address in addresses {
                if allocation.relayed_for(address).is_some() {
                    allocation.permissions.want(address);
                }
            }
        }
    }

    /// Lets the permission of an address and the channels to it run out.
    pub fn forget(&mut self, now: Timestamp, address: IpAddr) {
        if let State::Allocated(allocation) = &mut self.state {
            allocation.permissions.forget(address);
            allocation.channels.release_address(now, address);
        }
    }

    /// Whether the server lets packets of this address through, and relays ours to it.
    #[must_use]
    pub fn is_permitted(&self, now: Timestamp, address: IpAddr) -> bool {
        matches!(&self.state, State::Allocated(allocation) if allocation.permissions.is_granted(now, address))
    }

    /// Asks for a channel to a peer, which saves 32 bytes or more a datagram, and a copy. It installs a permission as well. `false` if there is none to be had: at most 64
    /// peers have one, those of the last quarter of an hour included, and the server may have refused one.
    pub fn bind_channel(&mut self, now: Timestamp, peer: SocketAddr) -> bool {
        match &mut self.state {
            State::Allocated(allocation) if allocation.relayed_for(peer.ip()).is_some() => {
                allocation.channels.want(now, peer) && allocation.permissions.await_binding(peer.ip())
            }
            _ => false,
        }
    }

    /// Takes in a message of the server: a datagram, or over a stream a frame of [`FrameReader`](super::FrameReader). Data of a peer is returned to be handed up. It is
    /// nothing that can be trusted: whoever can forge the server's address can forge it.
    #[must_use = "the data of a peer is to be handed up"]
    pub fn handle_message(&mut self, now: Timestamp, message: &[u8]) -> Option<RelayedData> {
        let data = match message.first() {
            Some(0x40..=0x4f) => self.take_channel_data(now, message),
            _ => self.take_message(now, message),
        };
        match data {
            Ok(data) => {
                self.packets_received += u64::from(data.is_some());
                data
            }
            Err(reason) => {
                self.drops.count(reason);
                None
            }
        }
    }

    /// Gives the allocation back. What is left to send is one request, which is repeated until it is answered; whoever cannot wait may leave after the first.
    pub fn close(&mut self, now: Timestamp) {
        let _ = now;
        let has_allocation = match &self.state {
            // A request with credentials may have been granted, and its response be on its way.
            State::Allocating => self.session.is_some(),
            State::Allocated(_) => true,
            State::Releasing | State::Ended => return,
        };
        self.pace = Pace::Free;
        self.transactions.clear();
        self.events.clear();
        if has_allocation {
            self.state = State::Releasing;
            self.request(Request::Release, 0);
        } else {
            self.end(TurnEvent::Released);
        }
    }

    /// From now on, every new request has to be allowed; retransmissions, keepalives and data do not.
    pub(crate) fn hold_requests(&mut self) {
        self.pace = Pace::Held;
    }

    /// One more request may start.
    pub(crate) fn allow_request(&mut self) {
        if self.pace == Pace::Held {
            self.pace = Pace::One;
        }
    }

    /// When there is a request to start; [`Timestamp::ZERO`] if at once.
    pub(crate) fn next_request_at(&self) -> Option<Timestamp> {
        if self.transactions.has_unsent() {
            return Some(Timestamp::ZERO);
        }
        match &self.state {
            State::Allocated(allocation) if self.transactions.has_room() => allocation.next_request_at(),
            _ => None,
        }
    }

    /// Whether the server has yet to say whether it lets packets of this address through.
    pub(crate) fn awaits_permission(&self, now: Timestamp, address: IpAddr) -> bool {
        match &self.state {
            State::Allocated(allocation) => allocation.permissions.is_awaited(now, address),
            _ => false,
        }
    }

    /// Asks whether the allocation is still there, unless that was just asked: nothing comes through it any more.
    pub(crate) fn verify(&mut self, now: Timestamp) {
        if let State::Allocated(allocation) = &mut self.state
            && let Some(at) = &mut allocation.refresh_at
            && allocation.refreshed_at + MINIMUM_REFRESH_INTERVAL <= now
        {
            *at = now.min(*at);
        }
    }

    /// What is known of the server.
    #[must_use]
    pub fn report(&self) -> TurnReport {
        TurnReport {
            server: self.path.remote,
            redirected_by: self.redirected_by,
            software: self.software.clone(),
            realm: self.session.as_ref().map(|session| session.realm().to_owned()),
            algorithm: self.session.as_ref().map(Session::algorithm_name),
            stale_nonces: self.stale_nonces,
            packets_sent: self.packets_sent,
            packets_received: self.packets_received,
            drops: self.drops.clone(),
        }
    }

    fn take_channel_data(&mut self, now: Timestamp, message: &[u8]) -> Result<Option<RelayedData>, TurnDropReason> {
        let ChannelData { channel, payload } = ChannelData::parse(message).ok_or(TurnDropReason::Malformed)?;
        let State::Allocated(allocation) = &self.state else {
            return Err(TurnDropReason::NoAllocation);
        };
        let peer = allocation.channels.peer_of(channel).ok_or(TurnDropReason::UnknownChannel)?;
        let relayed = allocation.relayed_for(peer.ip()).ok_or(TurnDropReason::UnknownChannel)?;
        if !allocation.permissions.is_expected(now, peer.ip()) {
            return Err(TurnDropReason::NoPermission);
        }
        Ok(Some(RelayedData { peer, relayed, payload }))
    }

    fn take_message(&mut self, now: Timestamp, bytes: &[u8]) -> Result<Option<RelayedData>, TurnDropReason> {
        let message = TurnMessage::parse(bytes).ok_or(TurnDropReason::Malformed)?;
        match (message.class, message.method) {
            (MessageClass::Indication, TurnMethod::Data) => self.take_data(now, &message).map(Some),
            (MessageClass::Success | MessageClass::Error, _) => self.take_response(now, &message).map(|()| None),
            _ => Err(TurnDropReason::Unexpected),
        }
    }

    /// RFC 8656 §11.4.
    fn take_data(&self, now: Timestamp, message: &TurnMessage<'_>) -> Result<RelayedData, TurnDropReason> {
        let State::Allocated(allocation) = &self.state else {
            return Err(TurnDropReason::NoAllocation);
        };
        if message.has_unknown_attributes() {
            return Err(TurnDropReason::UnknownAttributes);
        }
        let peer = message.address(attribute::XOR_PEER_ADDRESS).ok_or(TurnDropReason::Malformed)?;
        if !allocation.permissions.is_expected(now, peer.ip()) {
            return Err(TurnDropReason::NoPermission);
        }
        if message.value(attribute::ICMP).is_some() {
            return Err(TurnDropReason::Icmp);
        }
        let relayed = allocation.relayed_for(peer.ip()).ok_or(TurnDropReason::NoPermission)?;
        let payload = message.data().ok_or(TurnDropReason::Malformed)?;
        Ok(RelayedData { peer, relayed, payload })
    }

    /// Acts on every deadline at or before `now`.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(transaction) = self.transactions.take_timed_out(now) {
            self.unanswered(now, transaction);
        }
        if let State::Allocated(allocation) = &mut self.state
            && allocation.expires_at <= now
        {
            let text = "the allocation was not refreshed in time";
            let reason = allocation.last_refusal.take();
            let error = reason.unwrap_or_else(|| TurnError::new(TurnFailure::AllocationLost, text));
            self.fail(TurnError { failure: TurnFailure::AllocationLost, ..error });
        }
    }

    /// The next request that the state of the allocation asks for.
    fn next_request(&mut self, now: Timestamp) -> Option<Request> {
        let State::Allocated(allocation) = &mut self.state else {
            return None;
        };
        if !self.transactions.has_room() {
            return None;
        }
        if allocation.refresh_at.is_some_and(|at| at <= now) {
            allocation.refresh_at = None;
            allocation.refreshed_at = now;
            return Some(Request::Refresh);
        }
        if let Some((channel, peer)) = allocation.channels.take_due(now) {
            return Some(Request::Bind { channel, peer });
        }
        let addresses = allocation.permissions.take_due(now);
        (!addresses.is_empty()).then_some(Request::Permit(addresses))
    }

    /// Makes a request with the current credentials, to be sent by the next `poll_transmit`.
    pub(super) fn request(&mut self, request: Request, stale_nonces: u32) {
        let id = self.transaction_id();
        let nonce = self.session.as_ref().map(|session| session.nonce().to_owned());
        match self.write(id, &request) {
            Some(bytes) => self.transactions.insert(id, Transaction::new(request, bytes, nonce, stale_nonces)),
            None => self.fail(TurnError::new(TurnFailure::ChallengeRefused, "the challenge is too long")),
        }
    }

    fn write(&self, id: TransactionId, request: &Request) -> Option<Vec<u8>> {
        let method = match request {
            Request::Allocate => TurnMethod::Allocate,
            Request::Refresh | Request::Release => TurnMethod::Refresh,
            Request::Permit(_) => TurnMethod::CreatePermission,
            Request::Bind { .. } => TurnMethod::ChannelBind,
        };
        let mut writer = MessageWriter::new(MessageClass::Request, method, id);
        match request {
            Request::Allocate => {
                // The protocol number of UDP (RFC 8656 §18.8).
                writer.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
                match self.config.families {
                    RelayedFamilies::Ipv4 => {}
                    RelayedFamilies::Ipv6 => writer.family(attribute::REQUESTED_ADDRESS_FAMILY, IPV6),
                    RelayedFamilies::Both => writer.family(attribute::ADDITIONAL_ADDRESS_FAMILY, IPV6),
                }
            }
            Request::Refresh => {}
            Request::Release => writer.number(attribute::LIFETIME, 0),
            Request::Permit(addresses) => {
                for address in addresses {
                    writer.address(attribute::XOR_PEER_ADDRESS, SocketAddr::new(*address, 0));
                }
            }
            Request::Bind { channel, peer } => {
                writer.number(attribute::CHANNEL_NUMBER, u32::from(*channel) << 16);
                writer.address(attribute::XOR_PEER_ADDRESS, *peer);
            }
        }
        if let Some(session) = &self.session {
            session.authenticate(&mut writer);
        }
        writer.finish()
    }

    /// 96 bits of the client's own generator (RFC 8489 §5).
    pub(super) fn transaction_id(&mut self) -> TransactionId {
        let [high, low] = [self.rng.next_u64(), self.rng.next_u64()];
        ((u128::from(high) << 64) | u128::from(low)).into()
    }

    pub(super) fn fail(&mut self, error: TurnError) {
        self.end(TurnEvent::Failed(error));
    }

    pub(super) fn end(&mut self, event: TurnEvent) {
        self.state = State::Ended;
        self.transactions.clear();
        self.session = None;
        self.events.push_back(event);
    }

    fn keepalive_at(&self) -> Option<Timestamp> {
        let is_wanted = matches!(self.state, State::Allocated(_)) && self.framing == Framing::Datagrams;
        is_wanted.then(|| self.last_sent_at + KEEPALIVE_INTERVAL)
    }

    fn next_bytes(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        let may_start = self.pace != Pace::Held;
        if may_start && let Some(request) = self.next_request(now) {
            self.request(request, 0);
        }
        if let Some(due) = self.transactions.next_due(now, may_start) {
            if due.is_first && self.pace == Pace::One {
                self.pace = Pace::Held;
            }
            return Some(due.bytes.to_vec());
        }
        self.keepalive_at().filter(|at| *at <= now)?;
        // RFC 8656 §9 leaves the means to the client: a Binding indication, as in RFC 8445 §11.
        let id = self.transaction_id();
        MessageWriter::new(MessageClass::Indication, TurnMethod::Binding, id).finish()
    }
}

impl Allocation {
    /// The relayed address of the family of a peer.
    pub(super) fn relayed_for(&self, peer: IpAddr) -> Option<SocketAddr> {
        self.relayed.iter().copied().find(|relayed| family_of(relayed.ip()) == family_of(peer))
    }

    /// Takes in a lifetime that the server has given in answer to what was sent at `sent_at`. Returned is what counts of it.
    pub(super) fn lasts(&mut self, now: Timestamp, sent_at: Timestamp, lifetime: Duration) -> Duration {
        let lifetime = lifetime.min(MAXIMUM_LIFETIME);
        self.expires_at = sent_at + lifetime;
        let lead = REFRESH_LEAD.min(lifetime / 2);
        self.refresh_at = Some((sent_at + (lifetime - lead)).max(now + MINIMUM_REFRESH_INTERVAL));
        lifetime
    }

    fn next_request_at(&self) -> Option<Timestamp> {
        let due = [self.refresh_at, self.permissions.next_deadline(), self.channels.next_deadline()];
        due.into_iter().flatten().min()
    }
}

impl RelayedFamilies {
    /// Whether these addresses are what was asked for, or part of it.
    pub(super) fn accept(self, relayed: &[SocketAddr]) -> bool {
        let is_usable = |address: &SocketAddr| crate::candidate::is_usable_remote(*address);
        let counts = |is_ipv4: bool| relayed.iter().filter(|address| address.is_ipv4() == is_ipv4).count();
        let fits = match self {
            Self::Ipv4 => (counts(true), counts(false)) == (1, 0),
            Self::Ipv6 => (counts(true), counts(false)) == (0, 1),
            Self::Both => matches!((counts(true), counts(false)), (1, 0 | 1) | (0, 1)),
        };
        fits && relayed.iter().all(is_usable)
    }
}

impl Machine for TurnClient {
    type Input<'a> = &'a [u8];
    type Event = TurnEvent;
    type Transmit = Transmit;

    /// Takes in a message. Data of a peer is dropped: whoever has a use for it calls [`TurnClient::handle_message`] instead.
    fn handle_input(&mut self, now: Timestamp, message: &[u8]) {
        let _ = self.handle_message(now, message);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.expire(now);
    }

    /// Writes one message of the client's own. Data goes through [`TurnClient::wrap`].
    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        // Requests differ in length, and do not share a batch.
        let _ = max_segments;
        loop {
            let bytes = self.next_bytes(now)?;
            self.last_sent_at = now;
            // One that does not fit is as good as lost on the way.
            if buffer.push(&bytes) {
                return Some(Transmit { path: self.path, segments: buffer.segments()? });
            }
        }
    }

    fn poll_event(&mut self) -> Option<TurnEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let at = |reason| move |at| Deadline { at, reason };
        let expiry = match &self.state {
            State::Allocated(allocation) => Some(allocation.expires_at),
            _ => None,
        };
        let deadlines = [
            self.transactions.next_deadline().map(at("TURN transaction")),
            self.next_request_at().filter(|_| self.pace != Pace::Held).map(at("TURN request")),
            self.keepalive_at().map(at("TURN keepalive")),
            expiry.map(at("allocation expiry")),
        ];
        deadlines.into_iter().fold(None, Deadline::earliest)
    }
}
