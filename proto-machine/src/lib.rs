//! The shared shape of sans-I/O protocol machines.
//!
//! A [`Machine`] opens no socket, starts no thread, reads no clock and draws no randomness of its own. Time arrives as a [`Timestamp`], entropy as one [`Seed`],
//! packets as bytes with their [`Path`]; what it wants done is pulled from it. This crate holds that vocabulary and no protocol.
//!
//! | family | what it does | may do work |
//! | --- | --- | --- |
//! | `handle_*` and commands | take in what happened, with `now` as first argument | yes |
//! | [`poll_transmit`](Machine::poll_transmit) | writes the next datagrams into the caller's [`TransmitBuffer`] | yes |
//! | other `poll_*` | hand over what is ready, or say when to call again | no |
//!
//! # The run loop
//!
//! Whoever drives a machine drains it with [`Machine::poll_action`] after each input, and sleeps when it says [`Action::Wait`]:
//!
//! ```
//! use proto_machine::{Action, Deadline, Machine, Timestamp, TransmitBuffer};
//!
//! fn drain<M: Machine>(
//!     machine: &mut M,
//!     now: Timestamp,
//!     buffer: &mut TransmitBuffer,
//!     mut send: impl FnMut(M::Transmit, &TransmitBuffer),
//!     mut on_event: impl FnMut(M::Event),
//! ) -> Option<Deadline> {
//!     loop {
//!         match machine.poll_action(now, usize::MAX, buffer) {
//!             Action::Transmit(transmit) => send(transmit, buffer),
//!             Action::Socket(_request) => { /* open, close, resolve; report with a `SocketEvent` */ }
//!             Action::Event(event) => on_event(event),
//!             Action::Wait(deadline) => return deadline,
//!         }
//!     }
//! }
//! ```

mod buffer;
mod interface;
#[cfg(feature = "laws")]
pub mod laws;
mod machine;
mod path;
mod ports;
mod seed;
mod socket;
mod time;
mod timer;

pub use buffer::{Room, SegmentWriter, TransmitBuffer};
pub use interface::InterfaceAddress;
pub use machine::{Action, Machine};
pub use path::{Path, Received, Segments, Transmit, TransportProtocol};
pub use ports::UdpPorts;
pub use seed::{Rng, Seed};
pub use socket::{LookupId, SocketError, SocketEvent, SocketId, SocketRequest};
pub use time::{Deadline, Timestamp};
pub use timer::{TimerKey, TimerTable};
