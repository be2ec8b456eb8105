//! Text to typed description: the grammar of `sdp-types`, then the attributes.

use std::str::FromStr;

use sdp_types::ParserError;

use crate::attribute::{Attribute, Bandwidth, Connection, Group, Origin, SourceLine, TransportAttributes, is_typed};
use crate::candidate::Candidate;
use crate::error::{SdpError, ValueError};
use crate::fingerprint::{Fingerprint, ParsedFingerprint};
use crate::limits::{MAX_CANDIDATES, MAX_CANDIDATES_IN_DESCRIPTION, MAX_FINGERPRINTS, MAX_FORMATS, MAX_GROUPS};
use crate::scan::{Lines, SectionLines, scan};
use crate::session::{Formats, MediaDescription, MediaKind, SessionDescription};
use crate::tokens::{Direction, Mid, Protocol, Text, Token, words};

pub(crate) fn parse(text: &str) -> Result<SessionDescription, SdpError> {
    let lines = scan(text)?;
    let grammar = sdp_types::Session::parse(text.as_bytes()).map_err(|error| grammar_error(&error))?;
    let (mut description, unknown) = parse_session(&grammar, &lines)?;
    for (media, lines) in grammar.medias.iter().zip(&lines.media) {
        let section = parse_media(media, lines, unknown.as_ref(), description.candidate_count())?;
        description.media.push(section);
    }
    Ok(description)
}

/// The session part, and the error that its fingerprints are to a section that depends on them.
fn parse_session(
    grammar: &sdp_types::Session,
    lines: &Lines,
) -> Result<(SessionDescription, Option<SdpError>), SdpError> {
    let origin = Origin::from_grammar(&grammar.origin).map_err(at(lines.session.origin.unwrap_or(1)))?;
    let mut description = SessionDescription::new(origin);
    description.session_name = Text::new(&grammar.session_name).map_err(at(lines.session.name.unwrap_or(1)))?;
    description.connection = grammar.connection.as_ref().map(Connection::from_grammar);
    description.bandwidths = parse_bandwidths(&grammar.bandwidths, &lines.session)?;
    let mut transport = TransportParser::default();
    for attribute in attribute_lines(&grammar.attributes, &lines.session) {
        if !transport.take(attribute)? {
            parse_session_attribute(&mut description, attribute)?;
        }
    }
    let (transport, unknown) = transport.finish();
    description.transport = transport;
    Ok((description, unknown))
}

fn parse_session_attribute(description: &mut SessionDescription, attribute: AttributeLine<'_>) -> Result<(), SdpError> {
    let line = attribute.line;
    match attribute.name {
        "group" if description.groups.len() >= MAX_GROUPS => {
            return Err(SdpError::too_many(line, "groups", MAX_GROUPS));
        }
        "group" => {
            description.group_line.0.get_or_insert(line);
            description.groups.push(attribute.parse()?);
        }
        "ice-lite" => description.ice_lite = true,
        "ice-pacing" => attribute.parse_once(&mut description.ice_pacing, "a=ice-pacing")?,
        "end-of-candidates" => description.end_of_candidates = true,
        _ => attribute.keep(&mut description.direction, &mut description.attributes)?,
    }
    Ok(())
}

fn parse_media(
    grammar: &sdp_types::Media,
    lines: &SectionLines,
    unknown_in_session: Option<&SdpError>,
    earlier_candidates: usize,
) -> Result<MediaDescription, SdpError> {
    let mut section = parse_media_line(grammar, lines.start)?;
    section.connection = grammar.connections.first().map(Connection::from_grammar);
    section.bandwidths = parse_bandwidths(&grammar.bandwidths, lines)?;
    let mut transport = TransportParser::default();
    for attribute in attribute_lines(&grammar.attributes, lines) {
        if !transport.take(attribute)? {
            parse_media_attribute(&mut section, attribute, earlier_candidates)?;
        }
    }
    let has_own = transport.fingerprint_lines > 0;
    let (transport, unknown) = transport.finish();
    section.transport = transport;
    // RFC 8122 §5: the session level applies where the section has no fingerprint of its own.
    match unknown.or_else(|| unknown_in_session.filter(|_| !has_own).cloned()) {
        Some(error) => Err(error),
        None => Ok(section),
    }
}

fn parse_media_line(grammar: &sdp_types::Media, line: usize) -> Result<MediaDescription, SdpError> {
    let kind = match grammar.media.as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        "application" => MediaKind::Application,
        name => MediaKind::Other(Token::new(name).map_err(at(line))?),
    };
    let protocol = Protocol::new(&grammar.proto).map_err(at(line))?;
    let formats: Vec<&str> = words(&grammar.fmt).take(MAX_FORMATS + 1).collect();
    if formats.len() > MAX_FORMATS {
        return Err(SdpError::too_many(line, "media formats", MAX_FORMATS));
    }
    let mut formats = formats.into_iter().map(Token::new);
    let missing = || Err(ValueError::missing("media format"));
    let first = formats.next().unwrap_or_else(missing).map_err(at(line))?;
    let rest = formats.collect::<Result<_, _>>().map_err(at(line))?;
    let mut section = MediaDescription::new(kind, protocol, Formats::new(first, rest));
    section.port = grammar.port;
    section.line = SourceLine(Some(line));
    Ok(section)
}

fn parse_media_attribute(
    section: &mut MediaDescription,
    attribute: AttributeLine<'_>,
    earlier_candidates: usize,
) -> Result<(), SdpError> {
    match attribute.name {
        "candidate" => parse_candidate(section, attribute, earlier_candidates)?,
        "end-of-candidates" => section.end_of_candidates = true,
        "mid" => attribute.parse_once::<Mid>(&mut section.mid, "a=mid")?,
        "bundle-only" => section.bundle_only = true,
        "rtcp-mux" => section.rtcp_mux = true,
        "sctp-port" => attribute.parse_once(&mut section.sctp_port, "a=sctp-port")?,
        "max-message-size" => {
            attribute.parse_once(&mut section.max_message_size, "a=max-message-size")?;
        }
        "sctp-init" => attribute.parse_once(&mut section.sctp_init, "a=sctp-init")?,
        _ => attribute.keep(&mut section.direction, &mut section.attributes)?,
    }
    Ok(())
}

fn parse_candidate(
    section: &mut MediaDescription,
    attribute: AttributeLine<'_>,
    earlier_candidates: usize,
) -> Result<(), SdpError> {
    let line = attribute.line;
    let candidate: Candidate = match attribute.text().parse() {
        Ok(candidate) => candidate,
        // RFC 8839 §5.1: lines with an address that is not recognized MUST be ignored.
        Err(error) if error.is_unrecognized_address() => return Ok(()),
        Err(error) => return Err(SdpError::value(line, error)),
    };
    let own = section.candidates.len();
    if own >= MAX_CANDIDATES {
        return Err(SdpError::too_many(line, "candidates", MAX_CANDIDATES));
    }
    if earlier_candidates + own >= MAX_CANDIDATES_IN_DESCRIPTION {
        return Err(SdpError::too_many(line, "candidates in all sections", MAX_CANDIDATES_IN_DESCRIPTION));
    }
    section.candidates.push(candidate);
    Ok(())
}

/// An `a=` line.
#[derive(Clone, Copy)]
struct AttributeLine<'a> {
    line: usize,
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> AttributeLine<'a> {
    /// The value; spaces at its end are forgiven.
    fn text(self) -> &'a str {
        self.value.unwrap_or_default().trim_end_matches(' ')
    }

    /// The value as a typed one.
    fn parse<T: FromStr<Err = ValueError>>(self) -> Result<T, SdpError> {
        self.text().parse().map_err(at(self.line))
    }

    fn parse_once<T: FromStr<Err = ValueError>>(
        self,
        field: &mut Option<T>,
        what: &'static str,
    ) -> Result<(), SdpError> {
        match field.replace(self.parse()?) {
            None => Ok(()),
            Some(_) => Err(SdpError::duplicate(self.line, what)),
        }
    }

    /// A direction, an attribute without a typed field, or one that means nothing at this level and is dropped.
    fn keep(self, direction: &mut Option<Direction>, attributes: &mut Vec<Attribute>) -> Result<(), SdpError> {
        if let Some(found) = Direction::from_attribute(self.name) {
            return match direction.replace(found) {
                None => Ok(()),
                Some(_) => Err(SdpError::duplicate(self.line, "direction attribute")),
            };
        }
        if !is_typed(self.name) {
            let attribute = Attribute::new(self.name, self.value).map_err(at(self.line))?;
            attributes.push(attribute);
        }
        Ok(())
    }
}

/// Pairs attributes with their lines: both lists hold every `a=` line of the section in order.
fn attribute_lines<'a>(
    attributes: &'a [sdp_types::Attribute],
    lines: &'a SectionLines,
) -> impl Iterator<Item = AttributeLine<'a>> {
    let pairs = attributes.iter().zip(&lines.attributes);
    pairs.map(|(attribute, line)| AttributeLine {
        line: *line,
        name: &attribute.attribute,
        value: attribute.value.as_deref(),
    })
}

/// Gathers the transport attributes of a section or of the session.
#[derive(Default)]
struct TransportParser {
    attributes: TransportAttributes,
    has_ice_options: bool,
    fingerprint_lines: usize,
    unknown_fingerprint: Option<SdpError>,
}

impl TransportParser {
    /// Takes the attribute if it is one of transport.
    fn take(&mut self, attribute: AttributeLine<'_>) -> Result<bool, SdpError> {
        let fields = &mut self.attributes;
        match attribute.name {
            "ice-ufrag" => {
                attribute.parse_once(&mut fields.username_fragment, "a=ice-ufrag")?;
            }
            "ice-pwd" => attribute.parse_once(&mut fields.password, "a=ice-pwd")?,
            "ice-options" => {
                if std::mem::replace(&mut self.has_ice_options, true) {
                    return Err(SdpError::duplicate(attribute.line, "a=ice-options"));
                }
                fields.ice_options = attribute.parse()?;
            }
            "fingerprint" => self.take_fingerprint(attribute)?,
            "setup" => attribute.parse_once(&mut fields.setup, "a=setup")?,
            "tls-id" => attribute.parse_once(&mut fields.tls_id, "a=tls-id")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_fingerprint(&mut self, attribute: AttributeLine<'_>) -> Result<(), SdpError> {
        let line = attribute.line;
        if self.fingerprint_lines >= MAX_FINGERPRINTS {
            return Err(SdpError::too_many(line, "fingerprints", MAX_FINGERPRINTS));
        }
        self.fingerprint_lines += 1;
        match Fingerprint::parse_value(attribute.value.unwrap_or_default()).map_err(at(line))? {
            ParsedFingerprint::Known(fingerprint) => {
                self.attributes.fingerprints.push(fingerprint);
            }
            // RFC 8122 §5.1: of several hash functions, those that are known are used.
            ParsedFingerprint::UnknownAlgorithm(error) => {
                let error = SdpError::value(line, error);
                self.unknown_fingerprint.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// The attributes, and an error if there are fingerprints but none with a known hash function.
    fn finish(self) -> (TransportAttributes, Option<SdpError>) {
        let known = !self.attributes.fingerprints.is_empty();
        let unknown = self.unknown_fingerprint.filter(|_| !known);
        (self.attributes, unknown)
    }
}

fn parse_bandwidths(bandwidths: &[sdp_types::Bandwidth], lines: &SectionLines) -> Result<Vec<Bandwidth>, SdpError> {
    let pairs = bandwidths.iter().zip(&lines.bandwidths);
    pairs
        .map(|(bandwidth, line)| {
            let kind = Token::new(&bandwidth.bwtype).map_err(at(*line))?;
            let value = bandwidth.bandwidth;
            Ok(Bandwidth { kind, value })
        })
        .collect()
}

impl FromStr for Group {
    type Err = ValueError;

    /// RFC 5888 §5: `group-attribute = "a=group:" semantics *(SP identification-tag)`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut words = words(text);
        let semantics = words.next().unwrap_or_default();
        Ok(Self { semantics: Token::new(semantics)?, mids: words.map(Mid::new).collect::<Result<_, _>>()? })
    }
}

fn at(line: usize) -> impl Fn(ValueError) -> SdpError {
    move |error| SdpError::value(line, error)
}

/// What the grammar found, with the line it names.
fn grammar_error(error: &ParserError) -> SdpError {
    match error {
        ParserError::InvalidLineFormat(line, _) => SdpError::malformed(*line, "<type>=<value>"),
        ParserError::InvalidFieldEncoding(line, field)
        | ParserError::InvalidFieldFormat(line, field)
        | ParserError::MissingField(line, field) => SdpError::malformed(*line, field),
        ParserError::FieldTrailingData(line, _) => SdpError::malformed(*line, "nothing after the last field"),
        ParserError::InvalidVersion(line, _) => SdpError::malformed(*line, "v=0"),
        ParserError::MultipleVersions(line) => SdpError::duplicate(*line, "v= line"),
        ParserError::MultipleOrigins(line) => SdpError::duplicate(*line, "o= line"),
        ParserError::MultipleSessionNames(line) => SdpError::duplicate(*line, "s= line"),
        ParserError::MultipleSessionDescription(line) | ParserError::MultipleMediaTitles(line) => {
            SdpError::duplicate(*line, "i= line")
        }
        ParserError::MultipleUris(line) => SdpError::duplicate(*line, "u= line"),
        ParserError::MultipleConnections(line) => SdpError::duplicate(*line, "c= line"),
        ParserError::MultipleTimeZones(line) => SdpError::duplicate(*line, "z= line"),
        ParserError::MultipleKeys(line) => SdpError::duplicate(*line, "k= line"),
        ParserError::RepeatWithoutTime(line) => SdpError::malformed(*line, "a t= line before r="),
        // `NoVersion`: the first line is something else.
        _ => SdpError::malformed(1, "v=0"),
    }
}
