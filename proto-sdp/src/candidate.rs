//! The `candidate` attribute (RFC 8839 §5.1, RFC 6544 §4.5).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::ValueError;
use crate::limits::{MAX_CANDIDATE_BYTES, MAX_CANDIDATE_EXTENSIONS, MAX_LINE_BYTES};
use crate::tokens::{
    Foundation, HostName, Token, UsernameFragment, check_token, check_word, number, port_number, words,
};

/// A candidate's component: 1 to 256 (RFC 8839 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentId(u16);

impl ComponentId {
    /// The only component of a data channel transport, and of RTP with RTCP multiplexed.
    pub const ONE: Self = Self(1);

    /// Checks the range.
    ///
    /// # Errors
    ///
    /// The number is not in 1 to 256.
    pub fn new(component: u16) -> Result<Self, ValueError> {
        if !(1..=256).contains(&component) {
            let found = component.to_string();
            return Err(ValueError::out_of_range(COMPONENT, &found, 1, 256));
        }
        Ok(Self(component))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A candidate's priority: 1 to 2^31 - 1 (RFC 8839 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u32);

impl Priority {
    /// The highest priority.
    pub const MAX: u32 = 0x7fff_ffff;

    /// Checks the range.
    ///
    /// # Errors
    ///
    /// The number is not in 1 to 2^31 - 1.
    pub fn new(priority: u32) -> Result<Self, ValueError> {
        if !(1..=Self::MAX).contains(&priority) {
            let found = priority.to_string();
            let maximum = Self::MAX.into();
            return Err(ValueError::out_of_range(PRIORITY, &found, 1, maximum));
        }
        Ok(Self(priority))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A candidate's transport protocol. Names are compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateProtocol {
    /// `udp`
    Udp,
    /// `tcp` (RFC 6544)
    Tcp,
    /// Anything else; to be ignored.
    Other(Token),
}

/// Where a candidate is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateAddress {
    /// An address.
    Ip(IpAddr),
    /// A name that has to be resolved, often one of mDNS.
    Name(HostName),
}

impl CandidateAddress {
    /// The address, if it is not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Name(_) => None,
        }
    }
}

/// A candidate's type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateKind {
    /// `host`
    Host,
    /// `srflx`
    ServerReflexive,
    /// `prflx`
    PeerReflexive,
    /// `relay`
    Relayed,
    /// A type of an extension; to be ignored.
    Other(Token),
}

/// `tcptype` (RFC 6544 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TcpType {
    /// Opens connections.
    Active,
    /// Accepts connections.
    Passive,
    /// Simultaneous open.
    SimultaneousOpen,
}

/// One `candidate` attribute.
///
/// Parses with or without `a=` and with or without `candidate:`; writes `candidate:…` without `a=`,
/// the form of the W3C's `RTCIceCandidate.candidate`. At most [`MAX_CANDIDATE_BYTES`] are parsed.
///
/// ```
/// use proto_sdp::Candidate;
///
/// let line = "candidate:1 1 udp 2122260223 192.0.2.3 45664 typ host generation 0 ufrag abcd";
/// let candidate: Candidate = line.parse()?;
/// assert_eq!(candidate.port, 45664);
/// assert_eq!(candidate.extension("generation"), Some("0"));
/// assert_eq!(candidate.to_string(), line);
/// # Ok::<(), proto_sdp::ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Equal for candidates of the same type, base and server.
    pub foundation: Foundation,
    /// The component.
    pub component: ComponentId,
    /// The transport protocol.
    pub protocol: CandidateProtocol,
    /// The priority.
    pub priority: Priority,
    /// The address or name.
    pub address: CandidateAddress,
    /// The port; 9 for TCP candidates that only connect (RFC 6544 §4.5).
    pub port: u16,
    /// The type.
    pub kind: CandidateKind,
    /// `raddr`
    pub related_address: Option<CandidateAddress>,
    /// `rport`
    pub related_port: Option<u16>,
    /// `tcptype`
    pub tcp_type: Option<TcpType>,
    /// The extensions in order, names and values. At most 32 are parsed.
    pub extensions: Vec<CandidateExtension>,
}

/// A name and a value at the end of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CandidateExtension {
    name: Token,
    value: String,
}

impl CandidateExtension {
    /// Checks the name and the value.
    ///
    /// # Errors
    ///
    /// The name is no token, the value is not 1 to 256 visible characters, or the name is `raddr`, `rport` or
    /// `tcptype`, which have fields of their own.
    pub fn new(name: &str, value: &str) -> Result<Self, ValueError> {
        if matches!(name, "raddr" | "rport" | "tcptype") {
            return Err(ValueError::reserved(EXTENSION));
        }
        check_token(EXTENSION, name)?;
        check_word("candidate extension value", value)?;
        Ok(Self { name: Token::new(name)?, value: value.to_owned() })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

const CANDIDATE: &str = "candidate";
const COMPONENT: &str = "candidate component";
const PRIORITY: &str = "candidate priority";
const EXTENSION: &str = "candidate extension";

impl Candidate {
    /// The value of the first extension with this name.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|extension| extension.name() == name).map(CandidateExtension::value)
    }

    /// The username fragment that the candidate belongs to, if it says so.
    #[must_use]
    pub fn username_fragment(&self) -> Option<UsernameFragment> {
        self.extension("ufrag").and_then(|value| UsernameFragment::new(value).ok())
    }
}

impl FromStr for Candidate {
    type Err = ValueError;

    /// An address that is not recognized is the error only if nothing else is wrong, so that what is passed over for
    /// its address is well-formed otherwise.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.len() > MAX_LINE_BYTES {
            return Err(ValueError::length(CANDIDATE, text.len(), 1, MAX_CANDIDATE_BYTES));
        }
        let text = text.trim_matches([' ', '\r', '\n']);
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        let mut words = words(text);
        let mut next = |field| words.next().ok_or_else(|| ValueError::missing(field));

        let foundation = Foundation::new(next("candidate foundation")?)?;
        let component = parse_component(next(COMPONENT)?)?;
        let protocol = parse_protocol(next("candidate transport")?)?;
        let priority = parse_priority(next(PRIORITY)?)?;
        let address = parse_address(next("candidate address")?);
        let port = port_number("candidate port", next("candidate port")?)?;
        match next("candidate typ")? {
            "typ" => {}
            other => return Err(ValueError::unexpected("candidate typ", other, "typ")),
        }
        let kind = parse_kind(next("candidate type")?)?;

        let mut pairs = Pairs::default();
        while let Some(name) = words.next() {
            let value =
                words.next().ok_or_else(|| ValueError::unexpected(EXTENSION, name, "a value after the name"))?;
            pairs.add(name, value)?;
        }
        let candidate = Self {
            foundation,
            component,
            protocol,
            priority,
            address: address?,
            port,
            kind,
            related_address: pairs.related_address.transpose()?,
            related_port: pairs.related_port,
            tcp_type: pairs.tcp_type,
            extensions: pairs.extensions,
        };
        // As it is written and not as it was read, so that what is written can be read.
        let length = candidate.value().len();
        if length > MAX_CANDIDATE_BYTES {
            return Err(ValueError::length(CANDIDATE, length, 1, MAX_CANDIDATE_BYTES));
        }
        Ok(candidate)
    }
}

/// The names and values that follow a candidate's type.
#[derive(Default)]
struct Pairs {
    related_address: Option<Result<CandidateAddress, ValueError>>,
    related_port: Option<u16>,
    tcp_type: Option<TcpType>,
    extensions: Vec<CandidateExtension>,
}

impl Pairs {
    fn add(&mut self, name: &str, value: &str) -> Result<(), ValueError> {
        match name {
            "raddr" => set_once(&mut self.related_address, name, parse_address(value)),
            "rport" => {
                let port = port_number("candidate rport", value)?;
                set_once(&mut self.related_port, name, port)
            }
            "tcptype" => set_once(&mut self.tcp_type, name, parse_tcp_type(value)?),
            _ if self.extensions.len() >= MAX_CANDIDATE_EXTENSIONS => {
                Err(ValueError::unexpected(EXTENSION, name, "at most 32 extensions"))
            }
            _ => {
                self.extensions.push(CandidateExtension::new(name, value)?);
                Ok(())
            }
        }
    }
}

fn set_once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), ValueError> {
    if field.replace(value).is_some() {
        return Err(ValueError::unexpected(EXTENSION, name, "it only once"));
    }
    Ok(())
}

fn parse_component(text: &str) -> Result<ComponentId, ValueError> {
    let component = number(COMPONENT, text, 1, 256)?;
    u16::try_from(component).map(ComponentId).map_err(|_| ValueError::out_of_range(COMPONENT, text, 1, 256))
}

fn parse_priority(text: &str) -> Result<Priority, ValueError> {
    let maximum = Priority::MAX.into();
    let priority = number(PRIORITY, text, 1, maximum)?;
    u32::try_from(priority).map(Priority).map_err(|_| ValueError::out_of_range(PRIORITY, text, 1, maximum))
}

fn parse_protocol(text: &str) -> Result<CandidateProtocol, ValueError> {
    if text.eq_ignore_ascii_case("udp") {
        return Ok(CandidateProtocol::Udp);
    }
    if text.eq_ignore_ascii_case("tcp") {
        return Ok(CandidateProtocol::Tcp);
    }
    check_token("candidate transport", text)?;
    Token::new(text).map(CandidateProtocol::Other)
}

fn parse_address(text: &str) -> Result<CandidateAddress, ValueError> {
    if let Ok(address) = text.parse() {
        return Ok(CandidateAddress::Ip(address));
    }
    HostName::new(text).map(CandidateAddress::Name)
}

fn parse_kind(text: &str) -> Result<CandidateKind, ValueError> {
    Ok(match text {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        other => {
            check_token("candidate type", other)?;
            CandidateKind::Other(Token::new(other)?)
        }
    })
}

fn parse_tcp_type(text: &str) -> Result<TcpType, ValueError> {
    match text {
        "active" => Ok(TcpType::Active),
        "passive" => Ok(TcpType::Passive),
        "so" => Ok(TcpType::SimultaneousOpen),
        _ => Err(ValueError::unexpected("candidate tcptype", text, "active, passive or so")),
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "candidate:{}", self.value())
    }
}

impl Candidate {
    /// The attribute's value, without its name.
    pub(crate) fn value(&self) -> String {
        let mut value = format!(
            "{} {} {} {} {} {} typ {}",
            self.foundation,
            self.component.get(),
            self.protocol,
            self.priority.get(),
            self.address,
            self.port,
            self.kind
        );
        if let Some(address) = &self.related_address {
            value.push_str(&format!(" raddr {address}"));
        }
        if let Some(port) = self.related_port {
            value.push_str(&format!(" rport {port}"));
        }
        if let Some(tcp_type) = self.tcp_type {
            value.push_str(&format!(" tcptype {tcp_type}"));
        }
        for extension in &self.extensions {
            value.push_str(&format!(" {} {}", extension.name(), extension.value()));
        }
        value
    }
}

impl fmt::Display for CandidateProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Other(name) => name.as_str(),
        })
    }
}

impl fmt::Display for CandidateAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
            Self::Other(name) => name.as_str(),
        })
    }
}

impl fmt::Display for TcpType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        })
    }
}
