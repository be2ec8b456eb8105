//! What a transport is told before it starts.

use std::sync::Arc;
use std::time::Duration;

use crate::{Certificate, InitChunk, RemoteFingerprint};

const KIB: usize = 1024;
/// RFC 9260 §3.3.2 has no window below 1500 bytes; a little more lets messages be put together.
const MIN_RECEIVE_WINDOW: usize = 4096;

/// Where keys and signatures come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Entropy {
    /// The cryptographic library and, through it, the operating system: the only choice for real traffic.
    #[default]
    System,
    /// The [`Seed`](proto_machine::Seed) alone, so that two runs put datagrams of the same lengths on the wire at the same times. **Never for real traffic.**
    #[cfg(feature = "simulation")]
    Simulated,
}

/// Which implementation of SCTP carries the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum SctpBackend {
    /// That of this crate.
    #[default]
    Own,
    /// The crate `sctp-proto`, as a second opinion. Without interleaving and zero checksum.
    #[cfg(feature = "sctp-proto")]
    SctpProto,
}

/// The range of the time limit for the handshake.
const HANDSHAKE_TIMEOUT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3600));

/// Settings of a [`SecureTransport`](crate::SecureTransport), with defaults from [`new`](Self::new).
#[derive(Clone, Debug)]
pub struct SecureTransportConfig {
    /// The certificate that identifies this side.
    pub certificate: Arc<Certificate>,
    /// Where keys and signatures come from. Default: [`Entropy::System`].
    pub entropy: Entropy,
    /// The largest datagram to produce, in bytes: what the path takes as UDP payload, less what the layers around need (36 for a TURN indication). At least
    /// [`MIN_DATAGRAM_SIZE`](Self::MIN_DATAGRAM_SIZE), smaller values are raised. Default: 1200.
    pub datagram_size: usize,
    /// The largest message to accept, in bytes: `a=max-message-size` of the local description (RFC 8841 §6). A peer that exceeds it loses the association. Default: 256 KiB.
    pub max_receive_message_size: usize,
    /// The largest message to send, in bytes, if the peer accepts it. Default: 16 MiB.
    pub max_send_message_size: usize,
    /// Bytes received and not yet read by the application, over all channels: the receive window of SCTP. At least twice `max_receive_message_size`, smaller values are
    /// raised. On top of it at most 64 KiB and one message wait in front of [`poll_event`](proto_machine::Machine::poll_event). A message counts at least
    /// 128 bytes, and each piece of one that is not whole at least 256. See also [`receive_memory_bound`](Self::receive_memory_bound). Default: 2 MiB.
    pub receive_buffer: usize,
    /// Bytes waiting on one channel, not yet handed to SCTP, each message counted with 64 more. A channel without waiting messages takes one of any permitted size.
    /// Default: 16 MiB.
    pub send_buffer: usize,
    /// The same over all channels. Default: 64 MiB.
    pub total_send_buffer: usize,
    /// Bytes handed to SCTP and not yet acknowledged, over all channels, each message counted with 64 more, after which channels wait. The last message may exceed it, and
    /// so may 2 KiB of each channel, which wait for no large message of another. Default: 1 MiB.
    pub send_window: usize,
    /// The most channels at a time, and the streams offered in INIT. The ids of channels lie below it. At least 1. Default: 1024.
    pub max_channels: u16,
    /// How long data on a stream that no channel owns waits for a negotiated channel, before the stream is reset. Default: 10 s.
    pub undeclared_stream_lifetime: Duration,
    /// How long the DTLS handshake may take, and the set-up of SCTP behind it, 1 ms to 1 h each; other values are brought there. Default: 60 s.
    pub handshake_timeout: Duration,
    /// Records that may be sent under DTLS 1.2 with AES-GCM, whose nonces the wrapped library draws at random, before the session ends with
    /// [`SecureError::NonceLimit`](crate::SecureError::NonceLimit). Default: 2^24, at which the odds of a repeated nonce are 2^-17.
    pub gcm_record_limit: u64,
    /// Which implementation of SCTP carries the data. Default: [`SctpBackend::Own`].
    pub sctp_backend: SctpBackend,
    /// Whether to offer that messages on different channels are interleaved (RFC 8260), so that a large one does not hold up a small one. Default: `true`.
    pub interleaving: bool,
    /// Whether to offer to leave out the checksum of SCTP, as DTLS protects every packet (RFC 9653). Default: `true`.
    pub zero_checksum: bool,
}

impl SecureTransportConfig {
    /// The least permitted `datagram_size`, in bytes.
    pub const MIN_DATAGRAM_SIZE: usize = 256;

    /// The defaults, with a certificate.
    #[must_use]
    pub fn new(certificate: Arc<Certificate>) -> Self {
        Self {
            certificate,
            entropy: Entropy::default(),
            datagram_size: 1200,
            max_receive_message_size: 256 * 1024,
            max_send_message_size: 16 * 1024 * 1024,
            receive_buffer: 2 * 1024 * 1024,
            send_buffer: 16 * 1024 * 1024,
            total_send_buffer: 64 * 1024 * 1024,
            send_window: 1024 * 1024,
            max_channels: 1024,
            undeclared_stream_lifetime: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(60),
            gcm_record_limit: 1 << 24,
            sctp_backend: SctpBackend::default(),
            interleaving: true,
            zero_checksum: true,
        }
    }

    /// [`handshake_timeout`](Self::handshake_timeout) within its range.
    pub(crate) fn handshake_time_limit(&self) -> Duration {
        self.handshake_timeout.clamp(HANDSHAKE_TIMEOUT.0, HANDSHAKE_TIMEOUT.1)
    }

    /// The receive window of SCTP, in bytes.
    pub(crate) fn receive_window(&self) -> usize {
        self.receive_buffer.max(self.max_receive_message_size.saturating_mul(2)).max(MIN_RECEIVE_WINDOW)
    }

    /// The most that a transport takes from the heap for what the peer sends, whatever that is, in bytes:
    ///
    /// - eight times the receive window, which is `receive_buffer`, raised as it says. SCTP takes in half a window more than it tells, to close gaps, and to put messages together takes up
    ///   to three times what it counts. As much as the window again may wait as pieces of messages in the deprecated way (RFC 8831 §6.6), in buffers of up to three times the size;
    /// - 4 KiB for each of `max_channels`;
    /// - 2 MiB for labels and protocols, for DTLS, and for all that has a fixed bound.
    ///
    /// What the cryptographic library takes by itself is not in it, nor events and messages that were handed over.
    #[must_use]
    pub fn receive_memory_bound(&self) -> usize {
        let streams = usize::from(self.max_channels) * 4 * KIB;
        self.receive_window().saturating_mul(8).saturating_add(streams).saturating_add(2 * KIB * KIB)
    }

    /// The most that it takes on top for what the application sends, if the peer acknowledges as little as it likes, in bytes:
    ///
    /// - three times `total_send_buffer`, since a message of one byte takes more than what it counts;
    /// - nine times `send_window`, for the same reason, and since a message stays whole until the last of it is acknowledged;
    /// - three times `max_send_message_size`, by which each of these may be exceeded;
    /// - 16 KiB for each of `max_channels`.
    #[must_use]
    pub fn send_memory_bound(&self) -> usize {
        let waiting = self.total_send_buffer.saturating_mul(3);
        let sent = self.send_window.saturating_mul(9).saturating_add(usize::from(self.max_channels) * 16 * KIB);
        waiting.saturating_add(sent).saturating_add(self.max_send_message_size.saturating_mul(3))
    }
}

/// The role in the DTLS handshake, from `a=setup` (RFC 8842 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DtlsRole {
    /// `active`: sends the first ClientHello. Its channels have even ids.
    Client,
    /// `passive`: waits for it. Its channels have odd ids.
    Server,
}

/// A limit for the size of a message, as `a=max-message-size` gives it (RFC 8841 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaxMessageSize {
    /// At most so many bytes.
    Limited(usize),
    /// No limit: a value of 0.
    Unlimited,
}

impl MaxMessageSize {
    /// The meaning of the attribute: absent is 64 KiB, 0 is no limit (RFC 8841 §6.1).
    #[must_use]
    pub fn from_attribute(value: Option<u64>) -> Self {
        match value {
            None => Self::default(),
            Some(0) => Self::Unlimited,
            Some(limit) => Self::Limited(usize::try_from(limit).unwrap_or(usize::MAX)),
        }
    }
}

impl Default for MaxMessageSize {
    /// What holds if the attribute is absent.
    fn default() -> Self {
        Self::Limited(65_536)
    }
}

/// What the offer/answer exchange has settled, for [`SecureTransport::start`](crate::SecureTransport::start).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartParameters {
    /// The role in the DTLS handshake.
    pub role: DtlsRole,
    /// The fingerprints of the remote description. At least one.
    pub remote_fingerprints: Vec<RemoteFingerprint>,
    /// `a=sctp-port` of the local description, not 0.
    pub local_sctp_port: u16,
    /// `a=sctp-port` of the remote description, not 0.
    pub remote_sctp_port: u16,
    /// The largest message that the peer accepts.
    pub remote_max_message_size: MaxMessageSize,
    /// `a=sctp-init` of the remote description, if the local one has [`SecureTransport::init_chunk`](crate::SecureTransport::init_chunk): then the association is established as soon as
    /// DTLS is (draft-hancke-tsvwg-snap-00 §6).
    pub remote_init: Option<InitChunk>,
}

impl StartParameters {
    /// Ports 5000 and the limit of an absent `a=max-message-size`.
    #[must_use]
    pub fn new(role: DtlsRole, remote_fingerprints: Vec<RemoteFingerprint>) -> Self {
        Self {
            role,
            remote_fingerprints,
            local_sctp_port: 5000,
            remote_sctp_port: 5000,
            remote_max_message_size: MaxMessageSize::default(),
            remote_init: None,
        }
    }
}
