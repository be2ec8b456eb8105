//! The typed description: a session and its media sections.

use std::str::FromStr;

use crate::attribute::{Attribute, Bandwidth, Connection, Group, Origin, SourceLine, TransportAttributes};
use crate::candidate::Candidate;
use crate::error::SdpError;
use crate::sctp_init::SctpInit;
use crate::tokens::{Direction, IcePacing, MaxMessageSize, Mid, Protocol, SctpPort, Text, Token};

/// A session description in typed form.
///
/// What WebRTC gives a meaning to has a field; all other attributes are kept in order. The lines `i=`, `u=`, `e=`,
/// `p=`, `t=`, `r=`, `z=` and `k=` are checked and dropped (JSEP §5.8.1); `t=0 0` is written. An attribute at a level
/// at which it has no meaning is dropped as well, and so is a fingerprint with an unknown hash function beside one
/// that is known, and a candidate with an address that is not recognized (RFC 8839 §5.1).
///
/// Writing and parsing again gives an equal value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    /// `o=`
    pub origin: Origin,
    /// `s=`
    pub session_name: Text,
    /// `c=`
    pub connection: Option<Connection>,
    /// `b=`
    pub bandwidths: Vec<Bandwidth>,
    /// `a=group`, at most [`MAX_GROUPS`](crate::limits::MAX_GROUPS)
    pub groups: Vec<Group>,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// `a=ice-pacing`
    pub ice_pacing: Option<IcePacing>,
    /// ICE and DTLS attributes that apply to every section without its own.
    pub transport: TransportAttributes,
    /// The direction that applies to every section without its own.
    pub direction: Option<Direction>,
    /// `a=end-of-candidates` for every section (RFC 8840 §4.1)
    pub end_of_candidates: bool,
    /// All other attributes in order.
    pub attributes: Vec<Attribute>,
    /// The sections, at most [`MAX_MEDIA_SECTIONS`](crate::limits::MAX_MEDIA_SECTIONS), with at most
    /// [`MAX_CANDIDATES_IN_DESCRIPTION`](crate::limits::MAX_CANDIDATES_IN_DESCRIPTION) candidates in all.
    pub media: Vec<MediaDescription>,
    pub(crate) group_line: SourceLine,
}

impl SessionDescription {
    /// A description without sections: `v=0`, the origin, `s=-`, `t=0 0`.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            session_name: Text::dash(),
            connection: None,
            bandwidths: Vec::new(),
            groups: Vec::new(),
            ice_lite: false,
            ice_pacing: None,
            transport: TransportAttributes::default(),
            direction: None,
            end_of_candidates: false,
            attributes: Vec::new(),
            media: Vec::new(),
            group_line: SourceLine::default(),
        }
    }

    /// Parses a description. Line ends may be CRLF or LF.
    ///
    /// # Errors
    ///
    /// The first line found that is not well-formed or goes beyond the [`limits`](crate::limits). What the
    /// description means is checked when it is applied.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        crate::parse::parse(text)
    }

    /// The candidates of all sections.
    pub(crate) fn candidate_count(&self) -> usize {
        self.media.iter().map(|section| section.candidates.len()).sum()
    }
}

impl FromStr for SessionDescription {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        Self::parse(text)
    }
}

/// The media type of an `m=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `application`
    Application,
    /// `text`, `message`, `image`, …
    Other(Token),
}

impl MediaKind {
    /// The name on the `m=` line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other(name) => name.as_str(),
        }
    }
}

/// The formats of an `m=` line, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats {
    first: Token,
    rest: Vec<Token>,
}

impl Formats {
    /// The first format and all others.
    #[must_use]
    pub fn new(first: Token, rest: Vec<Token>) -> Self {
        Self { first, rest }
    }

    /// The formats in order.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

/// One section: an `m=` line and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaDescription {
    /// The media type.
    pub kind: MediaKind,
    /// The port; 0 disables the section unless it is `bundle-only` and bundled (RFC 9143 §6). A port count is dropped.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The formats.
    pub formats: Formats,
    /// The first `c=`; others, which mean multicast, are dropped.
    pub connection: Option<Connection>,
    /// `b=`
    pub bandwidths: Vec<Bandwidth>,
    /// `a=mid`
    pub mid: Option<Mid>,
    /// `a=sendrecv`, `a=sendonly`, `a=recvonly` or `a=inactive`
    pub direction: Option<Direction>,
    /// `a=bundle-only`
    pub bundle_only: bool,
    /// `a=rtcp-mux`
    pub rtcp_mux: bool,
    /// ICE and DTLS attributes of the section itself.
    pub transport: TransportAttributes,
    /// `a=candidate`, at most [`MAX_CANDIDATES`](crate::limits::MAX_CANDIDATES)
    pub candidates: Vec<Candidate>,
    /// `a=end-of-candidates`
    pub end_of_candidates: bool,
    /// `a=sctp-port`
    pub sctp_port: Option<SctpPort>,
    /// `a=max-message-size`; absent means 64 KiB.
    pub max_message_size: Option<MaxMessageSize>,
    /// `a=sctp-init`
    pub sctp_init: Option<SctpInit>,
    /// All other attributes in order: `rtpmap`, `fmtp`, `ssrc`, `msid`, `extmap`, `simulcast`, …
    pub attributes: Vec<Attribute>,
    pub(crate) line: SourceLine,
}

impl MediaDescription {
    /// A section without attributes, with port 9 and `c=IN IP4 0.0.0.0` (RFC 8840 §4.1.1).
    #[must_use]
    pub fn new(kind: MediaKind, protocol: Protocol, formats: Formats) -> Self {
        Self {
            kind,
            port: DISCARD_PORT,
            protocol,
            formats,
            connection: Some(Connection::unspecified()),
            bandwidths: Vec::new(),
            mid: None,
            direction: None,
            bundle_only: false,
            rtcp_mux: false,
            transport: TransportAttributes::default(),
            candidates: Vec::new(),
            end_of_candidates: false,
            sctp_port: None,
            max_message_size: None,
            sctp_init: None,
            attributes: Vec::new(),
            line: SourceLine::default(),
        }
    }

    /// `m=application 9 UDP/DTLS/SCTP webrtc-datachannel` (RFC 8841 §4).
    #[must_use]
    pub fn data(mid: Option<Mid>) -> Self {
        let formats = Formats::new(Token::webrtc_datachannel(), Vec::new());
        let mut section = Self::new(MediaKind::Application, Protocol::udp_dtls_sctp(), formats);
        section.mid = mid;
        section
    }

    /// Whether the section is for data channels: SCTP over DTLS with the format `webrtc-datachannel` (RFC 8841 §4.3).
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.kind == MediaKind::Application
            && matches!(self.protocol.as_str(), "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP")
            && self.formats.first.as_str() == "webrtc-datachannel"
    }
}

/// The port of a section whose candidates are not known yet (RFC 8840 §4.1.1).
pub(crate) const DISCARD_PORT: u16 = 9;
