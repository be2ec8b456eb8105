//! A deterministic simulator: peers in virtual time over seeded links.
//!
//! A [`World`] holds nodes, gives them sockets and carries their datagrams over [links](LinkConfig) with delay, jitter, loss, duplication, reordering and corruption. Nothing in it
//! reads a clock or the system's randomness: everything follows from one seed. An hour of virtual time takes as long as the nodes compute.
//!
//! Nodes are on the public Internet, or in [networks](network) behind NATs and firewalls, which a [`Topology`] reads from text. A [`StunServerNode`] tells them their addresses outside, a [`TurnServerNode`] relays for them.
//!
//! ```
//! use std::net::IpAddr;
//! use std::time::Duration;
//!
//! use driver_sim::{Application, LinkConfig, PeerNode, Probability, SignallingRole, World};
//! use peer_core::{DataChannelOptions, Message, Peer, PeerEvent};
//! use proto_machine::{Seed, Timestamp};
//!
//! /// Creates a channel at the start, greets on it, and notes what it is greeted with.
//! #[derive(Default)]
//! struct Greeter {
//!     creates: bool,
//!     heard: Option<Message>,
//! }
//!
//! impl Application for Greeter {
//!     fn handle_start(&mut self, now: Timestamp, peer: &mut Peer) {
//!         if self.creates {
//!             peer.create_data_channel(now, DataChannelOptions::new("greetings")).unwrap();
//!         }
//!     }
//!     fn handle_event(&mut self, now: Timestamp, peer: &mut Peer, event: &PeerEvent) {
//!         match event {
//!             PeerEvent::ChannelOpen { channel } | PeerEvent::DataChannel { channel } => {
//!                 peer.channel(*channel).unwrap().send(now, Message::text("hello")).unwrap();
//!             }
//!             PeerEvent::Message { message, .. } => self.heard = Some(message.clone()),
//!             _ => {}
//!         }
//!     }
//! }
//!
//! let seed = Seed::from_number(1);
//! let mut world = World::new(seed.child("world"));
//! world.set_default_link(LinkConfig { delay: Duration::from_millis(20), loss: Probability::percent(5), ..LinkConfig::default() });
//! let answerer = PeerNode::simulated(&seed.child("right"), Greeter::default(), SignallingRole::Answerer);
//! let answerer = world.add_node(answerer, vec![IpAddr::from([192, 0, 2, 2])]);
//! let greeter = Greeter { creates: true, ..Greeter::default() };
//! let offerer = PeerNode::simulated(&seed.child("left"), greeter, SignallingRole::Offerer { to: answerer.id() });
//! let offerer = world.add_node(offerer, vec![IpAddr::from([192, 0, 2, 1])]);
//!
//! let greeted = |world: &World<_>, node| world.node::<PeerNode<Greeter>>(node).application().heard.is_some();
//! world.run_until(Timestamp::from_millis(60_000), |world| greeted(world, offerer) && greeted(world, answerer)).unwrap();
//! println!("{}", world.transcript());
//! ```
//!
//! # Testing an application of your own
//!
//! What lives in a world is up to you; choose the lowest floor that your code needs:
//!
//! | you have | write | in a node |
//! | --- | --- | --- |
//! | something that one peer does | an [`Application`] | [`PeerNode`] |
//! | a server of many peers | a [`Server`] | [`EndpointNode`] |
//! | a state machine over datagrams, or a stack of its own | a [`Node`] | - |
//!
//! All of them may have a tick: [`PeerNode::with_tick`], [`EndpointNode::with_tick`], or the deadline that a [`Node`] waits for. `examples/game_world.rs` is a game server's tick and fifty
//! players in forty lines. A test then
//!
//! 1. builds a world from a seed, runs it [until something is true](World::run_until) with a limit in virtual time, and looks at its nodes; [`World::at`] breaks something on the way:
//!    [a link](World::configure), [a partition](World::cut), [an interface](World::remove_interface), [the mappings of a NAT](network::Internet::reboot), [a program](World::restart).
//! 2. does that [for many seeds](for_seeds); the one that fails prints the line that runs it alone.
//! 3. looks closer at that one, in its [transcript](World::transcript) and in [packet traces](World::record) for the usual tools.
//!
//! # Networks
//!
//! ```
//! use std::net::IpAddr;
//!
//! use driver_sim::network::{Dependence, Hairpinning, Internet, NatConfig};
//! use driver_sim::{Interface, Signal, World};
//! use proto_machine::Seed;
//!
//! let mut world: World<Signal> = World::new(Seed::from_number(1));
//! let internet = world.internet_mut();
//! let home = internet.add_network();
//! let port_restricted = NatConfig {
//!     hairpinning: Hairpinning::On,
//!     ..NatConfig::new(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent)
//! };
//! let nat = internet.add_nat(home, Internet::PUBLIC, port_restricted, vec![IpAddr::from([203, 0, 113, 1])]).unwrap();
//! // A node goes there with `world.add_host(node, vec![interface])`, and loses its mappings with `world.internet_mut().reboot(nat)`.
//! let interface = Interface { network: home, address: IpAddr::from([10, 0, 0, 2]) };
//! # let _ = (nat, interface);
//! ```
//!
//! Beside datagrams there are byte streams, TCP and TLS ([`StreamRequest`], [`StreamEvent`]): late, in order, and whole. Their segments cross the same links, NATs and firewalls, and
//! what is lost comes later. A firewall that blocks UDP leaves TCP to port 443 open; there a [`TurnServerNode`] speaks TLS.
//!
//! Which hosts can reach each other, and by which candidates, [`network::reachability`] says without any datagram; [`matrix`] tries it with real peers behind every kind of NAT, and is
//! what `cargo xtask sim nat` prints; with `--relay` they have a TURN server.
//!
//! # The same seed, the same transcript
//!
//! Two runs from one seed have the same [`Transcript`]: when which datagram of which length went where, and what every node reported, in order. Under DTLS 1.3, which is what two of
//! our peers negotiate, the datagrams are the same to the byte. For that `peer_core::Entropy::Simulated` supplies the randomness of the wrapped DTLS library through its hooks, in
//! simulations only. One exception is left, and goes when that library is replaced: the hello of DTLS 1.2 (`dimpl`) carries the wall time, and signatures that cover it may differ in length
//! by a byte or two.

mod endpoint_node;
mod link;
pub mod matrix;
mod names;
pub mod network;
mod node;
mod pcap;
mod peer_node;
mod pipe;
mod replay;
pub mod setup;
mod stun_server;
mod tick;
mod topology;
mod transcript;
mod turn_server;
mod world;

pub use endpoint_node::{EndpointNode, Server};
pub use link::{Bottleneck, BurstLoss, LinkConfig, Probability, Rate};
pub use names::{NameAnswer, NameRecord};
pub use node::{Node, NodeAction, NodeId};
pub use pcap::{RecordingId, VantagePoint};
pub use peer_node::{Application, Idle, PeerNode, Signal, SignallingRole, simulated_configuration};
pub use pipe::{StreamError, StreamEvent, StreamRequest, StreamSecurity};
pub use replay::for_seeds;
pub use stun_server::StunServerNode;
pub use topology::{Places, Topology, TopologyError, TopologyProblem};
pub use transcript::{Entry, Transcript};
pub use turn_server::TurnServerNode;
pub use world::{Captured, Direction, Handle, Interface, LinkName, Stuck, World};

pub use proto_ice::turn::TurnCredentials;
pub use proto_ice::turn::server::{
    PasswordAlgorithm, TurnRequest, TurnServer, TurnServerConfig, TurnServerFaults, TurnServerStatistics,
};
