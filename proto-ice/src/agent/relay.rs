//! Relayed candidates: TURN clients, and what goes through them.
//!
//! A relayed address is a base like any other: a pair of it has the path from the relayed address to the peer. Only where datagrams enter and leave the agent is it known that
//! they travel between our socket and the server in an envelope. A pair exists once the server has given permission for the address of the peer.

use std::net::{IpAddr, SocketAddr};

use proto_machine::{Deadline, Machine, Path, SocketId, Timestamp, Transmit, TransmitBuffer};

use super::IceAgent;
use super::transmit::put;
use crate::candidate::is_usable_remote;
use crate::candidates::{ReflexiveSource, RelayedAddress, RemoteId, ServerReflexive};
use crate::config::IceTransportPolicy;
use crate::gather::{Allocated, Failure, RequestId, Stage};
use crate::turn::{
    RelayedFamilies, TurnAllocation, TurnClient, TurnConfig, TurnCredentials, TurnError, TurnEvent, TurnReport,
    is_for_client,
};
use crate::{IceTransportState, PairFailure, RefusedPeer};

/// All of gathering waits for the slowest server: like a STUN server, it is given up after 11.5 s.
const ALLOCATE_REQUESTS: u32 = 4;

/// A TURN client, and what it was made for.
#[derive(Debug)]
pub(super) struct Relay {
    request: RequestId,
    pub(super) client: TurnClient,
    /// What it has been allocated; kept when it is lost, to know what else is.
    relayed: Vec<SocketAddr>,
}

impl Relay {
    pub(super) fn is_for(&self, requests: &[RequestId]) -> bool {
        requests.contains(&self.request)
    }
}

/// The relay that a path begins at.
pub(super) fn relay_at(relays: &mut [Relay], local: SocketAddr) -> Option<&mut TurnClient> {
    relays.iter_mut().find(|relay| relay.relayed.contains(&local)).map(|relay| &mut relay.client)
}

impl IceAgent {
    /// What is known of each TURN server in use.
    pub fn turn_reports(&self) -> impl Iterator<Item = TurnReport> {
        self.relays.iter().map(|relay| relay.client.report())
    }

    pub(super) fn start_relay(&mut self, request: RequestId, path: Path, credentials: TurnCredentials) {
        let config = TurnConfig { families: RelayedFamilies::Both, requests: ALLOCATE_REQUESTS, credentials };
        let mut client = TurnClient::new(path, config, &self.rng.seed());
        // RFC 8445 §14.2: the first request is the transaction that has been paced; so is each that follows.
        client.hold_requests();
        client.allow_request();
        self.relays.push(Relay { request, client, relayed: Vec::new() });
    }

    /// When there is a request to a TURN server to start, which has to wait for its turn.
    pub(super) fn next_relay_request_at(&self) -> Option<Timestamp> {
        self.relays.iter().filter_map(|relay| relay.client.next_request_at()).min()
    }

    /// Lets one request to a TURN server start. Returned is where it goes.
    pub(super) fn allow_relay_request(&mut self, now: Timestamp) -> Option<Path> {
        let is_due = |relay: &&mut Relay| relay.client.next_request_at().is_some_and(|at| at <= now);
        let relay = self.relays.iter_mut().find(is_due)?;
        relay.client.allow_request();
        Some(relay.client.path())
    }

    /// Whether a TURN server has yet to say whether it lets through a candidate of the other agent.
    pub(super) fn awaits_permissions(&self, now: Timestamp) -> bool {
        let addresses = self.remote.candidates.signalled_ids().filter_map(|id| self.remote.candidates.get(id));
        let addresses: Vec<IpAddr> = addresses.map(|candidate| candidate.address.ip()).collect();
        let awaits = |relay: &Relay| addresses.iter().any(|address| relay.client.awaits_permission(now, *address));
        self.relays.iter().any(awaits)
    }

    /// Nothing is heard over the path for data: the server may have lost the allocation that it goes through, which it tells if asked.
    pub(super) fn verify_relay(&mut self, now: Timestamp) {
        if self.state == IceTransportState::Disconnected
            && let Some(path) = self.data_path
            && let Some(client) = relay_at(&mut self.relays, path.local)
        {
            client.verify(now);
        }
    }

    /// A server takes too long.
    pub(super) fn give_up_relay(&mut self, now: Timestamp, request: RequestId) {
        let failure = Failure::Other("the server takes too long".to_owned());
        self.dismiss_relays(now, |relay| relay.request == request);
        self.server_failed(now, request, &failure);
    }

    /// From now on each allocation has a socket of its own: for agents that share the others. To be called before [`gather`](Self::gather).
    pub fn separate_relay_sockets(&mut self) {
        self.gatherer.separate_relay_sockets();
    }

    /// Whether a socket that this agent asks for is for one allocation, and may not be shared with another agent (RFC 8656 §2.2: one allocation for each 5-tuple).
    #[must_use]
    pub fn is_relay_socket(&self, socket: SocketId) -> bool {
        self.gatherer.is_relay_socket(socket)
    }

    /// Whether an address is one of ours at a server.
    pub(super) fn is_relayed(&self, local: SocketAddr) -> bool {
        self.relays.iter().any(|relay| relay.relayed.contains(&local))
    }

    /// Takes the envelope off a message of a TURN server. `Err` gives back what is for somebody else; `Ok(None)` was for the client alone.
    pub(super) fn unwrap_relayed<'a>(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &'a mut [u8],
    ) -> Result<Option<(Path, &'a mut [u8])>, &'a mut [u8]> {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.client.path() == path) else {
            return Err(datagram);
        };
        if !is_for_client(datagram) {
            return Err(datagram);
        }
        let data = relay.client.handle_message(now, datagram);
        if self.take_relay_events(now) {
            self.settle(now);
        }
        Ok(data.and_then(|data| Some((Path::udp(data.relayed, data.peer), datagram.get_mut(data.payload)?))))
    }

    /// Writes a message of this agent's own for a path, in the envelope that the path needs.
    pub(super) fn put_on_path(
        &mut self,
        now: Timestamp,
        path: Path,
        message: &[u8],
        buffer: &mut TransmitBuffer,
    ) -> Option<Transmit> {
        match relay_at(&mut self.relays, path.local) {
            Some(client) => client.wrap(now, path.remote, buffer, |buffer| put(buffer, message)),
            None => put(buffer, message).map(|segments| Transmit { path, segments }),
        }
    }

    /// The next message to a TURN server. A relay that is given up sends its last one.
    pub(super) fn next_relay_message(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        while let Some(mut client) = self.departing_relays.pop() {
            if let Some(transmit) = client.poll_transmit(now, 1, buffer) {
                return Some(transmit);
            }
        }
        self.relays.iter_mut().find_map(|relay| relay.client.poll_transmit(now, 1, buffer))
    }

    pub(super) fn expire_relays(&mut self, now: Timestamp) {
        for relay in &mut self.relays {
            relay.client.handle_timeout(now);
        }
        self.take_relay_events(now);
    }

    pub(super) fn next_relay_deadline(&self) -> Option<Deadline> {
        let leaving = Deadline { at: Timestamp::ZERO, reason: "release of relays" };
        let leaving = Some(leaving).filter(|_| !self.departing_relays.is_empty());
        let deadlines = self.relays.iter().map(|relay| relay.client.poll_timeout());
        deadlines.fold(leaving, Deadline::earliest)
    }

    /// A remote candidate is known: the relays are to let it through, and those that do already are paired with it (RFC 8656 §9).
    pub(super) fn relay_to(&mut self, now: Timestamp, remote: RemoteId) {
        let Some(address) = self.remote.candidates.get(remote).map(|candidate| candidate.address.ip()) else {
            return;
        };
        let mut bases = Vec::new();
        for relay in &mut self.relays {
            if relay.client.is_permitted(now, address) {
                bases.extend(relay.relayed.iter().copied());
            } else {
                relay.client.permit([address]);
            }
        }
        for base in bases {
            self.pair(base, remote, now);
        }
    }

    /// Data is going to go over this path: a channel saves room.
    pub(super) fn bind_channel(&mut self, now: Timestamp) {
        if let Some(path) = self.data_path
            && let Some(client) = relay_at(&mut self.relays, path.local)
        {
            client.bind_channel(now, path.remote);
        }
    }

    /// Gives up the relays that are of no use any more.
    pub(super) fn dismiss_idle_relays(&mut self, now: Timestamp) {
        let is_over = self.state == IceTransportState::Failed;
        let is_late = matches!(self.gatherer.stage(), Stage::Concluded | Stage::Released);
        if is_over || is_late {
            self.dismiss_relays(now, |relay| is_over || relay.relayed.is_empty());
        }
    }

    /// Gives up the relays at whose addresses no pair is kept (RFC 8445 §8.3.1). Returned are the sockets of the others.
    pub(super) fn release_relays(&mut self, now: Timestamp, is_base: impl Fn(SocketAddr) -> bool) -> Vec<SocketAddr> {
        self.dismiss_relays(now, |relay| !relay.relayed.iter().any(|relayed| is_base(*relayed)));
        self.relays.iter().map(|relay| relay.client.path().local).collect()
    }

    pub(super) fn dismiss_relays(&mut self, now: Timestamp, is_unwanted: impl Fn(&Relay) -> bool) {
        let (unwanted, kept) = std::mem::take(&mut self.relays).into_iter().partition(is_unwanted);
        self.relays = kept;
        let unwanted: Vec<Relay> = unwanted;
        for Relay { mut client, .. } in unwanted {
            client.close(now);
            self.departing_relays.push(client);
        }
    }

    /// A socket is gone, and with it what it had at servers.
    pub(super) fn lose_relays(&mut self, socket: SocketAddr) -> Vec<SocketAddr> {
        let is_lost = |relay: &Relay| relay.client.path().local == socket;
        let lost = self.relays.iter().filter(|relay| is_lost(relay)).flat_map(|relay| relay.relayed.clone()).collect();
        self.relays.retain(|relay| !is_lost(relay));
        lost
    }

    /// Carries the events of the clients on. Returned is whether there were any.
    fn take_relay_events(&mut self, now: Timestamp) -> bool {
        let mut events = Vec::new();
        for relay in &mut self.relays {
            while let Some(event) = relay.client.poll_event() {
                events.push((relay.request, event));
            }
        }
        let has_events = !events.is_empty();
        for (request, event) in events {
            match event {
                TurnEvent::Allocated(allocation) => self.relay_allocated(now, request, allocation),
                TurnEvent::PermissionGranted(_) => self.pair_relayed(now, request),
                TurnEvent::Failed(error) => self.relay_failed(now, request, &error),
                TurnEvent::PermissionRefused { address, error } => self.peer_refused(request, address, error),
                // The others need nothing done.
                _ => {}
            }
        }
        self.relays.retain(|relay| !relay.client.has_ended());
        has_events
    }

    /// RFC 8656 §7.3: a relayed and a server-reflexive candidate.
    fn relay_allocated(&mut self, now: Timestamp, request: RequestId, allocation: TurnAllocation) {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.request == request) else {
            return;
        };
        let Path { local: base, remote: server, .. } = relay.client.path();
        let Some(allocated) = self.gatherer.allocated(now, request, &allocation.relayed) else {
            // Nobody waits for it any more: it is given up with the next `settle`.
            return;
        };
        relay.relayed.clone_from(&allocation.relayed);
        self.abandon_others(now, request);
        let Allocated { server: server_index, relay_rank, address_rank, is_candidate } = allocated;
        let url = self.gatherer.url(server_index);
        let hides_addresses = self.config.transport_policy == IceTransportPolicy::Relay;
        let is_reflexive = |mapped: &SocketAddr| is_usable_remote(*mapped) && is_candidate && !hides_addresses;
        if let Some(mapped) = allocation.mapped.filter(is_reflexive) {
            let source = ReflexiveSource::Server { address: server, index: server_index, url };
            let reflexive = ServerReflexive { address: mapped, base, source };
            if let Some(candidate) = self.local.candidates.add_server_reflexive(&reflexive) {
                self.outbox.candidate(candidate.clone());
            }
        }
        for address in allocation.relayed {
            // RFC 8839 §5.1: the related address is the mapped one, unless that is nobody's business.
            let related = allocation.mapped.filter(|_| !hides_addresses);
            let relayed = RelayedAddress { address, related, address_rank, server, relay_rank, url };
            if let Some(candidate) = self.local.candidates.add_relayed(&relayed) {
                self.outbox.candidate(candidate.clone());
            }
        }
        let remotes: Vec<_> = self.remote.candidates.signalled_ids().collect();
        for remote in remotes {
            self.relay_to(now, remote);
        }
    }

    /// The server lets another address through.
    fn pair_relayed(&mut self, now: Timestamp, request: RequestId) {
        let Some(relay) = self.relays.iter().find(|relay| relay.request == request) else {
            return;
        };
        let is_permitted = |remote: &RemoteId| {
            let candidate = self.remote.candidates.get(*remote);
            candidate.is_some_and(|candidate| relay.client.is_permitted(now, candidate.address.ip()))
        };
        let remotes: Vec<RemoteId> = self.remote.candidates.signalled_ids().filter(is_permitted).collect();
        for base in relay.relayed.clone() {
            for remote in &remotes {
                self.pair(base, *remote, now);
            }
        }
    }

    /// A peer that the server does not let through has no pair.
    fn peer_refused(&mut self, request: RequestId, address: IpAddr, error: TurnError) {
        if let Some(relay) = self.relays.iter().find(|relay| relay.request == request) {
            let server = relay.client.path().remote;
            self.note_refused_peer(RefusedPeer { server, address, error });
        }
    }

    fn relay_failed(&mut self, now: Timestamp, request: RequestId, error: &TurnError) {
        let Some(index) = self.relays.iter().position(|relay| relay.request == request) else {
            return;
        };
        let relay = self.relays.remove(index);
        for base in relay.relayed {
            self.fail_pairs_of(base, PairFailure::RelayLost);
        }
        if let Some(report) = self.gatherer.allocation_failed(now, request, error) {
            self.report_error(now, report);
        }
    }
}
