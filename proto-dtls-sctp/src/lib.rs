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
//! # The gate
//!
//! Nothing is sent to or taken from the channels of a peer before the DTLS handshake is complete and the peer's certificate matches a fingerprint given in
//! [`StartParameters`]. Datagrams must come from paths that ICE has validated: there is no cookie exchange.
//!
//! # Set-up
//!
//! From the ClientHello on, with DTLS 1.3, and without loss: the channels of the DTLS client are open at the other end after two and a half round trips, since the OPEN rides on the COOKIE
//! ECHO (RFC 9260 §5.1 C); those of the server after three. An association whose COOKIE ACK is lost counts as established when anything else of the peer arrives.
//!
//! The first pause before a retransmission follows from [`SecureTransport::set_round_trip_time`]: twice as long, at least 100 ms. DTLS flights, INIT, COOKIE ECHO and OPEN are sent again
//! after pauses that double to half a second (to two of the first, if that is more); those of DTLS grow by a quarter from there, until its time limit. RFC 9147 §5.8.2 leaves that to profiles.
//!
//! # What a peer can do
//!
//! | it | and this happens |
//! | --- | --- |
//! | sends what is not authentic | nothing, but in counters; during the handshake a changed datagram can still break it |
//! | sends a plaintext alert during the handshake | nothing: anyone could have sent it |
//! | sends close_notify | [`DtlsTransportState::Closed`]; the association is lost |
//! | sends ABORT, or shuts the association down | the association is lost, what had arrived is still delivered |
//! | sends a late or duplicate INIT, COOKIE ECHO or COOKIE ACK | nothing (RFC 9260 §5.2) |
//! | sets up a new association with other tags, and proves with our cookie that it means it | it has restarted (RFC 9260 §5.2.4 A): the association is lost, the new one aborted |
//! | sends a message larger than permitted, or never completes one | the association is lost with an ABORT |
//! | breaks a rule of the establishment protocol (RFC 8832) | the stream is reset |
//! | sends data on a stream that nobody opened | it waits, bounded, for a negotiated channel; then the stream is reset |
//!
//! # Versions and ciphers
//!
//! DTLS 1.3 is preferred. Under DTLS 1.2 ChaCha20-Poly1305 is, since the wrapped library draws the nonces of AES-GCM at random there: those records are counted, a
//! [`SecureEvent::NonceWarning`] comes at 2^16.5 of them, and the session ends at a configured limit. DTLS 1.0, RSA and SRTP are left out.
//!
//! # SCTP
//!
//! The association is this crate's own: RFC 9260 for one path, partial reliability (RFC 3758), stream reset (RFC 6525), interleaving with a scheduler that honours the priorities
//! of channels (RFC 8260), and packets without checksum (RFC 9653). What the peer does not offer is not used. The cost of a packet does not depend on what is in flight, buffered,
//! or open. With the feature `sctp-proto`, [`SctpBackend`] can choose the crate of that name in its place; with the feature `bare`, the association can be driven alone.
//!
//! # Exceptions to purity
//!
//! Underneath lies `dimpl`, behind a private module that can be replaced. It makes these exceptions, and no others are known:
//!
//! - An `Instant` cannot be made up: one is read as anchor when DTLS starts. Only differences to it count.
//! - `dimpl` reads both clocks once per process. It puts the wall time into the random of a DTLS 1.2 hello.
//! - With [`Entropy::System`], keys, signatures and DTLS timers draw from the operating system, and so does [`Certificate::generate`].
//! - A table of DTLS configurations is shared by all transports of the process.
//! - `sctp-proto`, where it is chosen, seeds generators from the operating system that are not used, and lists the streams of some FORWARD TSNs in the order of a hash map.
//!
//! With the feature `simulation` and `Entropy::Simulated`, two runs with equal seeds and inputs put equal bytes on the wire at equal times under DTLS 1.3. Under DTLS 1.2 the wall
//! time in the hello changes bytes, and signatures that cover it may change in length by a byte or two.
//!
//! # What is left out
//!
//! RACK and tail-loss probes, pacing, path MTU discovery, congestion figures in the statistics, a receive window that grows by
//! itself, and a handshake that outlives changed datagrams.

#[cfg(feature = "bare")]
pub mod bare;
mod certificate;
mod channel;
mod clock;
mod config;
mod dcep;
mod dtls;
mod error;
mod event;
mod fingerprint;
mod queue;
mod sctp;
mod statistics;
mod transport;

pub use certificate::{Certificate, CertificateError};
pub use channel::{
    ChannelKey, ChannelStatistics, ChannelView, DataChannelOptions, DataChannelState, Message, MessageKind, Priority,
    Reliability,
};
pub use config::{DtlsRole, Entropy, MaxMessageSize, SctpBackend, SecureTransportConfig, StartParameters};
pub use error::{
    ChannelFailure, CreateDataChannelError, DtlsFailure, ErrorDetail, ErrorKind, SctpFailure, SctpFailureReason,
    SecureError, SendError, StartError, UnknownChannel,
};
pub use event::{DtlsTransportState, SctpTransportState, SecureEvent};
pub use fingerprint::{HashFunction, RemoteFingerprint};
pub use sctp::{InitChunk, InvalidInitChunk};
pub use statistics::{CipherSuite, DtlsVersion, SctpAgreement, SctpSetUp, SecureStatistics};
pub use transport::SecureTransport;
