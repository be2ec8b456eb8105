//! Drives one sans-I/O machine over real UDP sockets and timers, on mio.
//!
//! There is nothing of a protocol in here. A [`Driver`] opens the sockets that its machine asks for, hands it what arrives on them, sends what it writes, with one system
//! call for many datagrams where the system can, looks up names, and keeps the only clock. One driver on one thread serves thousands of peers, if the machine does.
//!
//! # The run loop
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use driver_mio::{Driver, DriverConfig};
//! use proto_machine::{
//!     Deadline, Machine, Path, Received, SocketEvent, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer,
//! };
//!
//! /// Sends a datagram to itself and reports when it arrives.
//! #[derive(Default)]
//! struct Loopback {
//!     asked: bool,
//!     to_send: Option<Path>,
//!     arrived: bool,
//! }
//!
//! impl Machine for Loopback {
//!     type Input<'a> = Received<'a>;
//!     type Event = &'static str;
//!     type Transmit = Transmit;
//!
//!     fn handle_input(&mut self, _now: Timestamp, input: Received<'_>) {
//!         self.arrived = input.datagram == b"hello";
//!     }
//!     fn handle_socket_event(&mut self, _now: Timestamp, event: SocketEvent) {
//!         if let SocketEvent::Opened { local, .. } = event {
//!             self.to_send = Some(Path::udp(local, local));
//!         }
//!     }
//!     fn handle_timeout(&mut self, _now: Timestamp) {}
//!     fn poll_transmit(&mut self, _now: Timestamp, _max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
//!         let path = self.to_send.take()?;
//!         let mut datagram = buffer.segment()?;
//!         datagram.put(b"hello").then(|| datagram.finish())?;
//!         Some(Transmit { path, segments: buffer.segments()? })
//!     }
//!     fn poll_socket_request(&mut self) -> Option<SocketRequest> {
//!         let first = !std::mem::replace(&mut self.asked, true);
//!         first.then(|| SocketRequest::BindUdp { socket: SocketId(0), local: SocketAddr::from(([127, 0, 0, 1], 0)) })
//!     }
//!     fn poll_event(&mut self) -> Option<&'static str> {
//!         std::mem::take(&mut self.arrived).then_some("arrived")
//!     }
//!     fn poll_timeout(&self) -> Option<Deadline> {
//!         None
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut driver = Driver::new(Loopback::default(), DriverConfig::default())?;
//! let mut done = false;
//! while !done {
//!     // Sleeps until there is something to do. A command to `driver.machine()` takes effect with the next turn; so does one given inside the closure, in this turn.
//!     driver.turn(None, |_machine, _now, event| done = event == "arrived")?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Another thread ends the sleep with a [`DriverWaker`], after it has left its wishes in a channel, say.
//!
//! # Deliberately left out
//! TCP sockets, mDNS, explicit congestion notification, watching for network changes: [`interface_addresses`] only tells what is there now.

#[cfg(test)]
extern crate self as driver_mio;

mod clock;
mod config;
mod driver;
mod inbox;
mod outbox;
mod resolver;
mod sockets;
mod statistics;
mod system;
mod wire;

pub use clock::{Clock, wall_clock};
pub use config::DriverConfig;
pub use driver::{Driver, DriverWaker};
pub use statistics::{DriverStatistics, DroppedDatagrams};
pub use system::{InterfaceAddress, interface_addresses, system_seed};
