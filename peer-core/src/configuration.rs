//! What the application decides about a peer: `RTCConfiguration`, in its words.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use proto_dtls_sctp::{Certificate, Entropy};
use proto_ice::{AddressPolicy, IceConfig, StunServer, StunServerHost};

/// 256 KiB, as Chromium announces.
const DEFAULT_MAX_MESSAGE_SIZE: NonZeroU32 = NonZeroU32::new(262_144).unwrap();

/// `RTCConfiguration` (W3C webrtc-pc §4.2.1), and what an embedder has to decide beside it.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Servers that help to find a path.
    pub ice_servers: Vec<IceServer>,
    /// The certificate that this peer shows; many peers may share one.
    pub certificate: Arc<Certificate>,
    /// Whether an offer carries a data section even before a channel was created.
    pub always_negotiate_data_channels: bool,
    /// Whether loopback addresses become candidates: for peers on one host, and tests.
    pub gather_loopback: bool,
    /// Whether link-local addresses become candidates.
    pub gather_link_local: bool,
    /// The largest message that the other side may send, in bytes, announced as `max-message-size`.
    pub max_message_size: NonZeroU32,
    /// Where keys and signatures come from: the system, but in simulations.
    pub entropy: Entropy,
}

impl Configuration {
    /// The defaults, with this certificate: no servers, and messages of up to 256 KiB, as browsers take them.
    #[must_use]
    pub fn new(certificate: Arc<Certificate>) -> Self {
        Self {
            ice_servers: Vec::new(),
            certificate,
            always_negotiate_data_channels: false,
            gather_loopback: false,
            gather_link_local: false,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            entropy: Entropy::default(),
        }
    }

    /// What the ICE agent needs of it.
    pub(crate) fn ice_config(&self) -> Result<IceConfig, ConfigurationError> {
        let urls = self.ice_servers.iter().flat_map(|server| &server.urls);
        Ok(IceConfig {
            stun_servers: urls.map(|url| parse_url(url)).collect::<Result<_, _>>()?,
            address_policy: AddressPolicy {
                gather_loopback: self.gather_loopback,
                gather_link_local: self.gather_link_local,
            },
            ..IceConfig::default()
        })
    }
}

/// `RTCIceServer` (W3C webrtc-pc §4.2.4).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IceServer {
    /// `stun:host` or `stun:host:port` (RFC 7064).
    pub urls: Vec<String>,
}

/// Why a configuration was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// `SyntaxError`: the URL is not well-formed (RFC 7064 §3.1).
    Syntax {
        /// The URL.
        url: String,
    },
    /// `NotSupportedError`: the URL is well-formed, but of a kind that is not supported.
    NotSupported {
        /// The URL.
        url: String,
    },
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { url } => {
                write!(f, "SyntaxError: {url:?} is not of the form stun:host or stun:host:port")
            }
            Self::NotSupported { url } => {
                write!(f, "NotSupportedError: {url:?}: only stun: is supported, turn: and stuns: are not yet")
            }
        }
    }
}

impl std::error::Error for ConfigurationError {}

/// RFC 7064 §3.2: the port of `stun:` if none is given.
const DEFAULT_PORT: u16 = 3478;

/// RFC 7064 §3.1.
fn parse_url(url: &str) -> Result<StunServer, ConfigurationError> {
    let syntax = || ConfigurationError::Syntax { url: url.to_owned() };
    let (scheme, rest) = url.split_once(':').ok_or_else(syntax)?;
    match scheme.to_ascii_lowercase().as_str() {
        "stun" => {}
        "stuns" | "turn" | "turns" => return Err(ConfigurationError::NotSupported { url: url.to_owned() }),
        _ => return Err(syntax()),
    }
    let (host, port) = split_host_and_port(rest).ok_or_else(syntax)?;
    let port =
        port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|&port| port != 0)).ok_or_else(syntax)?;
    Ok(StunServer { host: host.ok_or_else(syntax)?, port, url: url.to_owned() })
}

fn split_host_and_port(text: &str) -> Option<(Option<StunServerHost>, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let host = address.parse().ok().map(|address| StunServerHost::Address(IpAddr::V6(address)));
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return Some((host, port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    Some((parse_host(host), port))
}

/// An IPv4 address, or a name of letters, digits, hyphens and dots (RFC 3986 §3.2.2 allows more, the DNS does not).
fn parse_host(host: &str) -> Option<StunServerHost> {
    if let Ok(address) = host.parse() {
        return Some(StunServerHost::Address(IpAddr::V4(address)));
    }
    let fits = !host.is_empty() && host.len() <= 253;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (fits && host.bytes().all(known)).then(|| StunServerHost::Name(host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stun_url_names_a_host_and_a_port() {
        let parse = |url: &str| parse_url(url).map(|server| (server.host, server.port));
        let name = |name: &str| StunServerHost::Name(name.to_owned());
        let address = |address: &str| StunServerHost::Address(address.parse().unwrap());
        assert_eq!(parse("stun:example.org"), Ok((name("example.org"), 3478)));
        assert_eq!(parse("STUN:example.org:19302"), Ok((name("example.org"), 19302)));
        assert_eq!(parse("stun:192.0.2.1:1"), Ok((address("192.0.2.1"), 1)));
        assert_eq!(parse("stun:[2001:db8::1]"), Ok((address("2001:db8::1"), 3478)));
        assert_eq!(parse("stun:[2001:db8::1]:9"), Ok((address("2001:db8::1"), 9)));
    }

    #[test]
    fn a_url_that_is_malformed_is_a_syntax_error() {
        for url in ["", "example.org", "http://example.org", "stun:", "stun::1", "stun:a:0", "stun:a:65536", "stun:a:x"]
        {
            assert_eq!(parse_url(url), Err(ConfigurationError::Syntax { url: url.to_owned() }));
        }
        for url in ["stun:[::1", "stun:[::1]9", "stun:a b", "stun:[192.0.2.1]", "stun:a?transport=udp"] {
            assert_eq!(parse_url(url), Err(ConfigurationError::Syntax { url: url.to_owned() }));
        }
    }

    #[test]
    fn a_scheme_that_is_known_but_not_supported_is_named_as_such() {
        for url in ["turn:example.org", "turns:example.org", "stuns:example.org"] {
            assert_eq!(parse_url(url), Err(ConfigurationError::NotSupported { url: url.to_owned() }));
        }
    }
}
