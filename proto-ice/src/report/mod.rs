//! The answer to "why did ICE not connect?": everything that was tried, what became of it, when, and a verdict in words.

mod verdict;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use proto_machine::{Path, Timestamp};

use crate::turn::{TurnError, TurnReport};
use crate::{
    CandidateError, CandidatePair, CandidatePairState, CandidatePairStatistics, DropCounters, IceGatheringState,
    IceRole, IceTransportPolicy, IceTransportState, LocalCandidate, RemoteCandidate,
};
pub(crate) use verdict::verdict;

/// How an agent stands, and how it has come to that.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct IceReport {
    /// What it all comes to, in words that a person can act on: "failed: UDP to every server timed out …".
    pub verdict: String,
    /// The state of the transport.
    pub state: IceTransportState,
    /// The state of gathering.
    pub gathering_state: IceGatheringState,
    /// The role.
    pub role: IceRole,
    /// Which candidates are allowed.
    pub transport_policy: IceTransportPolicy,
    /// The pair that data goes over.
    pub data_pair: Option<CandidatePair>,
    /// What is known of the other agent.
    pub remote: RemoteKnowledge,
    /// The candidates of this side, in order of discovery.
    pub local_candidates: Vec<LocalCandidate>,
    /// The candidates of the other side.
    pub remote_candidates: Vec<RemoteCandidate>,
    /// The servers of the configuration, in its order, STUN before TURN, and every attempt on each.
    pub servers: Vec<ServerReport>,
    /// The TURN servers in use.
    pub relays: Vec<TurnReport>,
    /// Peers that a TURN server does not relay to. At most 16 are remembered.
    pub refused_peers: Vec<RefusedPeer>,
    /// What was told with [`IceEvent::CandidateError`](crate::IceEvent::CandidateError), and when. At most 64 are remembered.
    pub errors: Vec<(Timestamp, CandidateError)>,
    /// Every pair that is remembered, with its checks.
    pub pairs: Vec<CandidatePairStatistics>,
    /// Datagrams that were ignored.
    pub drops: DropCounters,
    /// When what happened.
    pub times: IceTimes,
}

/// What is known of the other agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemoteKnowledge {
    /// Nothing: its parameters have not come.
    Nothing,
    /// Its parameters; more candidates may come.
    Parameters,
    /// Its parameters, and the end of its candidates.
    EndOfCandidates,
}

/// When what happened for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct IceTimes {
    /// Gathering began.
    pub gathering_started: Option<Timestamp>,
    /// Gathering was complete.
    pub gathering_completed: Option<Timestamp>,
    /// The parameters of the other agent came.
    pub remote_parameters: Option<Timestamp>,
    /// The first check went out.
    pub first_check: Option<Timestamp>,
    /// There was a path for data.
    pub connected: Option<Timestamp>,
    /// A pair was nominated.
    pub selected: Option<Timestamp>,
    /// All had failed.
    pub failed: Option<Timestamp>,
}

/// A server of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerReport {
    /// The URL it was configured with.
    pub url: String,
    /// What it was configured for.
    pub goal: AttemptGoal,
    /// What became of its name.
    pub lookup: LookupOutcome,
    /// No address of this host can reach it: the families differ, or there is none.
    pub is_out_of_reach: bool,
    /// One for each socket and address from and to which it was asked.
    pub attempts: Vec<ServerAttempt>,
}

/// What a name has led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookupOutcome {
    /// It is being looked up.
    Pending,
    /// Addresses; there was nothing to look up if the configuration named one.
    Known(Vec<SocketAddr>),
    /// Nothing, for this reason.
    Failed(String),
}

/// What a server is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttemptGoal {
    /// How it sees us: a server-reflexive candidate.
    Binding,
    /// An allocation: relayed candidates.
    Allocation,
}

/// Asking a server from one socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerAttempt {
    /// From our socket to the server.
    pub path: Path,
    /// What for.
    pub goal: AttemptGoal,
    /// When it was asked first.
    pub started_at: Option<Timestamp>,
    /// When the outcome was known.
    pub ended_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: AttemptOutcome,
}

/// What became of asking a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttemptOutcome {
    /// It is still to be asked, or to answer.
    Pending,
    /// It has told these addresses.
    Answered(Vec<SocketAddr>),
    /// It has not answered.
    TimedOut,
    /// It has refused, said nothing of use, or lost what it had given.
    Failed {
        /// Its error code, if it sent one.
        code: Option<u16>,
        /// Its words, or ours.
        text: String,
    },
    /// A pair was nominated, or the agent closed, before it had answered.
    Abandoned,
}

/// A peer that a TURN server does not relay to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedPeer {
    /// The server.
    pub server: SocketAddr,
    /// The peer.
    pub address: IpAddr,
    /// Why.
    pub error: TurnError,
}

impl IceTransportState {
    /// The W3C's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Checking => "checking",
            Self::Connected => "connected",
            Self::Completed => "completed",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("no answer yet"),
            Self::Answered(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
                f.write_str(&addresses.join(", "))
            }
            Self::TimedOut => f.write_str("no answer"),
            Self::Failed { code: Some(code), text } => write!(f, "{code} {text}"),
            Self::Failed { code: None, text } => f.write_str(text),
            Self::Abandoned => f.write_str("not needed any more"),
        }
    }
}

/// One fact a line, the verdict first.
impl fmt::Display for IceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        for candidate in &self.local_candidates {
            writeln!(f, "local {} {}", candidate.kind.name(), candidate.address)?;
        }
        for candidate in &self.remote_candidates {
            writeln!(f, "remote {} {}", candidate.kind.name(), candidate.address)?;
        }
        for server in &self.servers {
            if let LookupOutcome::Failed(reason) = &server.lookup {
                writeln!(f, "server {}: {reason}", server.url)?;
            }
            if server.is_out_of_reach {
                writeln!(f, "server {}: out of reach", server.url)?;
            }
            for ServerAttempt { path, outcome, started_at, ended_at, .. } in &server.attempts {
                write!(f, "server {} {} from {}: {outcome}", server.url, path.remote, path.local)?;
                if let (Some(started_at), Some(ended_at)) = (started_at, ended_at) {
                    write!(f, " after {} ms", (*ended_at - *started_at).as_millis())?;
                }
                writeln!(f)?;
            }
        }
        for RefusedPeer { server, address, error } in &self.refused_peers {
            writeln!(f, "relay {server} refuses {address}: {error}")?;
        }
        for pair in &self.pairs {
            let (local, remote, counters) = (&pair.local, &pair.remote, &pair.counters);
            write!(f, "pair {} {} to {} {}: ", local.kind.name(), local.address, remote.kind.name(), remote.address)?;
            match pair.state {
                CandidatePairState::Failed(failure) => write!(f, "failed, {failure}")?,
                state => f.write_str(state.name())?,
            }
            writeln!(
                f,
                ", {} checks sent, {} answered, {} received",
                counters.requests_sent, counters.responses_received, counters.requests_received
            )?;
        }
        Ok(())
    }
}
