//! A peer and its application as a node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use peer_core::{
    Certificate, Configuration, Entropy, IceCandidateInit, Peer, PeerEvent, SdpType, SessionDescriptionInit,
};
use proto_machine::{
    Action, Deadline, InterfaceAddress, Machine, Received, Seed, SocketEvent, Timestamp, TransmitBuffer,
};

use crate::tick::Tick;
use crate::{Node, NodeAction, NodeId};

/// A configuration for peers in a world: randomness and a certificate that follow from the seed alone.
///
/// # Panics
///
/// If no certificate can be made, which does not depend on the seed.
#[must_use]
#[expect(clippy::expect_used, reason = "a certificate of a seed and a constant: it is possible always or never")]
pub fn simulated_configuration(seed: &Seed) -> Configuration {
    let certificate = Certificate::generate(seed.child("certificate"), WALL_TIME, Entropy::Simulated);
    let mut configuration = Configuration::new(Arc::new(certificate.expect("a certificate can be made")));
    configuration.secure_transport.entropy = Entropy::Simulated;
    configuration
}

/// Of the day on which certificates of simulated peers are made, since 1970: January 15th, 2027.
const WALL_TIME: Duration = Duration::from_secs(1_800_000_000);

/// What two peers tell each other over signalling.
#[derive(Clone, Debug)]
pub enum Signal {
    /// An offer or an answer.
    Description(SessionDescriptionInit),
    /// A candidate, or the end of them.
    Candidate(IceCandidateInit),
}

/// What an application does with its peer.
pub trait Application: 'static {
    /// The world has begun; an offerer creates its channels here.
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        let _ = (now, peer);
    }

    /// The peer has reported something.
    fn handle_event(&mut self, now: Timestamp, peer: &mut Peer, event: &PeerEvent) {
        let _ = (now, peer, event);
    }

    /// It is time for the next tick, if [`PeerNode::with_tick`] has set one.
    fn handle_tick(&mut self, now: Timestamp, peer: &mut Peer) {
        let _ = (now, peer);
    }
}

/// An application that does nothing: the world gives all commands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle;

impl Application for Idle {}

/// A [`Peer`], its [`Application`], and the signalling between them and another node: descriptions and candidates are exchanged as soon as they are there.
#[derive(Debug)]
pub struct PeerNode<A> {
    peer: Peer,
    application: A,
    role: SignallingRole,
    /// The other side: whom the offer goes to, or came from.
    remote: Option<NodeId>,
    outbox: VecDeque<Signal>,
    /// Candidates wait in the outbox until then.
    candidates_from: Timestamp,
    tick: Tick,
    records: VecDeque<String>,
}

/// Which side makes the offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignallingRole {
    /// Makes the offer when the world begins.
    Offerer {
        /// The answerer.
        to: NodeId,
    },
    /// Waits for an offer, and answers whoever made it.
    Answerer,
}

impl<A: Application> PeerNode<A> {
    /// A node that makes an offer, or answers one.
    #[must_use]
    pub fn new(peer: Peer, application: A, role: SignallingRole) -> Self {
        let remote = match role {
            SignallingRole::Offerer { to } => Some(to),
            SignallingRole::Answerer => None,
        };
        let (outbox, records) = (VecDeque::new(), VecDeque::new());
        Self { peer, application, role, remote, outbox, candidates_from: Timestamp::ZERO, tick: Tick::Never, records }
    }

    /// The same with a peer of its own, which is made of the seed: [`simulated_configuration`], no ICE servers.
    ///
    /// # Panics
    ///
    /// As [`simulated_configuration`].
    #[must_use]
    #[expect(clippy::expect_used, reason = "what can be wrong with a configuration are its ICE servers")]
    pub fn simulated(seed: &Seed, application: A, role: SignallingRole) -> Self {
        let peer = Peer::new(simulated_configuration(seed), seed.child("peer"));
        Self::new(peer.expect("the configuration has no ICE servers"), application, role)
    }

    /// Calls [`Application::handle_tick`] at the beginning of the world and in these intervals after it. Of zero there are none.
    #[must_use]
    pub fn with_tick(self, interval: Duration) -> Self {
        Self { tick: Tick::new(interval), ..self }
    }

    /// Signals no candidate before `moment`, as a side does that is slow to gather; descriptions go at once.
    #[must_use]
    pub fn with_candidates_from(self, moment: Timestamp) -> Self {
        Self { candidates_from: moment, ..self }
    }

    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The peer, for commands.
    pub fn peer_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &A {
        &self.application
    }

    /// The application, for commands.
    pub fn application_mut(&mut self) -> &mut A {
        &mut self.application
    }

    /// Makes an offer and signals it, as at the start.
    pub fn offer(&mut self, now: Timestamp) {
        self.describe(now, SdpType::Offer);
    }

    fn describe(&mut self, now: Timestamp, sdp_type: SdpType) {
        let created = match sdp_type {
            SdpType::Offer => self.peer.create_offer(),
            _ => self.peer.create_answer(),
        };
        let description = match created {
            Ok(description) => description,
            Err(error) => return self.record(format!("cannot describe: {error}")),
        };
        match self.peer.set_local_description(now, Some(description.clone())) {
            Ok(()) => self.outbox.push_back(Signal::Description(description)),
            Err(error) => self.record(format!("cannot set local description: {error}")),
        }
    }

    fn handle_description(&mut self, now: Timestamp, description: SessionDescriptionInit) {
        let is_offer = description.sdp_type == SdpType::Offer;
        match self.peer.set_remote_description(now, description) {
            Ok(()) if is_offer => self.describe(now, SdpType::Answer),
            Ok(()) => {}
            Err(error) => self.record(format!("cannot set remote description: {error}")),
        }
    }

    fn handle_event(&mut self, now: Timestamp, event: &PeerEvent) {
        if let PeerEvent::IceCandidate(Some(candidate)) = event {
            self.outbox.push_back(Signal::Candidate(candidate.to_init()));
        }
        self.application.handle_event(now, &mut self.peer, event);
        self.record(event.to_string());
    }

    fn record(&mut self, text: String) {
        self.records.push_back(text);
    }

    /// The next signal whose time has come.
    fn next_signal(&mut self, now: Timestamp) -> Option<NodeAction<Signal>> {
        let to = self.remote?;
        let is_due = |signal: &Signal| now >= self.candidates_from || matches!(signal, Signal::Description(_));
        let position = self.outbox.iter().position(is_due)?;
        self.outbox.remove(position).map(|signal| NodeAction::Signal { to, signal })
    }

    /// What is due first: the peer's deadline, the application's, or candidates that wait.
    fn earliest(&self, now: Timestamp, deadline: Option<Deadline>) -> Option<Deadline> {
        let waits = self.remote.is_some() && now < self.candidates_from && !self.outbox.is_empty();
        let release = waits.then_some(Deadline { at: self.candidates_from, reason: "candidates are signalled" });
        Deadline::earliest(deadline, Deadline::earliest(self.tick.deadline(), release))
    }
}

impl<A: Application> Node<Signal> for PeerNode<A> {
    fn handle_start(&mut self, now: Timestamp) {
        self.application.handle_start(now, &mut self.peer);
        if matches!(self.role, SignallingRole::Offerer { .. }) {
            self.offer(now);
        }
    }

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        self.peer.handle_input(now, received);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.peer.handle_socket_event(now, event);
    }

    fn handle_interfaces(&mut self, now: Timestamp, interfaces: &[InterfaceAddress]) {
        self.peer.set_interfaces(now, interfaces);
    }

    fn handle_signal(&mut self, now: Timestamp, from: NodeId, signal: Signal) {
        self.remote = Some(from);
        match signal {
            Signal::Description(description) => self.handle_description(now, description),
            Signal::Candidate(candidate) => {
                if let Err(error) = self.peer.add_ice_candidate(now, candidate) {
                    self.record(format!("cannot add candidate: {error}"));
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.tick.handle_timeout(now) {
            self.application.handle_tick(now, &mut self.peer);
        }
        self.peer.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<Signal> {
        loop {
            if let Some(signal) = self.next_signal(now) {
                return signal;
            }
            if let Some(text) = self.records.pop_front() {
                return NodeAction::Record(text);
            }
            match self.peer.poll_action(now, TransmitBuffer::MAX_SEGMENTS, buffer) {
                Action::Transmit(transmit) => return NodeAction::Transmit(transmit),
                Action::Socket(request) => return NodeAction::Socket(request),
                Action::Event(event) => self.handle_event(now, &event),
                Action::Wait(deadline) => return NodeAction::Wait(self.earliest(now, deadline)),
            }
        }
    }
}
