//! Sockets: those that are candidates, and those that only lead to a TURN server.

use std::net::SocketAddr;

use proto_machine::Timestamp;

use crate::candidates::{AddressRank, ServerIndex};

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stage: SocketStage,
    pub(super) purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SocketStage {
    /// At this address, whose port is the system's choice.
    Opening(SocketAddr),
    Open(SocketAddr),
}

/// What a socket is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// It is a host candidate, and leads to servers.
    Candidate(AddressRank),
    /// It leads to one address of a TURN server, for one allocation.
    Relay(RelaySocket),
}

/// A socket that carries one allocation: no other goes from there to the same server (RFC 8656 §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RelaySocket {
    /// That of the candidate that it was opened beside.
    pub(super) rank: AddressRank,
    pub(super) server: ServerIndex,
    pub(super) remote: SocketAddr,
    /// How many sockets were tried before.
    pub(super) earlier_attempts: u8,
    /// When the server was asked from the first of them.
    pub(super) started_at: Option<Timestamp>,
}

impl Socket {
    /// Where it is, or will be but for the port.
    pub(super) fn address(&self) -> SocketAddr {
        match self.stage {
            SocketStage::Opening(address) | SocketStage::Open(address) => address,
        }
    }

    pub(super) fn open_address(&self) -> Option<SocketAddr> {
        match self.stage {
            SocketStage::Opening(_) => None,
            SocketStage::Open(address) => Some(address),
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, SocketStage::Opening(_))
    }

    pub(super) fn rank(&self) -> AddressRank {
        match self.purpose {
            Purpose::Candidate(rank) | Purpose::Relay(RelaySocket { rank, .. }) => rank,
        }
    }

    pub(super) fn is_candidate(&self) -> bool {
        matches!(self.purpose, Purpose::Candidate(_))
    }

    pub(super) fn relay(&self) -> Option<RelaySocket> {
        match self.purpose {
            Purpose::Candidate(_) => None,
            Purpose::Relay(relay) => Some(relay),
        }
    }

    /// Whether it is a candidate at this address, or will be. The port counts only once it is known.
    pub(super) fn is_candidate_at(&self, address: SocketAddr) -> bool {
        let is_there = match self.stage {
            SocketStage::Opening(at) => at == address,
            SocketStage::Open(at) if address.port() == 0 => at.ip() == address.ip(),
            SocketStage::Open(at) => at == address,
        };
        self.is_candidate() && is_there
    }
}
