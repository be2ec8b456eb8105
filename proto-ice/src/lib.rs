//! An ICE agent as a pure state machine: RFC 8445 (full implementation), trickle ICE (RFC 8838), consent freshness (RFC 7675) and the PAC timer (RFC 8863), on STUN (RFC 8489).
//!
//! The agent opens no socket, resolves no name and reads no clock. Interfaces are an input ([`IceAgent::gather`]); it asks for sockets and names with
//! [`SocketRequest`](proto_machine::SocketRequest)s, and is told what became of them. It serves one data stream with one component, which is all that WebRTC has.
//!
//! | what happens | call |
//! | --- | --- |
//! | signalling tells the other agent's parameters, candidates and their end | [`set_remote_parameters`](IceAgent::set_remote_parameters), [`add_remote_candidate`](IceAgent::add_remote_candidate), [`end_of_remote_candidates`](IceAgent::end_of_remote_candidates) |
//! | there is something to signal | [`local_parameters`](IceAgent::local_parameters), [`IceEvent::LocalCandidate`], [`IceEvent::EndOfCandidates`] |
//! | a datagram arrives | [`handle_datagram`](IceAgent::handle_datagram), then [`poll_held`](IceAgent::poll_held) until it is dry |
//! | there is payload to send | [`wrap`](IceAgent::wrap), as soon as [`can_send`](IceAgent::can_send) |
//! | a deadline is due | [`handle_timeout`](proto_machine::Machine::handle_timeout) |
//!
//! # Two agents
//!
//! ```
//! use proto_ice::{IceAgent, IceConfig, IceEvent, IceRole, InterfaceAddress, RemoteCandidate};
//! use proto_machine::{Action, Machine, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};
//!
//! let agent = |role, seed| IceAgent::new(IceConfig::default(), role, Seed::from_number(seed));
//! let mut agents = [agent(IceRole::Controlling, 1), agent(IceRole::Controlled, 2)];
//! let mut now = Timestamp::ZERO;
//! for side in [0, 1] {
//!     let parameters = agents[1 - side].local_parameters().clone();
//!     agents[side].set_remote_parameters(now, parameters)?;
//!     let address = [192, 0, 2, if side == 0 { 1 } else { 2 }].into();
//!     agents[side].gather(now, &[InterfaceAddress::new(address)]);
//! }
//! let mut buffer = TransmitBuffer::new(1200);
//! while agents.iter().any(|agent| agent.selected_pair().is_none()) {
//!     for side in [0, 1] {
//!         agents[side].handle_timeout(now);
//!         loop {
//!             match agents[side].poll_action(now, 1, &mut buffer) {
//!                 Action::Transmit(transmit) => {
//!                     // A network without delay. Whoever receives it sees the path from the other end.
//!                     let mut datagram = buffer.bytes().to_vec();
//!                     let payload = agents[1 - side].handle_datagram(now, transmit.path.reversed(), &mut datagram);
//!                     assert!(payload.is_none(), "only checks so far");
//!                 }
//!                 Action::Socket(SocketRequest::BindUdp { socket, mut local }) => {
//!                     local.set_port(5000);
//!                     agents[side].handle_socket_event(now, SocketEvent::Opened { socket, local });
//!                 }
//!                 Action::Event(IceEvent::LocalCandidate(local)) => {
//!                     let candidate = RemoteCandidate::from(local);
//!                     agents[1 - side].add_remote_candidate(now, candidate)?;
//!                 }
//!                 Action::Socket(_) | Action::Event(_) => {}
//!                 Action::Wait(_) => break,
//!             }
//!         }
//!     }
//!     let deadlines = agents.iter().filter_map(|agent| agent.poll_timeout());
//!     now = deadlines.map(|deadline| deadline.at).min().unwrap_or(now);
//! }
//! assert!(agents.iter().all(IceAgent::can_send));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Relays
//!
//! With [`IceConfig::turn_servers`] the agent has a [`turn`] client for each socket and server. A relayed address is a base like any other: the path of its pairs, in candidates and in
//! statistics, goes from the relayed address to the peer. What enters and leaves a socket goes between the socket and the server. No check is sent before the server has given permission; data
//! goes over a channel as soon as there is one. [`IceTransportPolicy::Relay`] tells no other candidate to anybody, and answers nothing that comes to a socket itself.
//!
//! A 5-tuple carries one allocation: two agents that share a socket cannot both have one on the same server. Whoever shares sockets among agents says so with
//! [`IceAgent::separate_relay_sockets`]: then each allocation has a socket of its own, which [`IceAgent::is_relay_socket`] tells from those that may be shared. If a server
//! says that the 5-tuple is in use all the same (437), another socket is tried, twice.
//!
//! # Servers with several addresses, hosts with public ones
//!
//! Of a server's name, up to four addresses of each family are asked from each socket: the next one when the last has failed, or has said nothing for a second. The first answer is enough, and ends
//! the others. [`IceConfig::one_to_one_nat`] names public addresses that are known to stand for addresses of this host.
//!
//! # Why it does not connect
//!
//! [`IceAgent::report`] lists candidates, servers, pairs, checks, errors and times, and says in words what stands in the way.
//!
//! # The order of checks
//!
//! Triggered checks go first (RFC 8445 §6.1.4.2), but after four of them an ordinary one that waits has its turn: two NATs can make each other's checks new without end. After 64 new
//! sources in a row of which none was of use, no more are checked. Of ordinary checks, every third goes to the pair of the highest priority, as the section says; the two in between go to the
//! pairs that are likely to work, in the order of their priorities: those with a public remote address, and those inside one network (a /24 of IPv4, a /64 of IPv6). Priorities stay
//! what both agents agree on, so nomination does not change; only what would have to wait for dozens of container bridges and tunnels does not. Nor does one address family wait for the other: after
//! two ordinary checks of the one, a pair of the other has its turn (RFC 8421 §4).
//!
//! A check is sent seven times, with timeouts that double from 500 ms. On a pair on which the other agent is heard they begin to do so after 1.5 s, if signalling has
//! named its address, so that it cannot be that of somebody else.
//! Payload on a pair whose check is open is followed by a new check at once, if it is no shorter than that: the other agent sends it only where its own check has succeeded.
//!
//! # What a stranger can do
//!
//! Nothing but make counters count ([`DropReason`]). Requests without valid integrity are met with silence, responses without it are as if they had not come. Payload is
//! taken from validated paths only, and sent only on paths that a check of our own has validated and whose consent is fresh. Every table has a bound ([`IceLimits`]).
//!
//! # Left out
//!
//! ICE-TCP, TURN over TCP and TLS, and mDNS names are not here yet. A restart is another generation of credentials: another agent. Of
//! RFC 8445 the lite role is missing on this side, and ICMP errors are no input, since they can be forged (§7.2.5.2.2). The budget of one transaction per
//! 5 ms over all agents of a process (§14.2) is the business of whoever owns them, through [`IceAgent::share_transaction_budget`]; one agent keeps to its own Ta.

mod agent;
mod candidate;
mod candidates;
mod checklist;
mod config;
mod consent;
mod early;
mod event;
mod gather;
mod held;
mod interface;
mod likelihood;
mod outbox;
mod pacer;
mod pair;
mod parameters;
mod report;
mod statistics;
mod stun;
mod timers;
mod transaction;
pub mod turn;
mod words;

pub use agent::{IceAgent, PathStanding};
pub use candidate::{AddRemoteCandidateError, CandidatePair, CandidateType, LocalCandidate, RemoteCandidate};
pub use config::{
    AddressMapping, AddressPolicy, IceConfig, IceLimits, IceTransportPolicy, MappedCandidates, OneToOneNat,
    RelayServer, StunServer, StunServerHost,
};
pub use event::{CandidateError, IceEvent, IceGatheringState, IceTransportState};
pub use parameters::{IceParameters, IcePassword, IceRole, SetRemoteParametersError};
pub use proto_machine::InterfaceAddress;
pub use report::{
    AttemptGoal, AttemptOutcome, IceReport, IceTimes, LookupOutcome, RefusedPeer, RemoteKnowledge, ServerAttempt,
    ServerReport,
};
pub use statistics::{
    CandidatePairState, CandidatePairStatistics, DropCounters, DropReason, IceStatistics, PairCounters, PairFailure,
};
pub use stun::addressed_username_fragment;
