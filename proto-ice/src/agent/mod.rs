//! The agent: it joins gathering, checks, nomination and consent.
//!
//! Everything that happens ends in [`IceAgent::settle`], which selects, nominates and derives the state from what is there.

mod data;
mod nominate;
mod relay;
mod report;
mod requests;
mod responses;
mod signalling;
mod sockets;
mod state;
mod timeout;
mod transmit;

use std::collections::VecDeque;
use std::time::Duration;

use proto_machine::{
    Deadline, Machine, Path, Received, Rng, Seed, SocketEvent, SocketRequest, TimerTable, Timestamp, Transmit,
    TransmitBuffer,
};

use crate::candidates::{LocalCandidates, RemoteCandidates};
use crate::checklist::Checklist;
use crate::early::EarlyChecks;
use crate::gather::{Gatherer, Stage};
use crate::held::Held;
use crate::outbox::{Current, Outbox};
use crate::pacer::Pacer;
use crate::pair::{NominationOrder, Pair};
use crate::stun::StunKey;
use crate::timers::Timer;
use crate::transaction::Transactions;
use crate::turn::TurnClient;
use crate::{
    CandidateError, CandidatePair, CandidatePairStatistics, CandidateType, DropCounters, IceConfig, IceEvent,
    IceGatheringState, IceParameters, IceRole, IceStatistics, IceTimes, IceTransportPolicy, IceTransportState,
    LocalCandidate, RefusedPeer, RemoteCandidate,
};
pub use data::PathStanding;
use nominate::Nomination;
use relay::Relay;
use transmit::Response;

/// An ICE agent for one data stream with one component: a full implementation of RFC 8445, with trickle (RFC 8838) and consent freshness (RFC 7675).
///
/// One agent is one generation of credentials. See the [front page](crate) for how to drive it.
#[derive(Debug)]
pub struct IceAgent {
    config: IceConfig,
    local: LocalSide,
    remote: RemoteSide,
    role: IceRole,
    /// Decides role conflicts (RFC 8445 §7.1.3, §16.1).
    tie_breaker: u64,
    gatherer: Gatherer,
    checklist: Checklist,
    transactions: Transactions,
    pacer: Pacer,
    nomination: Nomination,
    latest_nomination: NominationOrder,
    /// The nominated pair that is used.
    selected: Option<Path>,
    /// Where data goes: the selected pair, or for want of one the best valid pair (RFC 8445 §12.1).
    data_path: Option<Path>,
    /// TURN clients, one for each socket and server.
    relays: Vec<Relay>,
    /// Those that have only their last message to send.
    departing_relays: Vec<TurnClient>,
    held: Held,
    responses: VecDeque<Response>,
    timers: TimerTable<Timer>,
    state: IceTransportState,
    outbox: Outbox,
    rng: Rng,
    drops: DropCounters,
    selected_pair_changes: u64,
    stale_signalling: u64,
    times: IceTimes,
    /// What was told of sockets and servers.
    errors: Vec<(Timestamp, CandidateError)>,
    refused_peers: Vec<RefusedPeer>,
}

/// What this agent is known by.
#[derive(Debug)]
struct LocalSide {
    parameters: IceParameters,
    key: StunKey,
    candidates: LocalCandidates,
}

/// What is known of the other agent.
#[derive(Debug)]
struct RemoteSide {
    session: RemoteSession,
    candidates: RemoteCandidates,
}

/// Whether the parameters of the other agent are there.
#[derive(Debug)]
enum RemoteSession {
    /// Checks are answered, but none can be sent.
    Awaited(EarlyChecks),
    Known(RemoteIdentity),
}

/// The generation of the other agent.
#[derive(Debug)]
struct RemoteIdentity {
    parameters: IceParameters,
    key: StunKey,
    end_of_candidates: EndOfCandidates,
}

/// Whether more remote candidates are to be expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EndOfCandidates {
    Awaited,
    /// The indication did not come in time (RFC 8863 §5).
    Assumed,
    Signalled,
}

impl IceAgent {
    /// An agent whose credentials, tie-breaker and transaction ids follow from `seed`, which no other agent may have.
    #[must_use]
    pub fn new(config: IceConfig, role: IceRole, seed: Seed) -> Self {
        let config = config.within_bounds();
        let limits = &config.limits;
        let mut rng = seed.child("ice agent").into_rng();
        let parameters = IceParameters::generate(&mut seed.child("ice credentials").into_rng(), config.pacing);
        let key = StunKey::new(parameters.password.as_str());
        let mut gatherer = Gatherer::new(&config.stun_servers, &config.turn_servers, limits.interface_addresses);
        if config.transport_policy == IceTransportPolicy::Relay {
            gatherer.want_relays_only();
        }
        let candidates = LocalCandidates::new(parameters.username_fragment.clone(), limits);
        let session = RemoteSession::Awaited(EarlyChecks::new(limits.early_checks));
        Self {
            local: LocalSide { parameters, key, candidates },
            remote: RemoteSide { session, candidates: RemoteCandidates::new(limits) },
            role,
            tie_breaker: rng.next_u64(),
            gatherer,
            checklist: Checklist::new(limits.pairs),
            transactions: Transactions::new(limits.transactions),
            pacer: Pacer::new(),
            nomination: Nomination::Pending,
            latest_nomination: NominationOrder::default(),
            selected: None,
            data_path: None,
            relays: Vec::new(),
            departing_relays: Vec::new(),
            held: Held::new(limits.held_datagrams),
            responses: VecDeque::new(),
            timers: TimerTable::default(),
            state: IceTransportState::New,
            outbox: Outbox::new(role),
            rng,
            drops: DropCounters::default(),
            selected_pair_changes: 0,
            stale_signalling: 0,
            times: IceTimes::default(),
            errors: Vec::new(),
            refused_peers: Vec::new(),
            config,
        }
    }

    /// What to tell the other agent: fragment and password, for signalling.
    #[must_use]
    pub fn local_parameters(&self) -> &IceParameters {
        &self.local.parameters
    }

    /// The current role: the one that was set, unless a conflict was repaired since (RFC 8445 §7.3.1.1).
    #[must_use]
    pub fn role(&self) -> IceRole {
        self.role
    }

    /// The state of the transport.
    #[must_use]
    pub fn state(&self) -> IceTransportState {
        self.state
    }

    /// The state of gathering.
    #[must_use]
    pub fn gathering_state(&self) -> IceGatheringState {
        match self.gatherer.stage() {
            Stage::New => IceGatheringState::New,
            Stage::Gathering => IceGatheringState::Gathering,
            Stage::Complete | Stage::Concluded | Stage::Released => IceGatheringState::Complete,
        }
    }

    /// The nominated pair that data goes over. There may be a path for data before (see [`can_send`](Self::can_send)).
    #[must_use]
    pub fn selected_pair(&self) -> Option<CandidatePair> {
        candidate_pair(&self.checklist, &self.local, &self.remote, self.selected?)
    }

    /// The pair that data goes over: the selected one, or the best valid one as long as none is nominated (RFC 8445 §12.1).
    #[must_use]
    pub fn data_pair(&self) -> Option<CandidatePair> {
        candidate_pair(&self.checklist, &self.local, &self.remote, self.data_path?)
    }

    /// The latest round-trip time of the path for data, from checks and consent checks.
    #[must_use]
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.checklist.get(&self.data_path?)?.counters.current_round_trip_time
    }

    /// The local candidates so far, peer-reflexive ones included, in order of discovery. With [`IceTransportPolicy::Relay`] only the relayed ones.
    pub fn local_candidates(&self) -> impl Iterator<Item = &LocalCandidate> {
        let is_open = self.config.transport_policy == IceTransportPolicy::All;
        self.local.candidates.iter().filter(move |candidate| is_open || candidate.kind == CandidateType::Relayed)
    }

    /// The remote candidates so far, in order of discovery. A peer-reflexive one that is out of use may have given its place to another.
    pub fn remote_candidates(&self) -> impl Iterator<Item = &RemoteCandidate> {
        self.remote.candidates.iter()
    }

    /// Counters, and the report of every pair: the answer to "why did ICE not connect?".
    #[must_use]
    pub fn statistics(&self) -> IceStatistics {
        let pairs = self.checklist.iter().filter_map(|(&path, pair)| {
            let CandidatePair { local, remote, path } =
                candidate_pair(&self.checklist, &self.local, &self.remote, path)?;
            Some(CandidatePairStatistics {
                local,
                remote,
                path,
                state: pair.public_state(),
                nominated: pair.is_nominated(),
                priority: pair.priority.value(),
                counters: pair.counters,
            })
        });
        IceStatistics {
            pairs: pairs.collect(),
            selected_pair_changes: self.selected_pair_changes,
            drops: self.drops.clone(),
            stale_signalling: self.stale_signalling,
        }
    }

    /// Ends everything at once: sockets are closed, and nothing is reported any more, nor sent but one message to each TURN server, which gives its allocation back. Queues and pairs are dropped, and so are the parameters of the other agent, its
    /// password included. The agent's own parameters and the candidates of both stay readable.
    pub fn close(&mut self, now: Timestamp) {
        self.state = IceTransportState::Closed;
        self.dismiss_relays(now, |_| true);
        self.remote.session = RemoteSession::Awaited(EarlyChecks::new(0));
        self.outbox.clear();
        self.gatherer.close(now);
        self.checklist.clear();
        self.transactions.clear();
        self.held.clear();
        self.responses.clear();
        self.timers.clear_all();
        self.selected = None;
        self.data_path = None;
    }

    /// Brings everything that follows from the rest up to date. Called at the end of whatever may have changed something.
    fn settle(&mut self, now: Timestamp) {
        if self.state == IceTransportState::Closed {
            return;
        }
        self.select(now);
        self.bind_channel(now);
        self.nominate(now);
        for error in self.gatherer.complete_if_idle() {
            self.report_error(now, error);
        }
        self.derive_state(now);
        self.verify_relay(now);
        self.dismiss_idle_relays(now);
        self.note_times(now);
    }

    fn valid_pairs(&self) -> impl Iterator<Item = (Path, &Pair)> {
        self.checklist.iter().filter(|(_, pair)| pair.validation().is_some()).map(|(&path, pair)| (path, pair))
    }
}

impl Machine for IceAgent {
    type Input<'a> = Received<'a>;
    type Event = IceEvent;
    type Transmit = Transmit;

    /// Takes in a datagram. Payload is dropped: whoever has a use for it calls [`IceAgent::handle_datagram`] instead.
    fn handle_input(&mut self, now: Timestamp, input: Received<'_>) {
        let _ = self.handle_datagram(now, input.path, input.datagram);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.take_socket_event(now, event);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.state != IceTransportState::Closed {
            self.expire(now);
            self.expire_relays(now);
            self.settle(now);
        }
    }

    /// Writes one message of the agent's own. Data goes through [`IceAgent::wrap`].
    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        // Messages of different paths do not share a batch.
        let _ = max_segments;
        self.transmit(now, buffer)
    }

    /// Sockets stay open until their last message to a TURN server has been handed out.
    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        if !self.departing_relays.is_empty() {
            return None;
        }
        self.gatherer.poll_socket_request()
    }

    fn poll_event(&mut self) -> Option<IceEvent> {
        if self.state == IceTransportState::Closed {
            return None;
        }
        let current =
            Current { gathering: self.gathering_state(), role: self.role, selected: self.selected, state: self.state };
        let Self { outbox, checklist, local, remote, .. } = self;
        outbox.poll(current, |path| candidate_pair(checklist, local, remote, path))
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        self.next_deadline()
    }
}

/// The candidates of a pair; the local one is what the other agent sees, once that is known (RFC 8445 §7.2.5.3.2).
fn candidate_pair(checklist: &Checklist, local: &LocalSide, remote: &RemoteSide, path: Path) -> Option<CandidatePair> {
    let pair = checklist.get(&path)?;
    let seen_as = pair.validation().map_or(pair.local, |validation| validation.local);
    let local = local.candidates.get(seen_as)?.clone();
    let remote = remote.candidates.get(pair.remote)?.clone();
    Some(CandidatePair { local, remote, path })
}
