//! Counters and negotiated parameters.

use std::time::Duration;

/// The negotiated version of DTLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DtlsVersion {
    /// DTLS 1.2 (RFC 6347)
    Dtls12,
    /// DTLS 1.3 (RFC 9147)
    Dtls13,
}

impl DtlsVersion {
    /// `tlsVersion` of the W3C statistics: the version bytes of the record layer in four hexadecimal digits.
    #[must_use]
    pub fn hexadecimal(self) -> &'static str {
        match self {
            Self::Dtls12 => "FEFD",
            Self::Dtls13 => "FEFC",
        }
    }
}

/// A cipher suite by its number in the IANA registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CipherSuite(pub u16);

impl CipherSuite {
    /// `dtlsCipher` of the W3C statistics: the name in the IANA registry, if it is one that this crate negotiates.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xC02B => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            0xC02C => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            0xCCA9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            _ => return None,
        })
    }

    /// Whether the wrapped DTLS library draws the nonces of this suite at random.
    pub(crate) fn has_random_nonces(self) -> bool {
        matches!(self.0, 0xC02B | 0xC02C)
    }
}

/// How an association came about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SctpSetUp {
    /// By its own handshake of INIT and COOKIE ECHO, once DTLS was up (RFC 9260 §5).
    Handshake,
    /// By what the descriptions said, without a round trip of its own (draft-hancke-tsvwg-snap-00).
    Descriptions,
}

impl SctpSetUp {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Descriptions => "descriptions",
        }
    }
}

/// What both ends of an association have said that they can do, and which is therefore in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct SctpAgreement {
    /// How the association came about.
    pub set_up: SctpSetUp,
    /// Streams that this side may send on.
    pub outbound_streams: u16,
    /// Streams that the peer may send on. The ids of channels lie below the smaller number.
    pub inbound_streams: u16,
    /// Messages can be given up (RFC 3758). Otherwise all channels are reliable.
    pub partial_reliability: bool,
    /// Streams can be reset (RFC 6525), so that channels can be closed.
    pub stream_resets: bool,
    /// Messages on different channels are interleaved (RFC 8260).
    pub interleaving: bool,
    /// The checksum is left out, as DTLS protects every packet (RFC 9653).
    pub zero_checksum: bool,
}

/// What a transport has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SecureStatistics {
    /// Datagrams handed out by `poll_transmit`.
    pub datagrams_sent: u64,
    /// Bytes of those datagrams.
    pub bytes_sent: u64,
    /// Datagrams taken in.
    pub datagrams_received: u64,
    /// Bytes of those datagrams.
    pub bytes_received: u64,
    /// Datagrams that came before the start or after the end, or that DTLS gave nothing for: invalid, replayed, or handshake messages.
    pub datagrams_without_data: u64,
    /// Plaintext alerts during the handshake, dropped since anyone could have sent them.
    pub plaintext_alerts_dropped: u64,
    /// Datagrams to the client, dropped or held since the version was not yet known.
    pub early_datagrams: u64,
    /// Errors of the DTLS library on an established session, ignored.
    pub dtls_errors_ignored: u64,
    /// Records sent with random nonces (DTLS 1.2 with AES-GCM).
    pub random_nonce_records: u64,
    /// Datagrams that did not fit the buffer and were dropped: `datagram_size` is too large for the path.
    pub oversized_datagrams: u64,
    /// SCTP packets dropped as malformed, or not of this association.
    pub sctp_packets_dropped: u64,
    /// SCTP chunks skipped: unknown, or not permitted in this state.
    pub sctp_chunks_skipped: u64,
    /// INIT chunks that came while the association was established, answered without effect (RFC 9260 §5.2.2).
    pub unexpected_inits: u64,
    /// Messages with an unknown payload protocol identifier, dropped.
    pub unknown_protocol_messages: u64,
    /// Messages of the establishment protocol that broke its rules; the stream was reset.
    pub dcep_violations: u64,
    /// Messages on streams without channel that were dropped when their time or the room for them was up.
    pub undeclared_messages_dropped: u64,
    /// Messages that were not handed to SCTP within their lifetime.
    pub expired_messages: u64,
    /// Channels that have been open.
    pub channels_opened: u64,
    /// Channels that have been open and are closed.
    pub channels_closed: u64,
    /// The estimated round-trip time, from the handshake until SCTP measures its own.
    pub round_trip_time: Option<Duration>,
    /// What the two ends of the association have agreed on, since it was established.
    pub sctp_agreement: Option<SctpAgreement>,
    /// Bytes waiting on channels, not yet handed to SCTP.
    pub send_buffer_used: usize,
    /// Bytes handed to SCTP and not yet acknowledged.
    pub send_window_used: usize,
}
