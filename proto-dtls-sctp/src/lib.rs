//! DTLS, SCTP and data channels over any datagram path, as a pure state machine.
//!
//! [`SecureTransport`] takes datagrams in and gives datagrams and events out. Underneath run DTLS 1.2 and 1.3 (RFC 6347, RFC 9147), SCTP over DTLS (RFC 8261, RFC 9260)
//! with partial reliability (RFC 3758) and stream reset (RFC 6525), and data channels (RFC 8831) with their establishment protocol (RFC 8832).
//!
//! # The run loop
//!
//! Two transports in one process, in virtual time:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use proto_dtls_sctp::{
//!     Certificate, DataChannelOptions, DtlsRole, Entropy, Message, SecureEvent, SecureTransport, SecureTransportConfig, StartParameters,
//! };
//! use proto_machine::{Action, Machine, Seed, Timestamp, TransmitBuffer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wall_time = Duration::from_secs(1_800_000_000);
//! let certificates = [
//!     Arc::new(Certificate::generate(Seed::from_number(1), wall_time, Entropy::System)?),
//!     Arc::new(Certificate::generate(Seed::from_number(2), wall_time, Entropy::System)?),
//! ];
//! let mut now = Timestamp::ZERO;
//! let mut peers: Vec<SecureTransport> = certificates
//!     .iter()
//!     .zip(3..)
//!     .map(|(certificate, seed)| SecureTransport::new(SecureTransportConfig::new(certificate.clone()), Seed::from_number(seed)))
//!     .collect();
//! let channel = peers[0].create_channel(now, DataChannelOptions::new("chat"))?;
//! for (index, role) in [DtlsRole::Client, DtlsRole::Server].into_iter().enumerate() {
//!     let fingerprint = certificates[1 - index].fingerprint().into();
//!     peers[index].start(now, StartParameters::new(role, vec![fingerprint]))?;
//! }
//!
//! let mut buffer = TransmitBuffer::new(1200);
//! let mut received = None;
//! while received.is_none() {
//!     let mut deadline = None;
//!     for index in 0..2 {
//!         deadline = loop {
//!             match peers[index].poll_action(now, usize::MAX, &mut buffer) {
//!                 Action::Transmit(_) => {
//!                     for datagram in buffer.datagrams() {
//!                         peers[1 - index].handle_datagram(now, &mut datagram.to_vec());
//!                     }
//!                 }
//!                 Action::Event(SecureEvent::ChannelOpen { channel }) => peers[index].send(now, channel, Message::text("hello"))?,
//!                 Action::Event(SecureEvent::Message { message, .. }) => received = Some(message),
//!                 Action::Event(_) | Action::Socket(_) => {}
//!                 Action::Wait(next) => break proto_machine::Deadline::earliest(deadline, next),
//!             }
//!         };
//!     }
//!     if let Some(deadline) = deadline {
//!         now = now.max(deadline.at);
//!         peers.iter_mut().for_each(|peer| peer.handle_timeout(now));
//!     }
//! }
//! assert_eq!(received, Some(Message::text("hello")));
//! # let _ = channel;
//! # Ok(())
//! # }
//! ```
//!
//! # Gate
//!
//! Nothing is sent to or taken from the channels of a peer before the DTLS handshake is complete and the peer's certificate matches a fingerprint given in
//! [`StartParameters`].

mod certificate;
mod channel;
mod clock;
mod config;
mod dcep;
mod dtls;
mod error;
mod event;
mod fingerprint;
mod sctp;
mod statistics;
mod transport;

pub use certificate::{Certificate, CertificateError};
pub use channel::{
    ChannelKey, ChannelStatistics, ChannelView, DataChannelOptions, DataChannelState, Message, MessageKind, Priority,
    Reliability,
};
pub use config::{DtlsRole, Entropy, MaxMessageSize, SecureTransportConfig, StartParameters};
pub use error::{
    ChannelFailure, CreateDataChannelError, DtlsFailure, ErrorDetail, ErrorKind, SctpFailure, SctpFailureReason,
    SecureError, SendError, StartError, UnknownChannel,
};
pub use event::{DtlsTransportState, SctpTransportState, SecureEvent};
pub use fingerprint::{HashFunction, RemoteFingerprint};
pub use statistics::{CipherSuite, DtlsVersion, SecureStatistics};
pub use transport::SecureTransport;
