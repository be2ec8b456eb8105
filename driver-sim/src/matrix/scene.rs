//! The world of a case.

use std::fmt;
use std::time::Duration;

use peer_core::{
    CandidateType, ChannelKey, DataChannelOptions, IceTransportPolicy, Peer, PeerConnectionState, PeerEvent,
};
use proto_machine::{Seed, Timestamp};

use super::Case;
use crate::network::reachability::{CandidateKind, Policy};
use crate::{
    Application, Handle, LinkConfig, NodeId, PeerNode, Places, Probability, Signal, SignallingRole, Topology, World,
    simulated_configuration,
};

/// What becomes of two peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// A channel is open on both sides.
    Connected {
        /// The type of the left side's own candidate.
        left: CandidateKind,
        /// The type of the right side's own candidate.
        right: CandidateKind,
    },
    /// Both sides have failed: no channel was open, and no pair selected.
    Unconnected,
    /// None of these: one side alone has an open channel, a pair is selected and no channel is open, a side tries on, or it was too late.
    Half,
}

impl Outcome {
    /// Whether data goes through a relay.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        matches!(self, Self::Connected { left, right } if [left, right].contains(&&CandidateKind::Relayed))
    }
}

/// A cell of the table: the two types, or `R`, for a relay would be needed; or `?` for what no case expects.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { left, right } => write!(f, "{left}/{right}"),
            Self::Unconnected => f.write_str("R"),
            Self::Half => f.write_str("?"),
        }
    }
}

/// The check that a last request of the other side has triggered goes on for 39.5 seconds more (RFC 8445 §14.3, RFC 8863 §4). Where each check comes from a new endpoint and triggers another, 16
/// at a time, agents give up after 64 of them.
const GIVING_UP: Duration = Duration::from_secs(5 * 40);

/// An application that notes when its channel is open, and how many messages have come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opener {
    creates: bool,
    opened: Option<(Timestamp, ChannelKey)>,
    received: usize,
}

impl Opener {
    /// When the channel was open.
    #[must_use]
    pub fn opened(&self) -> Option<Timestamp> {
        self.opened.map(|(at, _)| at)
    }

    /// The channel, once it is open.
    #[must_use]
    pub fn channel(&self) -> Option<ChannelKey> {
        self.opened.map(|(_, channel)| channel)
    }

    /// How many messages have arrived.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }
}

impl Application for Opener {
    fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
        if self.creates {
            // Without its channel it never opens, and that is what is looked at.
            let _channel = peer.create_data_channel(now, DataChannelOptions::new("matrix"));
        }
    }

    fn handle_event(&mut self, now: Timestamp, _: &mut Peer, event: &PeerEvent) {
        match event {
            PeerEvent::ChannelOpen { channel } | PeerEvent::DataChannel { channel } => {
                self.opened.get_or_insert((now, *channel));
            }
            PeerEvent::Message { .. } => self.received += 1,
            _ => {}
        }
    }
}

/// A [`Case`] as a world: two peers that open a channel, the left one being the offerer.
#[derive(Debug)]
pub struct Scene {
    /// The world.
    pub world: World<Signal>,
    /// Where everything is.
    pub places: Places,
    /// The left and the right peer.
    pub sides: [Handle<PeerNode<Opener>>; 2],
    /// From when on datagrams are lost.
    lossy: (Timestamp, LinkConfig),
    limit: Timestamp,
}

impl Scene {
    /// The world of this case and seed, at its beginning.
    ///
    /// # Panics
    ///
    /// If the topology cannot be read or built.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "documented: the topology of a case is the caller's, and is meant to be right"
    )]
    pub fn new(case: &Case, seed: u64) -> Self {
        let topology: Topology = case.topology.parse().expect("the topology of the case can be read");
        // Each case draws losses and credentials of its own.
        let seed = Seed::from_number(seed).child(&case.name);
        let mut world = World::new(seed.child("matrix"));
        world.set_default_link(LinkConfig { loss: Probability::NEVER, ..case.link });
        world.set_signalling_delay(case.link.delay);
        let places = topology.build(&mut world).expect("the topology of the case can be built");
        // The offerer knows the answerer by its number, which comes after its own.
        let left = NodeId::from_index(places.stun_servers().count() + places.turn_servers().count());
        let roles = [SignallingRole::Offerer { to: left.next() }, SignallingRole::Answerer];
        let sides = [("left", 0), ("right", 1)].map(|(name, index)| {
            let creates = matches!(roles[index], SignallingRole::Offerer { .. });
            let peer = peer(&seed.child(name), &places, case.policies[index]);
            let node = PeerNode::new(peer, Opener { creates, ..Opener::default() }, roles[index])
                .with_candidates_from(Timestamp::ZERO + case.signalled[index]);
            places.add_host(&mut world, name, node).expect("the topology has the hosts left and right")
        });
        // The table has gathering finished before checks begin.
        let lossy = (Timestamp::ZERO + case.signalled[0].min(case.signalled[1]), case.link);
        Self { world, places, sides, lossy, limit: Timestamp::ZERO + case.limit() }
    }

    /// Lets both sides gather without loss, and then runs until the channel is open on both sides, both have selected a pair, and have had the time to settle on one; or until the time of the case is up, and both have failed or had
    /// the time to.
    pub fn connect(&mut self) -> Outcome {
        let (lossy_from, link) = self.lossy;
        self.world.run_for(lossy_from - self.world.now());
        self.world.set_default_link(link);
        let sides = self.sides;
        let all = |world: &World<Signal>, holds: fn(&PeerNode<Opener>) -> bool| {
            sides.iter().all(|side| holds(world.node(*side)))
        };
        if self.world.run_until(self.limit, |world| all(world, |node| node.application().opened().is_some())).is_err() {
            let limit = self.world.now() + GIVING_UP;
            let failed = self.world.run_until(limit, |world| all(world, has_nothing));
            return match failed {
                Ok(_) => Outcome::Unconnected,
                Err(_) => Outcome::Half,
            };
        }
        // Nomination may come after the first data.
        let selected = |node: &PeerNode<Opener>| node.peer().selected_candidate_pair().is_some();
        let limit = self.world.now() + Duration::from_secs(60);
        if self.world.run_until(limit, |world| all(world, selected)).is_err() {
            return Outcome::Half;
        }
        // Where checks were lost, a better pair may still take the place of the first one, and for a moment the two sides differ.
        self.world.run_for(SETTLEMENT);
        match [0, 1].map(|index| self.kind(index)) {
            [Some(left), Some(right)] => Outcome::Connected { left, right },
            _ => Outcome::Half,
        }
    }

    /// When the channel was open on both sides.
    #[must_use]
    pub fn opened(&self) -> Option<Timestamp> {
        let [left, right] = self.sides.map(|side| self.world.node(side).application().opened());
        left.max(right).filter(|_| left.is_some() && right.is_some())
    }

    /// One of the two peers, by its index.
    ///
    /// # Panics
    ///
    /// If there is no such side.
    #[must_use]
    pub fn peer(&self, index: usize) -> &Peer {
        self.world.node(self.sides[index]).peer()
    }

    /// The type of the candidate of one side, by its index, in the pair that it has selected.
    fn kind(&self, index: usize) -> Option<CandidateKind> {
        Some(match self.peer(index).selected_candidate_pair()?.local.kind {
            CandidateType::Host => CandidateKind::Host,
            CandidateType::ServerReflexive => CandidateKind::ServerReflexive,
            CandidateType::PeerReflexive => CandidateKind::PeerReflexive,
            CandidateType::Relayed => CandidateKind::Relayed,
        })
    }
}

/// Whether a side has failed, and has neither channel nor pair.
fn has_nothing(node: &PeerNode<Opener>) -> bool {
    node.application().opened().is_none()
        && node.peer().selected_candidate_pair().is_none()
        && node.peer().connection_state() == PeerConnectionState::Failed
}

/// Longer than a nomination takes a few of whose responses are lost, and shorter than consent lives: over a relay with 5 % loss on each link, a third of its checks are in vain, and are not
/// repeated (RFC 7675 §5.1).
const SETTLEMENT: Duration = Duration::from_secs(20);

#[expect(clippy::expect_used, reason = "the URLs are those of the topology")]
fn peer(seed: &Seed, places: &Places, policy: Policy) -> Peer {
    let mut configuration = simulated_configuration(&seed.child("configuration"));
    configuration.ice_servers = ["stun", "turn"].iter().filter_map(|name| places.ice_server(name)).collect();
    configuration.ice_transport_policy = match policy {
        Policy::All => IceTransportPolicy::All,
        Policy::RelayOnly => IceTransportPolicy::Relay,
    };
    Peer::new(configuration, seed.child("peer")).expect("the URLs are valid")
}
