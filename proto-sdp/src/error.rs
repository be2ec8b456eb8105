//! What can be wrong with a description: a value, a line, its content, or the moment it is applied.

use std::error::Error;
use std::fmt;

use crate::description_type::{SdpType, SignalingState};
use crate::tokens::{Mid, Setup};

/// The longest excerpt of the input that an error quotes, in characters.
const EXCERPT: usize = 48;

/// One value does not follow its grammar.
///
/// Shown as, for example, `ice-ufrag has 3 characters, expected 4 to 256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    field: &'static str,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Missing,
    Length { length: usize, minimum: usize, maximum: usize },
    OutOfRange { found: String, minimum: u64, maximum: u64 },
    Unexpected { found: String, expected: &'static str },
    UnrecognizedAddress { found: String, expected: &'static str },
    Reserved,
}

impl ValueError {
    pub(crate) fn missing(field: &'static str) -> Self {
        Self { field, problem: Problem::Missing }
    }

    pub(crate) fn length(field: &'static str, length: usize, minimum: usize, maximum: usize) -> Self {
        Self { field, problem: Problem::Length { length, minimum, maximum } }
    }

    pub(crate) fn out_of_range(field: &'static str, found: &str, minimum: u64, maximum: u64) -> Self {
        Self { field, problem: Problem::OutOfRange { found: excerpt(found), minimum, maximum } }
    }

    pub(crate) fn unexpected(field: &'static str, found: &str, expected: &'static str) -> Self {
        Self { field, problem: Problem::Unexpected { found: excerpt(found), expected } }
    }

    /// The address is of a kind that is not known, which is no mistake of its sender.
    pub(crate) fn unrecognized_address(field: &'static str, found: &str, expected: &'static str) -> Self {
        Self { field, problem: Problem::UnrecognizedAddress { found: excerpt(found), expected } }
    }

    pub(crate) fn is_unrecognized_address(&self) -> bool {
        matches!(self.problem, Problem::UnrecognizedAddress { .. })
    }

    /// The attribute has a typed field and is not written as a plain attribute.
    pub(crate) fn reserved(field: &'static str) -> Self {
        Self { field, problem: Problem::Reserved }
    }

    /// The field that is wrong, as the grammar names it: `ice-ufrag`, `candidate port`, …
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match &self.problem {
            Problem::Missing => write!(formatter, "{field} is missing"),
            Problem::Length { length, minimum, maximum } => {
                write!(formatter, "{field} has {length} characters, expected {minimum} to {maximum}")
            }
            Problem::OutOfRange { found, minimum, maximum } => {
                write!(formatter, "{field} is {found}, expected a number from {minimum} to {maximum}")
            }
            Problem::Unexpected { found, expected } | Problem::UnrecognizedAddress { found, expected } => {
                write!(formatter, "{field} is {found:?}, expected {expected}")
            }
            Problem::Reserved => write!(formatter, "{field} has a typed field, expected it to be set there"),
        }
    }
}

impl Error for ValueError {}

/// A description is not well-formed (`sdp-syntax-error` of the W3C).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpError {
    line: usize,
    kind: SdpErrorKind,
}

/// What is wrong with the line that an [`SdpError`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpErrorKind {
    /// The description is longer than [`MAX_DESCRIPTION_BYTES`](crate::limits::MAX_DESCRIPTION_BYTES);
    /// the line is the one in which it passes that limit.
    DescriptionTooLong {
        /// Length of the description in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The line is longer than [`MAX_LINE_BYTES`](crate::limits::MAX_LINE_BYTES).
    LineTooLong {
        /// Length of the line in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There are more of these than [`limits`](crate::limits) allow; the line is the first one too many.
    TooMany {
        /// What there are too many of, in the plural.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The line does not follow the grammar of RFC 8866.
    Malformed {
        /// What was expected there.
        expected: &'static str,
    },
    /// A line or attribute that may stand only once in its section stands there a second time.
    Duplicate {
        /// The line or attribute, without its value.
        what: &'static str,
    },
    /// A value on the line does not follow its grammar.
    Value(ValueError),
}

impl SdpError {
    pub(crate) fn new(line: usize, kind: SdpErrorKind) -> Self {
        Self { line, kind }
    }

    pub(crate) fn value(line: usize, error: ValueError) -> Self {
        Self::new(line, SdpErrorKind::Value(error))
    }

    pub(crate) fn malformed(line: usize, expected: &'static str) -> Self {
        Self::new(line, SdpErrorKind::Malformed { expected })
    }

    pub(crate) fn too_many(line: usize, what: &'static str, limit: usize) -> Self {
        Self::new(line, SdpErrorKind::TooMany { what, limit })
    }

    pub(crate) fn duplicate(line: usize, what: &'static str) -> Self {
        Self::new(line, SdpErrorKind::Duplicate { what })
    }

    /// The line, counted from 1 (`sdpLineNumber` of the W3C's `RTCError`).
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong with it.
    #[must_use]
    pub fn kind(&self) -> &SdpErrorKind {
        &self.kind
    }
}

impl fmt::Display for SdpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: ", self.line)?;
        match &self.kind {
            SdpErrorKind::DescriptionTooLong { length, limit } => {
                write!(formatter, "the description has {length} bytes, expected at most {limit}")
            }
            SdpErrorKind::LineTooLong { length, limit } => {
                write!(formatter, "the line has {length} bytes, expected at most {limit}")
            }
            SdpErrorKind::TooMany { what, limit } => {
                write!(formatter, "too many {what}, expected at most {limit}")
            }
            SdpErrorKind::Malformed { expected } => {
                write!(formatter, "malformed, expected {expected}")
            }
            SdpErrorKind::Duplicate { what } => {
                write!(formatter, "a second {what}, expected at most one in the section")
            }
            SdpErrorKind::Value(error) => error.fmt(formatter),
        }
    }
}

impl Error for SdpError {}

/// A well-formed description says something that cannot be applied (`InvalidAccessError` of the W3C).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentError {
    line: usize,
    kind: ContentErrorKind,
}

/// What is wrong with the section or group whose line a [`ContentError`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentErrorKind {
    /// Every section of a first offer is disabled (port 0 without a usable `bundle-only`).
    NothingToAccept,
    /// No `a=ice-ufrag` applies to the data section.
    MissingUsernameFragment,
    /// No `a=ice-pwd` applies to the data section.
    MissingPassword,
    /// No `a=fingerprint` with a known hash function applies to the data section.
    MissingFingerprint,
    /// No `a=setup` applies to the data section.
    MissingSetup,
    /// The `a=setup` value is not one that this type of description may carry.
    UnsuitableSetup {
        /// The value found.
        found: Setup,
        /// The values allowed.
        expected: &'static str,
    },
    /// The data section has no `a=sctp-port`.
    MissingSctpPort,
    /// Two sections have the same mid.
    DuplicateMid(Mid),
    /// A mid is listed in two BUNDLE groups, or twice in one.
    DuplicateGroupMember(Mid),
    /// A BUNDLE group lists a mid that no section has.
    UnknownGroupMember(Mid),
    /// The answer bundles a section that the offer did not bundle with it.
    BundleNotOffered(Mid),
    /// The number of sections is not that of the offer, or below that of an earlier description.
    SectionCount {
        /// Sections required.
        expected: usize,
        /// Sections found.
        found: usize,
    },
    /// The section's media type differs from the corresponding one.
    MediaTypeChanged,
    /// The section's transport protocol differs from the corresponding one.
    ProtocolChanged,
    /// The data section's formats differ from the offered ones.
    FormatsChanged,
    /// The section's mid differs from the corresponding one.
    MidChanged,
    /// The answer accepts a section that the offer disabled.
    AcceptsDisabled,
    /// The answer to an offer that restarted ICE kept the old credentials, or the other way round.
    IceRestartMismatch {
        /// Whether the offer restarted ICE.
        offered: bool,
    },
    /// The DTLS role, fingerprints or tls-id change without an ICE restart.
    DtlsChangeWithoutIceRestart,
}

impl ContentError {
    pub(crate) fn new(line: usize, kind: ContentErrorKind) -> Self {
        Self { line, kind }
    }

    /// The line of the section (`m=`) or group, counted from 1.
    ///
    /// For a description that was built and not parsed, this is its line in the written form.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong with it.
    #[must_use]
    pub fn kind(&self) -> &ContentErrorKind {
        &self.kind
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ContentErrorKind as Kind;
        write!(formatter, "line {}: ", self.line)?;
        match &self.kind {
            Kind::NothingToAccept => formatter.write_str(
                "every section is disabled (port 0), expected at least one with a port or bundle-only in a group",
            ),
            Kind::MissingUsernameFragment => missing(formatter, "ice-ufrag"),
            Kind::MissingPassword => missing(formatter, "ice-pwd"),
            Kind::MissingFingerprint => missing(formatter, "fingerprint"),
            Kind::MissingSetup => missing(formatter, "setup"),
            Kind::UnsuitableSetup { found, expected } => {
                write!(formatter, "setup is {found}, expected {expected}")
            }
            Kind::MissingSctpPort => formatter.write_str("the data section has no a=sctp-port, expected one"),
            Kind::DuplicateMid(mid) => {
                write!(formatter, "mid {mid} is used twice, expected unique mids")
            }
            Kind::DuplicateGroupMember(mid) => {
                write!(formatter, "mid {mid} is listed twice in BUNDLE groups, expected once at most")
            }
            Kind::UnknownGroupMember(mid) => {
                write!(formatter, "the BUNDLE group lists mid {mid}, expected the mid of a section")
            }
            Kind::BundleNotOffered(mid) => {
                write!(formatter, "the answer bundles mid {mid}, expected only what one group of the offer lists")
            }
            Kind::SectionCount { expected, found } => {
                write!(formatter, "{found} media sections, expected {expected} as in the corresponding description")
            }
            Kind::MediaTypeChanged => changed(formatter, "media type"),
            Kind::ProtocolChanged => changed(formatter, "transport protocol"),
            Kind::FormatsChanged => changed(formatter, "format"),
            Kind::MidChanged => changed(formatter, "mid"),
            Kind::AcceptsDisabled => {
                formatter.write_str("the answer accepts a section that the offer disabled, expected port 0")
            }
            Kind::IceRestartMismatch { offered: true } => {
                formatter.write_str("the offer restarts ICE but the answer keeps its credentials, expected new ones")
            }
            Kind::IceRestartMismatch { offered: false } => formatter.write_str(
                "the answer has new ICE credentials but the offer did not restart ICE, expected the old ones",
            ),
            Kind::DtlsChangeWithoutIceRestart => {
                formatter.write_str("DTLS role, fingerprint or tls-id changed, expected an ICE restart with it")
            }
        }
    }
}

impl Error for ContentError {}

fn missing(formatter: &mut fmt::Formatter<'_>, attribute: &str) -> fmt::Result {
    write!(
        formatter,
        "no a={attribute} applies to the section, \
         expected one in it, in its bundle's tagged section or at the session level"
    )
}

fn changed(formatter: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
    write!(formatter, "the {what} of the section changed, expected that of the corresponding section")
}

/// A description was not applied, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DescriptionError {
    /// This type of description cannot be applied, or created, in this state (`InvalidStateError`).
    InvalidState {
        /// The type of the description.
        sdp_type: SdpType,
        /// The state in which it was tried.
        state: SignalingState,
    },
    /// Its content cannot be applied (`InvalidAccessError`).
    InvalidAccess(ContentError),
    /// A local description is not the one last created (`InvalidModificationError`).
    InvalidModification,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidState { sdp_type, state } => {
                write!(formatter, "InvalidStateError: {sdp_type} in signaling state {state}")
            }
            Self::InvalidAccess(error) => write!(formatter, "InvalidAccessError: {error}"),
            Self::InvalidModification => {
                formatter.write_str("InvalidModificationError: the description is not the one last created")
            }
        }
    }
}

impl Error for DescriptionError {}

impl From<ContentError> for DescriptionError {
    fn from(error: ContentError) -> Self {
        Self::InvalidAccess(error)
    }
}

/// A trickled candidate does not belong to a description, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrickleError {
    /// A candidate names neither a mid nor an m-line index (`TypeError`).
    NoTarget,
    /// No description has been applied on that side (`InvalidStateError`).
    NoDescription,
    /// No section has this mid (`OperationError`).
    UnknownMid,
    /// There is no section with this index (`OperationError`).
    UnknownIndex,
    /// The username fragment is not of an applied description (`OperationError`).
    UnknownUsernameFragment,
    /// The section has [`MAX_CANDIDATES`](crate::limits::MAX_CANDIDATES) candidates already, or the description
    /// [`MAX_CANDIDATES_IN_DESCRIPTION`](crate::limits::MAX_CANDIDATES_IN_DESCRIPTION) (`OperationError`).
    TooManyCandidates,
}

impl fmt::Display for TrickleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoTarget => "TypeError: a candidate needs a mid or an m-line index",
            Self::NoDescription => "InvalidStateError: no description has been applied",
            Self::UnknownMid => "OperationError: no section has this mid",
            Self::UnknownIndex => "OperationError: no section has this m-line index",
            Self::UnknownUsernameFragment => "OperationError: no applied description has this username fragment",
            Self::TooManyCandidates => "OperationError: the section or its description has too many candidates",
        })
    }
}

impl Error for TrickleError {}

/// A bounded copy of the input for an error message.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
