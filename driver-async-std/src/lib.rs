//! Drives peers over real UDP sockets and timers on async-std, with an interface in the shape of the W3C's.
//!
//! There is nothing of a protocol in here. A [`PeerConnection`] is a handle to a task that drives one [`peer_core::Peer`]; commands reach the task through a bounded
//! channel, and events and messages come back through bounded ones. Whoever does not read makes the other side wait.
//!
//! # A conversation
//!
//! Two connections in one process. A real program has one of them, and carries descriptions and candidates over its signalling.
//!
//! ```
//! use driver_async_std::{Event, PeerConnection, generate_certificate};
//! use peer_core::{Configuration, DataChannelOptions, Message, PeerEvent};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # async_std::task::block_on(async {
//! let mut configuration = Configuration::new(generate_certificate()?);
//! configuration.gather_loopback = true; // Both are on this host.
//! let (left, right) = (PeerConnection::new(configuration.clone())?, PeerConnection::new(configuration)?);
//! let (mut left_events, mut right_events) = (left.events(), right.events());
//!
//! // Offer and answer.
//! let channel = left.create_data_channel(DataChannelOptions::new("chat")).await?;
//! let offer = left.create_offer().await?;
//! left.set_local_description(offer.clone()).await?;
//! right.set_remote_description(offer).await?;
//! let answer = right.create_answer().await?;
//! right.set_local_description(answer.clone()).await?;
//! left.set_remote_description(answer).await?;
//!
//! // Candidates, as they are found.
//! while let Some(event) = left_events.next().await {
//!     match event {
//!         Event::Peer(PeerEvent::IceCandidate(Some(candidate))) => right.add_ice_candidate(candidate.to_init()).await?,
//!         Event::Peer(PeerEvent::IceCandidate(None)) => break,
//!         _ => {}
//!     }
//! }
//!
//! assert!(channel.opened().await);
//! channel.send(Message::text("hello")).await?;
//! while let Some(event) = right_events.next().await {
//!     if let Event::DataChannel(channel) = event {
//!         assert_eq!(channel.label(), "chat");
//!         assert_eq!(channel.next_message().await, Some(Message::text("hello")));
//!         break;
//!     }
//! }
//! left.close().await;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # async-std
//!
//! async-std is not maintained any more; its authors recommend smol (RUSTSEC-2025-0052). It appears in this crate and in no other of the family, and here only to spawn
//! the task and to look up names: sockets and timers are those of async-io, which is maintained and which both share.
//!
//! # Deliberately left out
//! Many peers on one socket, for which there is `driver-mio`; TCP sockets; explicit congestion notification; watching for network changes.

mod channel;
mod command;
mod connection;
mod driver;
mod sockets;
mod system;
mod waiting;

pub use channel::DataChannel;
pub use connection::{
    Event, Events, GenerateCertificateError, NewConnectionError, Options, PeerConnection, generate_certificate,
};
pub use peer_core;
pub use sockets::SocketStatistics;
pub use system::interface_addresses;
