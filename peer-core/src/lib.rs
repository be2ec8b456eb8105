//! The W3C's `RTCPeerConnection` as a pure state machine.
//!
//! A [`Peer`] joins SDP, ICE, DTLS and SCTP; an [`Endpoint`] holds many peers behind one socket. Neither opens a socket, starts a thread or reads a clock: whoever embeds them
//! brings time, packets, interfaces and one [`Seed`](proto_machine::Seed), and drains what follows.
//!
//! # The run loop
//!
//! Two peers in one process, connected in virtual time. A real program has one of them, sends what [`Action::Transmit`](proto_machine::Action) asks for, and carries
//! descriptions and candidates over its signalling; `driver-mio` does all but the signalling.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use peer_core::{Certificate, Configuration, DataChannelOptions, Entropy, InterfaceAddress, Message, Peer, PeerEvent};
//! use proto_machine::{Action, Deadline, Machine, Received, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let addresses: [SocketAddr; 2] = ["192.0.2.1:5000".parse()?, "192.0.2.2:5000".parse()?];
//! let wall_time = Duration::from_secs(1_800_000_000);
//! let certificate = Arc::new(Certificate::generate(Seed::from_number(1), wall_time, Entropy::System)?);
//! let mut now = Timestamp::ZERO;
//! let mut peers = [2, 3].map(|seed| Peer::new(Configuration::new(certificate.clone()), Seed::from_number(seed)).unwrap());
//! for (peer, address) in peers.iter_mut().zip(addresses) {
//!     peer.set_interfaces(now, &[InterfaceAddress::new(address.ip())]);
//! }
//!
//! // Offer and answer. Without an argument, `set_local_description` creates what the state asks for.
//! let [left, right] = &mut peers;
//! left.create_data_channel(now, DataChannelOptions::new("chat"))?;
//! left.set_local_description(now, None)?;
//! right.set_remote_description(now, left.local_description().unwrap())?;
//! right.set_local_description(now, None)?;
//! left.set_remote_description(now, right.local_description().unwrap())?;
//!
//! let mut buffer = TransmitBuffer::new(1200);
//! let mut received = None;
//! while received.is_none() {
//!     let mut deadline = None;
//!     for index in [0, 1, 0] {
//!         let other = 1 - index;
//!         deadline = loop {
//!             match peers[index].poll_action(now, 1, &mut buffer) {
//!                 Action::Transmit(transmit) => {
//!                     let datagram = &mut buffer.bytes().to_vec();
//!                     peers[other].handle_input(now, Received { path: transmit.path.reversed(), datagram });
//!                 }
//!                 Action::Socket(SocketRequest::BindUdp { socket, .. }) => {
//!                     peers[index].handle_socket_event(now, SocketEvent::Opened { socket, local: addresses[index] });
//!                 }
//!                 Action::Socket(_) => {}
//!                 Action::Event(PeerEvent::IceCandidate(Some(candidate))) => {
//!                     peers[other].add_ice_candidate(now, candidate.to_init())?;
//!                 }
//!                 Action::Event(PeerEvent::ChannelOpen { channel }) => {
//!                     peers[index].channel(channel).unwrap().send(now, Message::text("hello"))?;
//!                 }
//!                 Action::Event(PeerEvent::Message { message, .. }) => received = Some(message),
//!                 Action::Event(_) => {}
//!                 Action::Wait(next) => break Deadline::earliest(deadline, next),
//!             }
//!         };
//!     }
//!     now = deadline.map_or(now, |deadline| now.max(deadline.at));
//!     peers.iter_mut().for_each(|peer| peer.handle_timeout(now));
//! }
//! assert_eq!(received, Some(Message::text("hello")));
//! # Ok(())
//! # }
//! ```
//!
//! # Deliberately left out
//!
//! Audio and video are negotiated away: sections of an offer are answered as rejected, and there are no transceivers. Not there yet, and refused by name where they are asked for:
//! relaying over TCP and TLS, ICE restart, multicast DNS names, TCP. Not there yet either: `setConfiguration`, bundle policies other than bundling everything, and the larger
//! part of the statistics.

mod candidate;
mod channel;
mod configuration;
mod endpoint;
mod error;
mod event;
mod ice_server;
mod peer;
mod state;
mod statistics;

pub use candidate::{IceCandidate, IceCandidateInit};
pub use channel::Channel;
pub use configuration::{Configuration, ConfigurationError};
pub use endpoint::{AddPeerError, Endpoint, EndpointConfig, EndpointEvent, EndpointStatistics, PeerId, SocketPolicy};
pub use error::{AddIceCandidateError, CreateDescriptionError, SetDescriptionError};
pub use event::PeerEvent;
pub use ice_server::IceServer;
pub use peer::{Peer, SessionDescriptionInit};
pub use state::{IceConnectionState, PeerConnectionState, SignalingState};
pub use statistics::{PeerStatistics, SctpTransportStatistics, TransportStatistics};

pub use proto_dtls_sctp::{
    Certificate, CertificateError, ChannelFailure, ChannelKey, ChannelStatistics, ChannelView, CreateDataChannelError,
    DataChannelOptions, DataChannelState, DtlsRole, DtlsTransportState, Entropy, Message, MessageKind, Priority,
    Reliability, SctpAgreement, SctpSetUp, SctpTransportState, SecureError, SecureTransportConfig, SendError,
    StartError, UnknownChannel,
};
pub use proto_ice::{
    AddressMapping, CandidateError, CandidatePair, CandidateType, IceGatheringState, IceReport, IceTransportPolicy,
    IceTransportState, InterfaceAddress, MappedCandidates, OneToOneNat, PathStanding,
};
pub use proto_machine;
pub use proto_sdp::SdpType;
