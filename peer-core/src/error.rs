//! What can go wrong with a command, an enum for each operation. Whatever the error, nothing has changed.

use std::fmt;

use proto_dtls_sctp::InvalidInitChunk;
use proto_sdp::{ContentError, DescriptionError, SdpError, SdpType, TrickleError, ValueError};

use crate::SignalingState;

/// Why no offer or answer was created.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CreateDescriptionError {
    /// `InvalidStateError`: an answer needs a remote offer, an offer must not meet one, and a closed peer makes neither.
    InvalidState(SignalingState),
    /// `OperationError`: the remote offer lacks what an answer needs.
    Operation(ContentError),
    /// `OperationError`: our own parameters do not fit into a description.
    Parameters(ValueError),
}

impl fmt::Display for CreateDescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidState(state) => write!(f, "InvalidStateError: not in signaling state {state}"),
            Self::Operation(error) => write!(f, "OperationError: {error}"),
            Self::Parameters(error) => write!(f, "OperationError: {error}"),
        }
    }
}

impl std::error::Error for CreateDescriptionError {}

/// Why a description was not set.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SetDescriptionError {
    /// `InvalidStateError`: the peer is closed.
    Closed,
    /// `InvalidStateError`: this type of description cannot be set now.
    InvalidState {
        /// The type.
        sdp_type: SdpType,
        /// The state in which it was tried.
        state: SignalingState,
    },
    /// `RTCError` with `sdp-syntax-error`: the text is malformed. The error names the line.
    Syntax(SdpError),
    /// `InvalidAccessError`: the text is well-formed, but cannot be applied. The error names the line.
    InvalidAccess(ContentError),
    /// `InvalidModificationError`: a local description must be the one last created, unchanged.
    InvalidModification,
    /// `InvalidAccessError`: the certificate is only named by hashes too weak to rely on (SHA-1, SHA-224). Use SHA-256.
    WeakFingerprint,
    /// `OperationError`: it asks for an ICE restart, which is not supported yet. Close this peer and make a new one.
    IceRestart,
    /// `OperationError`: it asks for another DTLS association, which is not supported yet. Close this peer and make a new one.
    DtlsRestart,
    /// `OperationError`: it asks for another SCTP association, which is not supported yet. Close this peer and make a new one.
    SctpRestart,
    /// `InvalidAccessError`: the bytes of `a=sctp-init` are no INIT chunk (draft-hancke-tsvwg-snap-00 §5.3).
    SctpInit(InvalidInitChunk),
    /// Without an argument, no description could be created.
    Create(CreateDescriptionError),
}

impl From<DescriptionError> for SetDescriptionError {
    fn from(error: DescriptionError) -> Self {
        match error {
            DescriptionError::InvalidState { sdp_type, state } => Self::InvalidState { sdp_type, state: state.into() },
            DescriptionError::InvalidAccess(error) => Self::InvalidAccess(error),
            DescriptionError::InvalidModification => Self::InvalidModification,
        }
    }
}

impl fmt::Display for SetDescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("InvalidStateError: the peer is closed"),
            Self::InvalidState { sdp_type, state } => {
                write!(f, "InvalidStateError: {sdp_type} in signaling state {state}")
            }
            Self::Syntax(error) => write!(f, "sdp-syntax-error: {error}"),
            Self::InvalidAccess(error) => write!(f, "InvalidAccessError: {error}"),
            Self::InvalidModification => {
                f.write_str("InvalidModificationError: the description is not the one last created")
            }
            Self::WeakFingerprint => {
                f.write_str("InvalidAccessError: the fingerprints use hash functions that are too weak: use sha-256")
            }
            Self::IceRestart => {
                f.write_str("OperationError: an ICE restart is not supported yet: close this peer and make a new one")
            }
            Self::DtlsRestart => f.write_str(
                "OperationError: another DTLS association is not supported yet: close this peer and make a new one",
            ),
            Self::SctpRestart => f.write_str(
                "OperationError: another SCTP association is not supported yet: close this peer and make a new one",
            ),
            Self::SctpInit(error) => write!(f, "InvalidAccessError: a=sctp-init is {error}"),
            Self::Create(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetDescriptionError {}

/// Why a remote candidate was not added.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AddIceCandidateError {
    /// `InvalidStateError`: the peer is closed.
    Closed,
    /// `TypeError`, `InvalidStateError` or `OperationError`: the candidate belongs to no section of the remote description.
    Target(TrickleError),
    /// `OperationError`: the line is malformed.
    Syntax(ValueError),
}

impl fmt::Display for AddIceCandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("InvalidStateError: the peer is closed"),
            Self::Target(error) => error.fmt(f),
            Self::Syntax(error) => write!(f, "OperationError: {error}"),
        }
    }
}

impl std::error::Error for AddIceCandidateError {}
