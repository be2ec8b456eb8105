//! A server of many peers as a node.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use peer_core::{
    Configuration, Endpoint, EndpointConfig, EndpointEvent, Peer, PeerConnectionState, PeerEvent, PeerId, SdpType,
    SessionDescriptionInit,
};
use proto_machine::{
    Action, Deadline, InterfaceAddress, Machine, Received, Seed, SocketEvent, Timestamp, TransmitBuffer,
};

use crate::tick::Tick;
use crate::{Node, NodeAction, NodeId, Signal, simulated_configuration};

/// What an application does with its endpoint.
pub trait Server: 'static {
    /// A peer has reported something.
    fn handle_event(&mut self, now: Timestamp, endpoint: &mut Endpoint, peer: PeerId, event: &PeerEvent) {
        let _ = (now, endpoint, peer, event);
    }

    /// It is time for the next tick, if [`EndpointNode::with_tick`] has set one.
    fn handle_tick(&mut self, now: Timestamp, endpoint: &mut Endpoint) {
        let _ = (now, endpoint);
    }
}

/// An [`Endpoint`] that answers every offer with a new peer, and its [`Server`].
#[derive(Debug)]
pub struct EndpointNode<A> {
    endpoint: Endpoint,
    configuration: Configuration,
    application: A,
    peers: BTreeMap<NodeId, PeerId>,
    tick: Tick,
    outbox: VecDeque<(NodeId, Signal)>,
    records: VecDeque<String>,
}

impl<A: Server> EndpointNode<A> {
    /// A server whose peers all have this configuration.
    #[must_use]
    pub fn new(endpoint: Endpoint, configuration: Configuration, application: A) -> Self {
        Self {
            endpoint,
            configuration,
            application,
            peers: BTreeMap::new(),
            tick: Tick::Never,
            outbox: VecDeque::new(),
            records: VecDeque::new(),
        }
    }

    /// The same with an endpoint and a configuration that are made of the seed.
    ///
    /// # Panics
    ///
    /// As [`simulated_configuration`].
    #[must_use]
    pub fn simulated(seed: &Seed, application: A) -> Self {
        let endpoint = Endpoint::new(EndpointConfig::default(), seed.child("endpoint"));
        Self::new(endpoint, simulated_configuration(seed), application)
    }

    /// Calls [`Server::handle_tick`] at the beginning of the world and in these intervals after it. Of zero there are none.
    #[must_use]
    pub fn with_tick(self, interval: Duration) -> Self {
        Self { tick: Tick::new(interval), ..self }
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The endpoint, for commands.
    pub fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &A {
        &self.application
    }

    /// The peer that answered a node's last offer.
    #[must_use]
    pub fn peer_of(&self, node: NodeId) -> Option<PeerId> {
        self.peers.get(&node).copied()
    }

    /// A first offer makes a peer; a later one goes to the same peer as long as it lives and has not failed.
    fn answer(&mut self, now: Timestamp, from: NodeId, offer: SessionDescriptionInit) -> Result<(), String> {
        let has_failed = |peer: &Peer| peer.connection_state() == PeerConnectionState::Failed;
        let living = self.peer_of(from).filter(|id| self.endpoint.peer(*id).is_some_and(|peer| !has_failed(peer)));
        let id = match living {
            Some(id) => id,
            None => {
                self.endpoint.add_peer(now, self.configuration.clone()).map_err(|error| format!("no peer: {error}"))?
            }
        };
        self.peers.insert(from, id);
        let Some(peer) = self.endpoint.peer_mut(id) else { return Ok(()) };
        peer.set_remote_description(now, offer).map_err(|error| format!("cannot set remote description: {error}"))?;
        let answer = peer.create_answer().map_err(|error| format!("cannot answer: {error}"))?;
        peer.set_local_description(now, Some(answer.clone()))
            .map_err(|error| format!("cannot set local description: {error}"))?;
        self.outbox.push_back((from, Signal::Description(answer)));
        Ok(())
    }

    fn handle_description(&mut self, now: Timestamp, from: NodeId, description: SessionDescriptionInit) {
        if description.sdp_type == SdpType::Offer
            && let Err(text) = self.answer(now, from, description)
        {
            self.records.push_back(text);
        }
    }

    fn handle_event(&mut self, now: Timestamp, event: &EndpointEvent) {
        match event {
            EndpointEvent::Peer { peer, event } => {
                if let PeerEvent::IceCandidate(Some(candidate)) = event
                    && let Some((&node, _)) = self.peers.iter().find(|(_, id)| *id == peer)
                {
                    self.outbox.push_back((node, Signal::Candidate(candidate.to_init())));
                }
                self.application.handle_event(now, &mut self.endpoint, *peer, event);
                self.records.push_back(format!("{peer} {event}"));
            }
            other => self.records.push_back(format!("{other:?}")),
        }
    }
}

impl<A: Server> Node<Signal> for EndpointNode<A> {
    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        self.endpoint.handle_input(now, received);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.endpoint.handle_socket_event(now, event);
    }

    fn handle_interfaces(&mut self, _: Timestamp, interfaces: &[InterfaceAddress]) {
        self.endpoint.set_interfaces(interfaces);
    }

    fn handle_signal(&mut self, now: Timestamp, from: NodeId, signal: Signal) {
        match signal {
            Signal::Description(description) => self.handle_description(now, from, description),
            Signal::Candidate(candidate) => {
                let peer = self.peer_of(from).and_then(|id| self.endpoint.peer_mut(id));
                if let Some(Err(error)) = peer.map(|peer| peer.add_ice_candidate(now, candidate)) {
                    self.records.push_back(format!("cannot add candidate: {error}"));
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.tick.handle_timeout(now) {
            self.application.handle_tick(now, &mut self.endpoint);
        }
        self.endpoint.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<Signal> {
        loop {
            if let Some((to, signal)) = self.outbox.pop_front() {
                return NodeAction::Signal { to, signal };
            }
            if let Some(text) = self.records.pop_front() {
                return NodeAction::Record(text);
            }
            match self.endpoint.poll_action(now, TransmitBuffer::MAX_SEGMENTS, buffer) {
                Action::Transmit(transmit) => return NodeAction::Transmit(transmit),
                Action::Socket(request) => return NodeAction::Socket(request),
                Action::Event(event) => self.handle_event(now, &event),
                Action::Wait(deadline) => {
                    return NodeAction::Wait(Deadline::earliest(deadline, self.tick.deadline()));
                }
            }
        }
    }
}
