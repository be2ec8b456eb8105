//! The parts that session and media sections share: transport attributes, other attributes, `o=`, `c=`, `b=`, groups.

use std::fmt;
use std::net::IpAddr;

use sdp_types::{AddrType, NetType};

use crate::error::ValueError;
use crate::fingerprint::Fingerprint;
use crate::limits::MAX_LINE_BYTES;
use crate::tokens::{Direction, IceOptions, Mid, Password, Setup, Text, TlsId, Token, UsernameFragment, check_token};

/// The ICE and DTLS attributes that may stand in a media section or, for all of them, at the session level.
///
/// At most [`MAX_FINGERPRINTS`](crate::limits::MAX_FINGERPRINTS) fingerprints are parsed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TransportAttributes {
    /// `a=ice-ufrag`
    pub username_fragment: Option<UsernameFragment>,
    /// `a=ice-pwd`
    pub password: Option<Password>,
    /// `a=ice-options`; empty if there is no such line.
    pub ice_options: IceOptions,
    /// `a=fingerprint`, those with a known hash function.
    pub fingerprints: Vec<Fingerprint>,
    /// `a=setup`
    pub setup: Option<Setup>,
    /// `a=tls-id`
    pub tls_id: Option<TlsId>,
}

/// An attribute without a typed field, kept as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    name: Token,
    value: Option<Text>,
}

impl Attribute {
    /// An attribute such as `rtpmap` with a value, or `extmap-allow-mixed` without one.
    ///
    /// # Errors
    ///
    /// The name is no token or belongs to a typed field (`candidate`, `mid`, `setup`, …), the value has NUL, CR or LF
    /// in it, or the line would be longer than [`MAX_LINE_BYTES`].
    pub fn new(name: &str, value: Option<&str>) -> Result<Self, ValueError> {
        if is_typed(name) {
            return Err(ValueError::reserved("attribute"));
        }
        check_token("attribute name", name)?;
        let length = "a=:".len() + name.len() + value.map_or(0, str::len);
        if length > MAX_LINE_BYTES {
            return Err(ValueError::length("attribute", length, 1, MAX_LINE_BYTES));
        }
        Ok(Self { name: Token::new(name)?, value: value.map(Text::new).transpose()? })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The value, none for a flag.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_ref().map(Text::as_str)
    }
}

/// Whether an attribute has a typed field at some level.
pub(crate) fn is_typed(name: &str) -> bool {
    Direction::from_attribute(name).is_some()
        || matches!(
            name,
            "group"
                | "ice-lite"
                | "ice-pacing"
                | "ice-ufrag"
                | "ice-pwd"
                | "ice-options"
                | "fingerprint"
                | "setup"
                | "tls-id"
                | "mid"
                | "bundle-only"
                | "rtcp-mux"
                | "candidate"
                | "end-of-candidates"
                | "sctp-port"
                | "max-message-size"
                | "sctp-init"
        )
}

/// `o=`: who made the description, and which version of it this is (RFC 8866 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    user_name: String,
    session_id: String,
    session_version: u64,
    network_type: String,
    address_type: String,
    address: String,
}

impl Origin {
    /// The largest session id: JSEP §5.2.1 asks for less than 2^63 - 1.
    pub const MAX_SESSION_ID: u64 = (1 << 63) - 2;

    /// `o=- <session id> <version> IN IP4 0.0.0.0`, which tells nothing of the machine (JSEP §5.2.1).
    ///
    /// The id should be random. Its highest bit is cleared, since some parsers take the number as signed.
    #[must_use]
    pub fn new(session_id: u64, session_version: u64) -> Self {
        let session_id = (session_id & (u64::MAX >> 1)).min(Self::MAX_SESSION_ID);
        Self {
            user_name: "-".to_owned(),
            session_id: session_id.to_string(),
            session_version,
            network_type: "IN".to_owned(),
            address_type: "IP4".to_owned(),
            address: "0.0.0.0".to_owned(),
        }
    }

    /// The session id, a decimal number of any length.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// The version of the description within the session.
    #[must_use]
    pub fn session_version(&self) -> u64 {
        self.session_version
    }

    pub(crate) fn from_grammar(origin: &sdp_types::Origin) -> Result<Self, ValueError> {
        let session_id = origin.sess_id.as_str();
        if session_id.is_empty() || !session_id.bytes().all(|byte| byte.is_ascii_digit()) {
            let field = "origin sess-id";
            return Err(ValueError::unexpected(field, session_id, "a decimal number"));
        }
        Ok(Self {
            user_name: origin.username.clone().unwrap_or_else(|| "-".to_owned()),
            session_id: session_id.to_owned(),
            session_version: origin.sess_version,
            network_type: origin.nettype.as_str().to_owned(),
            address_type: origin.addrtype.as_str().to_owned(),
            address: origin.unicast_address.clone(),
        })
    }

    pub(crate) fn to_grammar(&self) -> sdp_types::Origin {
        sdp_types::Origin {
            username: Some(self.user_name.clone()),
            sess_id: self.session_id.clone(),
            sess_version: self.session_version,
            nettype: NetType::from(self.network_type.as_str()),
            addrtype: AddrType::from(self.address_type.as_str()),
            unicast_address: self.address.clone(),
        }
    }
}

/// `c=`: an address, which ICE makes meaningless (RFC 8866 §5.7, JSEP §5.8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    network_type: String,
    address_type: String,
    address: String,
}

impl Connection {
    /// `IN IP4 0.0.0.0`: no candidate is known yet (RFC 8840 §4.1.1).
    #[must_use]
    pub fn unspecified() -> Self {
        Self::from_ip(std::net::Ipv4Addr::UNSPECIFIED.into())
    }

    /// The address of the default candidate.
    #[must_use]
    pub fn from_ip(address: IpAddr) -> Self {
        Self::from_grammar(&sdp_types::Connection::from_ip_addr(address))
    }

    /// The address, unless it is a name, a multicast range or of an unknown type.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }

    pub(crate) fn from_grammar(connection: &sdp_types::Connection) -> Self {
        Self {
            network_type: connection.nettype.as_str().to_owned(),
            address_type: connection.addrtype.as_str().to_owned(),
            address: connection.connection_address.clone(),
        }
    }

    pub(crate) fn to_grammar(&self) -> sdp_types::Connection {
        sdp_types::Connection {
            nettype: NetType::from(self.network_type.as_str()),
            addrtype: AddrType::from(self.address_type.as_str()),
            connection_address: self.address.clone(),
        }
    }
}

/// `b=`: a bandwidth (RFC 8866 §5.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS`, `CT`, `TIAS`, …
    pub kind: Token,
    /// The number, in kilobits per second unless the kind says otherwise.
    pub value: u64,
}

/// `a=group` (RFC 5888 §5): a relation between sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `BUNDLE`, `LS`, …
    pub semantics: Token,
    /// The mids, the tagged one first for `BUNDLE` (RFC 9143 §7.2.1).
    pub mids: Vec<Mid>,
}

impl Group {
    /// A BUNDLE group (RFC 9143 §5).
    #[must_use]
    pub fn bundle(mids: Vec<Mid>) -> Self {
        Self { semantics: Token::bundle(), mids }
    }

    /// Whether it is a BUNDLE group.
    #[must_use]
    pub fn is_bundle(&self) -> bool {
        self.semantics.as_str() == "BUNDLE"
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.semantics)?;
        self.mids.iter().try_for_each(|mid| write!(formatter, " {mid}"))
    }
}

/// A line number that says where a part was read. It is no content: two parts that differ only in it are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceLine(pub(crate) Option<usize>);

impl PartialEq for SourceLine {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SourceLine {}
