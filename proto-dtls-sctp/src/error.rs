//! Why something did not work, and who is to blame.

use std::fmt;

/// The kind of exception of the W3C specification that an error corresponds to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `TypeError`: an argument is not permitted.
    TypeError,
    /// `OperationError`: it cannot be done now or here.
    OperationError,
    /// `InvalidStateError`: not in this state.
    InvalidStateError,
}

/// `RTCErrorDetailType` of the W3C specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorDetail {
    /// `data-channel-failure`
    DataChannelFailure,
    /// `dtls-failure`
    DtlsFailure,
    /// `fingerprint-failure`
    FingerprintFailure,
    /// `sctp-failure`
    SctpFailure,
}

/// Why [`SecureTransport::start`](crate::SecureTransport::start) refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It has been started before.
    AlreadyStarted,
    /// It is closed.
    Closed,
    /// There is no fingerprint to check the peer's certificate against.
    NoFingerprint,
    /// An SCTP port is 0.
    InvalidPort,
    /// The DTLS library refuses the configuration, or the private key of the certificate.
    Unusable,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyStarted => "the transport has been started already",
            Self::Closed => "the transport is closed",
            Self::NoFingerprint => "there is no fingerprint to check the peer's certificate against",
            Self::InvalidPort => "an SCTP port is 0",
            Self::Unusable => "the DTLS library refuses the configuration or the private key",
        })
    }
}

impl std::error::Error for StartError {}

/// Why a channel was not created. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CreateDataChannelError {
    /// The label is longer than 65535 bytes in UTF-8.
    LabelTooLong,
    /// The protocol is longer than 65535 bytes in UTF-8.
    ProtocolTooLong,
    /// The id of a negotiated channel is 65535.
    InvalidId,
    /// The lifetime of packets exceeds what the establishment protocol can express, 2^32 - 1 ms.
    LifetimeTooLong,
    /// The id of a negotiated channel is in use, or its last owner is not yet closed on both sides.
    IdInUse,
    /// There are as many channels as permitted, or no id is left.
    TooManyChannels,
    /// The transport is closed or has failed.
    Closed,
}

impl CreateDataChannelError {
    /// The exception of the W3C specification.
    #[must_use]
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::LabelTooLong | Self::ProtocolTooLong | Self::InvalidId | Self::LifetimeTooLong => {
                ErrorKind::TypeError
            }
            Self::IdInUse | Self::TooManyChannels => ErrorKind::OperationError,
            Self::Closed => ErrorKind::InvalidStateError,
        }
    }
}

impl fmt::Display for CreateDataChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LabelTooLong => "the label is longer than 65535 bytes",
            Self::ProtocolTooLong => "the protocol is longer than 65535 bytes",
            Self::InvalidId => "the id 65535 is not permitted",
            Self::LifetimeTooLong => "the lifetime of packets is longer than 2^32 - 1 ms",
            Self::IdInUse => "the id is in use",
            Self::TooManyChannels => "there are as many channels as permitted",
            Self::Closed => "the transport is closed",
        })
    }
}

impl std::error::Error for CreateDataChannelError {}

/// Why a message was not taken. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such channel (any more).
    UnknownChannel,
    /// The channel is closing or closed.
    NotOpen,
    /// The message is larger than the peer accepts or we send.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The buffer of the channel is full. [`SecureEvent::Writable`](crate::SecureEvent::Writable) tells when there is room again.
    BufferFull,
}

impl SendError {
    /// The exception of the W3C specification.
    #[must_use]
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::UnknownChannel | Self::NotOpen => ErrorKind::InvalidStateError,
            Self::TooLarge { .. } => ErrorKind::TypeError,
            Self::BufferFull => ErrorKind::OperationError,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownChannel => f.write_str("there is no such channel"),
            Self::NotOpen => f.write_str("the channel is closing or closed"),
            Self::TooLarge { limit } => write!(f, "the message is larger than {limit} bytes"),
            Self::BufferFull => f.write_str("the buffer of the channel is full"),
        }
    }
}

impl std::error::Error for SendError {}

/// There is no such channel (any more).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownChannel;

impl fmt::Display for UnknownChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such channel")
    }
}

impl std::error::Error for UnknownChannel {}

/// Why the whole transport has failed. Sticky: see [`SecureTransport::failure`](crate::SecureTransport::failure).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SecureError {
    /// The peer's certificate matches no fingerprint of the remote description.
    FingerprintMismatch,
    /// The DTLS handshake or the session failed.
    Dtls(DtlsFailure),
    /// As many records as configured were sent with random nonces (DTLS 1.2 with AES-GCM): see `gcm_record_limit`.
    NonceLimit {
        /// The configured number of records.
        records: u64,
    },
}

impl SecureError {
    /// The detail of the W3C specification.
    #[must_use]
    pub fn detail(&self) -> ErrorDetail {
        match self {
            Self::FingerprintMismatch => ErrorDetail::FingerprintFailure,
            Self::Dtls(_) | Self::NonceLimit { .. } => ErrorDetail::DtlsFailure,
        }
    }

    /// The number of the alert that the peer sent, if one ended the session.
    #[must_use]
    pub fn received_alert(&self) -> Option<u8> {
        match self {
            Self::Dtls(failure) => failure.received_alert,
            Self::FingerprintMismatch | Self::NonceLimit { .. } => None,
        }
    }
}

impl fmt::Display for SecureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FingerprintMismatch => {
                f.write_str("the peer's certificate matches no fingerprint of its description")
            }
            Self::Dtls(failure) => failure.fmt(f),
            Self::NonceLimit { records } => write!(f, "{records} records were sent with random nonces"),
        }
    }
}

impl std::error::Error for SecureError {}

/// Why DTLS failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DtlsFailure {
    /// The number of the alert that the peer sent, if one is the cause.
    pub received_alert: Option<u8>,
    /// In words.
    pub reason: String,
}

impl fmt::Display for DtlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.received_alert {
            Some(alert) => write!(f, "{} (alert {alert})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Why the SCTP association ended, other than by [`SecureTransport::close`](crate::SecureTransport::close).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SctpFailure {
    /// The cause code of the ABORT that was received or sent (RFC 9260 §3.3.10).
    pub cause_code: Option<u16>,
    /// What happened.
    pub reason: SctpFailureReason,
}

/// What ended the SCTP association.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SctpFailureReason {
    /// The peer sent an ABORT: it was closed, or found fault with us.
    AbortedByPeer,
    /// The peer shut the association down in order.
    ShutDownByPeer,
    /// The peer has lost the association and set up a new one (RFC 9260 §5.2.4.1).
    PeerRestarted,
    /// The peer violated a rule of SCTP, sent a message larger than permitted, or left no room to complete one. It has been sent an ABORT.
    PeerMisbehaved,
    /// The peer did not answer INIT or COOKIE ECHO within [`handshake_timeout`](crate::SecureTransportConfig::handshake_timeout): it speaks DTLS, but perhaps no SCTP.
    SetUpTimedOut,
    /// Nothing that was sent to the peer was acknowledged. Only if such a limit was set.
    PeerUnreachable,
    /// DTLS underneath ended, by the peer's close_notify or by failure.
    TransportClosed,
}

impl fmt::Display for SctpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            SctpFailureReason::AbortedByPeer => "the peer aborted the association",
            SctpFailureReason::ShutDownByPeer => "the peer shut the association down",
            SctpFailureReason::PeerRestarted => "the peer has restarted",
            SctpFailureReason::PeerMisbehaved => "the peer violated the protocol",
            SctpFailureReason::SetUpTimedOut => "the peer did not answer the set-up in time",
            SctpFailureReason::PeerUnreachable => "the peer acknowledges nothing",
            SctpFailureReason::TransportClosed => "the DTLS transport was closed",
        })
    }
}

/// Why a channel was closed against the application's will.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ChannelFailure {
    /// The association ended.
    Sctp(SctpFailure),
    /// The peer opened a channel of its own on the stream of this one.
    StreamReused,
    /// The negotiated number of streams does not reach the id of the channel.
    IdBeyondNegotiatedStreams,
    /// No id was left for the channel.
    NoIdLeft,
    /// The peer sent a message in pieces (deprecated, RFC 8831 §6.6) that is larger than permitted.
    MessageTooLarge,
}

impl ChannelFailure {
    /// The detail of the W3C specification.
    #[must_use]
    pub fn detail(&self) -> ErrorDetail {
        match self {
            Self::Sctp(_) => ErrorDetail::SctpFailure,
            Self::StreamReused | Self::IdBeyondNegotiatedStreams | Self::NoIdLeft | Self::MessageTooLarge => {
                ErrorDetail::DataChannelFailure
            }
        }
    }

    /// The cause code of an SCTP ABORT, if one is the cause.
    #[must_use]
    pub fn sctp_cause_code(&self) -> Option<u16> {
        match self {
            Self::Sctp(failure) => failure.cause_code,
            Self::StreamReused | Self::IdBeyondNegotiatedStreams | Self::NoIdLeft | Self::MessageTooLarge => None,
        }
    }
}

impl fmt::Display for ChannelFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sctp(failure) => failure.fmt(f),
            Self::StreamReused => f.write_str("the peer opened another channel on the same stream"),
            Self::IdBeyondNegotiatedStreams => f.write_str("the id lies beyond the negotiated number of streams"),
            Self::NoIdLeft => f.write_str("no id was left for the channel"),
            Self::MessageTooLarge => f.write_str("the peer sent a message in pieces that is too large"),
        }
    }
}

impl std::error::Error for ChannelFailure {}
