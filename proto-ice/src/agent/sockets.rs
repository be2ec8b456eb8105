//! Gathering, seen from the agent: sockets become host candidates, answers of servers become server-reflexive ones.

use std::net::SocketAddr;

use proto_machine::{SocketEvent, Timestamp};

use super::IceAgent;
use crate::candidate::is_usable_remote;
use crate::candidates::{ReflexiveSource, ServerReflexive};
use crate::gather::{Answered, OpenedSocket, RequestId};
use crate::interface::usable_addresses;
use crate::transaction::Transaction;
use crate::{IceTransportPolicy, IceTransportState, InterfaceAddress, MappedCandidates, PairFailure};

impl IceAgent {
    /// Asks for a socket at every usable address, in order of preference, and for the addresses of the STUN servers.
    ///
    /// It may be called again with more addresses while candidates are gathered. Once gathering is complete it does nothing: after the end of candidates
    /// was signalled, no more may follow (RFC 8838 §13).
    pub fn gather(&mut self, now: Timestamp, interfaces: &[InterfaceAddress]) {
        if matches!(self.state, IceTransportState::Closed | IceTransportState::Failed) {
            return;
        }
        self.times.gathering_started.get_or_insert(now);
        self.gatherer.gather(now, &usable_addresses(interfaces, self.config.address_policy));
        self.settle(now);
    }

    pub(super) fn take_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        if self.state == IceTransportState::Closed {
            return;
        }
        match event {
            SocketEvent::Opened { socket, local } => {
                if let Some(opened) = self.gatherer.opened(socket, local) {
                    self.add_host_candidate(now, opened);
                }
            }
            SocketEvent::Failed { socket, error } => {
                if let Some((was_open_at, error)) = self.gatherer.failed(now, socket, &error) {
                    self.report_error(now, error);
                    if let Some(base) = was_open_at {
                        self.lose_socket(base);
                    }
                }
            }
            SocketEvent::Resolved { lookup, result } => {
                if let Some(error) = self.gatherer.resolved(lookup, &result) {
                    self.report_error(now, error);
                }
            }
            // Events of sockets that this agent does not ask for.
            _ => {}
        }
        self.settle(now);
    }

    /// A server has told how it sees us.
    pub(super) fn take_server_answer(
        &mut self,
        now: Timestamp,
        id: RequestId,
        transaction: &Transaction,
        mapped: SocketAddr,
    ) {
        let (base, server) = (transaction.path.local, transaction.path.remote);
        let Some(Answered::First { server: server_index }) = self.gatherer.answered(now, id, mapped) else {
            return;
        };
        self.abandon_others(now, id);
        if !is_usable_remote(mapped) || mapped.is_ipv4() != base.is_ipv4() {
            return;
        }
        let url = self.gatherer.url(server_index);
        let source = ReflexiveSource::Server { address: server, index: server_index, url };
        let candidate = ServerReflexive { address: mapped, base, source };
        if let Some(candidate) = self.local.candidates.add_server_reflexive(&candidate) {
            // No pair of its own: its base is paired already (RFC 8445 §6.1.2.4).
            self.outbox.candidate(candidate.clone());
        }
    }

    /// One address of a server has answered: nothing more is expected of the others.
    pub(super) fn abandon_others(&mut self, now: Timestamp, answered: RequestId) {
        let abandoned = self.gatherer.abandon_others(now, answered);
        self.transactions.forget_requests(&abandoned);
        self.dismiss_relays(now, |relay| relay.is_for(&abandoned));
    }

    fn add_host_candidate(&mut self, now: Timestamp, opened: OpenedSocket) {
        let nat = &self.config.one_to_one_nat;
        let base = opened.address;
        let public = nat.public(base.ip());
        let (as_host, as_reflexive) = match nat.candidates {
            MappedCandidates::Host => (public, None),
            MappedCandidates::ServerReflexive => (None, public),
        };
        let candidate = self.local.candidates.add_host(base, opened.rank, as_host);
        if self.config.transport_policy == IceTransportPolicy::Relay {
            // The socket serves to reach servers, and nothing else.
            return;
        }
        if let Some(candidate) = candidate {
            self.outbox.candidate(candidate.clone());
        }
        if let Some(public) = as_reflexive {
            let address = SocketAddr::new(public, base.port());
            let candidate = ServerReflexive { address, base, source: ReflexiveSource::Configuration };
            if let Some(candidate) = self.local.candidates.add_server_reflexive(&candidate) {
                self.outbox.candidate(candidate.clone());
            }
        }
        let remotes: Vec<_> = self.remote.candidates.signalled_ids().collect();
        for remote in remotes {
            self.pair(base, remote, now);
        }
    }

    fn lose_socket(&mut self, base: SocketAddr) {
        for base in self.lose_relays(base).into_iter().chain([base]) {
            self.fail_pairs_of(base, PairFailure::SocketLost);
        }
    }

    pub(super) fn fail_pairs_of(&mut self, base: SocketAddr, failure: PairFailure) {
        let paths: Vec<_> = self.checklist.iter().map(|(&path, _)| path).filter(|path| path.local == base).collect();
        for path in paths {
            self.fail_pair(path, failure);
        }
    }
}
