//! Servers that help to find a path: `RTCIceServer`, and the grammar of its URLs (RFC 7064, RFC 7065).

use std::fmt;
use std::net::IpAddr;

use proto_ice::turn::TurnCredentials;
use proto_ice::{RelayServer, StunServer, StunServerHost};

use crate::ConfigurationError;

/// `RTCIceServer` (W3C webrtc-pc §4.2.4): one server, or several with the same credentials.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct IceServer {
    /// `stun:host`, `stun:host:port` (RFC 7064), `turn:host`, `turn:host:port` or either with `?transport=udp` (RFC 7065). A host is a name, an IPv4 address, or an IPv6 address in
    /// brackets; a name is looked up by the driver. At least one.
    pub urls: Vec<String>,
    /// The username for `turn:`, at most 508 bytes (RFC 8489 §14.3). As it is: characters beyond ASCII are for the application to prepare (RFC 8265).
    pub username: Option<String>,
    /// The password for `turn:`. It does not print itself.
    pub credential: Option<String>,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credential = self.credential.as_ref().map(|_| "..");
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("credential", &credential)
            .finish()
    }
}

/// RFC 7064 §3.2, RFC 7065 §3.2: the port of `stun:` and `turn:` if none is given.
const DEFAULT_PORT: u16 = 3478;

/// RFC 8489 §14.3: "a UTF-8-encoded sequence of fewer than 509 bytes".
const MAX_USERNAME: usize = 508;

/// The servers of a configuration, by what they are asked for.
#[derive(Default)]
pub(crate) struct Servers {
    pub(crate) stun: Vec<StunServer>,
    pub(crate) turn: Vec<RelayServer>,
}

impl Servers {
    /// W3C webrtc-pc §4.4.1.1, "validate an ICE server".
    pub(crate) fn parse(servers: &[IceServer]) -> Result<Self, ConfigurationError> {
        let mut found = Self::default();
        for server in servers {
            if server.urls.is_empty() {
                return Err(ConfigurationError::Syntax { url: String::new() });
            }
            for url in &server.urls {
                let location = parse_url(url)?;
                let Location { host, port, .. } = location;
                match location.scheme {
                    Scheme::Stun => found.stun.push(StunServer { host, port, url: url.clone() }),
                    Scheme::Turn => {
                        let credentials = server.credentials(url)?;
                        found.turn.push(RelayServer { host, port, url: url.clone(), credentials });
                    }
                }
            }
        }
        Ok(found)
    }
}

impl IceServer {
    fn credentials(&self, url: &str) -> Result<TurnCredentials, ConfigurationError> {
        let fits = |username: &&String| username.len() <= MAX_USERNAME;
        match (self.username.as_ref().filter(fits), &self.credential) {
            (Some(username), Some(credential)) => Ok(TurnCredentials::new(username, credential)),
            _ => Err(ConfigurationError::InvalidAccess { url: url.to_owned() }),
        }
    }
}

/// What a URL says.
#[derive(PartialEq, Eq, Debug)]
struct Location {
    scheme: Scheme,
    host: StunServerHost,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Stun,
    /// Over UDP.
    Turn,
}

/// RFC 7064 §3.1, RFC 7065 §3.1.
fn parse_url(url: &str) -> Result<Location, ConfigurationError> {
    let syntax = || ConfigurationError::Syntax { url: url.to_owned() };
    let (scheme, rest) = url.split_once(':').ok_or_else(syntax)?;
    let is_scheme = |name| scheme.eq_ignore_ascii_case(name);
    let is_turn = is_scheme("turn") || is_scheme("turns");
    if !is_turn && !is_scheme("stun") && !is_scheme("stuns") {
        return Err(syntax());
    }
    let (authority, transport) = match rest.split_once('?') {
        Some((authority, query)) if is_turn => {
            let (name, transport) = query.split_once('=').ok_or_else(syntax)?;
            let is_known = name.eq_ignore_ascii_case("transport") && is_unreserved(transport);
            (authority, Some(transport).filter(|_| is_known).ok_or_else(syntax)?)
        }
        // RFC 7064 has no query.
        Some(_) => return Err(syntax()),
        None => (rest, "udp"),
    };
    let (host, port) = split_host_and_port(authority).ok_or_else(syntax)?;
    let port =
        port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|&port| port != 0)).ok_or_else(syntax)?;
    let host = host.ok_or_else(syntax)?;
    let scheme = if is_scheme("stun") {
        Scheme::Stun
    } else if is_scheme("turn") && transport.eq_ignore_ascii_case("udp") {
        Scheme::Turn
    } else {
        return Err(ConfigurationError::NotSupported { url: url.to_owned() });
    };
    Ok(Location { scheme, host, port })
}

/// RFC 3986 §2.3: what RFC 7065 allows in a transport.
fn is_unreserved(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !text.is_empty() && text.bytes().all(fits)
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

    fn name(name: &str) -> StunServerHost {
        StunServerHost::Name(name.to_owned())
    }

    fn address(address: &str) -> StunServerHost {
        StunServerHost::Address(address.parse().unwrap())
    }

    fn turn(urls: &[&str], username: Option<&str>, credential: Option<&str>) -> IceServer {
        IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: username.map(str::to_owned),
            credential: credential.map(str::to_owned),
        }
    }

    #[test]
    fn a_url_names_a_service_a_host_and_a_port() {
        let parse = |url: &str| parse_url(url).map(|location| (location.scheme, location.host, location.port));
        for (scheme, prefix) in [(Scheme::Stun, "stun"), (Scheme::Turn, "turn")] {
            let at = |rest: &str| parse(&format!("{prefix}:{rest}"));
            assert_eq!(at("example.org"), Ok((scheme, name("example.org"), 3478)));
            assert_eq!(at("192.0.2.1:1"), Ok((scheme, address("192.0.2.1"), 1)));
            assert_eq!(at("[2001:db8::1]"), Ok((scheme, address("2001:db8::1"), 3478)));
            assert_eq!(at("[2001:db8::1]:9"), Ok((scheme, address("2001:db8::1"), 9)));
        }
        assert_eq!(parse("STUN:example.org:19302"), Ok((Scheme::Stun, name("example.org"), 19302)));
        assert_eq!(parse("turn:a?transport=udp"), Ok((Scheme::Turn, name("a"), 3478)));
        assert_eq!(parse("TURN:[::1]:9?TRANSPORT=UDP"), Ok((Scheme::Turn, address("::1"), 9)));
    }

    #[test]
    fn a_url_that_is_malformed_is_a_syntax_error() {
        for url in ["", "example.org", "http://example.org", "stun:", "stun::1", "stun:a:0", "stun:a:65536", "stun:a:x"]
        {
            assert_eq!(parse_url(url), Err(ConfigurationError::Syntax { url: url.to_owned() }));
        }
        for url in ["stun:[::1", "stun:[::1]9", "stun:a b", "stun:[192.0.2.1]", "stun:a?transport=udp", "turns:"] {
            assert_eq!(parse_url(url), Err(ConfigurationError::Syntax { url: url.to_owned() }));
        }
        for url in ["turn:a?", "turn:a?transport", "turn:a?transport=", "turn:a?x=udp", "turn:?transport=udp"] {
            assert_eq!(parse_url(url), Err(ConfigurationError::Syntax { url: url.to_owned() }));
        }
        for url in ["turn:a?transport=udp&x", "turn:user@a", "turn://a", "turn:a/b"] {
            assert_eq!(parse_url(url), Err(ConfigurationError::Syntax { url: url.to_owned() }));
        }
    }

    #[test]
    fn what_is_well_formed_but_not_supported_yet_is_named_as_such() {
        for url in ["turns:a", "turns:a?transport=udp", "turn:a?transport=tcp", "turn:a?transport=x", "stuns:a"] {
            let error = parse_url(url).unwrap_err();
            assert_eq!(error, ConfigurationError::NotSupported { url: url.to_owned() });
            assert!(error.to_string().starts_with("NotSupportedError") && error.to_string().contains("not yet"));
        }
    }

    #[test]
    fn servers_are_sorted_by_what_they_are_asked_for() {
        let servers = [
            turn(&["stun:a", "turn:a", "turn:a:80?transport=udp"], Some("u"), Some("p")),
            turn(&["stun:b"], None, None),
        ];
        let Servers { stun, turn } = Servers::parse(&servers).unwrap();
        assert_eq!(stun.iter().map(|server| server.url.as_str()).collect::<Vec<_>>(), ["stun:a", "stun:b"]);
        assert_eq!(turn.iter().map(|server| server.port).collect::<Vec<_>>(), [3478, 80]);
        assert!(turn.iter().all(|server| server.credentials == TurnCredentials::new("u", "p")));
    }

    #[test]
    fn a_turn_url_without_username_and_credential_is_an_invalid_access_error() {
        let long = "u".repeat(MAX_USERNAME + 1);
        let lacking = [(None, None), (Some("u"), None), (None, Some("p")), (Some(long.as_str()), Some("p"))];
        for (username, credential) in lacking {
            let error = Servers::parse(&[turn(&["turn:a"], username, credential)]).err().unwrap();
            assert_eq!(error, ConfigurationError::InvalidAccess { url: "turn:a".to_owned() });
        }
        assert!(Servers::parse(&[turn(&["turn:a"], Some(&long[1..]), Some(""))]).is_ok());
    }

    #[test]
    fn a_server_without_a_url_is_a_syntax_error() {
        let error = Servers::parse(&[IceServer::default()]).err();
        assert_eq!(error, Some(ConfigurationError::Syntax { url: String::new() }));
    }

    #[test]
    fn a_credential_does_not_print_itself() {
        let printed = format!("{:?}", turn(&["turn:a"], Some("name"), Some("secret")));
        assert!(printed.contains("name") && !printed.contains("secret"));
    }
}
